"""A large table under pan and zoom: each panel follows its own range, and selections stay one over all of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared import scene as scene_module
from sfnet_core.explorer.shared.linked import LinkedFigures
from sfnet_core.explorer.shared.panel import MOST_POINTS
from sfnet_core.explorer.shared.state import pack_rows, unpack_rows


@pytest.fixture(scope="module")
def built(made_up) -> Explorer:
    return Explorer(made_up(9000, features=16))


@pytest.fixture
def page(built, monkeypatch) -> Explorer:
    """9,000 galaxies in view, every panel at its whole range; what the figures send is kept in ``out``."""
    built.state.change(**{**built._defaults, "split": ""})
    for panel in built.plots.panels:
        for own in (panel.figure.x_range, panel.figure.y_range):
            own.update(start=own.reset_start, end=own.reset_end)
    built.state.forget()
    built.out = []
    monkeypatch.setattr(LinkedFigures, "send", lambda self, content, buffers=None: built.out.append(content))
    return built


def comes(page: Explorer, **content) -> None:
    message = json.loads(json.dumps({"event": "jsevent", **content}))
    page.plots.widget._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})


def zoom(page: Explorer, number: int, x: tuple[float, float], y: tuple[float, float]) -> None:
    """A pan or a zoom, as the browser tells of it: the four ends, one after the other."""
    fig = page.plots.panels[number].figure
    for own, (low, high) in ((fig.x_range, x), (fig.y_range, y)):
        for attr, new in (("start", low), ("end", high)):
            comes(page, kind="ModelChanged", model={"id": own.id}, attr=attr, new=new)


def drag(page: Explorer, number: int, geometry: dict, **keys: bool) -> None:
    """A lasso or a box drawn with some keys held."""
    fig = page.plots.panels[number].figure

    def event(name: str, **values) -> None:
        entries = [["model", {"id": fig.id}], *([k, encoded(v)] for k, v in values.items())]
        data = {"type": "event", "name": name, "values": {"type": "map", "entries": entries}}
        comes(page, kind="MessageSent", msg_type="bokeh_event", msg_data=data)

    held = {"shift": False, "ctrl": False, "alt": False, **keys}
    event("panstart", x=0.0, y=0.0, sx=1, sy=1, modifiers=held)
    event("selectiongeometry", geometry=geometry, final=True)


def encoded(value):
    return {"type": "map", "entries": [[k, v] for k, v in value.items()]} if isinstance(value, dict) else value


def box(x: tuple[float, float], y: tuple[float, float]) -> dict:
    return {"type": "rect", "x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}


def inside(page: Explorer, number: int, x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    axes = page.plots.axes(number)
    return np.flatnonzero((axes.x >= x[0]) & (axes.x <= x[1]) & (axes.y >= y[0]) & (axes.y <= y[1]))


CLOSE = ((8.7, 8.9), (8.6, 8.95))  # of predicted against true: some thousand galaxies
HALF = ((8.0, 9.6), (8.0, 9.6))


def test_a_panel_zoomed_in_has_points_and_the_others_their_densities(page):
    before = [panel.density.data_source.data["image"][0].copy() for panel in page.plots.panels]
    zoom(page, 1, *CLOSE)
    panel, rows = page.plots.panels[1], inside(page, 1, *CLOSE)
    assert 100 < len(rows) < MOST_POINTS
    data = panel.near.data_source.data
    assert panel.near.visible and not panel.density.visible
    assert data["id"] == page.codes.ids[rows].tolist()
    assert np.array_equal(data["x1"], page.codes.truth()[rows])
    assert np.array_equal(data["y1"], page.codes.prediction()[rows])
    for number in (0, 2, 3):
        assert page.plots.panels[number].density.visible and not page.plots.panels[number].near.visible
        assert np.array_equal(page.plots.panels[number].density.data_source.data["image"][0], before[number])
    zoom(page, 1, *page.plots.panels[1].ranges)  # the reset button
    assert panel.density.visible and np.array_equal(panel.density.data_source.data["image"][0], before[1])


def test_a_density_is_drawn_anew_for_the_range_in_sight(page):
    x, y = (8.4, 9.3), (8.2, 9.4)
    zoom(page, 1, x, y)
    data = page.plots.panels[1].density.data_source.data
    axes = page.plots.axes(1)
    expected = np.histogram2d(axes.y, axes.x, bins=(90, 120), range=(y, x))[0]
    assert page.plots.panels[1].density.visible and np.array_equal(data["image"][0], expected)
    assert (data["x"], data["y"]) == ([8.4], [8.2]) and data["dw"] == [9.3 - 8.4] and data["dh"] == [9.4 - 8.2]


def test_a_zoom_is_no_change_of_the_state_and_one_patch_at_most_for_each_message(page):
    values = page.state.values()
    zoom(page, 2, (9.5, 10.5), (8.5, 9.0))
    assert page.state.values() == values and not page.state.undo()
    patches = [m for m in page.out if "PATCH-DOC" in str(m.get("payload"))]
    assert 0 < len(patches) <= 4
    page.out.clear()
    zoom(page, 2, (9.5, 10.5), (8.5, 9.0))  # where it is already
    assert page.out == []


def test_toggles_and_filters_keep_the_zoom_and_draw_what_is_in_sight(page):
    zoom(page, 1, *CLOSE)
    strongest = page.toggles.data["rows"][0]["feature"]
    page.state.change(off={strongest})
    rows = inside(page, 1, *CLOSE)
    panel = page.plots.panels[1]
    if panel.view() == CLOSE:  # the data's extent is the same: so is the zoom
        assert panel.near.data_source.data["id"] == page.codes.ids[rows].tolist()
    now = page.scene.prediction(page.state)
    shown = panel.positions
    assert panel.near.visible and np.array_equal(panel.near.data_source.data["y1"], now[shown])
    page.state.undo()
    page.state.change(split="validation")  # few enough to be points of the shared source
    assert not page.plots.aggregate and panel.points.visible and not panel.near.visible and not panel.density.visible
    page.state.undo()
    assert page.plots.aggregate and not panel.points.visible and panel.near.visible != panel.density.visible


def test_a_lasso_over_points_in_sight_selects_the_same_everywhere(page):
    zoom(page, 1, *CLOSE)
    part = ((8.75, 8.8), (8.7, 8.8))
    corners = {"type": "poly", "x": [8.75, 8.8, 8.8, 8.75], "y": [8.7, 8.7, 8.8, 8.8]}
    drag(page, 1, corners)
    rows = unpack_rows(page.state.selection)
    axes = page.plots.axes(1)
    inner = (axes.x > part[0][0]) & (axes.x < part[0][1]) & (axes.y > part[1][0]) & (axes.y < part[1][1])
    assert len(rows) and rows.tolist() == np.flatnonzero(inner).tolist()
    near = page.plots.panels[1].near.data_source
    picked = [near.data["id"][i] for i in near.selected.indices]
    assert picked == page.codes.ids[rows].tolist()
    for panel in page.plots.panels:  # few: points over the densities of the other panels
        own = panel.near.data_source
        assert panel.near.visible
        assert {own.data["id"][i] for i in own.selected.indices} <= set(page.codes.ids[rows])
    page.state.undo()
    assert near.selected.indices == [] and page.state.selection == b""


def test_keys_held_add_keep_in_common_and_take_away(page):
    first, second = ((8.6, 8.8), (8.0, 9.5)), ((8.7, 8.9), (8.0, 9.5))
    one, two = inside(page, 1, *first), inside(page, 1, *second)
    drag(page, 1, box(*first))
    drag(page, 1, box(*second), shift=True)
    assert unpack_rows(page.state.selection).tolist() == np.union1d(one, two).tolist()
    drag(page, 1, box(*first), ctrl=True)
    assert unpack_rows(page.state.selection).tolist() == one.tolist()
    drag(page, 1, box(*second), shift=True, ctrl=True)
    assert unpack_rows(page.state.selection).tolist() == np.setdiff1d(one, two).tolist()
    drag(page, 1, box(*second))
    assert unpack_rows(page.state.selection).tolist() == two.tolist()


def test_it_is_known_in_which_plot_a_selection_was_drawn(page):
    zoom(page, 1, *CLOSE)
    drag(page, 1, box(*CLOSE))
    drawn = page.state.selection
    assert page.plots.origin(drawn) == ("truth", "prediction")
    drag(page, 0, box((0.1, 9.0), (8.0, 9.5)))
    assert page.plots.origin(page.state.selection) == ("activation", "truth")
    page.state.undo()
    assert page.state.selection == drawn and page.plots.origin(drawn) == ("truth", "prediction")
    assert page.plots.origin(pack_rows([1, 2, 3])) is None


def test_a_tap_in_a_zoomed_panel_finds_the_galaxy(page):
    zoom(page, 1, *CLOSE)
    near = page.plots.panels[1].near.data_source.data
    x, y = float(near["x1"][7]), float(near["y1"][7])
    entries = [["model", {"id": page.plots.panels[1].figure.id}], ["x", x], ["y", y], ["sx", 1], ["sy", 1]]
    data = {
        "type": "event",
        "name": "tap",
        "values": {"type": "map", "entries": [*entries, ["modifiers", encoded({})]]},
    }
    comes(page, kind="MessageSent", msg_type="bokeh_event", msg_data=data)
    assert page.codes.ids[page.state.galaxy] == near["id"][7]


@pytest.mark.parametrize("held", [None, 5, "shift", {"type": "map", "entries": [["shift", "yes"]]}, [1, 2]])
def test_t4_keys_that_are_none_are_no_keys(page, held):
    fig = page.plots.panels[1].figure
    part = ((8.75, 8.8), (8.0, 9.5))
    page.state.change(selection=pack_rows([0, 1]))
    entries = [["model", {"id": fig.id}], ["x", 0.0], ["y", 0.0], ["sx", 1], ["sy", 1], ["modifiers", held]]
    data = {"type": "event", "name": "panstart", "values": {"type": "map", "entries": entries}}
    comes(page, kind="MessageSent", msg_type="bokeh_event", msg_data=data)
    entries = [["model", {"id": fig.id}], ["geometry", encoded(box(*part))], ["final", True]]
    data = {"type": "event", "name": "selectiongeometry", "values": {"type": "map", "entries": entries}}
    comes(page, kind="MessageSent", msg_type="bokeh_event", msg_data=data)
    assert unpack_rows(page.state.selection).tolist() == inside(page, 1, *part).tolist()


@pytest.mark.parametrize("ends", [(9.0, 9.0), (9.0, 8.0), (-1e11, 1e11), (1e11, 1e11 + 1), (0, 0)], ids=str)
def test_t4_ranges_that_make_no_sense_leave_the_page_alive(page, ends, caplog):
    zoom(page, 1, ends, ends)
    page.state.change(feature=page.toggles.data["rows"][1]["feature"])
    page.state.change(off={3})
    assert f"N {len(page.codes)}" in page.header.data["status"].replace(",", "")
    assert not [record for record in caplog.records if record.name.startswith("sfnet_core")]


def test_a_label_renames_the_axis_and_sends_no_point(page):
    zoom(page, 0, (0.0, 0.2), (8.0, 9.0))
    text, feature = page.plots.panels[0].figure.title.text, page.state.feature
    here = text.splitlines()[-1]
    page.out.clear()
    page.labels.book.set_feature(feature, label="dusty")
    page.state.labels_changed()
    title = page.plots.panels[0].figure.title.text
    assert "dusty" in title.splitlines()[0] and title.splitlines()[-1].endswith(here)
    assert "dusty" in page.plots.panels[0].figure.xaxis[0].axis_label
    sent = sum(len(str(m.get("payload", ""))) for m in page.out)
    assert 0 < sent < 5000
    page.labels.book.set_feature(feature, label="")
    page.state.labels_changed()
    assert page.plots.panels[0].figure.title.text == text


def test_of_very_many_galaxies_some_are_drawn_and_said_and_a_lasso_selects_all_of_them(made_up, monkeypatch):
    monkeypatch.setattr(scene_module, "MANY", 6000)
    page = Explorer(made_up(9000, features=16))
    page.state.change(split="")
    plots, scene, state = page.plots, page.scene, page.state
    assert plots.sampled and len(scene.drawn(state)) == 6000
    for panel in plots.panels:
        assert "6,000 drawn at random of n = 9,000" in panel.figure.title.text
        assert panel.density.visible
    rows = scene.drawn(state)
    assert len(np.unique(rows)) == 6000 and np.array_equal(plots.axes(1).x, page.codes.truth()[rows])
    assert np.array_equal(plots.axes(1).y, page.codes.prediction()[rows])
    strongest = page.toggles.data["rows"][0]["feature"]
    state.change(off={strongest})
    np.testing.assert_allclose(plots.axes(1).y, scene.prediction(state)[rows], atol=1e-12)
    state.change(off=frozenset())
    x, y = (8.7, 8.9), (8.6, 8.95)
    drag(page, 1, box(x, y))
    truth, found = page.codes.truth(), page.codes.prediction()
    inside_all = np.flatnonzero((truth >= x[0]) & (truth <= x[1]) & (found >= y[0]) & (found <= y[1]))
    assert np.array_equal(unpack_rows(state.selection), inside_all)
    assert len(np.setdiff1d(inside_all, rows)) > 0  # some of them are not drawn
    hidden = int(np.setdiff1d(np.arange(9000), rows)[0])
    state.change(galaxy=hidden)
    assert plots.focus.data["x1"].tolist() == [truth[hidden]] and plots.focus.data["y1"].tolist() == [found[hidden]]
    assert "Drawn: 6,000 of the 9,000 galaxies in view, at random" in page.figures.caption("plot-1")
    state.change(split="validation")
    assert not plots.sampled and "drawn" not in plots.panels[0].figure.title.text
