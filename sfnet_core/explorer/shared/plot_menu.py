"""The strip above the plots: which plots stand in the third and fourth place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.view import View, front_end, text

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["PlotMenu"]


class PlotMenu(View):
    """Two menus: the third and the fourth plot."""

    _esm = front_end("shared/plot_menu")
    observes = frozenset({"third", "fourth"})

    def __init__(self, scene: Scene, state: State, notify: Callable[[str], None]):
        self._scene, self._state = scene, state
        super().__init__(
            notify,
            {
                "third": lambda m: state.change(third=self._known(m)),
                "fourth": lambda m: state.change(fourth=self._known(m)),
            },
        )

    def _known(self, message: dict) -> str:
        key = text(message, "plot")
        if key not in self._scene.plots:
            raise ValueError("there is no such plot here")
        return key

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send the menus."""
        plots = [[plot.key, plot.label] for plot in self._scene.plots.values()]
        self.data = {"plots": plots, "third": self._state.third, "fourth": self._state.fourth}
