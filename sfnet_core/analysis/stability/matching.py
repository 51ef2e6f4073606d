"""Are they the same features again? Two trainings' codes of the same galaxies, matched feature by feature.

A feature's number means nothing across trainings: the same feature has another number, or is shared by several, or is
not there. What can be compared is on which galaxies features are strong. Activations are those a codes file stores, the
k kept and the r runners-up; what is below is taken as 0, on both sides.

Shape letters: A features of one codes file, B of the other, n galaxies that both hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.stability.file import SAME
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["Match", "as_dict", "carry_labels", "match_features", "report"]

FEWEST = 20  # galaxies: correlations of fewer say nothing
PERMUTATIONS = 50


@dataclass(frozen=True)
class Match:
    """Features of one codes file and their counterparts in another, the best pair first; arrays (P,), P = min(A, B).

    Attributes
    ----------
    feature, counterpart
        Numbers in the one and in the other.
    rho
        Pearson correlation of their activations over the ``n`` galaxies.
    rate, rate_counterpart
        Share of the galaxies on which each is kept by its gate.
    unmatched
        Features of the first without a counterpart (A > B).
    null
        Mean ρ of the best pairing when the other's galaxies are shuffled: its mean and 95th percentile.
    overlap
        How much of the smaller space of activations lies in the other, ‖Q_A' Q_B‖² / min(A, B) with orthonormal bases
        of the centred activations (mean squared cosine of the principal angles; Björck & Golub 1973, Math. Comp. 27,
        579); ``overlap_null``: the same, shuffled.
    split
        Which galaxies, ``''`` for all that both hold.
    """

    feature: np.ndarray
    counterpart: np.ndarray
    rho: np.ndarray
    rate: np.ndarray
    rate_counterpart: np.ndarray
    unmatched: np.ndarray
    n: int
    split: str
    null: tuple[float, float]
    overlap: float
    overlap_null: float

    @property
    def mean(self) -> float:
        """Mean ρ of the pairs."""
        return float(self.rho.mean())

    @property
    def same(self) -> float:
        """Share of the first's features that have a counterpart with ρ above 0.9."""
        return float((self.rho > SAME).sum() / (len(self.feature) + len(self.unmatched)))

    def pairs(self, above: float = SAME) -> dict[int, int]:
        """Feature → counterpart for the pairs with ρ above a limit: along these, labels can be carried."""
        keep = self.rho > above
        return dict(zip(self.feature[keep].tolist(), self.counterpart[keep].tolist(), strict=True))


def match_features(
    codes: SparseCodes, other: SparseCodes, *, split: str | None = None, permutations: int = PERMUTATIONS, seed: int = 0
) -> Match:
    """Pair the active features of two codes files one to one, so that the sum of correlations is largest.

    The pairing is the assignment problem's (Kuhn 1955, Nav. Res. Logist. Q. 2, 83). Compare trainings on the same
    split: on galaxies that one of them was trained on its features look better than they are.

    Parameters
    ----------
    codes, other
        The two trainings' codes.
    split
        Galaxies of this split in both files (``''``: all); by default validation galaxies of both where there are at
        least 20, else all.
    permutations
        Shuffles of the null.
    seed
        Of the shuffles.

    Returns
    -------
    Match
        The pairs, best first.

    Raises
    ------
    SFNetError
        Fewer than 20 galaxies are in both, or a side has no active feature there.
    """
    rows, others, split = _common(codes, other, split)
    a, names_a, kept_a = unit_activations(codes, rows)
    b, names_b, kept_b = unit_activations(other, others)
    rho = a.T @ b  # (A, B): columns are centred and of length 1
    i, j = assign(rho)
    order = np.argsort(-rho[i, j], kind="stable")
    i, j = i[order], j[order]
    rng = np.random.default_rng(seed)
    basis, other_basis = orthonormal(a), orthonormal(b)
    shuffled, overlaps = [], []
    for _ in range(permutations):
        turn = rng.permutation(len(rows))
        chance = a.T @ b[turn]
        shuffled.append(chance[assign(chance)].mean())
        overlaps.append(overlap_of(basis, other_basis[turn]))
    null = (float(np.mean(shuffled)), float(np.percentile(shuffled, 95))) if shuffled else (np.nan, np.nan)
    return Match(
        feature=names_a[i],
        counterpart=names_b[j],
        rho=rho[i, j],
        rate=kept_a.mean(axis=0)[i],
        rate_counterpart=kept_b.mean(axis=0)[j],
        unmatched=np.setdiff1d(names_a, names_a[i]),
        n=len(rows),
        split=split,
        null=null,
        overlap=overlap_of(basis, other_basis),
        overlap_null=float(np.mean(overlaps)) if overlaps else np.nan,
    )


def report(match: Match, shown: int = 20) -> str:
    """A match as a table for people."""
    low, high = match.null
    total = len(match.feature) + len(match.unmatched)
    lines = [
        f"{match.n:,} galaxies of both, {f'{match.split} split' if match.split else 'all splits'}",
        f"mean correlation of the pairs {match.mean:.3f}; with shuffled galaxies {low:.3f} (95 % below {high:.3f})",
        f"{match.same:.0%} of {total} active features have a counterpart above {SAME}",
        f"overlap of the spaces of activations {match.overlap:.3f}; with shuffled galaxies {match.overlap_null:.3f}",
        "",
        f"{'feature':>9}{'counterpart':>13}{'rho':>9}{'fires':>9}{'fires':>9}",
    ]
    for row in zip(match.feature, match.counterpart, match.rho, match.rate, match.rate_counterpart, strict=True):
        if len(lines) - 6 >= shown:
            lines.append(f"… and {len(match.feature) - shown} more pairs")
            break
        lines.append(f"{f'f{row[0]}':>9}{f'f{row[1]}':>13}{row[2]:>9.3f}{row[3]:>9.1%}{row[4]:>9.1%}")
    if len(match.unmatched):
        lines.append(f"Without a counterpart: {', '.join(f'f{f}' for f in match.unmatched)}")
    return "\n".join(lines)


def as_dict(match: Match) -> dict[str, Any]:
    """A match as JSON can hold it."""
    named = {
        name: getattr(match, name).tolist() for name in ("feature", "counterpart", "rho", "rate", "rate_counterpart")
    }
    pairs = [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]
    numbers = ("n", "split", "mean", "same", "overlap", "overlap_null")
    about = {name: getattr(match, name) for name in numbers} | {"null_mean": match.null[0], "null_95": match.null[1]}
    return about | {"unmatched": match.unmatched.tolist(), "pairs": pairs}


def carry_labels(codes: SparseCodes, other: SparseCodes, pairs: dict[int, int]) -> int:
    """Copy labels, notes, stars and lists of one training's features to their counterparts in another.

    Both are read from, and the result is written to, the labels files beside the codes.

    Parameters
    ----------
    codes
        The training that gets the labels; a feature that has a label keeps it.
    other
        The training that has them.
    pairs
        Feature of ``codes`` → feature of ``other``, as :meth:`Match.pairs`.

    Returns
    -------
    int
        How many entries were copied.
    """
    from sfnet_core.annotations.labels import LabelBook, labels_path

    if codes.path is None or other.path is None:
        raise SFNetError("Labels are carried between codes files; save the codes first.")
    source = labels_path(other.path)
    if not source.is_file():
        raise SFNetError(f"There are no labels beside {other.path.name}: {source.name} does not exist.")
    book = LabelBook.open(codes)
    book.import_file(source)
    return book.transfer({theirs: ours for ours, theirs in pairs.items()}, source=other.fingerprint)


def _common(codes: SparseCodes, other: SparseCodes, split: str | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Rows of the galaxies in both files, in one order, and the split they are of."""
    _, rows, others = np.intersect1d(codes.ids.astype(str), other.ids.astype(str), return_indices=True)
    held_out = (codes.split[rows] == "validation") & (other.split[others] == "validation")
    if split is None:
        split = "validation" if held_out.sum() >= FEWEST else ""
    if split:
        keep = (codes.split[rows] == split) & (other.split[others] == split)
        rows, others = rows[keep], others[keep]
    if len(rows) < FEWEST:
        what = f"{split} galaxies of both" if split else "galaxies in both"
        raise SFNetError(
            f"There are {len(rows)} {what}; matching features needs at least {FEWEST}. Give codes of one dataset."
        )
    return rows, others, split


def unit_activations(codes: SparseCodes, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the A features that are kept somewhere and vary: (n, A) activations, centred and of length 1; (A,) numbers;
    (n, A) bool, where the gate keeps them."""
    indices, values = codes.indices[rows], codes.values[rows].astype(np.float64)
    fires = (values[:, : codes.k] > 0) & (indices[:, : codes.k] >= 0)
    names = np.unique(indices[:, : codes.k][fires]).astype(np.int64)
    if not len(names):
        raise SFNetError("No feature is active on the galaxies in both; there is nothing to match.")
    place = np.full(codes.features, -1)
    place[names] = np.arange(len(names))
    a, kept = np.zeros((len(rows), len(names))), np.zeros((len(rows), len(names)), dtype=bool)
    row, slot = np.nonzero((indices >= 0) & (place[indices] >= 0))
    a[row, place[indices[row, slot]]] = values[row, slot]
    row, slot = np.nonzero(fires)
    kept[row, place[indices[row, slot]]] = True
    a -= a.mean(axis=0)
    length = np.sqrt((a**2).sum(axis=0))
    varies = length > 1e-12 * np.abs(values).max() * np.sqrt(len(rows))
    return a[:, varies] / length[varies], names[varies], kept[:, varies]


def assign(rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the one-to-one pairing with the largest sum."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(rho, maximize=True)


def orthonormal(a: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the columns' space."""
    u, s, _ = np.linalg.svd(a, full_matrices=False)
    return u[:, s > 1e-9 * s.max()]


def overlap_of(one: np.ndarray, other: np.ndarray) -> float:
    """Mean squared cosine of the principal angles between two spaces, given orthonormal bases of them."""
    return float(((one.T @ other) ** 2).sum() / min(one.shape[1], other.shape[1]))
