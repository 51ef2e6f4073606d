"""How sure is a prediction? Split-conformal intervals from the validation galaxies' own errors, and their coverage.

A conformal interval promises one thing, without any model of the errors: of new galaxies drawn as the validation
galaxies were, at least the stated share has its true value inside (Vovk, Gammerman & Shafer 2005, section 2.2; Lei et
al. 2018, J. Am. Stat. Assoc. 113, 1094, theorem 2.2). The promise is made for each of a few groups by prediction, with
a width of its own (Mondrian conformal prediction: Vovk et al., chapter 4), because errors depend on it: metal-poor
galaxies are harder. Within a group it holds on average: a kind of galaxy that is harder than the rest may be covered
less often, so coverage is measured too. It is void for galaxies unlike the validation galaxies.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sfnet_core.stats.proportions import wilson
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["LEVEL", "Coverage", "Radii", "conformal_radius", "coverage", "prediction_intervals", "validation_radii"]

LEVEL = 0.9
FOLDS = 10
GROUPS = 4  # by prediction, each with its own radius
FEWEST = 30  # calibration galaxies in a group


def conformal_radius(residuals: np.ndarray, level: float = LEVEL) -> float:
    """Half the width of a split-conformal interval: the ⌈(n + 1) level⌉-th smallest |residual| of n galaxies.

    Parameters
    ----------
    residuals
        (n,) prediction − truth of the calibration galaxies; NaN ones are left out.
    level
        How often the interval is to hold.

    Returns
    -------
    float
        The radius in the residuals' unit; infinite where n is too small for the level (0.9 needs 9).
    """
    if not 0 < level < 1:
        raise SFNetError(f"An interval's level is a share between 0 and 1, such as 0.9, not {level}.")
    sizes = np.sort(np.abs(np.asarray(residuals, dtype=np.float64)))
    sizes = sizes[np.isfinite(sizes)]
    rank = math.ceil((len(sizes) + 1) * level - 1e-9)
    return float(sizes[rank - 1]) if rank <= len(sizes) else math.inf


class Radii(NamedTuple):
    """Half the width of the interval, by the prediction: ``radius`` (G,) and the G − 1 ``edges`` between the groups."""

    edges: np.ndarray
    radius: np.ndarray

    def of(self, prediction: np.ndarray) -> np.ndarray:
        """Each prediction's radius, of its shape."""
        return self.radius[_group(self.edges, prediction)]


def validation_radii(
    codes: SparseCodes, level: float = LEVEL, *, split: str = "validation", target: int | str = 0
) -> Radii:
    """The radii that a split's galaxies give, one for each of up to :data:`GROUPS` groups.

    Groups are quantiles of the prediction among the other galaxies of the codes (where those are too few, among the
    split's own), so that calibration galaxies don't set the limits of their group; there are as many as leave
    :data:`FEWEST` calibration galaxies in each.

    Parameters
    ----------
    codes
        The galaxies.
    level
        How often the interval is to hold.
    split
        The calibration galaxies.
    target
        Its name or number.

    Returns
    -------
    Radii
        Radii in the target's unit.

    Raises
    ------
    SFNetError
        Too few galaxies have a true value for even one group.
    """
    known = _known(codes, split, target)
    prediction, truth = codes.prediction(target), codes.truth(target)
    edges = _edges(prediction, known)
    place, residual = _group(edges, prediction[known]), prediction[known] - truth[known]
    radius = np.array([conformal_radius(residual[place == g], level) for g in range(len(edges) + 1)])
    if not np.isfinite(radius).all():
        needed = math.ceil(level / (1 - level) - 1e-9)
        raise SFNetError(
            f"An interval of level {level:g} needs at least {needed} {split} galaxies with a true value; these codes "
            f"have {len(known)}."
        )
    return Radii(edges, radius)


def prediction_intervals(
    codes: SparseCodes, level: float = LEVEL, *, split: str = "validation", target: int | str = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of every galaxy: prediction ± its group's radius. Calibration galaxies' are in-sample.

    Parameters
    ----------
    codes, level, split, target
        As of :func:`validation_radii`.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Low and high ends, (N,) each, in the target's unit.
    """
    prediction = codes.prediction(target)
    radius = validation_radii(codes, level, split=split, target=target).of(prediction)
    return prediction - radius, prediction + radius


class Coverage(NamedTuple):
    """Share of galaxies inside their interval, in all (first entry) and in bins of the prediction; arrays (1 + bins,).

    ``edges`` (bins + 1,) of the bins in the target's unit; ``n``; ``inside``: share, with Wilson's 95 % interval
    ``low``, ``high``; ``radius``: the mean over the galaxies.
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

    The galaxies of the split are dealt into parts at random; each part's intervals come from the others.

    Parameters
    ----------
    codes, level, split, target
        As of :func:`validation_radii`.
    bins
        Of equally many galaxies, by prediction.
    folds
        How many parts.
    seed
        Of the deal.

    Returns
    -------
    Coverage
        The share of galaxies inside, in all and by bin.

    Raises
    ------
    SFNetError
        Too few galaxies have a true value.
    """
    known = _known(codes, split, target)
    if len(known) < 2 * folds:
        raise SFNetError(
            f"Coverage needs at least {2 * folds} {split} galaxies with a true value; these codes have {len(known)}."
        )
    limits = _edges(codes.prediction(target), known)
    prediction, truth = codes.prediction(target)[known], codes.truth(target)[known]
    residual, group = prediction - truth, _group(limits, prediction)
    part = np.random.default_rng(seed).permutation(len(known)) % folds
    radius = np.empty(len(known))
    for fold in range(folds):
        for g in range(len(limits) + 1):
            radius[(part == fold) & (group == g)] = conformal_radius(residual[(part != fold) & (group == g)], level)
    inside = np.abs(residual) <= radius
    edges = np.quantile(prediction, np.linspace(0, 1, bins + 1))
    place = np.clip(np.searchsorted(edges, prediction, side="right") - 1, 0, bins - 1)
    groups = [np.ones(len(known), dtype=bool), *(place == i for i in range(bins))]
    n = np.array([group.sum() for group in groups])
    hits = np.array([inside[group].sum() for group in groups])
    ends = np.array([wilson(int(hit), int(count)) for hit, count in zip(hits, n, strict=True)], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        share = hits / n
    return Coverage(level, edges, n, share, ends[:, 0], ends[:, 1], float(radius.mean()))


def _known(codes: SparseCodes, split: str, target: int | str) -> np.ndarray:
    rows = np.flatnonzero(codes.split == split) if split else np.arange(len(codes))
    return rows[np.isfinite(codes.truth(target)[rows])]


def _edges(prediction: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Limits (G − 1,) between groups of predictions, see :func:`validation_radii`."""
    others = np.ones(len(prediction), dtype=bool)
    others[known] = False
    others &= np.isfinite(prediction)
    source = prediction[others] if others.sum() >= len(known) else prediction[known]
    for groups in range(GROUPS, 1, -1):
        edges = np.quantile(source, np.arange(1, groups) / groups) if len(source) else np.empty(0)
        if np.bincount(_group(edges, prediction[known]), minlength=groups).min() >= FEWEST:
            return edges
    return np.empty(0)


def _group(edges: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return np.searchsorted(edges, prediction, side="right")
