"""The state: all of a change or none of it, undo, and permalinks that survive whatever is written in them."""

from __future__ import annotations

import base64
import tracemalloc
import zlib
from urllib.parse import parse_qs, quote, urlencode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traitlets import TraitError

from sfnet_core.explorer.shared.state import MAX_QUERY, MAX_SELECTION, State, pack_rows, unpack_rows, written_rows

FEATURES, GALAXIES, SPLITS, TARGETS, SLOTS = 40, 50, ("train", "validation"), 2, 12
IDS = np.array([f"g{i}&off=1 ü+" for i in range(GALAXIES)])
ROWS = {name: row for row, name in enumerate(IDS.tolist())}


def fresh(**values) -> State:
    return State(FEATURES, GALAXIES, SPLITS, TARGETS, SLOTS, **values)


rows = st.lists(st.integers(0, GALAXIES - 1), max_size=GALAXIES).map(pack_rows)
valid = {
    "split": st.sampled_from(["", *SPLITS]),
    "target": st.integers(0, TARGETS - 1),
    "off": st.frozensets(st.integers(0, FEATURES - 1)),
    "k": st.integers(1, SLOTS),
    "mode": st.sampled_from(["ablate", "refill"]),
    "feature": st.integers(-1, FEATURES - 1),
    "galaxy": st.integers(-1, GALAXIES - 1),
    "selection": rows,
    "third": st.text(max_size=8),
    "fourth": st.text(max_size=8),
    "sort": st.text(max_size=8),
    "descending": st.booleans(),
    "page": st.integers(0, 10**6),
    "map": st.sampled_from(["sum", "none", "0", str(FEATURES - 1)]),
}
changes = st.fixed_dictionaries({}, optional=valid)

WRONG = [
    ("split", "nowhere"),
    ("split", None),
    ("target", TARGETS),
    ("target", -1),
    ("target", 0.5),
    ("off", {FEATURES}),
    ("off", {-1}),
    ("off", {"1"}),
    ("off", {1.0}),
    ("off", {True}),
    ("off", 3),
    ("off", "12"),
    ("off", None),
    ("k", 0),
    ("k", SLOTS + 1),
    ("k", 2.5),
    ("mode", "shuffle"),
    ("mode", 1),
    ("feature", FEATURES),
    ("feature", -2),
    ("feature", float("nan")),
    ("feature", 10**4000),
    ("galaxy", GALAXIES),
    ("galaxy", -2),
    ("galaxy", 1e9),
    ("galaxy", "g1"),
    ("selection", b"abc"),
    ("selection", pack_rows([GALAXIES])),
    ("selection", pack_rows([-1, 2])),
    ("selection", np.array([3, 2], np.int32).tobytes()),
    ("selection", np.array([1, 10**6, 2], np.int32).tobytes()),
    ("selection", np.array([1, 1], np.int32).tobytes()),
    ("selection", [1, 2]),
    ("third", 3),
    ("sort", None),
    ("descending", "yes"),
    ("page", -1),
    ("page", "1"),
    ("map", "<b>"),
    ("map", str(FEATURES)),
    ("map", "-1"),
    ("map", "²"),
    ("map", "٣"),
    ("map", "9" * 5000),
    ("colour", "red"),
    ("_past", []),
]


# -- all or nothing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda v: repr(v)[:20])
def test_t3_one_wrong_choice_and_none_is_set(name, value):
    state = fresh(off=frozenset({1}), feature=3)
    heard, before = [], state.values()
    state.on_change(heard.append)
    good = {"feature": 5, "galaxy": 7, "off": {2}, "selection": pack_rows([4])}
    for order in ({**good, name: value}, {name: value, **{k: v for k, v in good.items() if k != name}}):
        with pytest.raises(TraitError):
            state.change(**order)
        assert state.values() == before
    assert heard == [] and not state.undo() and not state.redo()


@settings(max_examples=40, deadline=None)
@given(change=changes)
def test_a_change_is_told_once_and_names_what_changed(change):
    state = fresh()
    before, heard = state.values(), []
    state.on_change(heard.append)
    told = state.change(**change)
    assert state.values() == {**before, **change}
    assert told == {name for name in change if before[name] != change[name]}
    assert heard == ([told] if told else [])
    assert state.change(**change) == frozenset() and len(heard) == bool(told)


def test_any_collection_of_features_may_be_off():
    state = fresh()
    for off in ({61 % FEATURES}, [21], (np.int64(21), np.int16(21)), frozenset({21})):
        state.change(off=off)
        assert state.off == {21} and isinstance(state.off, frozenset) and type(next(iter(state.off))) is int


def test_rows_are_packed_sorted_and_once():
    assert unpack_rows(pack_rows([5, 1, 5, 3])).tolist() == [1, 3, 5]
    assert unpack_rows(pack_rows([])).tolist() == []


# -- undo and redo -------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(changes, max_size=6), back=st.integers(0, 8), branch=changes)
def test_undo_and_redo_walk_the_same_values(steps, back, branch):
    state = fresh()
    states = [state.values()]
    for step in steps:
        if state.change(**step):
            states.append(state.values())
    at = len(states) - 1
    for _ in range(back):
        assert state.undo() == (at > 0)
        at = max(0, at - 1)
        assert state.values() == states[at]
    rest = states[at + 1 :]
    for expected in rest:
        assert state.redo() and state.values() == expected
    assert not state.redo()
    for _ in rest:
        state.undo()
    if state.change(**branch):  # a new change after an undo: the undone ones are gone
        assert not state.redo()
        assert state.undo() and state.values() == states[at]


def test_undo_is_told_like_a_change_and_bounded():
    state = fresh()
    for i in range(500):
        state.change(page=i + 1)
    heard = []
    state.on_change(heard.append)
    undone = 0
    while state.undo():
        undone += 1
    assert undone == 200 and state.page == 300 and set(heard) == {frozenset({"page"})}
    state.forget()
    assert not state.undo() and not state.redo()


# -- permalinks ----------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(start=changes, change=changes)
def test_a_permalink_restores_the_state(start, change):
    state = fresh(**start)
    defaults = state.values()
    state.change(**change)
    query = state.to_url(IDS, defaults)
    other = fresh(**start)
    choices, troubles = other.from_url(f"?{query}", ROWS.get)
    assert troubles == [] and other.values() == defaults  # reading sets nothing
    other.change(**choices)
    assert other.values() == state.values()
    assert set(parse_qs(query, keep_blank_values=True)) == {n for n in defaults if defaults[n] != state.values()[n]}


def test_a_selection_too_long_for_a_link_is_left_out_and_the_rest_stays():
    n = 250_000
    state = State(512, n, SPLITS)
    ids = np.array(["🌌" * 256])  # the longest identifier that codes may hold, 12 characters each in a URL
    defaults = state.values()
    many = pack_rows(np.random.default_rng(0).choice(n, 60_000, replace=False))
    state.change(selection=many, off=range_set(512), galaxy=0, third="residual_margin")
    query = state.to_url(ids, defaults)
    assert len(query) <= MAX_QUERY
    choices, troubles = state.from_url(query, {str(ids[0]): 0}.get)
    assert not troubles and choices["off"] == state.off and choices["galaxy"] == 0 and "selection" not in choices
    state.change(selection=pack_rows(range(10_000, 90_000)))  # a run of neighbours packs small
    assert "selection=" in state.to_url(ids, {**defaults, "galaxy": 0})


def range_set(n: int) -> frozenset[int]:
    return frozenset(range(n))


def packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(zlib.compress(raw, 9)).decode().rstrip("=")


def steps(*numbers: int) -> str:
    return packed(np.array(numbers, dtype=np.int32).tobytes())


HOSTILE = {
    "split": ["nowhere", "<img src=x onerror=alert(1)>", "Train"],
    "target": ["2", "-1", "", "1.5", "nan", "9" * 5000, "0x1"],
    "off": ["-1", "40", "1,2,x", "1;2", "<script>", "9" * 4000, "True", "1.0"],
    "k": ["0", "-1", "13", "x", "4.0", ""],
    "mode": ["drop", "<b>", ""],
    "feature": ["40", "-2", "", "inf", "null"],
    "galaxy": ["not-there", "<img src=x onerror=alert(1)>", "../../etc/passwd", "\0", "x" * 300],
    "selection": [
        "x", "%%%", "AAAA", "é", steps(GALAXIES), steps(-1), steps(2**31 - 1, 2**31 - 1, 2**31 - 1), packed(b"abc"),
        steps(1, 1)[:-4], packed(bytes(10**6)), packed(bytes(4 * GALAXIES + 4)), packed(b"\xff" * 7),
    ],
    "descending": ["yes", "", "2", "<b>"],
    "page": ["-1", "-99999999999999999999", "x", ""],
    "map": ["<b>", "40", "-1", "²", ""],
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, all_ in HOSTILE.items() for t in all_], ids=lambda v: v[:15])
def test_t11_what_does_not_hold_is_said_and_left_out(name, text):
    state = fresh(off=frozenset({1}))
    before = state.values()
    query = urlencode({name: text, "third": "mass"})
    choices, troubles = state.from_url(query, ROWS.get)
    assert choices == {"third": "mass"} and len(troubles) == 1 and f"“{name}”" in troubles[0]
    assert len(troubles[0]) < 300
    assert state.values() == before and not state.undo()


def test_t11_a_link_of_a_megabyte_is_not_read():
    choices, troubles = fresh().from_url("feature=1&third=" + "x" * 2**20, ROWS.get)
    assert choices == {} and len(troubles) == 1 and "1,048,592" in troubles[0] and "8,192" in troubles[0]


def test_t11_unknown_keys_are_none_of_our_business():
    query = "token=abc&utm_source=x&__class__=1&_features=9&%3Cscript%3E=1&feature=2&&=&==&%zz=%ff"
    assert fresh().from_url(query, ROWS.get) == ({"feature": 2}, [])


def test_t11_a_bomb_is_unpacked_no_further_than_a_selection_can_reach():
    # 8,000 characters that unpack to 6 MB; the table has 50 galaxies
    bomb = packed(bytes(6_000_000))
    assert len(bomb) < MAX_QUERY
    state = fresh()
    tracemalloc.start()
    choices, troubles = state.from_url(f"selection={bomb}", ROWS.get)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert choices == {} and len(troubles) == 1 and peak < 500_000


@settings(max_examples=80, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.sampled_from([*valid, "x", "", "off[]"]), st.text(max_size=30) | st.integers().map(str)),
        max_size=6,
    ),
    tail=st.text(max_size=20),
)
def test_t11_no_link_breaks_the_page(pairs, tail):
    state = fresh()
    before = state.values()
    choices, troubles = state.from_url(urlencode(pairs) + tail, ROWS.get)
    assert state.values() == before
    state.change(**choices)  # every choice that was let through is valid, together too
    assert all(isinstance(trouble, str) for trouble in troubles)


def test_a_later_wrong_value_takes_the_earlier_one_away():
    choices, troubles = fresh().from_url("feature=3&feature=99", ROWS.get)
    assert choices == {} and len(troubles) == 1


def test_no_galaxy_in_focus_is_a_view_like_any_other():
    state = fresh(galaxy=3)
    defaults = state.values()
    state.change(galaxy=-1)
    assert state.to_url(IDS, defaults) == "galaxy="
    assert state.from_url("galaxy=", ROWS.get) == ({"galaxy": -1}, [])
    name = quote(IDS[9])
    assert state.from_url(f"galaxy={name}", ROWS.get) == ({"galaxy": 9}, [])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.integers(0, 10**6), max_size=400), every=st.integers(1, 4), n=st.integers(0, 20_000))
def test_selected_rows_are_written_as_one_piece_would_be_or_not_at_all(rows, every, n):
    packed = pack_rows([*rows, *range(0, n * every, every)])
    steps = np.diff(unpack_rows(packed), prepend=np.int32(0)).tobytes()
    whole = base64.urlsafe_b64encode(zlib.compress(steps, 9)).decode("ascii").rstrip("=")
    assert written_rows(packed) == (whole if len(whole) <= MAX_SELECTION else None)


def test_a_selection_of_half_of_very_many_is_given_up_early():
    rows = np.flatnonzero(np.random.default_rng(0).random(250_000) < 0.5)
    assert written_rows(pack_rows(rows)) is None
    assert written_rows(pack_rows(np.arange(250_000))) is not None  # all of them take a few hundred characters


def test_links_of_0_1_0_name_the_pinned_selection_kept():
    state, defaults = fresh(), fresh().values()
    state.change(pinned_selection=pack_rows([1, 3, 4]))
    written = state.to_url(IDS, defaults)
    assert written.startswith("pinned_selection=")
    for query in (written, written.replace("pinned_selection", "kept")):
        assert fresh().from_url(query, ROWS.get) == ({"pinned_selection": pack_rows([1, 3, 4])}, [])
    assert fresh().from_url("kept=x", ROWS.get)[0] == {} and len(fresh().from_url("kept=x", ROWS.get)[1]) == 1
