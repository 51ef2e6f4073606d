"""How the server makes a page: as Voilà does, to its end where the kernel dies, quietly where the visitor left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import voila.notebook_renderer
from nbclient.exceptions import DeadKernelError
from nbclient.util import ensure_async
from voila.execute import VoilaExecutor
from voila.exporter import VoilaExporter

__all__ = ["EndsPages", "MakesPages", "use_maker"]


class MakesPages(VoilaExecutor):
    """Voilà's executor. A kernel that was ended on purpose while it made a page is no error of the server's.

    Nobody waits for that page any more; a kernel that died by itself is told as before.
    """

    @property
    def _left(self) -> bool:
        return bool(getattr(self.km, "sfnet_ended", False))

    async def async_start_new_kernel_client(self) -> Any:
        """Wait until the kernel answers. One that died before is no session any more: its place is free at once."""
        kernel = self.km
        try:
            return await super().async_start_new_kernel_client()
        except Exception:
            if kernel.kernel_id in kernel.parent:
                await kernel.parent.shutdown_kernel(kernel.kernel_id, now=True)
            raise

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


class EndsPages(VoilaExporter):
    """Voilà's exporter. A page that can't be made to its end stops there, and its script says so.

    Without this, Voilà never ends its answer to a page whose kernel did not start: the browser loads for ever.
    """

    async def generate_from_notebook_node(self, *args: Any, **kwargs: Any) -> AsyncIterator[tuple[str, dict]]:
        """The page, part by part."""
        try:
            async for part in super().generate_from_notebook_node(*args, **kwargs):
                yield part
        except Exception as error:
            self.log.error("A page could not be made: %s", error)


def use_maker() -> None:
    """Have Voilà make its pages with these two classes (it has no setting for that)."""
    voila.notebook_renderer.VoilaExecutor = MakesPages
    voila.notebook_renderer.VoilaExporter = EndsPages
