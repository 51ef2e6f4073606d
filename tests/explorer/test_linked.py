"""The linked figures: one patch out, and nothing in that a reader of the page has no business to change."""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Iterator

import numpy as np
import pytest
from bokeh.core.serialization import Deserializer
from bokeh.models import ColumnDataSource, Selection

from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.linked import LinkedFigures
from sfnet_core.explorer.shared.state import pack_rows, unpack_rows


@pytest.fixture(scope="module")
def built(made_up) -> Explorer:
    return Explorer(made_up(60, features=16))


@pytest.fixture
def page(built, monkeypatch) -> Explorer:
    """The page as it opened, with what its figures send kept in ``out``."""
    built.state.change(**built._defaults)
    built.state.forget()
    built.out = []
    monkeypatch.setattr(LinkedFigures, "send", lambda self, content, buffers=None: built.out.append((content, buffers)))
    return built


def patches(page: Explorer) -> list[list[dict]]:
    """The events of each PATCH-DOC sent since the last look, and an empty outbox."""
    payloads = [c["payload"] for c, _ in page.out if "payload" in c]
    page.out.clear()
    kinds = [json.loads(p) for p in payloads]
    starts = [i for i, k in enumerate(kinds) if k.get("msgtype") == "PATCH-DOC"]
    return [kinds[i + 2]["events"] for i in starts]


def snapshot(page: Explorer) -> dict[str, str]:
    """Everything the figures hold, by model."""
    document = page.plots.widget._document
    return {m.id: repr(sorted((k, repr(v)) for k, v in m.properties_with_values().items())) for m in document.models}


def comes(page: Explorer, **content) -> None:
    """An event from the browser, as ipywidgets hands it over."""
    message = {"event": "jsevent", **content}
    page.plots.widget._handle_msg(
        {"content": {"data": {"method": "custom", "content": json.loads(json.dumps(message))}}, "buffers": []}
    )


def changed(page: Explorer, model, attr, new, **more) -> None:
    comes(
        page,
        kind="ModelChanged",
        model={"id": model if isinstance(model, str) else model.id},
        attr=attr,
        new=new,
        **more,
    )


def happens(page: Explorer, name: str, model, **values) -> None:
    """A figure's event as BokehJS serializes it."""
    entries = [["model", {"id": model.id}], *([k, encoded(v)] for k, v in values.items())]
    data = {"type": "event", "name": name, "values": {"type": "map", "entries": entries}}
    comes(page, kind="MessageSent", msg_type="bokeh_event", msg_data=data)


def encoded(value):
    if isinstance(value, dict) and value.get("type") != "object":
        return {"type": "map", "entries": [[k, encoded(v)] for k, v in value.items()]}
    return value


# -- out -----------------------------------------------------------------------------------------------------------

CHANGES = [
    {"off": {1, 2, 3}},
    {"feature": 2},
    {"galaxy": 5},
    {"selection": pack_rows([1, 2])},
    {"split": ""},
    {"third": "sky", "fourth": "residual_margin"},
    {"off": {0}, "mode": "refill", "galaxy": 3, "feature": 1, "split": "train", "third": "bpt", "page": 2},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: "+".join(c))
def test_a_change_is_one_patch(page, change):
    if "selection" in change:
        page.state.change(split="")
        page.out.clear()
    page.state.change(**change)
    assert len(patches(page)) == 1
    page.state.change(**change)  # the same again: nothing to say
    assert patches(page) == []
    page.state.undo()
    assert len(patches(page)) == 1


@pytest.mark.parametrize("change", [{"map": "none"}, {"page": 1}, {"descending": False}, {"sort": "z"}], ids=str)
def test_what_the_figures_do_not_show_sends_no_patch(page, change):
    page.state.change(**change)
    assert page.out == []


def test_a_patch_says_each_thing_once_and_last(page):
    widget, fig = page.plots.widget, page.plots.panels[0].figure
    with widget.one_patch():
        for text in ("a", "b", "c"):
            fig.title.text = text
            with widget.one_patch():  # inside another: still the same patch
                fig.x_range.start = float(ord(text))
        assert page.out == []
    (events,) = patches(page)
    assert [(e["attr"], e["new"]) for e in events] == [("text", "c"), ("start", 99.0)]


def test_a_patch_leaves_when_the_change_fails_and_the_next_one_too(page):
    widget, fig = page.plots.widget, page.plots.panels[0].figure
    with pytest.raises(ZeroDivisionError), widget.one_patch():
        fig.title.text = "half"
        raise ZeroDivisionError
    assert len(patches(page)) == 1
    fig.title.text = "outside"
    assert len(patches(page)) == 1
    with widget.one_patch():
        pass
    assert page.out == []


def test_the_points_of_a_patch_are_the_states(page):
    page.state.change(off={row["feature"] for row in page.toggles.data["rows"]})
    rows = page.scene.rows("validation")
    assert np.array_equal(page.plots.source.data["y1"], page.scene.prediction(page.state)[rows])
    assert np.allclose(page.plots.source.data["y1"], page.codes.bias[0])
    buffers = [b for _, b in page.out if b]
    assert np.asarray(page.plots.source.data["y1"]).tobytes() in [bytes(part) for b in buffers for part in b]


# -- in: what a reader may do --------------------------------------------------------------------------------------


def test_pan_and_zoom_are_kept_and_not_sent_back(page):
    own = page.plots.panels[2].figure.x_range
    changed(page, own, "start", 1.25)
    changed(page, own, "end", 3)
    assert (own.start, own.end) == (1.25, 3) and page.out == []


def test_selected_points_become_the_states_selection(page):
    rows = page.scene.rows("validation")
    changed(page, page.plots.source.selected, "indices", [3, 1])
    assert unpack_rows(page.state.selection).tolist() == sorted([rows[1], rows[3]])
    assert page.gallery.data["total"] == 2
    page.state.undo()
    assert page.plots.source.selected.indices == [] and page.gallery.data["total"] == len(rows)
    changed(page, page.plots.source.selected, "indices", [0])
    changed(page, page.plots.source.selected, "indices", [])
    assert page.state.selection == b""


def test_a_click_puts_a_galaxy_in_focus(page):
    axes, fig = page.plots._axes[1], page.plots.panels[1].figure
    happens(page, "tap", fig, x=float(axes.x[4]), y=float(axes.y[4]), sx=1, sy=1, modifiers=encoded({"shift": False}))
    assert page.state.galaxy == page.scene.rows("validation")[4]


def test_a_lasso_over_densities_is_selected_in_the_kernel(made_up):
    page = Explorer(made_up(5200, features=16))
    page.state.change(split="")
    assert page.plots.aggregate
    x, y = page.plots._axes[1].x, page.plots._axes[1].y
    box = {"type": "rect", "x0": 8.6, "x1": 8.9, "y0": 8.5, "y1": 8.8}
    happens(page, "selectiongeometry", page.plots.panels[1].figure, geometry=box, final=False)
    assert page.state.selection == b""
    happens(page, "selectiongeometry", page.plots.panels[1].figure, geometry=box, final=True)
    expected = np.flatnonzero((x >= 8.6) & (x <= 8.9) & (y >= 8.5) & (y <= 8.8))
    assert len(expected) and unpack_rows(page.state.selection).tolist() == expected.tolist()
    for hostile in ({}, {"type": "rect"}, {"type": "poly", "x": ["a"], "y": [1]}, {"type": "poly", "x": 3, "y": None}):
        happens(page, "selectiongeometry", page.plots.panels[1].figure, geometry=hostile, final=True)
        assert unpack_rows(page.state.selection).tolist() == expected.tolist()
    changed(page, page.plots.source.selected, "indices", [0])  # there are no points to select
    assert unpack_rows(page.state.selection).tolist() == expected.tolist()


# -- in: what it may not -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def refused(page: Explorer) -> Iterator[None]:
    """What happens inside leaves the figures, the state and the outbox as they were, and raises nothing."""
    before, values = snapshot(page), page.state.values()
    yield
    assert snapshot(page) == before and page.state.values() == values and page.out == []


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL)


def test_t4_foreign_attributes_are_refused(page):
    fig, source = page.plots.panels[0].figure, page.plots.source
    attempts = [
        (fig.title, "text", "<img src=x onerror=alert(1)>"),
        (fig.x_range, "bounds", [0, 1]),
        (fig.x_range, "reset_start", 5),
        (fig.x_range, "name", "x"),
        (fig.x_range, "__class__", "x"),
        (fig.x_range, "js_property_callbacks", {}),
        (fig.x_range, None, 1),
        (fig.x_range, ["start"], 1),
        (fig, "visible", False),
        (fig, "tags", ["x"]),
        (source, "data", {"x0": [1], "id": ["<b>"]}),
        (source.selected, "image_indices", []),
        (source.selected, "line_indices", [1]),
        (page.plots.panels[0].hover, "tooltips", "<b>@id</b>"),
    ]
    with refused(page):
        for model, attr, new in attempts:
            changed(page, model, attr, new)


def test_t4_foreign_ids_are_refused(page):
    other = ColumnDataSource({"x": [1, 2]})  # a model of this process, but not of this page
    with refused(page):
        for model in ("p9999", "", "__class__", 5, None, [], {}, {"id": 1}, True):
            comes(page, kind="ModelChanged", model={"id": model}, attr="start", new=1)
            comes(page, kind="ModelChanged", model=model, attr="start", new=1)
        changed(page, other.selected, "indices", [0])
    assert other.selected.indices == []


NUMBERS = [
    None, "1", True, [1], {}, 1e12, -1e300, math.nan, math.inf, 10**400, {"type": "number", "value": "nan"},
    {"type": "object", "name": "Div", "id": "evil", "attributes": {"text": "x"}},
]  # fmt: skip


def test_t4_ranges_are_moderate_numbers(page):
    with refused(page):
        for new in NUMBERS:
            changed(page, page.plots.panels[0].figure.x_range, "start", new)


INDICES = [
    None, "1", 1, {}, [-1], [10**9], [10**30], [1.0], [True], [None], [[1]], ["1"], list(range(1000)),
    {"type": "set", "entries": [1]}, [0] * 100_000,
]  # fmt: skip


def test_t4_selected_points_are_points_of_that_figure(page):
    with refused(page):
        for new in INDICES:
            changed(page, page.plots.source.selected, "indices", new)


def test_t4_streams_patches_and_new_objects_are_refused(page, monkeypatch):
    made = []
    monkeypatch.setattr(Deserializer, "_decode_object_ref", lambda self, rep: made.append(rep))
    source, fig = page.plots.source, page.plots.panels[0].figure
    model = {"id": source.id}
    many = {"x0": [0.0] * 100_000}
    evil = {"type": "object", "name": "Div", "id": "evil", "attributes": {"text": "x"}}
    with refused(page):
        comes(page, kind="ColumnsStreamed", model=model, data=many, rollover=None, attr="data")
        comes(page, kind="ColumnsPatched", model=model, patches={"x0": [[0, 5.0]]}, attr="data")
        comes(page, kind="ColumnDataChanged", model=model, data=many, cols=["x0"], attr="data")
        comes(page, kind="RootAdded", model=evil)
        comes(page, kind="TitleChanged", title="x")
        comes(page, kind="ModelChanged", model={**evil}, attr="text", new="x")
        happens(page, "tap", fig, x=evil, y=1.0)
        happens(page, "selectiongeometry", fig, geometry={"type": evil}, final=True)
        happens(page, "tap", fig, x="1e", y=None)
        happens(page, "no_such_event", fig)
        happens(page, "tap", fig, x=0.0, y="x" * (5 << 20))
        happens(page, "tap", Selection(), x=1.0, y=1.0)
    assert made == []  # not one object of the browser's was made in the kernel


def test_t4_what_comes_along_with_an_allowed_event_is_not_read(page):
    own = page.plots.panels[0].figure.x_range
    evil = {
        "type": "object",
        "name": "ColumnDataSource",
        "id": "evil",
        "attributes": {"data": {"type": "map", "entries": []}},
    }
    before = snapshot(page)
    changed(page, own, "start", 0.5, hint=evil, setter=evil)
    assert own.start == 0.5 and set(snapshot(page)) == set(before)
    assert sum(old != new for old, new in zip(before.values(), snapshot(page).values(), strict=True)) == 1


NONSENSE = [
    None, 1, "jsevent", [], {}, {"event": "jsevent"}, {"event": []}, {"event": "jsevent", "kind": []},
    {"event": "jsevent", "kind": "ModelChanged"}, {"event": "jsevent", "kind": "MessageSent"},
    {"event": "jsevent", "kind": "MessageSent", "msg_type": "bokeh_event"},
    {"event": "jsevent", "kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": 5},
    {"event": "jsevent", "kind": "MessageSent", "msg_type": "eval", "msg_data": "1/0"},
    {"event": "other", "kind": "ModelChanged"},
]  # fmt: skip


def test_t4_nonsense_is_refused(page):
    with refused(page):
        for content in NONSENSE:
            page.plots.widget._sync_model(page.plots.widget, content, [])
