"""Example galaxies of a feature: the strongest, typical ones, those that barely made it, those it gets wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfnet_core.analysis.activation_index import ActivationIndex

__all__ = ["COUNT", "Group", "examples", "gaps", "random_active"]

COUNT = 8  # galaxies in a group


@dataclass(frozen=True)
class Group:
    """One row of examples: rows of the codes, the feature's activation on each, and what to say under each."""

    key: str
    title: str
    hint: str
    rows: np.ndarray
    activations: np.ndarray
    captions: list[str]
    empty: str = ""  # why there are none


def examples(index: ActivationIndex, feature: int, residual: np.ndarray, seed: int, count: int = COUNT) -> list[Group]:
    """The five groups of example galaxies of a feature.

    Parameters
    ----------
    index
        The galaxies in view.
    feature
        Its number.
    residual
        (n,) prediction − truth of the galaxies in view, NaN where unknown.
    seed
        Draw of the random group.
    count
        Galaxies in a group, at most.

    Returns
    -------
    list[Group]
        The strongest, those evenly spaced in rank, random ones, those nearest to the gate, those with opposing
        residuals.
    """
    position, activation = index.of(feature)
    strongest = np.argsort(-activation, kind="stable")

    def group(
        key: str, title: str, hint: str, pick: np.ndarray, captions: list[str] | None = None, empty: str = ""
    ) -> Group:
        a = activation[pick]
        return Group(key, title, hint, index.rows[position[pick]], a, captions or [f"{v:.2f}" for v in a], empty)

    fires = len(activation)
    spread = ((np.arange(count) + 0.5) / count * fires).astype(int) if fires > count else np.arange(fires)
    shares = [f"{100 * (1 - (rank + 0.5) / fires):.0f} %" for rank in spread]
    evenly = "evenly spaced in rank where it fires; percentile of the activation below"
    drawn = random_active(fires, feature, seed, count)
    return [
        group("top", "Top", "strongest activation", strongest[:count]),
        group("quantile", "By quantile", evenly, strongest[spread], shares),
        group("random", "Random active", "drawn evenly from where it fires", drawn),
        near_gate(index, feature, count),
        opposing(group, residual[position], count),
    ]


def random_active(fires: int, feature: int, seed: int, count: int = COUNT) -> np.ndarray:
    """A draw without replacement from ``fires`` galaxies, the same for the same feature and seed."""
    return np.random.default_rng([seed, feature]).choice(fires, min(count, fires), replace=False)


def gaps(index: ActivationIndex, feature: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How close the feature is to the gate: ``(kept, gap, out, gap)``, the last in and the first out.

    Positions and the difference of the k-th and (k+1)-th activations; without runners-up there is no gate to see.
    """
    codes, k = index.codes, index.codes.k
    none = np.empty(0, dtype=np.int64), np.empty(0)
    if codes.indices.shape[1] <= k or index.n == 0:
        return *none, *none
    last, first, gap = index.gate
    kept, out = np.flatnonzero(last == feature), np.flatnonzero(first == feature)
    return kept, gap[kept], out, gap[out]


def near_gate(index: ActivationIndex, feature: int, count: int) -> Group:
    """Half that passed the gate by the least, half that missed it by the least."""
    codes, k = index.codes, index.codes.k
    kept, inside, out, outside = gaps(index, feature)
    inner = np.argsort(inside, kind="stable")[: count // 2]
    outer = np.argsort(outside, kind="stable")[: count // 2]
    rows = index.rows[np.concatenate([kept[inner], out[outer]]).astype(int)]
    slots = np.array([k - 1] * len(inner) + [k] * len(outer), dtype=int)
    captions = [f"in by {g:.3f}" for g in inside[inner]] + [f"out by {g:.3f}" for g in outside[outer]]
    empty = "no runners-up in these codes" if codes.indices.shape[1] <= k else "never the last in nor the first out"
    hint = "passed the gate by least, and missed it by least (activation difference)"
    return Group("gate", "Near the gate", hint, rows, codes.values[rows, slots].astype(float), captions, empty)


def opposing(group, residual: np.ndarray, count: int) -> Group:
    """Half of the galaxies where it fires that are predicted too low, half too high, the worst outermost."""
    known = np.flatnonzero(np.isfinite(residual))
    ranked = known[np.argsort(residual[known], kind="stable")]
    low = ranked[residual[ranked] < 0][: count // 2]
    high = ranked[residual[ranked] > 0][::-1][: count // 2][::-1]
    pick = np.concatenate([low, high]).astype(int)
    captions = [f"{v:+.2f}".replace("-", "\N{MINUS SIGN}") for v in residual[pick]]
    hint = "where it fires: predicted too low, and too high (predicted − true)"
    return group(
        "residual", "Opposing residuals", hint, pick, captions, "no true values for the galaxies where it fires"
    )
