"""The numbers on the cards: one row per active feature, its correlations at fixed mass, SFR and redshift, its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.feature_tables import lost_without
from sfnet_core.analysis.firing import Firing
from sfnet_core.analysis.stability.summary import FeatureStability

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["BINS", "CONTROLS", "SORTS", "Almanac", "clear", "disagree", "partial_all"]

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


class Almanac:
    """Everything the atlas shows, as arithmetic on the codes; remembers its answers per split and target.

    ``steady``: the features' stability over several trainings, where it was measured.
    """

    def __init__(self, scene: Scene, steady: FeatureStability | None = None):
        self.scene, self.codes, self.steady = scene, scene.codes, FeatureStability() if steady is None else steady
        self._memory: dict[tuple, object] = {}

    def remember(self, key: tuple, compute):
        """The answer for ``key``, computed once."""
        if key not in self._memory:
            self._memory[key] = compute()
        return self._memory[key]

    def sorts(self) -> dict[str, str]:
        """Key → name of what the features can be sorted by."""
        return {key: name for key, (name, _) in SORTS.items() if key != "stability" or self.steady}

    def firing(self, split: str) -> Firing:
        """The index of the galaxies in view."""
        return self.remember(("firing", split), lambda: Firing(self.codes, self.scene.rows(split)))

    def controls(self) -> dict[str, np.ndarray]:
        """Page name → (N,) float64 of what is held fixed, as far as the catalogue has it; NaN where not measured."""
        return self.remember(("controls",), self._controls)

    def _controls(self) -> dict[str, np.ndarray]:
        found = {}
        for column, name, good in CONTROLS:
            if column in self.scene.quantities:
                values = self.scene.column(column)
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
        """The feature table of the galaxies in view, with ``partial`` at fixed :meth:`controls` (NaN without any).

        ``without`` and ``chance``: :func:`~sfnet_core.analysis.feature_tables.lost_without` of each feature.
        """
        return self.remember(("table", split, target), lambda: self._table(split, target))

    def _table(self, split: str, target: int) -> dict[str, np.ndarray]:
        table = dict(self.scene.features(split, target))
        table["stability"] = np.array([self.steady.rho(int(feature)) for feature in table["feature"]], dtype=float)
        rows = self.scene.rows(split)
        lost = self.codes.derived(
            f"lost-{split or 'all'}-{target}-k{self.codes.k}",
            lambda: lost_without(self.codes, rows if split else None, target),
        )
        table["without"], table["chance"] = lost[:, table["feature"]]
        controls = self.controls()
        if controls:
            firing = self.firing(split)
            rows = firing.rows
            partial = partial_all(firing, self.scene.truth(target)[rows], [c[rows] for c in controls.values()])
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
        """(F, F) counts of firing together and sums of products: see :meth:`Firing.pairs`."""
        return self.remember(("pairs", split), lambda: self.firing(split).pairs())

    def matrix(self, split: str) -> np.ndarray:
        """(F, F) Pearson correlation of the activations over the galaxies in view: :meth:`Firing.correlation`."""
        return self.remember(("matrix", split), lambda: self.firing(split).correlation(self.pairs(split)[1]))

    def known(self, split: str, target: int) -> int:
        """How many galaxies in view have a true value."""
        return int(np.isfinite(self.scene.truth(target)[self.scene.rows(split)]).sum())


def partial_all(firing: Firing, y: np.ndarray, controls: list[np.ndarray]) -> np.ndarray:
    """(F,) partial correlation of every feature's activation with ``y`` (n,) at fixed ``controls`` (each (n,)).

    What :func:`sfnet_core.stats.correlation.partial_correlation` gives for each feature's dense activations (0 where
    it does not fire), from sums over the kept activations only. NaN where fewer than C + 3 galaxies have all
    values, or where nothing varies.
    """
    size = firing.codes.features
    known = np.isfinite(y)
    for control in controls:
        known &= np.isfinite(control)
    n = int(known.sum())
    if n < len(controls) + 3:
        return np.full(size, np.nan)
    basis = np.column_stack([c[known] - c[known].mean() for c in controls]) if controls else np.empty((n, 0))
    scale = basis.std(axis=0)
    basis = basis[:, scale > 0] / scale[scale > 0]
    left, singular, _ = np.linalg.svd(basis, full_matrices=False)
    left = left[:, singular > 1e-10 * max(singular.max(initial=0.0), 1e-300)]
    centred = y[known] - y[known].mean()
    residual = centred - left @ (left.T @ centred)
    use = known[firing.position]
    at = (np.cumsum(known) - 1)[firing.position[use]]
    feature, a = firing.feature[use], firing.activation[use]
    square = np.bincount(feature, a * a, minlength=size)
    rest = square - np.bincount(feature, a, minlength=size) ** 2 / n
    for q in left.T:
        rest -= np.bincount(feature, a * q[at], minlength=size) ** 2
    cross = np.bincount(feature, a * residual[at], minlength=size)
    power = residual @ residual
    good = (rest > 1e-9 * square) & (square > 0) & (power > 1e-18 * max(centred @ centred, 1e-300))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(good, np.clip(cross / np.sqrt(rest * power), -1.0, 1.0), np.nan)


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
    """Positions in the table of the features in ``keep`` (a mask), sorted; unknown values last, ties as they were."""
    value = SORTS[sort][1](table)
    ranked = np.argsort(-value if descending else value, kind="stable")  # NaN sorts last either way
    return ranked[keep[ranked]]
