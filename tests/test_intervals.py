"""Conformal intervals: the rank by hand, the promise by simulation, coverage where it is known to fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.codes import SparseCodes
from sfnet_core.errors import SFNetError
from sfnet_core.intervals import conformal_radius, coverage, prediction_intervals, validation_radius


def codes_with(residual: np.ndarray, prediction: np.ndarray, split: str = "validation") -> SparseCodes:
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
        split=np.full(n, split),
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
    np.testing.assert_allclose((low + high) / 2, codes.prediction())
    np.testing.assert_allclose(high - low, 2 * validation_radius(codes))
    assert np.mean((codes.truth() >= low) & (codes.truth() <= high)) == pytest.approx(181 / 200, abs=1e-9)


def test_coverage_is_right_on_average_and_shows_where_it_fails():
    rng = np.random.default_rng(1)
    prediction = np.sort(rng.uniform(8, 9, 4000))
    wide = prediction > 8.75  # the last quarter is four times as hard
    codes = codes_with(rng.normal(0, np.where(wide, 0.4, 0.1)), prediction)
    found = coverage(codes, bins=4)
    assert found.n.tolist()[0] == 4000 and found.n[1:].sum() == 4000 and len(found.edges) == 5
    assert abs(found.inside[0] - 0.9) < 0.01 and found.low[0] < 0.9 < found.high[0]
    assert (found.inside[1:4] > 0.95).all() and found.inside[4] < 0.75
    np.testing.assert_allclose((found.inside[1:] * found.n[1:]).sum() / 4000, found.inside[0])
    assert coverage(codes, bins=4).inside.tolist() == found.inside.tolist()


def test_mistakes_are_said():
    rng = np.random.default_rng(2)
    few = codes_with(rng.normal(size=8), rng.normal(8.9, 0.2, 8))
    with pytest.raises(SFNetError, match="needs at least 9 validation galaxies with a true value; these codes have 8"):
        validation_radius(few)
    assert np.isfinite(validation_radius(codes_with(rng.normal(size=9), rng.normal(8.9, 0.2, 9))))
    with pytest.raises(SFNetError, match="Coverage needs at least 20 validation galaxies"):
        coverage(few)
    with pytest.raises(SFNetError, match=r"between 0 and 1, such as 0\.9, not 90"):
        conformal_radius(np.ones(20), 90)
    with pytest.raises(SFNetError, match="these codes have 0"):
        validation_radius(codes_with(rng.normal(size=30), rng.normal(8.9, 0.2, 30), split="train"))
