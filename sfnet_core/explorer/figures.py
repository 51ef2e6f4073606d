"""What leaves the page as a file: every figure as it stands, with a caption that says what it is of."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from sfnet_core.errors import SFNetError
from sfnet_core.explorer import panel as look
from sfnet_core.explorer.geometry import histogram, within
from sfnet_core.explorer.paper import Cells, Curve, Dots, Drawing, Picture, drawing_svg, picture_svg
from sfnet_core.explorer.state import unpack_rows
from sfnet_core.explorer.view import View, front_end, text
from sfnet_core.regions import caption

if TYPE_CHECKING:
    from sfnet_core.explorer.inspector import Inspector
    from sfnet_core.explorer.pictures import Pictures
    from sfnet_core.explorer.plots import Plots
    from sfnet_core.explorer.scene import Scene
    from sfnet_core.explorer.state import State

__all__ = ["FORMATS", "Figures", "gate_drawing", "panel_drawing", "permalink"]

PLACES = ("upper left", "upper right", "lower left", "lower right")
FORMATS = ("png", "svg", "txt")
ACCENT = "#0b6e8f"
LONGEST_LINK = 20_000


def panel_drawing(plots: Plots, number: int, caption: str = "") -> Drawing:
    """One of the four plots as it stands on the page: its visible range, points or density, selection and focus."""
    panel, axes, chosen = plots.panels[number], plots.axes(number), plots.chosen
    ranges = panel.view()
    layers: list = _curves(axes, ranges)
    if plots.aggregate and panel.positions is None:
        layers = [Cells(histogram(axes.x, axes.y, ranges), ranges, look.DENSITY[False], "galaxies per cell"), *layers]
        if chosen is not None:
            some = np.flatnonzero(chosen)
            some = some[within(axes.x[some], axes.y[some], ranges)]
            if len(some) > look.MOST_MARKED:
                counts = histogram(axes.x[some], axes.y[some], ranges)
                layers.insert(1, Cells(counts, ranges, look.CHOSEN_DENSITY, "selected galaxies per cell"))
            else:
                layers.insert(1, Dots(axes.x[some], axes.y[some], look.CHOSEN, 0.9, name="selected galaxies"))
    else:
        here = within(axes.x, axes.y, ranges)
        mask = np.zeros(len(here), dtype=bool) if chosen is None else chosen[here]
        rest, some = here[~mask], here[mask]
        faint = 0.12 if chosen is not None and mask.any() else 0.45
        layers = [
            Dots(axes.x[rest], axes.y[rest], look.POINT, faint, name="galaxies"),
            Dots(axes.x[some], axes.y[some], look.CHOSEN, 0.9, name="selected galaxies"),
            *layers,
        ]
    layers.append(Dots(*focus_of(plots, number), look.FOCUS, size=14, hollow=True, name="galaxy in focus"))
    return Drawing(panel.figure.title.text, axes.x_label, axes.y_label, ranges, layers, caption)


def focus_of(plots: Plots, number: int) -> list[np.ndarray]:
    """x and y of the galaxy in focus in one of the plots, (1,) each; empty where it is not in view."""
    return [np.asarray(plots.focus.data[f"{axis}{number}"], dtype=float) for axis in "xy"]


def _curves(axes: look.Axes, ranges: tuple) -> list[Curve]:
    """The guide lines of a plot's kind."""
    (x0, x1), (y0, y1) = ranges
    if axes.kind == "identity":
        ends = np.array([min(x0, y0), max(x1, y1)])
        return [Curve(ends, ends, "4 3", opacity=0.6, name="predicted = true")]
    if axes.kind == "residual":
        return [Curve(np.array([x0, x1]), np.zeros(2), "4 3", opacity=0.6, name="no residual")]
    if axes.kind == "bpt":
        return [Curve(x, y, dash, name=name) for name, dash, x, y in look.bpt_curves()]
    return []


def gate_drawing(rmse: list[float], k: int, unit: str, title: str, caption: str = "") -> Drawing:
    """RMSE against k, the k in use marked."""
    x, y = np.arange(1.0, len(rmse) + 1), np.array(rmse)
    low, high = look.padded_range([y], 0.08)
    layers = [
        Curve(x, y, colour="#9aa7b3", opacity=1, width=1.6),
        Dots(x, y, "#566575", size=6, name="RMSE"),
        Dots(x[k - 1 : k], y[k - 1 : k], ACCENT, size=10, name=f"k = {k}"),
    ]
    step = -(-len(rmse) // 16)
    marks = [(float(i), str(i)) for i in range(1, len(rmse) + 1, step)]
    label = f"RMSE [{unit}]" if unit else "RMSE"
    return Drawing(
        title, "k, features the gate keeps", label, ((0.5, len(rmse) + 0.5), (low, high)), layers, caption, marks
    )


class Figures(View):
    """The menu “save figure”: which figure, in which format; files are made here and saved by the browser."""

    _esm = front_end("save", "figures")
    observes = frozenset({"third", "fourth", "feature", "galaxy", "target", "split", "filter", "map"})

    def __init__(
        self,
        scene: Scene,
        state: State,
        pictures: Pictures,
        notify: Callable[[str], None],
        label: Callable[[int], str],
        plots: Plots,
        inspector: Inspector,
        link: Callable[[str], str],
    ):
        self._scene, self._state, self._pictures, self._label = scene, state, pictures, label
        self._plots, self._inspector, self._link = plots, inspector, link
        super().__init__(notify, {"save": self._save})

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send the menu."""
        self.data = {"figures": [[key, words] for key, words in self.names().items()]}

    def names(self) -> dict[str, str]:
        """The figures that there are now: key and words."""
        out = {}
        for number, place in enumerate(PLACES):
            axes = self._plots.axes(number)
            out[f"plot-{number}"] = f"{place}: {_bare(axes.y_label)} against {_bare(axes.x_label)}"
        if self._scene.rmse_by_k(self._state):
            out["gate"] = "RMSE against k"
        row = self._state.galaxy
        if row >= 0 and self._pictures.jpeg(row):
            out["picture"] = f"galaxy {self._scene.codes.ids[row]} with its contribution map"
        return out

    # -- one figure --------------------------------------------------------------------------------------------

    def svg(self, key: str | int, link: str = "") -> str:
        """The figure ``key`` ('plot-0' … 'plot-3' or 0 … 3, 'gate', 'picture') as the text of an SVG file."""
        key = self._known(key)
        words = self.caption(key, link)
        if key == "gate":
            scene, state = self._scene, self._state
            return drawing_svg(gate_drawing(scene.rmse_by_k(state), state.k, self._unit, self._title(key), words))
        if key == "picture":
            return picture_svg(self._picture(words))
        return drawing_svg(panel_drawing(self._plots, int(key[-1]), words))

    def save(self, path: str | os.PathLike, key: str | int = 0) -> Path:
        """Write a figure as SVG, or its caption as text, by the name's ending; whole or not at all."""
        from sfnet_core.files import write_text

        path = Path(path)
        if path.suffix.lower() not in (".svg", ".txt"):
            raise SFNetError(
                f"A figure is not saved as {path.name!r} from Python; choose .svg, or .txt for its caption (the page's "
                "menu saves PNG too)."
            )
        write_text(path, self.svg(key) if path.suffix.lower() == ".svg" else self.caption(self._known(key)) + "\n")
        return path

    def _known(self, key: str | int) -> str:
        key = f"plot-{key}" if isinstance(key, int) else key
        known = self.names()
        if key not in known:
            raise SFNetError(f"There is no figure {str(key)[:40]!r} here now; choose {', '.join(known)}.")
        return key

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
        """What a figure is of, a fact a line (:func:`sfnet_core.regions.caption`)."""
        scene, state = self._scene, self._state
        n, split, more = scene.numbers(state).n, state.split, self._changes(key)
        what = " · ".join(self._title(key).splitlines()[:-1]) or self._title(key)  # the last line is n and split
        if key == "picture":
            n, split = 1, str(scene.codes.split[state.galaxy])
            more = [f"Target: {scene.target_label(state.target)}{f' [{self._unit}]' if self._unit else ''}", *more]
        elif key != "gate":
            number = int(key[-1])
            axes = self._plots.axes(number)
            n, what = axes.n, f"{_bare(axes.y_label)} against {_bare(axes.x_label)}: {what}"
            more = [f"x: {axes.x_label}; y: {axes.y_label}", *self._layers(number), *more]
        words = caption(
            scene.own,
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
        plots, out = self._plots, []
        panel, axes = plots.panels[number], plots.axes(number)
        if plots.aggregate and panel.positions is None:
            out.append("Grey: galaxies per cell, logarithmic scale")
        if selected := len(unpack_rows(self._state.selection)):
            out.append(f"Orange: the {selected:,} selected galaxies")
        (x0, x1), (y0, y1) = view = panel.view()
        if len(within(*focus_of(plots, number), view)):
            out.append(f"Ring: galaxy {self._scene.codes.ids[self._state.galaxy]}")
        if axes.kind == "bpt":
            out.append("Solid line: Kauffmann et al. 2003; dashed: Kewley et al. 2001")
        if view != panel.ranges:
            out.append(f"Shown: x from {x0:.6g} to {x1:.6g}, y from {y0:.6g} to {y1:.6g}")
        return out

    def _changes(self, key: str) -> list[str]:
        """What the user changed about the network's own prediction, where the figure shows it."""
        scene, state, out = self._scene, self._state, []
        shows = {"off", "mode"}
        if key.startswith("plot-"):
            keys = self._plots.axes(int(key[-1])).keys
            shows = set().union(*(scene.quantities[name].depends for name in keys))
        if state.off and "off" in shows:
            some = [self._label(f) for f in sorted(state.off)]
            listed = ", ".join(some[:20]) + (f" and {len(some) - 20} more" if len(some) > 20 else "")
            out.append(f"Features off ({state.mode}): {listed}")
        if key == "gate":
            out.append(f"Marked: k = {state.k}; the weights were trained at k = {scene.own.k}")
        elif state.k != scene.own.k:
            out.append(f"Gate at k = {state.k} here; the weights were trained at k = {scene.own.k}")
        return out

    def _picture(self, words: str) -> Picture:
        scene, state = self._scene, self._state
        row = state.galaxy
        shown = self._inspector.picture(row)
        cells = np.array(shown["cells"], dtype=float)
        size = self._pictures.size
        crop = scene.codes.provenance.get("crop")
        share = (crop / size[1], crop / size[0]) if isinstance(crop, int) and crop > 0 else (1.0, 1.0)
        lines = [shown["sum"]]
        if cells.size:
            peak = f"{float(np.abs(cells).max()):.4f} {self._unit}".rstrip()
            lines.append(
                f"Contribution map, {shown['mapnote']}; red adds, blue takes away, full colour {peak} per cell"
            )
        cells = cells if cells.ndim == 2 else np.empty((0, 0))
        return Picture(self._title("picture"), self._pictures.jpeg(row), size, cells, share, lines, words)

    # -- to the browser ----------------------------------------------------------------------------------------

    def _save(self, message: dict) -> None:
        key, kind, place = text(message, "figure"), text(message, "format"), text(message, "link", LONGEST_LINK)
        if kind not in FORMATS:
            raise ValueError("figures are saved as PNG, SVG or the caption as text")
        link = self._link(place)
        svg = self.svg(key, link)
        name = re.sub("[^a-z0-9]+", "-", self.names()[key].split(": ")[-1].lower()).strip("-")[:80]
        self.send({"file": f"sfnet-{name}", "format": kind, "caption": self.caption(key, link)}, [svg.encode()])


def permalink(place: str, query: str) -> str:
    """The page's address ``place`` with its permalink's query; nothing else of the address comes along, as a token.

    Without an address (a script, JupyterLab) the query alone; '' where the page is as it opened.
    """
    parts = urlsplit(place)
    query = f"?{query}" if query else ""
    if parts.scheme not in ("http", "https"):
        return query
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def _bare(label: str) -> str:
    """An axis's label without its unit."""
    return re.sub(r" \[[^\]]*\]$", "", label.replace("\u200b", ""))
