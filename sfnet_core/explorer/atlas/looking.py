"""Where a feature looks: the mean of its contribution maps, and the mean picture of its strongest galaxies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfnet_core.explorer.atlas.firing import Firing
from sfnet_core.explorer.pictures import Pictures

__all__ = ["AtlasPictures", "MeanMap", "mean_map"]

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
    codes = firing.codes
    position, _ = firing.of(feature)
    rows = np.sort(firing.rows[position])
    if codes.map_shape is None or not len(rows):
        return None
    blocks = np.unique(rows // BLOCK)
    if len(blocks) > MOST_BLOCKS:
        blocks = blocks[np.linspace(0, len(blocks) - 1, MOST_BLOCKS).round().astype(int)]
    used = rows[np.isin(rows // BLOCK, blocks)]
    total = np.zeros(codes.map_shape)
    for block in blocks:
        here = used[used // BLOCK == block]
        maps = codes.maps(here)  # (n, k, h, w)
        slot = np.argmax(codes.indices[here, : codes.k] == feature, axis=1)
        total += maps[np.arange(len(here)), slot].sum(axis=0, dtype=np.float64)
    weight = float(codes.weight[target][feature])
    return MeanMap(weight * total / (len(used) * total.size), len(used), len(rows))


class AtlasPictures(Pictures):
    """Cutouts by the codes' row, and the mean of several of them."""

    def mean(self, rows: np.ndarray) -> bytes:
        """The mean of the cutouts as stored (display values, not fluxes) as JPEG; empty without images."""
        rows = np.sort(np.asarray(rows, dtype=np.int64))
        rows = rows[self.there(rows)]
        if not len(rows):
            return b""
        from sfnet_core.survey.cutouts import encode_jpeg

        total = np.zeros((*self.size, 3))
        for row in rows.tolist():
            total += self.pixels(row)
        return encode_jpeg(np.ascontiguousarray(np.rint(total / len(rows)).astype(np.uint8)), quality=92)
