"""Where the galaxy falls: four figures of the loaded galaxies with the one in focus on top."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from bokeh.events import Tap
from bokeh.layouts import gridplot
from bokeh.models import BoxSelectTool, ColumnDataSource, LassoSelectTool

from sfnet_core.explorer.shared.debounce import Debounced
from sfnet_core.explorer.shared.label_editor import on_plots
from sfnet_core.explorer.shared.linked import LinkedFigures
from sfnet_core.explorer.shared.panel import DARK, LIGHT, MOST_POINTS, Axes, Names, Panel
from sfnet_core.explorer.shared.quantities import Plot
from sfnet_core.explorer.shared.query import Follower
from sfnet_core.explorer.your_galaxy.galaxy import GalaxyQuery
from sfnet_core.explorer.your_galaxy.similarity import LOOKS

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.context import Context
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.your_galaxy.checks import Training

__all__ = ["GalaxyPlots", "plots_to_choose"]

OWN = (
    Plot("look", "brightness and sky", "background", "brightness"),
    Plot("colour", "colour and brightness", "brightness", "colour"),
    Plot("margin_prediction", "prediction and margin", "margin", "prediction"),
)


def plots_to_choose(scene: Scene, pictures: bool) -> dict[str, Plot]:
    """The plots of the third and fourth place: this page's own and the explorer's; without pictures no looks."""
    own = [plot for plot in OWN if pictures or plot.x not in LOOKS]
    return {plot.key: plot for plot in [*own, *scene.plots.values()]}


class GalaxyPlots:
    """Builds the figures and keeps them equal to the query; ``widget`` is what the page shows."""

    def __init__(self, context: Context, training: Training, plots: dict[str, Plot], open_row: Callable[[int], None]):
        self._scene, self._labels, self._training, self._plots = context.scene, context.labels, training, plots
        self._open = open_row
        self.key = secrets.token_hex(8)  # these figures' own, for the pane at the pointer
        self.places = [GalaxyPanel(i, self.key) for i in range(4)]
        for place in self.places:
            place.panel.figure.on_event(Tap, lambda event, place=place: self._tap(place, event))
            place.panel.on_range(self._range_changed)
            place.follow_points = Follower(lambda query, place=place: self._points(place, query))
            place.follow_focus = Follower(lambda query, place=place: self._focus(place, query))
        self._follow, self._drawing = Debounced(self._zoomed), False
        figures = [place.panel.figure for place in self.places]
        grid = gridplot(
            [figures[:2], figures[2:]],
            sizing_mode="stretch_both",
            toolbar_location="right",
            merge_tools=True,
            toolbar_options={"logo": None},
        )
        self.widget: LinkedFigures | None = None
        self.draw(GalaxyQuery.of(context.state.query, None))
        self.widget = LinkedFigures(grid)

    def draw(self, query: GalaxyQuery) -> None:
        """Bring the figures up to the query, in one patch."""
        self._drawing = True
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            try:
                for place in self.places:
                    moved = place.follow_points(query)
                    if not place.follow_focus(query) and moved:
                        self._focus(place, query)
            finally:
                self._drawing = False

    def _range_changed(self) -> None:
        if self.widget is not None and not self._drawing:
            self._follow()

    def _zoomed(self) -> None:
        """After a pan or a zoom: draw the densities anew of what is in sight, or the points where they are few."""
        with self.widget.one_patch():
            for place in self.places:
                if place.aggregate and place.panel.view() != place.panel.drawn:
                    place.look()

    def theme(self, dark: bool) -> None:
        """Colours for a dark or a light page, in one patch."""
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            for place in self.places:
                place.theme(dark)

    # -- what each figure shows --------------------------------------------------------------------------------

    def _asked(self, query: GalaxyQuery, number: int) -> tuple[str, str, str, str]:
        """Kind of guide lines, quantity of x and of y, and what it is in words."""
        truth = "truth" in self._scene.quantities
        if number == 0:
            return "", "activation", "truth" if truth else "prediction", ""
        if number == 1:
            if truth:
                return "identity", "truth", "prediction", "predicted and true"
            return "", "margin", "prediction", "prediction and margin"
        plot = self._plots[query.third if number == 2 else query.fourth]
        kind = "bpt" if plot.key == "bpt" else "residual" if plot.y == "residual" else ""
        return kind, plot.x, plot.y, plot.label

    def _points(self, place: GalaxyPanel, query: GalaxyQuery) -> None:
        kind, x_key, y_key, _ = self._asked(query, place.number)
        if x_key in LOOKS:  # measured on training galaxies, whichever split is in view
            place.rows = np.flatnonzero(np.isfinite(self._training.looks[x_key]))
            values = [self._training.looks[key][place.rows] for key in (x_key, y_key)]
        else:
            place.rows = self._scene.rows(query.split)
            values = [self._scene.values(key, query)[place.rows] for key in (x_key, y_key)]
        place.axes = Axes(*values, self._axis(query, x_key), self._axis(query, y_key), "", kind)
        place.names = lambda positions: [str(name) for name in self._scene.codes.ids[place.rows[positions]]]
        ids = [] if place.aggregate else place.names(np.arange(len(place.rows)))
        x, y = ([], []) if place.aggregate else values
        place.points.data = {place.panel.x_name: x, place.panel.y_name: y, "id": ids}
        place.stale = True

    def _axis(self, query: GalaxyQuery, key: str) -> str:
        if key in LOOKS:
            return f"{LOOKS[key].removeprefix('central ')} [counts]"  # as the plots' names say it: the figures are low
        if key == "activation":
            return f"activation of {self._name(query)}" if query.feature >= 0 else "activation"
        return self._scene.named(query)[key].axis

    def _name(self, query: GalaxyQuery) -> str:
        return on_plots(self._labels.names(query)[query.feature])

    def _focus(self, place: GalaxyPanel, query: GalaxyQuery) -> None:
        """The galaxy in focus: a ring where both its values are known, a line where one is."""
        _, x_key, y_key, words = self._asked(query, place.number)
        galaxy = query.shown
        x = y = np.nan
        note = ""
        if galaxy is not None:
            x, y = (galaxy.value(key, query, self._scene) for key in (x_key, y_key))
            if place.number == 0 and y_key == "truth" and not np.isfinite(y):
                y, note = galaxy.value("prediction", query, self._scene), " · ring: predicted"
        if place.number == 0:
            words = self._name(query) if query.feature >= 0 else "no feature chosen"
        axes = place.axes
        axes.n = int((np.isfinite(axes.x) & np.isfinite(axes.y)).sum())
        shown = self._training.split if x_key in LOOKS else query.split or "all splits"
        place.split = "" if shown == "all splits" else shown
        axes.title = f"{words}{note}\nn = {axes.n:,}, {shown}"
        axes.span = (np.array([x]), np.array([y]))
        place.show(axes, x, y)

    def _tap(self, place: GalaxyPanel, event: Tap) -> None:
        position = place.panel.nearest(place.axes, float(event.x), float(event.y))
        if position >= 0:
            self._open(int(place.rows[position]))


class GalaxyPanel:
    """One figure with its own galaxies and its cross lines."""

    def __init__(self, number: int, key: str):
        self.number = number
        self.split = ""  # of its galaxies, '' for all
        self.at = (np.nan, np.nan)  # the galaxy in focus, NaN where not known
        x, y = f"x{number}", f"y{number}"
        self.points = ColumnDataSource({x: [], y: [], "id": []})
        self.focus = ColumnDataSource({x: [], y: []})
        self.panel = Panel(number, self.points, self.focus, key)
        self.follow_points: Follower | None = None
        self.follow_focus: Follower | None = None
        self.rows = np.empty(0, dtype=np.int64)
        self.axes: Axes | None = None
        self.names: Names = lambda positions: []
        self.stale = True  # the density is to be drawn anew
        figure = self.panel.figure
        figure.tools = [tool for tool in figure.tools if not isinstance(tool, LassoSelectTool | BoxSelectTool)]
        figure.toolbar.active_drag = None
        self.across, self.up = ColumnDataSource({x: []}), ColumnDataSource({y: []})
        style = {"line_width": 1.5, "line_alpha": 0.75, "level": "overlay"}
        self.cross = [figure.vspan(x, source=self.across, **style), figure.hspan(y, source=self.up, **style)]
        self.theme(dark=False)

    @property
    def aggregate(self) -> bool:
        """Whether its galaxies are drawn as a density, or as points where few are in sight."""
        return len(self.rows) > MOST_POINTS

    def show(self, axes: Axes, x: float, y: float) -> None:
        """Bring the figure up to its axes and the galaxy in focus at ``(x, y)``, NaN where not known."""
        whole = None if self.stale or self.panel.positions is not None else self.panel.drawn
        self.panel.set_axes(axes, aggregate=self.aggregate)
        if self.aggregate:
            if self.panel.view() == self.panel.ranges == whole:
                self.panel.drawn = whole  # a density of the whole range stays as it is
            else:
                self.look()
        self.stale = False
        self.at = (float(x), float(y))
        known = np.isfinite([x, y])
        both = bool(known.all())
        self.focus.data = {self.panel.x_name: [x] if both else [], self.panel.y_name: [y] if both else []}
        self.across.data = {self.panel.x_name: [x] if known[0] and not both else []}
        self.up.data = {self.panel.y_name: [y] if known[1] and not both else []}

    def look(self) -> None:
        """Draw what is in sight."""
        self.panel.look(self.axes, None, self.names)

    def theme(self, dark: bool) -> None:
        """Colours for a dark or a light page."""
        self.panel.theme(dark)
        for line in self.cross:
            line.glyph.line_color = (DARK if dark else LIGHT)["focus"]
