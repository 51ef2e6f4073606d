"""A trend of one quantity along another: medians and percentiles in bins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["RunningMedian", "running_median"]


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
