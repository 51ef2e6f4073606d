"""How the server runs a page's notebook: as Voilà does, and quietly where the visitor left before it was made."""

from __future__ import annotations

from typing import Any

import voila.notebook_renderer
from nbclient.exceptions import DeadKernelError
from nbclient.util import ensure_async
from voila.execute import VoilaExecutor

__all__ = ["MakesPages", "use_maker"]


class MakesPages(VoilaExecutor):
    """Voilà's executor. A kernel that was ended on purpose while it made a page is no error of the server's.

    Nobody waits for that page any more; a kernel that died by itself is told as before.
    """

    @property
    def _left(self) -> bool:
        return bool(getattr(self.km, "sfnet_ended", False))

    async def execute_cell(self, cell: Any, resources: Any, cell_index: int, store_history: bool = True) -> Any:
        """Run one cell; the cell as it is, where the page was left meanwhile."""
        try:
            return await super().execute_cell(cell, resources, cell_index, store_history)
        except Exception:
            if not self._left:
                raise
            return cell

    async def _async_check_alive(self) -> None:
        if self._left and not await ensure_async(self.kc.is_alive()):
            raise DeadKernelError("The page was left.")
        await super()._async_check_alive()


def use_maker() -> None:
    """Have Voilà make its pages with :class:`MakesPages` (it has no setting for that)."""
    voila.notebook_renderer.VoilaExecutor = MakesPages
