"""One of the linked figures: a scatter of the galaxies in view, or their density where there are too many to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    HoverTool,
    LassoSelectTool,
    LogColorMapper,
    NoOverlap,
    Range1d,
    Slope,
    Span,
    Title,
    WheelZoomTool,
)
from bokeh.palettes import Greys256, Oranges256
from bokeh.plotting import figure

from sfnet_core.astro.bpt import kauffmann03, kewley01
from sfnet_core.explorer.shared.geometry import Ranges, histogram, inside, padded_range, within
from sfnet_core.explorer.shared.view import source

__all__ = ["BPT_RANGE", "MOST_POINTS", "Axes", "Panel", "histogram", "inside", "padded_range"]

MOST_POINTS = 5000  # above this a figure shows densities: drawing points is what takes the time
MOST_MARKED = 1000  # up to this many selected galaxies are points over a density, where single cells would be lost
BPT_RANGE = ((-1.55, 0.55), (-1.05, 1.3))

CHOSEN = "#e08e00"
LIGHT = {
    "ink": "#1c2733",
    "faint": "#c9d2db",
    "grid": "#e8edf2",
    "point": "#4d6478",
    "focus": "#111820",
    "ground": "#ffffff",
}
DARK = {
    "ink": "#dfe7ee",
    "faint": "#4a5763",
    "grid": "#2a343d",
    "point": "#9db4c8",
    "focus": "#ffffff",
    "ground": "#1a2128",
}
INK, POINT, FOCUS = LIGHT["ink"], LIGHT["point"], LIGHT["focus"]
FONT = "system-ui, sans-serif"
DENSITY = {False: tuple(reversed(Greys256[40:225])), True: tuple(Greys256[70:250])}
CHOSEN_DENSITY = tuple(reversed(Oranges256[20:200]))


Names = Callable[[np.ndarray], list[str]]  # identifiers of positions


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
    keys: tuple[str, str] = ("", "")  # the quantities on x and y
    n: int = 0  # galaxies with both values


def bpt_curves() -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """The demarcation lines of the BPT diagram: name, dashes, x and y."""
    x = np.linspace(-2.5, 0.46, 120)
    lines = (
        ("Kauffmann et al. 2003", kauffmann03, 0.04, ""),
        ("Kewley et al. 2001", kewley01, 0.46, "6 4"),
    )
    return [(name, dash, x[x < end], curve(x[x < end])) for name, curve, end, dash in lines]


class Panel:
    """A figure and its layers: points of a source that all panels share, densities and nearby points of its own.

    ``key`` marks the panels of a page whose own pane shows what is under the pointer (``shared/hover.js``); without it
    Bokeh's tooltip does.
    """

    def __init__(self, number: int, shared: ColumnDataSource, focus: ColumnDataSource, key: str = ""):
        self.x_name, self.y_name = f"x{number}", f"y{number}"
        self.ranges: Ranges = ((0.0, 1.0), (0.0, 1.0))
        self.drawn: Ranges | None = None  # what the density or the nearby points were drawn for
        self._here = ""  # how many galaxies the visible range holds, where that is not all
        self.positions: np.ndarray | None = None  # of the nearby points among the galaxies in view
        self.figure = fig = figure(
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            tools="pan,box_zoom,wheel_zoom,box_select,lasso_select,reset" + ("" if key else ",save"),
            active_drag="lasso_select",
            sizing_mode="stretch_both",
            min_width=150,
            min_height=150,
            output_backend="canvas",
            toolbar_location=None,
        )
        self._style()
        self.points = self._scatter(shared)
        self.near = self._scatter(ColumnDataSource({self.x_name: [], self.y_name: [], "id": []}))
        self.near.visible = False
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
        for tool in fig.tools:
            if isinstance(tool, LassoSelectTool):
                tool.continuous = False  # one lasso is one change, and one step of undo
            elif key and isinstance(tool, WheelZoomTool):
                fig.toolbar.active_scroll = tool
        self.hover = HoverTool(renderers=[self.points, self.near]) if not key else self._own_hover(number, key)
        fig.add_tools(self.hover)

    def _own_hover(self, number: int, key: str) -> HoverTool:
        """A hover that says on the document what is under the pointer."""
        fig = self.figure
        args = {"key": key, "number": number, "x_name": self.x_name, "y_name": self.y_name, "chosen": self.chosen}
        args |= {"x_range": fig.x_range, "y_range": fig.y_range, "x_axis": fig.xaxis[0], "y_axis": fig.yaxis[0]}
        code = source("shared/plot_hover.js")
        return HoverTool(
            renderers=[self.points, self.near, self.density],
            tooltips=None,
            visible=False,  # it is always on: no button for it
            callback=CustomJS(args=args, code=code),
        )

    def _scatter(self, source: ColumnDataSource):
        return self.figure.scatter(
            self.x_name,
            self.y_name,
            source=source,
            size=5,
            line_color=None,
            fill_color=POINT,
            fill_alpha=0.45,
            selection_fill_color=CHOSEN,
            selection_fill_alpha=0.9,
            nonselection_fill_color=POINT,
            nonselection_fill_alpha=0.12,
        )

    def _style(self) -> None:
        fig = self.figure
        fig.title = Title(
            text="",
            text_font_size="11.5px",
            text_font_style="normal",
            text_line_height=1.25,
            text_font=FONT,
            offset=-34,  # from the axis on: a narrow figure has room for its numbers then
        )
        fig.min_border_right = 10
        for grid in fig.grid:
            grid.level = "image"  # which is painted first: under the densities
        for axis in fig.axis:
            axis.axis_label_text_font_size = "12px"
            axis.axis_label_text_font_style = "normal"
            axis.axis_label_text_font = axis.major_label_text_font = FONT
            axis.axis_label_standoff = 4
            axis.major_label_text_font_size = "11px"
            axis.minor_tick_line_color = None
            axis.major_label_policy = NoOverlap()

    def _image(self, palette: tuple[str, ...]):
        source = ColumnDataSource(
            {"image": [np.zeros((2, 2), dtype=np.float32)], "x": [0], "y": [0], "dw": [1], "dh": [1]}
        )
        mapper = LogColorMapper(palette=list(palette), low=0.5, high=1, low_color="rgba(0,0,0,0)")  # of counts
        return self.figure.image(
            "image", x="x", y="y", dw="dw", dh="dh", source=source, color_mapper=mapper, visible=False, level="underlay"
        )

    def _bpt_lines(self):
        style = {"line_color": INK, "line_alpha": 0.7, "visible": False}
        return [self.figure.line(x, y, line_dash=dash or "solid", **style) for _, dash, x, y in bpt_curves()]

    def theme(self, dark: bool) -> None:
        """Colours for a dark or a light page; what a colour means stays."""
        fig, colour = self.figure, DARK if dark else LIGHT
        fig.title.text_color, fig.outline_line_color = colour["ink"], colour["faint"]
        # The frame has a ground of its own, under which no old line stays. The border has none: Bokeh never quite
        # clears the outer half pixel of its canvas, so that the other theme's border would stay there as a line.
        fig.background_fill_color, fig.border_fill_color = colour["ground"], None
        for grid in fig.grid:
            grid.grid_line_color = colour["grid"]
        for axis in fig.axis:
            axis.axis_label_text_color = axis.major_label_text_color = colour["ink"]
            axis.axis_line_color = axis.major_tick_line_color = colour["faint"]
        for guide in (self.identity, self.zero, *(line.glyph for line in self.lines)):
            guide.line_color = colour["ink"]
        for points in (self.points, self.near):
            points.glyph.fill_color = points.nonselection_glyph.fill_color = colour["point"]
        self.ring.glyph.line_color = colour["focus"]
        self.density.glyph.color_mapper.palette = list(DENSITY[dark])

    # -- drawing -----------------------------------------------------------------------------------------------

    def name(self, axes: Axes) -> None:
        """Title and labels."""
        fig = self.figure
        fig.title.text = axes.title + self._here
        fig.xaxis[0].axis_label, fig.yaxis[0].axis_label = axes.x_label, axes.y_label
        if self.hover.callback is None:
            self.hover.tooltips = [
                ("galaxy", "@id"),
                (axes.x_label, f"@{self.x_name}"),
                (axes.y_label, f"@{self.y_name}"),
            ]

    def set_axes(self, axes: Axes, *, aggregate: bool) -> None:
        """Labels, title, ranges and guide lines; the points themselves come with the shared source."""
        fig, self._here = self.figure, ""
        self.name(axes)
        self.identity.visible, self.zero.visible = axes.kind == "identity", axes.kind == "residual"
        for line in self.lines:
            line.visible = axes.kind == "bpt"
        self.points.visible, self.density.visible, self.near.visible = not aggregate, aggregate, False
        self.chosen.visible = self.chosen.visible and aggregate
        self.drawn = self.positions = None
        more = axes.span or (np.empty(0), np.empty(0))
        ranges = BPT_RANGE if axes.kind == "bpt" else (padded_range([axes.x, more[0]]), padded_range([axes.y, more[1]]))
        if ranges != self.ranges:  # the user's own zoom stays while the data's extent does
            self.ranges = ranges
            for own, (low, high) in zip((fig.x_range, fig.y_range), ranges, strict=True):
                limits = {"min_interval": (high - low) * 1e-6, "max_interval": (high - low) * 10}
                own.update(start=low, end=high, reset_start=low, reset_end=high, **limits)

    def on_range(self, function: Callable[[], None]) -> None:
        """Call ``function()`` when an end of the visible range is another: by the browser, or from here."""
        for own in (self.figure.x_range, self.figure.y_range):
            for end in ("start", "end"):
                own.on_change(end, lambda _attr, _old, _new: function())

    def view(self) -> Ranges:
        """What the browser shows now; the whole range where it says nothing sensible."""
        out = []
        for own, full in zip((self.figure.x_range, self.figure.y_range), self.ranges, strict=True):
            low, high = sorted((float(own.start), float(own.end)))
            out.append((low, high) if high - low > 1e-9 * (full[1] - full[0]) else full)
        return out[0], out[1]

    def look(self, axes: Axes, chosen: np.ndarray | None, names: Names) -> None:
        """Draw what there is in the visible range: up to MOST_POINTS galaxies as points, more of them as a density.

        ``chosen``: a mask of the selected ones; ``names`` gives the identifiers of some positions.
        """
        self.drawn = view = self.view()
        counts = histogram(axes.x, axes.y, view)
        here, positions = int(counts.sum()), None
        if here <= MOST_POINTS:  # a cell does not hold its upper edge: there may be more
            positions = within(axes.x, axes.y, view)
            here, positions = len(positions), positions if len(positions) <= MOST_POINTS else None
        self.positions = positions
        self._here = f" · {here:,} here" if view != self.ranges else ""
        self.figure.title.text = axes.title + self._here
        self.density.visible, self.chosen.visible = positions is None, False
        if positions is None:
            self._fill(self.density, counts, view)
            if chosen is not None:
                positions = self._mark(axes, np.flatnonzero(chosen), view)
        self.near.visible = positions is not None
        if positions is not None:
            self._put(axes, positions, chosen, names)

    def _mark(self, axes: Axes, some: np.ndarray, view: Ranges) -> np.ndarray | None:
        """Over a density: the positions of the selected in sight where they are few, else a density of theirs."""
        here = some[within(axes.x[some], axes.y[some], view)]
        if len(here) <= MOST_MARKED:
            return here
        self.chosen.visible = True
        self._fill(self.chosen, histogram(axes.x[here], axes.y[here], view), view)
        return None

    def _put(self, axes: Axes, positions: np.ndarray, chosen: np.ndarray | None, names: Names) -> None:
        source = self.near.data_source
        source.data = {self.x_name: axes.x[positions], self.y_name: axes.y[positions], "id": names(positions)}
        indices = [] if chosen is None else np.flatnonzero(chosen[positions]).tolist()
        if list(source.selected.indices) != indices:
            source.selected.indices = indices

    def _fill(self, renderer, counts: np.ndarray, ranges: Ranges) -> None:
        (x0, x1), (y0, y1) = ranges
        renderer.glyph.color_mapper.high = max(float(counts.max()), 1.0)
        image = counts.astype(np.float32)
        renderer.data_source.data = {"image": [image], "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0]}

    def nearest(self, axes: Axes, x: float, y: float) -> int:
        """Position (among the galaxies in view) nearest to a click, measured in the visible ranges; -1 for none."""
        (x0, x1), (y0, y1) = ((r.start, r.end) for r in (self.figure.x_range, self.figure.y_range))
        width, height = (x1 - x0) or 1.0, (y1 - y0) or 1.0  # the ranges come from the browser
        distance = ((axes.x - x) / width) ** 2 + ((axes.y - y) / height) ** 2
        return int(np.nanargmin(distance)) if np.isfinite(distance).any() else -1
