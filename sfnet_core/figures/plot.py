"""Figures for paper and saved files, drawn by matplotlib: SVG, PDF or PNG, with the caption below and in the file.

A figure is plain arrays (:class:`Drawing`, :class:`Picture`), so that the page, the Python door and a test ask for the
same one; :func:`render` draws it in one style, dark on white, whatever the page's theme. Sizes are in px of a figure
640 px wide (96 px an inch). matplotlib is imported inside the call: ``pip install 'sfnet-core[figures]'``.
"""

from __future__ import annotations

import io
import os
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path
from sfnet_core.utils.version import __version__

__all__ = [
    "ACCENT",
    "FORMATS",
    "INK",
    "SOFT",
    "Bars",
    "Cells",
    "Curve",
    "Dots",
    "Drawing",
    "Layer",
    "Picture",
    "check_matplotlib",
    "render",
    "save_figure",
]

FORMATS = ("svg", "pdf", "png", "txt")  # txt: the caption alone
WIDTH, HEIGHT = 640, 470  # px of one drawing; the caption's lines come below
INK, SOFT, FRAME, GRID, ACCENT = "#1c2733", "#4b5a69", "#9aa7b3", "#e8edf2", "#0b6e8f"
POSITIVE, NEGATIVE = "#ff7054", "#54a8ff"  # as over the galaxy on the page: to be seen on a dark sky
POINT = 0.75  # of a px
CAPTION_LINE = 15  # px
LINE = 1.03  # of the letters' size: what matplotlib takes for a line spacing of 1
TITLE, ACROSS, UP, CAPTION = 78, 76, 52, 86  # letters in a line of the title, the axes' labels, the caption
MOST_LINES = 4  # of one fact: a permalink with a large selection goes on in the file's description only
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class Dots:
    """Points; ``size`` is their diameter, ``hollow`` draws rings. ``shade`` (n,) 0…1 colours each by the palette."""

    x: np.ndarray
    y: np.ndarray
    colour: str = ACCENT
    opacity: float = 1.0
    size: float = 5.0
    hollow: bool = False
    name: str = ""
    shade: np.ndarray | None = None


@dataclass
class Cells:
    """Counts ``(rows, columns)``, row 0 the lowest, over ``ranges``; the palette goes by the logarithm."""

    counts: np.ndarray
    ranges: tuple[tuple[float, float], tuple[float, float]]
    palette: Sequence[str]
    name: str = ""


@dataclass
class Curve:
    """A line through points, in order; ``dash`` as in SVG (``"4 3"``), ``marker`` the diameter of its points."""

    x: np.ndarray
    y: np.ndarray
    dash: str = ""
    width: float = 1.3
    colour: str = INK
    opacity: float = 0.75
    name: str = ""
    marker: float = 0.0


@dataclass
class Bars:
    """Vertical bars from ``low`` to ``high`` at ``x``: intervals; ``cap`` is half the width of their ends."""

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    colour: str = INK
    width: float = 1.0
    opacity: float = 1.0
    name: str = ""
    cap: float = 0.0


Layer = Dots | Cells | Curve | Bars


@dataclass
class Drawing:
    """One figure: a title of up to three lines, axes with their units, ranges, layers from the back to the front.

    ``legend`` lists the layers' names beside the axes; ``scale`` is the label of a colour scale for the layer that has
    one (:class:`Cells`, or :class:`Dots` with a shade).
    """

    title: str
    x_label: str
    y_label: str
    ranges: tuple[tuple[float, float], tuple[float, float]]
    layers: Sequence[Layer]
    x_ticks: Sequence[float] | None = None
    y_log: bool = False
    legend: bool = False
    scale: str = ""


@dataclass
class Picture:
    """A JPEG with coloured cells over its middle: ``cells`` (h, w), ``share`` of the picture's sides they take."""

    title: str
    jpeg: bytes
    cells: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    share: tuple[float, float] = (1.0, 1.0)  # of the width, of the height
    text: list[str] = field(default_factory=list)
    scale: str = ""  # what the cells' colours are, with the unit


def check_matplotlib() -> None:
    """Raise :class:`SFNetError` where matplotlib is not installed: before long work that ends in figures."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SFNetError("Figures need matplotlib: pip install 'sfnet-core[figures]'.") from None


def render(figure: Drawing | Picture | Sequence[Drawing], kind: str = "svg", caption: str = "") -> bytes:
    """Draw a figure as the bytes of a file; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Drawing, Picture or sequence of Drawing
        Several drawings stand one below the other.
    kind : {"svg", "pdf", "png", "txt"}
        ``txt`` is the caption alone.
    caption : str
        A fact a line: below the figure, and whole in the file's own description.

    Returns
    -------
    bytes
        Texts are shown literally: none is taken for a formula or for markup.

    Raises
    ------
    SFNetError
        For another kind, and where matplotlib is not installed.
    """
    if kind not in FORMATS:
        raise SFNetError(f"A figure is not saved as {kind[:20]!r}; choose {', '.join(FORMATS)}.")
    caption = _clean(caption)
    if kind == "txt":
        return f"{caption}\n".encode()
    check_matplotlib()
    from matplotlib import style

    lines = [part for fact in caption.splitlines() for part in _lines(fact, CAPTION, MOST_LINES) or [""]]
    below = CAPTION_LINE * len(lines) + 18 if lines else 0
    panels = [figure] if isinstance(figure, Drawing | Picture) else list(figure)
    title = caption.partition("\n")[0] or _clean(panels[0].title.partition("\n")[0])
    with style.context(["default", _style()]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the typeface lacks is a box
        made = _picture(figure, below) if isinstance(figure, Picture) else _drawings(panels, below)
        width, height = made.get_size_inches() * 96
        words: dict[str, Any] = {
            "color": SOFT,
            "size": 11 * POINT,
            "va": "top",
            "linespacing": CAPTION_LINE / 11 / LINE,
        }
        made.text(16 / width, CAPTION_LINE * (len(lines) + 0.5) / height, "\n".join(lines), gid="caption", **words)
        out = io.BytesIO()
        made.savefig(out, format=kind, dpi=192, metadata=_metadata(kind, title, caption or title))
    return out.getvalue()


def save_figure(path: str | os.PathLike, figure: Drawing | Picture | Sequence[Drawing], caption: str = "") -> Path:
    """Write a figure as its name's ending says (:data:`FORMATS`), whole or not at all → the path."""
    path = Path(path)
    content = render(figure, path.suffix.lower().removeprefix("."), caption)
    with atomic_path(path) as place:
        place.write_bytes(content)
    return path


def _style() -> dict[str, Any]:
    """How every figure looks. Texts are texts in SVG and PDF, and ``$`` is a dollar."""
    return {
        **{"font.family": "sans-serif", "font.size": 11 * POINT, "text.color": INK, "text.parse_math": False},
        **{"axes.edgecolor": FRAME, "axes.labelcolor": INK, "axes.labelsize": 13 * POINT, "axes.linewidth": 0.8},
        **{"axes.grid": True, "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.8},
        **{"axes.titlesize": 13 * POINT, "axes.titleweight": "bold", "axes.titlelocation": "left"},
        **{"axes.formatter.useoffset": False, "axes.formatter.limits": (-5, 7)},
        **{"xtick.color": FRAME, "xtick.labelcolor": INK, "ytick.color": FRAME, "ytick.labelcolor": INK},
        **{"legend.frameon": False, "legend.fontsize": 11 * POINT, "legend.handlelength": 2.2},
        **{"svg.fonttype": "none", "svg.hashsalt": "sfnet", "pdf.fonttype": 42, "image.composite_image": False},
        "lines.scale_dashes": False,
    }


def _metadata(kind: str, title: str, description: str) -> dict[str, str | None]:
    """What the file says of itself; no date, so that the same figure is the same file."""
    maker = f"sfnet-core {__version__}"
    if kind == "pdf":
        return {"Title": title, "Subject": description, "Creator": maker, "CreationDate": None}
    if kind == "png":
        return {"Title": title, "Description": description, "Software": maker}
    return {"Title": title, "Description": description, "Creator": maker, "Date": None}


def _clean(text: str) -> str:
    """A text without the characters that XML can't hold, and without the marks that keep formulas from Bokeh."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text.replace("\u200b", "")).replace("\r", "\n")


def _lines(text: str, letters: int, most: int = 2) -> list[str]:
    """A text broken where it is too long; what does not fit ends in an ellipsis."""
    return textwrap.wrap(_clean(text), letters, max_lines=most, placeholder=" …")


def _name(artist: Any, name: str, panel: int) -> None:
    """The layer's name, as an id that a style sheet or a test finds in the SVG file."""
    if name:
        artist.set_gid("-".join(re.findall("[a-z0-9]+", name.lower())) + (f"-{panel}" if panel else ""))


def _drawings(panels: Sequence[Any], below: float) -> Any:
    """Drawings one below the other, with ``below`` px free for the caption."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    total = HEIGHT * len(panels) + below
    layout = ConstrainedLayoutEngine(rect=(0, below / total, 1, 1 - below / total), w_pad=0.1, h_pad=0.1)
    made = Figure(figsize=(WIDTH / 96, total / 96), layout=layout)
    for number, (axes, drawing) in enumerate(zip(made.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True)):
        first, *more = [part for line in drawing.title.splitlines()[:3] for part in _lines(line, TITLE)] or [""]
        axes.set_title(first, pad=6 + 17 * POINT * len(more))
        if more:
            at = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 5), "textcoords": "offset points"}
            words = axes.annotate("\n".join(more), **at, color=SOFT, size=12 * POINT)
            words.set_in_layout(False)
        (x0, x1), (y0, y1) = drawing.ranges
        axes.set(xlim=(x0, x1), ylim=(y0, y1), yscale="log" if drawing.y_log else "linear")
        axes.set_xlabel("\n".join(_lines(drawing.x_label, ACROSS)))
        axes.set_ylabel("\n".join(_lines(drawing.y_label, UP)))
        if drawing.x_ticks is not None:
            axes.set_xticks(drawing.x_ticks, [f"{value:g}" for value in drawing.x_ticks])
        if drawing.y_log:
            decades = np.log10(y1 / y0)
            steps = (1,) if decades > 3 else (1, 2, 5) if decades > 0.7 else range(1, 10)
            axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        scaled = None
        for depth, layer in enumerate(drawing.layers):
            artist = _LAYERS[type(layer)](axes, layer, 2 + 0.01 * depth)
            _name(artist, layer.name, number)
            scaled = artist if isinstance(layer, Cells) or getattr(layer, "shade", None) is not None else scaled
        if drawing.scale and scaled is not None:
            bar = made.colorbar(scaled, ax=axes, aspect=30, pad=0.02)
            bar.set_label("\n".join(_lines(drawing.scale, UP)))
            bar.outline.set_edgecolor(FRAME)
            if isinstance(scaled.norm, LogNorm):
                bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                bar.ax.yaxis.set_minor_formatter(NullFormatter())
        if drawing.legend:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.01))
    return made


def _dots(axes: Any, layer: Dots, depth: float) -> Any:
    x, y = np.asarray(layer.x, dtype=float), np.asarray(layer.y, dtype=float)
    known = np.isfinite(x) & np.isfinite(y)
    if layer.shade is not None:
        look = {"s": (layer.size * POINT) ** 2, "c": np.asarray(layer.shade)[known], "cmap": "viridis", "vmin": 0}
        return axes.scatter(x[known], y[known], vmax=1, linewidths=0, alpha=layer.opacity, zorder=depth, **look)
    look = {"markerfacecolor": layer.colour, "markeredgewidth": 0}
    if layer.hollow:
        look = {"markerfacecolor": "none", "markeredgecolor": layer.colour, "markeredgewidth": 2.2 * POINT}
    look |= {"markersize": layer.size * POINT, "alpha": layer.opacity, "label": _label(layer)}
    return axes.plot(x[known], y[known], "o", zorder=depth, **look)[0]


def _cells(axes: Any, layer: Cells, depth: float) -> Any:
    from matplotlib.colors import ListedColormap, LogNorm

    counts = np.ma.masked_less_equal(np.asarray(layer.counts, dtype=float), 0)
    (x0, x1), (y0, y1) = layer.ranges
    look = {
        "norm": LogNorm(0.5, max(float(np.max(layer.counts, initial=0)), 1.0)),
        "cmap": ListedColormap(layer.palette),
    }
    look |= {"extent": (x0, x1, y0, y1), "origin": "lower", "interpolation": "none", "aspect": "auto"}
    return axes.imshow(counts, zorder=depth, **look)


def _curve(axes: Any, layer: Curve, depth: float) -> Any:
    dashes = tuple(float(length) * POINT for length in layer.dash.split())
    look = {"linestyle": (0, dashes) if dashes else "-", "linewidth": layer.width * POINT, "color": layer.colour}
    if layer.marker:
        look |= {"marker": "o", "markersize": layer.marker * POINT, "markeredgewidth": 0}
    known = np.isfinite(layer.x) & np.isfinite(layer.y)  # a line passes over what is not known
    x, y = np.asarray(layer.x)[known], np.asarray(layer.y)[known]
    return axes.plot(x, y, alpha=layer.opacity, zorder=depth, label=_label(layer), **look)[0]


def _bars(axes: Any, layer: Bars, depth: float) -> Any:
    x, low, high = (np.asarray(values, dtype=float) for values in (layer.x, layer.low, layer.high))
    known = np.isfinite(low) & np.isfinite(high)
    look = {"color": layer.colour, "linewidth": layer.width * POINT, "alpha": layer.opacity, "zorder": depth}
    for ends in (low, high) if layer.cap else ():
        axes.plot(x[known], ends[known], "_", markersize=2 * layer.cap * POINT, markeredgewidth=1, **look)
    return axes.vlines(x[known], low[known], high[known], label=_label(layer), **look)


def _label(layer: Any) -> str:
    """In the legend; matplotlib leaves out what begins with an underscore. A layer without points is not in it."""
    return ("\n".join(_lines(layer.name, 34)) if np.isfinite(layer.x).any() else "") or "_"


_LAYERS: dict[type, Callable[..., Any]] = {Dots: _dots, Cells: _cells, Curve: _curve, Bars: _bars}


def _picture(picture: Picture, below: float) -> Any:
    """A galaxy with its contribution map, then lines of text, with ``below`` px free for the caption."""
    from matplotlib.colors import ListedColormap, to_rgb
    from matplotlib.figure import Figure
    from PIL import Image

    side, top = 420, 38
    pixels = np.asarray(Image.open(io.BytesIO(picture.jpeg)).convert("RGB"))
    rows, columns = pixels.shape[:2]
    wide, high = (side * size / max(rows, columns) for size in (columns, rows))
    lines = [part for line in picture.text for part in _lines(line, CAPTION - 6, 3)]
    total = top + high + 26 + 17 * len(lines) + below
    made = Figure(figsize=(WIDTH / 96, total / 96))
    made.text(16 / WIDTH, 1 - 24 / total, "\n".join(_lines(picture.title, TITLE, 1)), size=13 * POINT, weight="bold")

    def place(x: float, y: float, width: float, height: float, **look: Any) -> Any:
        return made.add_axes((x / WIDTH, 1 - (y + height) / total, width / WIDTH, height / total), **look)

    whole = place(16, top, wide, high, xticks=[], yticks=[], xlim=(0, columns), ylim=(rows, 0))
    whole.grid(False)
    whole.imshow(pixels, extent=(0, columns, rows, 0), interpolation="none", aspect="auto", gid="galaxy")
    if picture.cells.size:
        ramp = np.linspace(-1, 1, 201)
        colours = np.array([[*to_rgb(NEGATIVE if value < 0 else POSITIVE), 0.6 * abs(value)] for value in ramp])
        box = columns * picture.share[0], rows * picture.share[1]
        left, upper = (columns - box[0]) / 2, (rows - box[1]) / 2
        peak = max(float(np.abs(picture.cells).max()), 1e-12)
        shown = whole.imshow(
            picture.cells, cmap=ListedColormap(colours), vmin=-peak, vmax=peak, interpolation="none", aspect="auto",
            extent=(left, left + box[0], upper + box[1], upper), gid="contribution-map",
        )  # fmt: skip
        whole.set(xlim=(0, columns), ylim=(rows, 0))
        x, y = left + np.array([0, 1, 1, 0, 0]) * box[0], upper + np.array([0, 0, 1, 1, 0]) * box[1]
        whole.plot(x, y, color="#ffffff", alpha=0.6, linewidth=POINT, linestyle=(0, (3, 2)))
        bar = made.colorbar(shown, cax=place(16 + wide + 14, top, 14, high), label=picture.scale)
        bar.outline.set_edgecolor(FRAME)
    words: dict[str, Any] = {"va": "top", "size": 12 * POINT, "linespacing": 17 / 12 / LINE}
    made.text(16 / WIDTH, 1 - (top + high + 10) / total, "\n".join(lines), **words)
    return made
