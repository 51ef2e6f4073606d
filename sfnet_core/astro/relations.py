"""Relations an astronomer checks the features against: BPT classes, mass–metallicity, partial correlation.

Arrays are (N,) float unless said otherwise. Line fluxes are in 10⁻¹⁷ erg s⁻¹ cm⁻², ratios are log10, masses
log10(M/M☉), star-formation rates log10(M☉/yr), metallicities 12 + log10(O/H). Where a quantity is not known the
answer is NaN (class −1 for BPT), without a warning.
"""

from __future__ import annotations

from typing import NamedTuple

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
    "RunningMedian",
    "bpt_class",
    "bpt_class_from_fluxes",
    "fmr_oh",
    "kauffmann03",
    "kewley01",
    "log_ratio",
    "partial_correlation",
    "running_median",
    "separation",
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


def fmr_oh(log_mass: np.ndarray, log_sfr: np.ndarray) -> np.ndarray:
    """12 + log10(O/H) of the fundamental metallicity relation.

    Mannucci et al. 2010, MNRAS 408, 2115, eq. 2: 8.90 + 0.37 m − 0.14 s − 0.19 m² + 0.12 m s − 0.054 s²,
    m = log10(M/M☉) − 10, s = log10(SFR / M☉ yr⁻¹); fitted for about 9.2 < log M < 11.4, −1.45 < log SFR < 0.8.
    """
    m = np.asarray(log_mass, dtype=np.float64) - 10.0
    s = np.asarray(log_sfr, dtype=np.float64)
    return 8.90 + 0.37 * m - 0.14 * s - 0.19 * m**2 + 0.12 * m * s - 0.054 * s**2


class RunningMedian(NamedTuple):
    """Median of y in bins of x: centres, medians, 16th and 84th percentiles, counts; all (B,)."""

    x: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray


def running_median(x: np.ndarray, y: np.ndarray, bins: int | np.ndarray = 12, min_count: int = 5) -> RunningMedian:
    """The median of ``y`` along ``x``, in the mass–metallicity relation for one.

    ``bins`` is a number of bins with equal counts, or their edges. ``x`` of the answer is the median of x in the bin;
    bins with fewer than ``min_count`` galaxies are left out.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if np.ndim(bins) == 0:
        edges = np.unique(np.quantile(x, np.linspace(0, 1, int(bins) + 1))) if x.size else np.array([0.0, 1.0])
        if edges.size == 1:
            edges = np.array([edges[0], edges[0]])
    else:
        edges = np.asarray(bins, dtype=np.float64)
    # The last bin includes its right edge, as in numpy.histogram.
    which = np.where(x == edges[-1], edges.size - 2, np.searchsorted(edges, x, side="right") - 1)
    inside = (which >= 0) & (which < edges.size - 1)
    x, y, which = x[inside], y[inside], which[inside]
    count = np.bincount(which, minlength=edges.size - 1)
    full = count >= max(min_count, 1)
    start, count = (np.cumsum(count) - count)[full], count[full]
    along, across = x[np.lexsort((x, which))], y[np.lexsort((y, which))]

    def quantile(ordered: np.ndarray, share: float) -> np.ndarray:
        """Of each bin, linear between neighbours as ``np.percentile``; one sort serves all bins."""
        at = share * (count - 1)
        below = np.floor(at).astype(np.int64)
        lower, upper = ordered[start + below], ordered[start + np.minimum(below + 1, count - 1)]
        return lower + (at - below) * (upper - lower)

    low, median, high = (quantile(across, share) for share in (0.16, 0.5, 0.84))
    return RunningMedian(quantile(along, 0.5), median, low, high, count)


class Correlation(NamedTuple):
    """A correlation coefficient, its bootstrap interval and the number of galaxies it rests on."""

    value: float
    low: float
    high: float
    n: int


def partial_correlation(
    x: np.ndarray,
    y: np.ndarray,
    controls: np.ndarray | list[np.ndarray] | None = None,
    *,
    n: int = 0,
    seed: int = 0,
    level: float = 0.95,
) -> Correlation:
    """Pearson correlation of ``x`` and ``y`` at fixed ``controls``: of their residuals after a linear fit.

    Parameters
    ----------
    x, y : (N,) arrays
    controls : (N, C) array or a list of (N,) arrays, optional
        For example mass, SFR and redshift; none gives the plain Pearson coefficient.
    n : int
        Bootstrap resamples for the interval; 0 gives NaN ends.

    Galaxies with a value missing anywhere take no part. NaN where fewer than C + 3 are left, or where the controls
    leave nothing of ``x`` or ``y``.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    columns = [] if controls is None else [np.asarray(c, dtype=np.float64) for c in _as_columns(controls)]
    if any(c.shape != x.shape for c in [y, *columns]):
        raise SFNetError(
            f"Partial correlation needs arrays of one length; it was given {[c.shape for c in [x, y, *columns]]}."
        )
    data = np.column_stack([x, y, *columns])
    data = data[np.isfinite(data).all(axis=1)]
    value = _partial(data)
    low = high = float("nan")
    if n and np.isfinite(value):
        rng = np.random.default_rng(seed)
        values = np.array([_partial(data[rng.integers(0, len(data), len(data))]) for _ in range(n)])
        values = values[np.isfinite(values)]
        if values.size:
            tail = 50.0 * (1.0 - level)
            low, high = (float(v) for v in np.percentile(values, [tail, 100.0 - tail]))
    return Correlation(value, low, high, len(data))


def _partial(data: np.ndarray) -> float:
    """Correlation of columns 0 and 1 after both are regressed on the others."""
    rows, columns = data.shape
    if rows < columns + 1:
        return float("nan")
    pair = data[:, :2] - data[:, :2].mean(axis=0)
    before = np.sqrt((pair**2).sum(axis=0))
    if columns > 2:
        control = data[:, 2:] - data[:, 2:].mean(axis=0)
        scale = control.std(axis=0)
        control = control[:, scale > 0] / scale[scale > 0]
        if control.shape[1]:
            pair = pair - control @ np.linalg.lstsq(control, pair, rcond=None)[0]
    after = np.sqrt((pair**2).sum(axis=0))
    # What is left of a fully determined column is rounding error, not signal.
    if np.any(after <= 1e-9 * before) or np.any(before == 0):
        return float("nan")
    return float(np.clip((pair[:, 0] / after[0]) @ (pair[:, 1] / after[1]), -1.0, 1.0))


def _as_columns(controls: np.ndarray | list[np.ndarray]) -> list[np.ndarray]:
    if isinstance(controls, np.ndarray):
        return [controls] if controls.ndim == 1 else list(controls.T)
    return list(controls)


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


def separation(ra: np.ndarray, dec: np.ndarray, ra0: float, dec0: float) -> np.ndarray:
    """Angular distance (N,) in deg between positions ``ra``, ``dec`` (N,) and one position, all in deg; NaN stays NaN.

    Vincenty's formula on a sphere (Vincenty 1975, Survey Review 23, 88; its special case of a flattening of 0), which
    keeps its digits at every distance, at the poles, across RA 0, and opposite on the sky.
    """
    step = np.radians(np.asarray(ra, dtype=np.float64) - ra0)
    d1, d0 = np.radians(np.asarray(dec, dtype=np.float64)), np.radians(float(dec0))
    east = np.cos(d1) * np.sin(step)
    north = np.cos(d0) * np.sin(d1) - np.sin(d0) * np.cos(d1) * np.cos(step)
    along = np.sin(d0) * np.sin(d1) + np.cos(d0) * np.cos(d1) * np.cos(step)
    return np.degrees(np.arctan2(np.hypot(east, north), along))
