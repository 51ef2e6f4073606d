"""What is under the pointer in the plots: identifier, values and picture, or the number of galaxies in a cell."""

from __future__ import annotations

from sfnet_core.explorer.shared.context import Context
from sfnet_core.explorer.shared.view import View, front_end, text

__all__ = ["Hover"]

LONGEST = 1000  # characters of an identifier


class Hover(View):
    """The pane at the pointer. Values come from the figures in the browser; pictures are asked for, one at a time.

    No choice changes it.
    """

    _esm = front_end("shared/hover")

    def __init__(self, context: Context, key: str):
        self._context = context
        super().__init__(context.notify, {"peek": lambda m: self._peek(text(m, "id", LONGEST))})
        self.data = {"key": key, "images": context.pictures.size is not None}

    def _peek(self, identifier: str) -> None:
        """Send one galaxy's picture, no bytes where it has none."""
        row = self._context.scene.row_of(identifier)
        if row is None:
            raise ValueError("that galaxy is not in the table")
        self.send({"peek": identifier}, [self._context.pictures.jpeg(row)])
