"""Many correlations of one table with bootstrap intervals, from moments instead of refits: quick for 10⁵ galaxies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["RESAMPLES", "answers", "correlations", "resamples_for"]

RESAMPLES = 1000
WORK = 15_000_000  # galaxies × resamples that may be drawn for one answer


def resamples_for(n: int) -> int:
    """How many resamples an interval over ``n`` galaxies rests on: 1,000, fewer for large tables, at least 200."""
    return int(np.clip(WORK // max(n, 1), 200, RESAMPLES))


def correlations(
    data: np.ndarray, controls: Sequence[tuple[int, ...]], resamples: int = 0, seed: int = 0, level: float = 0.95
) -> list[tuple[float, float, float]]:
    """Correlation of columns 0 and 1 of ``data`` (n, C), once for each set of control columns: (value, low, high).

    The value is that of :func:`sfnet_core.astro.relations.partial_correlation`; the interval is the percentile
    bootstrap's over the same resamples as there for the same seed. A resample enters as counts per galaxy: its
    correlation follows from the counts' product with the table of squares and cross products. NaN where nothing varies
    or too few galaxies are.
    """
    n, size = data.shape
    if n < 3:
        return [(np.nan, np.nan, np.nan)] * len(controls)
    scale = data.std(axis=0)
    table = np.column_stack([np.ones(n), (data - data.mean(axis=0)) / np.where(scale > 0, scale, 1.0)])
    upper = np.triu_indices(size + 1)
    products = table[:, upper[0]] * table[:, upper[1]]
    sums = [products.sum(axis=0)]
    rng = np.random.default_rng(seed)
    step = max(1, min(resamples, 4_000_000 // n))
    for start in range(0, resamples, step):
        counts = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(min(step, resamples - start))]
        sums += list(np.asarray(counts, dtype=np.float64) @ products)
    moment = np.zeros((len(sums), size + 1, size + 1))
    moment[:, upper[0], upper[1]] = np.asarray(sums) / n
    moment[:, upper[1], upper[0]] = moment[:, upper[0], upper[1]]
    return answers(moment, controls, n, level)


def answers(
    moment: np.ndarray, controls: Sequence[tuple[int, ...]], n: int, level: float = 0.95
) -> list[tuple[float, float, float]]:
    """(value, low, high) for each set of controls from (1 + R, 1 + C, 1 + C) mean products of [1, columns].

    The first product is that of the ``n`` galaxies themselves, the others of their resamples.
    """
    mean = moment[:, 0, 1:]
    covariance = moment[:, 1:, 1:] - mean[:, :, None] * mean[:, None, :]
    found = []
    tail = 50.0 * (1.0 - level)
    for chosen in controls:
        if n < len(chosen) + 3:
            found.append((np.nan, np.nan, np.nan))
            continue
        values = _partial(covariance, list(chosen))
        drawn = values[1:][np.isfinite(values[1:])]
        low, high = (
            np.percentile(drawn, [tail, 100.0 - tail]) if len(drawn) and np.isfinite(values[0]) else (np.nan, np.nan)
        )
        found.append((float(values[0]), float(low), float(high)))
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
