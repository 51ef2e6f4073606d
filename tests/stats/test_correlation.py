"""Correlations against textbook formulas, and their intervals against refitting every resample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sfnet_core.stats.correlation import correlations, partial_correlation
from sfnet_core.utils.errors import SFNetError


def test_partial_correlation_equals_the_textbook_formula():
    rng = np.random.default_rng(2)
    z = rng.normal(size=300)
    x, y = z + rng.normal(size=300), -z + rng.normal(size=300)
    rxy, rxz, ryz = np.corrcoef(x, y)[0, 1], np.corrcoef(x, z)[0, 1], np.corrcoef(y, z)[0, 1]
    expected = (rxy - rxz * ryz) / np.sqrt((1 - rxz**2) * (1 - ryz**2))
    assert partial_correlation(x, y, z).value == pytest.approx(expected)
    assert partial_correlation(x, y).value == pytest.approx(rxy)


def test_partial_correlation_equals_the_precision_matrix():
    rng = np.random.default_rng(4)
    data = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    precision = np.linalg.inv(np.cov(data.T))
    expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    assert partial_correlation(data[:, 0], data[:, 1], data[:, 2:]).value == pytest.approx(expected)


def test_a_common_cause_vanishes_at_fixed_control():
    rng = np.random.default_rng(3)
    mass = rng.normal(10, 0.5, 2000)
    feature, oh = mass + rng.normal(0, 0.3, 2000), mass + rng.normal(0, 0.3, 2000)
    assert partial_correlation(feature, oh).value > 0.6
    fixed = partial_correlation(feature, oh, [mass], n=200)
    assert fixed.low < 0 < fixed.high and abs(fixed.value) < 0.06 and fixed.n == 2000


@given(arrays(np.float64, (12, 4), elements=st.floats(-100, 100)))
def test_partial_correlation_is_symmetric_and_bounded(data):
    forward = partial_correlation(data[:, 0], data[:, 1], data[:, 2:])
    backward = partial_correlation(data[:, 1], data[:, 0], data[:, 2:])
    assert np.isnan(forward.value) == np.isnan(backward.value)
    if np.isfinite(forward.value):
        assert -1 <= forward.value <= 1 and forward.value == pytest.approx(backward.value, abs=1e-6)


def test_partial_correlation_without_anything_left():
    x = np.arange(10.0)
    assert np.isnan(partial_correlation(x, np.random.default_rng(0).normal(size=10), [3 * x + 1]).value)
    assert np.isnan(partial_correlation(np.full(10, 2.0), x).value)
    assert np.isnan(partial_correlation(x[:2], x[:2]).value)
    with pytest.raises(SFNetError, match="one length"):
        partial_correlation(x, x[:5])


@pytest.mark.parametrize("seed", [0, 1])
def test_intervals_from_moments_are_those_of_refitting_every_resample(seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(90, 5)) @ rng.normal(size=(5, 5)) + 100.0
    data[:, 0] = np.maximum(data[:, 0] - 100, 0)
    sets = [(), (2,), (2, 3), (2, 3, 4)]
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, 90, 90) for _ in range(60)]
    for chosen, found in zip(sets, correlations(data, sets, 60, seed), strict=True):
        each = [partial_correlation(*data[rows][:, :2].T, data[rows][:, chosen]).value for rows in draws]
        plain = partial_correlation(data[:, 0], data[:, 1], data[:, chosen], n=60, seed=seed)
        assert found == pytest.approx((plain.value, *np.percentile(each, [2.5, 97.5])), abs=1e-9)
        assert (plain.low, plain.high, plain.n) == (pytest.approx(found[1]), pytest.approx(found[2]), 90)


def test_without_resamples_the_ends_are_unknown():
    data = np.random.default_rng(0).normal(size=(30, 3))
    ((value, low, high),) = correlations(data, [(2,)])
    assert value == pytest.approx(partial_correlation(*data.T).value) and np.isnan([low, high]).all()


def test_a_correlation_of_a_constant_or_of_nothing_is_unknown():
    flat = np.column_stack([np.ones(20), np.arange(20.0), np.arange(20.0)])
    assert np.isnan(correlations(flat, [(), (2,)], 20)).all()
    assert np.isnan(correlations(flat[:2], [()], 20)).all()
    same = np.column_stack([np.arange(20.0), np.arange(20.0) ** 2, np.arange(20.0)])  # the control is the activation
    assert np.isnan(correlations(same, [(2,)], 20)[0]).all()
