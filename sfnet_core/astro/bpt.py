"""The BPT diagram: classes, the curves between them, line ratios.

Arrays are (N,) float unless said otherwise. Line fluxes are in 10⁻¹⁷ erg s⁻¹ cm⁻², ratios are log10. Where a quantity
is not known the answer is NaN (class −1), without a warning.
"""

from __future__ import annotations

import numpy as np

from sfnet_core.utils.errors import SFNetError

__all__ = [
    "AGN",
    "BPT_NAMES",
    "COMPOSITE",
    "LOW_SN_LINER",
    "LOW_SN_STAR_FORMING",
    "STAR_FORMING",
    "UNCLASSIFIED",
    "bpt_class",
    "bpt_class_from_fluxes",
    "kauffmann03",
    "kewley01",
    "log_ratio",
]

# The numbering of MPA-JHU's ``bptclass`` (Brinchmann et al. 2004, MNRAS 351, 1151, section 3.1).
UNCLASSIFIED = -1
STAR_FORMING = 1
LOW_SN_STAR_FORMING = 2
COMPOSITE = 3
AGN = 4
LOW_SN_LINER = 5

BPT_NAMES: dict[int, str] = {
    UNCLASSIFIED: "unclassified",
    STAR_FORMING: "star-forming",
    LOW_SN_STAR_FORMING: "low-S/N star-forming",
    COMPOSITE: "composite",
    AGN: "AGN",
    LOW_SN_LINER: "low-S/N LINER",
}


def kauffmann03(n2_ha: np.ndarray) -> np.ndarray:
    """log([OIII]/Hβ) of the empirical star-forming limit, 0.61/(x − 0.05) + 1.3.

    Kauffmann et al. 2003, MNRAS 346, 1055, eq. 1; x = log([NII]6584/Hα). At or right of the asymptote x = 0.05 every
    galaxy lies above it: −∞.
    """
    return _hyperbola(n2_ha, 0.05, 1.3)


def kewley01(n2_ha: np.ndarray) -> np.ndarray:
    """log([OIII]/Hβ) of the theoretical maximum starburst, 0.61/(x − 0.47) + 1.19.

    Kewley et al. 2001, ApJ 556, 121, eq. 5; x = log([NII]6584/Hα). At or right of the asymptote x = 0.47: −∞.
    """
    return _hyperbola(n2_ha, 0.47, 1.19)


def bpt_class(n2_ha: np.ndarray, o3_hb: np.ndarray) -> np.ndarray:
    """Class in the [NII] diagram of Baldwin, Phillips & Terlevich (1981, PASP 93, 5), as int16 (N,).

    Below Kauffmann's curve 1 (star-forming), between it and Kewley's 3 (composite), on or above Kewley's 4 (AGN),
    −1 where a ratio is not finite. Signal-to-noise is not looked at: see :func:`bpt_class_from_fluxes`.
    """
    n2_ha, o3_hb = np.broadcast_arrays(np.asarray(n2_ha, dtype=np.float64), np.asarray(o3_hb, dtype=np.float64))
    answer = np.full(n2_ha.shape, COMPOSITE, dtype=np.int16)
    answer[o3_hb < kauffmann03(n2_ha)] = STAR_FORMING
    answer[o3_hb >= kewley01(n2_ha)] = AGN
    answer[~(np.isfinite(n2_ha) & np.isfinite(o3_hb))] = UNCLASSIFIED
    return answer


def bpt_class_from_fluxes(
    nii_6584: np.ndarray,
    h_alpha: np.ndarray,
    oiii_5007: np.ndarray,
    h_beta: np.ndarray,
    nii_6584_err: np.ndarray | None = None,
    h_alpha_err: np.ndarray | None = None,
    oiii_5007_err: np.ndarray | None = None,
    h_beta_err: np.ndarray | None = None,
    *,
    min_sn: float = 3.0,
) -> np.ndarray:
    """The scheme of Brinchmann et al. (2004, section 3.1) on fluxes (N,) and their errors, int16 (N,).

    All four lines at S/N > ``min_sn``: :func:`bpt_class`. Else [NII] and Hα at S/N > ``min_sn`` and
    log([NII]/Hα) > −0.2: 5, a low-S/N LINER. Else Hα at S/N > 2: 2, low-S/N star-forming. Else −1.
    Without any errors every positive flux counts as measured.
    """
    fluxes = [np.asarray(f, dtype=np.float64) for f in (nii_6584, h_alpha, oiii_5007, h_beta)]
    errors = (nii_6584_err, h_alpha_err, oiii_5007_err, h_beta_err)
    if any(e is None for e in errors) and not all(e is None for e in errors):
        raise SFNetError("BPT classes need the errors of all four lines or of none.")
    sn = [np.where(f > 0, np.inf, 0.0) if e is None else _over(f, e) for f, e in zip(fluxes, errors, strict=True)]
    nii, ha, oiii, hb = sn
    n2_ha, o3_hb = log_ratio(fluxes[0], fluxes[1]), log_ratio(fluxes[2], fluxes[3])
    answer = np.full(n2_ha.shape, UNCLASSIFIED, dtype=np.int16)
    answer[ha > 2.0] = LOW_SN_STAR_FORMING
    answer[(nii > min_sn) & (ha > min_sn) & (n2_ha > -0.2)] = LOW_SN_LINER
    good = (nii > min_sn) & (ha > min_sn) & (oiii > min_sn) & (hb > min_sn)
    return np.where(good, bpt_class(n2_ha, o3_hb), answer).astype(np.int16)


def log_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """log10(numerator / denominator), NaN where either is not positive and finite."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    good = np.isfinite(numerator) & np.isfinite(denominator) & (numerator > 0) & (denominator > 0)
    return np.log10(numerator, where=good, out=np.full(good.shape, np.nan)) - np.log10(
        denominator, where=good, out=np.zeros(good.shape)
    )


def _hyperbola(x: np.ndarray, asymptote: float, offset: float) -> np.ndarray:
    """0.61 / (x − asymptote) + offset left of the asymptote, −∞ from it on, NaN where x is."""
    x = np.asarray(x, dtype=np.float64)
    left = x < asymptote
    value = np.divide(0.61, x - asymptote, where=left, out=np.full(x.shape, -np.inf)) + offset
    return np.where(np.isnan(x), np.nan, value)


def _over(flux: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Signal to noise; 0 where the error is not positive (MPA-JHU marks unmeasured lines so)."""
    error = np.asarray(error, dtype=np.float64)
    good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    return np.divide(flux, error, where=good, out=np.zeros(np.broadcast_shapes(flux.shape, error.shape)))
