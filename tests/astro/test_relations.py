"""Astronomical relations against values worked out by hand and identities."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sfnet_core.astro import relations as astro
from sfnet_core.utils.errors import SFNetError

ratio = st.floats(-2.5, 1.5)


def test_curves_at_known_points():
    # 0.61/(−0.5 − 0.05) + 1.3 and 0.61/(−0.5 − 0.47) + 1.19, by hand.
    assert astro.kauffmann03(np.array([-0.5]))[0] == pytest.approx(0.190909, abs=1e-6)
    assert astro.kewley01(np.array([-0.5]))[0] == pytest.approx(0.561134, abs=1e-6)
    # The two curves meet near x = −1.28, y = 0.84.
    x = np.linspace(-1.6, 0.0, 2001)
    gap = astro.kewley01(x) - astro.kauffmann03(x)
    crossing = x[np.argmin(np.abs(gap))]
    assert crossing == pytest.approx(-1.28, abs=0.02)


def test_curves_past_their_asymptotes_put_everything_above():
    assert astro.kauffmann03(np.array([0.05, 0.3])).tolist() == [-np.inf, -np.inf]
    assert astro.kewley01(np.array([0.47, 1.0])).tolist() == [-np.inf, -np.inf]
    assert np.isnan(astro.kewley01(np.array([np.nan])))


@given(ratio, ratio)
def test_classes_are_a_partition(n2, o3):
    below_kauffmann = n2 < 0.05 and o3 < 0.61 / (n2 - 0.05) + 1.3
    above_kewley = n2 >= 0.47 or o3 >= 0.61 / (n2 - 0.47) + 1.19
    got = astro.bpt_class(np.array([n2]), np.array([o3]))[0]
    # Left of where the curves cross, Kewley's lies below Kauffmann's: what is above Kewley's is AGN there.
    expected = astro.AGN if above_kewley else astro.STAR_FORMING if below_kauffmann else astro.COMPOSITE
    assert got == expected


def test_classes_of_typical_objects():
    n2 = np.array([-0.5, -1.2, -0.15, 0.1, -0.1, np.nan])
    o3 = np.array([-0.4, 0.5, -0.1, 0.9, 1.0, 0.1])
    assert astro.bpt_class(n2, o3).tolist() == [1, 1, 3, 4, 4, -1]
    assert astro.bpt_class(n2, o3).dtype == np.int16


def test_signal_to_noise_decides_before_the_diagram():
    flux = {"nii_6584": 90.0, "h_alpha": 100.0, "oiii_5007": 20.0, "h_beta": 30.0}

    def classify(**errors):
        names = ("nii_6584", "h_alpha", "oiii_5007", "h_beta")
        arguments = [np.array([flux[n]]) for n in names]
        return astro.bpt_class_from_fluxes(*arguments, *[np.array([errors.get(n, 1.0)]) for n in names])[0]

    assert classify() == astro.COMPOSITE
    assert classify(oiii_5007=15.0) == astro.LOW_SN_LINER  # log([NII]/Hα) = −0.05 > −0.2
    assert classify(oiii_5007=15.0, nii_6584=40.0) == astro.LOW_SN_STAR_FORMING
    assert classify(h_alpha=80.0) == astro.UNCLASSIFIED
    assert classify(h_beta=-1.0) == astro.LOW_SN_LINER  # a negative error marks a line that was not measured
    with pytest.raises(SFNetError, match="all four"):
        astro.bpt_class_from_fluxes(1, 1, 1, 1, h_beta_err=1)


def test_without_errors_positive_fluxes_count_as_measured():
    got = astro.bpt_class_from_fluxes(
        np.array([30.0, 30.0]), np.array([100.0, 0.0]), np.array([10.0, 1.0]), [30.0, 1.0]
    )
    assert got.tolist() == [astro.STAR_FORMING, astro.UNCLASSIFIED]


def test_log_ratio_needs_two_positive_numbers():
    got = astro.log_ratio(np.array([10.0, -1.0, 1.0, np.nan, np.inf]), np.array([1.0, 1.0, 0.0, 1.0, 1.0]))
    assert got[0] == 1.0 and np.isnan(got[1:]).all()


def test_mannucci_equation_2():
    # By hand: m = 0, s = 0 → 8.90; m = 0.5, s = −0.4 → 8.90 + .185 + .056 − .0475 − .024 − .00864.
    assert astro.fmr_oh(10.0, 0.0) == pytest.approx(8.90)
    assert astro.fmr_oh(10.5, -0.4) == pytest.approx(9.06086)


def test_fmr_falls_with_sfr_at_low_mass_only():
    assert astro.fmr_oh(9.2, 0.3) < astro.fmr_oh(9.2, -0.3) - 0.1
    assert abs(astro.fmr_oh(11.2, 0.3) - astro.fmr_oh(11.2, -0.3)) < 0.02


def test_running_median_counts_everyone_once():
    rng = np.random.default_rng(0)
    x = rng.normal(10, 0.5, 503)
    y = 2 * x + rng.normal(0, 0.1, 503)
    x[5] = np.nan
    got = astro.running_median(x, y, bins=10)
    assert got.n.sum() == 502 and len(got.x) == 10
    assert np.all(np.diff(got.x) > 0) and np.all(got.low <= got.median) and np.all(got.median <= got.high)
    assert np.allclose(got.median, 2 * got.x, atol=0.1)


@pytest.mark.parametrize("seed", range(8))
def test_running_median_is_numpys_percentile_of_each_bin(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 400))
    x = rng.normal(size=n) if seed % 2 else rng.integers(0, 5, n).astype(float)  # ties, too
    y = rng.normal(size=n)
    y[::17] = np.nan
    edges = np.array([-1.0, 0, 0.5, 2])
    got = astro.running_median(x, y, edges, 3)
    good = np.isfinite(y)
    bins = [good & (x >= low) & ((x < high) | ((high == 2) & (x == high))) for low, high in pairwise(edges)]
    bins = [inside for inside in bins if inside.sum() >= 3]
    assert got.n.tolist() == [inside.sum() for inside in bins] and len(bins)
    for values, of, share in ((got.x, x, 50), (got.median, y, 50), (got.low, y, 16), (got.high, y, 84)):
        assert values == pytest.approx([np.percentile(of[inside], share) for inside in bins], abs=1e-12)


def test_running_median_with_edges_leaves_thin_bins_out():
    got = astro.running_median(
        np.array([0.0, 0.1, 0.2, 1.0]), np.array([1.0, 2.0, 3.0, 9.0]), np.array([0, 0.5, 1.0]), 2
    )
    assert got.n.tolist() == [3] and got.median.tolist() == [2.0]
    assert astro.running_median(np.array([]), np.array([])).n.size == 0
    assert astro.running_median(np.full(9, 3.0), np.arange(9.0)).median.tolist() == [4.0]


def test_partial_correlation_equals_the_textbook_formula():
    rng = np.random.default_rng(2)
    z = rng.normal(size=300)
    x, y = z + rng.normal(size=300), -z + rng.normal(size=300)
    rxy, rxz, ryz = np.corrcoef(x, y)[0, 1], np.corrcoef(x, z)[0, 1], np.corrcoef(y, z)[0, 1]
    expected = (rxy - rxz * ryz) / np.sqrt((1 - rxz**2) * (1 - ryz**2))
    assert astro.partial_correlation(x, y, z).value == pytest.approx(expected)
    assert astro.partial_correlation(x, y).value == pytest.approx(rxy)


def test_partial_correlation_equals_the_precision_matrix():
    rng = np.random.default_rng(4)
    data = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    precision = np.linalg.inv(np.cov(data.T))
    expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    assert astro.partial_correlation(data[:, 0], data[:, 1], data[:, 2:]).value == pytest.approx(expected)


def test_a_common_cause_vanishes_at_fixed_control():
    rng = np.random.default_rng(3)
    mass = rng.normal(10, 0.5, 2000)
    feature, oh = mass + rng.normal(0, 0.3, 2000), mass + rng.normal(0, 0.3, 2000)
    assert astro.partial_correlation(feature, oh).value > 0.6
    fixed = astro.partial_correlation(feature, oh, [mass], n=200)
    assert fixed.low < 0 < fixed.high and abs(fixed.value) < 0.06 and fixed.n == 2000


@given(arrays(np.float64, (12, 4), elements=st.floats(-100, 100)))
def test_partial_correlation_is_symmetric_and_bounded(data):
    forward = astro.partial_correlation(data[:, 0], data[:, 1], data[:, 2:])
    backward = astro.partial_correlation(data[:, 1], data[:, 0], data[:, 2:])
    assert np.isnan(forward.value) == np.isnan(backward.value)
    if np.isfinite(forward.value):
        assert -1 <= forward.value <= 1 and forward.value == pytest.approx(backward.value, abs=1e-6)


def test_partial_correlation_without_anything_left():
    x = np.arange(10.0)
    assert np.isnan(astro.partial_correlation(x, np.random.default_rng(0).normal(size=10), [3 * x + 1]).value)
    assert np.isnan(astro.partial_correlation(np.full(10, 2.0), x).value)
    assert np.isnan(astro.partial_correlation(x[:2], x[:2]).value)
    with pytest.raises(SFNetError, match="one length"):
        astro.partial_correlation(x, x[:5])
