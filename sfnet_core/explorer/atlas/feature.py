"""One feature in numbers: its correlations with intervals, what fires with it, what the galaxies are it fires on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.bpt import AGN, COMPOSITE, STAR_FORMING, bpt_class
from sfnet_core.stats.bootstrap import resamples_for
from sfnet_core.stats.correlation import correlations

if TYPE_CHECKING:
    from sfnet_core.analysis.feature_statistics import FeatureStatistics

__all__ = [
    "Coefficient",
    "Companions",
    "bpt_mix",
    "coefficients",
    "companions",
    "wanted_coefficients",
]

ENOUGH = 5  # galaxies expected to fire together, below which a lift says nothing


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

    A coefficient takes the galaxies whose values are all known, so ``n`` can differ. Intervals: percentile bootstrap.
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


@dataclass(frozen=True)
class Companions:
    """Features by how much more often they fire where this one does: ``lift`` = P(both) / (P(one) P(other))."""

    feature: np.ndarray
    both: np.ndarray
    expected: np.ndarray
    lift: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pearson: np.ndarray


def companions(statistics: FeatureStatistics, split: str, feature: int) -> Companions:
    """Features that fire together with this one, or were expected to, ENOUGH times or more; by falling lift.

    The 95 % interval is Wilson's (1927, JASA 22, 209) for the share of this feature's galaxies on which the other one
    fires, over the other one's rate among all galaxies in view.
    """
    index = statistics.index(split)
    fires, n = index.fires, max(index.n, 1)
    both = statistics.pairs(split)[0][feature]
    expected = fires[feature] * fires / n
    other = np.flatnonzero((np.maximum(both, expected) >= ENOUGH) & (np.arange(len(fires)) != feature))
    if fires[feature] == 0:
        other = other[:0]
    rate = fires[other] / n
    m, share, z = max(int(fires[feature]), 1), both[other] / max(int(fires[feature]), 1), 1.959964
    centre = (share + z * z / (2 * m)) / (1 + z * z / m)
    half = z / (1 + z * z / m) * np.sqrt(share * (1 - share) / m + z * z / (4 * m * m))
    lift = share / rate
    order = np.argsort(-lift, kind="stable")
    matrix = statistics.matrix(split)
    columns = (
        other,
        both[other],
        expected[other],
        lift,
        np.maximum(centre - half, 0) / rate,  # 0 of m gives 0, not a little less by rounding
        (centre + half) / rate,
        matrix[feature, other],
    )
    return Companions(*(column[order] for column in columns))


def bpt_mix(n2_ha: np.ndarray, o3_hb: np.ndarray) -> dict[str, int]:
    """How many galaxies are star-forming, composite and AGN by the BPT curves; those without ratios are left out."""
    classes = bpt_class(n2_ha, o3_hb)
    kinds = (("star-forming", STAR_FORMING), ("composite", COMPOSITE), ("AGN", AGN))
    return {name: int((classes == kind).sum()) for name, kind in kinds}


def neighbours(listed: np.ndarray, feature: int) -> tuple[int, int]:
    """The features before and after one in a list, -1 where there is none."""
    before = {int(b): int(a) for a, b in pairwise(listed)}
    after = {int(a): int(b) for a, b in pairwise(listed)}
    return before.get(feature, -1), after.get(feature, -1)
