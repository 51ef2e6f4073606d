"""Figures as files: the menu “save figure” of a page, a panel's drawing as it stands, the address in a caption."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from sfnet_core.explorer.shared import panel as look
from sfnet_core.explorer.shared.geometry import histogram, within
from sfnet_core.explorer.shared.view import View, front_end, text
from sfnet_core.figures.plot import FORMATS, Cells, Curve, Dots, Drawing, Picture, render, save_figure
from sfnet_core.utils.errors import SFNetError

__all__ = ["PLACES", "SaveMenu", "bare", "panel_drawing", "panel_facts", "permalink"]

PLACES = ("upper left", "upper right", "lower left", "lower right")
LONGEST_LINK = 20_000


class SaveMenu(View):
    """The menu “save figure”: which figure, in which format; files are made here and saved by the browser.

    A page's menu says what its figures are (:meth:`names`), what each is of (:meth:`caption`) and how it is drawn
    (:meth:`drawn`).
    """

    _esm = front_end("shared/save", "shared/saving")

    def __init__(self, notify: Callable[[str], None], link: Callable[[str], str]):
        """``link`` gives the page's permalink for the address in the browser."""
        self._link = link
        super().__init__(notify, {"save": self._save})

    def names(self) -> dict[str, str]:
        """The figures that there are now: key and words."""
        raise NotImplementedError

    def caption(self, key: str, link: str = "") -> str:
        """What a figure is of, a fact a line."""
        raise NotImplementedError

    def drawn(self, key: str) -> Drawing | Picture:
        """The figure as plain arrays."""
        raise NotImplementedError

    def draw(self) -> None:
        """Send the menu; it names what the figures show now."""
        self.data = {"figures": [[key, words] for key, words in self.names().items()]}

    def figure(self, key: str | int) -> Drawing | Picture:
        """A figure as it stands: a key of :meth:`names`, or the number of a plot from the upper left."""
        return self.drawn(self._known(key))

    def save(self, path: str | os.PathLike, key: str | int = 0) -> Path:
        """Write a figure with its caption as .svg, .pdf or .png, or the caption alone as .txt, by the name's ending."""
        key = self._known(key)
        return save_figure(path, self.drawn(key), self.caption(key))

    def _known(self, key: str | int) -> str:
        key = f"plot-{key}" if isinstance(key, int) else key
        known = self.names()
        if key not in known:
            raise SFNetError(f"There is no figure {str(key)[:40]!r} here now; choose {', '.join(known)}.")
        return key

    def _save(self, message: dict) -> None:
        key, kind, place = text(message, "figure"), text(message, "format"), text(message, "link", LONGEST_LINK)
        if kind not in FORMATS:
            raise ValueError(f"figures are saved as {', '.join(FORMATS)}")
        key = self._known(key)
        content = render(self.drawn(key), kind, self.caption(key, self._link(place)))
        name = re.sub("[^a-z0-9]+", "-", self.names()[key].split(": ")[-1].lower()).strip("-")[:80]
        self.send({"file": f"sfnet-{name}.{kind}"}, [content])


def panel_drawing(
    panel: look.Panel,
    axes: look.Axes,
    focus: list[np.ndarray],
    *,
    aggregate: bool,
    chosen: np.ndarray | None = None,
) -> Drawing:
    """A panel as it stands on the page: its visible range, points or density, selection, the galaxy in focus.

    ``focus``: x and y of that galaxy, NaN for one that is not known; ``chosen``: a mask of the selected.
    """
    ranges, scale = panel.view(), ""
    layers: list = _curves(axes, ranges)
    if aggregate and (panel.positions is None or panel.density.visible):
        scale = "galaxies per cell"
        layers = [Cells(histogram(axes.x, axes.y, ranges), ranges, look.DENSITY[False], scale), *layers]
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
    (x0, x1), (y0, y1) = ranges
    for x, y in zip(*focus, strict=True):  # a line where only one of its values is known
        if np.isfinite(x) != np.isfinite(y):
            ends = (np.full(2, x), np.array([y0, y1])) if np.isfinite(x) else (np.array([x0, x1]), np.full(2, y))
            layers.append(Curve(*ends, colour=look.FOCUS, width=1.5, name="galaxy in focus"))
    layers.append(Dots(*focus, look.FOCUS, size=14, hollow=True, name="galaxy in focus"))
    labels = panel.figure.title.text, axes.x_label, axes.y_label
    return Drawing(*labels, ranges, layers, legend=axes.kind == "bpt", scale=scale)


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


def panel_facts(
    panel: look.Panel, axes: look.Axes, focus: list[np.ndarray], name: str, *, aggregate: bool
) -> list[str]:
    """A caption's lines of what a panel shows and of which part of the plane; ``name``: of the galaxy in focus."""
    out = [f"x: {axes.x_label}; y: {axes.y_label}"]
    (x0, x1), (y0, y1) = view = panel.view()
    if aggregate and panel.density.visible:
        out.append("Grey: galaxies per cell, logarithmic scale")
    if len(within(*focus, view)):
        out.append(f"Ring: {name}")
    elif any(np.isfinite(x) != np.isfinite(y) for x, y in zip(*focus, strict=True)):
        out.append(f"Line: {name}")
    if axes.kind == "bpt":
        out.append("Solid line: Kauffmann et al. 2003; dashed: Kewley et al. 2001")
    if view != panel.ranges:
        out.append(f"Shown: x from {x0:.6g} to {x1:.6g}, y from {y0:.6g} to {y1:.6g}")
    return out


def permalink(place: str, query: str) -> str:
    """The page's address ``place`` with its permalink's query; nothing else of the address comes along, as a token.

    Without an address (a script, JupyterLab) the query alone; '' where the page is as it opened.
    """
    parts = urlsplit(place)
    query = f"?{query}" if query else ""
    if parts.scheme not in ("http", "https"):
        return query
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def bare(label: str) -> str:
    """An axis's label without its unit."""
    return re.sub(r" \[[^\]]*\]$", "", label.replace("\u200b", ""))
