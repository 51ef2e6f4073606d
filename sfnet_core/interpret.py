"""What the features do: contributions, predictions with features off, and what each feature says about the target.

All of it is arithmetic on codes: y = b + Σ_j w_j a_j over the kept features, for every galaxy at once. A *contribution*
is w_j a_j in the target's unit. *Ablate* leaves a feature out and keeps the other k − 1; *refill* gives its place to
the strongest feature that is still on, which is what the network's own gate would do without that feature.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes import SparseCodes

__all__ = [
    "Counterfactual",
    "activations",
    "contributions",
    "feature_table",
    "predict",
    "predict_by_k",
    "refill_exact",
    "round_to_sum",
    "surviving_slots",
    "top_galaxies",
]

MODES = ("ablate", "refill")


def contributions(codes: SparseCodes, target: int | str = 0) -> np.ndarray:
    """(N, k) float64, weight × activation of the kept features in the target's unit; empty slots contribute 0."""
    return _slot_contributions(codes, codes.target_index(target))[: codes.k].T


def activations(codes: SparseCodes, feature: int) -> np.ndarray:
    """(N,) float32: the activation of one feature after the gate, 0 where it is not kept."""
    feature = _feature(codes, feature)
    found = np.zeros(len(codes), dtype=np.float32)
    for slot in range(codes.k):
        here = codes.indices[:, slot] == feature
        found[here] = codes.values[here, slot]
    return found


def top_galaxies(codes: SparseCodes, feature: int, n: int) -> np.ndarray:
    """Up to ``n`` rows by falling activation of a feature, only those on which it is kept; ties: the earlier row."""
    found = activations(codes, feature)
    rows = np.flatnonzero(found > 0)
    return rows[np.argsort(-found[rows], kind="stable")][: max(int(n), 0)]


def surviving_slots(codes: SparseCodes, row: int, off: Collection[int] = (), mode: str = "ablate") -> np.ndarray:
    """The slots of one galaxy that make its prediction with the features in ``off`` off; strongest first."""
    _mode(mode)
    indices = codes.indices[row] if mode == "refill" else codes.indices[row, : codes.k]
    alive = (indices >= 0) & ~_off_table(codes, off)[indices]
    return np.flatnonzero(alive)[: codes.k]


def predict(
    codes: SparseCodes,
    *,
    off: Collection[int] = frozenset(),
    mode: str = "ablate",
    k: int | None = None,
    target: int | str = 0,
) -> np.ndarray:
    """(N,) float64: bias + Σ contributions of the features that survive, with those in ``off`` switched off.

    ``k`` (default: the network's own) may be any from 1 to k + r: the same head behind another gate. ``refill`` is
    exact where :func:`refill_exact` says so; elsewhere the stored runners-up did not suffice and places stayed empty.
    """
    _mode(mode)
    k = codes.k if k is None else int(k)
    if not 1 <= k <= codes.indices.shape[1]:
        raise SFNetError(f"k = {k} is outside 1 to {codes.indices.shape[1]}, the activations stored per galaxy.")
    t = codes.target_index(target)
    alive = ~_off_table(codes, off)[codes.indices.T]
    return _sum(_slot_contributions(codes, t), alive, k, mode, codes.bias[t])


def predict_by_k(
    codes: SparseCodes, *, off: Collection[int] = frozenset(), mode: str = "ablate", target: int | str = 0
) -> Iterator[np.ndarray]:
    """:func:`predict` for k = 1, 2, …, k + r in turn, in one pass over the codes.

    Each array (N,) is a new one and equals ``predict(codes, k=k, …)`` to float rounding: ablate adds the next slot's
    contribution where its feature is on, refill the contribution of the next feature that is on.
    """
    _mode(mode)
    t = codes.target_index(target)
    terms = _slot_contributions(codes, t)  # (k+r, N)
    alive = (codes.indices.T >= 0) & ~_off_table(codes, off)[codes.indices.T]
    if mode == "refill":  # move each galaxy's surviving contributions to the front, in order
        order = np.argsort(~alive, axis=0, kind="stable")
        terms, alive = np.take_along_axis(terms, order, axis=0), np.take_along_axis(alive, order, axis=0)
    total = np.full(len(codes), codes.bias[t])
    for term, here in zip(terms, alive, strict=True):
        total = total + term * here
        yield total


def refill_exact(codes: SparseCodes, off: Collection[int]) -> np.ndarray:
    """(N,) bool: where refill has as many activations as it needs.

    That is where k of the stored features are on, or where an activation of 0 is reached (all further ones are 0 too).
    """
    table = _off_table(codes, off)
    enough = (~table[codes.indices] & (codes.indices >= 0)).sum(axis=1) >= codes.k
    return enough | (codes.indices[:, -1] < 0) | (codes.indices.shape[1] >= codes.features)


class Counterfactual:
    """Predictions for any set of features off, fast from one set to the next.

    An index of where each feature occurs (rows and slots, as in a compressed sparse column matrix) confines the work to
    the galaxies that a change touches. Those are summed anew from their contributions, never adjusted by a difference,
    so the result equals :func:`predict` bit for bit however many toggles came before.
    """

    def __init__(self, codes: SparseCodes, target: int | str = 0) -> None:
        self.codes, self.target = codes, codes.target_index(target)
        self._terms = _slot_contributions(codes, self.target)
        self._alive = np.ones(self._terms.shape, dtype=bool)
        self._off: frozenset[int] = frozenset()
        self._last: dict[str, tuple[frozenset[int], np.ndarray]] = {}
        flat = codes.indices.T.ravel()  # slot-major: position = slot * N + row
        self._order = np.argsort(flat, kind="stable")
        self._start = np.searchsorted(flat[self._order], np.arange(codes.features + 1))

    def _positions(self, feature: int) -> np.ndarray:
        return self._order[self._start[feature] : self._start[feature + 1]]

    def prediction(self, off: Collection[int] = frozenset(), mode: str = "ablate") -> np.ndarray:
        """(N,) float64, a new array: as :func:`predict` with ``off`` and ``mode``."""
        _mode(mode)
        codes, n = self.codes, len(self.codes)
        off = frozenset(_feature(codes, feature) for feature in off)
        for feature in off ^ self._off:
            self._alive.reshape(-1)[self._positions(feature)] = feature not in off
        self._off = off
        limit = n * (codes.k if mode == "ablate" else codes.indices.shape[1])  # ablate never looks at runners-up
        before, values = self._last.get(mode, (None, np.empty(0)))
        if before is None:
            values = self._all(mode)
        elif before != off:
            touched = [p[: np.searchsorted(p, limit)] for p in map(self._positions, off ^ before)]
            if sum(map(len, touched)) > n // 8:  # a gather costs more than going through all of them in order
                values = self._all(mode)
            else:
                rows = np.unique(np.concatenate(touched) % n) if n else np.empty(0, dtype=np.int64)
                values[rows] = _sum(self._terms, self._alive, codes.k, mode, codes.bias[self.target], rows)
        self._last[mode] = off, values
        return values.copy()

    def _all(self, mode: str) -> np.ndarray:
        return _sum(self._terms, self._alive, self.codes.k, mode, self.codes.bias[self.target])


def feature_table(
    codes: SparseCodes,
    rows: np.ndarray | None = None,
    target: int | str = 0,
    controls: Sequence[str] | None = None,
) -> dict[str, np.ndarray]:
    """One entry per active feature of the chosen galaxies, ranked by mean |contribution| over all of them.

    Keys: ``feature``; ``fires`` (galaxies that keep it) and ``rate``; ``weight``; ``mean_abs`` (mean |contribution|,
    all galaxies) and ``share`` of the sum over features; ``mean``, ``std`` of the contribution over all galaxies and
    ``mean_fires``, ``std_fires`` where it fires; ``pearson`` of activation and true target over all galaxies with a
    known target (0 where the feature is silent), ``pearson_fires`` where it fires; ``partial``: the same correlation at
    fixed ``controls`` (names of catalogue columns; residuals of linear regressions), NaN without controls. Correlations
    over fewer than 3 galaxies, or of a constant, are NaN. Ties in rank: the lower feature first.
    """
    t = codes.target_index(target)
    part = codes if rows is None else codes.take(rows)
    n, k, size = len(part), part.k, part.features
    kept = part.indices[:, :k]
    row, slot = np.nonzero(kept >= 0)
    feature, activation = kept[row, slot].astype(np.int64), part.values[row, slot].astype(np.float64)
    term = part.weight[t][feature] * activation

    def per_feature(weights: np.ndarray | None = None, where: np.ndarray | slice = slice(None)) -> np.ndarray:
        return np.bincount(feature[where], None if weights is None else weights[where], minlength=size)

    fires = per_feature()
    with np.errstate(invalid="ignore", divide="ignore"):
        total, absolute = per_feature(term), per_feature(np.abs(term))
        mean, mean_fires = total / max(n, 1), total / fires
        inside = per_feature((term - mean_fires[feature]) ** 2)  # Σ (c − mean where it fires)²
        std = np.sqrt((inside + fires * (mean_fires - mean) ** 2 + (n - fires) * mean**2) / max(n, 1))
        std_fires, everything = np.sqrt(inside / fires), absolute.sum()
    truth = part.truth(t)
    known = np.isfinite(truth)
    basis = [np.ones(n)]
    everywhere, fixed = known, known.copy()
    for name in controls or ():
        column = np.asarray(part.column(name))
        if column.dtype.kind not in "biuf":
            raise SFNetError(f"The column {name!r} holds text; only numbers can be held fixed.")
        basis.append(column.astype(np.float64))
        fixed &= np.isfinite(basis[-1])
    entries = row, feature, activation, size
    found = {
        "feature": np.arange(size),
        "fires": fires,
        "rate": fires / max(n, 1),
        "weight": part.weight[t],
        "mean_abs": absolute / max(n, 1),
        "share": absolute / everything if everything > 0 else np.zeros(size),
        "mean": mean,
        "std": std,
        "mean_fires": mean_fires,
        "std_fires": std_fires,
        "pearson": _correlation(entries, truth, everywhere, basis[:1]),
        "pearson_fires": _correlation_where_fires(entries, truth, everywhere),
        "partial": _correlation(entries, truth, fixed, basis) if controls else np.full(size, np.nan),
    }
    order = np.argsort(-found["mean_abs"], kind="stable")
    order = order[fires[order] > 0]
    return {name: array[order] for name, array in found.items()}


def round_to_sum(terms: Sequence[float], total: float, digits: int) -> list[str]:
    """Texts of ``terms`` with ``digits`` decimals whose sum is exactly the text of ``total`` with as many.

    The largest remainder method: every term is rounded down or up, up where most was cut off; each text is less than
    one unit of the last digit from its term. Raises :class:`SFNetError` when the terms do not sum to ``total``.
    """
    if not all(np.isfinite([*terms, total])):
        raise SFNetError("Terms and total must be finite numbers to be written as a sum.")
    with localcontext(prec=1100):  # every double and its sums, exactly
        exact, sought = [Decimal(float(term)) for term in terms], Decimal(float(total))
        scaled = [term.scaleb(digits) for term in exact]
        units = [int(term.to_integral_value("ROUND_FLOOR")) for term in scaled]
        spare = int(Decimal(f"{float(total):.{digits}f}").scaleb(digits)) - sum(units)
        off = abs(sum(exact) - sought)
        if off > Decimal("0.5").scaleb(-digits) or not 0 <= spare <= len(units):
            raise SFNetError(f"The terms sum to {float(sum(exact))!r}, not to the total {float(total)!r}.")
        for i in sorted(range(len(units)), key=lambda i: units[i] - scaled[i])[:spare]:
            units[i] += 1
        return [f"{Decimal(unit).scaleb(-digits):.{digits}f}" for unit in units]


def _slot_contributions(codes: SparseCodes, target: int) -> np.ndarray:
    """(k+r, N) float64: slot-major, so that a slot of all galaxies is one run of memory."""
    weight = np.append(codes.weight[target], 0.0)  # an empty slot's index -1 finds the 0
    return weight[codes.indices.T] * codes.values.T


def _sum(
    terms: np.ndarray, alive: np.ndarray, k: int, mode: str, bias: float, rows: np.ndarray | slice | None = None
) -> np.ndarray:
    """bias + Σ over surviving slots, slot by slot in their order: the same sum for one galaxy or all of them."""
    pick = slice(None) if rows is None else rows
    n = terms.shape[1] if rows is None else len(rows)
    total = np.full(n, bias)
    if mode == "ablate":
        for slot in range(k):
            total += terms[slot][pick] * alive[slot][pick]
        return total
    taken = np.zeros(n, dtype=np.int16)
    for slot in range(len(terms)):
        use = alive[slot][pick] if slot < k else alive[slot][pick] & (taken < k)
        total += terms[slot][pick] * use
        taken += use
        if slot >= k - 1 and (taken >= k).all():
            break
    return total


def _correlation(
    entries: tuple[np.ndarray, np.ndarray, np.ndarray, int], y: np.ndarray, use: np.ndarray, basis: list[np.ndarray]
) -> np.ndarray:
    """(F,) correlation of each feature's activation with ``y`` over the rows in ``use``, both freed of ``basis``.

    The activations stay sparse: with Q an orthonormal basis of the controls, Σ a_r² = Σ a² − |Qᵀa|² and
    Σ a_r y_r = Σ a y_r.
    """
    row, feature, activation, size = entries
    if use.sum() < len(basis) + 2:
        return np.full(size, np.nan)
    design = np.stack([column[use] for column in basis], axis=1)
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


def _correlation_where_fires(
    entries: tuple[np.ndarray, np.ndarray, np.ndarray, int], y: np.ndarray, use: np.ndarray
) -> np.ndarray:
    """(F,) Pearson correlation of activation and ``y`` over the galaxies on which the feature fires."""
    row, feature, activation, size = entries
    here = use[row]
    feature, a, y = feature[here], activation[here], y[row[here]]
    count = np.bincount(feature, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = a - (np.bincount(feature, a, minlength=size) / count)[feature]
        y = y - (np.bincount(feature, y, minlength=size) / count)[feature]
        aa, yy = (np.bincount(feature, v * v, minlength=size) for v in (a, y))
        found = np.bincount(feature, a * y, minlength=size) / np.sqrt(aa * yy)
    return np.where((count >= 3) & np.isfinite(found), np.clip(found, -1, 1), np.nan)


def _mode(mode: str) -> None:
    if mode not in MODES:
        raise SFNetError(f"The mode is `ablate` or `refill`, not {mode!r}.")


def _feature(codes: SparseCodes, feature: int) -> int:
    if isinstance(feature, bool) or int(feature) != feature or not 0 <= feature < codes.features:
        raise SFNetError(f"There is no feature {feature!r}; they are numbered 0 to {codes.features - 1}.")
    return int(feature)


def _off_table(codes: SparseCodes, off: Collection[int]) -> np.ndarray:
    """(F + 1,) bool; the last entry answers for index -1, an empty slot, which is never off."""
    table = np.zeros(codes.features + 1, dtype=bool)
    table[[_feature(codes, feature) for feature in off]] = True
    return table
