"""Conformal intervals: the rank by hand, the promise by simulation, coverage where it is known to fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.intervals import FEWEST, conformal_radius, coverage, prediction_intervals, validation_radii
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError


def codes_with(residual: np.ndarray, prediction: np.ndarray, split: str | np.ndarray = "validation") -> SparseCodes:
    """Codes with one feature whose activation is the prediction, and truths ``residual`` below it."""
    n = len(residual)
    return SparseCodes.from_arrays(
        ids=[f"g{i}" for i in range(n)],
        indices=np.zeros((n, 1), dtype=np.int16),
        values=prediction.astype(np.float32)[:, None],
        k=1,
        features=1,
        weight=np.ones((1, 1)),
        bias=np.zeros(1),
        targets=["oh_p50"],
        units={"oh_p50": "dex"},
        split=np.broadcast_to(split, n),
        truth={"oh_p50": prediction.astype(np.float32).astype(float) - residual},
        simulated=True,
    )


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.sampled_from([0.5, 0.68, 0.9, 0.95]))
def test_the_radius_is_the_smallest_that_the_counting_argument_allows(residuals, level):
    """A new galaxy is as likely at any rank of n + 1: r holds it with chance ≥ level where so many lie within r."""
    radius = conformal_radius(np.array(residuals), level)
    sizes = np.abs(residuals)
    if np.isfinite(radius):
        assert radius in sizes
        assert (sizes <= radius).sum() >= level * (len(sizes) + 1) - 1e-6
        smaller = sizes[sizes < radius]
        assert len(smaller) < level * (len(sizes) + 1)
    else:
        assert len(sizes) < level * (len(sizes) + 1) - 1e-9


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 100))
def test_new_galaxies_are_inside_as_often_as_promised(seed):
    rng = np.random.default_rng(seed)
    hits = []
    for _ in range(400):
        errors = rng.standard_t(3, size=60)  # heavy tails: no normal approximation would do
        hits.append(np.mean(np.abs(rng.standard_t(3, size=200)) <= conformal_radius(errors, 0.9)))
    # exactly ⌈61 · 0.9⌉/61 = 0.902 in the mean; the mean of 400 tries has a standard error of 0.002
    assert abs(np.mean(hits) - 55 / 61) < 0.01


def test_intervals_are_centred_on_the_prediction_and_hold_nine_of_ten_calibration_galaxies():
    rng = np.random.default_rng(0)
    codes = codes_with(rng.normal(0, 0.1, 200), rng.normal(8.9, 0.2, 200))
    low, high = prediction_intervals(codes)
    radii = validation_radii(codes)
    np.testing.assert_allclose((low + high) / 2, codes.prediction())
    np.testing.assert_allclose(high - low, 2 * radii.of(codes.prediction()))
    group = np.digitize(codes.prediction(), radii.edges)
    inside = (codes.truth() >= low - 1e-12) & (codes.truth() <= high + 1e-12)
    for g in range(4):  # quarters of 50: the ⌈51 · 0.9⌉-th smallest error
        assert (group == g).sum() == 50 and inside[group == g].sum() == 46


def test_a_harder_kind_of_galaxy_gets_wider_intervals_and_is_covered_as_often():
    rng = np.random.default_rng(1)
    prediction = np.sort(rng.uniform(8, 9, 4000))
    codes = codes_with(rng.normal(0, np.where(prediction > 8.75, 0.4, 0.1)), prediction)
    radii = validation_radii(codes)
    np.testing.assert_allclose(radii.edges, [8.25, 8.5, 8.75], atol=0.02)
    np.testing.assert_allclose(radii.radius / 1.645, [0.1, 0.1, 0.1, 0.4], rtol=0.1)
    assert radii.of(8.1) == radii.radius[0] and radii.of(np.array([8.9, 8.4])).tolist() == radii.radius[[3, 1]].tolist()
    found = coverage(codes, bins=4)
    assert found.n.tolist()[0] == 4000 and found.n[1:].sum() == 4000 and len(found.edges) == 5
    assert (abs(found.inside - 0.9) < 0.02).all() and (found.low < 0.9).all() and (found.high > 0.9).all()
    np.testing.assert_allclose((found.inside[1:] * found.n[1:]).sum() / 4000, found.inside[0])
    assert coverage(codes, bins=4).inside.tolist() == found.inside.tolist()


def test_coverage_shows_where_intervals_fail():
    """Hardness that groups by prediction can't see: a peak of it inside one group."""
    rng = np.random.default_rng(3)
    prediction = np.sort(rng.uniform(8, 9, 8000))
    hard = (prediction > 8.3) & (prediction < 8.35)
    found = coverage(codes_with(rng.normal(0, np.where(hard, 0.5, 0.1)), prediction), bins=20)
    assert abs(found.inside[0] - 0.9) < 0.01
    # they are a fifth of their group: nine tenths of it are all the others and half of them
    assert abs(found.inside[7] - 0.5) < 0.06 and found.inside[1:6].min() > 0.85


def test_calibration_galaxies_do_not_set_the_limits_of_their_groups():
    rng = np.random.default_rng(4)
    prediction, residual = rng.normal(8.9, 0.2, 900), rng.normal(0, 0.1, 900)
    split = np.where(np.arange(900) < 200, "validation", "train")
    codes = codes_with(residual, prediction, split)
    edges = validation_radii(codes).edges
    np.testing.assert_allclose(edges, np.quantile(codes.prediction()[200:], [0.25, 0.5, 0.75]))
    moved = codes_with(residual, np.where(split == "train", prediction, prediction + 0.01), split)
    assert validation_radii(moved).edges.tolist() == edges.tolist()


@given(st.integers(9, 300), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_no_group_is_too_small_to_be_trusted(n, seed):
    rng = np.random.default_rng(seed)
    codes = codes_with(rng.normal(0, 0.1, n), rng.choice(rng.normal(8.9, 0.2, n), n))
    edges = validation_radii(codes).edges
    counts = np.bincount(np.digitize(codes.prediction(), edges), minlength=len(edges) + 1)
    assert len(counts) == 1 or counts.min() >= FEWEST
    assert (np.diff(edges) > 0).all()


def test_mistakes_are_said():
    rng = np.random.default_rng(2)
    few = codes_with(rng.normal(size=8), rng.normal(8.9, 0.2, 8))
    with pytest.raises(SFNetError, match="needs at least 9 validation galaxies with a true value; these codes have 8"):
        validation_radii(few)
    assert np.isfinite(validation_radii(codes_with(rng.normal(size=9), rng.normal(8.9, 0.2, 9))).radius).all()
    with pytest.raises(SFNetError, match="Coverage needs at least 20 validation galaxies"):
        coverage(few)
    with pytest.raises(SFNetError, match=r"between 0 and 1, such as 0\.9, not 90"):
        conformal_radius(np.ones(20), 90)
    with pytest.raises(SFNetError, match="these codes have 0"):
        validation_radii(codes_with(rng.normal(size=30), rng.normal(8.9, 0.2, 30), split="train"))
