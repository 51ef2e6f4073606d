"""Figures as SVG files: real vectors, escaped texts, the caption below the figure and in its description.

A figure here is plain arrays (:class:`Drawing`), so the page, the Python door and a test ask for the same one. Files
are drawn as on paper, dark on white, whatever the page's theme.
"""

from __future__ import annotations

import base64
import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import numpy as np

from sfnet_core.figures.svg_text import clean, log_ticks, ticks, wrapped

__all__ = [
    "Cells",
    "Curve",
    "Dots",
    "Drawing",
    "Picture",
    "drawing_svg",
    "log_ticks",
    "picture_svg",
    "png_bytes",
    "ticks",
]

NS = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT = 640, 470  # px of the figure itself; the caption's lines come below
INK, SOFT, FRAME, GRID = "#1c2733", "#4b5a69", "#9aa7b3", "#e8edf2"
FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
CAPTION_SIZE, CAPTION_LINE = 11, 15  # px
CAPTION_WIDE = (WIDTH - 32) / CAPTION_SIZE  # in units of the letters' size


@dataclass
class Dots:
    """Points of one colour; ``size`` is the diameter in px, ``hollow`` draws rings."""

    x: np.ndarray
    y: np.ndarray
    colour: str
    opacity: float = 1.0
    size: float = 5.0
    hollow: bool = False
    name: str = ""


@dataclass
class Cells:
    """Counts ``(rows, columns)``, row 0 the lowest, over ``ranges``; the palette goes by the logarithm."""

    counts: np.ndarray
    ranges: tuple[tuple[float, float], tuple[float, float]]
    palette: tuple[str, ...]
    name: str = ""


@dataclass
class Curve:
    """A line through points, in order."""

    x: np.ndarray
    y: np.ndarray
    dash: str = ""
    width: float = 1.3
    colour: str = INK
    opacity: float = 0.75
    name: str = ""


@dataclass
class Drawing:
    """One figure: a title of up to three lines, axes with their units, ranges, layers from the back to the front."""

    title: str
    x_label: str
    y_label: str
    ranges: tuple[tuple[float, float], tuple[float, float]]
    layers: list[Dots | Cells | Curve]
    caption: str = ""
    x_ticks: list[tuple[float, str]] | None = None
    y_log: bool = False


@dataclass
class Picture:
    """A JPEG with coloured cells over its middle: ``cells`` (h, w), ``share`` of the picture's sides they take."""

    title: str
    jpeg: bytes
    size: tuple[int, int]  # height, width in px
    cells: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    share: tuple[float, float] = (1.0, 1.0)  # of the width, of the height
    text: list[str] = field(default_factory=list)
    caption: str = ""


def png_bytes(pixels: np.ndarray) -> bytes:
    """``(h, w, 4)`` uint8 as a PNG."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG", optimize=True)
    return out.getvalue()


def cell_pixels(cells: Cells) -> np.ndarray:
    """``(rows, columns, 4)`` uint8 with the highest row first, as an image has it; empty cells are transparent."""
    counts = np.asarray(cells.counts, dtype=float)
    top = max(float(counts.max(initial=0.0)), 1.0)
    palette = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in cells.palette], dtype=np.uint8)
    with np.errstate(divide="ignore"):
        share = np.log(counts / 0.5) / math.log(top / 0.5)
    index = np.clip(np.floor(np.where(counts > 0, share, 0) * len(palette)), 0, len(palette) - 1).astype(int)
    out = np.zeros((*counts.shape, 4), dtype=np.uint8)
    out[..., :3], out[..., 3] = palette[index], np.where(counts > 0, 255, 0)
    return out[::-1]


class Sheet:
    """An SVG under construction: the figure, then its caption."""

    def __init__(self, title: str, caption: str, width: int, height: int):
        lines = wrapped(clean(caption), CAPTION_WIDE)
        self.width, self.height = width, height
        self.total = height + (CAPTION_LINE * len(lines) + 18 if lines else 0)
        self.root = ET.Element(
            "svg",
            {
                "xmlns": NS,
                "width": str(width),
                "height": str(self.total),
                "viewBox": f"0 0 {width} {self.total}",
                "role": "img",
                "font-family": FONT,
                "font-size": "12",
            },
        )
        ET.SubElement(self.root, "title").text = clean(title)
        ET.SubElement(self.root, "desc").text = clean(caption or title)
        self.add("rect", width="100%", height="100%", fill="#ffffff")
        group = self.add("g", fill=SOFT, font_size=CAPTION_SIZE)
        group.set("class", "caption")
        for i, line in enumerate(lines):
            self.text(16, height + 12 + CAPTION_LINE * i, line, into=group)

    def add(self, tag: str, into: ET.Element | None = None, **props: object) -> ET.Element:
        """An element; ``font_size=11`` is the attribute ``font-size``."""
        parent = self.root if into is None else into
        given = {k.replace("_", "-"): _number(v) for k, v in props.items() if v is not None}
        return ET.SubElement(parent, tag, given)

    def text(self, x: float, y: float, words: str, into: ET.Element | None = None, **props: object) -> ET.Element:
        node = self.add("text", into, x=x, y=y, **props)
        node.text = clean(words)
        return node

    def svg(self) -> str:
        return ET.tostring(self.root, encoding="unicode") + "\n"


def _number(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f"{float(value):.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else "0"
    return str(value)


def drawing_svg(drawing: Drawing, width: int = WIDTH, height: int = HEIGHT) -> str:
    """The figure as the text of an SVG file of ``width`` px, its caption below."""
    sheet = Sheet((drawing.caption or drawing.title or "figure").splitlines()[0], drawing.caption, width, height)
    title = drawing.title.splitlines()[:3]
    left, right, top, bottom = 66, width - 20, 16 + 17 * max(2, len(title)), height - 50
    (x0, x1), (y0, y1) = drawing.ranges

    def across(v):
        return left + (np.asarray(v, dtype=float) - x0) / (x1 - x0) * (right - left)

    scale = np.log10 if drawing.y_log else np.asarray
    y0, y1 = float(scale(y0)), float(scale(y1))

    def up(v):
        with np.errstate(divide="ignore", invalid="ignore"):
            return bottom - (scale(np.asarray(v, dtype=float)) - y0) / (y1 - y0) * (bottom - top)

    for i, line in enumerate(title):
        style = {"font_size": 12, "fill": SOFT} if i else {"font_size": 13, "font_weight": 600, "fill": INK}
        sheet.text(left, 20 + 17 * i, line, **style)
    frame = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    sheet.add("rect", sheet.add("clipPath", sheet.add("defs"), id="frame"), **frame)
    marks = sheet.add("g", fill=INK, font_size=11)
    for value, words in drawing.x_ticks or ticks(x0, x1, (right - left) / 80):
        at = float(across(value))
        sheet.add("path", marks, d=f"M{at:.1f} {top}V{bottom}", stroke=GRID)
        sheet.text(at, bottom + 16, words, marks, text_anchor="middle")
    for value, words in log_ticks(y0, y1) if drawing.y_log else ticks(y0, y1, (bottom - top) / 50):
        at = float(up(value))
        sheet.add("path", marks, d=f"M{left} {at:.1f}H{right}", stroke=GRID)
        sheet.text(left - 7, at + 4, words, marks, text_anchor="end")
    style = {"fill": INK, "font_size": 13, "text_anchor": "middle"}
    sheet.text((left + right) / 2, height - 12, drawing.x_label, **style)
    place = f"translate(18 {(top + bottom) / 2:.1f}) rotate(-90)"
    sheet.text(0, 0, drawing.y_label, transform=place, **style)
    inner = sheet.add("g", clip_path="url(#frame)")
    for layer in drawing.layers:
        {Dots: _dots, Cells: _cells, Curve: _curve}[type(layer)](sheet, inner, layer, across, up)
    sheet.add("rect", fill="none", stroke=FRAME, **frame)
    return sheet.svg()


def _group(sheet: Sheet, inner: ET.Element, name: str, **props: object) -> ET.Element:
    group = sheet.add("g", inner, **props)
    if name:
        sheet.add("title", group).text = clean(name)
    return group


def _dots(sheet: Sheet, inner: ET.Element, layer: Dots, across, up) -> None:
    style = {"fill": layer.colour, "fill_opacity": layer.opacity}
    if layer.hollow:
        style = {"fill": "none", "stroke": layer.colour, "stroke_width": 2.2}
    group = _group(sheet, inner, layer.name, **style)
    known = np.isfinite(layer.x) & np.isfinite(layer.y)
    radius = _number(layer.size / 2)
    for cx, cy in zip(across(layer.x[known]).tolist(), up(layer.y[known]).tolist(), strict=True):
        ET.SubElement(group, "circle", {"cx": f"{cx:.2f}", "cy": f"{cy:.2f}", "r": radius})


def _cells(sheet: Sheet, inner: ET.Element, layer: Cells, across, up) -> None:
    (x0, x1), (y0, y1) = layer.ranges
    picture = base64.b64encode(png_bytes(cell_pixels(layer))).decode("ascii")
    at = {"x": float(across(x0)), "y": float(up(y1))}
    sheet.add(
        "image",
        _group(sheet, inner, layer.name),
        **at,
        width=float(across(x1)) - at["x"],
        height=float(up(y0)) - at["y"],
        preserveAspectRatio="none",
        style="image-rendering:pixelated",
        href=f"data:image/png;base64,{picture}",
    )


def _curve(sheet: Sheet, inner: ET.Element, layer: Curve, across, up) -> None:
    places = zip(across(layer.x).tolist(), up(layer.y).tolist(), strict=True)
    points = [f"{x:.2f} {y:.2f}" for x, y in places if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return
    group = _group(sheet, inner, layer.name)
    line = {"fill": "none", "stroke": layer.colour, "stroke_width": layer.width, "stroke_opacity": layer.opacity}
    sheet.add("path", group, d="M" + "L".join(points), stroke_dasharray=layer.dash or None, **line)


POSITIVE, NEGATIVE = "#ff7054", "#54a8ff"  # as over the galaxy on the page: to be seen on a dark sky


def picture_svg(picture: Picture, side: int = 420) -> str:
    """A galaxy with its contribution map, the lines of ``text`` and the caption below, as the text of an SVG file."""
    height, width = picture.size
    scale = side / max(height, width)
    wide, high = width * scale, height * scale
    lines = [part for line in picture.text for part in wrapped(clean(line), (WIDTH - 32) / 12)]
    sheet = Sheet(picture.title, picture.caption, WIDTH, int(high) + 64 + 17 * len(lines))
    sheet.text(16, 24, picture.title, font_size=13, font_weight=600, fill=INK)
    data = base64.b64encode(picture.jpeg).decode("ascii")
    at = {"x": 16.0, "y": 38.0}
    sheet.add("image", **at, width=wide, height=high, href=f"data:image/jpeg;base64,{data}")
    if picture.cells.size:
        rows, columns = picture.cells.shape
        box = wide * picture.share[0], high * picture.share[1]
        corner = at["x"] + (wide - box[0]) / 2, at["y"] + (high - box[1]) / 2
        group = sheet.add("g", shape_rendering="crispEdges")
        largest = max(float(np.abs(picture.cells).max()), 1e-12)
        for (i, j), value in np.ndenumerate(picture.cells):
            sheet.add(
                "rect",
                group,
                x=corner[0] + j * box[0] / columns,
                y=corner[1] + i * box[1] / rows,
                width=box[0] / columns,
                height=box[1] / rows,
                fill=NEGATIVE if value < 0 else POSITIVE,
                fill_opacity=f"{0.5 * abs(float(value)) / largest:.3f}",
            )
        frame = {"x": corner[0], "y": corner[1], "width": box[0], "height": box[1]}
        sheet.add("rect", fill="none", stroke="#ffffff", stroke_opacity=0.6, stroke_dasharray="4 3", **frame)
    for i, line in enumerate(lines):
        sheet.text(16, at["y"] + high + 22 + 17 * i, line, fill=INK)
    return sheet.svg()
