"""What several trainings agree on, as one explanation: a set of codes whose features are groups of matched features.

The prediction is the mean of S trainings' predictions, and it is said as a sum that can be read:

    mean prediction = mean bias + Σ over consensus features (mean contribution) + what is not shared

A consensus feature is a group of features, at most one of each training, whose activations go together; its
contribution to a galaxy is Σ over its members of w a / S, exactly what they add to the mean. All features in no group
make up the rest, in two parts: what raises the prediction and what lowers it. Nothing is left out, so the sum is the
mean prediction of every galaxy.

That this is a valid codes file, and an honest one, rests on one choice: an *activation* of a consensus feature is the
size of its contribution in the target's unit, and its weight is +1 or −1. Members' own activations have no common scale
(every training has its own), so no order among them would mean anything, while falling contributions do: behind a
smaller gate the largest contributions stay. Only features whose weights have one sign are put into a group, so that an
activation is never below 0. With two targets the same activation would have to serve both, which it can't: a consensus
is of one target. k is the largest number of terms that a galaxy has; other galaxies have empty slots. There is no gate,
so there are no runners-up and no margin.

Shape letters: S trainings, n galaxies, G consensus features, k terms of a galaxy, h w feature-map cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.stability.file import FEW, SAME
from sfnet_core.analysis.stability.groups import grouped
from sfnet_core.analysis.stability.matching import unit_activations
from sfnet_core.analysis.stability.seeds import check_trainings, common_galaxies, name_of
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RAISES", "Consensus", "Group", "consensus"]

RAISES, LOWERS = "not shared, raises", "not shared, lowers"  # names of the rest's two parts
_BLOCK = 1 << 14


@dataclass(frozen=True)
class Group:
    """One consensus feature: its number in the codes, its members (training's position, feature), their mean pairwise ρ
    over the ``n`` galaxies of :class:`Consensus`, and the sign of its contributions."""

    feature: int
    members: tuple[tuple[int, int], ...]
    rho: float
    sign: int


@dataclass(frozen=True)
class Consensus:
    """``codes``: the mean of the trainings, term by term; features 0…G−1 are ``groups``, by falling mean size of their
    contributions, G and G + 1 what is not shared (raises, lowers). ``n`` galaxies of ``split`` told which features go
    together; ``rows``: for each training, where the galaxies of ``codes`` are in its own."""

    codes: SparseCodes
    groups: tuple[Group, ...]
    names: tuple[str, ...]
    rows: tuple[np.ndarray, ...]
    n: int
    split: str
    notes: tuple[str, ...] = ()


def consensus(
    files: Sequence[SparseCodes],
    *,
    target: int | str = 0,
    above: float = SAME,
    least: int | None = None,
    split: str | None = None,
    seed: int = 0,
) -> Consensus:
    """Put the features of several trainings into groups and take the mean of their predictions along these.

    The codes hold every galaxy that all the files hold. A galaxy that any training was trained on counts as trained on.

    Parameters
    ----------
    files
        The trainings' codes.
    target
        Its name or number.
    above
        The mean ρ of a group's features with those of another that joins it, see
        :func:`sfnet_core.analysis.stability.groups.grouped`; a feature that fires on fewer than 10 of the galaxies
        joins none.
    least
        In how many trainings a consensus feature must be; by default in more than half.
    split
        On which galaxies it is decided what goes together, as of
        :func:`sfnet_core.analysis.stability.seeds.stability`.
    seed
        Of the shuffled galaxies.

    Returns
    -------
    Consensus
        The groups and their codes.

    Raises
    ------
    SFNetError
        As of :func:`~sfnet_core.analysis.stability.seeds.stability`; the trainings are on different datasets; no
        feature is shared.
    """
    check_trainings(files[0] if files else None, files[1:])
    several = len(files)
    least = several // 2 + 1 if least is None else least
    if not 2 <= least <= several or not 0 < above <= 1:
        raise SFNetError(f"A consensus needs ρ above 0 to 1 in 2 to {several} trainings, not {above:g} in {least}.")
    place = [one.target_index(target) if isinstance(target, str) else target for one in files]
    name = files[0].targets[files[0].target_index(place[0])]
    if any(one.targets[one.target_index(t)] != name for one, t in zip(files, place, strict=True)):
        raise SFNetError(f"Not all of the trainings predict {name}; choose another target.")
    data = {str(one.provenance.get("dataset_fingerprint") or "") for one in files}
    if len(data) > 1:
        raise SFNetError("The codes were made from different datasets: infer every run on one and the same.")
    compared, split, notes = common_galaxies(files, split, np.random.default_rng(seed))
    sides = [_common_features(one, rows) for one, rows in zip(files, compared, strict=True)]
    signs = [np.sign(one.weight[t, side[1]]) for one, t, side in zip(files, place, sides, strict=True)]
    found = grouped([side[0] for side in sides], signs, above, least)
    if not found:
        raise SFNetError(
            f"No feature is found above {above:g} in {least} of the {several} trainings, so they have no consensus; "
            "`sfnet seeds stability` says how far they agree."
        )
    names = tuple(name_of(one) for one in files)
    members = [tuple((s, int(sides[s][1][column])) for s, column in group) for group, _ in found]
    table = _Terms(files, place, members, _shared(files))
    size = np.zeros(len(members))
    for _, terms in table.blocks():
        size += np.abs(terms[:, : len(members)]).sum(axis=0)
    order = np.argsort(-size, kind="stable")
    members = [members[g] for g in order]
    table = _Terms(files, place, members, table.rows)
    groups = tuple(
        Group(number, members[number], found[g][1], 1 if signs[found[g][0][0][0]][found[g][0][0][1]] >= 0 else -1)
        for number, g in enumerate(order.tolist())
    )
    codes = _codes(files, place, name, table, groups, names, above, least, len(compared[0]), split)
    return Consensus(codes, groups, names, tuple(table.rows), len(compared[0]), split, tuple(notes))


def _common_features(codes: SparseCodes, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, A) activations, centred and of length 1, and numbers of the features that fire on galaxies enough to say."""
    units, names, kept = unit_activations(codes, rows)
    often = kept.sum(axis=0) >= FEW
    return units[:, often], names[often]


def _shared(files: Sequence[SparseCodes]) -> list[np.ndarray]:
    """For each file the rows of the galaxies that all hold, in the first file's order."""
    ids = files[0].ids.astype(str)
    for one in files[1:]:
        ids = ids[np.isin(ids, one.ids.astype(str))]
    out = []
    for one in files:
        order = np.argsort(one.ids.astype(str), kind="stable")
        out.append(order[np.searchsorted(one.ids.astype(str)[order], ids)])
    return out


class _Terms:
    """The terms of the mean prediction: (n, G + 2), what each consensus feature and the rest's two parts add."""

    def __init__(
        self,
        files: Sequence[SparseCodes],
        place: Sequence[int],
        members: list[tuple[tuple[int, int], ...]],
        rows: list[np.ndarray],
    ) -> None:
        self.files, self.rows, self.width = files, rows, len(members) + 2
        self._weight, self._column = [], []
        for s, (one, t) in enumerate(zip(files, place, strict=True)):
            weight = np.append(one.weight[t], 0.0) / len(files)  # an empty slot's index −1 finds the 0
            column = np.where(weight >= 0, len(members), len(members) + 1)
            for g, group in enumerate(members):
                column[[feature for training, feature in group if training == s]] = g
            self._weight.append(weight)
            self._column.append(column)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), G + 2) float64 of some of the shared galaxies."""
        out, line = np.zeros((len(rows), self.width)), np.arange(len(rows))
        for one, mine, weight, column in zip(self.files, self.rows, self._weight, self._column, strict=True):
            for slot in range(one.k):
                index = one.indices[mine[rows], slot]
                out[line, column[index]] += weight[index] * one.values[mine[rows], slot]
        return out

    def maps(self, rows: np.ndarray) -> np.ndarray | None:
        """(len(rows), G + 2, h, w) float64 of the same: contribution maps, each cell's mean the term; or ``None``."""
        shapes = {one.map_shape for one in self.files}
        if len(shapes) > 1 or None in shapes:
            return None
        out, line = np.zeros((len(rows), self.width, *shapes.pop())), np.arange(len(rows))
        for one, mine, weight, column in zip(self.files, self.rows, self._weight, self._column, strict=True):
            maps = one.maps(mine[rows])
            for slot in range(one.k):
                index = one.indices[mine[rows], slot]
                out[line, column[index]] += weight[index][:, None, None] * maps[:, slot]
        return out

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(positions among the shared galaxies, their terms), some at a time."""
        for start in range(0, len(self.rows[0]), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(self.rows[0])))
            yield rows, self.of(rows)


class _Maps:
    """(n, k, h, w) the maps of the consensus codes' slots, made when they are asked for."""

    def __init__(self, terms: _Terms, indices: np.ndarray, shape: tuple[int, int]) -> None:
        self._terms, self._indices, self.shape = terms, indices, (*indices.shape, *shape)

    def __getitem__(self, rows: Any) -> np.ndarray:
        rows = np.arange(self.shape[0])[rows]
        found = np.abs(self._terms.maps(rows))  # a slot's cells have one sign, its weight's
        index = self._indices[rows].astype(np.int64)
        maps = np.take_along_axis(found, np.maximum(index, 0)[:, :, None, None], axis=1)
        return np.where((index >= 0)[:, :, None, None], maps, 0.0).astype(np.float32)


def _codes(
    files: Sequence[SparseCodes],
    place: Sequence[int],
    name: str,
    table: _Terms,
    groups: tuple[Group, ...],
    names: tuple[str, ...],
    above: float,
    least: int,
    n: int,
    split: str,
) -> SparseCodes:
    """The terms as sparse codes, with everything else as the first file has it."""
    first, width, several = files[0], table.width, len(files)
    weight = np.array([*(group.sign for group in groups), 1, -1], dtype=np.float64)
    indices = np.full((len(table.rows[0]), width), -1, dtype=np.int16)
    values = np.zeros(indices.shape, dtype=np.float32)
    for rows, terms in table.blocks():
        size = np.abs(terms).astype(np.float32)
        order = np.argsort(-size, axis=1, kind="stable")
        values[rows] = np.take_along_axis(size, order, axis=1)
        indices[rows] = np.where(values[rows] > 0, order, -1)
    k = max(1, int((indices >= 0).sum(axis=1).max(initial=1)))
    indices, values = np.ascontiguousarray(indices[:, :k]), np.ascontiguousarray(values[:, :k])
    shape = first.map_shape if len({one.map_shape for one in files}) == 1 else None
    mine = first.take(table.rows[0])
    d4 = [one.prediction_d4(t) for one, t in zip(files, place, strict=True)]
    known = {"dataset", "dataset_fingerprint", "crop", "cutout_size", "pixel_scale", "normalisation", "trained_on"}
    shared = {
        key: value
        for key, value in first.provenance.items()
        if key in known and all(one.provenance.get(key) == value for one in files)
    }
    note = (
        f"Consensus of {several} trainings: every prediction is the mean of theirs. A feature is a group of features "
        f"found above ρ = {above:g} in at least {least} of them; its activation is the size of its mean contribution, "
        f"its weight +1 or \N{MINUS SIGN}1. f{len(groups)} and f{len(groups) + 1} are what is not shared."
    )
    return SparseCodes.from_arrays(
        ids=mine.ids,
        indices=indices,
        values=values,
        k=k,
        features=width,
        weight=weight[None],
        bias=np.mean([one.bias[t] for one, t in zip(files, place, strict=True)], keepdims=True),
        targets=[name],
        units={name: first.units.get(name, "")},
        split=_splits(files, table.rows),
        truth={name: mine.truth(name)},
        prediction_d4=None
        if any(one is None for one in d4)
        else {name: np.mean([one[rows] for one, rows in zip(d4, table.rows, strict=True)], axis=0)},
        ra=mine.ra,
        dec=mine.dec,
        columns={column: mine.column(column) for column in mine.columns},
        column_units=mine.column_units,
        maps=None if shape is None else _Maps(table, indices, shape),
        simulated=any(one.simulated for one in files),
        set_aside=first.set_aside,
        provenance={
            **shared,
            "run": "",
            "weights": f"the mean of {several} trainings ({', '.join(names)})",
            "consensus": {
                "trainings": list(names),
                "fingerprints": [one.fingerprint for one in files],
                "above": above,
                "least": least,
                "galaxies": n,
                "split": split,
                "groups": [{"members": [list(m) for m in g.members], "rho": round(g.rho, 4)} for g in groups],
                "rest": [len(groups), len(groups) + 1],
            },
            "notes": [note, *map(str, first.provenance.get("notes") or [])],
        },
    )


def _splits(files: Sequence[SparseCodes], rows: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) the split that all agree on; ``train`` where any training had the galaxy, else none."""
    each = np.array([one.split[mine] for one, mine in zip(files, rows, strict=True)])
    return np.where((each == "train").any(axis=0), "train", np.where((each == each[0]).all(axis=0), each[0], ""))
