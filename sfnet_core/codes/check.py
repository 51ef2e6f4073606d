"""What a sparse code must be, whoever made it: the same checks before writing and after reading."""

from __future__ import annotations

from typing import Any

import numpy as np

from sfnet_core.codes.header import Header
from sfnet_core.codes.ids import first_repeated, hash_order
from sfnet_core.utils.errors import SFNetError

SPLITS = ("train", "validation", "test", "")
LONG_TEXT = 256  # characters; no identifier is longer


def linear(header: Header, indices: np.ndarray, values: np.ndarray, target: int) -> np.ndarray:
    """bias + Σ weight × activation over the first k slots, added slot by slot.

    Parameters
    ----------
    header : Header
        Gate and head.
    indices, values : (N, k + r)
        The codes.
    target : int
        Position of the target.

    Returns
    -------
    (N,) float64
        In the target's unit.
    """
    weight = np.append(header.dense_weight()[target], 0.0)  # index -1, an empty slot, finds the 0 at the end
    total = np.full(len(indices), header.bias[target])
    for slot in range(header.k):
        total += weight[indices[:, slot]] * values[:, slot]
    return total


def margin_of(values: np.ndarray, k: int) -> np.ndarray:
    """(N,) float32: the k-th minus the (k+1)-th of (N, k+r) falling activations; NaN without runners-up."""
    return values[:, k - 1] - values[:, k] if values.shape[1] > k else np.full(len(values), np.nan, np.float32)


def rows_of(rows: Any, n: int) -> np.ndarray:
    """Positions of galaxies.

    Parameters
    ----------
    rows
        Positions, a slice or a mask.
    n : int
        How many galaxies there are.

    Returns
    -------
    (n_rows,) int64

    Raises
    ------
    SFNetError
        Where a position lies outside them.
    """
    if isinstance(rows, slice):
        return np.arange(n)[rows]
    rows = np.atleast_1d(np.asarray(rows))
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
    if len(rows) and (rows.min() < -n or rows.max() >= n):
        raise SFNetError(f"There are {n} galaxies; a row outside them was requested.")
    return rows


def split_codes(texts: np.ndarray) -> np.ndarray:
    """(N,) int8: each galaxy's split as its place in :data:`SPLITS`, -1 where it is none of them."""
    found = np.full(len(texts), -1, dtype=np.int8)
    for place, name in enumerate(SPLITS):
        found[texts == name] = place
    return found


def check_arrays(header: Header, core: dict[str, np.ndarray], where: str, start: int = 0) -> None:
    """Refuse what is no sparse code: shapes, finite, ≥ 0, falling, each feature once, index -1 exactly where 0.

    ``core`` holds the galaxies from row ``start`` (0 is the first) on; that no two have the same identifier is left to
    :func:`check_ids`, which needs them all.
    """
    indices, values, n = core["indices"], core["values"], len(core["id"])
    if indices.ndim != 2 or indices.shape != values.shape or len(indices) != n or indices.shape[1] < header.k:
        raise SFNetError(
            f"{where}: `indices` {indices.shape} and `values` {values.shape} must both be ({n}, k + r), "
            f"with k = {header.k}."
        )
    for name, array in core.items():
        if array.ndim == 1 and len(array) != n:
            raise SFNetError(f"{where}: column `{name}` has {len(array)} rows and `id` has {n}.")

    def refuse(bad: np.ndarray, field: str, why: str) -> None:
        if bad.any():
            row = int(np.argmax(bad.any(axis=1) if bad.ndim == 2 else bad))
            raise SFNetError(f"{where}: `{field}` {why} (row {start + row + 1}, galaxy {core['id'][row]}).")

    refuse(~np.isfinite(values), "values", "holds values that are not finite")
    refuse(values < 0, "values", "holds an activation below 0")
    refuse(values[:, 1:] > values[:, :-1], "values", "is not sorted by falling activation")
    refuse(
        (indices < -1) | (indices >= header.features), "indices", f"names a feature outside 0 to {header.features - 1}"
    )
    refuse((indices == -1) != (values == 0), "indices", "must be -1 exactly where the activation is 0")
    ordered = np.sort(indices, axis=1)
    refuse((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0), "indices", "names a feature twice in one code")
    if core["id"].dtype.kind != "U" or core["id"].dtype.itemsize > 4 * LONG_TEXT:
        raise SFNetError(f"{where}: column `id` holds identifiers of more than {LONG_TEXT} characters.")
    refuse(core["split"] < 0, "split", f"must be one of {', '.join(map(repr, SPLITS))}")


def check_ids(ids: np.ndarray, where: str) -> None:
    """Refuse a table in which two galaxies have the same identifier."""
    row = first_repeated(ids, hash_order(ids))
    if row is not None:
        raise SFNetError(f"{where}: `id` names a galaxy twice (row {row + 1}, galaxy {ids[row]}).")


def check_predictions(header: Header, core: dict[str, np.ndarray], where: str, start: int = 0) -> None:
    """Refuse predictions that the codes and the head do not give; ``start`` as in :func:`check_arrays`."""
    for t, target in enumerate(header.targets):
        stored, again = core[f"prediction_{target}"], linear(header, core["indices"], core["values"], t)
        bad = ~(np.abs(stored - again) <= 1e-6 * np.maximum(1.0, np.abs(again)))
        if bad.any():
            row = int(np.argmax(bad))
            raise SFNetError(
                f"{where}: `prediction_{target}` is {stored[row]:.6g} for galaxy {core['id'][row]} (row "
                f"{start + row + 1}), but bias + the sum of contributions is {again[row]:.6g}; codes and head do not "
                "belong together."
            )
