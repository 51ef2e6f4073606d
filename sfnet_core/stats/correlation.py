"""Correlations at fixed controls, with bootstrap intervals: one pair of columns, or many from one table of moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sfnet_core.stats.bootstrap import percentile_interval, resampled
from sfnet_core.utils.errors import SFNetError

__all__ = ["Correlation", "correlations", "correlations_of_moments", "partial_correlation"]


class Correlation(NamedTuple):
    """A correlation coefficient, the ends of its bootstrap interval and the number of galaxies it rests on."""

    value: float
    low: float
    high: float
    n: int


def partial_correlation(
    x: np.ndarray,
    y: np.ndarray,
    controls: np.ndarray | Sequence[np.ndarray] | None = None,
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
    seed : int
        The same seed gives the same interval.
    level : float
        Coverage, 0.95 for a 95 % interval.

    Returns
    -------
    Correlation
        Galaxies with a value missing anywhere take no part. NaN where fewer than C + 3 are left, or where the controls
        leave nothing of ``x`` or ``y``.

    Raises
    ------
    SFNetError
        Where the arrays are not of one length.
    """
    if isinstance(controls, np.ndarray):
        controls = np.atleast_2d(controls.T)
    columns = [np.asarray(column, dtype=np.float64) for column in (x, y, *(() if controls is None else controls))]
    if len({column.shape for column in columns}) > 1:
        raise SFNetError(f"Partial correlation needs arrays of one length; it was given {[c.shape for c in columns]}.")
    data = np.column_stack(columns)
    data = data[np.isfinite(data).all(axis=1)]
    value = _of_residuals(data)
    low = high = float("nan")
    if n and np.isfinite(value):
        _, low, high = correlations(data, [tuple(range(2, data.shape[1]))], n, seed, level)[0]
    return Correlation(value, low, high, len(data))


def _of_residuals(data: np.ndarray) -> float:
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


def correlations(
    data: np.ndarray, controls: Sequence[tuple[int, ...]], resamples: int = 0, seed: int = 0, level: float = 0.95
) -> list[tuple[float, float, float]]:
    """Correlation of columns 0 and 1 of ``data`` (n, C), once for each set of control columns.

    Parameters
    ----------
    data : (n, C) array
        All values finite.
    controls : sequence of tuples of int
        The columns held fixed, for each answer.
    resamples, seed, level
        Of the bootstrap; one set of resamples serves all answers.

    Returns
    -------
    list of (value, low, high)
        The value is that of :func:`partial_correlation`. A resample's correlation follows from the product of its
        counts with the table of squares and cross products, so that nothing is fitted anew: quick for 10⁵ galaxies.
        NaN where nothing varies or too few galaxies are.
    """
    n, size = data.shape
    if n < 3:
        return [(np.nan, np.nan, np.nan)] * len(controls)
    scale = data.std(axis=0)
    table = np.column_stack([np.ones(n), (data - data.mean(axis=0)) / np.where(scale > 0, scale, 1.0)])
    upper = np.triu_indices(size + 1)
    products = table[:, upper[0]] * table[:, upper[1]]
    moment = np.empty((1 + resamples, size + 1, size + 1))
    moment[:, upper[0], upper[1]] = resampled(lambda counts: counts @ products / n, n, resamples, seed)
    moment[:, upper[1], upper[0]] = moment[:, upper[0], upper[1]]
    return correlations_of_moments(moment, controls, n, level)


def correlations_of_moments(
    moment: np.ndarray, controls: Sequence[tuple[int, ...]], n: int, level: float = 0.95
) -> list[tuple[float, float, float]]:
    """(value, low, high) for each set of controls from (1 + R, 1 + C, 1 + C) mean products of [1, columns].

    The first product is that of the ``n`` galaxies themselves, the others of their resamples. Columns have about zero
    mean and unit variance, so that what is left of a fully determined one is told from signal.
    """
    mean = moment[:, 0, 1:]
    covariance = moment[:, 1:, 1:] - mean[:, :, None] * mean[:, None, :]
    found = []
    for chosen in controls:
        values = _partial(covariance, list(chosen)) if n >= len(chosen) + 3 else np.array([np.nan])
        found.append(tuple(percentile_interval(values, level)) if np.isfinite(values[0]) else (np.nan,) * 3)
    return found


def _partial(covariance: np.ndarray, controls: list[int]) -> np.ndarray:
    """(R,) correlation of 0 and 1 given ``controls``, from (R, C, C) covariances: A − B C⁺ Bᵀ."""
    left = covariance[:, :2, :2]
    if controls:
        across = covariance[:, :2, controls]
        inner = np.linalg.pinv(
            covariance[np.ix_(range(len(covariance)), controls, controls)], rcond=1e-10, hermitian=True
        )
        left = left - across @ inner @ across.transpose(0, 2, 1)
    one, other = left[:, 0, 0], left[:, 1, 1]
    good = (one > 1e-12) & (other > 1e-12)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(good, np.clip(left[:, 0, 1] / np.sqrt(one * other), -1.0, 1.0), np.nan)
