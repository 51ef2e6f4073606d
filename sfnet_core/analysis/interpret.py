"""What the features do: contributions, predictions with features off, and what each feature says about the target.

All of it is arithmetic on codes: y = b + Σ_j w_j a_j over the kept features, for every galaxy at once. A *contribution*
is w_j a_j in the target's unit. *Ablate* leaves a feature out and keeps the other k − 1; *refill* gives its place to
the strongest feature that is still on, which is what the network's own gate would do without that feature.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal, localcontext
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.feature_tables import feature_table, lost_without
from sfnet_core.codes.feature_index import FeatureIndex
from sfnet_core.codes.sums import activations, check_feature, off_table, predictions
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = [
    "Counterfactual",
    "activations",
    "contributions",
    "feature_table",
    "lost_without",
    "predict",
    "predict_by_k",
    "refill_exact",
    "round_to_sum",
    "surviving_slots",
    "top_galaxies",
    "trained_for",
    "trained_for_text",
]

MODES = ("ablate", "refill")
FEW = 8  # a toggle that touches fewer than 1/FEW of the galaxies is done on those alone


def contributions(codes: SparseCodes, target: int | str = 0) -> np.ndarray:
    """Weight × activation of the features that the gate keeps.

    Parameters
    ----------
    codes
        The galaxies.
    target
        Its name or number.

    Returns
    -------
    np.ndarray
        (N, k) float64 in the target's unit; an empty slot contributes 0.
    """
    return _slot_contributions(codes, codes.target_index(target))[: codes.k].T


def top_galaxies(codes: SparseCodes, feature: int, n: int) -> np.ndarray:
    """The galaxies on which a feature is strongest.

    Parameters
    ----------
    codes
        The galaxies.
    feature
        Its number.
    n
        How many at most.

    Returns
    -------
    np.ndarray
        (≤ n,) rows by falling activation, only those on which the feature is kept; ties: the earlier row.
    """
    found = activations(codes, feature)
    rows = np.flatnonzero(found > 0)
    return rows[np.argsort(-found[rows], kind="stable")][: max(int(n), 0)]


def surviving_slots(codes: SparseCodes, row: int, off: Collection[int] = (), mode: str = "ablate") -> np.ndarray:
    """The slots of one galaxy that make its prediction with some features off.

    Parameters
    ----------
    codes
        The galaxies.
    row
        The galaxy.
    off
        Features that are off.
    mode
        ``ablate`` or ``refill``, see the module.

    Returns
    -------
    np.ndarray
        (≤ k,) slots, strongest first.
    """
    _mode(mode)
    indices = codes.indices[row] if mode == "refill" else codes.indices[row, : codes.k]
    alive = (indices >= 0) & ~off_table(codes, off)[indices]
    return np.flatnonzero(alive)[: codes.k]


def predict(
    codes: SparseCodes,
    *,
    off: Collection[int] = frozenset(),
    mode: str = "ablate",
    k: int | None = None,
    target: int | str = 0,
) -> np.ndarray:
    """Predictions with features off or behind another gate: bias + Σ contributions of the features that survive.

    Parameters
    ----------
    codes
        The galaxies.
    off
        Features that are off.
    mode
        ``ablate`` or ``refill``. Refill is exact where :func:`refill_exact` says so; elsewhere the stored runners-up
        did not suffice and places stayed empty.
    k
        How many features the gate keeps, from 1 to k + r; by default the network's own. The head stays the same.
    target
        Its name or number.

    Returns
    -------
    np.ndarray
        (N,) float64 in the target's unit.

    Raises
    ------
    SFNetError
        ``k`` is outside what the codes hold, or there is no such mode, feature or target.
    """
    _mode(mode)
    k = codes.k if k is None else int(k)
    if not 1 <= k <= codes.indices.shape[1]:
        raise SFNetError(f"k = {k} is outside 1 to {codes.indices.shape[1]}, the activations stored per galaxy.")
    return predictions(codes, codes.target_index(target), off, mode, k)


def trained_for(codes: SparseCodes) -> range:
    """Every k that the weights were trained for: the network's own, or 1 … multi_k where it had several at once."""
    most = codes.provenance.get("multi_k")
    return range(1, most + 1) if isinstance(most, int) and most >= codes.k else range(codes.k, codes.k + 1)


def trained_for_text(codes: SparseCodes) -> str:
    """'trained at k = 4' or 'trained for k = 1 to 12'."""
    ks = trained_for(codes)
    return f"trained at k = {ks[0]}" if len(ks) == 1 else f"trained for k = {ks[0]} to {ks[-1]}"


def predict_by_k(
    codes: SparseCodes, *, off: Collection[int] = frozenset(), mode: str = "ablate", target: int | str = 0
) -> Iterator[np.ndarray]:
    """:func:`predict` for k = 1, 2, …, k + r in turn, in one pass over the codes.

    Ablate adds the next slot's contribution where its feature is on, refill the contribution of the next feature that
    is on.

    Parameters
    ----------
    codes, off, mode, target
        As of :func:`predict`.

    Yields
    ------
    np.ndarray
        (N,) float64, a new array each, equal to ``predict(codes, k=k, …)`` to float rounding.
    """
    _mode(mode)
    t = codes.target_index(target)
    terms = _slot_contributions(codes, t)  # (k+r, N)
    alive = (codes.indices.T >= 0) & ~off_table(codes, off)[codes.indices.T]
    if mode == "refill":  # move each galaxy's surviving contributions to the front, in order
        order = np.argsort(~alive, axis=0, kind="stable")
        terms, alive = np.take_along_axis(terms, order, axis=0), np.take_along_axis(alive, order, axis=0)
    total = np.full(len(codes), codes.bias[t])
    for term, here in zip(terms, alive, strict=True):
        total = total + term * here
        yield total


def refill_exact(codes: SparseCodes, off: Collection[int]) -> np.ndarray:
    """Where refill has as many activations as it needs.

    That is where k of the stored features are on, or where an activation of 0 is reached (all further ones are 0 too).

    Parameters
    ----------
    codes
        The galaxies.
    off
        Features that are off.

    Returns
    -------
    np.ndarray
        (N,) bool.
    """
    table = off_table(codes, off)
    enough = (~table[codes.indices] & (codes.indices >= 0)).sum(axis=1) >= codes.k
    return enough | (codes.indices[:, -1] < 0) | (codes.indices.shape[1] >= codes.features)


class Counterfactual:
    """Predictions for any set of features off, fast from one set to the next.

    An index of where each feature occurs confines the work to the galaxies that a change touches, where these are few.
    They are summed anew from their contributions, never adjusted by a difference, so the result equals :func:`predict`
    bit for bit however many toggles came before.
    """

    def __init__(self, codes: SparseCodes, target: int | str = 0) -> None:
        self.codes, self.target = codes, codes.target_index(target)
        self._index = FeatureIndex(codes)
        self._last: dict[str, tuple[frozenset[int], np.ndarray]] = {}

    @cached_property
    def all_on(self) -> np.ndarray:
        """(N,) float64, read-only, with all features on."""
        name = f"prediction-{self.target}-k{self.codes.k}"
        found = self.codes.derived(name, lambda: predictions(self.codes, self.target))
        found.flags.writeable = False
        return found

    def prediction(self, off: Collection[int] = frozenset(), mode: str = "ablate") -> np.ndarray:
        """(N,) float64, a new array: as :func:`predict` with ``off`` and ``mode``."""
        _mode(mode)
        off = frozenset(check_feature(self.codes, feature) for feature in off)
        if not off:
            return self.all_on.copy()
        before, values = self._last.get(mode, (frozenset(), None))
        if values is None or off != before:
            values = self._changed(before, values, off, mode)
            self._last[mode] = off, values
        return values.copy()

    def at(self, rows: np.ndarray, off: Collection[int] = frozenset(), mode: str = "ablate") -> np.ndarray:
        """(len(rows),) float64: the same of some galaxies, without the others."""
        _mode(mode)
        return self.all_on[rows] if not len(off) else predictions(self.codes, self.target, off, mode, rows=rows)

    def kept_on(self, feature: int) -> np.ndarray:
        """Rows of the galaxies whose gate keeps a feature, in no particular order."""
        return self._index.rows(feature, self.codes.k)

    def _changed(self, before: frozenset[int], values: np.ndarray | None, off: frozenset[int], mode: str) -> np.ndarray:
        """The predictions for ``off``, from those for ``before`` (all on, for ``None``) where few galaxies change."""
        codes, index = self.codes, self._index
        slots = codes.k if mode == "ablate" else codes.indices.shape[1]  # ablate never looks at runners-up
        touched = 0
        for feature in off ^ before:
            touched += index.count(feature, slots)
            if touched > len(codes) // FEW:  # a gather costs more than going through all of them in order
                return predictions(codes, self.target, off, mode)
        rows = np.unique(np.concatenate([index.rows(feature, slots) for feature in off ^ before]))
        values = self.all_on.copy() if values is None else values
        values[rows] = predictions(codes, self.target, off, mode, rows=rows)
        return values


def round_to_sum(terms: Sequence[float], total: float, digits: int) -> list[str]:
    """Texts of terms whose sum is exactly the text of their total.

    The largest remainder method: every term is rounded down or up, up where most was cut off; each text is less than
    one unit of the last digit from its term.

    Parameters
    ----------
    terms
        The numbers.
    total
        Their sum.
    digits
        Decimals of each text.

    Returns
    -------
    list[str]
        One text a term.

    Raises
    ------
    SFNetError
        The terms do not sum to the total, or one is not finite.
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


def _mode(mode: str) -> None:
    if mode not in MODES:
        raise SFNetError(f"The mode is `ablate` or `refill`, not {mode!r}.")
