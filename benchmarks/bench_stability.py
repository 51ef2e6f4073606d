"""Are they the same features again? Several seeds of one training on simulated galaxies, against shuffled galaxies.

`python -m benchmarks.bench_stability` (extras `torch` and `simulate`; some minutes a seed): simulate galaxies, train
one narrow network per seed on one split of them, infer, and measure every training against the others on the
validation galaxies, and their consensus. ``--real FOLDER`` takes observed galaxies instead. Simulated ones say
nothing about real galaxies.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common, seeds
from sfnet_core.analysis.consensus_codes import consensus
from sfnet_core.analysis.consensus_report import as_dict
from sfnet_core.analysis.stability.seeds import stability
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError


def main() -> None:
    """Train, measure, write ``results/stability.json``."""
    parser = seeds.options(__doc__, [0, 1, 2, 3, 4])
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--fold", type=int, help="of --folds this one alone")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.seeds, arguments.epochs = 150, [0, 1], 1
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """One dataset, one split or each fold, one training per seed."""
    data = seeds.survey(arguments, work)
    ways = [{}] if not arguments.folds else [{"fold": f, "folds": arguments.folds} for f in range(arguments.folds)]
    measured = {}
    for way in ways if arguments.fold is None else [ways[arguments.fold]]:
        tail, k = f"-fold{way['fold']}" if way else "", arguments.k
        names = [f"k{k}-seed{seed}{tail}" for seed in arguments.seeds]
        files = [
            seeds.trained(arguments, work, name, seed, k, **way)
            for name, seed in zip(names, arguments.seeds, strict=True)
        ]
        measured[f"fold {way['fold']}" if way else "all"] = against_the_rest(arguments.seeds, files)
    part = "" if arguments.real is None else "_observed"
    common.write(f"stability{part}", arguments, data, measured if arguments.folds else measured["all"])


def against_the_rest(numbers: list[int], files: list[SparseCodes]) -> dict[str, Any]:
    """Each training against all the others, and their consensus."""
    each = []
    for i, codes in enumerate(files):
        found = stability(codes, [*files[:i], *files[i + 1 :]])
        rows = codes.in_split("validation")
        residual = (codes.prediction() - codes.truth())[rows]
        each.append(
            {
                "seed": numbers[i],
                "active_features": len(found.features),
                "mean_best_correlation": found.mean,
                "null_mean": found.null_mean,
                "null_95": found.null_95,
                "share_above_0.9": found.same,
                "agreement_by_use": found.codes.agreement,
                "agreement_by_use_95": [found.codes.low, found.codes.high],
                "most_stable_or_tied_with_it": found.codes.tied,
                "features_too_rare_to_say": sum(one.rare for one in found.features),
                "features_above_0.9_in_all_others": sum(one.found == 1 for one in found.features),
                "features_above_0.9_in_none": sum(one.found == 0 for one in found.features),
                "features_no_better_than_shuffled": sum(one.by_chance for one in found.features),
                "overlap": found.overlap,
                "overlap_null": found.overlap_null,
                "sentence": found.sentence,
                "validation_rmse_dex": float(np.sqrt(np.nanmean(residual**2))),
            }
        )
    measured = {
        "n_galaxies": found.n,
        "split": found.split,
        "shuffles": found.permutations,
        "each": each,
        "mean_over_seeds": {
            name: sum(one[name] for one in each) / len(each)
            for name in ("mean_best_correlation", "null_mean", "share_above_0.9", "overlap", "overlap_null")
        },
        "choice": found.choice,
    }
    return measured | {"consensus": shared(files)}


def shared(files: list[SparseCodes]) -> dict[str, Any]:
    """The trainings' consensus: how much they share, and its error beside theirs on the same held-out galaxies."""
    try:
        found = consensus(files)
    except SFNetError as error:
        return {"none": str(error)}
    about = as_dict(found, files)
    return {
        "features": len(found.groups),
        "in_all_trainings": sum(len(group.members) == len(files) for group in found.groups),
        "share_of_contributions": about["shared"],
        "terms_per_galaxy": about["terms_per_galaxy"],
        "rmse_dex": about["rmse"],
        "groups": [
            {"trainings": len(group["members"]), "rho": group["rho"], "rate": group["rate"],
             "mean_contribution_dex": group["mean_contribution"]}
            for group in about["groups"]
        ],
    }  # fmt: skip


if __name__ == "__main__":
    main()
