"""Metrics against plain loops, identities and the bootstrap's textbook width."""

from __future__ import annotations

import json
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.stats import bootstrap, metrics
from sfnet_core.stats.bootstrap import bootstrap_interval
from sfnet_core.utils.errors import SFNetError

values = st.lists(st.floats(-50, 50, allow_subnormal=False), min_size=2, max_size=40)


@given(values, st.integers(0, 2**32 - 1))
def test_against_plain_python(truth, seed):
    noise = np.random.default_rng(seed).normal(0.3, 1.0, len(truth)).tolist()
    prediction = [t + e for t, e in zip(truth, noise, strict=True)]
    residual = [p - t for t, p in zip(truth, prediction, strict=True)]
    t, p = np.array(truth), np.array(prediction)
    assert metrics.rmse(t, p) == pytest.approx(math.sqrt(sum(r * r for r in residual) / len(residual)))
    assert metrics.bias(t, p) == pytest.approx(sum(residual) / len(residual), abs=1e-12)
    middle = statistics.median(residual)
    mad = statistics.median([abs(r - middle) for r in residual])
    assert metrics.nmad(t, p) == pytest.approx(mad / statistics.NormalDist().inv_cdf(0.75), abs=1e-12)
    far = [abs(r - middle) > 0.7 for r in residual]
    assert metrics.outlier_fraction(t, p, limit=0.7) == pytest.approx(sum(far) / len(far))


@given(values, st.floats(-3, 3))
def test_rmse_splits_into_bias_and_spread(truth, shift):
    truth = np.array(truth)
    prediction = 0.5 * truth + shift
    spread = np.std(prediction - truth)
    assert metrics.rmse(truth, prediction) ** 2 == pytest.approx(
        metrics.bias(truth, prediction) ** 2 + spread**2, abs=1e-9
    )


def test_the_mean_has_r2_0_and_the_truth_has_r2_1():
    truth = np.array([8.1, 8.7, 9.0, 9.2])
    assert metrics.r2(truth, np.full(4, truth.mean())) == pytest.approx(0.0)
    assert metrics.r2(truth, truth) == 1.0
    assert math.isnan(metrics.r2(np.full(3, 9.0), np.array([8.0, 9.0, 9.1])))


def test_normal_residuals_have_nmad_equal_to_their_sigma():
    residual = np.random.default_rng(1).normal(0, 0.1, 50_000)
    assert metrics.nmad(np.zeros(50_000), residual) == pytest.approx(0.1, rel=0.02)
    assert metrics.outlier_fraction(np.zeros(50_000), residual) == pytest.approx(0.0027, abs=0.0008)


def test_missing_values_take_no_part_and_are_counted():
    truth = np.array([8.0, np.nan, 9.0, 8.5, np.inf])
    prediction = np.array([8.1, 8.0, np.nan, 8.3, 9.0])
    answer = metrics.evaluate_arrays(truth, prediction, intervals=20)
    assert (answer["n"], answer["n_left_out"]) == (2, 3)
    assert answer["rmse"] == pytest.approx(math.sqrt((0.1**2 + 0.2**2) / 2))
    assert set(answer["intervals"]) == set(metrics.METRICS)


def test_nothing_left_gives_valid_json_without_a_warning():
    answer = metrics.evaluate_arrays(np.array([np.nan]), np.array([1.0]), intervals=5)
    assert answer["n"] == 0 and answer["rmse"] is None
    json.dumps(answer, allow_nan=False)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
    st.sampled_from([None, 1, 0]),
    st.sampled_from(["rows", "pairs", "one"]),
)
def test_the_intervals_of_all_metrics_are_those_of_drawing_the_rows(n, seed, decimals, kind):
    """The counts' short cut against the plain bootstrap, with ties (rounded values), heavy tails and groups."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(8.9, 0.2, n)
    prediction = truth + 0.1 * rng.standard_t(2, n)
    if decimals is not None:
        truth, prediction = truth.round(decimals), prediction.round(decimals)
    order = np.argsort(prediction - truth, kind="stable")  # what is drawn with a seed are the rows in this order
    truth, prediction = truth[order], prediction[order]
    groups = {"rows": None, "pairs": rng.integers(0, max(1, n // 2), n), "one": np.zeros(n)}[kind]
    found = metrics.evaluate_arrays(truth, prediction, intervals=30, seed=seed, groups=groups)["intervals"]
    for name in ("rmse", "nmad", "bias", "r2", "outlier_fraction"):
        plain = bootstrap_interval(metrics.METRICS[name], truth, prediction, resamples=30, seed=seed, groups=groups)
        low, high = plain.low, plain.high
        if name == "r2" and not (low > -1e6):  # a resample whose truths are equal but for rounding
            continue
        assert found[name] == [pytest.approx(low, abs=1e-9, rel=1e-9), pytest.approx(high, abs=1e-9, rel=1e-9)], name


def test_the_intervals_do_not_depend_on_how_many_resamples_are_held_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    truth, prediction = rng.normal(0, 1, 70), rng.normal(0, 1, 70)
    whole = metrics.evaluate_arrays(truth, prediction, intervals=23)
    for block in (1, 200, 300):
        monkeypatch.setattr(bootstrap, "BLOCK", block)
        again = metrics.evaluate_arrays(truth, prediction, intervals=23)["intervals"]
        for name, ends in whole["intervals"].items():
            assert again[name] == pytest.approx(ends, rel=1e-12), name


def test_shapes_that_do_not_agree_are_named():
    with pytest.raises(SFNetError, match=r"\(3,\).*\(2,\)"):
        metrics.rmse(np.zeros(3), np.zeros(2))
    with pytest.raises(SFNetError, match="group labels"):
        metrics.evaluate_arrays(np.zeros(3), np.zeros(3), groups=np.zeros(2))
