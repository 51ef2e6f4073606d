"""Messages from the browser: only what is understood and valid changes anything."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from traitlets import TraitError

from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.view import View, text, whole
from sfnet_core.utils.errors import SFNetError


@pytest.fixture(scope="module")
def page(made_up) -> Explorer:
    return Explorer(made_up(120, features=32, map_shape=(2, 2)))


def sent(view: View, content, buffers=()) -> None:
    """A custom message as ipywidgets hands it over."""
    view._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": list(buffers)})


def written(view: View, **traits) -> None:
    """A write to the widget's traits by the browser."""
    view._handle_msg({"content": {"data": {"method": "update", "state": traits, "buffer_paths": []}}, "buffers": []})


def views(page: Explorer) -> dict[str, View]:
    return {name: getattr(page, name) for name in VIEWS}


NONSENSE = [
    None, 1, "toggle", [], [["do", "toggle"]], {}, {"do": None}, {"do": []}, {"do": {}}, {"do": 5}, {"do": "__class__"},
    {"do": "exec", "code": "1/0"}, {"do": "x" * 10**6}, {"DO": "toggle"},
]  # fmt: skip

VIEWS = ("header", "toggles", "k_slider", "plot_menu", "inspector", "gallery")
HUGE, HTML = "x" * 10**6, "<img src=x onerror=alert(1)>"
NUMBERS = [None, "1", 1.0, True, [], {}, -7, 10**9, 10**400, float("nan"), float("inf")]
TEXTS = [None, 1, True, [], {}, HUGE, HTML, "", "../../etc/passwd", "__class__", "²"]
WRONG = [
    *(("toggles", {"do": do, "feature": value}) for do in ("toggle", "focus") for value in NUMBERS),
    *(("inspector", {"do": "feature", "feature": value}) for value in NUMBERS),
    *(("k_slider", {"do": "k", "k": value}) for value in [*NUMBERS, 0, 13]),
    *(("gallery", {"do": "page", "page": value}) for value in NUMBERS if type(value) is not int),
    *(("toggles", {"do": "mode", "mode": value}) for value in TEXTS),
    *(("inspector", {"do": "map", "map": value}) for value in TEXTS),
    *(("plot_menu", {"do": do, "plot": value}) for do in ("third", "fourth") for value in TEXTS),
    *(("gallery", {"do": do, do if do == "sort" else "id": value}) for do in ("focus", "sort") for value in TEXTS),
    *(("gallery", {"do": "find", "id": value}) for value in TEXTS),
    *(("header", {"do": "split", "split": value}) for value in TEXTS if value != ""),
    *((name, {"do": do}) for name, do in [
        ("toggles", "toggle"), ("toggles", "focus"), ("toggles", "mode"), ("inspector", "map"),
        ("inspector", "feature"), ("gallery", "focus"), ("gallery", "page"), ("gallery", "sort"), ("gallery", "find"),
        ("header", "split"),
        ("plot_menu", "third"), ("plot_menu", "fourth"), ("header", "open-link"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_t3_what_no_view_understands_is_dropped(page, name):
    before = page.state.values()
    for content in NONSENSE:
        sent(getattr(page, name), content)
        getattr(page, name)._receive(None, content, [])  # raises nothing: no traceback reaches the page
    assert page.state.values() == before


def test_t3_ill_typed_messages_change_nothing(page):
    before = page.state.values()
    for name, content in WRONG:
        getattr(page, name)._receive(None, content, [])
        assert page.state.values() == before, (name, str(content)[:100])
    page.header.dismiss()


def test_t5_a_feature_without_a_switch_is_not_toggled(page):
    switches = {row["feature"] for row in page.toggles.data["rows"]}
    silent = next(f for f in range(32) if f not in switches)
    before = page.state.values()
    sent(page.toggles, {"do": "toggle", "feature": silent})
    assert page.state.values() == before
    there = next(iter(switches))
    sent(page.toggles, {"do": "toggle", "feature": there})
    assert page.state.off == {there}
    sent(page.toggles, {"do": "toggle", "feature": there})
    assert page.state.off == frozenset()


def test_t3_whatever_is_written_into_data_is_not_read_back(page):
    before = page.state.values()
    for view in views(page).values():
        kept = dict(view.data)
        for value in (
            {"split": "train", "off": [1], "galaxy": 10**9},
            {},
            {"rows": [{"feature": -1}]},
            {"id": "x" * 10**6},
        ):
            written(view, data=value)
            assert page.state.values() == before
        view.draw() if view is page.header else view.draw(page.state.query)
        assert view.data == kept
    written(page.gallery, data={"galaxies": [], "page": 99, "pages": 10**9})
    sent(page.gallery, {"do": "page", "page": 99})
    assert page.state.values() == before  # the 24 validation galaxies fill one page, whatever the browser's data say


@pytest.mark.parametrize("value", [5, "text", [1], None, True])
def test_t3_data_that_is_no_dictionary_is_refused(page, value, caplog):
    kept = dict(page.header.data)
    with caplog.at_level(logging.CRITICAL):
        written(page.header, data=value)
    assert page.header.data == kept


def test_the_views_do_what_their_messages_say(page):
    state = page.state
    sent(page.header, {"do": "split", "split": "train"})
    assert state.split == "train"
    sent(page.toggles, {"do": "none"})
    assert state.off == {row["feature"] for row in page.toggles.data["rows"]}
    sent(page.toggles, {"do": "invert"})
    assert state.off == frozenset()
    sent(page.toggles, {"do": "mode", "mode": "refill"})
    sent(page.inspector, {"do": "map", "map": "none"})
    sent(page.gallery, {"do": "find", "id": "made-up-0000077"})
    sent(page.gallery, {"do": "sort", "sort": "z"})
    sent(page.gallery, {"do": "order"})
    sent(page.plot_menu, {"do": "third", "plot": "sky"})
    assert (state.mode, state.map, state.galaxy, state.sort, state.third) == ("refill", "none", 77, "z", "sky")
    z = page.scene.column("z")[page.scene.listed(state)]
    assert not state.descending and np.array_equal(z, np.sort(z))
    for _ in range(9):
        sent(page.header, {"do": "undo"})
    assert state.values() == page._defaults
    sent(page.header, {"do": "redo"})
    assert state.split == "train"
    sent(page.header, {"do": "undo"})


def test_an_action_that_fails_is_a_notice_or_a_line_in_the_log(caplog):
    said = []

    def fail(error: Exception):
        def act(_message: dict) -> None:
            raise error

        return act

    errors = [
        SFNetError("one"),
        TraitError("two"),
        KeyError("three"),
        ZeroDivisionError("four"),
        RecursionError("five"),
    ]
    view = View(said.append, {str(i): fail(error) for i, error in enumerate(errors)})
    with caplog.at_level(logging.WARNING, "sfnet_core"):
        for i in range(len(errors)):
            view._receive(None, {"do": str(i)}, [])
    assert said == ["one", "two"]
    assert [r.getMessage().split(": ")[1] for r in caplog.records] == ["'three'", "four", "five"]


def test_whole_numbers_and_texts():
    assert whole({"n": -3}, "n") == -3 and text({"t": "é" * 300}, "t") == "é" * 300
    for value in (True, 1.0, "1", None, [1]):
        with pytest.raises(TypeError, match="whole number"):
            whole({"n": value}, "n")
    for value in ("x" * 301, 1, None, b"x"):
        with pytest.raises(TypeError, match="at most 300"):
            text({"t": value}, "t")
    with pytest.raises(KeyError):
        whole({}, "n")
