"""The strip above the plots: which plots stand in the third and fourth place."""

from __future__ import annotations

from collections.abc import Mapping

from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.quantities import Plot
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.view import front_end, text

__all__ = ["PlotMenu"]


class PlotMenu(Pane):
    """Two menus: the third and the fourth of the plots."""

    _esm = front_end("shared/plot_menu")

    def __init__(self, context: Context, plots: Mapping[str, Plot]):
        self._plots, state = plots, context.state
        super().__init__(
            context,
            {
                "third": lambda m: state.change(third=self._known(m)),
                "fourth": lambda m: state.change(fourth=self._known(m)),
            },
        )

    def _known(self, message: dict) -> str:
        key = text(message, "plot")
        if key not in self._plots:
            raise ValueError("there is no such plot here")
        return key

    def show(self, query: Query) -> dict:
        """The menus."""
        plots = [[plot.key, plot.label] for plot in self._plots.values()]
        return {"plots": plots, "third": query.third, "fourth": query.fourth}
