"""The mean contribution map of a feature: where on the image the network finds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sfnet_core.analysis.activation_index import ActivationIndex
from sfnet_core.utils.subsample import evenly

__all__ = ["MeanMap", "mean_map", "mean_maps"]

BLOCK = 8192  # rows that a codes file unpacks at once
MOST_BLOCKS = 4


@dataclass(frozen=True)
class MeanMap:
    """(h, w) mean of weight × map / (h·w) over ``used`` of the ``fires`` galaxies; sums to their mean contribution."""

    cells: np.ndarray
    used: int
    fires: int


def mean_map(index: ActivationIndex, feature: int, target: int) -> MeanMap | None:
    """The mean contribution map of a feature over the galaxies on which it fires.

    In a large file only MOST_BLOCKS blocks of rows are read, spread evenly over those where the feature fires, so that
    the page never waits for all maps: ``used`` says how many galaxies the mean is over.

    Parameters
    ----------
    index
        The galaxies in view.
    feature
        Its number.
    target
        The target's number.

    Returns
    -------
    MeanMap | None
        The map; ``None`` where the codes hold no maps or the feature fires nowhere.
    """
    return mean_maps(index, [feature], target).get(feature)


def mean_maps(index: ActivationIndex, features: Iterable[int], target: int) -> dict[int, MeanMap]:
    """:func:`mean_map` of several features, each block of the file unpacked once.

    Parameters
    ----------
    index
        The galaxies in view.
    features
        Their numbers.
    target
        The target's number.

    Returns
    -------
    dict[int, MeanMap]
        Feature → map; features without one are left out.
    """
    codes = index.codes
    if codes.map_shape is None:
        return {}
    used: dict[int, np.ndarray] = {}
    wanted: dict[int, list[int]] = {}  # block → features
    fires: dict[int, int] = {}
    for feature in features:
        rows = np.sort(index.rows[index.of(feature)[0]])
        if not len(rows):
            continue
        blocks = np.unique(rows // BLOCK)
        blocks = blocks[evenly(len(blocks), MOST_BLOCKS)]
        used[feature], fires[feature] = rows[np.isin(rows // BLOCK, blocks)], len(rows)
        for block in blocks.tolist():
            wanted.setdefault(block, []).append(feature)
    total = {feature: np.zeros(codes.map_shape) for feature in used}
    for block, some in sorted(wanted.items()):
        parts = [rows[rows // BLOCK == block] for rows in (used[feature] for feature in some)]
        every = np.unique(np.concatenate(parts))
        maps, kept = codes.maps(every), codes.indices[every, : codes.k]  # (n, k, h, w)
        for feature, rows in zip(some, parts, strict=True):
            at = np.searchsorted(every, rows)
            slot = np.argmax(kept[at] == feature, axis=1)
            total[feature] += maps[at, slot].sum(axis=0, dtype=np.float64)
    weight = codes.weight[target]
    return {
        f: MeanMap(float(weight[f]) * total[f] / (len(used[f]) * total[f].size), len(used[f]), fires[f]) for f in used
    }
