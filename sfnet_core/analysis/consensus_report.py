"""How good a consensus is beside its trainings, and the whole of it as a table for people and as names on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.consensus_codes import LOWERS, RAISES
from sfnet_core.analysis.interpret import activations
from sfnet_core.annotations.labels import LabelBook, labels_path
from sfnet_core.stats.bootstrap import percentile_interval, resampled

if TYPE_CHECKING:
    from sfnet_core.analysis.consensus_codes import Consensus
    from sfnet_core.codes.table import SparseCodes

__all__ = ["as_dict", "errors", "name_features", "report"]

_NAMED = 4  # members named in a line of the table


def errors(found: Consensus, files: Sequence[SparseCodes], seed: int = 0) -> dict[str, Any]:
    """RMSEs on the same galaxies, in the target's unit: of each training, of the consensus, of its shared part alone.

    The galaxies are those of ``found.split`` with a true value; 95 % intervals are percentile bootstraps over them, the
    same draws for all, so that ratios are paired. In the shared part the rest is replaced by its mean over the galaxies
    that were trained on (over all, where there are none).
    """
    codes = found.codes
    truth = codes.truth()
    use = np.isfinite(truth) & (codes.in_split(found.split) if found.split else True)
    name = codes.targets[0]
    rest = sum(sign * activations(codes, f) for sign, f in ((1, len(found.groups)), (-1, len(found.groups) + 1)))
    known = codes.in_split("train") if codes.in_split("train").any() else np.ones(len(codes), dtype=bool)
    shared = codes.prediction() - rest + rest[known].mean()
    square = {
        "each": np.array(
            [(one.prediction(name)[rows] - truth)[use] for one, rows in zip(files, found.rows, strict=True)]
        ),
        "consensus": (codes.prediction() - truth)[use],
        "shared": (shared - truth)[use],
    }
    square = {key: np.atleast_2d(value) ** 2 for key, value in square.items()}  # (S or 1, n)
    n = int(use.sum())
    if n < 2:
        return {"n": n}
    drawn = {  # (1 + R,): mean over trainings of the RMSE
        key: resampled(lambda counts, value=value: np.sqrt(counts @ value.T / n).mean(axis=1), n, seed=seed)
        for key, value in square.items()
    }
    whole = {key: float(value[0]) for key, value in drawn.items()}

    def ratio(one: str, other: str) -> dict[str, Any]:
        value, low, high = percentile_interval(drawn[one] / drawn[other])
        return {"ratio": value, "low": low, "high": high}

    return {
        "n": n,
        "each": np.sqrt(square["each"].mean(axis=1)).tolist(),
        "mean_of_trainings": whole["each"],
        "consensus": whole["consensus"],
        "shared_part": whole["shared"],
        "consensus_over_mean": ratio("consensus", "each"),
        "shared_part_over_mean": ratio("shared", "each"),
    }


def as_dict(found: Consensus, files: Sequence[SparseCodes]) -> dict[str, Any]:
    """The consensus as JSON can hold it; per feature over all its galaxies: share on which it is there, mean
    contribution; and what share of the sum of all contributions' sizes is shared."""
    codes = found.codes
    size = np.array([activations(codes, f).mean(dtype=np.float64) for f in range(codes.features)])
    fires = np.array([(activations(codes, f) > 0).mean() for f in range(codes.features)])
    groups = [
        {
            "feature": group.feature,
            "members": [{"training": found.names[s], "feature": f} for s, f in group.members],
            "rho": group.rho,
            "rate": float(fires[group.feature]),
            "mean_contribution": float(group.sign * size[group.feature]),
        }
        for group in found.groups
    ]
    rest = {"raises": float(size[-2]), "lowers": float(-size[-1])}
    return {
        "trainings": list(found.names),
        "galaxies": len(codes),
        "compared_on": {"n": found.n, "split": found.split},
        "groups": groups,
        "not_shared": rest,
        "shared": float(size[:-2].sum() / max(size.sum(), 1e-300)),
        "terms_per_galaxy": float((codes.indices >= 0).sum(axis=1).mean()),
        "rmse": errors(found, files),
    }


def report(found: Consensus, about: dict[str, Any], shown: int = 60) -> str:
    """What :func:`as_dict` gives, as a table for people."""
    codes = found.codes
    unit = codes.units.get(codes.targets[0], "")
    several, how = len(found.names), codes.provenance["consensus"]
    lines = [
        f"{len(found.groups)} features are found above {how['above']:g} in {how['least']} or more of {several} "
        f"trainings ({found.n:,} galaxies of all, {f'{found.split} split' if found.split else 'all splits'})",
        "",
        f"{'feature':>9}{'in':>9}{'rho':>8}{'there on':>10}{'mean ' + unit:>13}  members",
    ]
    for group in about["groups"][:shown]:
        members = [f"{one['training']} f{one['feature']}" for one in group["members"]]
        more = f", and {len(members) - _NAMED} more" if len(members) > _NAMED else ""
        name, count = f"f{group['feature']}", f"{len(members)} of {several}"
        lines.append(
            f"{name:>9}{count:>9}{group['rho']:>8.3f}{group['rate']:>10.1%}{group['mean_contribution']:>+13.4f}"
            f"  {', '.join(members[:_NAMED])}{more}"
        )
    if len(about["groups"]) > shown:
        lines.append(f"… and {len(about['groups']) - shown} more; --json has all of them")
    rest, error = about["not_shared"], about["rmse"]
    lines += [
        f"Not shared: {rest['raises']:+.4f} and {rest['lowers']:+.4f} {unit} in the mean; of all contributions' sizes "
        f"{about['shared']:.0%} are shared.",
    ]
    if "each" in error:
        ratio, part = error["consensus_over_mean"], error["shared_part_over_mean"]
        lines += [
            "",
            f"RMSE on {error['n']:,} galaxies, {found.split or 'all splits'}: trainings "
            f"{', '.join(f'{one:.4f}' for one in error['each'])} (mean {error['mean_of_trainings']:.4f}) {unit}",
            f"consensus, the mean of their predictions: {error['consensus']:.4f}, {ratio['ratio']:.3f} of that "
            f"(95 %: {ratio['low']:.3f} to {ratio['high']:.3f})",
            f"its shared features alone, the rest at its mean: {error['shared_part']:.4f}, {part['ratio']:.3f} of that "
            f"(95 %: {part['low']:.3f} to {part['high']:.3f})",
        ]
    return "\n".join(lines)


def name_features(found: Consensus, codes: SparseCodes) -> bool:
    """Say in the labels file beside the saved codes what the features are, unless there is one; whether it was done."""
    place = labels_path(codes.path)
    if place.exists():
        return False
    book, several = LabelBook.open(codes, place), len(found.names)
    for group in found.groups:
        members = ", ".join(f"{found.names[s]} f{feature}" for s, feature in group.members)
        members = "".join(filter(str.isprintable, members))
        book.set_feature(
            group.feature,
            label=f"in {len(group.members)} of {several} trainings",
            note=f"Members (mean \N{GREEK SMALL LETTER RHO} {group.rho:.2f}): {members}"[:1000],
        )
    for number, words in enumerate((RAISES, LOWERS), len(found.groups)):
        book.set_feature(number, label=words, note="What the trainings' other features add to the mean prediction.")
    return not book.trouble
