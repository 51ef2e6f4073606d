"""Densities, ranges and lassos of a panel against numpy's histogram and a point-by-point brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bokeh.models import ColumnDataSource
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.explorer.panel import BPT_RANGE, Axes, Panel, histogram, inside, padded_range

NAN, INF = float("nan"), float("inf")
EIGHTHS = st.integers(-40, 40).map(lambda i: i / 8)  # sums and products of these are exact: edges can be tested
ODD = st.sampled_from([NAN, INF, -INF])


# -- densities -----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(points=st.lists(st.tuples(EIGHTHS | ODD, EIGHTHS | ODD), max_size=60))
def test_a_density_is_numpys_histogram(points):
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    ranges, bins = ((-4.0, 4.0), (-2.0, 2.0)), (16, 4)
    found = histogram(x, y, ranges, bins)
    inner = np.isfinite(x) & np.isfinite(y) & (x < 4) & (y < 2)  # numpy's last bin is closed on both sides, ours is not
    expected = np.histogram2d(y[inner], x[inner], bins=(4, 16), range=(ranges[1], ranges[0]))[0]
    assert found.shape == (4, 16) and np.array_equal(found, expected)


def test_a_density_of_many_points_and_of_none():
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, (2, 20_000))
    ranges = ((-3.0, 2.0), (-1.0, 4.0))
    expected = np.histogram2d(y, x, bins=(90, 120), range=(ranges[1], ranges[0]))[0]
    assert np.array_equal(histogram(x, y, ranges), expected)
    assert histogram(np.empty(0), np.empty(0), ranges).sum() == 0


# -- ranges --------------------------------------------------------------------------------------------------------

some = st.lists(st.floats(-1e100, 1e100) | ODD, max_size=8).map(lambda v: np.array(v, dtype=float))


@settings(max_examples=80, deadline=None)
@given(values=st.lists(some, max_size=3))
def test_a_range_holds_every_finite_value_and_is_not_empty(values):
    low, high = padded_range(values)
    finite = [v for v in np.concatenate([*values, []]).tolist() if math.isfinite(v)]
    assert math.isfinite(low) and math.isfinite(high) and low < high
    assert all(low <= v <= high for v in finite)
    if not finite:
        assert (low, high) == (0, 1)


def test_a_range_is_padded_by_a_twentieth():
    assert padded_range([np.array([0.0, NAN, 10.0])]) == (-0.5, 10.5)
    assert padded_range([np.array([1.0]), np.array([INF, 3.0])]) == pytest.approx((0.9, 3.1))
    assert padded_range([np.array([8.0])]) == (4, 12)
    assert padded_range([np.array([0.0])]) == (-0.5, 0.5)


# -- box and lasso -------------------------------------------------------------------------------------------------


def on_edge(px: list, py: list, x: float, y: float) -> bool:
    for i in range(len(px)):
        ax, ay, bx, by = px[i - 1], py[i - 1], px[i], py[i]
        cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        if cross == 0 and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
            return True
    return False


def angle_parity(px: list, py: list, x: float, y: float) -> bool:
    """Odd winding number, from the angles that the polygon's edges subtend at the point."""
    turn = 0.0
    for i in range(len(px)):
        ax, ay, bx, by = px[i - 1] - x, py[i - 1] - y, px[i] - x, py[i] - y
        turn += math.atan2(ax * by - ay * bx, ax * bx + ay * by)
    return round(turn / (2 * math.pi)) % 2 == 1


@settings(max_examples=120, deadline=None)
@given(
    corners=st.lists(st.tuples(EIGHTHS, EIGHTHS), min_size=3, max_size=9),
    points=st.lists(st.tuples(EIGHTHS, EIGHTHS), max_size=12),
)
def test_a_lasso_is_the_even_odd_rule_at_every_point_off_its_line(corners, points):
    px, py = map(list, zip(*corners, strict=True))
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    found = inside(x, y, {"type": "poly", "x": px, "y": py})
    assert found.shape == x.shape and found.dtype == bool
    for i, (a, b) in enumerate(points):
        if not on_edge(px, py, a, b):
            assert found[i] == angle_parity(px, py, a, b)


@settings(max_examples=40, deadline=None)
@given(corners=st.tuples(EIGHTHS, EIGHTHS, EIGHTHS, EIGHTHS), points=st.lists(st.tuples(EIGHTHS | ODD, EIGHTHS | ODD)))
def test_a_box_holds_its_edges_whichever_corner_came_first(corners, points):
    x0, y0, x1, y1 = corners
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    found = inside(x, y, {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1})
    assert found.tolist() == [min(x0, x1) <= a <= max(x0, x1) and min(y0, y1) <= b <= max(y0, y1) for a, b in points]


def test_unknown_values_are_in_no_lasso():
    x, y = np.array([1.0, NAN, 1.0, INF, 1.0]), np.array([1.0, 1.0, NAN, 1.0, -INF])
    square = {"type": "poly", "x": [0, 2, 2, 0], "y": [0, 0, 2, 2]}
    assert inside(x, y, square).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("px", "py"),
    [([], []), ([0, 2], [0, 2]), ([0, 2, 2], [0, 0]), ([0, NAN, 2], [0, 0, 2]), ([0, INF, 2], [0, 0, 2])],
    ids=str,
)
def test_a_lasso_that_is_none_holds_nothing(px, py):
    assert not inside(np.ones(3), np.ones(3), {"type": "poly", "x": px, "y": py}).any()


# -- the panel -----------------------------------------------------------------------------------------------------


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


def test_a_density_gives_way_to_points_and_takes_its_selection_along(panel):
    many = axes(x=(1.0, 2.0, 3.0), y=(1.0, 2.0, 3.0))
    panel.set_axes(many, aggregate=True)
    panel.set_density(many, np.array([True, False, True]))
    assert (panel.points.visible, panel.density.visible, panel.chosen.visible) == (False, True, True)
    image = panel.chosen.data_source.data["image"][0]
    assert (
        np.rint(np.expm1(image)).sum() == 2 and np.rint(np.expm1(panel.density.data_source.data["image"][0])).sum() == 3
    )
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
