"""Scaling relations of nearby galaxies, each with its source; numpy only.

Masses are log10(M/M☉), star-formation rates log10(M☉/yr), metallicities 12 + log10(O/H), all for a Chabrier or
Kroupa initial mass function (they agree to 0.03 dex here). Wavelengths are in micrometres.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "CASE_B",
    "balmer_ratio",
    "comoving_distance",
    "dust_halpha",
    "dust_law",
    "fmr_oh",
    "halpha_luminosity",
    "line_ratios",
    "luminosity_distance",
    "main_sequence",
    "mass_function",
    "mass_to_light_r",
    "size_kpc",
    "size_scatter",
]

#: Speed of light in km/s, Hubble constant in km/s/Mpc and matter density of the flat ΛCDM model used throughout.
LIGHT_SPEED, HUBBLE, OMEGA_MATTER = 299_792.458, 70.0, 0.3

#: Intrinsic Hα/Hβ for case B recombination at 10⁴ K and 10² cm⁻³ (Osterbrock & Ferland 2006, table 4.2).
CASE_B = 2.86

HALPHA, HBETA = 0.6563, 0.4861


def comoving_distance(z: np.ndarray) -> np.ndarray:
    """Line-of-sight comoving distance in Mpc: c/H₀ ∫ dz / √(Ωm(1+z)³ + 1 − Ωm) (Hogg 1999, eq. 15)."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    z = np.asarray(z, dtype=np.float64)[..., None]
    points = 0.5 * z * (nodes + 1.0)
    integrand = 1.0 / np.sqrt(OMEGA_MATTER * (1.0 + points) ** 3 + 1.0 - OMEGA_MATTER)
    return LIGHT_SPEED / HUBBLE * 0.5 * z[..., 0] * (integrand * weights).sum(axis=-1)


def luminosity_distance(z: np.ndarray) -> np.ndarray:
    """Luminosity distance in Mpc, (1 + z) × the comoving distance of a flat model (Hogg 1999, eq. 21)."""
    return (1.0 + np.asarray(z, dtype=np.float64)) * comoving_distance(z)


def mass_function(log_mass: np.ndarray) -> np.ndarray:
    """Galaxies per Mpc³ and dex: the double Schechter function of Baldry et al. 2012, MNRAS 421, 621, eq. 6.

    log M* = 10.66, φ₁ = 3.96e-3, α₁ = −0.35, φ₂ = 0.79e-3, α₂ = −1.47 (z < 0.06, H₀ = 70).
    """
    x = 10.0 ** (np.asarray(log_mass, dtype=np.float64) - 10.66)
    return np.log(10.0) * np.exp(-x) * (3.96e-3 * x ** (1.0 - 0.35) + 0.79e-3 * x ** (1.0 - 1.47))


def main_sequence(log_mass: np.ndarray) -> np.ndarray:
    """Ridge of the star-forming sequence: log SFR = 0.76 log M − 7.64 (Renzini & Peng 2015, ApJ 801, L29)."""
    return 0.76 * np.asarray(log_mass, dtype=np.float64) - 7.64


def fmr_oh(log_mass: np.ndarray, log_sfr: np.ndarray) -> np.ndarray:
    """12 + log10(O/H) of the fundamental metallicity relation.

    Mannucci et al. 2010, MNRAS 408, 2115, eq. 2: 8.90 + 0.37 m − 0.14 s − 0.19 m² + 0.12 m s − 0.054 s²,
    m = log10(M/M☉) − 10, s = log10(SFR / M☉ yr⁻¹); fitted for about 9.2 < log M < 11.4, −1.45 < log SFR < 0.8.
    """
    m = np.asarray(log_mass, dtype=np.float64) - 10.0
    s = np.asarray(log_sfr, dtype=np.float64)
    return 8.90 + 0.37 * m - 0.14 * s - 0.19 * m**2 + 0.12 * m * s - 0.054 * s**2


def size_kpc(log_mass: np.ndarray, early: bool = False) -> np.ndarray:
    """Median half-light radius in kpc (Shen et al. 2003, MNRAS 343, 978, table 1).

    Late types, eq. 18: γ M^α (1 + M/M₀)^(β−α) with γ = 0.10, α = 0.14, β = 0.39, M₀ = 3.98e10 M☉.
    Early types, eq. 17: 2.88e-6 M^0.56.
    """
    mass = 10.0 ** np.asarray(log_mass, dtype=np.float64)
    if early:
        return 2.88e-6 * mass**0.56
    return 0.10 * mass**0.14 * (1.0 + mass / 3.98e10) ** (0.39 - 0.14)


def size_scatter(log_mass: np.ndarray) -> np.ndarray:
    """Scatter of ln R at fixed mass: σ₂ + (σ₁ − σ₂)/(1 + (M/M₀)²), 0.47 to 0.34 (Shen et al. 2003, eq. 19)."""
    ratio = 10.0 ** (np.asarray(log_mass, dtype=np.float64) - np.log10(3.98e10))
    return 0.34 + (0.47 - 0.34) / (1.0 + ratio**2)


def mass_to_light_r(g_minus_r: np.ndarray) -> np.ndarray:
    """log10(M/L_r) in solar units: −0.792 + 1.629 (g − r) (Roediger & Courteau 2015, MNRAS 452, 3209; BC03 models)."""
    return -0.792 + 1.629 * np.asarray(g_minus_r, dtype=np.float64)


def dust_halpha(log_mass: np.ndarray) -> np.ndarray:
    """Median extinction at Hα in mag: 0.91 + 0.77 x + 0.11 x² − 0.09 x³, x = log M − 10.

    Garn & Best 2010, MNRAS 409, 421, eq. 5; held constant outside 8.66 < log M < 11.96, where the cubic turns.
    """
    x = np.clip(np.asarray(log_mass, dtype=np.float64), 8.66, 11.96) - 10.0
    return 0.91 + 0.77 * x + 0.11 * x**2 - 0.09 * x**3


def dust_law(wavelength: float) -> float:
    """k(λ) = A(λ)/E(B−V) of Calzetti et al. 2000, ApJ 533, 682, eq. 4, for 0.12–2.2 μm; R_V = 4.05."""
    if wavelength < 0.63:
        inverse = 1.0 / wavelength
        return 2.659 * (-2.156 + 1.509 * inverse - 0.198 * inverse**2 + 0.011 * inverse**3) + 4.05
    return 2.659 * (-1.857 + 1.040 / wavelength) + 4.05


def balmer_ratio(a_halpha: np.ndarray) -> np.ndarray:
    """Observed Hα/Hβ behind a screen of ``a_halpha`` mag at Hα: case B times the differential extinction."""
    reddening = np.asarray(a_halpha, dtype=np.float64) / dust_law(HALPHA)
    return CASE_B * 10.0 ** (0.4 * reddening * (dust_law(HBETA) - dust_law(HALPHA)))


def halpha_luminosity(log_sfr: np.ndarray) -> np.ndarray:
    """log10 of the intrinsic Hα luminosity in erg/s: log SFR + 41.27.

    Hao et al. 2011, ApJ 741, 124, as in Kennicutt & Evans 2012, ARA&A 50, 531, table 1.
    """
    return np.asarray(log_sfr, dtype=np.float64) + 41.27


def line_ratios(oh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log([NII]6584/Hα) and log([OIII]5007/Hβ) of star-forming gas at 12 + log(O/H) = ``oh``.

    Maiolino et al. 2008, A&A 488, 463, table 4: polynomials in x = oh − 8.69, for 7.1 < oh < 9.2 (held constant
    outside). This is the abundance scale of :func:`fmr_oh`.
    """
    x = np.clip(np.asarray(oh, dtype=np.float64), 7.1, 9.2) - 8.69
    n2 = np.polynomial.polynomial.polyval(x, [-0.7732, 1.2357, -0.2811, -0.7201, -0.3330])
    o3 = np.polynomial.polynomial.polyval(x, [0.1549, -1.5031, -0.9790, -0.0297])
    return n2, o3
