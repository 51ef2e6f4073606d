"""Where a feature looks: the mean of its contribution maps, and the mean picture of its strongest galaxies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sfnet_core.analysis.firing import Firing
from sfnet_core.explorer.shared.pictures import Pictures
from sfnet_core.utils.subsample import evenly

__all__ = ["AtlasPictures", "MeanMap", "mean_map", "mean_maps"]

BLOCK = 8192  # rows that a codes file unpacks at once
MOST_BLOCKS = 4
STACK = 64  # galaxies in the mean picture


@dataclass(frozen=True)
class MeanMap:
    """(h, w) mean of weight × map / (h·w) over ``used`` of the ``fires`` galaxies; sums to their mean contribution."""

    cells: np.ndarray
    used: int
    fires: int


def mean_map(firing: Firing, feature: int, target: int) -> MeanMap | None:
    """The mean contribution map over the galaxies in view on which the feature fires; ``None`` without maps.

    In a large file only MOST_BLOCKS blocks of rows are read, spread evenly over those where the feature fires, so that
    the page never waits for all maps: ``used`` says how many galaxies the mean is over.
    """
    return mean_maps(firing, [feature], target).get(feature)


def mean_maps(firing: Firing, features: Iterable[int], target: int) -> dict[int, MeanMap]:
    """:func:`mean_map` of several features, each block of the file unpacked once; features without one are left out."""
    codes = firing.codes
    if codes.map_shape is None:
        return {}
    used: dict[int, np.ndarray] = {}
    wanted: dict[int, list[int]] = {}  # block → features
    fires: dict[int, int] = {}
    for feature in features:
        rows = np.sort(firing.rows[firing.of(feature)[0]])
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


class AtlasPictures(Pictures):
    """Cutouts by the codes' row, and the mean of several of them."""

    def mean(self, rows: np.ndarray) -> bytes:
        """The mean of the cutouts as stored (display values, not fluxes) as JPEG; empty without images."""
        rows = np.sort(np.asarray(rows, dtype=np.int64))
        rows = rows[self.there(rows)]
        if not len(rows):
            return b""
        from sfnet_core.data.cutouts import encode_jpeg

        total = np.zeros((*self.size, 3))
        for row in rows.tolist():
            total += self.pixels(row)
        return encode_jpeg(np.ascontiguousarray(np.rint(total / len(rows)).astype(np.uint8)), quality=92)
