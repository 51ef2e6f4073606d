"""Plots of a large table under the wheel and the lasso; the picture at the pointer; figures and regions as files."""

from __future__ import annotations

import io
import re
import runpy
import struct
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from plots import frames, lasso
from waiting import until

from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.atlas.saved import save_page
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset

SVG, DESCRIPTION = "{http://www.w3.org/2000/svg}", "{http://purl.org/dc/elements/1.1/}description"
simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]

# What the figures of the page hold now, from BokehJS itself: ranges and the sizes of the layers.
FIGURES = """() => {
  const found = [];
  const visit = (model, seen) => {
    if (!model || seen.has(model)) return;
    seen.add(model);
    if (model.type === "Figure" || model.type === "Plot") found.push(model);
    else for (const child of model.children || []) visit(Array.isArray(child) ? child[0] : child, seen);
  };
  for (const view of Object.values(Bokeh.index)) visit(view.model, new Set());
  return found.map((fig) => {
    const layers = fig.renderers.filter((r) => r.visible && (r.glyph?.type === "Scatter" || r.glyph?.type === "Image"));
    const points = layers.find((r) => r.glyph.type === "Scatter" && r.data_source.data.id);
    const image = layers.find((r) => r.glyph.type === "Image");
    return {
      title: fig.title.text,
      x: [fig.x_range.start, fig.x_range.end],
      y: [fig.y_range.start, fig.y_range.end],
      ids: points ? [...points.data_source.data.id] : null,
      selected: points ? points.data_source.selected.indices.map((i) => points.data_source.data.id[i]) : null,
      counted: image ? image.data_source.data.image[0].reduce((a, b) => a + b, 0) : null,
    };
  });
}"""


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.parquet"
    simulated_codes(20_000).save(path)
    return path


def in_sight(figure: dict, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    (x0, x1), (y0, y1) = figure["x"], figure["y"]
    return np.flatnonzero((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def test_the_wheel_turns_a_density_into_points_and_a_lasso_there_selects_everywhere(open_page, serve, large):
    codes = SparseCodes.open(large)
    truth, prediction = codes.truth(), codes.prediction()
    page = open_page(f"{serve(large)}&split=")
    page.wait_for_function("document.querySelector('.sf-status').textContent.includes('N 20,000')")
    first = page.evaluate(FIGURES)[1]
    assert first["ids"] is None and first["counted"] == len(in_sight(first, truth, prediction)) == 20_000

    box = frames(page)[1]
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"])
    page.wait_for_selector(".sf-tip:not([hidden])")
    count = int(re.search(r"^([\d,]+) galax", page.inner_text(".sf-tip"))[1].replace(",", ""))
    low, high = (float(v) for v in re.search(r"([\d.]+) to ([\d.]+) dex", page.inner_text(".sf-tip")).groups())
    column = np.count_nonzero((truth >= low - 1e-4) & (truth <= high + 1e-4))
    assert 0 < count <= column

    def followed(before: dict) -> bool:
        """Whether another range is shown than before, and drawn."""
        figure = page.evaluate(FIGURES)[1]
        here = in_sight(figure, truth, prediction)
        drawn = figure["counted"] == len(here) if figure["ids"] is None else figure["ids"] == codes.ids[here].tolist()
        return figure["x"] != before["x"] and figure["title"].endswith(f" · {len(here):,} here") and drawn

    for _ in range(12):
        before = page.evaluate(FIGURES)[1]
        page.mouse.wheel(0, -120)
        until(lambda before=before: followed(before))
        if page.evaluate(FIGURES)[1]["ids"] is not None:
            break
    now = page.evaluate(FIGURES)
    rows = in_sight(now[1], truth, prediction)
    assert 0 < len(rows) <= 5000 and now[1]["ids"] == codes.ids[rows].tolist()
    assert now[1]["title"].endswith(f"n = 20,000, all splits · {len(rows):,} here")
    assert all(figure["ids"] is None and figure["counted"] for figure in (now[0], now[2], now[3]))

    corners = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)]
    lasso(page, frames(page)[1], corners)
    page.wait_for_selector(".sf-selected:not(:empty)")
    page.wait_for_function("document.querySelector('.sf-total').textContent.includes('selected galaxies')")
    (x0, x1), (y0, y1) = now[1]["x"], now[1]["y"]
    xs, ys = [x0 + u * (x1 - x0) for u in (0.3, 0.7)], [y1 - v * (y1 - y0) for v in (0.7, 0.3)]
    sure, perhaps = (
        set(
            codes.ids[
                (truth > xs[0] + m * (x1 - x0)) & (truth < xs[1] - m * (x1 - x0))
                & (prediction > ys[0] + m * (y1 - y0)) & (prediction < ys[1] - m * (y1 - y0))
            ].tolist()
        )
        for m in (0.01, -0.01)  # to a pixel or two
    )  # fmt: skip
    shown = page.evaluate(FIGURES)
    picked = set(shown[1]["selected"])
    assert sure and sure <= picked <= perhaps
    assert page.inner_text(".sf-selected") == f"{len(picked):,} selected of 20,000"
    for other in (shown[0], shown[2], shown[3]):  # as points over the densities, where these have them in sight
        assert set(other["selected"]) <= picked and len(other["selected"]) > 0.9 * len(picked)

    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    for _ in range(20):
        page.mouse.wheel(0, 120)
        page.wait_for_timeout(40)

    def whole() -> bool:
        wide = page.evaluate(FIGURES)[1]
        return wide["counted"] == len(in_sight(wide, truth, prediction)) == 20_000

    until(whole)


def chunks(png: bytes) -> dict[str, bytes]:
    """A PNG's chunks by kind, each with a right checksum."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = {}, 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        found[kind.decode()] = data
        at += 12 + size
    return found


def saved(page, selector: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.click(selector)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_the_picture_at_the_pointer_and_what_leaves_the_page(open_page, serve):
    codes = sample_codes()
    page = open_page(serve())
    shown = page.evaluate(FIGURES)[1]
    truth, prediction = codes.truth(), codes.prediction()
    row = codes.index_of(shown["ids"][np.argmin(prediction[[codes.index_of(i) for i in shown["ids"]]])])
    box = frames(page)[1]
    u = (truth[row] - shown["x"][0]) / (shown["x"][1] - shown["x"][0])
    v = 1 - (prediction[row] - shown["y"][0]) / (shown["y"][1] - shown["y"][0])
    page.mouse.move(box["x"] + u * box["width"], box["y"] + v * box["height"])
    page.wait_for_function("document.querySelector('.sf-tip img')?.naturalWidth > 0")
    assert page.inner_text(".sf-tip b") == codes.ids[row]
    assert f"{truth[row]:.4f} dex" in page.inner_text(".sf-tip") and f"{prediction[row]:.4f} dex" in page.inner_text(
        ".sf-tip"
    )
    page.mouse.move(10, 10)
    page.wait_for_selector(".sf-tip", state="hidden")

    lasso(page, box, [(0.0, 1.0), (0.0, 0.02), (0.45, 0.02), (0.45, 1.0)])
    page.wait_for_url("**selection=**")
    n = int(page.inner_text(".sf-selected").split()[0])
    page.keyboard.press("e")
    page.wait_for_function("document.activeElement.dataset.save === 'plot-0.png'")
    for _ in range(2):  # light and dark
        found = Axe().run(page).response["violations"]
        assert not found, [f"{v['id']}: {node['html'][:160]}" for v in found for node in v["nodes"]]
        page.keyboard.press("d")
    name, svg = saved(page, "[data-save='plot-1.svg']")
    root = ET.fromstring(svg.decode())
    caption = root.findtext(f".//{DESCRIPTION}")
    assert name == "sfnet-predicted-12-log-o-h-against-true-12-log-o-h.svg"
    layers = {group.get("id"): group for group in root.iter(f"{SVG}g")}
    marks = [sum(1 for _ in layers[kind].iter(f"{SVG}use")) for kind in ("galaxies", "selected-galaxies")]
    assert sum(marks) == 240 and marks[1] == n
    drawn = [node.text for node in layers["caption"].iter(f"{SVG}text")]
    assert drawn[1] == "240 simulated galaxies, validation split" and drawn[0].startswith(
        "predicted 12+log(O/H) against"
    )
    assert f"Orange: the {n} selected galaxies" in drawn
    assert codes.fingerprint[:12] in caption and "k = 4 of 128 features" in caption
    assert "token" not in caption and "selection=" in caption.split("\n")[-1]
    name, png = saved(page, "[data-save='plot-1.png']")
    picture = Image.open(io.BytesIO(png))
    assert name.endswith(".png") and picture.width == 1280 and picture.text["Description"] == caption
    assert saved(page, "[data-save='plot-1.pdf']")[1][:5] == b"%PDF-"
    for key in ("plot-0", "plot-2", "plot-3", "gate", "picture"):
        assert saved(page, f"[data-save='{key}.png']")[1][:8] == b"\x89PNG\r\n\x1a\n"
    assert saved(page, "[data-save='gate.txt']")[1].decode().startswith("RMSE of 12+log(O/H) against k\n")
    page.keyboard.press("Escape")
    assert page.is_hidden(".sf-figures-menu")

    page.click(".sf-tabs button:has-text('Selection')")
    name, regions = saved(page, "[data-action='save-reg']")
    circles = [line for line in regions.decode().splitlines() if line.startswith("circle(")]
    assert name == f"sfnet-selection-{n}.reg" and len(circles) == n
    name, words = saved(page, "[data-action='save-caption']")
    assert words.decode().startswith(f"Selection of {n} of 240 galaxies\n{n} simulated galaxies, validation split\n")
    assert "drawn on the network's predictions" in page.inner_text(".sf-report:not([hidden])")


def facts(svg: bytes) -> list[str]:
    """The caption in a file, and that it stands below the figure too."""
    root = ET.fromstring(svg.decode())
    caption = root.find(f"{SVG}desc").text
    below = "".join(node.text or "" for node in root.find(f"{SVG}g[@class='caption']"))
    assert (
        "".join(caption.split()) == "".join(below.split()) and root.find(f"{SVG}title").text == caption.split("\n")[0]
    )
    return caption.split("\n")


def test_the_atlass_figures_have_their_captions_served_and_saved(open_page, serve, tmp_path):
    codes = sample_codes()
    rows = np.flatnonzero(codes.split == "validation")
    fires = int(((codes.indices[rows, : codes.k] == 101) & (codes.values[rows, : codes.k] > 0)).any(axis=1).sum())
    page = open_page(
        serve().replace("explore.ipynb", "atlas.ipynb") + "&feature=101", ready=".sf-leaf[data-slow='101']"
    )
    page.hover(".sf-part-scatter .sf-plot")
    name, svg = saved(page, ".sf-part-scatter [data-save='svg']")
    told = facts(svg)
    assert name == "sfnet-f101-truth.svg" and told[:3] == [
        "Activation of f101 against true 12+log(O/H)",
        f"{fires} simulated galaxies, validation split",
        "x: activation of f101; y: true 12+log(O/H) [dex]",
    ]
    assert any(fact.endswith(f"codes {codes.fingerprint[:12]}") for fact in told)
    assert told[-1].endswith("/atlas.ipynb?feature=101")  # and no token
    page.hover(".sf-part-bpt .sf-plot")
    told = facts(saved(page, ".sf-part-bpt [data-save='svg']")[1])
    assert told[0] == "BPT diagram coloured by the activation of f101"
    assert chunks(saved(page, ".sf-part-bpt [data-save='png']")[1])["iTXt"].decode().endswith("\n".join(told))
    for place, title in (
        (0, "Mean contribution map of f101"),
        (1, "Mean image of the 64 strongest galaxies of f101"),
    ):
        figure = page.locator(".sf-looks figure").nth(place)
        figure.hover()
        with page.expect_download() as download:
            figure.locator("[data-save='svg']").click()
        assert facts(Path(download.value.path()).read_bytes())[0] == title

    save_page(codes, tmp_path / "atlas.html", sample_dataset())
    page = open_page(f"{(tmp_path / 'atlas.html').as_uri()}#view=matrix", ready=".sf-matrix")
    name, svg = saved(page, ".sf-tables [data-save='svg']")
    told = facts(svg)
    assert name == "sfnet-feature-correlations.svg" and told[1] == "240 simulated galaxies, validation split"
    assert not any("file:" in fact for fact in told)  # where it lies on somebody's disk is nobody's business
