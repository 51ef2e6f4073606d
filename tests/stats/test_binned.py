"""The running median against numpy's percentiles of each bin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sfnet_core.stats.binned import running_median


def test_running_median_counts_everyone_once():
    rng = np.random.default_rng(0)
    x = rng.normal(10, 0.5, 503)
    y = 2 * x + rng.normal(0, 0.1, 503)
    x[5] = np.nan
    got = running_median(x, y, bins=10)
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
    got = running_median(x, y, edges, 3)
    good = np.isfinite(y)
    bins = [good & (x >= low) & ((x < high) | ((high == 2) & (x == high))) for low, high in pairwise(edges)]
    bins = [inside for inside in bins if inside.sum() >= 3]
    assert got.n.tolist() == [inside.sum() for inside in bins] and len(bins)
    for values, of, share in ((got.x, x, 50), (got.median, y, 50), (got.low, y, 16), (got.high, y, 84)):
        assert values == pytest.approx([np.percentile(of[inside], share) for inside in bins], abs=1e-12)


def test_running_median_with_edges_leaves_thin_bins_out():
    got = running_median(np.array([0.0, 0.1, 0.2, 1.0]), np.array([1.0, 2.0, 3.0, 9.0]), np.array([0, 0.5, 1.0]), 2)
    assert got.n.tolist() == [3] and got.median.tolist() == [2.0]
    assert running_median(np.array([]), np.array([])).n.size == 0
    assert running_median(np.full(9, 3.0), np.arange(9.0)).median.tolist() == [4.0]
