"""Figures as files: every point at its place, texts as they are, the caption in the file, the same bytes each time."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sfnet_core.figures.plot import Bars, Cells, Curve, Dots, Drawing, Picture, render, save_figure
from sfnet_core.utils.errors import SFNetError

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
HOSTILE = '<img src=x onerror="alert(1)">&amp; ]]> --> $\\frac{1}{0}$ $$x$$ <script>alert(1)</script> \\n %s \x00'
RANGES = ((-1.0, 3.0), (10.0, 20.0))


def drawing(layers=(), **more) -> Drawing:
    given = {"title": "a title\nn = 3", "x_label": "x [dex]", "y_label": "y [kpc]", "ranges": RANGES}
    return Drawing(**{**given, "layers": list(layers), **more})


def parsed(figure, caption: str = "") -> ET.Element:
    return ET.fromstring(render(figure, "svg", caption))


def texts(root: ET.Element) -> list[str]:
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def layer(root: ET.Element, name: str) -> ET.Element:
    (found,) = [node for node in root.iter() if node.get("id") == name]
    return found


def places(root: ET.Element, name: str) -> np.ndarray:
    """(n, 2): where the marks of a layer are, in pt."""
    return np.array([[float(use.get(axis)) for axis in "xy"] for use in layer(root, name).iter(f"{SVG}use")])


def test_every_point_is_where_numpy_puts_it():
    x, y = np.array([-1.0, 0.0, 3.0, np.nan, 1.0]), np.array([10.0, 15.0, 20.0, 12.0, np.inf])
    corners = Dots(np.array([-1.0, 3.0]), np.array([10.0, 20.0]), name="corners")
    root = parsed(drawing([Dots(x, y, "#e08e00", 0.9, size=6, name="selected galaxies"), corners]))
    low, high = places(root, "corners")
    expected = low + np.stack([(x[:3] + 1) / 4, (y[:3] - 10) / 10], axis=1) * (high - low)
    np.testing.assert_allclose(places(root, "selected-galaxies"), expected, atol=1e-4)
    assert "#e08e00" in layer(root, "selected-galaxies").find(f".//{SVG}use").get("style")


def test_a_line_passes_over_what_is_not_known_and_bars_have_their_ends():
    y = np.array([12.0, np.nan, 14.0, 15.0])
    bars = Bars(np.arange(3.0), np.array([11.0, np.nan, 12.0]), np.array([13.0, 14.0, 15.0]), name="95 %")
    root = parsed(drawing([Curve(np.arange(4.0), y, "4 3", name="a line"), bars]))
    (path,) = layer(root, "a-line").iter(f"{SVG}path")
    assert path.get("d").count("L") == 2 and "stroke-dasharray" in path.get("style")
    assert len(list(layer(root, "95").iter(f"{SVG}path"))) == 2  # a bar each where both ends are known


def test_a_density_is_an_image_of_its_counts_with_its_scale():
    counts = np.random.default_rng(0).poisson(2, (9, 12))
    palette = [f"#{i:02x}{i:02x}{255 - i:02x}" for i in range(0, 250, 10)]
    root = parsed(drawing([Cells(counts, RANGES, palette, "galaxies per cell")], scale="galaxies per cell"))
    kind, data = layer(root, "galaxies-per-cell").get(LINK).split(",")
    assert kind == "data:image/png;base64" and "galaxies per cell" in texts(root)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    assert pixels.shape == (9, 12, 4)
    shown = pixels if np.array_equal(pixels[..., 3] > 0, counts > 0) else pixels[::-1]
    assert np.array_equal(shown[..., 3] > 0, counts > 0)
    order = np.argsort(counts[counts > 0], kind="stable")
    assert (np.diff(shown[..., 0][counts > 0][order].astype(int)) >= 0).all()  # more galaxies, further along
    parsed(drawing([Cells(np.zeros((2, 2)), RANGES, palette)], scale="galaxies per cell"))


def test_points_with_a_shade_have_a_colour_scale():
    x, y = np.arange(3.0), np.array([12.0, 13.0, 14.0])
    root = parsed(drawing([Dots(x, y, name="fires", shade=np.array([0.0, 0.5, 1.0]))], scale="a / max a"))
    colours = [use.get("style") for use in layer(root, "fires").iter(f"{SVG}use")]
    assert len(set(colours)) == 3 and "#440154" in colours[0] and "#fde725" in colours[2] and "a / max a" in texts(root)


def test_labels_title_legend_and_ticks_are_texts_of_the_file():
    layers = [Curve(np.arange(3.0), np.full(3, 12.0), name="training", marker=4), Dots(np.zeros(1), np.zeros(1))]
    words = texts(parsed(drawing(layers, legend=True, x_ticks=[0, 2])))
    assert {"a title", "n = 3", "x [dex]", "y [kpc]", "training", "0", "2", "20"} <= set(words)


@pytest.mark.parametrize(
    ("ends", "expected"), [((0.05, 60.0), {"0.1", "1", "10"}), ((0.8, 6.0), {"1", "2", "5"}), ((3.5, 6.5), {"4", "5"})]
)
def test_a_logarithmic_axis_has_plain_numbers(ends, expected):
    y = np.geomspace(*ends, 3)
    root = parsed(drawing([Dots(np.zeros(3), y, name="loss")], ranges=((-1, 1), ends), y_log=True))
    assert expected <= set(texts(root)) and not any("$" in word or "^" in word for word in texts(root))
    assert np.ptp(np.diff(places(root, "loss")[:, 1])) < 1e-3  # even steps


@settings(max_examples=15, deadline=None)
@given(words=st.text(max_size=120))
def test_t10_any_text_is_a_text(words):
    """Titles, labels, captions, names of layers: the file is XML with no element that a text brought along."""
    known = {"svg", "title", "metadata", "RDF", "Work", "type", "description", "format", "creator", "Agent"}
    known |= {"defs", "style", "g", "path", "text", "use", "clipPath", "rect", "tspan"}
    layers = [Dots(np.zeros(1), np.full(1, 15.0), "#123456", name=words)]
    root = parsed(drawing(layers, title=words, x_label=words, y_label=words, legend=True), words)
    assert {node.tag.rpartition("}")[2] for node in root.iter()} <= known
    assert not [name for node in root.iter() for name in node.attrib if name.startswith("on")]


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_t10_hostile_texts_stand_there_literally(kind):
    figure = drawing([Dots(np.zeros(1), np.full(1, 15.0), name=HOSTILE)], title=HOSTILE, x_label=HOSTILE, legend=True)
    content = render(figure, kind, HOSTILE)
    if kind == "svg":
        root = ET.fromstring(content)
        assert "$\\frac{1}{0}$" in " ".join(texts(root)) and not list(root.iter(f"{SVG}script"))
        assert "<script>alert(1)</script>" in root.findtext(f".//{DESCRIPTION}")
        assert "\x00" not in root.findtext(f".//{DESCRIPTION}")


def test_nothing_in_a_file_is_asked_for_elsewhere():
    layers = [Cells(np.ones((2, 2)), RANGES, ("#000000", "#ffffff")), Dots(np.zeros(2), np.full(2, 12.0))]
    root = parsed(drawing(layers), "a caption\nhttp://127.0.0.1/x")
    links = [v for node in root.iter() for k, v in node.attrib.items() if k.endswith("href") or "url(" in v]
    assert links and all(v.startswith(("data:", "url(#", "#")) for v in links)


def test_the_caption_is_below_the_figure_and_whole_in_the_file():
    caption = "What it is\n240 simulated galaxies, validation split\n\nhttps://host/?selection=" + "Ab0" * 300
    root, bare = parsed(drawing(), caption), parsed(drawing())
    assert root.findtext(f".//{DESCRIPTION}") == caption and root.findtext(f"{SVG}title") == "What it is"
    lines = [node.text for node in layer(root, "caption").iter(f"{SVG}text")]
    assert lines[:2] == caption.split("\n")[:2] and lines[-1].endswith("…") and len(lines) < 9
    heights = [float(one.get("height").removesuffix("pt")) for one in (root, bare)]
    assert heights[0] > heights[1] + 50 and root.get("width") == bare.get("width") == "480pt"
    png = Image.open(io.BytesIO(render(drawing(), "png", caption)))
    assert png.text["Description"] == caption and png.width == 2 * 640
    pdf = render(drawing(), "pdf", caption)
    assert pdf.startswith(b"%PDF") and b"/CreationDate" not in pdf and b"/Subject" in pdf
    assert render(drawing(), "txt", caption).decode() == caption + "\n"


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_same_figure_is_the_same_file(kind):
    figure = drawing([Dots(np.arange(3.0), np.array([11.0, 12, 13]), name="galaxies")])
    assert render(figure, kind, "a caption") == render(figure, kind, "a caption")


def test_several_drawings_stand_one_below_the_other():
    each = [drawing([Dots(np.zeros(1), np.full(1, 15.0), name="galaxies")], title=f"target {i}") for i in range(3)]
    root = parsed(each)
    at = [places(root, name)[0, 1] for name in ("galaxies", "galaxies-1", "galaxies-2")]
    assert {"target 0", "target 1", "target 2"} <= set(texts(root)) and (np.diff(at) > 200).all()


def test_a_galaxy_with_its_map():
    """Cells over the middle that the network sees; red adds and blue subtracts, the more the larger."""
    jpeg = io.BytesIO()
    Image.fromarray(np.full((40, 80, 3), 10, dtype=np.uint8)).save(jpeg, "JPEG")
    cells = np.array([[0.02, -0.01], [0.0, 0.005]])
    picture = Picture("Galaxy g1", jpeg.getvalue(), cells, (0.5, 0.5), ["8.5 + 0.015 = 8.515 dex"], "per cell [dex]")
    root = parsed(picture, "caption")
    assert {"Galaxy g1", "8.5 + 0.015 = 8.515 dex", "caption", "per cell [dex]"} <= set(texts(root))
    assert layer(root, "galaxy") is not None and layer(root, "contribution-map") is not None
    pixels = np.asarray(Image.open(io.BytesIO(render(picture, "png"))).convert("RGB")).astype(int)
    x0, y0, wide, high = 32, 76, 840, 420  # where the picture is, in px of the PNG
    at = {(i, j): pixels[y0 + int(high * (0.375 + 0.25 * i)), x0 + int(wide * (0.375 + 0.25 * j))]
          for i in (0, 1) for j in (0, 1)}  # fmt: skip
    assert at[0, 0][0] > at[0, 0][2] + 60 and at[0, 1][2] > at[0, 1][0] + 30  # red, blue
    assert np.ptp(at[1, 0]) < 12 and 0 < at[1, 1][0] - at[1, 0][0] < at[0, 0][0] - at[1, 0][0]  # nothing, a little red
    assert pixels[y0 + 20, x0 + 20].max() < 20  # outside of what the network sees
    parsed(Picture("Galaxy g2", jpeg.getvalue()))


def test_files_are_written_by_their_ending(tmp_path):
    figure = drawing([Dots(np.zeros(1), np.full(1, 12.0))])
    for name, start in (("x.svg", b"<?xml"), ("x.PDF", b"%PDF"), ("x.png", b"\x89PNG"), ("x.txt", b"words\n")):
        assert save_figure(tmp_path / name, figure, "words").read_bytes().startswith(start)
    for name in ("x.jpg", "x"):
        with pytest.raises(SFNetError, match="svg, pdf, png, txt"):
            save_figure(tmp_path / name, figure)
        assert not (tmp_path / name).exists()


def test_a_users_own_settings_of_matplotlib_neither_matter_nor_change():
    import matplotlib

    figure = drawing([Dots(np.arange(3.0), np.array([11.0, 12, 13]))])
    first = render(figure)
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "savefig.transparent": True, "axes.grid": False}):
        before = dict(matplotlib.rcParams)
        assert render(figure) == first
        assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_one_sentence_says_what_to_install():
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import sfnet_core.explorer.explore.page, sfnet_core.explorer.train.page, sfnet_core.reports.paper.document\n"
        "from sfnet_core.figures.plot import Drawing, render\n"
        "from sfnet_core.utils.errors import SFNetError\n"
        "try:\n    render(Drawing('', '', '', ((0, 1), (0, 1)), []))\n"
        "except SFNetError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "sfnet-core[figures]" in done.stdout and len(done.stdout.splitlines()) == 1


def test_pages_do_not_load_matplotlib_when_they_open():
    program = (
        "import sys, sfnet_core.explorer.explore.page, sfnet_core.explorer.atlas.page\n"
        "import sfnet_core.explorer.your_galaxy.page, sfnet_core.explorer.train.page\n"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
