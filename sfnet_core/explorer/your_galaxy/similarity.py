"""How like the galaxies of a codes file is one code, and one picture? Numpy only; N galaxies, k kept of F features.

Two codes are compared as :mod:`sfnet_core.analysis.neighbours` does. What the training galaxies span is stated as
ranges: of each feature's activation where it fires, and of simple measures of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.neighbours import code_norms, similarity
from sfnet_core.utils.subsample import evenly

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = [
    "LOOKS",
    "FeatureRanges",
    "Span",
    "look",
    "share_below",
    "typical_nearest",
]

LOOKS = {  # measures of a picture, in counts of 0…255
    "background": "sky background",
    "grain": "sky noise",
    "brightness": "central brightness",
    "colour": "colour, red − blue",
}


def typical_nearest(codes: SparseCodes, rows: np.ndarray, most: int = 200, work: int = 10_000_000) -> np.ndarray:
    """The cosine of each of up to ``most`` of ``rows`` with the galaxy of the same rows most similar to it, ascending.

    It says how near a neighbour galaxies like these have. Evenly spaced rows are tried, fewer where there are many
    galaxies (``work`` comparisons in all).
    """
    part = codes.take(rows)
    n = len(part)
    if n < 2:
        return np.empty(0)
    best, norms = [], code_norms(part)
    for row in evenly(n, min(most, max(work // n, 20))):
        cosine, _ = similarity(part, part.indices[row, : part.k], part.values[row, : part.k], norms=norms)
        cosine[row] = -1.0
        best.append(cosine.max())
    return np.sort(np.array(best))


@dataclass(frozen=True)
class FeatureRanges:
    """For each of F features over some galaxies: how many keep it, and its least and largest activation there."""

    fires: np.ndarray  # (F,) int64
    low: np.ndarray  # (F,) float64, +inf where it never fires
    high: np.ndarray  # (F,) float64, −inf where it never fires

    @classmethod
    def of(cls, codes: SparseCodes, rows: np.ndarray) -> FeatureRanges:
        """Measured over ``rows``."""
        fires = np.zeros(codes.features, dtype=np.int64)
        low, high = np.full(codes.features, np.inf), np.full(codes.features, -np.inf)
        for slot in range(codes.k):
            feature, value = codes.indices[rows, slot], codes.values[rows, slot].astype(np.float64)
            feature, value = feature[feature >= 0], value[feature >= 0]
            fires += np.bincount(feature, minlength=codes.features)
            np.minimum.at(low, feature, value)
            np.maximum.at(high, feature, value)
        return cls(fires, low, high)


@dataclass(frozen=True)
class Span:
    """The finite values of one quantity over some galaxies: their number, least, 1 % and 99 % points, largest."""

    n: int
    low: float
    p1: float
    p99: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Span:
        """Measured on ``values`` (n,); all NaN where there is none."""
        values = np.asarray(values, dtype=np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            return cls(0, np.nan, np.nan, np.nan, np.nan)
        p1, p99 = np.quantile(values, [0.01, 0.99])
        return cls(len(values), float(values.min()), float(p1), float(p99), float(values.max()))

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies between the least and the largest."""
        return self.low <= value <= self.high


def share_below(value: float, values: np.ndarray) -> float:
    """The share of the finite ``values`` that are smaller than ``value``; NaN where there is none."""
    values = values[np.isfinite(values)]
    return float(np.mean(values < value)) if len(values) else float("nan")


def look(cutouts: np.ndarray, crop: int | None = None) -> dict[str, np.ndarray]:
    """Simple measures of pictures ``(n, H, W, 3)`` uint8, each ``(n,)`` float64 in counts; the keys are LOOKS'.

    The sky is a border of 1/16 of the side of the crop's square (the central ``crop`` px, what the network sees): its
    median is the background (mean of the bands), 1.4826 × the median absolute deviation its noise. Brightness is the
    mean of the central quarter (half the side) above the background, colour its red minus its blue.
    """
    height, width = cutouts.shape[1:3]
    side = min(height, width, crop or height)
    top, left = (height - side) // 2, (width - side) // 2
    edge, quarter = max(2, side // 16), side // 4
    found: dict[str, list[np.ndarray]] = {name: [] for name in LOOKS}
    for start in range(0, len(cutouts), 64):
        block = np.asarray(cutouts[start : start + 64, top : top + side, left : left + side])
        n = len(block)
        border = (block[:, :edge], block[:, -edge:], block[:, edge:-edge, :edge], block[:, edge:-edge, -edge:])
        sky = np.concatenate([part.reshape(n, -1, 3) for part in border], axis=1)  # (n, border pixels, 3)
        middle = np.median(sky, axis=1)  # (n, 3)
        noise = 1.4826 * np.median(np.abs(sky - middle[:, None]), axis=1)
        centre = block[:, quarter : side - quarter, quarter : side - quarter].reshape(n, -1, 3).mean(axis=1) - middle
        found["background"].append(middle.mean(axis=1))
        found["grain"].append(noise.mean(axis=1))
        found["brightness"].append(centre.mean(axis=1))
        found["colour"].append(centre[:, 0] - centre[:, 2])
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in found.items()}
