"""Training and validation sets, split by object: spectra of one galaxy never fall on both sides. numpy only."""

from __future__ import annotations

import numpy as np

from sfnet_core.utils.errors import SFNetError

__all__ = ["objects", "paper_split", "validation_mask"]

RADIUS = 1.0  # arcsec


def objects(
    ids: np.ndarray,
    ra: np.ndarray | None = None,
    dec: np.ndarray | None = None,
    group: np.ndarray | None = None,
) -> np.ndarray:
    """Which rows are the same object → (N,) int, equal for equal objects, numbered 0… in the order of first rows.

    Rows are joined when they share an identifier, a position (``ra``, ``dec`` in deg, within 1″; a few up to 3.5″ are
    joined too, the safe side for a split), or a value of ``group``; joined rows join on. Missing positions and empty
    group values join nothing.
    """
    n = len(ids)
    label = np.arange(n)
    links = [_first_of(np.unique(np.asarray(ids, dtype=str), return_inverse=True)[1], label)]
    if group is not None:
        group = np.asarray(group)
        known = ~np.isnan(group) if group.dtype.kind == "f" else group.astype(str) != ""
        rows = np.flatnonzero(known)
        links.append(_first_of(np.unique(group[rows], return_inverse=True)[1], rows))
    if ra is not None and dec is not None:
        links += _neighbours(np.asarray(ra, float), np.asarray(dec, float))
    a, b = np.concatenate([pair[0] for pair in links]), np.concatenate([pair[1] for pair in links])
    while True:  # smallest label of all that are linked; pointer jumping makes a chain of any length short
        low = np.minimum(label[a], label[b])
        new = label.copy()
        np.minimum.at(new, label[a], low)
        np.minimum.at(new, label[b], low)
        np.minimum.at(new, a, low)
        np.minimum.at(new, b, low)
        new = new[new]
        if np.array_equal(new, label):
            return np.unique(label, return_inverse=True)[1]
        label = new


def validation_mask(
    ids: np.ndarray,
    *,
    seed: int = 0,
    validation: float = 0.2,
    fold: int | None = None,
    folds: int | None = None,
    ra: np.ndarray | None = None,
    dec: np.ndarray | None = None,
    group: np.ndarray | None = None,
) -> np.ndarray:
    """Which galaxies are held out: whole objects in an order drawn from ``seed``.

    Parameters
    ----------
    ids : (N,) text
        Rows of one identifier are one object.
    seed : int
        Of the order.
    validation : float
        The first objects are held out, up to this share of the rows.
    fold, folds : int, optional
        Instead: the objects are cut into ``folds`` parts of nearly equal size and part ``fold`` (from 0) is held out;
        over all folds every row is held out once.
    ra, dec : (N,) deg, optional
        Rows within 1″ are one object.
    group : (N,) array, optional
        Rows of one group are one object.

    Returns
    -------
    (N,) bool
        True for validation.

    Raises
    ------
    SFNetError
        A fold or share that can't be, or a split that would leave one side empty.
    """
    if (fold is None) != (folds is None):
        raise SFNetError("Give both fold and folds, or neither.")
    if folds is not None and not (folds >= 2 and 0 <= fold < folds):
        raise SFNetError(f"There is no fold {fold} of {folds}; count from 0, with at least 2 folds.")
    if not 0 <= validation < 1:
        raise SFNetError(f"The validation share is {validation}; it must be at least 0 and below 1.")
    label = objects(ids, ra, dec, group)
    size = np.bincount(label)
    if len(size) < (folds or 2):
        raise SFNetError(
            f"All {len(ids):,} rows belong to {len(size)} object(s) by identifier, position or group, "
            "so that they cannot be split. Are the positions or the group column filled in?"
        )
    order = np.random.default_rng([seed, 0]).permutation(len(size))
    middle = np.cumsum(size[order]) - size[order] / 2  # where each object lies among the rows
    if folds is not None:
        chosen = np.minimum((middle * folds / len(ids)).astype(int), folds - 1) == fold
    else:
        chosen = middle < validation * len(ids)
    held = np.zeros(len(size), bool)
    held[order[chosen]] = True
    mask = held[label]
    if mask.all() or (not mask.any() and (folds or validation > 0)):
        raise SFNetError(
            f"{len(ids):,} rows in {len(size):,} objects leave one side of the split empty; use more galaxies."
        )
    return mask


def paper_split(n: int) -> np.ndarray:
    """(N,) bool, True for validation: 20% of the rows by ``torch.manual_seed(256); randperm(n)``, as in Wu (2025)."""
    words = np.random.RandomState(256).randint(0, 2**32, max(n - 1, 0), dtype=np.uint32)  # MT19937, as torch draws them
    order = np.arange(n)
    for i, step in enumerate((words % np.arange(n, 1, -1, dtype=np.int64)).tolist()):  # as torch.randperm shuffles
        order[i], order[i + step] = order[i + step], order[i]
    mask = np.zeros(n, bool)
    mask[order[: int(0.2 * n)]] = True
    return mask


def _first_of(label: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Links from each row to the first row with the same label."""
    first = np.full(label.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, label, rows)
    return rows, first[label]


def _neighbours(ra: np.ndarray, dec: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Links between rows in the same or touching cells of a grid of 1″ on the unit sphere's own x, y, z."""
    rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    lon, lat = np.radians(ra[rows]), np.radians(dec[rows])
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    cell = np.floor((xyz + 1.0) / np.radians(RADIUS / 3600.0)).astype(np.int64) + 1  # up to 4.2e5: 20 bits an axis
    key = (cell[:, 0] << 40) | (cell[:, 1] << 20) | cell[:, 2]
    cells, label = np.unique(key, return_inverse=True)
    links = [_first_of(label, rows)]
    first = np.zeros(len(cells), np.int64)
    first[label[::-1]] = rows[::-1]
    steps = [(x, y, z) for x in (0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0)]
    for x, y, z in steps:  # 13 of the 26 neighbours; the others are the same pairs the other way round
        wanted = cells + ((x << 40) + (y << 20) + z)
        found = np.minimum(np.searchsorted(cells, wanted), max(len(cells) - 1, 0))
        hit = cells[found] == wanted if len(cells) else np.zeros(0, bool)
        links.append((first[hit], first[found[hit]]))
    return links
