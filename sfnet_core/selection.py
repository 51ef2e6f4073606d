"""What is special about a selection of galaxies: its features, its BPT mix, its medians, each beside the rest's.

A *selection* is rows of the codes (positions or a mask); the *rest* is every other galaxy of ``within`` (all of them by
default: a page that shows one split passes that split's rows). Activations have no unit, contributions and predictions
the target's (dex for 12 + log10(O/H)), catalogue columns their own.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sfnet_core import astro
from sfnet_core.errors import SFNetError
from sfnet_core.interpret import round_to_sum

if TYPE_CHECKING:
    from sfnet_core.codes import SparseCodes

__all__ = [
    "CLASSES",
    "Comparison",
    "Mix",
    "benjamini_hochberg",
    "bpt_mix",
    "compare",
    "enrichment",
    "fisher_exact",
    "galaxy_classes",
    "line_ratio",
    "medians",
    "wilson",
]

Z95 = 1.959963984540054  # Φ⁻¹(0.975)
SMALL = 5.0  # an expected count below this asks for the exact test (Cochran 1954, Biometrics 10, 417)
CLASSES = ("SF", "composite", "AGN", "LINER")
LINES = ("nii_6584", "h_alpha", "oiii_5007", "h_beta")
RATIOS = {"n2_ha": ("nii_6584_flux", "h_alpha_flux"), "o3_hb": ("oiii_5007_flux", "h_beta_flux")}
NOT_MEASURED = (-99.0, -999.0, -9999.0)  # what MPA-JHU and others write for it


# ---- features


def enrichment(codes: SparseCodes, selection: Any, *, within: Any = None, target: int | str = 0) -> dict[str, np.ndarray]:
    """Features that fire more or less often in a selection than in the rest, the clearest first; arrays (A,).

    Per feature that fires on any of the galaxies: ``feature``; ``fires``, ``rate`` in the selection and ``fires_rest``,
    ``rate_rest``; ``odds``, the odds ratio (a + ½)(d + ½) / ((b + ½)(c + ½)) of the 2 × 2 table a, b = fires, silent in
    the selection and c, d = fires, silent in the rest (Haldane 1956, Ann. Hum. Genet. 20, 309; Anscombe 1956, Biometrika
    43, 461), so that an empty cell gives a finite ratio; ``low``, ``high``: its 95 % interval from the standard error
    √(Σ 1/(cell + ½)) of the logarithm (Woolf 1955, Ann. Hum. Genet. 19, 251; Gart 1966, Biometrika 53, 129);
    ``p``, two-sided: Fisher's exact test where an expected count is below 5, else of log odds ratio / its standard
    error as a normal deviate; ``exact``: where Fisher's; ``q``: the smallest false discovery rate at which the feature
    is reported (Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57, 289) over the features listed; ``difference``: mean
    activation in the selection minus in the rest (0 where silent); ``contribution``: the same of weight × activation, in
    the target's unit. Ranked by |log odds ratio| / standard error; ties: the lower feature.

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


def fisher_exact(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Two-sided p of Fisher's exact test of tables [[a, b], [c, d]], (M,) counts each: the summed probability of the
    tables with the same margins that are no likelier than the one seen (Fisher 1934, *Statistical Methods*, 21.02)."""
    a, b, c, d = (np.asarray(count, dtype=np.int64) for count in (a, b, c, d))
    if not a.size:
        return np.ones(0)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int((a + b + c + d).max()) + 1)))])
    out = np.empty(a.size)
    for i, (w, x, y, z) in enumerate(zip(a.tolist(), b.tolist(), c.tolist(), d.tolist(), strict=True)):
        first = np.arange(max(0, w - z), min(w + x, w + y) + 1)
        chance = log_factorial[first] + log_factorial[w + x - first] + log_factorial[w + y - first]
        chance = -(chance + log_factorial[z - w + first])
        chance -= chance.max()
        seen = chance[w - first[0]]
        weight = np.exp(chance)
        out[i] = weight[chance <= seen + 1e-7].sum() / weight.sum()
    return np.minimum(out, 1.0)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q-values (M,) of p-values (M,): q₍ᵢ₎ = min over j ≥ i of p₍ⱼ₎ M / j, at most 1 (Benjamini & Hochberg 1995)."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    q = np.empty(p.size)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


# ---- kinds of galaxies


def line_ratio(codes: SparseCodes, name: str) -> np.ndarray | None:
    """(N,) float64 of ``n2_ha`` = log10([NII]λ6584/Hα) or ``o3_hb`` = log10([OIII]λ5007/Hβ), NaN where unknown.

    ``None`` where the catalogue lacks the fluxes (columns ``nii_6584_flux`` and so on, as in MPA-JHU).
    """
    return astro.log_ratio(*map(codes.column, RATIOS[name])) if set(RATIOS[name]) <= set(codes.columns) else None


def galaxy_classes(codes: SparseCodes) -> np.ndarray | None:
    """(N,) int8: position in :data:`CLASSES`, −1 where unclassified; ``None`` where the catalogue does not tell.

    From the column ``bptclass`` (MPA-JHU: 1 and 2 star-forming, 3 composite, 4 AGN, 5 low-S/N LINER; Brinchmann et al.
    2004), else from the four line fluxes with the same scheme (with their errors where the catalogue has all four).
    """
    if "bptclass" in codes.columns and codes.column("bptclass").dtype.kind in "iuf":
        number = codes.column("bptclass")
    else:
        flux, error = [f"{line}_flux" for line in LINES], [f"{line}_flux_err" for line in LINES]
        if not set(flux) <= set(codes.columns):
            return None
        errors = error if set(error) <= set(codes.columns) else []
        number = astro.bpt_class_from_fluxes(*map(codes.column, [*flux, *errors]))
    out = np.full(len(codes), -1, dtype=np.int8)
    for value, place in ((1, 0), (2, 0), (3, 1), (4, 2), (5, 3)):
        out[number == value] = place
    return out


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


def wilson(count: np.ndarray | int, n: int, z: float = Z95) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of a share ``count``/``n`` (Wilson 1927, J. Am. Stat. Assoc. 22, 209); NaN for n = 0."""
    count = np.asarray(count, dtype=np.float64)
    if n == 0:
        return np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    share, more = count / n, z * z / n
    centre = share + more / 2
    reach = z * np.sqrt(share * (1 - share) / n + more / (4 * n))
    low, high = (centre - reach) / (1 + more), (centre + reach) / (1 + more)
    # rounding must not push the ends past the share of none or all
    return np.where(count == 0, 0.0, np.maximum(low, 0.0)), np.where(count == n, 1.0, np.minimum(high, 1.0))


def medians(
    codes: SparseCodes, selection: Any, *, within: Any = None, columns: Sequence[str] | None = None
) -> dict[str, list]:
    """Medians of catalogue columns for a selection and the rest, as lists by column.

    Keys: ``column``, ``unit``; ``n`` (galaxies with a value), ``median``, ``low``, ``high`` and the same with ``_rest``.
    The 95 % interval needs no distribution: the order statistics number (n ± 1.96 √n)/2 (normal approximation of the
    binomial; Conover 1999, *Practical Nonparametric Statistics*, 3.2), NaN below 6 galaxies. −99, −999 and −9999 count as
    not measured. ``columns``: by default every one that holds numbers, but no whole numbers such as classes.
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
    first = max(math.floor(n / 2 - reach), 0)  # from 0
    places = sorted({(n - 1) // 2, n // 2, first, n - 1 - first})
    part = np.partition(values, places)
    median = float(0.5 * (part[(n - 1) // 2] + part[n // 2]))
    return n, median, *((float(part[first]), float(part[n - 1 - first])) if n >= 6 else (math.nan, math.nan))


# ---- two galaxies, two selections


@dataclass(frozen=True)
class Comparison:
    """Mean contributions of two groups, feature by feature; in the target's unit.

    ``feature`` (A,) every feature that contributes to either, by falling |difference|; ``a``, ``b`` (A,) mean
    contribution over all galaxies of the group; ``difference`` = a − b; ``rate_a``, ``rate_b`` (A,) share of the group on
    which it contributes; ``prediction_a``, ``prediction_b`` mean predictions, whose difference is ``total``: the sum of
    ``difference`` (the bias cancels), to float rounding and, in :meth:`texts`, to the last digit written.
    """

    feature: np.ndarray
    a: np.ndarray
    b: np.ndarray
    difference: np.ndarray
    rate_a: np.ndarray
    rate_b: np.ndarray
    prediction_a: float
    prediction_b: float
    bias: float
    n_a: int
    n_b: int
    unit: str

    @property
    def total(self) -> float:
        """Mean prediction of the first group minus that of the second."""
        return self.prediction_a - self.prediction_b

    def texts(self, digits: int = 4) -> list[str]:
        """``difference`` as decimals that add up to ``f"{total:.{digits}f}"`` exactly (largest remainder)."""
        return round_to_sum(self.difference.tolist(), self.total, digits)


def compare(
    codes: SparseCodes, a: Any, b: Any, *, target: int | str = 0, off: Collection[int] = (), mode: str = "ablate"
) -> Comparison:
    """Two galaxies (rows) or two selections of any sizes, overlapping or not, contribution by contribution.

    ``off`` and ``mode`` as in :func:`sfnet_core.interpret.predict`. Raises :class:`SFNetError` for an empty group.
    """
    t = codes.target_index(target)
    if mode not in ("ablate", "refill"):
        raise SFNetError(f"The mode is `ablate` or `refill`, not {mode!r}.")
    groups = [_positions(codes, group) for group in (a, b)]
    if not all(map(len, groups)):
        raise SFNetError("One of the two groups to compare has no galaxy; choose at least one for each.")
    sums, fires = zip(*(_contributing(codes, rows, t, off, mode) for rows in groups), strict=True)
    mean = [total / len(rows) for total, rows in zip(sums, groups, strict=True)]
    feature = np.flatnonzero(fires[0] + fires[1])
    difference = mean[0][feature] - mean[1][feature]
    feature = feature[np.argsort(-np.abs(difference), kind="stable")]
    bias = float(codes.bias[t])
    return Comparison(
        feature=feature,
        a=mean[0][feature],
        b=mean[1][feature],
        difference=mean[0][feature] - mean[1][feature],
        rate_a=fires[0][feature] / len(groups[0]),
        rate_b=fires[1][feature] / len(groups[1]),
        prediction_a=bias + math.fsum(mean[0].tolist()),
        prediction_b=bias + math.fsum(mean[1].tolist()),
        bias=bias,
        n_a=len(groups[0]),
        n_b=len(groups[1]),
        unit=codes.units.get(codes.targets[t], ""),
    )


def _contributing(
    codes: SparseCodes, rows: np.ndarray, t: int, off: Collection[int], mode: str
) -> tuple[np.ndarray, np.ndarray]:
    """Σ of contributions and how many galaxies they come from, per feature (F,)."""
    width = codes.k if mode == "ablate" else codes.indices.shape[1]
    indices, values = codes.indices[rows, :width], codes.values[rows, :width]
    alive = indices >= 0
    if off:
        alive &= ~np.isin(indices, list(off))
    if mode == "refill":
        alive &= np.cumsum(alive, axis=1) <= codes.k
    feature = indices[alive].astype(np.int64)
    term = codes.weight[t][feature] * values[alive]
    return np.bincount(feature, term, minlength=codes.features), np.bincount(feature, minlength=codes.features)


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


def _positions(codes: SparseCodes, rows: Any) -> np.ndarray:
    """Rows as ascending positions, each once."""
    rows = np.atleast_1d(np.asarray(rows))
    if rows.dtype == bool:
        if len(rows) != len(codes):
            raise SFNetError(f"A mask of {len(rows)} was given for {len(codes)} galaxies.")
        return np.flatnonzero(rows)
    if rows.size and (rows.min() < 0 or rows.max() >= len(codes)):
        raise SFNetError(f"There are {len(codes)} galaxies; a row outside them was asked for.")
    mask = np.zeros(len(codes), dtype=bool)
    mask[rows.astype(np.int64)] = True
    return np.flatnonzero(mask)


def _two_groups(codes: SparseCodes, selection: Any, within: Any) -> tuple[np.ndarray, np.ndarray]:
    """The selection and the rest of ``within``, both as positions; the selection counts inside ``within`` only."""
    view = np.ones(len(codes), dtype=bool)
    if within is not None:
        view[:] = False
        view[_positions(codes, within)] = True
    chosen = np.zeros(len(codes), dtype=bool)
    chosen[_positions(codes, selection)] = True
    inside, outside = np.flatnonzero(view & chosen), np.flatnonzero(view & ~chosen)
    if not len(inside):
        raise SFNetError("No galaxy in view is selected; select some, with the lasso or a filter.")
    if not len(outside):
        raise SFNetError("Every galaxy in view is selected, so there is no rest to compare with; select fewer.")
    return inside, outside
