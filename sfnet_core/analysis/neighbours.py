"""The galaxies most like a given one, by their codes or by the catalogue: exact, over all N."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sfnet_core.analysis.enrichment import NOT_MEASURED, positions
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = [
    "ByCatalogue",
    "ByCode",
    "code_norms",
    "nearest_by_catalogue",
    "nearest_by_code",
    "nearest_to_code",
    "shared_features",
    "similarity",
]

MEASURES = ("cosine", "shared")

PROPERTIES = ("lgm_tot_p50", "sfr_tot_p50", "z")  # log10(M/M☉), log10(M☉/yr), redshift: the default where known


class ByCode(NamedTuple):
    """``rows`` (M,), nearest first; ``cosine`` (M,) of the two codes, 0 to 1; ``shared`` (M,) features both keep."""

    rows: np.ndarray
    cosine: np.ndarray
    shared: np.ndarray


class ByCatalogue(NamedTuple):
    """``rows`` (M,), nearest first; ``distance`` (M,) in standard deviations; ``columns`` it was measured in."""

    rows: np.ndarray
    distance: np.ndarray
    columns: list[str]


def nearest_by_code(
    codes: SparseCodes,
    row: int,
    n: int = 12,
    *,
    by: str = "cosine",
    within: Any = None,
    norms: np.ndarray | None = None,
) -> ByCode:
    """The galaxies whose codes are most like a galaxy's own; those that share no feature with it are no neighbours.

    Parameters
    ----------
    codes
        The galaxies.
    row
        The galaxy, which is left out.
    n
        How many at most.
    by
        ``cosine``: by falling Σ a b / (|a| |b|) over the k kept activations (0 where silent), ties by more shared
        features; ``shared``: by the number of features both keep, ties by cosine; then the earlier row.
    within
        Rows or a mask of the galaxies looked at; all by default.
    norms
        (N,) of :func:`code_norms`, which saves time where it is asked often.

    Returns
    -------
    ByCode
        Rows, cosines and numbers of shared features.
    """
    if by not in MEASURES:
        raise SFNetError(f"Neighbours are found by `cosine` or by `shared` features, not by {by!r}.")
    row = _row(codes, row)
    kept = codes.indices[row, : codes.k], codes.values[row, : codes.k]
    return nearest_to_code(codes, *kept, n, by=by, within=within, norms=norms, skip=row)


def nearest_to_code(
    codes: SparseCodes,
    features: np.ndarray,
    activations: np.ndarray,
    n: int = 12,
    *,
    by: str = "cosine",
    within: Any = None,
    norms: np.ndarray | None = None,
    skip: int = -1,
) -> ByCode:
    """As :func:`nearest_by_code`, for a code from elsewhere.

    Parameters
    ----------
    codes, n, by, within, norms
        As of :func:`nearest_by_code`.
    features, activations
        (≤ k,) the code's kept slots, see :func:`similarity`.
    skip
        A row that is left out.

    Returns
    -------
    ByCode
        Rows, cosines and numbers of shared features.
    """
    if by not in MEASURES:
        raise SFNetError(f"Neighbours are found by `cosine` or by `shared` features, not by {by!r}.")
    cosine, shared = similarity(codes, features, activations, norms=norms)
    rows = _candidates(codes, skip, within, shared > 0)
    first, second = (cosine, shared) if by == "cosine" else (shared, cosine)
    rows = _shortlist(rows, -first[rows], n)
    rows = rows[np.lexsort((rows, -second[rows], -first[rows]))][: max(int(n), 0)]
    return ByCode(rows, cosine[rows], shared[rows])


def similarity(
    codes: SparseCodes, features: np.ndarray, activations: np.ndarray, *, norms: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compare one code with all N.

    The codes are read slot by slot against one table of the activations; every slot is one pass over memory, as fast
    for N = 250,000 as an index by feature, which pays only where features are rare.

    Parameters
    ----------
    codes
        The galaxies.
    features, activations
        (≤ k,) the one code's kept slots; −1 is an empty slot.
    norms
        (N,) of :func:`code_norms`, which saves time where it is asked often.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        ``cosine`` (N,) float64, 0 with a code that keeps nothing, and ``shared`` (N,) int16, the features both keep.
    """
    kept = np.asarray(features) >= 0
    activation = np.zeros(codes.features + 1)  # the last entry answers for an empty slot, −1
    activation[np.asarray(features)[kept]] = np.asarray(activations)[kept]
    dot, shared = np.zeros(len(codes)), np.zeros(len(codes), dtype=np.int16)
    for slot in range(codes.k):
        found = activation[codes.indices[:, slot]]
        dot += found * codes.values[:, slot]
        shared += found > 0
    norms = code_norms(codes) if norms is None else norms
    size = norms * np.sqrt((activation**2).sum())
    return np.minimum(np.divide(dot, size, where=size > 0, out=np.zeros(len(codes))), 1.0), shared


def code_norms(codes: SparseCodes) -> np.ndarray:
    """(N,) float64: √Σ a² over the kept activations."""
    total = np.zeros(len(codes))
    for slot in range(codes.k):
        total += codes.values[:, slot].astype(np.float64) ** 2
    return np.sqrt(total)


def shared_features(codes: SparseCodes, row: int, other: int) -> np.ndarray:
    """Features that both galaxies keep, in the order of the first one's activations."""
    mine, theirs = codes.indices[_row(codes, row), : codes.k], codes.indices[_row(codes, other), : codes.k]
    return mine[(mine >= 0) & np.isin(mine, theirs)].astype(np.int64)


def nearest_by_catalogue(
    codes: SparseCodes, row: int, n: int = 12, *, columns: Sequence[str] | None = None, within: Any = None
) -> ByCatalogue:
    """The galaxies nearest to one in catalogue columns, each divided by its standard deviation (Euclidean).

    Parameters
    ----------
    codes
        The galaxies.
    row
        The galaxy, which is left out.
    n
        How many at most.
    columns
        By default mass, SFR and redshift, those of them that the catalogue has and that are known for this galaxy. A
        column that does not vary is left out.
    within
        Rows or a mask of the galaxies looked at, all by default; standard deviations are over them.

    Returns
    -------
    ByCatalogue
        Rows and distances; galaxies with a value missing take no part; ties: the earlier row.

    Raises
    ------
    SFNetError
        No column is left to measure in, or a named one is text or unknown for the galaxy.
    """
    row = _row(codes, row)
    chosen = [name for name in PROPERTIES if name in codes.columns] if columns is None else list(columns)
    pool = np.arange(len(codes)) if within is None else positions(codes, within)
    total, known, used = np.zeros(len(codes)), np.ones(len(codes), dtype=bool), []
    for name in chosen:
        values = codes.column(name)
        if values.dtype.kind not in "biuf":
            raise SFNetError(f"The column {name!r} holds text; distances are measured in numbers.")
        values = values.astype(np.float64)
        good = np.isfinite(values) & ~np.isin(values, NOT_MEASURED)
        if not good[row]:
            if columns is not None:
                raise SFNetError(f"{name} is not known for galaxy {codes.ids[row]}; leave it out of the distance.")
            continue
        sample = values[pool][good[pool]]
        spread = sample.std() if sample.size else 0.0
        if not spread > 1e-12 * np.abs(sample).max(initial=0.0):  # rounding error is no spread
            continue
        known &= good
        total += ((np.where(good, values, 0.0) - values[row]) / spread) ** 2
        used.append(name)
    if not used:
        raise SFNetError(
            f"No catalogue column to compare galaxy {codes.ids[row]} by: "
            f"{', '.join(chosen) or 'mass, SFR and redshift'} are missing, unknown for it, or the same for all."
        )
    rows = _candidates(codes, row, within, known)
    rows = _shortlist(rows, total[rows], n)
    rows = rows[np.lexsort((rows, total[rows]))][: max(int(n), 0)]
    return ByCatalogue(rows, np.sqrt(total[rows]), used)


def _row(codes: SparseCodes, row: int) -> int:
    if isinstance(row, bool) or int(row) != row or not 0 <= row < len(codes):
        raise SFNetError(f"There is no galaxy in row {row!r}; rows go from 0 to {len(codes) - 1}.")
    return int(row)


def _candidates(codes: SparseCodes, row: int, within: Any, mask: np.ndarray) -> np.ndarray:
    if within is not None:
        inside = np.zeros(len(codes), dtype=bool)
        inside[positions(codes, within)] = True
        mask = mask & inside
    rows = np.flatnonzero(mask)
    return rows[rows != row]


def _shortlist(rows: np.ndarray, key: np.ndarray, n: int) -> np.ndarray:
    """Those of ``rows`` that can be among the ``n`` smallest by ``key``, all ties included: no full sort of N."""
    if len(rows) <= max(n, 1):
        return rows
    return rows[key <= np.partition(key, max(n, 1) - 1)[max(n, 1) - 1]]
