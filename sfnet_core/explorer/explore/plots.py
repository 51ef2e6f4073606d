"""The linked plots: four figures over the same galaxies, one selection, one focus, one patch per change."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

import numpy as np
from bokeh.events import PanStart, SelectionGeometry, Tap
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource

from sfnet_core.explorer.shared.debounce import Debounced
from sfnet_core.explorer.shared.label_editor import brief, on_plots
from sfnet_core.explorer.shared.linked import LinkedFigures
from sfnet_core.explorer.shared.panel import MOST_POINTS, Axes, Panel, inside
from sfnet_core.explorer.shared.quantities import MINUS
from sfnet_core.explorer.shared.query import Follower, Query
from sfnet_core.explorer.shared.state import pack_rows, unpack_rows

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.context import Context
    from sfnet_core.figures.plot import Drawing

__all__ = ["Plots"]

REMEMBERED = 8  # selections of which is known in which plot they were drawn


class Plots:
    """Builds the figures and keeps them equal to the query; ``widget`` is what the page shows."""

    def __init__(self, context: Context):
        self._scene, self._state, self._labels = context.scene, context.state, context.labels
        self._rows = np.empty(0, dtype=np.int32)
        self._query = self._state.query
        self._axes: list[Axes | None] = [None] * 4
        self._makers = (self._first, self._second, self._third, self._fourth)
        self._follow_axes = [Follower(lambda query, i=i: self._make(i, query)) for i in range(4)]
        self._follow_selection = Follower(self._mark)
        self._follow_focus = Follower(self._draw_focus)
        self._drawing = False
        self._echo: list[int] | None = None
        self.chosen: np.ndarray | None = None  # a mask, the selected over the galaxies in view
        self._drag: tuple[int, dict] = (-1, {})  # the panel of the last drag, and the keys held
        self._origins: dict[bytes, tuple[str, str]] = {}
        self.key = secrets.token_hex(8)  # these figures' own, among all that a JupyterLab may show
        names = [f"{axis}{i}" for i in range(4) for axis in "xy"]
        self.source = ColumnDataSource({name: [] for name in [*names, "id"]})
        self.focus = ColumnDataSource({name: [] for name in names})
        self.panels = [Panel(i, self.source, self.focus, self.key) for i in range(4)]
        grid = gridplot(
            [[p.figure for p in self.panels[:2]], [p.figure for p in self.panels[2:]]],
            sizing_mode="stretch_both",
            toolbar_location="right",
            merge_tools=True,
            toolbar_options={"logo": None},
        )
        self.source.selected.on_change("indices", self._selected)
        self._follow_range = Debounced(self._zoomed)
        for number, panel in enumerate(self.panels):
            fig = panel.figure
            fig.on_event(PanStart, lambda event, number=number: self._dragged(number, event))
            fig.on_event(SelectionGeometry, lambda event, panel=panel: self._lasso(panel, event))
            fig.on_event(Tap, lambda event, panel=panel: self._tap(panel, event))
            panel.on_range(self._range_changed)
        self.widget: LinkedFigures | None = None
        self.draw(self._query)
        self.widget = LinkedFigures(grid)

    @property
    def aggregate(self) -> bool:
        """Whether the galaxies in view are too many to draw each; a panel zoomed in may still show points."""
        return len(self._rows) > MOST_POINTS

    @property
    def sampled(self) -> bool:
        """Whether the galaxies drawn are a random subsample (:data:`~sfnet_core.explorer.shared.scene.MANY`)."""
        return len(self._rows) < len(self._scene.view(self._query))

    def axes(self, number: int) -> Axes:
        """What one of the four panels shows."""
        return self._axes[number]

    def drawing(self, number: int) -> Drawing:
        """One of the four figures, 0 to 3, as it stands: as plain arrays."""
        from sfnet_core.explorer.shared.saving import panel_drawing

        panel, axes, focus = self.panels[number], self._axes[number], self.focus_of(number)
        return panel_drawing(panel, axes, focus, aggregate=self.aggregate, chosen=self.chosen)

    def focus_of(self, number: int) -> list[np.ndarray]:
        """x and y of the galaxy in focus in one of the plots, (1,) each; empty where it is not in view."""
        return [np.asarray(self.focus.data[f"{axis}{number}"], dtype=float) for axis in "xy"]

    # -- from the query to the figures -------------------------------------------------------------------------

    def draw(self, query: Query) -> None:
        """Bring the figures up to the query, in one patch of what is another than before."""
        self._query, self._drawing = query, True
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            try:
                self._draw(query)
            finally:
                self._drawing = False

    def _draw(self, query: Query) -> None:
        before, self._rows = self._rows, self._scene.drawn(query)
        others = before is not self._rows
        changed = [follow(query) for follow in self._follow_axes]
        moved = {i for i, fields in enumerate(changed) if fields - {"labels"}}
        for i, fields in enumerate(changed):
            if i in moved:
                self.panels[i].set_axes(self._axes[i], aggregate=self.aggregate)
            elif fields:  # a feature has another name: the points stay as they are
                self.panels[i].name(self._axes[i])
        self._send_points(moved, others)
        marked = bool(self._follow_selection(query))
        if self.aggregate:
            for number in range(4) if marked else sorted(moved):
                self._look(number)
        elif marked or moved:
            self._select_points()
        if not self._follow_focus(query) and moved:
            self._draw_focus(query)

    def _make(self, number: int, query: Query) -> None:
        self._axes[number] = self._makers[number](query)

    def _send_points(self, moved: set[int], others: bool) -> None:
        """The points of these panels, of all where other galaxies are in view; none where densities are drawn."""
        if self.aggregate:
            if others:
                self.source.data = {name: [] for name in self.source.data}
            return
        new: dict[str, np.ndarray] = {}
        for i in range(4) if others else sorted(moved):
            new |= {self.panels[i].x_name: self._axes[i].x, self.panels[i].y_name: self._axes[i].y}
        if others:
            self.source.data = {**new, "id": self._names(np.arange(len(self._rows)))}
        elif new:
            self.source.data.update(new)

    def _mark(self, query: Query) -> None:
        """Mark the selected ones among the galaxies in view."""
        rows, drawn = unpack_rows(query.selection), self._scene.drawn(query)
        self.chosen = None
        if len(rows):
            mask = np.zeros(self._scene.n, dtype=bool)
            mask[rows] = True
            self.chosen = mask[drawn]

    def _select_points(self) -> None:
        indices = [] if self.chosen is None else np.flatnonzero(self.chosen).tolist()
        if list(self.source.selected.indices) != indices:
            self._echo = indices
            self.source.selected.indices = indices

    def _look(self, number: int) -> None:
        """Draw a panel for what it shows of a large table: the density there, or the points where they are few."""
        self.panels[number].look(self._axes[number], self.chosen, self._names)

    def _names(self, positions: np.ndarray) -> list[str]:
        return [str(name) for name in self._scene.codes.ids[self._rows[positions]]]

    def _range_changed(self) -> None:
        if self.widget is not None and self.aggregate and not self._drawing:
            self._follow_range()

    def _zoomed(self) -> None:
        """After a pan or a zoom of a large table: draw anew the panels whose visible range is another now."""
        if not self.aggregate:
            return
        with self.widget.one_patch():
            for number, panel in enumerate(self.panels):
                if panel.view() != panel.drawn:
                    self._look(number)

    def _draw_focus(self, query: Query) -> None:
        galaxy = query.galaxy
        at = int(np.searchsorted(self._rows, self._rows.dtype.type(galaxy)))
        where = slice(at, at + int(at < len(self._rows) and self._rows[at] == galaxy))
        if self.sampled and galaxy >= 0 and where.start == where.stop:  # in view, and not drawn
            self._focus_alone(query)
            return
        self.focus.data = {
            name: values[where]
            for panel, axes in zip(self.panels, self._axes, strict=True)
            for name, values in ((panel.x_name, axes.x), (panel.y_name, axes.y))
        }

    def _focus_alone(self, query: Query) -> None:
        galaxy, view, data = query.galaxy, self._scene.view(query), {}
        at = int(np.searchsorted(view, view.dtype.type(galaxy)))
        row = np.array([galaxy] if at < len(view) and view[at] == galaxy else [], dtype=np.int64)
        for panel, axes in zip(self.panels, self._axes, strict=True):
            for name, key in zip((panel.x_name, panel.y_name), axes.keys, strict=True):
                data[name] = self._scene.at(key, query, row)
        self.focus.data = data

    def theme(self, dark: bool) -> None:
        """Colours for a dark or a light page, in one patch."""
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            for panel in self.panels:
                panel.theme(dark)

    # -- what each figure shows --------------------------------------------------------------------------------

    def _axis(self, query: Query, key: str) -> str:
        if key == "activation":
            return f"activation of {brief(self._name(query), 17)}"
        return self._scene.named(query)[key].axis

    def _name(self, query: Query) -> str:
        return on_plots(self._labels.names(query)[query.feature])

    def _title(self, query: Query, what: str, n: int) -> str:
        drawn, n_view = len(self._scene.drawn(query)), len(self._scene.view(query))
        if drawn < n_view:
            return f"{what}\n{drawn:,} drawn at random of n = {n_view:,}, {query.where}"
        return f"{what}\nn = {n:,}, {query.where}"

    def _first(self, query: Query) -> Axes:
        key = "truth" if "truth" in self._scene.quantities else "prediction"
        keys = ("activation", key)
        x, y = (self._scene.drawn_values(key, query) for key in keys)
        known = np.isfinite(x) & np.isfinite(y)
        n = int(known.sum())
        varies = n > 2 and np.ptp(x[known]) > 0 and np.ptp(y[known]) > 0
        name, title = self._name(query), self._title(query, "", n).lstrip("\n")
        rho = f"ρ = {np.corrcoef(x[known], y[known])[0, 1]:+.2f}".replace("-", MINUS) if varies else ""
        if "·" in name:  # a label takes the line for itself; two lines always, as Bokeh makes no room for a third later
            title = f"{name}\n{rho} · {title}" if rho else f"{name}\n{title}"
        else:
            title = f"{name} · Pearson {rho}\n{title}" if rho else f"{name}\n{title}"
        return Axes(x, y, *(self._axis(query, key) for key in keys), title, keys=keys, n=n)

    def _second(self, query: Query) -> Axes:
        scene, true = self._scene, "truth" in self._scene.quantities
        keys = ("truth" if true else "margin", "prediction")
        x, y = (scene.drawn_values(key, query) for key in keys)
        labels = [self._axis(query, key) for key in keys]
        if not true:
            return Axes(x, y, *labels, self._title(query, "prediction", len(x)), keys=keys, n=len(x))
        numbers, words = scene.numbers(query), "predicted against true"
        if numbers.n:
            words = f"RMSE {numbers.rmse:.4f} {scene.unit(query.target)}".rstrip()
        title, span = self._title(query, words, numbers.n), (x, scene.drawn_all_on(query))
        return Axes(x, y, *labels, title, "identity", span, keys, numbers.n)

    def _third(self, query: Query) -> Axes:
        return self._chosen(query, query.third)

    def _fourth(self, query: Query) -> Axes:
        return self._chosen(query, query.fourth)

    def _chosen(self, query: Query, key: str) -> Axes:
        plot = self._scene.plots[key]
        keys = (plot.x, plot.y)
        x, y = (self._scene.drawn_values(key, query) for key in keys)
        n = int((np.isfinite(x) & np.isfinite(y)).sum())
        kind = plot.kind or ("residual" if plot.y == "residual" else "")
        labels = [self._axis(query, key) for key in keys]
        return Axes(x, y, *labels, self._title(query, plot.label, n), kind, keys=keys, n=n)

    # -- from the figures to the state -------------------------------------------------------------------------

    def _dragged(self, number: int, event: PanStart) -> None:
        self._drag = number, event.modifiers if isinstance(event.modifiers, dict) else {}

    def _selected(self, _attr: str, _old: list, new: list) -> None:
        if self.aggregate or new == self._echo:
            self._echo = None
            return
        indices = np.asarray(new, dtype=np.int64)
        indices = indices[(indices >= 0) & (indices < len(self._rows))]
        self._select(self._rows[indices], self._drag[0])

    def _lasso(self, panel: Panel, event: SelectionGeometry) -> None:
        if not self.aggregate or not event.final:
            return  # points of the shared source are selected by Bokeh itself
        number = self.panels.index(panel)
        axes = self._axes[number]
        if self.sampled:  # all galaxies inside are selected, drawn or not
            view, (x, y) = self._scene.view(self._query), axes.keys
            values = (self._scene.values(key, self._query)[view] for key in (x, y))
            rows = view[inside(*values, event.geometry)]
        else:
            rows = self._rows[inside(axes.x, axes.y, event.geometry)]
        of, keys = self._drag
        before = unpack_rows(self._state.selection)
        if of == number and keys.get("shift") is True:  # as Bokeh does with points
            rows = np.setdiff1d(before, rows) if keys.get("ctrl") is True else np.union1d(before, rows)
        elif of == number and keys.get("ctrl") is True:
            rows = np.intersect1d(before, rows)
        self._select(rows, number)

    def _select(self, rows: np.ndarray, number: int) -> None:
        packed = pack_rows(rows)
        if number >= 0 and packed:
            self._origins[packed] = self._axes[number].keys
            for old in list(self._origins)[:-REMEMBERED]:
                del self._origins[old]
        self._state.change(selection=packed, page=0)

    def origin(self, selection: bytes) -> tuple[str, str] | None:
        """The quantities on x and y of the plot that a selection was drawn in, where it was drawn on this page."""
        return self._origins.get(selection)

    def _tap(self, panel: Panel, event: Tap) -> None:
        position = panel.nearest(self._axes[self.panels.index(panel)], float(event.x), float(event.y))
        if position >= 0:
            self._state.change(galaxy=int(self._rows[position]))
