"""Everything the page shows, as arithmetic on the codes: numpy only, no widget, no torch.

Every method is a function of (codes, query), remembered by the fields of the query that it names
(:mod:`sfnet_core.explorer.shared.query`). What a test wants to know of the page it can ask here, and compare with plain
numpy.

Of very many galaxies (:data:`MANY`) figures and the error against k are of some drawn at random, and the page says so;
the numbers are of all.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.code_names import CodeNames
from sfnet_core.analysis.feature_tables import split_table
from sfnet_core.analysis.interpret import Counterfactual, activations, feature_table, surviving_slots
from sfnet_core.astro.axis_labels import COLUMN_LABELS, TARGET_LABELS
from sfnet_core.astro.bpt import log_ratio
from sfnet_core.astro.emission_lines import RATIOS, has_lines
from sfnet_core.astro.sky_position import separation
from sfnet_core.codes.sums import Part, ResidualSums, predictions, residual_sums, squares, squares_by_k
from sfnet_core.data.filters.masks import first_cone, select
from sfnet_core.explorer.shared.quantities import (
    LINES,
    PREDICTED_RATIOS,
    RATIO_AXES,
    RATIO_FLUXES,
    UNLIKE,
    Quantity,
    named_after,
    plots_of,
)
from sfnet_core.explorer.shared.query import IN_VIEW, TOGGLES, Query, cached, narrowed
from sfnet_core.explorer.shared.state import unpack_rows
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["MANY", "Numbers", "Scene", "subsample"]

MANY = 500_000  # of more galaxies in view, figures and the error against k are of this many; the numbers are of all
KEPT_ORDER = 20_000  # the order of more galaxies is kept beside shared codes


@dataclass(frozen=True)
class Numbers:
    """The numbers of the galaxies in view under the present toggles, in the target's unit."""

    n: int  # galaxies with a true value
    rmse: float
    r2: float
    rmse_all_on: float
    mean_change: float  # mean of (prediction now − prediction with all on), over all galaxies in view
    in_view: int


def numbers_of(n: int, squares: float, spread: float, squares_on: float, change: float, in_view: int) -> Numbers:
    """:class:`Numbers` from sums over the ``n`` galaxies with a true value; the change is over all in view."""
    return Numbers(
        n=n,
        rmse=math.sqrt(squares / n) if n else math.nan,
        r2=1 - squares / spread if n > 1 and spread > 0 else math.nan,
        rmse_all_on=math.sqrt(squares_on / n) if n else math.nan,
        mean_change=change,
        in_view=in_view,
    )


def subsample(n: int) -> np.ndarray | slice:
    """Places of :data:`MANY` out of ``n``, at random but always the same and ascending; all where there are no more."""
    if n <= MANY:
        return slice(None)
    return np.sort(np.random.default_rng(0).choice(n, MANY, replace=False, shuffle=False))


def of(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``values[rows]`` for ascending rows, each once; not copied where that is all of them."""
    return values if len(rows) == len(values) else values[rows]


class PerTarget(dict):
    """Target → what ``make(target)`` gives, made when it is first asked for."""

    def __init__(self, make: Callable[[int], Any]):
        self._make = make

    def __missing__(self, target: int) -> Any:
        found = self[target] = self._make(target)
        return found


class Scene:
    """The arithmetic behind the page for one :class:`~sfnet_core.codes.table.SparseCodes`.

    ``query`` is a :class:`~sfnet_core.explorer.shared.query.Query`, or a state, which has the same fields. ``codes``
    are behind the network's own gate; :meth:`gated` gives those behind the query's. ``given``: what filters may name
    beside the codes, see :class:`~sfnet_core.analysis.code_names.CodeNames`; where that changes ``query.labels`` does.
    """

    def __init__(self, codes: SparseCodes, given: dict[str, Callable[[], Any]] | None = None):
        self.codes, self.given = codes, given or {}
        self.memory: dict[str, dict] = {}  # see `cached`
        self.n = len(codes)
        self.splits = {name: count for name, count in codes.splits.items() if name}
        self.quantities = self._quantities()  # named after the first target; `named` has them for a query's
        self.plots = plots_of(self.quantities, codes.targets)

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

    @cached("k", keep=1)
    def gated(self, query: Query) -> SparseCodes:
        """The codes behind the gate of the query's k."""
        return self.codes.at_k(query.k)

    # -- the galaxies in view ----------------------------------------------------------------------------------

    @cached()
    def rows(self, split: str) -> np.ndarray:
        """Rows of a split's galaxies, ascending; all of them for ''."""
        if not split:
            return np.arange(self.n, dtype=np.int32)
        return np.flatnonzero(self.codes.in_split(split)).astype(np.int32)

    @cached(*IN_VIEW, keep=2)
    def view(self, query: Query) -> np.ndarray:
        """Rows of the galaxies in view: those of the split that pass the filter, ascending.

        A filter's ``prediction`` and ``residual`` are those with all features on, so that toggles keep the galaxies in
        view. Raises :class:`SFNetError` where the filter can't be read.
        """
        rows = self.rows(query.split)
        return rows[self.mask(query)[rows]] if query.filter else rows

    @cached("filter", "filter_labels", "target", keep=8)
    def mask(self, query: Query) -> np.ndarray:
        """``(N,)`` True for the galaxies that pass the filter."""
        return select(query.filter, self.names(query.target))

    @cached()
    def names(self, target: int) -> CodeNames:
        """What a filter may name, and the values."""
        return CodeNames(self.codes, target=target, given=self.given)

    def has_cone(self, query: Query) -> bool:
        """Whether the filter asks for a part of the sky."""
        return bool(query.filter) and first_cone(query.filter, self.names(query.target)) is not None

    @cached("filter", "target", keep=2)
    def cone_distance(self, query: Query) -> np.ndarray:
        """``(N,)`` distance in arcmin from the centre of the filter's first cone; NaN where it has none."""
        if not self.has_cone(query):
            return np.full(self.n, np.nan)
        ra, dec, _radius = first_cone(query.filter, self.names(query.target))
        return 60 * separation(self.codes.ra, self.codes.dec, ra, dec)

    @cached(*IN_VIEW, keep=4)
    def unlike_in_view(self, query: Query) -> int:
        """How many galaxies in view are unlike the training galaxies; 0 where the codes do not say."""
        unlike = self.codes.unlike
        return 0 if unlike is None else int((unlike[self.view(query)] > 1).sum())

    @cached(*IN_VIEW, keep=2)
    def drawn(self, query: Query) -> np.ndarray:
        """Rows of the galaxies in view, or of :data:`MANY` of them: ascending, and the same ones at every call."""
        rows = self.view(query)
        return rows if len(rows) <= MANY else rows[subsample(len(rows))]

    def drawn_codes(self, query: Query) -> Part:
        """The codes of the galaxies drawn, close together in memory, behind the query's gate."""
        return replace(self._drawn_codes(query), k=query.k)

    @cached(*IN_VIEW, keep=1)
    def _drawn_codes(self, query: Query) -> Part:
        """The same behind the network's own gate; a split's stay beside the codes."""
        codes, rows = self.codes, self.drawn(query)
        if len(rows) == self.n:
            arrays = codes.indices, codes.values
        elif query.filter or len(self.view(query)) == len(rows):
            arrays = codes.indices[rows], codes.values[rows]
        else:
            name = f"drawn-{len(rows)}-{query.split or 'all'}"
            arrays = (codes.derived(f"{name}-{w}", lambda w=w: getattr(codes, w)[rows]) for w in ("indices", "values"))
        return Part(codes.k, codes.features, codes.weight, codes.bias, *arrays)

    # -- predictions under toggles -----------------------------------------------------------------------------

    @cached()
    def truth(self, target: int) -> np.ndarray:
        """``(N,)`` true values, NaN where unknown."""
        return np.asarray(self.codes.truth(target), dtype=np.float64)

    @cached("k", keep=1)
    def counterfactuals(self, query: Query) -> PerTarget:
        """Target → its predictions with features off."""
        codes = self.gated(query)
        return PerTarget(lambda target: Counterfactual(codes, target))

    def all_on(self, query: Query) -> np.ndarray:
        """``(N,)`` predictions with all features on, in the target's unit; not to be written into."""
        return self.counterfactuals(query)[query.target].all_on

    def prediction(self, query: Query) -> np.ndarray:
        """``(N,)`` predictions with the query's features off, in the target's unit; not to be written into."""
        return self._toggled(query) if query.off else self.all_on(query)

    @cached(*TOGGLES, keep=2)
    def _toggled(self, query: Query) -> np.ndarray:
        return self.counterfactuals(query)[query.target].prediction(off=query.off, mode=query.mode)

    def prediction_at(self, query: Query, rows: np.ndarray) -> np.ndarray:
        """The same of some galaxies; of a few of many, the others' are not computed."""
        if len(rows) > self.n // 2:
            return self.prediction(query)[rows]
        return self.counterfactuals(query)[query.target].at(rows, query.off, query.mode)

    def prediction_of(self, query: Query, row: int) -> float:
        """The same of one galaxy."""
        return float(self.prediction_at(query, np.array([row]))[0])

    def residual(self, query: Query) -> np.ndarray:
        """Prediction minus true value."""
        return self.prediction(query) - self.truth(query.target)

    # -- how far off they are ----------------------------------------------------------------------------------

    @cached(*IN_VIEW, "k", "off", "mode", keep=4)
    def numbers(self, query: Query) -> Numbers:
        """RMSE, R² and the change, over the galaxies in view.

        Of more than :data:`MANY`, features that are left out are taken from sums made once
        (:class:`~sfnet_core.codes.sums.ResidualSums`): exact too, to about nine digits, and no galaxy is gone through.
        """
        view = self.view(query)
        if len(view) > MANY and (query.mode == "ablate" or not query.off):
            sums = self._sums(query)
            found = sums.ablate(query.off)
            if found is not None:
                return numbers_of(sums.n, found[0], sums.spread, sums.squares, found[1], len(view))
        rows, truth, spread = self.known(query)
        before, now, squares_on = self.all_on(query), self.prediction(query), self.squares_on(query)
        change = float(np.mean(of(now, view) - of(before, view))) if query.off and len(view) else 0.0
        squares_now = squares(of(now, rows) - truth) if query.off else squares_on
        return numbers_of(len(rows), squares_now, spread, squares_on, change if len(view) else np.nan, len(view))

    @cached(*IN_VIEW, keep=2)
    def known(self, query: Query) -> tuple[np.ndarray, np.ndarray, float]:
        """Of the galaxies in view with a true value: rows, truth, and Σ (truth − mean truth)²."""
        rows = self.view(query)
        truth = of(self.truth(query.target), rows)
        known = np.isfinite(truth)
        if not known.all():
            rows, truth = rows[known], truth[known]
        return rows, truth, float(((truth - truth.mean()) ** 2).sum()) if len(truth) else 0.0

    @cached(*IN_VIEW, "k", keep=2)
    def squares_on(self, query: Query) -> float:
        """Σ (prediction − truth)² of the galaxies in view, with all features on."""
        rows, truth, _ = self.known(query)
        return squares(of(self.all_on(query), rows) - truth)

    @cached(*IN_VIEW, "k", keep=4)
    def _sums(self, query: Query) -> ResidualSums:
        """The sums of the galaxies in view; a split's are kept beside the codes."""
        codes, target = self.gated(query), query.target
        rows = self.view(query) if query.split or query.filter else None
        if query.filter:
            return residual_sums(codes, target, rows)
        name = f"sums-{query.split or 'all'}-{target}-k{codes.k}"
        return ResidualSums.unpack(codes.derived(name, lambda: residual_sums(codes, target, rows).pack()))

    @cached(*IN_VIEW, "off", "mode", keep=4)
    def rmse_by_k(self, query: Query) -> list[float]:
        """RMSE for k = 1 … k + r, features off as in the query, of :meth:`drawn` galaxies; [] without true values."""
        places, truth = self._known_drawn(query)
        if not len(truth):
            return []
        found = squares_by_k(self._drawn_codes(query), truth, places, query.off, query.mode, query.target)
        return np.sqrt(found / len(truth)).tolist()

    @cached(*IN_VIEW, keep=2)
    def _known_drawn(self, query: Query) -> tuple[np.ndarray | None, np.ndarray]:
        """Of the galaxies drawn those with a true value: places (``None`` for all), and truth."""
        truth = of(self.truth(query.target), self.drawn(query))
        known = np.isfinite(truth)
        return (None, truth) if known.all() else (np.flatnonzero(known), truth[known])

    # -- features ----------------------------------------------------------------------------------------------

    def activation(self, feature: int, k: int | None = None) -> np.ndarray:
        """``(N,)`` gated activation of one feature: 0 where it does not fire (all 0 for -1, no feature).

        ``k``: the gate, the network's own by default.
        """
        return self._activation(Query(feature=feature, k=self.codes.k if k is None else k))

    @cached("feature", "k", keep=2)
    def _activation(self, query: Query) -> np.ndarray:
        if query.feature < 0:
            return np.zeros(self.n)
        return activations(self.gated(query), query.feature).astype(np.float64)

    def features(self, split: str, target: int) -> dict[str, np.ndarray]:
        """The feature table of a split's galaxies behind the network's own gate, ranked by mean |contribution|."""
        return self._split_table(Query(split=split, target=target, k=self.codes.k))

    @cached("split", "target", "k", keep=8)
    def _split_table(self, query: Query) -> dict[str, np.ndarray]:
        return split_table(self.gated(query), query.split, query.target)

    @cached(*IN_VIEW, "k", keep=8)
    def features_in_view(self, query: Query) -> dict[str, np.ndarray]:
        """The feature table of the galaxies in view."""
        if not query.filter:
            return self._split_table(query)
        return feature_table(self.gated(query), rows=self.view(query), target=query.target)

    def default_feature(self, split: str, target: int) -> int:
        """The active feature with the largest mean |contribution|; of the table's features, the first."""
        table = self.features(split, target)
        return int(table["feature"][0]) if len(table["feature"]) else -1

    # -- quantities --------------------------------------------------------------------------------------------

    def _quantities(self) -> dict[str, Quantity]:
        """What can stand on an axis or in a sort, each with the fields of the query that it depends on."""
        codes, out = self.codes, {}

        def add(key: str, label: str, unit: str, values: Callable[[Query], np.ndarray], *fields: str) -> None:
            out[key] = Quantity(key, label, unit, values, frozenset(fields))

        label, unit = self.target_label(0), self.unit(0)
        if np.isfinite(self.truth(0)).any():
            add("truth", f"true {label}", unit, lambda q: self.truth(q.target), "target")
        add("prediction", f"predicted {label}", unit, self.prediction, *TOGGLES)
        if "truth" in out:
            add("residual", "predicted − true", unit, self.residual, *TOGGLES)
        add("activation", "activation", "", self._activation, "feature", "k")
        add("margin", "margin of the gate", "", lambda q: np.asarray(self.gated(q).margin, dtype=np.float64), "k")
        if codes.unlike is not None:
            for name, label in UNLIKE.items():
                add(name, label, "", lambda _q, name=name: self.column(name))
        for name in self.numeric_columns():
            if name not in out:
                nice, its_unit = COLUMN_LABELS.get(name, (name, codes.column_units.get(name, "")))
                add(name, nice, its_unit, lambda _q, name=name: self.column(name))
        if codes.ra is not None and codes.dec is not None:
            add("cone_distance", "distance from the centre", "arcmin", self.cone_distance, "filter", "target")
        if set(LINES) <= set(out):
            for key, pair in RATIO_FLUXES.items():
                add(key, RATIO_AXES[key], "", lambda _q, pair=pair: self.line_ratio(*pair))
        if has_lines(codes.targets):
            for key in RATIOS:
                values = lambda q, key=key: self.predicted_ratio(q, key)  # noqa: E731
                add(f"{key}_predicted", PREDICTED_RATIOS[key], "", values, "k", "off", "mode")
        return out

    @cached("target")
    def named(self, query: Query) -> dict[str, Quantity]:
        """The quantities; what is true, predicted and residual is named after the query's target."""
        return named_after(self.quantities, self.target_label(query.target), self.unit(query.target))

    def numeric_columns(self) -> list[str]:
        """Catalogue columns that hold numbers (RA and Dec too, where known)."""
        names = [name for name in self.codes.columns if self.is_numeric(name)]
        return names + [name for name in ("ra", "dec") if getattr(self.codes, name) is not None and name not in names]

    def is_numeric(self, name: str) -> bool:
        """Whether a catalogue column holds numbers."""
        return self.codes.is_numeric(name)

    @cached(keep=8)
    def column(self, name: str) -> np.ndarray:
        """``(N,)`` float64 of a numeric column."""
        return np.asarray(self.codes.column(name), dtype=np.float64)

    @cached()
    def line_ratio(self, top: str, bottom: str) -> np.ndarray:
        """``(N,)`` log10 of a flux ratio; NaN where either flux is not positive."""
        return self.codes.derived(f"ratio-{top}", lambda: log_ratio(self.column(top), self.column(bottom)))

    @cached("k", "off", "mode", keep=4)
    def predicted_ratio(self, query: Query, key: str) -> np.ndarray:
        """``(N,)`` one predicted line ratio under the query's toggles."""
        top, bottom = (self.line_prediction(query, line) for line in RATIOS[key])
        return top - bottom

    def line_prediction(self, query: Query, line: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Predictions of one line under the query's toggles: of all galaxies, or of some."""
        exact = self.counterfactuals(query)[self.codes.target_index(line)]
        return exact.prediction(query.off, query.mode) if rows is None else exact.at(rows, query.off, query.mode)

    def values(self, key: str, query: Query) -> np.ndarray:
        """``(N,)`` of a quantity."""
        return self.quantities[key].values(query)

    def at(self, key: str, query: Query, rows: np.ndarray) -> np.ndarray:
        """``(len(rows),)`` float64 of a quantity for a few galaxies; the others' predictions are not computed."""
        if key == "prediction":
            return self.prediction_at(query, rows)
        if key == "residual":
            return self.prediction_at(query, rows) - self.truth(query.target)[rows]
        if key == "activation":
            return self._activation_in(self.gated(query), query.feature, rows)
        return self.values(key, query)[rows]

    def drawn_values(self, key: str, query: Query) -> np.ndarray:
        """A quantity of the galaxies drawn; the others' predictions are not computed."""
        rows = self.drawn(query)
        if len(rows) == len(self.view(query)):
            return of(self.values(key, query), rows)
        if key == "prediction" and query.off:
            return predictions(self.drawn_codes(query), query.target, query.off, query.mode)
        if key == "prediction":
            return self.drawn_all_on(query)
        if key == "residual":
            return self.drawn_values("prediction", query) - self.drawn_values("truth", query)
        if key == "activation":
            return self._activation_in(self.drawn_codes(query), query.feature)
        fields = self.quantities[key].fields
        if fields & {"off", "feature"}:
            return self.values(key, query)[rows]
        return self._lasting(narrowed(query, *dict.fromkeys([*IN_VIEW, *sorted(fields)])), key)

    @cached(keep=8)
    def _lasting(self, query: Query, key: str) -> np.ndarray:
        """A quantity of the galaxies drawn that no toggle changes."""
        return self.values(key, query)[self.drawn(query)]

    @cached(*IN_VIEW, "k", keep=8)
    def drawn_all_on(self, query: Query) -> np.ndarray:
        """Predictions of the galaxies drawn with all features on."""
        return of(self.all_on(query), self.drawn(query))

    @staticmethod
    def _activation_in(codes: SparseCodes | Part, feature: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Gated activations of a feature in some rows of codes, all by default, without a pass over the others."""
        which = slice(None) if rows is None else rows
        indices, values = codes.indices[which, : codes.k], codes.values[which]
        found = np.zeros(len(indices))
        if feature >= 0:
            row, slot = np.nonzero(indices == feature)
            found[row] = values[row, slot]
        return found

    # -- one galaxy --------------------------------------------------------------------------------------------

    def terms(self, query: Query, row: int) -> list[dict[str, Any]]:
        """The galaxy's contributions, largest |contribution| first.

        Each term has ``feature``, ``activation``, ``weight``, ``contribution`` (weight × activation), ``slot`` in
        the code, and ``state``: 'on', 'off' (switched off, not counted) or 'refill' (a runner-up in a free place).
        """
        codes, weight = self.gated(query), self.codes.weight[query.target]
        counted = set(surviving_slots(codes, row, query.off, query.mode).tolist())
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

    def runners_up(self, query: Query, row: int) -> list[tuple[int, float]]:
        """The features that did not pass the gate, strongest first: (feature, activation)."""
        codes = self.gated(query)
        pairs = zip(codes.indices[row, codes.k :], codes.values[row, codes.k :], strict=True)
        return [(int(f), float(a)) for f, a in pairs if f >= 0 and a > 0]

    # -- the gallery -------------------------------------------------------------------------------------------

    def listed(self, query: Query) -> np.ndarray:
        """Rows of the gallery, sorted: the selected galaxies, else those in view.

        Unknown values are last, ties keep the table's order.
        """
        if query.sort not in self.quantities:
            return self._unsorted(query)
        fields = self.quantities[query.sort].fields
        if not query.selection and not query.filter and fields <= {"target", "k"}:
            return self._kept_order(query)
        sort = ("selection", "sort", "descending")
        return self._order(narrowed(query, *dict.fromkeys([*IN_VIEW, *sort, *sorted(fields)])))

    def _unsorted(self, query: Query) -> np.ndarray:
        return unpack_rows(query.selection) if query.selection else self.view(query)

    @cached(keep=2)
    def _order(self, query: Query) -> np.ndarray:
        return self._ranked(query, self._unsorted(query))

    def _ranked(self, query: Query, rows: np.ndarray) -> np.ndarray:
        values = self.values(query.sort, query)[rows]
        return rows[np.argsort(-values if query.descending else values, kind="stable")]  # NaN sorts last

    @cached("sort", "descending", "split", "target", "k", keep=2)
    def _kept_order(self, query: Query) -> np.ndarray:
        """The order of a split's galaxies by what no toggle changes; of many, kept beside the codes."""
        rows = self.rows(query.split)
        if len(rows) <= KEPT_ORDER:
            return self._ranked(query, rows)
        sort = hashlib.blake2b(query.sort.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        way = "down" if query.descending else "up"
        name = f"order-{sort}-{way}-{query.split or 'all'}-{query.target}-k{query.k}"
        return self.codes.derived(name, lambda: self._ranked(query, rows))
