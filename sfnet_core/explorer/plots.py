"""The linked plots: four figures over the same galaxies, one selection, one focus, one patch per change."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
from bokeh.events import SelectionGeometry, Tap
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource

from sfnet_core.explorer.linked import LinkedFigures
from sfnet_core.explorer.panel import MOST_POINTS, Axes, Panel, inside
from sfnet_core.explorer.state import State, pack_rows, unpack_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfnet_core.explorer.scene import Scene

__all__ = ["Plots"]

MINUS = "\N{MINUS SIGN}"


class Plots:
    """Builds the figures and keeps them equal to the state; ``widget`` is what the page shows."""

    observes = frozenset(
        {"off", "mode", "split", "target", "feature", "k", "selection", "galaxy", "third", "fourth", "filter"}
    )

    def __init__(self, scene: Scene, state: State, label: Callable[[int], str]):
        self._scene, self._state, self._label = scene, state, label
        self._rows = np.empty(0, dtype=np.int32)
        self._axes: list[Axes | None] = [None] * 4
        self._stale: set[int] = set()  # panels whose density is to be drawn anew
        self._echo: list[int] | None = None
        names = [f"{axis}{i}" for i in range(4) for axis in "xy"]
        self.source = ColumnDataSource({name: [] for name in [*names, "id"]})
        self.focus = ColumnDataSource({name: [] for name in names})
        self.panels = [Panel(i, self.source, self.focus) for i in range(4)]
        grid = gridplot(
            [[p.figure for p in self.panels[:2]], [p.figure for p in self.panels[2:]]],
            sizing_mode="stretch_both",
            toolbar_location="right",
            merge_tools=True,
            toolbar_options={"logo": None},
        )
        self.source.selected.on_change("indices", self._selected)
        for panel in self.panels:
            panel.figure.on_event(SelectionGeometry, lambda event, panel=panel: self._lasso(panel, event))
            panel.figure.on_event(Tap, lambda event, panel=panel: self._tap(panel, event))
        self.widget: LinkedFigures | None = None
        self.draw()
        self.widget = LinkedFigures(grid)

    @property
    def aggregate(self) -> bool:
        """Whether the galaxies in view are drawn as densities."""
        return len(self._rows) > MOST_POINTS

    # -- from the state to the figures -------------------------------------------------------------------------

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Bring the figures up to the state in one patch; ``changed`` names what changed (all by default)."""
        everything = changed is None or bool(changed & {"split", "target", "k", "filter"})
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            if everything:
                self._rows = self._scene.view(self._state)
            moved = everything or bool(changed & {"off", "mode", "feature", "third", "fourth"})
            if moved:
                self._draw_points(everything, changed or frozenset())
            if everything or "selection" in changed:
                self._stale = {0, 1, 2, 3}
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

    def _draw_points(self, everything: bool, changed: frozenset[str]) -> None:
        before = self._axes
        makers = (
            self._first,
            self._second,
            *(lambda key=key: self._chosen(key) for key in (self._state.third, self._state.fourth)),
        )
        stale = [everything or bool(changed & self._depends(i)) for i in range(4)]
        self._axes = [
            make() if old is None or redo else old for make, redo, old in zip(makers, stale, before, strict=True)
        ]
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
        rows = unpack_rows(self._state.selection)
        chosen = np.isin(self._rows, rows) if len(rows) else None
        if self.aggregate:
            for number in self._stale:
                self.panels[number].set_density(self._axes[number], chosen)
            self._stale = set()
            return
        self._stale = set()
        indices = [] if chosen is None else np.flatnonzero(chosen).tolist()
        if list(self.source.selected.indices) != indices:
            self._echo = indices
            self.source.selected.indices = indices

    def _draw_focus(self) -> None:
        where = np.flatnonzero(self._rows == self._state.galaxy)
        self.focus.data = {
            name: values[where]
            for panel, axes in zip(self.panels, self._axes, strict=True)
            for name, values in ((panel.x_name, axes.x), (panel.y_name, axes.y))
        }

    def theme(self, dark: bool) -> None:
        """Colours for a dark or a light page, in one patch."""
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            for panel in self.panels:
                panel.theme(dark)

    # -- what each figure shows --------------------------------------------------------------------------------

    def _values(self, key: str) -> np.ndarray:
        return self._scene.values(key, self._state)[self._rows]

    def _axis(self, key: str) -> str:
        if key == "activation":
            return f"activation of {self._label(self._state.feature)}"
        return self._scene.quantities[key].axis

    def _title(self, what: str, n: int) -> str:
        return f"{what}\nn = {n:,}, {self._state.split or 'all splits'}"

    def _first(self) -> Axes:
        key = "truth" if "truth" in self._scene.quantities else "prediction"
        x, y = self._values("activation"), self._values(key)
        known = np.isfinite(x) & np.isfinite(y)
        n = int(known.sum())
        varies = n > 2 and np.ptp(x[known]) > 0 and np.ptp(y[known]) > 0
        rho = f" · Pearson ρ = {np.corrcoef(x[known], y[known])[0, 1]:+.2f}".replace("-", MINUS) if varies else ""
        title = self._title(f"{self._label(self._state.feature)}{rho}", n)
        return Axes(x, y, self._axis("activation"), self._axis(key), title)

    def _second(self) -> Axes:
        scene, state = self._scene, self._state
        y = self._values("prediction")
        if "truth" not in scene.quantities:
            x = self._values("margin")
            return Axes(x, y, self._axis("margin"), self._axis("prediction"), self._title("prediction", len(x)))
        x, numbers = self._values("truth"), scene.numbers(state)
        all_on = scene.prediction(state, all_on=True)[self._rows]
        title = self._title(f"RMSE {numbers.rmse:.4f} {scene.unit(state.target)}".rstrip(), numbers.n)
        return Axes(x, y, self._axis("truth"), self._axis("prediction"), title, "identity", (x, all_on))

    def _chosen(self, key: str) -> Axes:
        plot = self._scene.plots[key]
        x, y = self._values(plot.x), self._values(plot.y)
        n = int((np.isfinite(x) & np.isfinite(y)).sum())
        kind = "bpt" if key == "bpt" else "residual" if plot.y == "residual" else ""
        return Axes(x, y, self._axis(plot.x), self._axis(plot.y), self._title(plot.label, n), kind)

    # -- from the figures to the state -------------------------------------------------------------------------

    def _selected(self, _attr: str, _old: list, new: list) -> None:
        if self.aggregate or new == self._echo:
            self._echo = None
            return
        indices = np.asarray(new, dtype=np.int64)
        indices = indices[(indices >= 0) & (indices < len(self._rows))]
        self._state.change(selection=pack_rows(self._rows[indices]), page=0)

    def _lasso(self, panel: Panel, event: SelectionGeometry) -> None:
        if not self.aggregate or not event.final:
            return  # points are selected by Bokeh itself
        axes = self._axes[self.panels.index(panel)]
        self._state.change(selection=pack_rows(self._rows[inside(axes.x, axes.y, event.geometry)]), page=0)

    def _tap(self, panel: Panel, event: Tap) -> None:
        position = panel.nearest(self._axes[self.panels.index(panel)], float(event.x), float(event.y))
        if position >= 0:
            self._state.change(galaxy=int(self._rows[position]))
