"""What each feature says about the target: one line a feature, from two passes over the codes in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.codes.check import rows_of
from sfnet_core.codes.sums import blocks, mean_contributions
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["feature_table", "lost_without", "partial_correlations", "split_table"]

TABLE_KEYS = (
    *("feature", "fires", "rate", "weight", "mean_abs", "share", "mean", "std", "mean_fires", "std_fires"),
    *("pearson", "pearson_fires", "partial"),
)


def feature_table(
    codes: SparseCodes,
    rows: np.ndarray | None = None,
    target: int | str = 0,
    controls: Sequence[str] | None = None,
) -> dict[str, np.ndarray]:
    """What each feature says about the target: one entry per feature that fires, by falling mean |contribution|.

    Parameters
    ----------
    codes
        The galaxies.
    rows
        (n,) positions or a mask of those that count; all by default.
    target
        Its name or number.
    controls
        Names of catalogue columns that ``partial`` holds fixed (residuals of linear regressions).

    Returns
    -------
    dict[str, np.ndarray]
        Arrays (A,) by name; ties in rank: the lower feature first.

        ``feature``; ``fires``, ``rate``
            Its number; how many galaxies keep it, and their share.
        ``weight``
            In the target's unit per unit of activation.
        ``mean_abs``, ``share``
            Mean |contribution| over all galaxies, and its share of the sum over features.
        ``mean``, ``std``, ``mean_fires``, ``std_fires``
            Of the contribution over all galaxies, and where it fires.
        ``pearson``, ``pearson_fires``
            Correlation of activation and true target over all galaxies with a known target (0 where the feature is
            silent), and where it fires.
        ``partial``
            ``pearson`` at fixed ``controls``; NaN without any.

        Correlations over fewer than 3 galaxies, or of a constant, are NaN.

    Raises
    ------
    SFNetError
        A control holds text, or there is no such column or target.
    """
    t = codes.target_index(target)
    rows = None if rows is None else rows_of(rows, len(codes))
    n, size, weight = len(codes) if rows is None else len(rows), codes.features, codes.weight[t]
    truth = codes.truth(t) if rows is None else codes.truth(t)[rows]
    known = np.isfinite(truth)
    y = _centred(truth, known)
    names = ("fires", "total", "absolute", "count", "a", "aa", "ay", "y")
    sums = {name: np.zeros(size) for name in names}

    def entries() -> Iterator[tuple[np.ndarray, ...]]:
        """(feature, activation, contribution, residual, known) of every kept activation of a block."""
        for place, indices, values in blocks(codes, rows):
            kept = indices[:, : codes.k]
            row, slot = np.nonzero(kept >= 0)
            feature, activation = kept[row, slot].astype(np.int64), values[row, slot].astype(np.float64)
            yield feature, activation, weight[feature] * activation, y[place][row], known[place][row]

    for feature, activation, term, residual, here in entries():
        for name, amount in (("fires", None), ("total", term), ("absolute", np.abs(term))):
            sums[name] += np.bincount(feature, amount, size)
        feature, activation, residual = feature[here], activation[here], residual[here]
        for name, amount in (
            ("count", None),
            ("a", activation),
            ("aa", activation**2),
            ("ay", activation * residual),
            ("y", residual),
        ):
            sums[name] += np.bincount(feature, amount, size)
    fires = sums["fires"].astype(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, mean_fires = sums["total"] / max(n, 1), sums["total"] / fires
        mean_a, mean_y = sums["a"] / sums["count"], sums["y"] / sums["count"]  # where it fires
    inside, aa, yy, ay = (np.zeros(size) for _ in range(4))
    for feature, activation, term, residual, here in entries():  # about the means, which the first pass gave
        inside += np.bincount(feature, (term - mean_fires[feature]) ** 2, size)
        feature = feature[here]
        a, b = activation[here] - mean_a[feature], residual[here] - mean_y[feature]
        for total, amount in ((aa, a * a), (yy, b * b), (ay, a * b)):
            total += np.bincount(feature, amount, size)
    everything = sums["absolute"].sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        std = np.sqrt((inside + fires * (mean_fires - mean) ** 2 + (n - fires) * mean**2) / max(n, 1))
        std_fires, where_fires = np.sqrt(inside / fires), ay / np.sqrt(aa * yy)
    enough = (sums["count"] >= 3) & np.isfinite(where_fires)
    found = {
        "feature": np.arange(size),
        "fires": fires,
        "rate": fires / max(n, 1),
        "weight": weight,
        "mean_abs": sums["absolute"] / max(n, 1),
        "share": sums["absolute"] / everything if everything > 0 else np.zeros(size),
        "mean": mean,
        "std": std,
        "mean_fires": mean_fires,
        "std_fires": std_fires,
        "pearson": _pearson(sums, y[known], truth[known]),
        "pearson_fires": np.where(enough, np.clip(where_fires, -1, 1), np.nan),
        "partial": _partial(codes, rows, truth, controls) if controls else np.full(size, np.nan),
    }
    order = np.argsort(-found["mean_abs"], kind="stable")
    order = order[fires[order] > 0]
    return {name: array[order] for name, array in found.items()}


def split_table(codes: SparseCodes, split: str, target: int) -> dict[str, np.ndarray]:
    """:func:`feature_table` of a split's galaxies, kept beside codes that several sessions share.

    Parameters
    ----------
    codes
        The galaxies.
    split
        A split's name; '' for all galaxies.
    target
        Its number.

    Returns
    -------
    dict[str, np.ndarray]
        Arrays (A,) by name.
    """

    def make() -> np.ndarray:
        rows = np.flatnonzero(codes.in_split(split)) if split else None
        return np.stack([*feature_table(codes, rows, target).values()]).astype(np.float64)

    packed = codes.derived(f"table-{split or 'all'}-{target}-k{codes.k}", make)
    table = dict(zip(TABLE_KEYS, packed, strict=True))
    return table | {name: table[name].astype(np.int64) for name in ("feature", "fires")}


def lost_without(codes: SparseCodes, rows: np.ndarray | None = None, target: int | str = 0) -> np.ndarray:
    """What ablating each feature adds to the RMSE.

    The two numbers of a feature are ``delta`` and ``same_galaxies`` of
    :func:`sfnet_core.reports.faithful.ablation.ablation`, which has their intervals.

    Parameters
    ----------
    codes
        The galaxies.
    rows
        (n,) positions or a mask of those that count; all by default. Those without a known target are left out.
    target
        Its name or number.

    Returns
    -------
    np.ndarray
        (2, F) float64 in the target's unit. First the feature itself; then the chance beside it: on the galaxies on
        which it fires, one of their kept features drawn at random is left out instead (the expectation of the squares
        over that draw). 0 for a feature that fires on none of them; NaN without a known target.
    """
    t = codes.target_index(target)
    rows = None if rows is None else rows_of(rows, len(codes))
    truth = codes.truth(t) if rows is None else codes.truth(t)[rows]
    known = np.isfinite(truth)
    if not known.any():
        return np.full((2, codes.features), np.nan)
    predicted = codes.prediction(t) if rows is None else codes.prediction(t)[rows]
    residual = np.where(known, predicted - truth, 0.0)
    mean, mean_square = mean_contributions(codes, t, rows)
    chosen = mean_square - 2 * residual * mean  # (n,) expected change of a squared residual
    weight = np.append(codes.weight[t], 0.0)
    change = np.zeros((2, codes.features + 1))  # of Σ residual²; an empty slot counts at 0, which is cut off
    for place, indices, values in blocks(codes, rows):
        for slot in range(codes.k):
            index = np.where(known[place], indices[:, slot], -1)
            term = weight[index] * values[:, slot]
            for total, moved in zip(change, (term * (term - 2 * residual[place]), chosen[place]), strict=True):
                total += np.bincount(index + 1, moved, codes.features + 1)
    n, square = int(known.sum()), float(np.square(residual).sum())
    return np.sqrt(np.maximum(square + change[:, 1:], 0.0) / n) - np.sqrt(square / n)


def _centred(truth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Truth minus the mean of the known ones, twice, so that rounding leaves no mean."""
    for _ in range(2):
        truth = truth - truth[known].mean() if known.any() else truth
    return truth


def _pearson(sums: dict[str, np.ndarray], y: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(F,) over all galaxies with a known target, the activation 0 where the feature is silent; ``y``: it centred."""
    if len(y) < 3:
        return np.full(len(sums["a"]), np.nan)
    square, power = sums["aa"], y @ y
    rest = square - sums["a"] ** 2 / len(y)
    good = (rest > 1e-9 * square) & (square > 0) & (power > 1e-24 * (truth @ truth))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(good, np.clip(sums["ay"] / np.sqrt(rest * power), -1, 1), np.nan)


def _partial(codes: SparseCodes, rows: np.ndarray | None, truth: np.ndarray, controls: Sequence[str]) -> np.ndarray:
    """(F,) correlation of activation and truth at fixed ``controls``."""
    basis = []
    for name in controls:
        column = np.asarray(codes.column(name))
        if column.dtype.kind not in "biuf":
            raise SFNetError(f"The column {name!r} holds text; only numbers can be held fixed.")
        basis.append((column if rows is None else column[rows]).astype(np.float64))
    kept, values = (array if rows is None else array[rows] for array in (codes.indices, codes.values))
    row, slot = np.nonzero(kept[:, : codes.k] >= 0)
    entries = row, kept[row, slot].astype(np.int64), values[row, slot].astype(np.float64)
    return partial_correlations(*entries, codes.features, truth, basis)


def partial_correlations(
    row: np.ndarray, feature: np.ndarray, activation: np.ndarray, size: int, y: np.ndarray, controls: list[np.ndarray]
) -> np.ndarray:
    """Correlation of each feature's activation with ``y`` at fixed ``controls`` (of residuals of linear fits).

    What :func:`sfnet_core.stats.correlation.partial_correlation` gives for the dense activations, from the kept ones
    alone: with Q an orthonormal basis of the controls, Σ a_r² = Σ a² − |Qᵀa|² and Σ a_r y_r = Σ a y_r.

    Parameters
    ----------
    row, feature, activation
        (E,) each: galaxy (an index into ``y``), feature and value of every kept activation.
    size
        F, how many features there are.
    y
        (n,) the target, NaN where unknown.
    controls
        What is held fixed, (n,) each, NaN where unknown; such galaxies do not count.

    Returns
    -------
    np.ndarray
        (F,) float64; NaN where fewer than C + 3 galaxies have all values, or where nothing varies.
    """
    use = np.isfinite(y)
    for control in controls:
        use = use & np.isfinite(control)
    if use.sum() < len(controls) + 3:
        return np.full(size, np.nan)
    design = np.stack([np.ones(int(use.sum())), *(control[use] for control in controls)], axis=1)
    design[:, 1:] -= design[:, 1:].mean(axis=0)
    spread = design.std(axis=0)
    spread[0] = 1.0
    design = design[:, spread > 0] / spread[spread > 0]
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    left = left[:, singular > 1e-10 * singular.max()]
    target = y[use] - y[use].mean()
    residual = target - left @ (left.T @ target)
    position = np.cumsum(use) - 1
    here = use[row]
    at, feature, activation = position[row[here]], feature[here], activation[here]
    square = np.bincount(feature, activation**2, minlength=size)
    explained = sum(np.bincount(feature, activation * left[at, q], minlength=size) ** 2 for q in range(left.shape[1]))
    cross = np.bincount(feature, activation * residual[at], minlength=size)
    rest, power = square - explained, residual @ residual
    good = (rest > 1e-9 * square) & (square > 0) & (power > 1e-20 * max(target @ target, 1e-300))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(good, np.clip(cross / np.sqrt(rest * power), -1, 1), np.nan)
