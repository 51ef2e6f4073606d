"""Two galaxies, or two selections, contribution by contribution."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.enrichment import positions
from sfnet_core.analysis.interpret import MODES, round_to_sum
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """Mean contributions of two groups, feature by feature; in the target's unit.

    ``feature`` (A,) every feature that contributes to either, by falling |difference|; ``a``, ``b`` (A,) mean
    contribution over all galaxies of the group; ``difference`` = a − b; ``rate_a``, ``rate_b`` (A,) share of the group
    on which it contributes; ``prediction_a``, ``prediction_b`` mean predictions, whose difference is ``total``: the sum
    of ``difference`` (the bias cancels), to float rounding and, in :meth:`texts`, to the last digit written.
    """

    feature: np.ndarray
    a: np.ndarray
    b: np.ndarray
    difference: np.ndarray
    rate_a: np.ndarray
    rate_b: np.ndarray
    prediction_a: float
    prediction_b: float
    bias: float
    n_a: int
    n_b: int
    unit: str

    @property
    def total(self) -> float:
        """Mean prediction of the first group minus that of the second."""
        return self.prediction_a - self.prediction_b

    def texts(self, digits: int = 4) -> list[str]:
        """``difference`` as decimals that add up to ``f"{total:.{digits}f}"`` exactly (largest remainder)."""
        return round_to_sum(self.difference.tolist(), self.total, digits)


def compare(
    codes: SparseCodes, a: Any, b: Any, *, target: int | str = 0, off: Collection[int] = (), mode: str = "ablate"
) -> Comparison:
    """Two galaxies or two selections of any sizes, overlapping or not, contribution by contribution.

    Parameters
    ----------
    codes
        The galaxies.
    a, b
        Rows or masks.
    target
        Its name or number.
    off, mode
        As of :func:`sfnet_core.analysis.interpret.predict`.

    Returns
    -------
    Comparison
        Differences by feature, which sum to the difference of the mean predictions.

    Raises
    ------
    SFNetError
        A group is empty.
    """
    t = codes.target_index(target)
    if mode not in MODES:
        raise SFNetError(f"The mode is `ablate` or `refill`, not {mode!r}.")
    groups = [positions(codes, group) for group in (a, b)]
    if not all(map(len, groups)):
        raise SFNetError("One of the two groups to compare has no galaxy; choose at least one for each.")
    sums, fires = zip(*(_contributing(codes, rows, t, off, mode) for rows in groups), strict=True)
    mean = [total / len(rows) for total, rows in zip(sums, groups, strict=True)]
    feature = np.flatnonzero(fires[0] + fires[1])
    difference = mean[0][feature] - mean[1][feature]
    feature = feature[np.argsort(-np.abs(difference), kind="stable")]
    bias = float(codes.bias[t])
    return Comparison(
        feature=feature,
        a=mean[0][feature],
        b=mean[1][feature],
        difference=mean[0][feature] - mean[1][feature],
        rate_a=fires[0][feature] / len(groups[0]),
        rate_b=fires[1][feature] / len(groups[1]),
        prediction_a=bias + math.fsum(mean[0].tolist()),
        prediction_b=bias + math.fsum(mean[1].tolist()),
        bias=bias,
        n_a=len(groups[0]),
        n_b=len(groups[1]),
        unit=codes.units.get(codes.targets[t], ""),
    )


def _contributing(
    codes: SparseCodes, rows: np.ndarray, t: int, off: Collection[int], mode: str
) -> tuple[np.ndarray, np.ndarray]:
    """Σ of contributions and how many galaxies they come from, per feature (F,)."""
    width = codes.k if mode == "ablate" else codes.indices.shape[1]
    indices, values = codes.indices[rows, :width], codes.values[rows, :width]
    alive = indices >= 0
    if off:
        alive &= ~np.isin(indices, list(off))
    if mode == "refill":
        alive &= np.cumsum(alive, axis=1) <= codes.k
    feature = indices[alive].astype(np.int64)
    term = codes.weight[t][feature] * values[alive]
    return np.bincount(feature, term, minlength=codes.features), np.bincount(feature, minlength=codes.features)
