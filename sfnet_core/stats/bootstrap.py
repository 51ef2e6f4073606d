"""The percentile bootstrap (Efron 1979, Ann. Statist. 7, 1): galaxies drawn with replacement, a statistic of each draw.

A resample is how often each galaxy was drawn. A statistic that is made of sums is then a product with these counts, for
many resamples at once (:func:`resampled`); any other function gets the drawn rows (:func:`bootstrap_interval`). Two
statistics of the same galaxies with the same seed see the same resamples, so that their difference is paired.

Shape letters: n galaxies, R resamples, r of them at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from sfnet_core.utils.errors import SFNetError

__all__ = [
    "RESAMPLES",
    "Interval",
    "bootstrap_interval",
    "percentile_interval",
    "resample_counts",
    "resampled",
    "resamples_for",
]

RESAMPLES = 1000
WORK = 15_000_000  # galaxies × resamples that may be drawn for one answer on a page or in a report
BLOCK = 1 << 21  # galaxies × resamples held at once


class Interval(NamedTuple):
    """A value and the ends of its bootstrap interval, in the value's unit: floats, or arrays of one shape."""

    value: Any
    low: Any
    high: Any


def resamples_for(n: int, most: int = RESAMPLES) -> int:
    """How many resamples an interval over ``n`` galaxies rests on: ``most``, fewer for large tables, at least 200."""
    return int(np.clip(WORK // max(n, 1), min(200, most), most))


def resample_counts(
    n: int,
    resamples: int = RESAMPLES,
    seed: int | Sequence[int] = 0,
    groups: np.ndarray | None = None,
    strata: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Draw galaxies with replacement, in blocks of bounded memory.

    Parameters
    ----------
    n : int
        Number of galaxies.
    resamples : int
        Number of resamples R.
    seed : int or sequence of int
        The same seed gives the same resamples.
    groups : (n,) array, optional
        One label a galaxy (an object's id, say): whole groups are drawn, so that repeat spectra of one galaxy are not
        counted as independent.
    strata : (n,) array, optional
        One label a galaxy: each stratum is resampled on its own and keeps its size. Not together with ``groups``.

    Yields
    ------
    (r, n) float64
        How often each galaxy is in each resample; R rows in all.

    Raises
    ------
    SFNetError
        Where there is no galaxy to draw, or not one label for each.
    """
    if n < 1 or resamples < 0:
        raise SFNetError(f"A bootstrap needs galaxies and n ≥ 0 resamples; there are {n} galaxies, n={resamples}.")
    for labels in (groups, strata):
        if labels is not None and np.shape(labels) != (n,):
            raise SFNetError(f"There are {np.shape(labels)} group labels for {n} galaxies; one a galaxy is needed.")
    rng = np.random.default_rng(seed)

    def times(size: int) -> np.ndarray:
        return np.bincount(rng.integers(0, size, size), minlength=size)

    whole = None if groups is None else np.unique(groups, return_inverse=True)[1]
    parts = None if strata is None else [np.flatnonzero(strata == one) for one in np.unique(strata)]
    step = max(1, min(resamples, BLOCK // n))
    for start in range(0, resamples, step):
        counts = np.empty((min(step, resamples - start), n))
        for one in counts:
            if whole is not None:
                one[:] = times(int(whole.max()) + 1)[whole]
            elif parts is not None:
                for part in parts:
                    one[part] = times(len(part))
            else:
                one[:] = times(n)
        yield counts


def resampled(statistic: Callable[[np.ndarray], np.ndarray], n: int, *how: Any, **named: Any) -> np.ndarray:
    """A statistic of ``n`` galaxies and of each of their resamples.

    Parameters
    ----------
    statistic : callable
        Takes (r, n) float64 counts, how often each galaxy is in each of r sets, and returns (r, …).
    n : int
        Number of galaxies.
    *how, **named
        ``resamples``, ``seed``, ``groups``, ``strata`` as in :func:`resample_counts`.

    Returns
    -------
    (1 + R, …) array
        First of the galaxies themselves, each once, then of each resample.
    """
    blocks = resample_counts(n, *how, **named)
    return np.concatenate([statistic(np.ones((1, n))), *(statistic(counts) for counts in blocks)])


def percentile_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """The value and the ends of its interval from what :func:`resampled` returns.

    Parameters
    ----------
    values : (1 + R, …) array
        A resample for which there is no value (NaN, infinite) is left out.
    level : float
        Coverage, 0.95 for a 95 % interval.

    Returns
    -------
    Interval
        Floats where ``values`` is (1 + R,), else arrays (…); the ends are NaN where no resample has a value.
    """
    if not 0.0 < level < 1.0:
        raise SFNetError(f"An interval's level is between 0 and 1, it was given level={level}.")
    shares = [50.0 * (1.0 - level), 50.0 * (1.0 + level)]
    values = np.asarray(values, dtype=np.float64)
    drawn = values[1:]
    if len(drawn) and np.isfinite(drawn).all():
        low, high = np.percentile(drawn, shares, axis=0)
    else:
        columns = (column[np.isfinite(column)] for column in drawn.reshape(len(drawn), values[0].size).T)
        ends = [np.percentile(column, shares) if column.size else (np.nan, np.nan) for column in columns]
        low, high = np.array(ends).reshape(-1, 2).T.reshape(2, *values.shape[1:])
    if values.ndim == 1:
        return Interval(float(values[0]), float(low), float(high))
    return Interval(values[0], low, high)


def bootstrap_interval(fn: Callable[..., float], *columns: np.ndarray, level: float = 0.95, **how: Any) -> Interval:
    """``fn(*columns)`` with its percentile bootstrap interval, for any function of rows.

    Parameters
    ----------
    fn : callable
        Takes the columns, or their rows in a resample, and returns a number. The order of the rows must not matter.
    *columns : (n, …) arrays
        One row a galaxy.
    level : float
        Coverage, 0.95 for a 95 % interval.
    **how
        ``resamples``, ``seed``, ``groups``, ``strata`` as in :func:`resample_counts`.

    Returns
    -------
    Interval
        The ends are NaN where there is no galaxy.
    """
    arrays = [np.asarray(column) for column in columns]
    value = float(fn(*arrays))
    if not len(arrays[0]):
        return Interval(value, np.nan, np.nan)

    def of(counts: np.ndarray) -> np.ndarray:
        rows = [np.repeat(np.arange(counts.shape[1]), one.astype(np.int64)) for one in counts]
        return np.array([fn(*(array[some] for array in arrays)) for some in rows])

    return Interval(value, *percentile_interval(resampled(of, len(arrays[0]), **how), level)[1:])
