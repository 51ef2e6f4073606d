"""Everything the page shows, as arithmetic on the codes: numpy only, no widget, no torch.

The views ask; this answers from the codes and the state's values, and remembers the last answers. What a test wants
to know of the page it can ask here, and compare with plain numpy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.code_names import CodeNames
from sfnet_core.analysis.feature_tables import split_table
from sfnet_core.analysis.interpret import Counterfactual, activations, feature_table, surviving_slots
from sfnet_core.astro.axis_labels import COLUMN_LABELS, TARGET_LABELS
from sfnet_core.astro.bpt import log_ratio
from sfnet_core.astro.sky_position import separation
from sfnet_core.codes.sums import predictions
from sfnet_core.data.filters.masks import first_cone, select
from sfnet_core.explorer.shared.emission_lines import line_quantities, plots_of
from sfnet_core.explorer.shared.plot_subsample import drawn_codes, drawn_rows, values_at
from sfnet_core.explorer.shared.quantities import UNLIKE, Quantity
from sfnet_core.explorer.shared.residuals import Errors, Numbers, of
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.explorer.shared.state import State

__all__ = ["Numbers", "Scene"]

KEPT_ORDER = 20_000  # the order of more galaxies is kept beside shared codes


class Scene:
    """The arithmetic behind the page for one :class:`~sfnet_core.codes.table.SparseCodes`."""

    def __init__(self, codes: SparseCodes):
        self.codes = codes  # behind the gate in use; `own` behind the network's
        self.own = codes
        self.n = len(codes)
        self.splits = {name: count for name, count in codes.splits.items() if name}
        self.given: dict[str, Callable[[], Any]] = {}  # what filters may name beside the codes: see CodeNames
        self._memory: dict[tuple, Any] = {}
        self._counterfactuals: dict[int, Counterfactual] = {}
        self.errors = Errors(self)
        self.quantities = self._quantities()
        self.plots = plots_of(self)

    def use_k(self, k: int) -> None:
        """Put the codes behind a gate of ``k``: all that is computed from them follows."""
        if k == self.codes.k:
            return
        self.codes = self.own.at_k(k)
        self._counterfactuals.clear()
        lasting = ("truth", "rows", "column", "ratio", "by_k", "known", "filter", "names", "cone", "part")
        self._memory = {key: value for key, value in self._memory.items() if key[0] in lasting}

    def rmse_by_k(self, state: State) -> list[float]:
        """RMSE for k = 1 … k + r, features off as in the state, of :meth:`drawn` galaxies; [] without true values."""
        return self.errors.by_k(state)

    # -- looking up --------------------------------------------------------------------------------------------

    def row_of(self, identifier: str) -> int | None:
        """The row of an identifier, or ``None``."""
        try:
            return self.codes.index_of(identifier)
        except SFNetError:
            return None

    def find(self, part: str) -> int | None:
        """The row of an identifier, else of the first identifier that starts with or holds ``part``."""
        part = part.strip()
        row = self.row_of(part)
        if row is None and part:
            text = self.codes.ids
            for hits in (np.char.startswith(text, part), np.char.find(text, part) >= 0):
                if hits.any():
                    return int(np.argmax(hits))
        return row

    def unit(self, target: int) -> str:
        """The unit of a target, as text ('dex')."""
        return self.codes.units[self.codes.targets[target]]

    def target_label(self, target: int) -> str:
        """The target as astronomers write it."""
        name = self.codes.targets[target]
        return TARGET_LABELS.get(name, name)

    def rows(self, split: str) -> np.ndarray:
        """Rows of the galaxies in view, ascending; all of them for ''."""
        return self.remember(("rows", split), lambda: self._rows(split))

    def _rows(self, split: str) -> np.ndarray:
        if not split:
            return np.arange(self.n, dtype=np.int32)
        return np.flatnonzero(self.codes.in_split(split)).astype(np.int32)

    def view(self, state: State) -> np.ndarray:
        """Rows of the galaxies in view: those of the split that pass the filter, ascending.

        A filter's ``prediction`` and ``residual`` are those with all features on, so that toggles keep the galaxies in
        view. Raises :class:`SFNetError` where the filter can't be read.
        """
        rows = self.rows(state.split)
        if not state.filter:
            return rows
        key = ("view", state.split, state.filter, state.target)
        return self.remember(key, lambda: rows[self.mask(state.filter, state.target)[rows]], keep=2)

    def drawn(self, state: State) -> np.ndarray:
        """Rows of the galaxies that figures are drawn from (:mod:`~sfnet_core.explorer.shared.plot_subsample`)."""
        return drawn_rows(self, state)

    def mask(self, text: str, target: int) -> np.ndarray:
        """``(N,)`` True for the galaxies that pass a filter."""
        return self.remember(("filter", text, target), lambda: select(text, self.names(target)), keep=8)

    def names(self, target: int) -> CodeNames:
        """What a filter may name, and the values."""
        return self.remember(("names", target), lambda: CodeNames(self.own, target=target, given=self.given))

    def relabelled(self, state: State) -> bool:
        """Forget what filters gave: stars, lists or labels are others. Whether other galaxies are in view now."""
        before = self.view(state) if state.filter else None
        texts = {key[1] for key in self._memory if key[0] == "filter"}
        self._memory = {key: value for key, value in self._memory.items() if texts.isdisjoint(key)}
        return before is not None and not np.array_equal(self.view(state), before)

    def cone_distance(self, state: State) -> np.ndarray:
        """``(N,)`` distance in arcmin from the centre of the filter's first cone; NaN where it has none."""

        def compute() -> np.ndarray:
            if not self.has_cone(state):
                return np.full(self.n, np.nan)
            ra, dec, _radius = first_cone(state.filter, self.names(state.target))
            return 60 * separation(self.own.ra, self.own.dec, ra, dec)

        return self.remember(("cone", state.filter, state.target), compute, keep=2)

    def has_cone(self, state: State) -> bool:
        """Whether the filter asks for a part of the sky."""
        return bool(state.filter) and first_cone(state.filter, self.names(state.target)) is not None

    def truth(self, target: int) -> np.ndarray:
        return self.remember(("truth", target), lambda: np.asarray(self.codes.truth(target), dtype=np.float64))

    def activation(self, feature: int) -> np.ndarray:
        """``(N,)`` gated activation of one feature: 0 where it does not fire (all 0 for -1, no feature)."""
        if feature < 0:
            return np.zeros(self.n)
        return self.remember(
            ("activation", feature), lambda: activations(self.codes, feature).astype(np.float64), keep=2
        )

    # -- predictions under toggles -----------------------------------------------------------------------------

    def counterfactual(self, target: int) -> Counterfactual:
        if target not in self._counterfactuals:
            self._counterfactuals[target] = Counterfactual(self.codes, target)
        return self._counterfactuals[target]

    def prediction(self, state: State, *, all_on: bool = False) -> np.ndarray:
        """``(N,)`` predictions with the state's features off (or with all on), in the target's unit; not to be written
        into."""
        exact = self.counterfactual(state.target)
        if all_on or not state.off:
            return exact.all_on
        key = ("prediction", state.target, state.off, state.mode)
        return self.remember(key, lambda: exact.prediction(off=state.off, mode=state.mode), keep=2)

    def prediction_at(self, state: State, rows: np.ndarray, *, all_on: bool = False) -> np.ndarray:
        """The same of some galaxies; of a few of many, the others' are not computed."""
        if (all_on or not state.off) and rows is self.drawn(state):
            key = ("at", "all on", state.split, state.filter, state.target, self.codes.k)
            return self.remember(key, lambda: of(self.prediction(state, all_on=True), rows), keep=8)
        if all_on:
            return self.prediction(state, all_on=True)[rows]
        if ("prediction", state.target, state.off, state.mode) in self._memory or len(rows) > self.n // 2:
            return self.prediction(state)[rows]
        exact = self.counterfactual(state.target)
        if rows is self.drawn(state) and state.off:
            return predictions(drawn_codes(self, state), state.target, state.off, state.mode)
        return exact.at(rows, state.off, state.mode)

    def prediction_of(self, state: State, row: int) -> float:
        """The same of one galaxy."""
        return float(self.prediction_at(state, np.array([row]))[0])

    def residual(self, state: State) -> np.ndarray:
        """Prediction minus true value."""
        return self.prediction(state) - self.truth(state.target)

    def numbers(self, state: State) -> Numbers:
        """RMSE, R² and the change, over the galaxies in view."""
        return self.errors.numbers(state)

    # -- features ----------------------------------------------------------------------------------------------

    def features(self, split: str, target: int) -> dict[str, np.ndarray]:
        """The feature table of a split's galaxies, ranked by mean |contribution|."""
        return self.remember(("features", split, target), lambda: split_table(self.codes, split, target), keep=8)

    def features_in_view(self, state: State) -> dict[str, np.ndarray]:
        """The feature table of the galaxies in view."""
        if not state.filter:
            return self.features(state.split, state.target)
        return self.remember(
            ("features", state.split, state.target, state.filter),
            lambda: feature_table(self.codes, rows=self.view(state), target=state.target),
            keep=8,
        )

    def default_feature(self, split: str, target: int) -> int:
        """The active feature with the largest mean |contribution|; of the table's features, the first."""
        table = self.features(split, target)
        return int(table["feature"][0]) if len(table["feature"]) else -1

    # -- quantities --------------------------------------------------------------------------------------------

    def _quantities(self) -> dict[str, Quantity]:
        out: dict[str, Quantity] = {}

        def add(key: str, label: str, unit: str, values: Callable[[State], np.ndarray], *depends: str) -> None:
            out[key] = Quantity(key, label, unit, values, frozenset(depends))

        label, unit = self.target_label(0), self.unit(0)
        if np.isfinite(self.truth(0)).any():
            add("truth", f"true {label}", unit, lambda s: self.truth(s.target))
        add("prediction", f"predicted {label}", unit, self.prediction, "off", "mode")
        if "truth" in out:
            add("residual", "predicted − true", unit, self.residual, "off", "mode")
        add("activation", "activation", "", lambda s: self.activation(s.feature), "feature")
        add("margin", "margin of the gate", "", lambda s: np.asarray(self.codes.margin, dtype=np.float64))
        if self.own.unlike is not None:
            for name, label in UNLIKE.items():
                add(name, label, "", lambda s, name=name: self.column(name))
        for name in self.numeric_columns():
            if name not in out:
                nice, its_unit = COLUMN_LABELS.get(name, (name, self.codes.column_units.get(name, "")))
                add(name, nice, its_unit, lambda s, name=name: self.column(name))
        if self.own.ra is not None and self.own.dec is not None:
            add("cone_distance", "distance from the centre", "arcmin", self.cone_distance, "filter")
        return out | line_quantities(self, out)

    def numeric_columns(self) -> list[str]:
        """Catalogue columns that hold numbers (RA and Dec too, where known)."""
        names = [name for name in self.codes.columns if self.is_numeric(name)]
        return names + [name for name in ("ra", "dec") if getattr(self.codes, name) is not None and name not in names]

    def is_numeric(self, name: str) -> bool:
        """Whether a catalogue column holds numbers."""
        return self.codes.is_numeric(name)

    def column(self, name: str) -> np.ndarray:
        """``(N,)`` float64 of a numeric column."""
        return self.remember(("column", name), lambda: np.asarray(self.codes.column(name), dtype=np.float64), keep=8)

    def line_ratio(self, top: str, bottom: str) -> np.ndarray:
        """``(N,)`` log10 of a flux ratio; NaN where either flux is not positive."""

        def ratio() -> np.ndarray:
            return self.own.derived(f"ratio-{top}", lambda: log_ratio(self.column(top), self.column(bottom)))

        return self.remember(("ratio", top), ratio)

    def values(self, key: str, state: State) -> np.ndarray:
        """``(N,)`` of a quantity."""
        return self.quantities[key].values(state)

    def at(self, key: str, state: State, rows: np.ndarray) -> np.ndarray:
        """``(len(rows),)`` of a quantity for some galaxies; of a few of many, the others' are not computed."""
        return values_at(self, key, state, rows)

    # -- one galaxy --------------------------------------------------------------------------------------------

    def terms(self, state: State, row: int) -> list[dict[str, Any]]:
        """The galaxy's contributions, largest |contribution| first.

        Each term has ``feature``, ``activation``, ``weight``, ``contribution`` (weight × activation), ``slot`` in
        the code, and ``state``: 'on', 'off' (switched off, not counted) or 'refill' (a runner-up in a free place).
        """
        codes, weight = self.codes, self.codes.weight[state.target]
        counted = set(surviving_slots(codes, row, state.off, state.mode).tolist())
        out = []
        for slot, (feature, activation) in enumerate(zip(codes.indices[row], codes.values[row], strict=True)):
            feature, activation = int(feature), float(activation)
            kept = slot < codes.k
            if feature < 0 or not (kept or slot in counted):
                continue
            kind = ("on" if kept else "refill") if slot in counted else "off"
            term = {"feature": feature, "slot": slot, "activation": activation, "weight": float(weight[feature])}
            out.append({**term, "contribution": term["weight"] * activation, "state": kind})
        return sorted(out, key=lambda term: -abs(term["contribution"]))

    def runners_up(self, row: int) -> list[tuple[int, float]]:
        """The features that did not pass the gate, strongest first: (feature, activation)."""
        k = self.codes.k
        pairs = zip(self.codes.indices[row, k:], self.codes.values[row, k:], strict=True)
        return [(int(f), float(a)) for f, a in pairs if f >= 0 and a > 0]

    # -- the gallery -------------------------------------------------------------------------------------------

    def order(self, state: State, rows: np.ndarray) -> np.ndarray:
        """``rows`` sorted by the state's quantity, unknown values last; ties keep the table's order."""
        if state.sort not in self.quantities:
            return rows

        def ranked() -> np.ndarray:
            values = self.values(state.sort, state)[rows]
            return rows[np.argsort(-values if state.descending else values, kind="stable")]  # NaN sorts last

        depends = self.quantities[state.sort].depends
        if len(rows) > KEPT_ORDER and not depends and not state.filter and rows is self.rows(state.split):
            sort = hashlib.blake2b(state.sort.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
            way = "down" if state.descending else "up"
            name = f"order-{sort}-{way}-{state.split or 'all'}-{state.target}-k{self.codes.k}"
            key = ("sorted", state.sort, way, state.split, state.target)
            return self.remember(key, lambda: self.codes.derived(name, ranked), keep=2)
        on = tuple(getattr(state, name) for name in sorted(depends))
        key = ("order", state.sort, state.descending, state.target, on, len(rows))
        if key in self._memory and not np.array_equal(self._memory[key][0], rows):
            del self._memory[key]
        return self.remember(key, lambda: (rows, ranked()), keep=2)[1]

    # -- memory ------------------------------------------------------------------------------------------------

    def remember(self, key: tuple, compute: Callable[[], Any], keep: int = 1024) -> Any:
        """The last ``keep`` answers of a kind are kept; views ask for the same ones within one redraw."""
        if key not in self._memory:
            same = [old for old in self._memory if old[0] == key[0]]
            for old in same[: max(0, len(same) - keep + 1)]:
                del self._memory[old]
            self._memory[key] = compute()
        return self._memory[key]
