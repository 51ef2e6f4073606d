"""The pane of a selection: what leaves it as a file, and what it says of a selection drawn on the network's numbers."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.explore.selection import Selection
from sfnet_core.explorer.shared.state import pack_rows


@pytest.fixture(scope="module")
def built(made_up) -> Explorer:
    return Explorer(made_up(300, features=16))


@pytest.fixture
def page(built) -> Explorer:
    built.state.change(**{**built._defaults, "tab": "selection"})
    built.header.dismiss()
    return built


@pytest.fixture
def saved(monkeypatch) -> list:
    out = []
    monkeypatch.setattr(Selection, "download", lambda self, name, mime, content: out.append((name, mime, content)))
    return out


def said(page: Explorer) -> str:
    return "\n".join(block["text"] for block in page.selection.data["blocks"] if block["kind"] == "text")


def buttons(page: Explorer) -> set[str]:
    return {
        item["do"] for block in page.selection.data["blocks"] if block["kind"] == "buttons" for item in block["items"]
    }


def test_regions_of_the_selection_with_its_caption(page, saved):
    rows = page.scene.rows("validation")[:5]
    page.state.change(selection=pack_rows(rows))
    assert {"save-reg", "save-caption", "save-csv", "save-fits"} <= buttons(page)
    page.selection._receive(None, {"do": "save-reg", "link": "http://127.0.0.1:1/x.ipynb"}, [])
    ((name, mime, content),) = saved
    lines = content.decode().splitlines()
    assert (name, mime) == ("sfnet-selection-5.reg", "text/plain") and lines[0].startswith("# Region file format: DS9")
    assert [re.search(r"text=\{(.*)\}", line)[1] for line in lines if line.startswith("circle(")] == list(
        page.codes.ids[rows]
    )
    places = [line.removeprefix("circle(").split(",")[:2] for line in lines if line.startswith("circle(")]
    expected = np.stack([page.codes.ra[rows], page.codes.dec[rows]], axis=1)
    assert np.allclose(np.array(places, dtype=float), expected, atol=1e-7)
    assert [line for line in lines if line.startswith("# 5 simulated galaxies, validation split")]
    assert [line for line in lines if line.startswith("# http://127.0.0.1:1/x.ipynb?selection=")]


def test_the_caption_beside_the_tables(page, saved):
    page.state.change(filter="z > 0.05")
    rows = page.scene.view(page.state)[:9]
    page.state.change(selection=pack_rows(rows))
    page.selection._receive(None, {"do": "save-caption", "link": ""}, [])
    ((name, mime, content),) = saved
    facts = content.decode().splitlines()
    assert (name, mime) == ("sfnet-selection-9-caption.txt", "text/plain")
    assert facts[0] == f"Selection of 9 of {len(page.scene.view(page.state))} galaxies"
    assert facts[1:3] == ["9 simulated galaxies, validation split", "Filter: z > 0.05"]
    assert any(page.codes.fingerprint[:12] in fact for fact in facts) and facts[-1] == f"?{page.query}"


@pytest.mark.parametrize("link", [5, None, "x" * 10**6, ["a"]], ids=str)
def test_t3_a_link_that_is_none_saves_nothing(page, saved, link, caplog):
    caplog.set_level(logging.CRITICAL)
    page.state.change(selection=pack_rows([0, 1]))
    for do in ("save-reg", "save-caption", "save-csv"):
        page.selection._receive(None, {"do": do, "link": link}, [])
    assert saved == []


def test_without_a_selection_nothing_is_saved(page, saved, caplog):
    caplog.set_level(logging.CRITICAL)
    for do in ("save-reg", "save-caption", "save-csv"):
        page.selection._receive(None, {"do": do, "link": ""}, [])
    assert saved == [] and buttons(page) == set()


def test_without_positions_it_says_so(gated, saved):
    page = Explorer(gated(np.random.default_rng(0).random((8, 4)), [1, 2, 3, 4], 8, 2, 1, truth=np.arange(8.0)))
    page.state.change(tab="selection", selection=pack_rows([0, 1, 2]))
    assert "save-reg" not in buttons(page) and "save-caption" in buttons(page)
    assert "No DS9 regions: these galaxies have no RA and Dec." in said(page)
    page.selection._receive(None, {"do": "save-reg", "link": ""}, [])  # asked for all the same
    assert saved == [] and "no RA and Dec" in page.header.data["notices"][-1]


def test_a_selection_drawn_on_the_networks_numbers_is_called_circular(page):
    rows = page.scene.rows("validation")[:40]
    page.plots._select(rows, 0)  # activation against true value
    assert "drawn on a feature's activation" in said(page)
    page.plots._select(rows[:30], 1)  # predicted against true
    assert "drawn on the network's predictions" in said(page)
    page.state.change(fourth="residual_margin")
    page.plots._select(rows[:29], 3)
    assert "drawn on the network's margins and residuals" in said(page)
    page.plots._select(rows[:20], 2)  # mass and true value: nothing of the network's
    assert "drawn on" not in said(page).lower()
    page.state.change(selection=pack_rows(rows[:10]))  # from a link: who knows
    assert "Drawn on an activation, a prediction or a residual" in said(page)
