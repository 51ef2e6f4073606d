"""One of the linked figures: a scatter of the galaxies in view, or their density where there are too many to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    HoverTool,
    LinearColorMapper,
    Range1d,
    Slope,
    Span,
    Title,
)
from bokeh.palettes import Greys256, Oranges256
from bokeh.plotting import figure

from sfnet_core import astro

__all__ = ["MOST_POINTS", "Panel", "histogram", "inside"]

MOST_POINTS = 5000  # above this a figure shows densities: drawing points is what takes the time
MOST_CORNERS = 2000
BINS = (120, 90)
BPT_RANGE = ((-1.55, 0.55), (-1.05, 1.3))

CHOSEN = "#e08e00"
LIGHT = {"ink": "#1c2733", "faint": "#c9d2db", "grid": "#e8edf2", "point": "#4d6478", "focus": "#111820"}
DARK = {"ink": "#dfe7ee", "faint": "#4a5763", "grid": "#2a343d", "point": "#9db4c8", "focus": "#ffffff"}
INK, POINT, FOCUS = LIGHT["ink"], LIGHT["point"], LIGHT["focus"]
FONT = "system-ui, sans-serif"
DENSITY = {False: tuple(reversed(Greys256[40:225])), True: tuple(Greys256[70:250])}
CHOSEN_DENSITY = tuple(reversed(Oranges256[20:200]))


@dataclass
class Axes:
    """What a panel shows: ``(n,)`` values of the galaxies in view, labels with units, a title."""

    x: np.ndarray
    y: np.ndarray
    x_label: str
    y_label: str
    title: str
    kind: str = ""  # 'identity' draws y = x, 'residual' draws y = 0, 'bpt' the demarcation lines
    span: tuple[np.ndarray, np.ndarray] | None = None  # values that the ranges must hold too


def padded_range(values: list[np.ndarray], fraction: float = 0.05) -> tuple[float, float]:
    """A range that holds all finite values, a little wider; (0, 1) where there are none."""
    finite = [v[np.isfinite(v)] for v in values]
    finite = [v for v in finite if len(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(float(v.min()) for v in finite), max(float(v.max()) for v in finite)
    pad = fraction * (high - low) or 0.5 * abs(high) or 0.5
    return low - pad, high + pad


def histogram(x: np.ndarray, y: np.ndarray, ranges: tuple, bins: tuple[int, int] = BINS) -> np.ndarray:
    """Counts ``(rows, columns)`` of the points inside ``ranges`` by one bincount; NaN values are left out."""
    (x0, x1), (y0, y1) = ranges
    columns, rows = bins
    with np.errstate(invalid="ignore"):
        i = np.floor((x - x0) * (columns / (x1 - x0)))
        j = np.floor((y - y0) * (rows / (y1 - y0)))
        keep = (i >= 0) & (i < columns) & (j >= 0) & (j < rows)
    flat = j[keep].astype(np.int64) * columns + i[keep].astype(np.int64)
    return np.bincount(flat, minlength=rows * columns).reshape(rows, columns)


def inside(x: np.ndarray, y: np.ndarray, geometry: dict) -> np.ndarray:
    """``(n,)`` True for points in a box or lasso, as Bokeh's SelectionGeometry describes it."""
    if geometry["type"] == "rect":
        x0, x1 = sorted((float(geometry["x0"]), float(geometry["x1"])))
        y0, y1 = sorted((float(geometry["y0"]), float(geometry["y1"])))
        return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    px, py = (np.asarray(list(geometry[c]), dtype=float) for c in "xy")
    step = len(px) // MOST_CORNERS + 1  # a hand's lasso has hundreds of corners
    px, py = px[::step], py[::step]
    if len(px) < 3 or len(px) != len(py) or not np.isfinite(px + py).all():
        return np.zeros(len(x), dtype=bool)
    out = (x >= px.min()) & (x <= px.max()) & (y >= py.min()) & (y <= py.max())
    candidates = np.flatnonzero(out)
    cx, cy = x[candidates], y[candidates]
    odd = np.zeros(len(candidates), dtype=bool)  # even–odd rule, one edge at a time
    for ax, ay, bx, by in zip(px, py, np.roll(px, -1), np.roll(py, -1), strict=True):
        if ay == by:
            continue
        crosses = ((ay > cy) != (by > cy)) & (cx < (bx - ax) * (cy - ay) / (by - ay) + ax)
        odd ^= crosses
    out[candidates] = odd
    return out


class Panel:
    """A figure with its two layers: points from the source that all panels share, and density images of its own."""

    def __init__(self, number: int, shared: ColumnDataSource, focus: ColumnDataSource):
        self.x_name, self.y_name = f"x{number}", f"y{number}"
        self.ranges = ((0.0, 1.0), (0.0, 1.0))
        self.figure = fig = figure(
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            tools="pan,box_zoom,wheel_zoom,box_select,lasso_select,reset,save",
            active_drag="lasso_select",
            sizing_mode="stretch_both",
            min_width=150,
            min_height=150,
            output_backend="canvas",
            toolbar_location=None,
        )
        self._style()
        self.points = fig.scatter(
            self.x_name,
            self.y_name,
            source=shared,
            size=5,
            line_color=None,
            fill_color=POINT,
            fill_alpha=0.45,
            selection_fill_color=CHOSEN,
            selection_fill_alpha=0.9,
            nonselection_fill_color=POINT,
            nonselection_fill_alpha=0.12,
        )
        self.density = self._image(DENSITY[False])
        self.chosen = self._image(CHOSEN_DENSITY)
        self.ring = fig.scatter(
            self.x_name,
            self.y_name,
            source=focus,
            size=14,
            fill_color=None,
            line_color=FOCUS,
            line_width=2.5,
            level="overlay",
        )
        self.identity = Slope(gradient=1, y_intercept=0, line_color=INK, line_dash="4 3", line_alpha=0.6, visible=False)
        self.zero = Span(location=0, dimension="width", line_color=INK, line_dash="4 3", line_alpha=0.6, visible=False)
        fig.add_layout(self.identity)
        fig.add_layout(self.zero)
        self.lines = self._bpt_lines()
        self.theme(dark=False)
        self.hover = HoverTool(renderers=[self.points])
        fig.add_tools(self.hover)

    def _style(self) -> None:
        fig = self.figure
        fig.title = Title(
            text="",
            text_font_size="11.5px",
            text_font_style="normal",
            text_line_height=1.25,
            text_font=FONT,
        )
        fig.background_fill_color = fig.border_fill_color = None
        fig.min_border_right = 10
        for axis in fig.axis:
            axis.axis_label_text_font_size = "12px"
            axis.axis_label_text_font_style = "normal"
            axis.axis_label_text_font = axis.major_label_text_font = FONT
            axis.axis_label_standoff = 4
            axis.major_label_text_font_size = "11px"
            axis.minor_tick_line_color = None

    def _image(self, palette: tuple[str, ...]):
        source = ColumnDataSource(
            {"image": [np.zeros((2, 2), dtype=np.float32)], "x": [0], "y": [0], "dw": [1], "dh": [1]}
        )
        mapper = LinearColorMapper(palette=list(palette), low=0.5, high=1, low_color="rgba(0,0,0,0)")
        return self.figure.image(
            "image", x="x", y="y", dw="dw", dh="dh", source=source, color_mapper=mapper, visible=False, level="image"
        )

    def _bpt_lines(self):
        x = np.linspace(-2.5, 0.46, 120)
        lines = []
        for curve, end, dash in ((astro.kauffmann03, 0.04, "solid"), (astro.kewley01, 0.46, "6 4")):
            keep = x < end
            lines.append(
                self.figure.line(x[keep], curve(x[keep]), line_color=INK, line_dash=dash, line_alpha=0.7, visible=False)
            )
        return lines

    def theme(self, dark: bool) -> None:
        """Colours for a dark or a light page; what a colour means stays."""
        fig, colour = self.figure, DARK if dark else LIGHT
        fig.title.text_color, fig.outline_line_color = colour["ink"], colour["faint"]
        for grid in fig.grid:
            grid.grid_line_color = colour["grid"]
        for axis in fig.axis:
            axis.axis_label_text_color = axis.major_label_text_color = colour["ink"]
            axis.axis_line_color = axis.major_tick_line_color = colour["faint"]
        for guide in (self.identity, self.zero, *(line.glyph for line in self.lines)):
            guide.line_color = colour["ink"]
        self.points.glyph.fill_color = self.points.nonselection_glyph.fill_color = colour["point"]
        self.ring.glyph.line_color = colour["focus"]
        self.density.glyph.color_mapper.palette = list(DENSITY[dark])

    # -- drawing -----------------------------------------------------------------------------------------------

    def set_axes(self, axes: Axes, *, aggregate: bool) -> None:
        """Labels, title, ranges and guide lines; the points themselves come with the shared source."""
        fig = self.figure
        fig.title.text, fig.xaxis[0].axis_label, fig.yaxis[0].axis_label = axes.title, axes.x_label, axes.y_label
        self.hover.tooltips = [("galaxy", "@id"), (axes.x_label, f"@{self.x_name}"), (axes.y_label, f"@{self.y_name}")]
        self.identity.visible, self.zero.visible = axes.kind == "identity", axes.kind == "residual"
        for line in self.lines:
            line.visible = axes.kind == "bpt"
        self.points.visible, self.density.visible = not aggregate, aggregate
        self.chosen.visible = self.chosen.visible and aggregate
        more = axes.span or (np.empty(0), np.empty(0))
        ranges = BPT_RANGE if axes.kind == "bpt" else (padded_range([axes.x, more[0]]), padded_range([axes.y, more[1]]))
        if ranges != self.ranges:  # the user's own zoom stays while the data's extent does
            self.ranges = ranges
            for own, (low, high) in zip((fig.x_range, fig.y_range), ranges, strict=True):
                own.update(start=low, end=high, reset_start=low, reset_end=high)

    def set_density(self, axes: Axes, chosen: np.ndarray | None) -> None:
        """Redraw the density of the galaxies in view, and of the selected ones (a mask over them) on top."""
        self._fill(self.density, axes.x, axes.y)
        self.chosen.visible = chosen is not None
        if chosen is not None:
            self._fill(self.chosen, axes.x[chosen], axes.y[chosen])

    def _fill(self, renderer, x: np.ndarray, y: np.ndarray) -> None:
        (x0, x1), (y0, y1) = self.ranges
        counts = np.log1p(histogram(x, y, self.ranges)).astype(np.float32)
        mapper = renderer.glyph.color_mapper
        mapper.high = max(float(counts.max()), 1.0)
        renderer.data_source.data = {"image": [counts], "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0]}

    def nearest(self, axes: Axes, x: float, y: float) -> int:
        """Position (among the galaxies in view) nearest to a click, measured in the visible ranges; -1 for none."""
        (x0, x1), (y0, y1) = ((r.start, r.end) for r in (self.figure.x_range, self.figure.y_range))
        width, height = (x1 - x0) or 1.0, (y1 - y0) or 1.0  # the ranges come from the browser
        distance = ((axes.x - x) / width) ** 2 + ((axes.y - y) / height) ** 2
        return int(np.nanargmin(distance)) if np.isfinite(distance).any() else -1
