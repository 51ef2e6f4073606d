"""Are they the same features again? Several seeds of one training on simulated galaxies, against shuffled galaxies.

`python -m benchmarks.bench_stability` (extras `torch` and `simulate`; some minutes a seed): simulate galaxies, train
one narrow network per seed on one split of them, infer, and measure every training against the others on the
validation galaxies. Says nothing about real galaxies.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks import common
from sfnet_core.codes import SparseCodes
from sfnet_core.inference import infer
from sfnet_core.stability_seeds import stability
from sfnet_core.survey.simulate import simulate
from sfnet_core.training import train


def main() -> None:
    """Train, measure, write ``results/stability.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--galaxies", type=int, default=1500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's number")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="keep the dataset, runs and codes here; finished ones are used again")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is recorded")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.seeds, arguments.epochs = 150, [0, 1], 1
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """One dataset, one split, one training per seed; each against all the others."""
    survey = work / "survey"
    if not survey.is_dir():
        simulate(arguments.galaxies, seed=0, out=survey, workers=1, progress=False)
    files, seconds = [], []
    for seed in arguments.seeds:
        path = work / f"seed-{seed}.parquet"
        started = time.perf_counter()
        if not path.is_file():
            run = train(
                survey, work / f"run-{seed}", target="oh_p50", k=arguments.k, width=arguments.width,
                epochs=arguments.epochs, seed=seed, split_seed=0, resume=True, progress=False,
            )  # fmt: skip
            infer(run, survey, path, maps=False, progress=False)
            seconds.append(time.perf_counter() - started)
        files.append(SparseCodes.open(path))
        common.progress(f"seed {seed}: {time.perf_counter() - started:.0f} s")
    each = []
    for i, codes in enumerate(files):
        found = stability(codes, [*files[:i], *files[i + 1 :]])
        rows = codes.in_split("validation")
        residual = (codes.prediction() - codes.truth())[rows]
        each.append(
            {
                "seed": arguments.seeds[i],
                "active_features": len(found.features),
                "mean_best_correlation": found.mean,
                "null_mean": found.null_mean,
                "null_95": found.null_95,
                "share_above_0.9": found.same,
                "features_above_0.9_in_all_others": sum(one.found == 1 for one in found.features),
                "features_above_0.9_in_none": sum(one.found == 0 for one in found.features),
                "features_no_better_than_shuffled": sum(one.by_chance for one in found.features),
                "overlap": found.overlap,
                "overlap_null": found.overlap_null,
                "sentence": found.sentence,
                "validation_rmse_dex": float(np.sqrt(np.nanmean(residual**2))),
            }
        )
    best = stability(files[0], files[1:], permutations=1).most_stable if len(files) > 2 else None
    measured = {
        "n_galaxies": found.n,
        "split": found.split,
        "shuffles": found.permutations,
        "each": each,
        "mean_over_seeds": {
            name: sum(one[name] for one in each) / len(each)
            for name in ("mean_best_correlation", "null_mean", "share_above_0.9", "overlap", "overlap_null")
        },
        "most_stable": best.name if best else None,
        "seconds_train_and_infer": seconds,
    }
    data = {
        "galaxies": f"{arguments.galaxies} simulated (sfnet simulate --seed 0), 128 px",
        "split": "20 % held out, split seed 0 for every training",
        "target": "oh_p50",
        "simulated": True,
    }
    common.write("stability", arguments, data, measured)


if __name__ == "__main__":
    main()
