"""The filter box's answers: completions that can be taken, counts equal to numpy's, places of errors, examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.code_names import CodeNames
from sfnet_core.data.filters.grammar import parse
from sfnet_core.data.filters.masks import select
from sfnet_core.explorer.explore import filter_box as filterbox
from sfnet_core.explorer.explore.filter_box import FilterBox
from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.sample import sample_codes


def box_of(page: Explorer) -> FilterBox:
    return FilterBox(page.toggles.context)


@pytest.fixture(scope="module")
def page(made_up) -> Explorer:
    return Explorer(made_up(300, features=24))


@pytest.fixture
def box(page) -> FilterBox:
    page.state.change(**page._defaults)
    return box_of(page)


@pytest.fixture
def sent(page, monkeypatch) -> list[dict]:
    out: list[dict] = []
    monkeypatch.setattr(page.header, "send", lambda content, buffers=None: out.append(content))
    return out


def tell(page: Explorer, **content) -> None:
    page.header._receive(None, content, [])


def test_the_empty_box_shows_a_filter_of_this_tables_own_names(page, box):
    hint, names = box.hint(), page.scene.names(0)
    assert 0 < select(hint, names).sum() < len(page.codes)
    assert hint.endswith(f" and f{page.scene.default_feature('', 0)}") and page.header.data["hint"] == hint


def test_the_count_is_numpys_of_the_split_in_view(page, box):
    codes = page.codes
    middle = float(np.median(codes.truth()))
    for split in ("validation", ""):
        page.state.change(split=split)
        rows = codes.split == split if split else np.ones(len(codes), dtype=bool)
        found = box.check(f"  oh_p50 > {middle!r} ")
        assert found["count"] == np.sum(codes.truth()[rows] > middle) and found["of"] == rows.sum()
        assert found["where"] == (split or "all splits") and not found["error"]
        assert box.check(" ")["count"] == rows.sum()


@pytest.mark.parametrize("word", ["f", "c", "oh", "spl", "wit", "no", "is"])
def test_what_is_offered_can_be_taken_in_its_place(box, word):
    found = box.ask(f"oh_p50 > 1 and {word}", 15 + len(word))
    assert (found["start"], found["end"]) == (15, 15 + len(word))
    assert word == "is" or found["options"]
    for option in found["options"]:
        assert word in option["text"].lower()


def test_features_say_what_they_are(page, box):
    feature = page.scene.names(0).active[0]
    hints = {o["text"]: o["hint"] for o in box.ask(f"c{feature}"[:1], 1)["options"]}
    assert hints[f"c{feature}"] == "contribution"
    page.labels.set("features", feature, label="dusty discs")
    hints = {o["text"]: o["hint"] for o in box.ask("f", 1)["options"]}
    assert hints[f"f{feature}"] == f"activation of f{feature} · dusty discs"
    page.state.undo()


@settings(deadline=None, max_examples=150)
@given(text=st.text(st.sampled_from('abco_fhp50z <>=!&"`()é😀 .,9'), max_size=24), cursor=st.integers(-5, 40))
def test_any_text_gets_an_answer_whose_places_lie_in_it(page, text, cursor):
    found = box_of(page).ask(text, cursor)
    assert 0 <= found["start"] <= found["end"] <= len(text)
    if found["error"]:
        assert 0 <= found["from"] <= found["to"] <= max(len(text), found["from"])
        assert found["count"] is None
    else:
        assert 0 <= found["count"] <= found["of"]


@pytest.mark.parametrize(
    ("text", "unfinished", "where"),
    [
        ("oh_p50 >", True, 8),
        ("oh_p5", True, 0),  # a name that is still being typed
        ("oh_p5 > 1 and f0", False, 0),
        ("  oh_p5 > 1", False, 2),
        ("oh_p50 > 1 and", True, 14),
        ("oh_p50 > @", False, 9),
    ],
)
def test_what_is_only_begun_is_no_mistake_yet(box, text, unfinished, where):
    found = box.ask(text, len(text))
    assert found["error"] and found["unfinished"] == unfinished and found["from"] == where
    assert "Did you mean" not in found["error"]


def test_an_error_offers_what_could_stand_there(box):
    found = box.check("oh_p5 > 1")
    assert found["suggestions"] == ["oh_p50"] and (found["from"], found["to"]) == (0, 5)


# -- examples ------------------------------------------------------------------------------------------------------


def test_five_examples_each_met_by_some_galaxies(page, box):
    found = box.examples()
    assert len(found) == 5 and len({one["filter"] for one in found}) == 5
    names = CodeNames(page.codes)
    for one in found:
        mask = select(one["filter"], names)
        assert one["count"] == mask.sum() > 0 and one["words"]


def test_the_samples_examples_use_its_columns_features_and_classes():
    page = Explorer(sample_codes())
    text = " | ".join(one["filter"] for one in box_of(page).examples())
    assert "oh_p50 >" in text and "lgm_tot_p50 between" in text and 'bpt = "AGN"' in text and "abs(residual)" in text
    assert f"f{page.scene.names(0).active[0]} >" in text


@pytest.mark.parametrize("kind", ["bare", "no truth", "one", "none", "odd names"])
def test_tables_of_every_kind_have_examples_that_can_be_read(gated, kind):
    rng = np.random.default_rng(0)
    dense = np.maximum(rng.normal(0.3, 1, (40, 5)), 0)
    given = {}
    if kind == "one":
        dense = dense[:1]
    if kind == "none":
        dense = dense[:0]
    if kind not in ("no truth",):
        given["truth"] = rng.normal(8.5, 0.2, len(dense))
    if kind == "odd names":
        given["columns"] = {"my `column` <b>": rng.normal(size=40), "and": rng.normal(size=40)}
    page = Explorer(gated(dense, np.ones(5), 8.5, k=2, r=1, **given))
    found = box_of(page).examples()
    assert (len(found) > 0) == (len(dense) > 0)
    for one in found:
        assert select(one["filter"], page.scene.names(0)).any()


# -- on the page ---------------------------------------------------------------------------------------------------


def test_a_question_is_answered_with_its_number(page, sent):
    tell(page, do="filter-ask", text="oh_p50 > 8.5 and s", cursor=18, serial=7)
    (answer,) = (content["filter"] for content in sent)
    assert answer["serial"] == 7 and answer["text"] == "oh_p50 > 8.5 and s"
    assert "split" in [option["text"] for option in answer["options"]]
    tell(page, do="filter-examples")
    assert len(sent[-1]["filterExamples"]) == 5


def test_a_filter_that_cant_be_read_is_said_beside_the_box_and_changes_nothing(page, sent):
    page.state.change(**page._defaults)
    before, notices = page.state.values(), list(page.header.data["notices"])
    tell(page, do="filter", filter=" oh_p5 > 9")
    assert page.state.values() == before and page.header.data["notices"] == notices
    (answer,) = (content["filter"] for content in sent)
    assert answer["refused"] and (answer["from"], answer["to"]) == (1, 6) and answer["suggestions"] == ["oh_p50"]
    tell(page, do="filter", filter=" oh_p50 > 8.5 ")
    assert page.state.filter == "oh_p50 > 8.5" and page.header.data["filter"] == "oh_p50 > 8.5"
    tell(page, do="filter", filter="")
    assert page.state.filter == ""


@pytest.mark.parametrize(
    "content",
    [
        {"do": "filter-ask", "text": "x" * 501, "cursor": 1, "serial": 1},
        {"do": "filter-ask", "text": 1, "cursor": 1, "serial": 1},
        {"do": "filter-ask", "text": "f0", "cursor": 1.5, "serial": 1},
        {"do": "filter-ask", "text": "f0", "cursor": 1, "serial": None},
        {"do": "filter-ask"},
        {"do": "filter", "filter": ["f0"]},
    ],
)
def test_t3_questions_that_are_none_are_dropped(page, sent, content):
    before = page.state.values()
    tell(page, **content)
    assert not sent and page.state.values() == before


def test_large_tables_are_counted_only_when_a_filter_is_applied(page, box, monkeypatch):
    monkeypatch.setattr(filterbox, "MOST_COUNTED", 10)
    found = box.check("oh_p50 > 8")
    assert found["count"] is None and not found["error"]
    assert box.check("oh_p50 >")["error"] and parse("oh_p50 > 8")


def test_t10_a_filter_is_shown_as_it_was_typed(page, sent):
    tell(page, do="filter", filter="<img src=x onerror=alert(1)> > 1")
    assert sent[-1]["filter"]["text"] == "<img src=x onerror=alert(1)> > 1"  # the front end sets text, never HTML
