"""How sure is a prediction? Split-conformal intervals from the validation galaxies' own errors, and their coverage.

A conformal interval promises one thing, without any model of the errors: of new galaxies drawn as the validation
galaxies were, at least the stated share has its true value inside (Vovk, Gammerman & Shafer 2005, section 2.2; Lei et
al. 2018, J. Am. Stat. Assoc. 113, 1094, theorem 2.2). The promise is on average over galaxies: a kind of galaxy that is
harder than the rest may be covered less often, which is why coverage is measured in bins too. It is void for galaxies
unlike the validation galaxies.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sfnet_core.errors import SFNetError
from sfnet_core.rates import wilson

if TYPE_CHECKING:
    from sfnet_core.codes import SparseCodes

__all__ = ["LEVEL", "Coverage", "conformal_radius", "coverage", "prediction_intervals", "validation_radius"]

LEVEL = 0.9
FOLDS = 10


def conformal_radius(residuals: np.ndarray, level: float = LEVEL) -> float:
    """Half the width of the interval: the ⌈(n + 1) level⌉-th smallest |residual| of n calibration galaxies.

    In the residuals' unit; infinite where n is too small for the level (0.9 needs 9). NaN residuals are left out.
    """
    if not 0 < level < 1:
        raise SFNetError(f"An interval's level is a share between 0 and 1, such as 0.9, not {level}.")
    sizes = np.sort(np.abs(np.asarray(residuals, dtype=np.float64)))
    sizes = sizes[np.isfinite(sizes)]
    rank = math.ceil((len(sizes) + 1) * level - 1e-9)
    return float(sizes[rank - 1]) if rank <= len(sizes) else math.inf


def validation_radius(
    codes: SparseCodes, level: float = LEVEL, *, split: str = "validation", target: int | str = 0
) -> float:
    """The radius that a split's galaxies give, in the target's unit. :class:`SFNetError` where too few are known."""
    residuals = _residuals(codes, split, target)
    radius = conformal_radius(residuals, level)
    if not math.isfinite(radius):
        needed = math.ceil(level / (1 - level) - 1e-9)
        raise SFNetError(
            f"An interval of level {level:g} needs at least {needed} {split} galaxies with a true value; these codes "
            f"have {len(residuals)}."
        )
    return radius


def prediction_intervals(
    codes: SparseCodes, level: float = LEVEL, *, split: str = "validation", target: int | str = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends (N,) for every galaxy: prediction ± one radius. The calibration galaxies' own are in-sample."""
    radius = validation_radius(codes, level, split=split, target=target)
    prediction = codes.prediction(target)
    return prediction - radius, prediction + radius


class Coverage(NamedTuple):
    """Share of galaxies inside their interval, in all (first entry) and in bins of the prediction; arrays (1 + bins,).

    ``edges`` (bins + 1,) of the bins in the target's unit; ``n``; ``inside``: share, with Wilson's 95 % interval
    ``low``, ``high``; ``radius``: the mean over the folds.
    """

    level: float
    edges: np.ndarray
    n: np.ndarray
    inside: np.ndarray
    low: np.ndarray
    high: np.ndarray
    radius: float


def coverage(
    codes: SparseCodes,
    level: float = LEVEL,
    *,
    split: str = "validation",
    target: int | str = 0,
    bins: int = 4,
    folds: int = FOLDS,
    seed: int = 0,
) -> Coverage:
    """How often intervals hold, measured on galaxies that did not set their width.

    The galaxies of the split are dealt into ``folds`` parts at random; each part's intervals come from the others. Bins
    hold equally many galaxies, by prediction. :class:`SFNetError` where too few galaxies have a true value.
    """
    known = _known(codes, split, target)
    if len(known) < 2 * folds:
        raise SFNetError(
            f"Coverage needs at least {2 * folds} {split} galaxies with a true value; these codes have {len(known)}."
        )
    prediction, truth = codes.prediction(target)[known], codes.truth(target)[known]
    residual = prediction - truth
    part = np.random.default_rng(seed).permutation(len(known)) % folds
    radii = np.array([conformal_radius(residual[part != fold], level) for fold in range(folds)])
    inside = np.abs(residual) <= radii[part]
    edges = np.quantile(prediction, np.linspace(0, 1, bins + 1))
    place = np.clip(np.searchsorted(edges, prediction, side="right") - 1, 0, bins - 1)
    groups = [np.ones(len(known), dtype=bool), *(place == i for i in range(bins))]
    n = np.array([group.sum() for group in groups])
    hits = np.array([inside[group].sum() for group in groups])
    ends = np.array([wilson(int(hit), int(count)) for hit, count in zip(hits, n, strict=True)], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        share = hits / n
    return Coverage(level, edges, n, share, ends[:, 0], ends[:, 1], float(radii.mean()))


def _known(codes: SparseCodes, split: str, target: int | str) -> np.ndarray:
    rows = np.flatnonzero(codes.split == split) if split else np.arange(len(codes))
    return rows[np.isfinite(codes.truth(target)[rows])]


def _residuals(codes: SparseCodes, split: str, target: int | str) -> np.ndarray:
    rows = _known(codes, split, target)
    return codes.prediction(target)[rows] - codes.truth(target)[rows]
