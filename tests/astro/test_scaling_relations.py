"""Scaling relations against astropy, numbers worked out by hand and what the papers say of them in words."""

from __future__ import annotations

import numpy as np
import pytest

from sfnet_core.astro import scaling_relations as r
from sfnet_core.astro.bpt import STAR_FORMING, bpt_class


def test_distances_agree_with_astropy():
    from astropy.cosmology import FlatLambdaCDM

    reference = FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0)
    z = np.array([0.001, 0.02, 0.1, 0.3])
    assert r.comoving_distance(z) == pytest.approx(reference.comoving_distance(z).value, rel=1e-6)
    assert r.luminosity_distance(z) == pytest.approx(reference.luminosity_distance(z).value, rel=1e-6)
    assert float(r.comoving_distance(0.1)) == pytest.approx(reference.comoving_distance(0.1).value, rel=1e-6)


def test_mass_function_at_its_knee():
    # At M = M*: ln 10 · e⁻¹ · (φ₁ + φ₂).
    assert float(r.mass_function(10.66)) == pytest.approx(np.log(10) / np.e * 4.75e-3)
    assert r.mass_function(8.0) > r.mass_function(9.0) > r.mass_function(11.5)


def test_mass_function_integrates_to_the_stellar_mass_density():
    mass = np.linspace(7.0, 12.5, 4001)
    density = np.trapezoid(r.mass_function(mass) * 10.0**mass, mass)
    # Baldry et al. 2012 give 2.3e8 M☉ per Mpc³ (their section 4).
    assert density == pytest.approx(2.3e8, rel=0.15)


def test_main_sequence_of_a_milky_way():
    assert float(r.main_sequence(10.7)) == pytest.approx(0.492)


def test_sizes_follow_the_power_laws_of_their_ends():
    slope = np.diff(np.log10(r.size_kpc(np.array([8.0, 8.5]))))[0] / 0.5
    assert slope == pytest.approx(0.14, abs=0.01)
    slope = np.diff(np.log10(r.size_kpc(np.array([12.5, 13.0]))))[0] / 0.5
    assert slope == pytest.approx(0.39, abs=0.01)
    assert float(r.size_kpc(10.6)) == pytest.approx(0.10 * 3.98e10**0.14 * 2**0.25, rel=1e-3)
    assert float(r.size_kpc(11.0, early=True)) == pytest.approx(2.88e-6 * 10**6.16)
    assert float(r.size_scatter(8.0)) == pytest.approx(0.47, abs=1e-3)
    assert float(r.size_scatter(12.0)) == pytest.approx(0.34, abs=1e-3)


def test_dust_grows_with_mass_and_stays_defined():
    a = r.dust_halpha(np.linspace(7, 13, 200))
    assert np.all(np.diff(a) >= 0) and a.min() > 0
    assert float(r.dust_halpha(10.0)) == pytest.approx(0.91)


def test_dust_law_is_calzettis():
    # R_V by definition at V (0.55 μm), and the values quoted for Hα and Hβ: 3.33 and 4.60.
    assert r.dust_law(0.55) == pytest.approx(4.05, abs=0.02)
    assert r.dust_law(0.6563) == pytest.approx(3.33, abs=0.01)
    assert r.dust_law(0.4861) == pytest.approx(4.60, abs=0.01)
    # The two pieces meet, to the accuracy of the published coefficients.
    assert r.dust_law(0.63 - 1e-9) == pytest.approx(r.dust_law(0.63), abs=0.03)


def test_balmer_decrement():
    assert float(r.balmer_ratio(0.0)) == r.CASE_B
    # E(B−V) = 0.3: 2.86 · 10^(0.4 · 0.3 · 1.27).
    assert float(r.balmer_ratio(0.3 * r.dust_law(0.6563))) == pytest.approx(2.86 * 10 ** (0.12 * 1.273), rel=2e-3)


def test_halpha_of_one_solar_mass_a_year():
    # Kennicutt & Evans 2012: 10^41.27 erg/s.
    assert 10 ** float(r.halpha_luminosity(0.0)) == pytest.approx(1.862e41, rel=1e-3)


def test_line_ratios_at_solar_metallicity_are_the_constant_terms():
    assert [float(v) for v in r.line_ratios(8.69)] == [-0.7732, 0.1549]


def test_line_ratios_run_along_the_star_forming_sequence():
    oh = np.linspace(8.3, 9.2, 50)
    n2, o3 = r.line_ratios(oh)
    assert np.all(np.diff(n2) > 0) and np.all(np.diff(o3) < 0)
    assert np.all(bpt_class(n2, o3) == STAR_FORMING)


def test_mass_to_light_rises_with_colour():
    assert float(r.mass_to_light_r(0.5)) == pytest.approx(0.0225)
    assert r.mass_to_light_r(0.8) > r.mass_to_light_r(0.3)


def test_mannucci_equation_2():
    # By hand: m = 0, s = 0 → 8.90; m = 0.5, s = −0.4 → 8.90 + .185 + .056 − .0475 − .024 − .00864.
    assert r.fmr_oh(10.0, 0.0) == pytest.approx(8.90)
    assert r.fmr_oh(10.5, -0.4) == pytest.approx(9.06086)


def test_fmr_falls_with_sfr_at_low_mass_only():
    assert r.fmr_oh(9.2, 0.3) < r.fmr_oh(9.2, -0.3) - 0.1
    assert abs(r.fmr_oh(11.2, 0.3) - r.fmr_oh(11.2, -0.3)) < 0.02
