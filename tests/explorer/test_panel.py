"""A panel's layers: what its visible range calls for, points or a density, is what numpy finds there."""

from __future__ import annotations

import numpy as np
import pytest
from bokeh.models import ColumnDataSource
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.explorer.shared import panel as module
from sfnet_core.explorer.shared.panel import BPT_RANGE, Axes, Panel

NAN = float("nan")


@pytest.fixture
def panel() -> Panel:
    names = {"x0": [], "y0": []}
    return Panel(0, ColumnDataSource({**names, "id": []}), ColumnDataSource(dict(names)))


def axes(x=(0.0, 10.0), y=(0.0, 1.0), **more) -> Axes:
    return Axes(np.array(x), np.array(y), "x [dex]", "y", "a title", **more)


def test_the_users_zoom_stays_while_the_datas_extent_does(panel):
    panel.set_axes(axes(), aggregate=False)
    fig = panel.figure
    assert (fig.x_range.start, fig.x_range.end, fig.x_range.reset_start) == (-0.5, 10.5, -0.5)
    fig.x_range.update(start=3, end=4)
    panel.set_axes(axes(x=(0.0, 5.0, 10.0), y=(0.0, 0.5, 1.0)), aggregate=False)
    assert (fig.x_range.start, fig.x_range.end) == (3, 4)
    panel.set_axes(axes(x=(0.0, 20.0)), aggregate=False)
    assert (fig.x_range.start, fig.x_range.end) == (-1, 21)
    panel.set_axes(axes(span=(np.array([40.0]), np.array([0.5]))), aggregate=False)
    assert (fig.x_range.start, fig.x_range.end) == (-2, 42)


def test_guide_lines_stand_where_they_mean_something(panel):
    for kind, lines in (("", (0, 0, 0)), ("identity", (1, 0, 0)), ("residual", (0, 1, 0)), ("bpt", (0, 0, 1))):
        panel.set_axes(axes(kind=kind), aggregate=False)
        assert (panel.identity.visible, panel.zero.visible, panel.lines[0].visible) == lines
    assert panel.ranges == BPT_RANGE


def test_a_density_gives_way_to_points_and_takes_its_selection_along(panel, monkeypatch):
    many = axes(x=(1.0, 2.0, 3.0), y=(1.0, 2.0, 3.0))
    panel.set_axes(many, aggregate=True)
    monkeypatch.setattr(module, "MOST_POINTS", 2)
    monkeypatch.setattr(module, "MOST_MARKED", 1)
    panel.look(many, np.array([True, False, True]), names)
    assert (panel.points.visible, panel.density.visible, panel.chosen.visible) == (False, True, True)
    assert (panel.chosen.data_source.data["image"][0].sum(), panel.density.data_source.data["image"][0].sum()) == (2, 3)
    panel.set_axes(many, aggregate=False)
    assert (panel.points.visible, panel.density.visible, panel.chosen.visible) == (True, False, False)


def test_a_click_finds_the_nearest_galaxy_on_the_screen(panel):
    shown = axes(x=(0.0, 10.0, NAN), y=(0.0, 1.0, 0.0))
    panel.set_axes(shown, aggregate=False)
    assert panel.nearest(shown, 6, 0.0) == 0  # 6 of 11 across, 0 of 1.1 up: nearer than 4 of 11 and 1 of 1.1
    assert panel.nearest(shown, 6, 0.9) == 1
    assert panel.nearest(axes(x=(NAN,), y=(1.0,)), 1, 1) == panel.nearest(axes(x=(), y=()), 1, 1) == -1
    assert panel.nearest(shown, NAN, 0) == -1
    panel.figure.x_range.update(start=2, end=2)  # a browser may say so
    assert panel.nearest(shown, 1, 0.0) == 0


# -- the visible range ---------------------------------------------------------------------------------------------


def names(positions: np.ndarray) -> list[str]:
    return [f"g{i}" for i in positions]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    ends=st.tuples(*[st.floats(-3, 3).map(lambda v: round(v, 3))] * 4),
    most=st.integers(1, 60),
    some=st.booleans(),
)
def test_the_visible_range_calls_for_points_or_a_density(seed, ends, most, some):
    """Whatever the zoom: no more points than may be drawn, all of those in sight, and counts that numpy finds."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 1, (2, 80))
    x[:5], y[3:9] = NAN, NAN
    chosen = rng.random(80) < 0.3 if some else None
    own = Panel(0, ColumnDataSource({"x0": [], "y0": [], "id": []}), ColumnDataSource({"x0": [], "y0": []}), "key")
    shown = axes(x, y)
    own.set_axes(shown, aggregate=True)
    own.figure.x_range.update(start=ends[0], end=ends[1])  # from a browser: either end may be the larger
    own.figure.y_range.update(start=ends[2], end=ends[3])
    (x0, x1), (y0, y1) = own.view()
    assert x0 < x1 and y0 < y1
    inner = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_POINTS", most)
        patch.setattr(module, "MOST_MARKED", most)
        own.look(shown, chosen, names)
    here = np.flatnonzero(inner)
    if len(here) <= most:
        data = own.near.data_source.data
        assert (own.near.visible, own.density.visible, own.chosen.visible) == (True, False, False)
        assert np.array_equal(own.positions, here) and data["id"] == names(here)
        assert np.array_equal(data["x0"], x[here]) and np.array_equal(data["y0"], y[here])
        selected = [] if chosen is None else np.flatnonzero(chosen[here]).tolist()
        assert list(own.near.data_source.selected.indices) == selected
    else:
        half_open = inner & (x < x1) & (y < y1)  # a cell does not hold its upper edges
        marked = 0 if chosen is None else np.count_nonzero(inner & chosen)
        few = some and marked <= most
        assert (own.near.visible, own.density.visible, own.chosen.visible) == (few, True, some and not few)
        if few:
            data = own.near.data_source.data
            assert np.array_equal(data["x0"], x[inner & chosen]) and data["id"] == names(np.flatnonzero(inner & chosen))
            assert list(own.near.data_source.selected.indices) == list(range(marked))
        assert own.positions is None
        for layer, mask in ((own.density, half_open), (own.chosen, None if chosen is None else half_open & chosen)):
            if mask is not None and layer.visible:
                data = layer.data_source.data
                expected = np.histogram2d(y[mask], x[mask], bins=(90, 120), range=((y0, y1), (x0, x1)))[0]
                assert np.array_equal(data["image"][0], expected)
                assert (data["x"], data["y"]) == ([x0], [y0])
                assert data["dw"] == [x1 - x0] and data["dh"] == [y1 - y0]
    zoomed = own.view() != own.ranges
    assert own.figure.title.text == "a title" + (f" · {len(here)} here" if zoomed else "")
    assert own.drawn == own.view()


def test_zooming_out_again_gives_the_density_of_all(panel):
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (2, 6000))
    shown = axes(x, y)
    panel.set_axes(shown, aggregate=True)
    panel.look(shown, None, names)
    first = panel.density.data_source.data["image"][0].copy()
    assert panel.density.visible and first.sum() == 6000
    panel.figure.x_range.update(start=0.0, end=0.5)
    panel.look(shown, None, names)
    assert panel.near.visible and len(panel.near.data_source.data["x0"]) == np.count_nonzero((x >= 0) & (x <= 0.5))
    panel.figure.x_range.update(start=panel.figure.x_range.reset_start, end=panel.figure.x_range.reset_end)
    panel.look(shown, None, names)
    assert panel.density.visible and not panel.near.visible
    assert np.array_equal(panel.density.data_source.data["image"][0], first)
    assert panel.figure.title.text == "a title"


@pytest.mark.parametrize("ends", [(2, 2), (2, 2 + 1e-13), (0, 0)])
def test_a_range_of_no_width_is_the_whole_range(panel, ends):
    panel.set_axes(axes(), aggregate=True)
    panel.figure.x_range.update(start=ends[0], end=ends[1])
    assert panel.view() == panel.ranges == ((-0.5, 10.5), (-0.05, 1.05))


def test_figures_leave_no_ghosts_of_the_other_theme(panel):
    """A frame with a ground, a border without: the outer half pixel of Bokeh's canvas is never quite cleared."""
    for dark, ground in ((False, "#ffffff"), (True, "#1a2128")):
        panel.theme(dark)
        assert (panel.figure.background_fill_color, panel.figure.border_fill_color) == (ground, None)
