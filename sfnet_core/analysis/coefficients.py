"""Correlations of a feature's activation with a target, plain and at fixed mass, SFR and redshift, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.stats.bootstrap import resample_counts, resamples_for
from sfnet_core.stats.correlation import correlations, correlations_of_moments

if TYPE_CHECKING:
    from sfnet_core.analysis.feature_statistics import FeatureStatistics

__all__ = ["Coefficient", "ResampledCoefficients", "coefficients", "wanted_coefficients"]


@dataclass(frozen=True)
class Coefficient:
    """A correlation of activation and target: what is held fixed, value, 95 % interval, galaxies, resamples."""

    key: str
    name: str
    value: float
    low: float
    high: float
    n: int
    resamples: int


def coefficients(
    statistics: FeatureStatistics, split: str, target: int, feature: int, *, intervals: bool, seed: int = 0
) -> list[Coefficient]:
    """Pearson ρ over all galaxies in view and where the feature fires; partial correlations at fixed mass, SFR, z, all.

    Parameters
    ----------
    statistics
        The codes' features.
    split
        A split's name; '' for all galaxies.
    target, feature
        Their numbers.
    intervals
        Whether to draw 95 % percentile bootstrap intervals, which takes longer.
    seed
        Of the resamples.

    Returns
    -------
    list[Coefficient]
        One coefficient each; it takes the galaxies whose values are all known, so ``n`` can differ.
    """
    index = statistics.index(split)
    activation, truth = index.dense(feature), statistics.truth(target)[index.rows]
    controls = {name: values[index.rows] for name, values in statistics.controls().items()}
    names = list(controls)
    data = np.column_stack([activation, truth, *controls.values()])
    finite = np.isfinite(data)
    wanted = wanted_coefficients(names)
    groups: dict[bytes, list[int]] = {}  # coefficients over the same galaxies share their resamples
    masks = []
    for i, (_, _, fixed, only) in enumerate(wanted):
        mask = finite[:, [0, 1, *fixed]].all(axis=1) & ((activation > 0) | (not only))
        masks.append(mask)
        groups.setdefault(np.packbits(mask).tobytes(), []).append(i)
    found: dict[int, Coefficient] = {}
    for members in groups.values():
        mask = masks[members[0]]
        n = int(mask.sum())
        columns = sorted({0, 1}.union(*(wanted[i][2] for i in members)))
        resamples = resamples_for(n) if intervals else 0
        sets = [tuple(columns.index(c) for c in wanted[i][2]) for i in members]
        answers = correlations(data[np.ix_(mask, columns)], sets, resamples, seed)
        for i, (value, low, high) in zip(members, answers, strict=True):
            found[i] = Coefficient(wanted[i][0], wanted[i][1], value, low, high, n, resamples)
    return [found[i] for i in range(len(wanted))]


def wanted_coefficients(names: list[str]) -> list[tuple[str, str, tuple[int, ...], bool]]:
    """(key, name, columns held fixed, only where it fires) of each coefficient; the controls are columns 2, 3, …"""
    wanted: list[tuple[str, str, tuple[int, ...], bool]] = [
        ("pearson", "Pearson ρ, all", (), False),
        ("fires", "Pearson ρ, firing", (), True),
    ]
    wanted += [(name, f"at fixed {name}", (i + 2,), False) for i, name in enumerate(names)]
    if len(names) > 1:
        wanted.append(("all", f"at fixed {', '.join(names)}", tuple(range(2, 2 + len(names))), False))
    return wanted


AT_ONCE = 4_000_000  # numbers unpacked from the counts at a time


class ResampledCoefficients:
    """The same answers as :func:`coefficients` with intervals, feature by feature.

    Which galaxies have all their values known, and how often each resample draws them, is the same for every feature;
    an activation differs from 0 on few galaxies, so that its sums over all resamples need those alone. Holds one byte
    a galaxy and resample for each set of galaxies.
    """

    def __init__(self, statistics: FeatureStatistics, split: str, target: int, seed: int = 0):
        self._index = index = statistics.index(split)
        self._truth = statistics.truth(target)[index.rows]
        controls = {name: values[index.rows] for name, values in statistics.controls().items()}
        self._wanted, self._seed = wanted_coefficients(list(controls)), seed
        fixed = np.column_stack([self._truth, *controls.values()])
        finite = np.isfinite(fixed)
        members: dict[bytes, list[int]] = {}
        for i, (_, _, chosen, only) in enumerate(self._wanted):
            if not only:
                mask = finite[:, [0, *(c - 1 for c in chosen)]].all(axis=1)
                members.setdefault(np.packbits(mask).tobytes(), []).append(i)
        self._groups = []
        for some in members.values():
            columns = sorted({0}.union(*((c - 1 for c in self._wanted[i][2]) for i in some)))
            mask = finite[:, columns].all(axis=1)
            sets = [tuple(1 + columns.index(c - 1) for c in self._wanted[i][2]) for i in some]
            self._groups.append((some, sets, _Draws(mask, fixed[np.ix_(mask, columns)], seed)))

    def coefficients(self, feature: int) -> list[Coefficient]:
        """Every coefficient of one feature with its 95 % interval."""
        position, activation = self._index.of(feature)
        found: dict[int, Coefficient] = {}
        for some, sets, draws in self._groups:
            for i, answer in zip(some, draws.correlations(position, activation, sets), strict=True):
                found[i] = Coefficient(*self._wanted[i][:2], *answer, draws.n, draws.resamples)
        for i, (key, name, _, only) in enumerate(self._wanted):
            if only:
                known = np.isfinite(self._truth[position])
                data = np.column_stack([activation[known], self._truth[position[known]]])
                resamples = resamples_for(len(data))
                answer = correlations(data, [()], resamples, self._seed)[0]
                found[i] = Coefficient(key, name, *answer, len(data), resamples)
        return [found[i] for i in range(len(self._wanted))]


class _Draws:
    """Resamples of the galaxies in ``mask`` (n of them) with the values ``fixed`` (n, C) of target and controls."""

    def __init__(self, mask: np.ndarray, fixed: np.ndarray, seed: int):
        self.n = n = len(fixed)
        self.resamples = resamples_for(n)
        if n < 3:  # no correlation is asked of them
            return
        self._place = np.where(mask, np.cumsum(mask) - 1, -1)
        scale = fixed.std(axis=0)
        self._table = np.column_stack([np.ones(n), (fixed - fixed.mean(axis=0)) / np.where(scale > 0, scale, 1.0)])
        drawn = [counts.T.astype(np.uint8) for counts in resample_counts(n, self.resamples, seed)]
        self._counts = np.concatenate([np.ones((n, 1), dtype=np.uint8), *drawn], axis=1)
        size = self._table.shape[1]
        upper = np.triu_indices(size)
        sums = self._sums(np.arange(n), self._table[:, upper[0]] * self._table[:, upper[1]])
        self._fixed = np.empty((1 + self.resamples, size, size))
        self._fixed[:, upper[0], upper[1]] = self._fixed[:, upper[1], upper[0]] = sums / n

    def _sums(self, at: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(1 + R, columns): Σ count × value over the galaxies ``at``, for each resample."""
        total = np.zeros((1 + self.resamples, values.shape[1]))
        step = max(1, AT_ONCE // (1 + self.resamples))
        for start in range(0, len(at), step):
            part = slice(start, start + step)
            total += self._counts[at[part]].T.astype(np.float64) @ values[part]
        return total

    def correlations(self, position: np.ndarray, activation: np.ndarray, sets: list[tuple[int, ...]]) -> list[tuple]:
        """(value, low, high) for each set of controls, given where a feature fires and how strongly."""
        n = self.n
        if n < 3:
            return [(np.nan, np.nan, np.nan)] * len(sets)
        at = self._place[position]
        a, at = activation[at >= 0], at[at >= 0]
        mean = a.sum() / n
        spread = np.sqrt(max((a * a).sum() / n - mean * mean, 0.0))
        spread = spread if spread > 0 else 1.0
        sums = self._sums(at, np.column_stack([a * a, a[:, None] * self._table[at]])) / n
        square, products = sums[:, 0], sums[:, 1:]
        scaled = (products - mean * self._fixed[:, 0]) / spread  # Σ of (a − mean) / spread with 1, target, controls
        own = (square - 2 * mean * products[:, 0] + mean * mean) / spread**2
        size = self._table.shape[1]
        moment = np.empty((1 + self.resamples, size + 1, size + 1))
        moment[:, 1, 1] = own
        rest = [0, *range(2, size + 1)]
        moment[:, 1, rest] = moment[:, rest, 1] = scaled
        moment[np.ix_(range(1 + self.resamples), rest, rest)] = self._fixed
        return correlations_of_moments(moment, sets, n)
