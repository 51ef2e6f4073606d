"""BPT classes and curves against values worked out by hand and identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfnet_core.astro.bpt import (
    AGN,
    COMPOSITE,
    LOW_SN_LINER,
    LOW_SN_STAR_FORMING,
    STAR_FORMING,
    UNCLASSIFIED,
    bpt_class,
    bpt_class_from_fluxes,
    kauffmann03,
    kewley01,
    log_ratio,
)
from sfnet_core.utils.errors import SFNetError

ratio = st.floats(-2.5, 1.5)


def test_curves_at_known_points():
    # 0.61/(−0.5 − 0.05) + 1.3 and 0.61/(−0.5 − 0.47) + 1.19, by hand.
    assert kauffmann03(np.array([-0.5]))[0] == pytest.approx(0.190909, abs=1e-6)
    assert kewley01(np.array([-0.5]))[0] == pytest.approx(0.561134, abs=1e-6)
    # The two curves meet near x = −1.28, y = 0.84.
    x = np.linspace(-1.6, 0.0, 2001)
    gap = kewley01(x) - kauffmann03(x)
    crossing = x[np.argmin(np.abs(gap))]
    assert crossing == pytest.approx(-1.28, abs=0.02)


def test_curves_past_their_asymptotes_put_everything_above():
    assert kauffmann03(np.array([0.05, 0.3])).tolist() == [-np.inf, -np.inf]
    assert kewley01(np.array([0.47, 1.0])).tolist() == [-np.inf, -np.inf]
    assert np.isnan(kewley01(np.array([np.nan])))


@given(ratio, ratio)
def test_classes_are_a_partition(n2, o3):
    below_kauffmann = n2 < 0.05 and o3 < 0.61 / (n2 - 0.05) + 1.3
    above_kewley = n2 >= 0.47 or o3 >= 0.61 / (n2 - 0.47) + 1.19
    got = bpt_class(np.array([n2]), np.array([o3]))[0]
    # Left of where the curves cross, Kewley's lies below Kauffmann's: what is above Kewley's is AGN there.
    expected = AGN if above_kewley else STAR_FORMING if below_kauffmann else COMPOSITE
    assert got == expected


def test_classes_of_typical_objects():
    n2 = np.array([-0.5, -1.2, -0.15, 0.1, -0.1, np.nan])
    o3 = np.array([-0.4, 0.5, -0.1, 0.9, 1.0, 0.1])
    assert bpt_class(n2, o3).tolist() == [1, 1, 3, 4, 4, -1]
    assert bpt_class(n2, o3).dtype == np.int16


def test_signal_to_noise_decides_before_the_diagram():
    flux = {"nii_6584": 90.0, "h_alpha": 100.0, "oiii_5007": 20.0, "h_beta": 30.0}

    def classify(**errors):
        names = ("nii_6584", "h_alpha", "oiii_5007", "h_beta")
        arguments = [np.array([flux[n]]) for n in names]
        return bpt_class_from_fluxes(*arguments, *[np.array([errors.get(n, 1.0)]) for n in names])[0]

    assert classify() == COMPOSITE
    assert classify(oiii_5007=15.0) == LOW_SN_LINER  # log([NII]/Hα) = −0.05 > −0.2
    assert classify(oiii_5007=15.0, nii_6584=40.0) == LOW_SN_STAR_FORMING
    assert classify(h_alpha=80.0) == UNCLASSIFIED
    assert classify(h_beta=-1.0) == LOW_SN_LINER  # a negative error marks a line that was not measured
    with pytest.raises(SFNetError, match="all four"):
        bpt_class_from_fluxes(1, 1, 1, 1, h_beta_err=1)


def test_without_errors_positive_fluxes_count_as_measured():
    got = bpt_class_from_fluxes(np.array([30.0, 30.0]), np.array([100.0, 0.0]), np.array([10.0, 1.0]), [30.0, 1.0])
    assert got.tolist() == [STAR_FORMING, UNCLASSIFIED]


def test_log_ratio_needs_two_positive_numbers():
    got = log_ratio(np.array([10.0, -1.0, 1.0, np.nan, np.inf]), np.array([1.0, 1.0, 0.0, 1.0, 1.0]))
    assert got[0] == 1.0 and np.isnan(got[1:]).all()
