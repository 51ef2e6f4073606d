"""Shares and their errors: Wilson's interval, Fisher's exact test, false discovery rates. Numpy only."""

from __future__ import annotations

import numpy as np

__all__ = ["Z95", "benjamini_hochberg", "fisher_exact", "wilson"]

Z95 = 1.959963984540054  # Φ⁻¹(0.975)


def fisher_exact(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Two-sided p of Fisher's exact test of tables [[a, b], [c, d]], (M,) counts each: the summed probability of the
    tables with the same margins that are no likelier than the one seen (Fisher 1934, *Statistical Methods*, 21.02)."""
    a, b, c, d = (np.asarray(count, dtype=np.int64) for count in (a, b, c, d))
    if not a.size:
        return np.ones(0)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int((a + b + c + d).max()) + 1)))])
    out = np.empty(a.size)
    for i, (w, x, y, z) in enumerate(zip(a.tolist(), b.tolist(), c.tolist(), d.tolist(), strict=True)):
        first = np.arange(max(0, w - z), min(w + x, w + y) + 1)
        chance = log_factorial[first] + log_factorial[w + x - first] + log_factorial[w + y - first]
        chance = -(chance + log_factorial[z - w + first])
        chance -= chance.max()
        seen = chance[w - first[0]]
        weight = np.exp(chance)
        out[i] = weight[chance <= seen + 1e-7].sum() / weight.sum()
    return np.minimum(out, 1.0)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q-values (M,) of p-values (M,): q₍ᵢ₎ = min over j ≥ i of p₍ⱼ₎ M / j, at most 1 (Benjamini & Hochberg 1995)."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    q = np.empty(p.size)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def wilson(count: np.ndarray | int, n: int, z: float = Z95) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of a share ``count``/``n`` (Wilson 1927, J. Am. Stat. Assoc. 22, 209); NaN for n = 0."""
    count = np.asarray(count, dtype=np.float64)
    if n == 0:
        return np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    share, more = count / n, z * z / n
    centre = share + more / 2
    reach = z * np.sqrt(share * (1 - share) / n + more / (4 * n))
    low, high = (centre - reach) / (1 + more), (centre + reach) / (1 + more)
    # rounding must not push the ends past the share of none or all
    return np.where(count == 0, 0.0, np.maximum(low, 0.0)), np.where(count == n, 1.0, np.minimum(high, 1.0))
