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
from sfnet_core.explorer.shared.label_editor import brief
from sfnet_core.explorer.shared.linked import LinkedFigures
from sfnet_core.explorer.shared.panel import MOST_POINTS, Axes, Panel, inside
from sfnet_core.explorer.shared.state import State, pack_rows, unpack_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.figures.svg import Drawing

__all__ = ["Plots"]

MINUS = "\N{MINUS SIGN}"
REMEMBERED = 8  # selections of which is known in which plot they were drawn


class Plots:
    """Builds the figures and keeps them equal to the state; ``widget`` is what the page shows."""

    observes = frozenset(
        {"off", "mode", "split", "target", "feature", "k", "selection", "galaxy", "third", "fourth", "filter", "labels"}
    )

    def __init__(self, scene: Scene, state: State, label: Callable[[int], str]):
        self._scene, self._state, self._label = scene, state, label
        self._rows = np.empty(0, dtype=np.int32)
        self._axes: list[Axes | None] = [None] * 4
        self._stale: set[int] = set()  # panels whose density is to be drawn anew
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
        self._follow = Debounced(self._zoomed)
        for number, panel in enumerate(self.panels):
            fig = panel.figure
            fig.on_event(PanStart, lambda event, number=number: self._dragged(number, event))
            fig.on_event(SelectionGeometry, lambda event, panel=panel: self._lasso(panel, event))
            fig.on_event(Tap, lambda event, panel=panel: self._tap(panel, event))
            panel.on_range(self._range_changed)
        self.widget: LinkedFigures | None = None
        self.draw()
        self.widget = LinkedFigures(grid)

    @property
    def aggregate(self) -> bool:
        """Whether the galaxies in view are too many to draw each; a panel zoomed in may still show points."""
        return len(self._rows) > MOST_POINTS

    @property
    def sampled(self) -> bool:
        """Whether the galaxies drawn are a random subsample (:mod:`~sfnet_core.explorer.shared.plot_subsample`)."""
        return len(self._rows) < len(self._scene.view(self._state))

    def axes(self, number: int) -> Axes:
        """What one of the four panels shows."""
        return self._axes[number]

    def svg(self, number: int, caption: str = "") -> str:
        """One of the four figures, 0 to 3, as it stands: the text of an SVG file, ``caption`` below the figure."""
        from sfnet_core.figures.svg import drawing_svg

        return drawing_svg(self.drawing(number, caption))

    def drawing(self, number: int, caption: str = "") -> Drawing:
        """The same as plain arrays."""
        from sfnet_core.explorer.shared.saving import panel_drawing

        panel, axes, focus = self.panels[number], self._axes[number], self.focus_of(number)
        return panel_drawing(panel, axes, focus, aggregate=self.aggregate, chosen=self.chosen, caption=caption)

    def focus_of(self, number: int) -> list[np.ndarray]:
        """x and y of the galaxy in focus in one of the plots, (1,) each; empty where it is not in view."""
        return [np.asarray(self.focus.data[f"{axis}{number}"], dtype=float) for axis in "xy"]

    # -- from the state to the figures -------------------------------------------------------------------------

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Bring the figures up to the state in one patch; ``changed`` names what changed (all by default)."""
        everything = changed is None or bool(changed & {"split", "target", "k", "filter"})
        self._drawing = True
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            try:
                self._draw(everything, changed or frozenset())
            finally:
                self._drawing = False

    def _draw(self, everything: bool, changed: frozenset[str]) -> None:
        if everything:
            self._rows = self._scene.drawn(self._state)
        moved = everything or bool(changed & {"off", "mode", "feature", "third", "fourth"})
        if moved:
            self._draw_points(everything, changed)
        elif "labels" in changed:
            self._rename()
        if everything or "selection" in changed:
            self._stale, self.chosen = {0, 1, 2, 3}, self._mark()
        if self._stale:
            self._draw_selection()
        if moved or "galaxy" in changed:
            self._draw_focus()

    def _depends(self, number: int) -> frozenset[str]:
        """The choices that change a panel."""
        if number == 0:
            return (
                frozenset({"feature"})
                | self._scene.quantities.get("truth", self._scene.quantities["prediction"]).depends
            )
        if number == 1:
            return frozenset({"off", "mode"})
        name = ("third", "fourth")[number - 2]
        plot = self._scene.plots[getattr(self._state, name)]
        return frozenset({name}) | self._scene.quantities[plot.x].depends | self._scene.quantities[plot.y].depends

    def _makers(self) -> list[Callable[[], Axes]]:
        chosen = (self._state.third, self._state.fourth)
        return [self._first, self._second, *(lambda key=key: self._chosen(key) for key in chosen)]

    def _rename(self) -> None:
        """Bring the names up to the feature's label; the points stay as they are."""
        for number, make in enumerate(self._makers()):
            if "activation" in self._axes[number].keys:
                self._axes[number] = make()
                self.panels[number].name(self._axes[number])

    def _draw_points(self, everything: bool, changed: frozenset[str]) -> None:
        before = self._axes
        stale = [everything or bool(changed & self._depends(i)) for i in range(4)]
        makers = zip(self._makers(), stale, before, strict=True)
        self._axes = [make() if old is None or redo else old for make, redo, old in makers]
        new: dict[str, np.ndarray] = {}
        for panel, axes, redo in zip(self.panels, self._axes, stale, strict=True):
            if redo:
                panel.set_axes(axes, aggregate=self.aggregate)
                new |= {panel.x_name: axes.x, panel.y_name: axes.y}
        self._stale |= {i for i, redo in enumerate(stale) if redo}
        if self.aggregate:
            if everything:
                self.source.data = {name: [] for name in self.source.data}
            return
        if everything:
            self.source.data = {**new, "id": [str(name) for name in self._scene.codes.ids[self._rows]]}
        elif new:
            self.source.data.update(new)

    def _draw_selection(self) -> None:
        if self.aggregate:
            for number in sorted(self._stale):
                self._look(number)
            self._stale = set()
            return
        self._stale = set()
        indices = [] if self.chosen is None else np.flatnonzero(self.chosen).tolist()
        if list(self.source.selected.indices) != indices:
            self._echo = indices
            self.source.selected.indices = indices

    def _mark(self) -> np.ndarray | None:
        """A mask of the selected ones among the galaxies in view; ``None`` where nothing is selected."""
        rows = unpack_rows(self._state.selection)
        if not len(rows):
            return None
        mask = np.zeros(self._scene.n, dtype=bool)
        mask[rows] = True
        return mask[self._rows]

    def _look(self, number: int) -> None:
        """Draw a panel for what it shows of a large table: the density there, or the points where they are few."""
        self.panels[number].look(self._axes[number], self.chosen, self._names)

    def _names(self, positions: np.ndarray) -> list[str]:
        return [str(name) for name in self._scene.codes.ids[self._rows[positions]]]

    def _range_changed(self) -> None:
        if self.widget is not None and self.aggregate and not self._drawing:
            self._follow()

    def _zoomed(self) -> None:
        """After a pan or a zoom of a large table: draw anew the panels whose visible range is another now."""
        if not self.aggregate:
            return
        with self.widget.one_patch():
            for number, panel in enumerate(self.panels):
                if panel.view() != panel.drawn:
                    self._look(number)

    def _draw_focus(self) -> None:
        galaxy = self._state.galaxy
        at = int(np.searchsorted(self._rows, self._rows.dtype.type(galaxy)))
        where = slice(at, at + int(at < len(self._rows) and self._rows[at] == galaxy))
        if self.sampled and galaxy >= 0 and where.start == where.stop:  # in view, and not drawn
            self._focus_alone(galaxy)
            return
        self.focus.data = {
            name: values[where]
            for panel, axes in zip(self.panels, self._axes, strict=True)
            for name, values in ((panel.x_name, axes.x), (panel.y_name, axes.y))
        }

    def _focus_alone(self, galaxy: int) -> None:
        view, data = self._scene.view(self._state), {}
        at = int(np.searchsorted(view, view.dtype.type(galaxy)))
        row = np.array([galaxy] if at < len(view) and view[at] == galaxy else [], dtype=np.int64)
        for panel, axes in zip(self.panels, self._axes, strict=True):
            for name, key in zip((panel.x_name, panel.y_name), axes.keys, strict=True):
                data[name] = self._scene.at(key, self._state, row)
        self.focus.data = data

    def theme(self, dark: bool) -> None:
        """Colours for a dark or a light page, in one patch."""
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            for panel in self.panels:
                panel.theme(dark)

    # -- what each figure shows --------------------------------------------------------------------------------

    def _in_view(self, values: np.ndarray) -> np.ndarray:
        return values if len(self._rows) == len(values) else values[self._rows]  # all of them: no copy

    def _values(self, key: str) -> np.ndarray:
        if self.sampled:
            return self._scene.at(key, self._state, self._rows)
        return self._in_view(self._scene.values(key, self._state))

    def _axis(self, key: str) -> str:
        if key == "activation":
            return f"activation of {brief(self._label(self._state.feature), 17)}"
        return self._scene.quantities[key].axis

    def _title(self, what: str, n: int) -> str:
        if self.sampled:
            n = len(self._scene.view(self._state))
            return f"{what}\n{len(self._rows):,} drawn at random of n = {n:,}, {self._state.where}"
        return f"{what}\nn = {n:,}, {self._state.where}"

    def _first(self) -> Axes:
        key = "truth" if "truth" in self._scene.quantities else "prediction"
        x, y = self._values("activation"), self._values(key)
        known = np.isfinite(x) & np.isfinite(y)
        n = int(known.sum())
        varies = n > 2 and np.ptp(x[known]) > 0 and np.ptp(y[known]) > 0
        name, title = self._label(self._state.feature), self._title("", n).lstrip("\n")
        rho = f"ρ = {np.corrcoef(x[known], y[known])[0, 1]:+.2f}".replace("-", MINUS) if varies else ""
        if "·" in name:  # a label takes the line for itself; two lines always, as Bokeh makes no room for a third later
            title = f"{name}\n{rho} · {title}" if rho else f"{name}\n{title}"
        else:
            title = f"{name} · Pearson {rho}\n{title}" if rho else f"{name}\n{title}"
        return Axes(x, y, self._axis("activation"), self._axis(key), title, keys=("activation", key), n=n)

    def _second(self) -> Axes:
        scene, state = self._scene, self._state
        y = self._values("prediction")
        if "truth" not in scene.quantities:
            x, keys = self._values("margin"), ("margin", "prediction")
            return Axes(x, y, *map(self._axis, keys), self._title("prediction", len(x)), keys=keys, n=len(x))
        x, numbers, keys = self._values("truth"), scene.numbers(state), ("truth", "prediction")
        all_on = scene.prediction_at(state, self._rows, all_on=True)
        words = "predicted against true"
        if numbers.n:
            words = f"RMSE {numbers.rmse:.4f} {scene.unit(state.target)}".rstrip()
        title = self._title(words, numbers.n)
        return Axes(x, y, *map(self._axis, keys), title, "identity", (x, all_on), keys, numbers.n)

    def _chosen(self, key: str) -> Axes:
        plot = self._scene.plots[key]
        x, y = self._values(plot.x), self._values(plot.y)
        n = int((np.isfinite(x) & np.isfinite(y)).sum())
        kind = plot.kind or ("residual" if plot.y == "residual" else "")
        keys = (plot.x, plot.y)
        return Axes(x, y, *map(self._axis, keys), self._title(plot.label, n), kind, keys=keys, n=n)

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
            view, (x, y) = self._scene.view(self._state), axes.keys
            values = (self._scene.values(key, self._state)[view] for key in (x, y))
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
