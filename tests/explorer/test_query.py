"""Functions of a query get only the fields that they name, and are called anew only when what they read is another."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.query import Follower, Query, cached
from sfnet_core.explorer.shared.state import State, pack_rows


class Owner:
    def __init__(self):
        self.memory, self.calls = {}, []

    @cached("split", "target", keep=2)
    def counted(self, query, more=0):
        self.calls.append((query.split, query.target, more))
        return len(self.calls)

    @cached("split")
    def greedy(self, query):
        return query.k

    @cached("split", "k")
    def wide(self, query):
        return self.counted(query)  # which needs the target too

    @cached(keep=1)
    def plain(self, number):
        self.calls.append(number)
        return [number]


def test_an_answer_is_kept_by_the_fields_that_the_function_names():
    owner, query = Owner(), Query(split="train", k=3)
    assert owner.counted(query) == owner.counted(replace(query, k=4, off=frozenset({1}), sort="z")) == 1
    assert owner.counted(replace(query, target=1)) == 2 and owner.counted(query, 5) == 3
    assert owner.calls == [("train", 0, 0), ("train", 1, 0), ("train", 0, 5)]
    assert owner.counted(query, 5) == 3 and owner.counted(query) == 4  # the oldest of more than two is gone
    assert owner.plain(1) is owner.plain(1) and owner.plain(2) == [2] and owner.calls[-2:] == [1, 2]


def test_the_one_asked_for_last_stays_the_longest():
    owner = Owner()
    one, two, three = (Query(target=i) for i in range(3))
    for query in (one, two, one, three):
        owner.counted(query)
    owner.counted(one)
    assert [target for _, target, _ in owner.calls] == [0, 1, 2]


@pytest.mark.parametrize("function", [Owner.greedy, Owner.wide])
def test_a_field_that_is_not_named_cannot_be_read(function):
    with pytest.raises(AttributeError):
        function(Owner(), Query())


def test_a_function_is_called_anew_only_where_what_it_read_is_another():
    seen = []
    follow = Follower(lambda query: seen.append((query.galaxy, query.off) if query.tab == "galaxy" else None))
    query = Query(galaxy=3)
    assert follow(query) == {"tab", "galaxy", "off"} and follow(query) == frozenset()
    assert follow(replace(query, page=2)) == frozenset() and follow(replace(query, galaxy=4)) == {"galaxy"}
    assert follow(replace(query, tab="near", galaxy=5)) == {"tab", "galaxy"}
    assert follow(replace(query, tab="near", galaxy=6)) == frozenset()  # behind another tab it reads the tab alone
    assert follow(query) == {"tab"} and seen[-1] == (3, frozenset())


def test_a_function_that_failed_is_called_again():
    calls = []

    def once(query):
        calls.append(query.k)
        if len(calls) == 1:
            raise ValueError("not yet")

    follow = Follower(once)
    with pytest.raises(ValueError, match="not yet"):
        follow(Query())
    assert follow(Query()) == {"k"} and len(calls) == 2


def test_a_query_has_every_choice_and_counts_the_labels():
    state = State(4, 9, ["train"])
    assert {field.name for field in fields(Query)} == {*state.trait_names(), "labels"}
    assert state.query == Query() and hash(state.query) == hash(Query())
    state.change(split="train", off={1}, filter="star and z > 1")
    now = state.query
    assert (now.split, now.off, now.labels, now.filter_labels) == ("train", frozenset({1}), 0, 0)
    state.labels_changed()
    assert (state.query.labels, state.query.filter_labels, now.labels) == (1, 1, 0)
    assert replace(state.query, filter="z > 1").filter_labels == 0


def test_a_filter_on_stars_follows_them_and_others_stay_as_they_are(made_up):
    page = Explorer(made_up(60, features=16))
    scene, state, labels = page.scene, page.state, page.labels
    state.change(split="", filter="star")
    assert len(scene.view(state.query)) == 0
    labels.set("galaxies", str(page.codes.ids[7]), star=True)
    assert scene.view(state.query).tolist() == [7] and page.gallery.data["total"] == 1
    state.undo()
    assert len(scene.view(state.query)) == 0
    state.change(filter="z > 0.05")
    before = scene.view(state.query)
    labels.set("galaxies", str(page.codes.ids[7]), star=True)
    assert scene.view(state.query) is before


def test_the_same_state_shows_the_same_whatever_came_before(made_up):
    """A walk through k, toggles, filters and panes and back: each view's data are those of a page opened there."""
    codes = made_up(120, features=24, k=3, runners_up=3, map_shape=(2, 2))
    page = Explorer(codes)
    rows = page.scene.rows("validation")
    steps = [
        {"k": 2, "off": {1, 4}}, {"filter": "z > 0.04", "mode": "refill"}, {"k": 5, "sort": "prediction"},
        {"tab": "near"}, {"k": 3, "split": "", "feature": 5}, {"off": set(), "tab": "galaxy", "galaxy": int(rows[2])},
        {"filter": "", "split": "validation", "selection": pack_rows(rows[:6])}, {"tab": "selection", "k": 4},
        {"third": "residual_margin", "off": {2}},
    ]  # fmt: skip
    views = (
        "toggles",
        "k_slider",
        "plot_menu",
        "tabs",
        "inspector",
        "selection",
        "comparison",
        "neighbours",
        "gallery",
    )
    for step in steps:
        page.state.change(**step)
        fresh = Explorer(codes)
        fresh.state.change(**page.state.values())
        for name in views:
            assert getattr(page, name).data == getattr(fresh, name).data, (step, name)
        assert page.header.data["status"] == fresh.header.data["status"]
        for one, other in zip(page.plots.panels, fresh.plots.panels, strict=True):
            assert one.figure.title.text == other.figure.title.text
        for name, values in fresh.plots.source.data.items():
            assert np.array_equal(page.plots.source.data[name], values, equal_nan=name != "id"), (step, name)
