"""The explorer's figures as files: the four plots, RMSE against k, the galaxy in focus with its contribution map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.ds9 import caption
from sfnet_core.analysis.interpret import trained_for_text
from sfnet_core.explorer.shared.inspector import picture_equation
from sfnet_core.explorer.shared.saving import PLACES, SaveMenu, bare, panel_facts
from sfnet_core.explorer.shared.state import unpack_rows
from sfnet_core.figures.k_curve import rmse_against_k
from sfnet_core.figures.plot import Drawing, Picture

if TYPE_CHECKING:
    from sfnet_core.explorer.explore.plots import Plots
    from sfnet_core.explorer.shared.context import Context

__all__ = ["Figures"]


class Figures(SaveMenu):
    """The explorer's menu: keys 'plot-0' … 'plot-3', 'gate', 'picture'."""

    def __init__(self, context: Context, plots: Plots):
        self._context, self._plots = context, plots
        self._scene, self._state, self._pictures = context.scene, context.state, context.pictures
        self._label = context.labels.label
        super().__init__(context.notify, context.link)

    def names(self) -> dict[str, str]:
        """The figures that there are now: key and words."""
        out = {}
        for number, place in enumerate(PLACES):
            axes = self._plots.axes(number)
            out[f"plot-{number}"] = f"{place}: {bare(axes.y_label)} against {bare(axes.x_label)}"
        if self._scene.rmse_by_k(self._state):
            out["gate"] = "RMSE against k"
        row = self._state.galaxy
        if row >= 0 and self._pictures.jpeg(row):
            out["picture"] = f"galaxy {self._scene.codes.ids[row]} with its contribution map"
        return out

    def drawn(self, key: str) -> Drawing | Picture:
        """The figure as plain arrays."""
        if key == "gate":
            scene, state = self._scene, self._state
            return rmse_against_k(scene.rmse_by_k(state), state.k, self._unit, self._title(key))
        return self._picture() if key == "picture" else self._plots.drawing(int(key[-1]))

    @property
    def _unit(self) -> str:
        return self._scene.unit(self._state.target)

    def _title(self, key: str) -> str:
        scene, state = self._scene, self._state
        if key == "gate":
            n = scene.numbers(state).n
            return f"RMSE of {scene.target_label(state.target)} against k\nn = {n:,}, {state.where}"
        if key == "picture":
            return f"Galaxy {scene.codes.ids[state.galaxy]}"
        return self._plots.panels[int(key[-1])].figure.title.text

    def caption(self, key: str, link: str = "") -> str:
        """What a figure is of, a fact a line (:func:`sfnet_core.analysis.ds9.caption`)."""
        scene, state = self._scene, self._state
        n, split, more = scene.numbers(state).n, state.split, self._changes(key)
        what = " · ".join(self._title(key).splitlines()[:-1]) or self._title(key)  # the last line is n and split
        if key == "picture":
            n, split = 1, str(scene.codes.split[state.galaxy])
            more = [f"Target: {scene.target_label(state.target)}{f' [{self._unit}]' if self._unit else ''}", *more]
        elif key != "gate":
            number = int(key[-1])
            axes = self._plots.axes(number)
            n, what = axes.n, f"{bare(axes.y_label)} against {bare(axes.x_label)}: {what}"
            more = [*self._layers(number), *more]
        words = caption(
            scene.codes,
            n=n,
            split=split,
            what=what,
            filter="" if key == "picture" else state.filter,
            more=more,
            link=link or self._link(""),
        )
        return words.replace("\u200b", "")  # which keeps formulas from Bokeh

    def _layers(self, number: int) -> list[str]:
        """What is drawn, and of which part of the plane."""
        plots, state = self._plots, self._state
        name = f"galaxy {self._scene.codes.ids[state.galaxy]}" if state.galaxy >= 0 else ""
        args = (plots.panels[number], plots.axes(number), plots.focus_of(number), name)
        first, *more = panel_facts(*args, aggregate=plots.aggregate)
        selected = len(unpack_rows(state.selection))
        feature = self._label(state.feature)
        if "activation" in plots.axes(number).keys and feature not in first:  # an axis has room for a short name only
            more.insert(0, f"Feature: {feature}")
        if plots.sampled:
            drawn, view = len(self._scene.drawn(state)), len(self._scene.view(state))
            more.insert(0, f"Drawn: {drawn:,} of the {view:,} galaxies in view, at random")
        return [first, *([f"Orange: the {selected:,} selected galaxies"] if selected else []), *more]

    def _changes(self, key: str) -> list[str]:
        """What the user changed about the network's own prediction, where the figure shows it."""
        scene, state, out = self._scene, self._state, []
        shows = {"off", "mode"}
        if key.startswith("plot-"):
            keys = self._plots.axes(int(key[-1])).keys
            shows = set().union(*(scene.quantities[name].fields for name in keys))
        if state.off and "off" in shows:
            some = [self._label(f) for f in sorted(state.off)]
            listed = ", ".join(some[:20]) + (f" and {len(some) - 20} more" if len(some) > 20 else "")
            out.append(f"Features off ({state.mode}): {listed}")
        if key == "gate":
            out.append(f"Marked: k = {state.k}; the weights were {trained_for_text(scene.codes)}")
        elif state.k != scene.codes.k:
            out.append(f"Gate at k = {state.k} here; the weights were {trained_for_text(scene.codes)}")
        return out

    def _picture(self) -> Picture:
        scene, state = self._scene, self._state
        row = state.galaxy
        shown = picture_equation(self._context, state.query, row)
        cells = np.array(shown["cells"], dtype=float)
        size = self._pictures.size
        crop = scene.codes.provenance.get("crop")
        share = (crop / size[1], crop / size[0]) if isinstance(crop, int) and crop > 0 else (1.0, 1.0)
        lines = [shown["sum"]]
        if cells.size:
            lines.append(f"Contribution map, {shown['mapnote']}; red adds, blue subtracts")
        cells = cells if cells.ndim == 2 else np.empty((0, 0))
        scale = f"contribution of a cell{f' [{self._unit}]' if self._unit else ''}"
        return Picture(self._title("picture"), self._pictures.jpeg(row), cells, share, lines, scale)
