"""Which of several trainings is the most stable, and from which others it can't be told apart.

A training's agreement is the mean ρ of its features with their counterparts in all the other trainings, each feature
counted as often as its gate keeps it: of what stands in a code, how much comes back when the network is trained anew?
A feature that fires on three galaxies then weighs next to nothing.

Shape letters: S trainings, n galaxies, A features of one training, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfnet_core.stats.bootstrap import percentile_interval, resampled

__all__ = ["Agreement", "agreements"]

RESAMPLES = 400


@dataclass(frozen=True)
class Agreement:
    """How well one training agrees with the rest: ``mean`` with a 95 % interval over galaxies.

    ``tied``: the most stable one, or not told apart from it: the difference in the same resamples is not above 0 in
    97.5 % of them.
    """

    mean: float
    low: float
    high: float
    tied: bool


def agreements(
    units: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    pairs: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Agreement]:
    """Each of S trainings against the rest, by a percentile bootstrap over galaxies (Efron 1979, Ann. Stat. 7, 1).

    ``units``: (n, A) activations each, centred and of length 1; ``kept``: (n, A) bool, whether the gate keeps the
    feature; ``pairs``: (s, u) with s < u → columns of s and their counterparts in u. The pairing is that of all
    galaxies in every resample; a feature without a counterpart, or without activations in a resample, counts as 0.
    """
    drawn = resampled(lambda w: _of(w, units, kept, pairs).T, len(units[0]), resamples, [seed, 7])  # (1 + R, S)
    each = np.transpose(percentile_interval(drawn))  # (S, 3)
    behind = percentile_interval(drawn[:, [np.argmax(drawn[0])]] - drawn).low > 0
    return [Agreement(*ends.tolist(), not far) for ends, far in zip(each, behind, strict=True)]


def _of(
    w: np.ndarray,
    units: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    pairs: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """(S, R) agreement in each resample, ``w`` (R, n) how often each galaxy is in it."""
    n = w.shape[1]
    mean = [w @ unit / n for unit in units]  # (R, A) each
    spread = [np.sqrt(np.maximum(w @ unit**2 / n - m**2, 0)) for unit, m in zip(units, mean, strict=True)]
    found = [np.zeros_like(m) for m in mean]  # (R, A): ρ, summed over the other trainings
    for (s, u), (i, j) in pairs.items():
        both = w @ (units[s][:, i] * units[u][:, j]) / n - mean[s][:, i] * mean[u][:, j]
        scale = spread[s][:, i] * spread[u][:, j]
        rho = np.divide(both, scale, out=np.zeros_like(both), where=scale > 1e-12 / n)
        found[s][:, i] += rho
        found[u][:, j] += rho
    out = []
    for rho, fires in zip(found, kept, strict=True):
        use = w @ fires  # (R, A)
        out.append((use * rho).sum(axis=1) / np.maximum(use.sum(axis=1), 1) / (len(units) - 1))
    return np.array(out)
