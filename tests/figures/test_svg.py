"""Figures as SVG: XML whatever stands in a label, a circle for each point where numpy puts it, cells as an image."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sfnet_core.figures.svg import WIDTH, Cells, Curve, Dots, Drawing, Picture, cell_pixels, drawing_svg, picture_svg
from sfnet_core.figures.svg_text import log_ticks, ticks, wrapped

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<img src=x onerror="alert(1)">&amp; ]]> <!-- \x00\x08\ud800\uffff <script>alert(1)</script> $$x$$'
RANGES = ((-1.0, 3.0), (10.0, 20.0))


def drawing(layers=(), **more) -> Drawing:
    given = {"title": "a title\nn = 3", "x_label": "x [dex]", "y_label": "y", "ranges": RANGES, "layers": list(layers)}
    return Drawing(**{**given, **more})


def parsed(svg: str) -> ET.Element:
    svg.encode("utf-8")  # it can be written
    return ET.fromstring(svg)


def texts(root: ET.Element) -> list[str]:
    return [node.text for node in root.iter(f"{SVG}text")]


def frame(root: ET.Element) -> tuple[float, float, float, float]:
    """x, y, width and height of the data's frame, in px."""
    box = root.find(f".//{SVG}clipPath/{SVG}rect").attrib
    return tuple(float(box[name]) for name in ("x", "y", "width", "height"))


def place(root: ET.Element, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where numpy puts points: (n, 2) px."""
    left, top, width, height = frame(root)
    (x0, x1), (y0, y1) = RANGES
    return np.stack([left + (x - x0) / (x1 - x0) * width, top + (y1 - y) / (y1 - y0) * height], axis=1)


def test_a_point_is_a_circle_at_its_place():
    x, y = np.array([-1.0, 0.0, 3.0, np.nan, 1.0]), np.array([10.0, 15.0, 20.0, 12.0, np.inf])
    root = parsed(drawing_svg(drawing([Dots(x, y, "#e08e00", 0.9, size=6, name="selected")])))
    circles = root.findall(f".//{SVG}circle")
    found = np.array([[float(c.get("cx")), float(c.get("cy"))] for c in circles])
    assert np.allclose(found, place(root, x[:3], y[:3]), atol=0.006)
    assert {c.get("r") for c in circles} == {"3"}
    group = root.find(f".//{SVG}g[@fill='#e08e00']")
    assert group.find(f"{SVG}title").text == "selected" and group.get("fill-opacity") == "0.9"


def test_a_line_goes_through_its_points_and_stays_in_the_frame():
    x, y = np.linspace(-5, 5, 7), np.linspace(0, 30, 7)
    root = parsed(drawing_svg(drawing([Curve(x, y, "4 3", name="a line")])))
    (path,) = [p for p in root.iter(f"{SVG}path") if p.get("stroke-dasharray") == "4 3"]
    found = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.get("d")), dtype=float)
    assert np.allclose(found, place(root, x, y), atol=0.006)
    clipped = root.find(f".//{SVG}g[@clip-path]")
    assert clipped.get("clip-path") == f"url(#{root.find(f'.//{SVG}clipPath').get('id')})"
    assert path in list(clipped.iter())


def test_a_density_is_an_image_of_its_counts():
    counts = np.random.default_rng(0).poisson(2, (9, 12))
    palette = tuple(f"#{i:02x}{i:02x}{255 - i:02x}" for i in range(0, 250, 10))
    root = parsed(drawing_svg(drawing([Cells(counts, RANGES, palette)])))
    image = root.find(f".//{SVG}image")
    left, top, width, height = frame(root)
    box = [float(image.get(name)) for name in ("x", "y", "width", "height")]
    assert np.allclose(box, [left, top, width, height], atol=0.006)
    kind, data = image.get("href").split(",")
    assert kind == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    assert pixels.shape == (9, 12, 4) and np.array_equal(pixels[..., 3] > 0, counts[::-1] > 0)  # the highest row first
    order = np.argsort(counts[::-1][counts[::-1] > 0], kind="stable")
    assert (np.diff(pixels[..., 0][counts[::-1] > 0][order].astype(int)) >= 0).all()  # more galaxies, further along
    assert pixels[..., 0].max() == 240
    assert not cell_pixels(Cells(np.zeros((2, 2)), RANGES, palette))[..., 3].any()


@settings(max_examples=40, deadline=None)
@given(words=st.text(max_size=300))
def test_t10_any_text_is_a_text(words):
    """Titles, labels, captions, names of layers: the file is XML with no element that a text brought along."""
    layers = [Dots(np.zeros(1), np.full(1, 15.0), "#123456", name=words)]
    plain = parsed(drawing_svg(drawing([Dots(np.zeros(1), np.full(1, 15.0), "#123456", name="x")])))
    root = parsed(drawing_svg(drawing(layers, title=words, x_label=words, y_label=words)))
    kinds = [node.tag for node in root.iter() if node.tag not in (f"{SVG}text", f"{SVG}title")]
    assert kinds == [node.tag for node in plain.iter() if node.tag not in (f"{SVG}text", f"{SVG}title")]
    assert {name for node in root.iter() for name in node.attrib if name.startswith("on")} == set()
    parsed(drawing_svg(drawing(caption=words)))


def test_t10_hostile_texts_stand_there_literally():
    root = parsed(drawing_svg(drawing(title=HOSTILE, x_label=HOSTILE, y_label=HOSTILE, caption=HOSTILE)))
    assert not list(root.iter(f"{SVG}script")) and not list(root.iter(f"{SVG}img"))
    assert any(text.startswith('<img src=x onerror="alert(1)">&amp; ]]> <!-- ') for text in texts(root))
    assert "<script>alert(1)</script>" in root.find(f"{SVG}desc").text and "\x00" not in root.find(f"{SVG}desc").text
    picture = parsed(picture_svg(Picture(HOSTILE, b"\xff\xd8", (4, 4), np.ones((2, 2)), text=[HOSTILE])))
    assert not list(picture.iter(f"{SVG}script")) and picture.find(f"{SVG}title").text.startswith("<img src=x")


def test_nothing_in_a_file_is_asked_for_elsewhere():
    """Every address in it is data or a place in the same file."""
    layers = [Cells(np.ones((2, 2)), RANGES, ("#000000", "#ffffff")), Curve(np.zeros(2), np.ones(2))]
    svg = drawing_svg(drawing(layers, caption="a caption\nhttp://127.0.0.1/x"))
    root = parsed(svg)
    links = [v for node in root.iter() for k, v in node.attrib.items() if k.endswith("href") or "url(" in v]
    assert links and all(v.startswith(("data:", "url(#")) for v in links)


def test_the_caption_is_below_the_figure_and_in_its_description():
    caption = "What it is\n240 simulated galaxies, validation split\n\nSFNet, 2026-01-01"
    with_it, without = parsed(drawing_svg(drawing(caption=caption))), parsed(drawing_svg(drawing()))
    assert with_it.find(f"{SVG}desc").text == caption and with_it.find(f"{SVG}title").text == "What it is"
    lines = list(with_it.find(f"{SVG}g[@class='caption']"))
    assert [node.text or "" for node in lines] == caption.split("\n")
    assert min(float(node.get("y")) for node in lines) > frame(with_it)[1] + frame(with_it)[3] + 30
    assert max(float(node.get("y")) for node in lines) < float(with_it.get("height"))
    assert float(with_it.get("height")) > float(without.get("height"))
    assert with_it.get("viewBox") == f"0 0 {WIDTH} {with_it.get('height')}"


@settings(max_examples=80, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]) | st.just(" "), max_size=200))
def test_wrapping_loses_nothing(text):
    lines = wrapped(text, wide=12, most=10**6)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(len(line) <= 31 for line in lines)  # the narrowest letters count 0.4 of the size


def test_a_long_fact_ends_in_an_ellipsis():
    lines = wrapped("https://host/?selection=" + "Ab0" * 500 + "\nshort", wide=40, most=3)
    assert len(lines) == 4 and lines[2].endswith("…") and lines[3] == "short"


@settings(max_examples=100, deadline=None)
@given(low=st.floats(-1e8, 1e8), size=st.floats(1e-6, 1e8), wanted=st.floats(1, 12))
def test_ticks_are_round_inside_and_apart(low, size, wanted):
    high = low + size
    if not high > low + 1e-9 * abs(low):
        return
    found = ticks(low, high, wanted)
    values = np.array([value for value, _ in found])
    slack = 1e-6 * (high - low) + 1e-9 * max(abs(low), abs(high))
    assert (values >= low - slack).all() and (values <= high + slack).all()
    assert 0 < len(found) <= 2.6 * wanted + 2 or wanted < 3
    if len(values) > 1:
        steps = np.diff(values)
        assert np.allclose(steps, steps[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("low", "high", "wanted", "expected"),
    [
        (8.05, 9.2, 6, ["8.2", "8.4", "8.6", "8.8", "9.0", "9.2"]),
        (-1.05, 1.3, 5, ["\N{MINUS SIGN}1.0", "\N{MINUS SIGN}0.5", "0.0", "0.5", "1.0"]),
        (0, 10, 4, ["0.0", "2.5", "5.0", "7.5", "10.0"]),
        (0, 300, 3, ["0", "100", "200", "300"]),
    ],
)
def test_ticks_of_some_ranges(low, high, wanted, expected):
    assert [text for _, text in ticks(low, high, wanted)] == expected


@pytest.mark.parametrize("ends", [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)])
def test_a_range_that_is_none_has_no_ticks(ends):
    assert ticks(*ends, 5) == []


def test_a_galaxy_with_its_map():
    """Cells over the middle that the network sees, red adds and blue takes away, the more the larger."""
    cells = np.array([[0.02, -0.01], [0.0, 0.005]])
    picture = Picture(
        "Galaxy g1", b"\xff\xd8jpeg", (40, 80), cells, (0.5, 0.25), ["8.5 + 0.015 = 8.515 dex"], "caption"
    )
    root = parsed(picture_svg(picture, side=400))
    image = root.find(f"{SVG}image")
    assert base64.b64decode(image.get("href").split(",")[1]) == b"\xff\xd8jpeg"
    x, y, wide, high = (float(image.get(name)) for name in ("x", "y", "width", "height"))
    assert (wide, high) == (400, 200)
    group = root.find(f"{SVG}g[@shape-rendering]")
    boxes = [[float(r.get(name)) for name in ("x", "y", "width", "height")] for r in group]
    corner = x + (wide - 200) / 2, y + (high - 50) / 2
    assert np.allclose(boxes, [[corner[0] + j * 100, corner[1] + i * 25, 100, 25] for i in (0, 1) for j in (0, 1)])
    assert [r.get("fill") for r in group] == ["#ff7054", "#54a8ff", "#ff7054", "#ff7054"]
    assert [float(r.get("fill-opacity")) for r in group] == [0.5, 0.25, 0, 0.125]
    assert {"Galaxy g1", "8.5 + 0.015 = 8.515 dex", "caption"} == set(texts(root))


def test_a_logarithmic_axis():
    x, y = np.array([0.0, 1.0, 2.0]), np.array([10.0, 10 * np.sqrt(2), 20.0])
    root = parsed(drawing_svg(drawing([Dots(x, y, "#123456")], y_log=True)))
    _, top, _, height = frame(root)
    found = [float(c.get("cy")) for c in root.iter(f"{SVG}circle")]
    assert np.allclose(found, [top + height, top + height / 2, top], atol=0.006)
    assert [text for _, text in log_ticks(-1.0, 2.0)] == ["0.1", "1", "10", "100"]
    assert [text for _, text in log_ticks(-0.1, 0.8)] == ["1", "2", "5"]
    assert [text for _, text in log_ticks(0.5, 0.8)] == ["4", "5", "6"]


def test_a_line_passes_over_what_is_not_known():
    y = np.array([12.0, np.nan, 14.0])
    root = parsed(drawing_svg(drawing([Curve(np.arange(3.0), y, "1 1"), Curve(np.zeros(0), np.zeros(0), "2 2")])))
    (path,) = [p for p in root.iter(f"{SVG}path") if p.get("stroke-dasharray")]
    assert path.get("d").count("L") == 1 and "nan" not in path.get("d")
