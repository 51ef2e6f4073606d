"""What the features of one set of codes do, split by split: numbers, correlations at fixed mass, SFR and z, order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.activation_index import ActivationIndex
from sfnet_core.analysis.feature_tables import lost_without, partial_correlations, split_table
from sfnet_core.analysis.stability.summary import FeatureStability
from sfnet_core.astro.axis_labels import TARGET_LABELS
from sfnet_core.stats.proportions import wilson
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = [
    *("BINS", "CONTROLS", "SORTS", "Companions", "FeatureStatistics"),
    *("checked_view", "clear", "companions", "disagree", "order"),
]

ENOUGH = 5  # galaxies expected to fire together, below which a lift says nothing
BINS = 28  # bars of a card's histogram

# What is held fixed: column, its name on the page, and the values it may have. MPA-JHU marks what was not measured
# with large negative numbers; the cuts are the ones of Wu (2025).
CONTROLS = (
    ("lgm_tot_p50", "mass", lambda v: v > 0),
    ("sfr_tot_p50", "SFR", lambda v: v > -10),
    ("z", "z", lambda v: v > -0.01),
)


def _opposition(table: dict[str, np.ndarray]) -> np.ndarray:
    """|ρ| with a plus where weight and ρ disagree in sign, a minus where they agree; NaN where either says nothing."""
    return np.where(table["weight"] == 0, np.nan, -table["pearson"] * np.sign(table["weight"]))


# key → (label, sort value from the table)
SORTS = {
    "contribution": ("mean |contribution|", lambda t: t["mean_abs"]),
    "mean": ("mean contribution", lambda t: t["mean"]),
    "weight": ("weight", lambda t: t["weight"]),
    "rate": ("firing rate", lambda t: t["rate"]),
    "pearson": ("Pearson ρ", lambda t: t["pearson"]),
    "partial": ("partial correlation", lambda t: t["partial"]),
    "disagreement": ("ρ against weight", _opposition),
    "without": ("ΔRMSE without it", lambda t: t["without"]),
    "likeness": ("alike side by side", lambda t: t["likeness"]),
    "stability": ("stability", lambda t: t["stability"]),
    "feature": ("number", lambda t: t["feature"].astype(float)),
}  # fmt: skip


class FeatureStatistics:
    """What the pages and reports say of features, as arithmetic on the codes; remembers its answers.

    A split is named by its text, '' for all galaxies; a target by its number.

    Parameters
    ----------
    codes
        The galaxies and their features.
    stability
        How well the features are found again in other trainings, where it was measured.
    """

    def __init__(self, codes: SparseCodes, stability: FeatureStability | None = None):
        self.codes = codes
        self.stability = FeatureStability() if stability is None else stability
        self._memory: dict[tuple, object] = {}

    def remember(self, key: tuple, compute):
        """The answer for ``key``, computed once."""
        if key not in self._memory:
            self._memory[key] = compute()
        return self._memory[key]

    # -- the galaxies ------------------------------------------------------------------------------------------

    def rows(self, split: str) -> np.ndarray:
        """(n,) int32 rows of a split's galaxies, ascending."""

        def find() -> np.ndarray:
            found = np.flatnonzero(self.codes.in_split(split)) if split else np.arange(len(self.codes))
            return found.astype(np.int32)

        return self.remember(("rows", split), find)

    def truth(self, target: int) -> np.ndarray:
        """(N,) float64 in the target's unit, NaN where unknown."""
        return np.asarray(self.codes.truth(target), dtype=np.float64)

    def known(self, split: str, target: int) -> int:
        """How many galaxies of a split have a true value."""
        return int(np.isfinite(self.truth(target)[self.rows(split)]).sum())

    def target_label(self, target: int) -> str:
        """The target as astronomers write it."""
        name = self.codes.targets[target]
        return TARGET_LABELS.get(name, name)

    def unit(self, target: int) -> str:
        """The unit of a target, as text ('dex')."""
        return self.codes.units[self.codes.targets[target]]

    def column(self, name: str) -> np.ndarray:
        """(N,) float64 of a numeric column, RA and Dec among them; NaN where unknown."""
        return np.asarray(self.codes.column(name), dtype=np.float64)

    def numeric_columns(self) -> list[str]:
        """Catalogue columns that hold numbers (RA and Dec too, where known)."""
        codes = self.codes
        names = [name for name in codes.columns if codes.is_numeric(name)]
        return names + [name for name in ("ra", "dec") if getattr(codes, name) is not None and name not in names]

    # -- the features ------------------------------------------------------------------------------------------

    def sorts(self) -> dict[str, str]:
        """Key → name of what the features can be sorted by."""
        return {key: name for key, (name, _) in SORTS.items() if key != "stability" or self.stability}

    def index(self, split: str) -> ActivationIndex:
        """On which galaxies of a split each feature fires."""
        return self.remember(("index", split), lambda: ActivationIndex(self.codes, self.rows(split)))

    def activation(self, feature: int, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) float64: a feature's activation after the gate on some galaxies, 0 where it does not fire."""
        codes, k = self.codes, self.codes.k
        return np.where(codes.indices[rows, :k] == feature, codes.values[rows, :k], 0).sum(axis=1, dtype=np.float64)

    def fires_on(self, feature: int) -> int:
        """On how many galaxies of all splits a feature fires."""
        return int((self.codes.indices[:, : self.codes.k] == feature).sum())

    def controls(self) -> dict[str, np.ndarray]:
        """Page name → (N,) float64 of what is held fixed, as far as the catalogue has it; NaN where not measured."""
        return self.remember(("controls",), self._controls)

    def _controls(self) -> dict[str, np.ndarray]:
        found, have = {}, set(self.numeric_columns())
        for column, name, good in CONTROLS:
            if column in have:
                values = self.column(column)
                with np.errstate(invalid="ignore"):
                    values = np.where(good(values), values, np.nan)
                if np.isfinite(values).any():
                    found[name] = values
        return found

    def missing_controls(self) -> list[str]:
        """Columns that would be held fixed and are not in the catalogue."""
        have = self.controls()
        return [column for column, name, _ in CONTROLS if name not in have]

    def fixed(self) -> str:
        """What is held fixed, as text: 'mass, SFR, z'; empty for nothing."""
        return ", ".join(self.controls())

    def table(self, split: str, target: int) -> dict[str, np.ndarray]:
        """One entry per feature that fires on the split's galaxies, by falling mean |contribution|.

        Those of :func:`~sfnet_core.analysis.feature_tables.feature_table` with ``partial`` at fixed :meth:`controls`
        (NaN without any), ``without`` and ``chance`` (:func:`~sfnet_core.analysis.feature_tables.lost_without`), and
        ``stability``.
        """
        return self.remember(("table", split, target), lambda: self._table(split, target))

    def _table(self, split: str, target: int) -> dict[str, np.ndarray]:
        codes, table = self.codes, split_table(self.codes, split, target)
        table["stability"] = np.array([self.stability.rho(int(feature)) for feature in table["feature"]], dtype=float)
        lost = codes.derived(
            f"lost-{split or 'all'}-{target}-k{codes.k}",
            lambda: lost_without(codes, self.rows(split) if split else None, target),
        )
        table["without"], table["chance"] = lost[:, table["feature"]]
        controls = [values[self.rows(split)] for values in self.controls().values()]
        if controls:
            index = self.index(split)
            entries = index.position, index.feature, index.activation, codes.features
            partial = partial_correlations(*entries, self.truth(target)[index.rows], controls)
            table["partial"] = partial[table["feature"]]
        return table

    def sortable(self, split: str, target: int, sort: str) -> dict[str, np.ndarray]:
        """:meth:`table` with what sorting by ``sort`` needs, which may take longer than the table."""
        table = self.table(split, target)
        if sort != "likeness":
            return table

        def place() -> np.ndarray:
            return side_by_side(self.matrix(split)[np.ix_(table["feature"], table["feature"])])

        return {**table, "likeness": self.remember(("likeness", split, target), place)}

    def pairs(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """(F, F) counts of firing together and sums of products: see :meth:`ActivationIndex.pairs`."""
        return self.remember(("pairs", split), lambda: self.index(split).pairs())

    def matrix(self, split: str) -> np.ndarray:
        """(F, F) Pearson correlation of the activations over a split: :meth:`ActivationIndex.correlation`."""
        return self.remember(("matrix", split), lambda: self.index(split).correlation(self.pairs(split)[1]))


def checked_view(codes: SparseCodes, split: str | None, target: int | str) -> tuple[str, int]:
    """The split and target that a saved page or report is of.

    Parameters
    ----------
    split
        A split's name, '' for all galaxies; ``None``: validation where there is one, else all.
    target
        Its name or number.

    Raises
    ------
    SFNetError
        There is no such split or target, or no galaxy.
    """
    number = codes.target_index(target)
    splits = [name for name in codes.splits if name]
    if split is None:
        split = "validation" if "validation" in splits else ""
    if split and split not in splits:
        have = ", ".join(splits) or "none"
        raise SFNetError(f"These codes have no split {split[:40]!r}; they have: {have}. `all` takes every galaxy.")
    if not len(codes):
        raise SFNetError("These codes hold no galaxies; there is nothing to write.")
    return split, number


@dataclass(frozen=True)
class Companions:
    """Features by how much more often they fire where this one does: ``lift`` = P(both) / (P(one) P(other))."""

    feature: np.ndarray
    both: np.ndarray
    expected: np.ndarray
    lift: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pearson: np.ndarray


def companions(statistics: FeatureStatistics, split: str, feature: int) -> Companions:
    """Features that fire together with one, or were expected to, ENOUGH times or more; by falling lift.

    The 95 % interval is Wilson's (1927, JASA 22, 209) for the share of this feature's galaxies on which the other one
    fires, over the other one's rate among all galaxies in view.

    Parameters
    ----------
    statistics
        The codes' features.
    split
        A split's name; '' for all galaxies.
    feature
        Its number.

    Returns
    -------
    Companions
        Arrays (A,) of the other features.
    """
    index = statistics.index(split)
    fires, n = index.fires, max(index.n, 1)
    both = statistics.pairs(split)[0][feature]
    expected = fires[feature] * fires / n
    other = np.flatnonzero((np.maximum(both, expected) >= ENOUGH) & (np.arange(len(fires)) != feature))
    if fires[feature] == 0:
        other = other[:0]
    rate = fires[other] / n
    m = max(int(fires[feature]), 1)
    lift, (low, high) = both[other] / m / rate, wilson(both[other], m)
    order = np.argsort(-lift, kind="stable")
    matrix = statistics.matrix(split)
    columns = (
        other,
        both[other],
        expected[other],
        lift,
        low / rate,
        high / rate,
        matrix[feature, other],
    )
    return Companions(*(column[order] for column in columns))


def side_by_side(correlation: np.ndarray) -> np.ndarray:
    """(A,) falling places on a line for A features, alike ones beside each other; the first one in the upper half.

    Chains are joined by average linkage (Sokal & Michener 1958), the two of the highest mean correlation first, each
    time at the ends that are most alike.
    """
    size = len(correlation)
    near = np.nan_to_num(correlation)
    mean = near.copy()
    np.fill_diagonal(mean, -np.inf)
    chains = [[i] for i in range(size)]
    for _ in range(size - 1):
        one, other = divmod(int(mean.argmax()), size)
        a, b = chains[one], chains[other]
        ways = [(x, y) for x in (a, a[::-1]) for y in (b, b[::-1])]
        left, right = max(ways, key=lambda way: near[way[0][-1], way[1][0]])
        mean[one] = (len(a) * mean[one] + len(b) * mean[other]) / (len(a) + len(b))
        mean[:, one] = mean[one]
        mean[one, one] = mean[other] = mean[:, other] = -np.inf
        chains[one] = left + right
    line = np.zeros(size)
    chain = max(chains, key=len, default=[])
    line[chain[::-1] if size and chain.index(0) > size // 2 else chain] = -np.arange(size)
    return line


def disagree(weight: np.ndarray, pearson: np.ndarray) -> np.ndarray:
    """Where a feature's weight and its correlation with the target have opposite signs (False where ρ is unknown)."""
    with np.errstate(invalid="ignore"):
        return np.sign(weight) * np.sign(pearson) < 0


def clear(pearson: np.ndarray, n: int) -> np.ndarray:
    """Where a correlation over ``n`` galaxies is larger than chance alone gives 19 times in 20: |ρ| > 1.96 / √n."""
    with np.errstate(invalid="ignore"):
        return np.abs(pearson) > 1.96 / np.sqrt(max(n, 1))


def order(table: dict[str, np.ndarray], sort: str, descending: bool, keep: np.ndarray) -> np.ndarray:
    """The order in which features are listed.

    Parameters
    ----------
    table
        As of :meth:`FeatureStatistics.sortable`, arrays (A,).
    sort
        A key of :data:`SORTS`.
    descending
        Whether the largest come first.
    keep
        (A,) bool: the features to list.

    Returns
    -------
    np.ndarray
        Positions in the table; unknown values last, ties as they were.
    """
    value = SORTS[sort][1](table)
    ranked = np.argsort(-value if descending else value, kind="stable")  # NaN sorts last either way
    return ranked[keep[ranked]]
