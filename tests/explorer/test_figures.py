"""Files of figures hold what the page shows, and their captions the facts; messages for them are checked."""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from sfnet_core.explorer.explore.figures import Figures
from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset
from sfnet_core.explorer.shared.saving import permalink
from sfnet_core.explorer.shared.state import pack_rows
from sfnet_core.figures.plot import FORMATS, Dots, Drawing, render
from sfnet_core.utils.errors import SFNetError

SVG, DESCRIPTION = "{http://www.w3.org/2000/svg}", "{http://purl.org/dc/elements/1.1/}description"
HTML = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def built() -> Explorer:
    return Explorer(sample_codes(), sample_dataset(), title="embedded sample")


@pytest.fixture
def page(built) -> Explorer:
    built.state.change(**built._defaults)
    built.header.dismiss()
    return built


@pytest.fixture(scope="module")
def large(made_up) -> Explorer:
    page = Explorer(made_up(7000, features=16))
    page.state.change(split="")
    return page


def layers(figure: Drawing) -> dict[str, Any]:
    """The figure's layers by name."""
    return {layer.name: layer for layer in figure.layers}


def drawn(layer: Dots) -> int:
    """How many points of a layer have a place."""
    return int((np.isfinite(layer.x) & np.isfinite(layer.y)).sum())


# -- what is drawn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
def test_a_plot_has_a_circle_for_each_galaxy_in_view(page, number):
    axes = page.plots.axes(number)
    (x0, x1), (y0, y1) = page.plots.panels[number].ranges
    n = int(((axes.x >= x0) & (axes.x <= x1) & (axes.y >= y0) & (axes.y <= y1)).sum())
    found = layers(page.plots.drawing(number))
    assert drawn(found["galaxies"]) == n and drawn(found["selected galaxies"]) == 0
    rows = page.scene.rows("validation")[:30]
    page.state.change(selection=pack_rows(rows))
    found = layers(page.plots.drawing(number))
    assert drawn(found["galaxies"]) + drawn(found["selected galaxies"]) == n
    assert 0 < drawn(found["selected galaxies"]) <= 30
    at = np.array([page.plots.focus.data[f"{axis}{number}"][0] for axis in "xy"])
    assert drawn(found["galaxy in focus"]) == int(np.isfinite(at).all())
    assert ("Ring: galaxy" in page.figures.caption(f"plot-{number}")) == bool(np.isfinite(at).all())


def test_a_plot_is_drawn_as_far_as_it_is_in_sight(page):
    panel, axes = page.plots.panels[1], page.plots.axes(1)
    panel.figure.x_range.update(start=8.6, end=8.8)
    n = int(((axes.x >= 8.6) & (axes.x <= 8.8) & (axes.y >= panel.ranges[1][0]) & (axes.y <= panel.ranges[1][1])).sum())
    figure = page.plots.drawing(1)
    assert 0 < n < len(axes.x) and drawn(layers(figure)["galaxies"]) == n
    assert (figure.x_label, figure.y_label) == (axes.x_label, axes.y_label) and figure.ranges[0] == (8.6, 8.8)
    assert "Shown: x from 8.6 to 8.8" in page.figures.caption("plot-1")
    panel.figure.x_range.update(start=panel.ranges[0][0], end=panel.ranges[0][1])
    assert "Shown" not in page.figures.caption("plot-1")


def test_a_density_is_an_image_and_a_zoomed_one_points(large):
    figure = large.plots.drawing(1)
    x, y = (values[np.isfinite(values)] for values in (large.plots.axes(1).x, large.plots.axes(1).y))
    assert layers(figure)["galaxies per cell"].counts.sum() == len(x) == len(y) and "galaxies" not in layers(figure)
    assert figure.scale == "galaxies per cell"
    assert "logarithmic scale" in large.figures.caption("plot-1")
    rows = np.arange(40)
    large.state.change(selection=pack_rows(rows))
    assert drawn(layers(large.plots.drawing(1))["selected galaxies"]) == 40
    large.state.change(selection=pack_rows(np.arange(3000)))
    assert layers(large.plots.drawing(1))["selected galaxies per cell"].counts.sum() == 3000
    large.state.change(selection=b"")
    panel = large.plots.panels[1]
    panel.figure.x_range.update(start=8.8, end=8.9)
    assert panel.near.visible
    assert drawn(layers(large.plots.drawing(1))["galaxies"]) == len(panel.near.data_source.data["x1"])
    panel.figure.x_range.update(start=panel.ranges[0][0], end=panel.ranges[0][1])


def test_guide_lines_come_along(page):
    page.state.change(third="residual_z", fourth="bpt")
    names = [set(layers(page.plots.drawing(number))) for number in range(4)]
    assert "predicted = true" in names[1] and "no residual" in names[2]
    assert {"Kauffmann et al. 2003", "Kewley et al. 2001"} <= names[3]
    assert "Solid line: Kauffmann et al. 2003; dashed: Kewley et al. 2001" in page.figures.caption("plot-3")


def test_rmse_against_k_and_the_galaxy_with_its_map(page):
    gate = layers(page.figures.figure("gate"))
    assert drawn(gate["RMSE"]) == len(page.k_slider.data["rmse"]) and drawn(gate["k = 4"]) == 1
    picture = page.figures.figure("picture")
    np.testing.assert_array_equal(picture.cells, page.inspector.data["cells"])
    assert picture.text[0] == page.inspector.data["sum"] and picture.scale.endswith("[dex]")
    page.state.change(galaxy=-1)
    assert "picture" not in page.figures.names()
    with pytest.raises(SFNetError, match="no figure 'picture'"):
        page.figures.figure("picture")


# -- what is said --------------------------------------------------------------------------------------------------


def test_a_caption_says_what_the_figure_is_of(page):
    codes = page.codes
    page.state.change(filter="oh_p50 > 8.5", off={3}, selection=pack_rows(page.scene.view(page.state)[:7]))
    page.state.change(selection=pack_rows(page.scene.view(page.state)[:7]))
    n = int(((codes.split == "validation") & (codes.truth() > 8.5)).sum())
    facts = page.figures.caption("plot-1").split("\n")
    assert facts[0].startswith("predicted 12+log(O/H) against true 12+log(O/H): RMSE ")
    assert facts[1] == f"{n} simulated galaxies, validation split"
    assert facts[2] == "Filter: oh_p50 > 8.5"
    assert "x: true 12+log(O/H) [dex]; y: predicted 12+log(O/H) [dex]" in facts
    assert "Orange: the 7 selected galaxies" in facts and f"Ring: galaxy {codes.ids[page.state.galaxy]}" in facts
    assert "Features off (ablate): f3" in facts
    assert any(fact.endswith(f"codes {codes.fingerprint[:12]}") and fact.startswith("Data: ") for fact in facts)
    assert any("k = 4 of 128 features" in fact and "oh_p50 [dex]" in fact for fact in facts)
    assert facts[-1] == f"?{page.query}" and "filter=" in facts[-1]
    assert "Features off" not in page.figures.caption("plot-2")  # true values do not change with switches
    page.state.change(k=2)
    assert "Gate at k = 2 here; the weights were trained for k = 1 to 12" in page.figures.caption("plot-2")
    assert "Marked: k = 2; the weights were trained for k = 1 to 12" in page.figures.caption("gate")


def test_a_caption_has_the_whole_label_of_a_feature(page):
    label = "dusty discs seen edge-on, where the lane is clear"
    page.labels.book.set_feature(page.state.feature, label=label)
    page.state.labels_changed()
    assert f"Feature: f{page.state.feature} · {label}" in page.figures.caption("plot-0").split("\n")
    assert "Feature:" not in page.figures.caption("plot-1")
    page.labels.book.set_feature(page.state.feature, label="")
    page.state.labels_changed()
    assert "Feature:" not in page.figures.caption("plot-0")


def test_the_caption_is_in_the_file(page, tmp_path):
    for key in page.figures.names():
        root = ET.fromstring(page.save_figure(tmp_path / "x.svg", key).read_bytes())
        assert root.findtext(f".//{DESCRIPTION}") == page.figures.caption(key)
        (below,) = [group for group in root.iter(f"{SVG}g") if group.get("id") == "caption"]
        written = "".join("".join(node.text or "" for node in below.iter(f"{SVG}text")).split())
        for fact in page.figures.caption(key).split("\n"):
            assert "".join(fact.split()) in written


def test_t10_names_and_labels_stay_text_in_files(gated, tmp_path):
    page = Explorer(
        gated(
            np.random.default_rng(0).random((6, 4)), [1, -1, 0.5, 2], 8, 2, 1, ids=[f"{HTML}{i}" for i in range(6)],
            columns={"z": np.arange(6.0)}, column_units={"z": HTML}, truth=np.arange(6.0), provenance={"dataset": HTML},
        )
    )  # fmt: skip
    page.labels.book.set_feature(page.state.feature, label=HTML)
    page.state.labels_changed()
    page.state.change(third="residual_z", selection=pack_rows([0, 1]))
    for key in page.figures.names():
        root = ET.fromstring(page.save_figure(tmp_path / "x.svg", key).read_bytes())
        assert not {"img", "script", "a"} & {node.tag.rpartition("}")[2] for node in root.iter()}
        assert HTML in root.findtext(f".//{DESCRIPTION}")
    assert f"Ring: galaxy {HTML}" in page.figures.caption("plot-2")


# -- the Python door and the messages ------------------------------------------------------------------------------


def test_figures_are_saved_from_python(page, tmp_path):
    saved = page.save_figure(tmp_path / "x.svg", plot=2).read_bytes()
    assert saved == render(page.figures.figure(2), "svg", page.figures.caption("plot-2"))
    assert page.save_figure(tmp_path / "x.txt", "gate").read_text("utf-8") == page.figures.caption("gate") + "\n"
    page.save_figure(tmp_path / "galaxy.PDF", "picture")
    assert page.save_figure(tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    for name, plot, said in (("x.jpg", 0, "pdf"), ("x", 0, "svg"), ("y.svg", 4, "plot-3"), ("y.svg", "<b>", "gate")):
        with pytest.raises(SFNetError, match=said):
            page.save_figure(tmp_path / name, plot)
    assert not (tmp_path / "y.svg").exists()


@pytest.fixture
def sent(monkeypatch) -> list:
    out = []
    monkeypatch.setattr(Figures, "send", lambda self, content, buffers=None: out.append((content, buffers)))
    return out


@pytest.mark.parametrize("kind", FORMATS)
def test_the_browser_gets_the_file_it_asks_for(page, sent, kind):
    message = {
        "do": "save",
        "figure": "plot-0",
        "format": kind,
        "link": "http://127.0.0.1:8866/voila/render/explore.ipynb",
    }
    page.state.change(sort="residual")
    page.figures._receive(None, message, [])
    ((content, (saved,)),) = sent
    caption = page.figures.caption("plot-0", f"http://127.0.0.1:8866/voila/render/explore.ipynb?{page.query}")
    assert caption.endswith("explore.ipynb?sort=residual")
    assert saved == render(page.figures.figure("plot-0"), kind, caption)
    name = f"sfnet-true-12-log-o-h-against-activation-of-f{page.state.feature}.{kind}"
    assert content == {"file": name}


@pytest.mark.parametrize(
    "message",
    [
        {}, {"figure": "plot-0"}, {"figure": "plot-0", "format": "png"},
        {"figure": "plot-9", "format": "png", "link": ""}, {"figure": "../x", "format": "svg", "link": ""},
        {"figure": 0, "format": "svg", "link": ""}, {"figure": ["plot-0"], "format": "svg", "link": ""},
        {"figure": "plot-0", "format": "exe", "link": ""}, {"figure": "plot-0", "format": None, "link": ""},
        {"figure": "plot-0", "format": "svg", "link": "x" * 10**6}, {"figure": "plot-0", "format": "svg", "link": 5},
    ],
    ids=str,
)  # fmt: skip
def test_t3_a_message_that_is_none_sends_nothing(page, sent, message, caplog):
    caplog.set_level(logging.CRITICAL)
    values = page.state.values()
    page.figures._receive(None, {"do": "save", **message}, [])
    assert sent == [] and page.state.values() == values


def test_a_permalink_has_the_pages_address_and_no_token():
    assert (
        permalink("https://hub.example/voila/x.ipynb?token=secret#y", "a=1") == "https://hub.example/voila/x.ipynb?a=1"
    )
    assert permalink("https://me:secret@hub.example/x", "") == "https://hub.example/x"
    for strange in ("", "javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "//host/x"):
        assert permalink(strange, "a=1") == "?a=1" and permalink(strange, "") == ""
