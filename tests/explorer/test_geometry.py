"""Points in the plane against numpy's histogram, a plain search and a point-by-point brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sfnet_core.explorer.shared import geometry
from sfnet_core.explorer.shared.geometry import histogram, inside, padded_range, within

NAN, INF = float("nan"), float("inf")
EIGHTHS = st.integers(-40, 40).map(lambda i: i / 8)  # sums and products of these are exact: edges can be tested
ODD = st.sampled_from([NAN, INF, -INF])
FINE = st.floats(-2, 2)


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


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_density_is_the_same_in_blocks_of_any_size(kind, monkeypatch):
    x, y = np.random.default_rng(2).normal(0, 1, (2, 1000)).astype(kind)
    x[::7], y[::11] = NAN, INF
    ranges = ((-1.0, 1.5), (-2.0, 0.25))
    whole = histogram(x, y, ranges)
    for size in (1, 7, 999, 1000, 1001):
        monkeypatch.setattr(geometry, "BLOCK", size)
        assert np.array_equal(histogram(x, y, ranges), whole)
    inner = np.isfinite(x) & np.isfinite(y)
    wide = x[inner].astype(float), y[inner].astype(float)
    expected = np.histogram2d(wide[1], wide[0], bins=(90, 120), range=(ranges[1], ranges[0]))[0]
    assert np.array_equal(whole, expected)


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(EIGHTHS | ODD, EIGHTHS | ODD), max_size=40),
    ends=st.tuples(EIGHTHS, EIGHTHS, EIGHTHS, EIGHTHS),
)
def test_what_is_within_a_range_has_its_edges_too(points, ends):
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    x0, x1, y0, y1 = ends
    found = within(x, y, ((x0, x1), (y0, y1)))
    assert found.tolist() == [i for i, (a, b) in enumerate(points) if x0 <= a <= x1 and y0 <= b <= y1]


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


@settings(max_examples=60, deadline=None)
@given(
    corners=st.lists(st.tuples(EIGHTHS, EIGHTHS) | st.tuples(FINE, FINE), min_size=3, max_size=12),
    seed=st.integers(0, 1000),
    stretch=st.sampled_from([1.0, 1e-12, 1e9]),
)
@example(corners=[(0.0, 1.25), (1.625, 0.0), (0.0, 1e-308)], seed=0, stretch=1.0)  # an edge all but level
def test_many_points_by_cells_are_each_as_by_the_edges(corners, seed, stretch):
    """On a lattice that meets corners and edges, near the corners, and anywhere: the same answer for every point."""
    px, py = np.array(corners, dtype=float).T * stretch
    rng = np.random.default_rng(seed)
    lattice = np.stack(np.meshgrid(np.arange(-16, 17) / 8, np.arange(-16, 17) / 8)).reshape(2, -1) * stretch
    close = np.stack([px, py])[:, rng.integers(len(px), size=200)] * (1 + rng.normal(size=(2, 200)) * 1e-15)
    x, y = np.concatenate([lattice, close, rng.uniform(-2, 2, (2, 2000)) * stretch], axis=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "MANY", 0)
        found = inside(x, y, {"type": "poly", "x": px.tolist(), "y": py.tolist()})
    with np.errstate(all="ignore"):
        in_range = (x >= px.min()) & (x <= px.max()) & (y >= py.min()) & (y <= py.max())
        assert np.array_equal(found, in_range & geometry._odd(px, py, x, y))


def test_a_hand_s_lasso_over_many_points_is_looked_at_in_cells(monkeypatch):
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    far = 1 + 0.3 * np.sin(7 * angle)
    px, py = far * np.cos(angle), far * np.sin(angle)
    x, y = np.random.default_rng(0).uniform(-1.5, 1.5, (2, 60_000))
    wanted, looked = geometry._odd(px, py, x, y), []
    real = geometry._odd
    monkeypatch.setattr(geometry, "_odd", lambda px, py, x, y: looked.append(len(x)) or real(px, py, x, y))
    assert np.array_equal(inside(x, y, {"type": "poly", "x": px.tolist(), "y": py.tolist()}), wanted)
    assert sum(looked) < 0.6 * len(x)  # the cells' middles, and the points near an edge


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
