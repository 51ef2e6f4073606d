"""What the network answers to no galaxy at all: each feature's map of an image that shows the empty sky alone.

A part of every contribution map is the network's answer to an empty sky: its biases, the padding at the image's border,
the sky's own colour. With the maps of one blank image, whose every pixel is the typical sky of the galaxies at hand,
that part can be taken off. A feature's contribution map less the same feature's map of the blank image sums to the
contribution less the empty sky's; the map of all contributions less that of the features which the blank image itself
keeps sums to the prediction less the blank image's: to what the galaxy's light changed.

Shape letters: F features, h w cells, N galaxies, H W pixels.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from sfnet_core.utils.errors import SFNetError

__all__ = ["Sky", "SkyFile", "blank_map", "kept_of", "typical_sky"]

LOOKED_AT = 1000  # galaxies whose border says what the sky is


_Level = Annotated[int, Meta(ge=0, le=255)]


class SkyFile(Struct):
    """A :class:`Sky` in JSON: the maps as base64 of their bytes, little-endian, row by row."""

    level: tuple[_Level, _Level, _Level]
    maps: bytes


@dataclass(frozen=True)
class Sky:
    """``level`` (3,) display values 0…255 of the blank image's pixels; ``maps`` (F, h, w) float32, before the gate."""

    level: tuple[int, ...]
    maps: np.ndarray

    def contribution(self, feature: int, weight: float) -> np.ndarray:
        """(h, w) float64 a feature's contribution map of the blank image, as if the gate kept it."""
        cells = self.maps[feature].astype(np.float64)
        return weight * cells / cells.size

    def as_dict(self) -> dict[str, Any]:
        """For JSON, as :class:`SkyFile`."""
        cells = np.ascontiguousarray(self.maps, dtype="<f4")
        return {"level": list(self.level), "maps": base64.b64encode(cells.tobytes()).decode("ascii")}

    @classmethod
    def from_file(cls, file: SkyFile, features: int, shape: tuple[int, int] | None, where: str) -> Sky | None:
        """The inverse, checked; ``None`` where there are no maps that it could belong to."""
        if shape is None:
            return None
        if len(file.maps) != 4 * features * shape[0] * shape[1]:
            raise SFNetError(
                f"{where}: the `maps` of `sky` are not the {features}×{shape[0]}×{shape[1]} numbers that fit these "
                "codes; write the codes again with `sfnet infer`."
            )
        sky = cls(file.level, np.frombuffer(file.maps, "<f4").astype(np.float32).reshape(features, *shape))
        sky.check(features, shape, where)
        return sky

    def check(self, features: int, shape: tuple[int, int] | None, where: str) -> None:
        """Raise :class:`SFNetError` where the maps are not these features' on this grid, or no activations."""
        if shape is None or self.maps.shape != (features, *shape):
            raise SFNetError(
                f"{where}: the sky's maps have shape {self.maps.shape}; these codes need {features} × {shape}."
            )
        if not (np.isfinite(self.maps).all() and (self.maps >= 0).all()):
            raise SFNetError(
                f"{where}: the sky's maps hold values below 0 or not finite; these weights cannot be used."
            )


def kept_of(sky: np.ndarray, k: int, off: Iterable[int] = (), refill: bool = False) -> np.ndarray:
    """The features that a gate keeps of the blank image's maps, by falling activation.

    Parameters
    ----------
    sky : (F, h, w)
        The maps.
    k : int
        Of the gate.
    off : iterable of int
        Features left out: after the gate, or before it.
    refill : bool
        Before it: another one takes the place.

    Returns
    -------
    (≤ k,) int64
    """
    activations = sky.mean(axis=(1, 2), dtype=np.float64)  # (F,)
    out = np.fromiter(off, dtype=np.int64)
    if refill:
        activations[out] = 0.0
    kept = np.argsort(-activations, kind="stable")[:k]  # of equal ones the lowest index wins
    return kept[(activations[kept] > 0) & ~np.isin(kept, out)]


def blank_map(weight: np.ndarray, sky: np.ndarray, k: int, off: Iterable[int] = (), refill: bool = False) -> np.ndarray:
    """(h, w) float64 contribution map of the blank image, weight (F,): sums to its prediction less the bias."""
    kept = kept_of(sky, k, off, refill)
    return np.tensordot(weight[kept], sky[kept].astype(np.float64), axes=1) / (sky.shape[1] * sky.shape[2])


def typical_sky(cutouts: np.ndarray, side: int) -> tuple[int, ...]:
    """The typical sky of cutouts: the median over galaxies of the medians of their borders.

    Parameters
    ----------
    cutouts : (N, H, W, 3) uint8
        Of many galaxies :data:`LOOKED_AT` are looked at, spread evenly.
    side : int
        px of the central square that the network sees; its outermost row and column are the border.

    Returns
    -------
    (3,) int
        Display values 0…255.
    """
    n, height, width = cutouts.shape[:3]
    top, left = (height - side) // 2, (width - side) // 2
    medians = []
    for row in np.unique(np.linspace(0, n - 1, min(n, LOOKED_AT)).round().astype(int)).tolist():
        square = np.asarray(cutouts[row])[top : top + side, left : left + side]
        border = np.concatenate([square[0], square[-1], square[:, 0], square[:, -1]])  # (4·side, 3)
        medians.append(np.median(border, axis=0))
    return tuple(int(v) for v in np.rint(np.median(medians, axis=0)))
