"""How steady each feature is over several trainings: one set of codes against others of the same galaxies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.stability.choice import agreements
from sfnet_core.analysis.stability.file import SAME, Score, Stability, Training
from sfnet_core.analysis.stability.matching import FEWEST, assign, orthonormal, overlap_of, unit_activations
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["report", "stability"]

SHARED = 0.9  # share of the galaxies that two codes files of one dataset have in common, at least
MOST_GALAXIES = 50_000  # a correlation of so many is known to 0.005
PERMUTATIONS = 100


def stability(
    codes: SparseCodes,
    others: Sequence[SparseCodes],
    *,
    split: str | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Stability:
    """How well the features of a training are found again in others on the same galaxies.

    Features are paired with those of each other training as
    :func:`sfnet_core.analysis.stability.matching.match_features` pairs them, all over the same galaxies. The null: the
    galaxies of ``codes`` are shuffled, each time the same way against all the others, and paired anew; so it keeps what
    the others have in common.

    Parameters
    ----------
    codes
        The training whose features are looked for.
    others
        The other trainings' codes.
    split
        Galaxies that every file holds in this split (``''``: any); by default the validation galaxies of all the
        trainings where there are at least 20, else all galaxies, and a note says so. Of more than 50,000 an even draw
        is taken.
    permutations
        Shuffles of the null.
    seed
        Of the shuffles.

    Returns
    -------
    Stability
        A score for each feature and for all together.

    Raises
    ------
    SFNetError
        Another file holds other galaxies, the same codes or the same network; too few galaxies are left; a side has no
        active feature.
    """
    check_trainings(codes, others)
    if permutations < 1:
        raise SFNetError("The null needs at least one shuffle.")
    rng = np.random.default_rng(seed)
    rows, split, notes = common_galaxies([codes, *others], split, rng)
    sides = [unit_activations(one, chosen) for one, chosen in zip([codes, *others], rows, strict=True)]
    units, names, kept = zip(*sides, strict=True)
    n, size = len(rows[0]), len(names[0])
    each = np.zeros((len(others), size))  # ρ with the counterpart; 0 where there is none
    counterpart = np.full((len(others), size), -1)
    for u in range(len(others)):
        rho = units[0].T @ units[u + 1]
        i, j = assign(rho)
        each[u, i], counterpart[u, i] = rho[i, j], names[u + 1][j]
    bases = [orthonormal(unit) for unit in units]
    null, null_overlap = np.zeros((permutations, size)), []
    for p in range(permutations):
        turn = rng.permutation(n)
        turned, turned_basis = units[0][turn], bases[0][turn]
        for u in range(len(others)):
            rho = turned.T @ units[u + 1]
            i, j = assign(rho)
            null[p, i] += rho[i, j] / len(others)
            null_overlap.append(overlap_of(turned_basis, bases[u + 1]))
    score = each.mean(axis=0)
    high = np.percentile(null, 95, axis=0)
    chance = (1 + (null >= score).sum(axis=0)) / (1 + permutations)
    fires = kept[0].sum(axis=0)
    features = [
        Score(
            feature=int(names[0][f]),
            rho=float(score[f]),
            lowest=float(each[:, f].min()),
            found=float((each[:, f] > SAME).mean()),
            null_mean=float(null[:, f].mean()),
            null_95=float(high[f]),
            chance=float(chance[f]),
            fires=int(fires[f]),
            rate=float(fires[f] / n),
            each=tuple(each[:, f].tolist()),
            counterpart=tuple(counterpart[:, f].tolist()),
        )
        for f in np.lexsort((names[0], -score))
    ]
    ours, *theirs = _trainings([codes, *others], units, kept, seed)
    return Stability(
        codes=ours,
        others=tuple(theirs),
        n=n,
        split=split,
        permutations=permutations,
        seed=seed,
        mean=float(score.mean()),
        null_mean=float(null.mean()),
        null_95=float(np.percentile(null.mean(axis=1), 95)),
        same=float((each > SAME).mean()),
        overlap=float(np.mean([overlap_of(bases[0], basis) for basis in bases[1:]])),
        overlap_null=float(np.mean(null_overlap)),
        features=tuple(features),
        notes=tuple(notes + _differences(codes, others)),
    )


def report(found: Stability, shown: int = 60) -> str:
    """A measurement as a table for people."""
    others, best = len(found.others), found.most_stable
    lines = [
        f"{found.codes.name} against {others} other training{'s' * (others > 1)}: {found.n:,} galaxies of all, "
        f"{f'{found.split} split' if found.split else 'all splits'}",
        f"mean best correlation {found.mean:.3f}; with shuffled galaxies {found.null_mean:.3f} "
        f"(95 % below {found.null_95:.3f}, {found.permutations} shuffles)",
        f"{found.same:.0%} of the pairs of feature and other training are above {SAME}",
        f"overlap of the spaces of activations {found.overlap:.3f}; with shuffled galaxies {found.overlap_null:.3f}",
        "",
        f"{'feature':>9}{'rho':>8}{'lowest':>8}{f'above {SAME}':>12}{'shuffled, 95 %':>16}{'fires':>9}",
    ]
    for one in sorted(found.features, key=lambda one: one.rare)[:shown]:  # stable: by falling ρ within each
        times = f"{round(one.found * others)} of {others}"
        lines.append(
            f"{f'f{one.feature}':>9}{one.rho:>8.3f}{one.lowest:>8.3f}{times:>12}{one.null_95:>16.3f}{one.rate:>9.1%}"
            + (f"  {one.doubt}" if one.doubt else "")
        )
    if len(found.features) > shown:
        lines.append(f"… and {len(found.features) - shown} more features; the file has all of them")
    if best is not None:
        lines += ["", f"{'training':<32}{'seed':>6}{'active':>8}{'agreement, 95 %':>24}{f'above {SAME}':>12}"]
        for one in sorted((found.codes, *found.others), key=lambda one: -one.agreement):
            number = "–" if one.seed is None else one.seed
            words = f"{one.agreement:.3f}, {one.low:.3f} to {one.high:.3f}"
            lines.append(f"{one.name[:31]:<32}{number:>6}{one.active:>8}{words:>24}{one.same:>12.0%}")
        lines.append(found.choice)
    return "\n".join([*lines, "", found.sentence])


def check_trainings(codes: SparseCodes, others: Sequence[SparseCodes]) -> None:
    """Refuse what is no other training of the same galaxies."""
    if not others:
        raise SFNetError("Stability needs the codes of at least one other training.")
    seen, runs = {codes.fingerprint: name_of(codes)}, {codes.provenance.get("run_fingerprint") or "": name_of(codes)}
    for other in others:
        shared = len(np.intersect1d(codes.ids, other.ids))
        if shared < SHARED * max(len(codes), len(other)):
            raise SFNetError(
                f"{name_of(other)} has {len(other):,} galaxies, {name_of(codes)} {len(codes):,}, {shared:,} are in "
                "both: stability compares trainings on one dataset. Infer every run on the same dataset."
            )
        run = other.provenance.get("run_fingerprint") or ""
        same = seen.get(other.fingerprint) or (runs.get(run) if run else None)
        if same is not None:
            raise SFNetError(
                f"{name_of(other)} and {same} are of the same training, which always agrees with itself; "
                "give codes of another training."
            )
        seen[other.fingerprint] = name_of(other)
        runs[run] = name_of(other)


def common_galaxies(
    files: list[SparseCodes], split: str | None, rng: np.random.Generator
) -> tuple[list[np.ndarray], str, list[str]]:
    """For each file the rows of the galaxies that are in all, in one order; the split they are of; what to say."""
    ids, rows = files[0].ids.astype(str), [np.arange(len(files[0]))]
    for one in files[1:]:
        ids, ours, theirs = np.intersect1d(ids, one.ids.astype(str), return_indices=True)
        rows = [chosen[ours] for chosen in rows] + [theirs]
    notes = []

    def of(name: str) -> np.ndarray:
        return np.logical_and.reduce([one.in_split(name)[chosen] for one, chosen in zip(files, rows, strict=True)])

    held_out = of("validation")
    if split is None:
        split = "validation" if held_out.sum() >= FEWEST else ""
        if not split:
            notes.append(
                f"Only {held_out.sum():,} galaxies were held out by all of the trainings, so all {len(ids):,} were "
                "taken: a galaxy that was trained on flatters the agreement. Trainings with one split are better."
            )
    if split:
        keep = of(split)
        rows = [chosen[keep] for chosen in rows]
    if len(rows[0]) < FEWEST:
        what = f"{split} galaxies of all the trainings" if split else "galaxies in all the files"
        raise SFNetError(f"There are {len(rows[0])} {what}; stability needs at least {FEWEST}.")
    if len(rows[0]) > MOST_GALAXIES:
        notes.append(f"Measured on {MOST_GALAXIES:,} galaxies drawn at random from {len(rows[0]):,}.")
        drawn = np.sort(rng.permutation(len(rows[0]))[:MOST_GALAXIES])
        rows = [chosen[drawn] for chosen in rows]
    return rows, split, notes


def _trainings(
    files: list[SparseCodes], units: Sequence[np.ndarray], kept: Sequence[np.ndarray], seed: int
) -> list[Training]:
    """Each of them and, where there are more than two, how well its features are found in all the rest."""
    several = len(files) > 2
    pairs, same = {}, np.zeros(len(files))
    for s in range(len(files) if several else 0):
        for u in range(s + 1, len(files)):
            rho = units[s].T @ units[u]
            pairs[s, u] = assign(rho)
            found = (rho[pairs[s, u]] > SAME).sum()
            same[[s, u]] += found / rho.shape[0], found / rho.shape[1]
    agreement = agreements(units, kept, pairs, seed) if several else [None] * len(files)
    out = []
    for t, one in enumerate(files):
        number, how = one.provenance.get("seed"), agreement[t]
        out.append(
            Training(
                name=name_of(one),
                fingerprint=one.fingerprint,
                run=str(one.provenance.get("run_fingerprint") or ""),
                seed=number if type(number) is int else None,
                active=units[t].shape[1],
                agreement=how and how.mean,
                low=how and how.low,
                high=how and how.high,
                tied=how and how.tied,
                same=float(same[t] / (len(files) - 1)) if several else None,
            )
        )
    return out


def _differences(codes: SparseCodes, others: Sequence[SparseCodes]) -> list[str]:
    """What is not alike between the trainings beside their seeds, as far as the files say."""
    notes = []
    for what, value in (
        ("targets", lambda one: ", ".join(one.targets)),
        ("k", lambda one: str(one.k)),
        ("number of features", lambda one: str(one.features)),
        ("dataset's fingerprint", lambda one: str(one.provenance.get("dataset_fingerprint") or "unknown")[:8]),
    ):
        values = dict.fromkeys(map(value, [codes, *others]))
        if len(values) > 1:
            notes.append(f"The trainings differ in {what} ({'; '.join(values)}), not in the seed alone.")
    return notes


def name_of(codes: SparseCodes) -> str:
    return codes.path.name if codes.path is not None else f"codes {codes.fingerprint[:8]}"
