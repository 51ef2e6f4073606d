"""Sums over the codes, a block of galaxies at a time: fast in the processor's cache, and never an (N, k + r) copy.

A prediction is always the same sum in the same order, bias first and then slot by slot, for one galaxy or for all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = [
    *(
        "Part",
        "ResidualSums",
        "activations",
        "blocks",
        "check_feature",
        "mean_contributions",
        "off_table",
        "predictions",
    ),
    *("residual_sums", "squares", "squares_by_k"),
]

BLOCK = 1 << 14


def check_feature(codes: SparseCodes | Part, feature: int) -> int:
    """The feature's number; :class:`SFNetError` where there is no such feature."""
    if isinstance(feature, bool) or int(feature) != feature or not 0 <= feature < codes.features:
        raise SFNetError(f"There is no feature {feature!r}; they are numbered 0 to {codes.features - 1}.")
    return int(feature)


def off_table(codes: SparseCodes | Part, off: Collection[int]) -> np.ndarray:
    """(F + 1,) bool; the last entry answers for index -1, an empty slot, which is never off."""
    table = np.zeros(codes.features + 1, dtype=bool)
    table[[check_feature(codes, feature) for feature in off]] = True
    return table


def activations(codes: SparseCodes, feature: int) -> np.ndarray:
    """(N,) float32: the activation of one feature after the gate, 0 where it is not kept."""
    feature = check_feature(codes, feature)
    found = np.zeros(len(codes), dtype=np.float32)
    for slot in range(codes.k):
        here = codes.indices[:, slot] == feature
        found[here] = codes.values[here, slot]
    return found


@dataclass(frozen=True)
class Part:
    """What the sums need of some of the codes: the rest of a :class:`SparseCodes` is left where it is."""

    k: int
    features: int
    weight: np.ndarray
    bias: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


def squares(values: np.ndarray) -> float:
    """Σ value²; not by BLAS, whose threads wait for each other where other sessions keep the processor busy."""
    return float(np.square(values).sum())


def blocks(codes: SparseCodes | Part, rows: np.ndarray | None = None) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """(places in the answer, indices, values) of some galaxies at a time, all of them or those in ``rows``."""
    n = len(codes) if rows is None else len(rows)
    for start in range(0, n, BLOCK):
        place = slice(start, min(start + BLOCK, n))
        which = place if rows is None else rows[place]
        yield place, codes.indices[which], codes.values[which]


def predictions(
    codes: SparseCodes | Part,
    target: int,
    off: Collection[int] = (),
    mode: str = "ablate",
    k: int | None = None,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Predictions without some features; :func:`sfnet_core.analysis.interpret.predict` says what the modes are.

    Parameters
    ----------
    codes
        The codes, or a part of them.
    target : int
        Position of the target.
    off : collection of int
        Features that are off.
    mode : {"ablate", "refill"}
        Leave their places empty, or give them to the strongest runners-up.
    k : int, optional
        Of the gate; by default the codes' own.
    rows : (n,) int, optional
        Galaxies; by default all.

    Returns
    -------
    (n,) float64
        In the target's unit.
    """
    k = codes.k if k is None else k
    table = off_table(codes, off)
    weight = np.append(codes.weight[target], 0.0)  # an empty slot's index -1 finds the 0
    ablated = np.where(table, 0.0, weight)
    out = np.empty(len(codes) if rows is None else len(rows))
    for place, indices, values in blocks(codes, rows):
        total = out[place]
        total[:] = codes.bias[target]
        if mode == "ablate" or not len(off):
            for slot in range(k):
                total += ablated[indices[:, slot]] * values[:, slot]
            continue
        taken = np.zeros(len(total), dtype=np.int16)
        for slot in range(indices.shape[1]):
            index = indices[:, slot]
            use = ~table[index]
            if slot >= k:
                use &= taken < k
            total += weight[index] * values[:, slot] * use
            taken += use
            if slot >= k - 1 and (taken >= k).all():
                break
    return out


def mean_contributions(codes: SparseCodes | Part, target: int, rows: np.ndarray | None = None) -> np.ndarray:
    """Each galaxy's mean of the contributions that the gate keeps, and of their squares; 0 of none.

    What leaving out one of them, drawn at random, is expected to take from the prediction.

    Parameters
    ----------
    codes, target, rows
        As in :func:`predictions`.

    Returns
    -------
    (2, n) float64
        In the target's unit, and its square.
    """
    weight = np.append(codes.weight[target], 0.0)
    out = np.zeros((2, len(codes) if rows is None else len(rows)))
    for place, indices, values in blocks(codes, rows):
        for slot in range(codes.k):
            term = weight[indices[:, slot]] * values[:, slot]
            out[0, place] += term
            out[1, place] += term * term
        out[:, place] /= np.maximum(np.count_nonzero(indices[:, : codes.k] >= 0, axis=1), 1)
    return out


def squares_by_k(
    codes: SparseCodes | Part,
    truth: np.ndarray,
    rows: np.ndarray | None,
    off: Collection[int],
    mode: str,
    target: int,
) -> np.ndarray:
    """Squared errors behind every gate.

    Parameters
    ----------
    codes, rows, off, mode, target
        As in :func:`predictions`.
    truth : (n,) float64
        Of the galaxies in ``rows``, in the target's unit.

    Returns
    -------
    (k + r,) float64
        Σ (prediction − truth)² behind a gate of 1, 2, …, k + r.
    """
    table, weight = off_table(codes, off), np.append(codes.weight[target], 0.0)
    weight_on = np.where(table, 0.0, weight)
    found = np.zeros(codes.indices.shape[1])
    for place, indices, values in blocks(codes, rows):
        n, slots = indices.shape
        terms = np.empty((slots, n))
        for slot in range(slots):
            np.multiply(weight_on[indices[:, slot]], values[:, slot], out=terms[slot])
        if mode == "refill" and len(off):  # each galaxy's surviving contributions move to the front, in order
            moved, column, taken = np.zeros(slots * n), np.arange(n), np.zeros(n, dtype=np.int64)
            for slot in range(slots):
                moved[taken * n + column] = terms[slot]  # one that is off leaves a 0 that the next overwrites
                taken += ~table[indices[:, slot]]
            terms = moved.reshape(slots, n)
        error = codes.bias[target] - truth[place]
        for slot in range(slots):
            error += terms[slot]
            found[slot] += squares(error)
    return found


class ResidualSums(NamedTuple):
    """What the error of a set of galaxies is made of, so that any features can be ablated without going through them.

    With r the residual (prediction − truth) with all features on and c_j the contribution of feature j, leaving out a
    set S gives Σ (r − Σ_S c_j)² = Σ r² − 2 Σ_S Σ r c_j + Σ_S Σ_S Σ c_i c_j. Sums of r are over galaxies with a true
    value, in the target's unit squared; ``shift`` over all.
    """

    n: int  # galaxies with a true value
    in_view: int
    squares: float  # Σ r²
    spread: float  # Σ (truth − mean truth)²
    feature: np.ndarray  # (A,) features kept on any of the galaxies
    shift: np.ndarray  # (A,) Σ c_j
    cross: np.ndarray  # (A,) Σ r c_j
    gram: np.ndarray  # (A, A) Σ c_i c_j

    def ablate(self, off: Collection[int]) -> tuple[float, float] | None:
        """(Σ residual², mean change of the prediction over all galaxies) without the features in ``off``.

        ``None`` where the sums cancel so far that fewer than about nine digits would be left.
        """
        which = np.flatnonzero(np.isin(self.feature, list(off)))
        cross, gram = self.cross[which].sum(), self.gram[np.ix_(which, which)].sum()
        found = self.squares - 2 * cross + gram
        if not found > 1e-6 * (self.squares + 2 * abs(cross) + abs(gram)):
            return None
        return float(found), float(-self.shift[which].sum() / max(self.in_view, 1))

    def pack(self) -> np.ndarray:
        """All of it as one float64 array, for a file."""
        numbers = [self.n, self.in_view, self.squares, self.spread]
        return np.concatenate([numbers, self.feature, self.shift, self.cross, self.gram.ravel()])

    @classmethod
    def unpack(cls, packed: np.ndarray) -> ResidualSums:
        """The inverse of :meth:`pack`."""
        a = round(np.sqrt(len(packed) - 4 + 2.25) - 1.5)  # 4 + 3 a + a² numbers
        feature, shift, cross, gram = np.split(packed[4:], [a, 2 * a, 3 * a])
        n, in_view = int(packed[0]), int(packed[1])
        squares, spread = float(packed[2]), float(packed[3])
        return cls(n, in_view, squares, spread, feature.astype(np.int64), shift, cross, gram.reshape(a, a))


def residual_sums(codes: SparseCodes, target: int, rows: np.ndarray | None = None) -> ResidualSums:
    """:class:`ResidualSums` of all galaxies, or of those in ``rows``."""
    truth = codes.truth(target)
    fires = np.zeros(codes.features + 1, dtype=np.int64)
    n, total = 0, 0.0
    for place, indices, _ in blocks(codes, rows):
        fires += np.bincount(indices[:, : codes.k].ravel().astype(np.int64) + 1, minlength=codes.features + 1)
        y = truth[place if rows is None else rows[place]]
        known = np.isfinite(y)
        n, total = n + int(known.sum()), total + float(y[known].sum())
    feature = np.flatnonzero(fires[1:])
    a = len(feature)
    where = np.full(codes.features + 1, a)  # an empty slot counts at a, which is cut off
    where[feature] = np.arange(a)
    weight = np.append(codes.weight[target], 0.0)
    shift, cross, gram = np.zeros(a + 1), np.zeros(a + 1), np.zeros((a + 1) * (a + 1))
    total_squares = spread = 0.0
    for place, indices, values in blocks(codes, rows):
        y = truth[place if rows is None else rows[place]]
        spot = [where[indices[:, slot]] for slot in range(codes.k)]
        term = [weight[indices[:, slot]] * values[:, slot] for slot in range(codes.k)]
        error = codes.bias[target] - y
        for one in term:
            error += one
        known = np.isfinite(y)
        error[~known] = 0.0
        total_squares += squares(error)
        spread += float(((y[known] - total / max(n, 1)) ** 2).sum())
        for slot in range(codes.k):
            shift += np.bincount(spot[slot], term[slot], a + 1)
            cross += np.bincount(spot[slot], term[slot] * error, a + 1)
            seen = np.where(known, term[slot], 0.0)
            for other in range(slot + 1):
                pair = spot[slot] * (a + 1) + spot[other]
                gram += np.bincount(pair, seen * term[other] * (0.5 if other == slot else 1.0), (a + 1) * (a + 1))
    gram = gram.reshape(a + 1, a + 1)[:a, :a]
    in_view = len(codes) if rows is None else len(rows)
    return ResidualSums(n, in_view, total_squares, spread, feature, shift[:a], cross[:a], gram + gram.T)
