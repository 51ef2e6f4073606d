"""What is under the pointer in the plots: identifier, values and picture, or the number of galaxies in a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sfnet_core.explorer.shared.view import View, front_end, text

if TYPE_CHECKING:
    from sfnet_core.data.pictures import Pictures
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["Hover"]

LONGEST = 1000  # characters of an identifier


class Hover(View):
    """The pane at the pointer. Values come from the figures in the browser; pictures are asked for, one at a time."""

    _esm = front_end("shared/hover")

    def __init__(self, scene: Scene, pictures: Pictures, notify: Callable[[str], None], key: str):
        self._scene, self._pictures = scene, pictures
        super().__init__(notify, {"peek": lambda m: self._peek(text(m, "id", LONGEST))})
        self.data = {"key": key, "images": pictures.size is not None}

    def _peek(self, identifier: str) -> None:
        """Send one galaxy's picture, no bytes where it has none."""
        row = self._scene.row_of(identifier)
        if row is None:
            raise ValueError("that galaxy is not in the table")
        self.send({"peek": identifier}, [self._pictures.jpeg(row)])

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Nothing: no choice changes it."""
