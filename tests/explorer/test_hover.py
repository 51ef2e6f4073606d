"""A picture for the pane at the pointer: of galaxies of this table alone, and without pictures nothing."""

from __future__ import annotations

import logging

import pytest

from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.hover import Hover
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset


@pytest.fixture(scope="module")
def built() -> Explorer:
    return Explorer(sample_codes(), sample_dataset())


@pytest.fixture
def sent(monkeypatch) -> list:
    out = []
    monkeypatch.setattr(Hover, "send", lambda self, content, buffers=None: out.append((content, buffers)))
    return out


def test_a_galaxys_picture_comes_as_stored(built, sent):
    name = str(built.codes.ids[17])
    built.hover._receive(None, {"do": "peek", "id": name}, [])
    assert sent == [({"peek": name}, [built.gallery.context.pictures.jpeg(17)])] and sent[0][1][0][:2] == b"\xff\xd8"
    assert built.hover.data == {"key": built.plots.key, "images": True}


@pytest.mark.parametrize("identifier", ["nowhere", "", 5, None, ["x"], {"a": 1}, "x" * 10**6, "<img src=x>"], ids=str)
def test_t3_what_is_no_galaxy_of_this_table_sends_nothing(built, sent, identifier, caplog):
    caplog.set_level(logging.CRITICAL)
    built.hover._receive(None, {"do": "peek", "id": identifier}, [])
    built.hover._receive(None, {"do": "peek"}, [])
    assert sent == []


def test_without_images_none_is_offered(made_up, sent):
    page = Explorer(made_up(40, features=16))
    assert page.hover.data["images"] is False
    page.hover._receive(None, {"do": "peek", "id": str(page.codes.ids[3])}, [])
    assert sent == [({"peek": str(page.codes.ids[3])}, [b""])]


def test_each_pages_figures_have_a_key_of_their_own(made_up):
    pages = [Explorer(made_up(40, features=16)) for _ in range(2)]
    keys = {page.plots.key for page in pages}
    assert len(keys) == 2 and {page.hover.data["key"] for page in pages} == keys
    for panel in pages[0].plots.panels:
        assert panel.hover.callback.args["key"] == pages[0].plots.key
        assert panel.hover.renderers == [panel.points, panel.near, panel.density]
