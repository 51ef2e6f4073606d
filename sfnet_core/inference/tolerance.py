"""Which galaxies' gates a lower precision could have changed: measured errors of activations, and each row's slack.

bfloat16 has 8 bits of mantissa: after 20 layers an activation is off by about half a percent of the galaxy's largest,
which swaps the k-th and (k+1)-th feature of some galaxies. How far off is measured on galaxies computed both ways:

- Much of a feature's error is the same for all galaxies (its rounded weights), a fixed share β_j of the galaxy's
  largest activation s. It is known once measured, and taken off.
- Much of the rest moves all strong features of a galaxy together, which changes no order. What is left of each feature
  has a spread σ_j; it grows more slowly than s, as s̃ max(1, √(s/s̃)) with s̃ the median of s.

So the difference of features i and j is off by about w = s̃ max(1, √(s/s̃)) √(σ_i² + σ_j²). A galaxy is certain where
every kept feature leads every dropped one by more than ``limit`` times that; the others are computed again in float32.
The limit is the largest error seen, in that unit, among thousands of pairs; far fewer stand close enough to the gate to
be changed by a larger one. These are measurements and no proof.

Shape letters: n rows, S slots (the strongest activations of a row, falling; an empty one is −1), F features, K kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["NEAR", "Tolerance", "measure_tolerance"]

NEAR = 8  # strongest dropped activations that are looked at one by one; of the others the upper bound counts
_LEAST = 2.5  # spreads: the limit where fewer pairs than usual were seen
_PRIOR = 8  # rows' worth of belief that a feature has no bias and the typical spread


@dataclass
class Tolerance:
    """How far a lower precision's activations may be from float32's.

    ``bias`` (F,): mean error as a share of the row's largest activation. ``spread`` (F,): of what is left, likewise for
    a row of the ``typical`` largest activation. ``limit``: spreads up to which a pair's difference may be off.
    """

    bias: np.ndarray
    spread: np.ndarray
    typical: float
    limit: float

    def slack(self, slots: np.ndarray, values: np.ndarray, k: int) -> np.ndarray:
        """By how many tolerances a gate of ``k`` is decided: slots and values (n, S), falling → (n,).

        Above 1 no errors within the tolerance change which features are kept. 0 where a kept slot is empty or the row
        is not finite; infinite where nothing is dropped.
        """
        features, kept = len(self.bias), slots[:, :k]
        values = values.astype(np.float64)
        largest = values[:, :1]
        right, spread = values - self.bias[slots] * largest, self.spread[slots]
        worst = np.abs(self.bias).max() * largest, self.spread.max()  # a feature that is in no slot
        right, spread = (
            np.where(slots >= 0, known, bound) for known, bound in zip((right, spread), worst, strict=True)
        )
        lead = right[:, :k, None] - right[:, None, k:]  # (n, K, S − K)
        width = np.sqrt(spread[:, :k, None] ** 2 + spread[:, None, k:] ** 2)
        if values.shape[1] < features:  # those not in a slot: at most the last one's activation, at the worst bias
            lead = np.concatenate([lead, (right[:, :k] - values[:, -1:] - worst[0])[:, :, None]], axis=2)
            width = np.concatenate([width, np.hypot(spread[:, :k], worst[1])[:, :, None]], axis=2)
        if not lead.shape[2]:
            return np.full(len(values), np.inf)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (lead / (width * self.limit * self._room(largest)[:, :, None])).min(axis=(1, 2))
        sure = np.isfinite(values).all(axis=1) & (kept >= 0).all(axis=1) & (values[:, :k] > 0).all(axis=1)
        return np.where(sure, np.maximum(found, 0), 0.0)

    def errors(self, slots: np.ndarray, low: np.ndarray, high: np.ndarray, k: int) -> np.ndarray:
        """Errors of the differences between kept and dropped slots, in spreads: (n, S) thrice → (n, K, S − K), ≥ 0.

        ``high`` holds float32's activations of the features in ``slots``. 0 for empty slots.
        """
        low = low.astype(np.float64)
        off = low - high - self.bias[slots] * low[:, :1]
        spread = np.where(slots >= 0, self.spread[slots], np.inf)
        apart = np.abs(off[:, :k, None] - off[:, None, k:])
        width = np.sqrt(spread[:, :k, None] ** 2 + spread[:, None, k:] ** 2)
        return np.nan_to_num(apart / (width * self._room(low[:, :1])[:, :, None]), nan=0.0, posinf=0.0)

    def _room(self, largest: np.ndarray) -> np.ndarray:
        return self.typical * np.maximum(1.0, np.sqrt(np.maximum(largest, 0) / self.typical))


def measure_tolerance(
    slots: np.ndarray, low: np.ndarray, high: np.ndarray, k: int, features: int, chosen: np.ndarray | None = None
) -> Tolerance:
    """The tolerance from rows computed both ways; arguments as of :meth:`Tolerance.errors`.

    ``chosen`` (n,) marks rows that are here because their gate was doubtful: of these only the pairs at the gate (the
    last two kept, the first two dropped) count for the limit, of the others all.
    """
    good = np.isfinite(low).all(axis=1) & np.isfinite(high).all(axis=1) & (low[:, 0] > 0)
    chosen = np.zeros(len(low), dtype=bool) if chosen is None else chosen
    slots, low, high, chosen = slots[good], low[good].astype(float), high[good].astype(float), chosen[good]
    if not len(low):
        return Tolerance(np.zeros(features), np.full(features, np.inf), 1.0, _LEAST)  # nothing is certain
    largest = low[:, :1]
    typical = float(np.median(largest))
    live = (slots >= 0) & (low > 0)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(slots[live], values[live], features)

    shares = np.broadcast_to(largest, low.shape)
    square = total(shares * shares)
    bias = total((low - high) * shares) / (square + _PRIOR * float(np.median(largest * largest)))
    tolerance = Tolerance(bias, np.ones(features), typical, 1.0)
    left = (low - high - bias[slots] * largest) / tolerance._room(largest)
    strong = live & (np.arange(low.shape[1]) < k + NEAR // 2)
    common = (left * strong).sum(axis=1, keepdims=True) / strong.sum(axis=1, keepdims=True)
    squares, count = total((left - common) ** 2), total(np.ones_like(left))
    usual = squares.sum() / count.sum()
    tolerance.spread = np.sqrt(np.maximum((squares + _PRIOR * usual) / (count + _PRIOR), usual / 16))
    tolerance.spread = np.maximum(tolerance.spread, np.finfo(np.float32).eps)
    found = tolerance.errors(slots, low, high, k)
    at_gate = found[:, max(k - 2, 0) :, :2]
    seen = [found[~chosen].max(initial=0.0), at_gate[chosen].max(initial=0.0)]
    tolerance.limit = max(_LEAST, *seen)
    return tolerance
