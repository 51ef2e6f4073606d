"""What is special about a selection of galaxies: its features, its BPT mix, its medians, each beside the rest's.

A *selection* is rows of the codes (positions or a mask); the *rest* is every other galaxy of ``within`` (all of them by
default: a page that shows one split passes that split's rows). Activations have no unit, contributions and predictions
the target's (dex for 12 + log10(O/H)), catalogue columns their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sfnet_core.astro.galaxy_classes import CLASSES, galaxy_classes
from sfnet_core.stats.proportions import Z95, benjamini_hochberg, fisher_exact, wilson
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["Mix", "bpt_mix", "enrichment", "medians", "positions"]

SMALL = 5.0  # an expected count below this asks for the exact test (Cochran 1954, Biometrics 10, 417)
NOT_MEASURED = (-99.0, -999.0, -9999.0)  # what MPA-JHU and others write for it


# ---- features


def enrichment(
    codes: SparseCodes, selection: Any, *, within: Any = None, target: int | str = 0
) -> dict[str, np.ndarray]:
    """Features that fire more or less often in a selection than in the rest, the clearest first; arrays (A,).

    Per feature that fires on any of the galaxies: ``feature``; ``fires``, ``rate`` in the selection and
    ``fires_rest``, ``rate_rest``; ``odds``, the odds ratio (a + ½)(d + ½) / ((b + ½)(c + ½)) of the 2 × 2 table
    a, b = fires, silent in the selection and c, d = fires, silent in the rest (Haldane 1956, Ann. Hum. Genet. 20, 309;
    Anscombe 1956, Biometrika 43, 461), so that an empty cell gives a finite ratio; ``low``, ``high``: its 95 % interval
    from the standard error √(Σ 1/(cell + ½)) of the logarithm (Woolf 1955, Ann. Hum. Genet. 19, 251; Gart 1966,
    Biometrika 53, 129); ``p``, two-sided: Fisher's exact test where an expected count is below 5, else of the log odds
    ratio / its standard error as a normal deviate; ``exact``: where Fisher's; ``q``: the smallest false discovery rate
    at which the feature is reported (Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57, 289) over the features listed;
    ``difference``: mean activation in the selection minus in the rest (0 where silent); ``contribution``: the same of
    weight × activation, in the target's unit. Ranked by |log odds ratio| / standard error; ties: the lower feature.

    Raises :class:`SFNetError` when the selection or the rest is empty.
    """
    t = codes.target_index(target)
    inside, outside = _two_groups(codes, selection, within)
    a, sum_in = _fires(codes, inside)
    c, sum_out = _fires(codes, outside)
    feature = np.flatnonzero(a + c)
    a, c = a[feature], c[feature]
    n1, n0 = len(inside), len(outside)
    cells = np.stack([a, n1 - a, c, n0 - c]) + 0.5
    log_odds = np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    error = np.sqrt((1 / cells).sum(axis=0))
    p = np.array([math.erfc(z / math.sqrt(2)) for z in np.abs(log_odds) / error])
    fires = a + c
    exact = np.minimum(n1, n0) * np.minimum(fires, n1 + n0 - fires) / (n1 + n0) < SMALL
    p[exact] = fisher_exact(a[exact], n1 - a[exact], c[exact], n0 - c[exact])
    difference = sum_in[feature] / n1 - sum_out[feature] / n0
    found = {
        "feature": feature,
        "fires": a,
        "rate": a / n1,
        "fires_rest": c,
        "rate_rest": c / n0,
        "odds": np.exp(log_odds),
        "low": np.exp(log_odds - Z95 * error),
        "high": np.exp(log_odds + Z95 * error),
        "p": p,
        "q": benjamini_hochberg(p),
        "exact": exact,
        "difference": difference,
        "contribution": codes.weight[t][feature] * difference,
    }
    order = np.argsort(-np.abs(log_odds) / error, kind="stable")
    return {name: array[order] for name, array in found.items()}


# ---- kinds of galaxies


class Mix(NamedTuple):
    """Shares of :data:`CLASSES` among the classified galaxies, with 95 % Wilson intervals; arrays (4,)."""

    counts: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    classified: int
    unclassified: int


def bpt_mix(codes: SparseCodes, selection: Any, *, within: Any = None) -> tuple[Mix, Mix] | None:
    """The mix of a selection and of the rest; ``None`` where the catalogue has neither classes nor line fluxes."""
    groups = _two_groups(codes, selection, within)
    kind = galaxy_classes(codes)
    return None if kind is None else tuple(_mix(kind[rows]) for rows in groups)


def _mix(kind: np.ndarray) -> Mix:
    counts = np.bincount(kind[kind >= 0], minlength=len(CLASSES))
    n = int(counts.sum())
    share = counts / n if n else np.full(len(CLASSES), np.nan)
    return Mix(counts, share, *wilson(counts, n), n, len(kind) - n)


def medians(
    codes: SparseCodes, selection: Any, *, within: Any = None, columns: Sequence[str] | None = None
) -> dict[str, list]:
    """Medians of catalogue columns for a selection and the rest, as lists by column.

    Keys: ``column``, ``unit``; ``n`` (galaxies with a value), ``median``, ``low``, ``high``; the same with ``_rest``.
    The 95 % interval needs no distribution: the order statistics number (n + 1 ± 1.96 √n)/2, rounded outwards (normal
    approximation of the binomial; Conover 1999, *Practical Nonparametric Statistics*, 3.2), NaN below 6 galaxies.
    −99, −999 and −9999 count as not measured. ``columns``: by default every one that holds numbers with a fraction,
    so no classes.
    """
    groups = _two_groups(codes, selection, within)
    if columns is None:
        columns = [name for name in codes.columns if codes.column(name).dtype.kind == "f"]
    keys = ("n", "median", "low", "high")
    found: dict[str, list] = {name: [] for name in ("column", "unit", *keys, *(f"{key}_rest" for key in keys))}
    for name in columns:
        values = codes.column(name)
        if values.dtype.kind not in "biuf":
            raise SFNetError(f"The column {name!r} holds text; a median is of numbers.")
        found["column"].append(name)
        found["unit"].append(codes.column_units.get(name, ""))
        for rows, suffix in zip(groups, ("", "_rest"), strict=True):
            for key, value in zip(keys, _median(values[rows].astype(np.float64)), strict=True):
                found[key + suffix].append(value)
    return found


def _median(values: np.ndarray) -> tuple[int, float, float, float]:
    good = np.isfinite(values)
    for number in NOT_MEASURED:
        good &= values != number
    values = values[good]
    n = len(values)
    if not n:
        return 0, math.nan, math.nan, math.nan
    reach = Z95 * math.sqrt(n) / 2
    first = max(math.floor((n + 1) / 2 - reach) - 1, 0)  # from 0
    places = sorted({(n - 1) // 2, n // 2, first, n - 1 - first})
    part = np.partition(values, places)
    median = float(0.5 * (part[(n - 1) // 2] + part[n // 2]))
    return n, median, *((float(part[first]), float(part[n - 1 - first])) if n >= 6 else (math.nan, math.nan))


def _fires(codes: SparseCodes, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each feature fires and the sum of its activations over some rows, (F,) each."""
    everything = len(rows) == len(codes)
    count, total = np.zeros(codes.features + 1, dtype=np.int64), np.zeros(codes.features + 1)
    for slot in range(codes.k):
        index, value = codes.indices[:, slot], codes.values[:, slot]
        index, value = (index, value) if everything else (index[rows], value[rows])
        shifted = index.astype(np.int64) + 1  # an empty slot, −1, counts at 0
        count += np.bincount(shifted, minlength=codes.features + 1)
        total += np.bincount(shifted, value, minlength=codes.features + 1)
    return count[1:], total[1:]


def positions(codes: SparseCodes, rows: Any) -> np.ndarray:
    """Rows as ascending positions, each once."""
    rows = np.atleast_1d(np.asarray(rows))
    if rows.dtype == bool:
        if len(rows) != len(codes):
            raise SFNetError(f"A mask of {len(rows)} was given for {len(codes)} galaxies.")
        return np.flatnonzero(rows)
    if rows.size and (rows.min() < 0 or rows.max() >= len(codes)):
        raise SFNetError(f"There are {len(codes)} galaxies; a row outside them was requested.")
    mask = np.zeros(len(codes), dtype=bool)
    mask[rows.astype(np.int64)] = True
    return np.flatnonzero(mask)


def _two_groups(codes: SparseCodes, selection: Any, within: Any) -> tuple[np.ndarray, np.ndarray]:
    """The selection and the rest of ``within``, both as positions; the selection counts inside ``within`` only."""
    view = np.ones(len(codes), dtype=bool)
    if within is not None:
        view[:] = False
        view[positions(codes, within)] = True
    chosen = np.zeros(len(codes), dtype=bool)
    chosen[positions(codes, selection)] = True
    inside, outside = np.flatnonzero(view & chosen), np.flatnonzero(view & ~chosen)
    if not len(inside):
        raise SFNetError("No galaxy in view is selected; select some, with the lasso or a filter.")
    if not len(outside):
        raise SFNetError("Every galaxy in view is selected, so there is no rest to compare with; select fewer.")
    return inside, outside
