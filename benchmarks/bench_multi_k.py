"""One network for every k against one network for each k, on simulated galaxies.

    python -m benchmarks.bench_multi_k [--galaxies 1500] [--seeds 0 1 2] [--ks 1 2 4 8] [--width 16] [--work DIR]

Every network has the same split, recipe and seed; only the gate differs. Beside them a network trained at one k alone
and read at the others, which is what a slider over an ordinary network shows. Says nothing about real galaxies.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common, seeds
from sfnet_core.codes import SparseCodes
from sfnet_core.interpret import predict

RESAMPLES = 2000


def main() -> None:
    """Train, measure, write ``results/multi_k.json``."""
    parser = seeds.options(__doc__, [0, 1, 2])
    parser.add_argument("--ks", type=int, nargs="+", default=[1, 2, 4, 8], help="the largest is multi-k's too")
    parser.add_argument("--own", type=int, default=4, help="k of the multi-k network and of the one read at all k")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.seeds, arguments.ks, arguments.epochs = 150, [0], [1, 4], 1
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def squares(codes: SparseCodes, k: int) -> np.ndarray:
    """(n,) squared residuals of the validation galaxies at a gate of ``k``, dex²."""
    rows = codes.in_split("validation")
    return ((predict(codes, k=k) - codes.truth())[rows]) ** 2


def compared(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """RMSE of (seeds, n) squared residuals, and the first's over the second's with a 95 % bootstrap over galaxies."""
    draws = np.random.default_rng(0).integers(0, ours.shape[1], (RESAMPLES, ours.shape[1]))

    def rmse(squared: np.ndarray) -> np.ndarray:
        return np.sqrt(squared.mean(axis=-1)).mean(axis=0)

    ratios = [rmse(ours[:, draw]) / rmse(theirs[:, draw]) for draw in draws]
    return {
        "rmse_dex": float(rmse(ours)),
        "rmse_dex_each_seed": np.sqrt(ours.mean(axis=1)).tolist(),
        "over_trained_at_this_k": float(rmse(ours) / rmse(theirs)),
        "over_trained_at_this_k_95": np.percentile(ratios, [2.5, 97.5]).tolist(),
    }


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """All trainings of all seeds; then RMSE at each k."""
    data = seeds.survey(arguments, work)
    most = max(arguments.ks)
    multi, single = [], {k: [] for k in {*arguments.ks, arguments.own}}
    for seed in arguments.seeds:
        multi.append(seeds.trained(arguments, work, f"multi{most}-seed{seed}", seed, arguments.own, multi_k=most))
        for k, found in single.items():
            found.append(seeds.trained(arguments, work, f"k{k}-seed{seed}", seed, k))
    measured: dict[str, Any] = {"n_validation": len(squares(multi[0], arguments.own))}
    for k in arguments.ks:
        own = np.array([squares(codes, k) for codes in single[k]])
        measured[f"k = {k}"] = {
            "trained at this k": {"rmse_dex": float(np.sqrt(own.mean(axis=1)).mean())},
            f"one network for k = 1 to {most}": compared(np.array([squares(c, k) for c in multi]), own),
            f"trained at k = {arguments.own}, read at this k": compared(
                np.array([squares(c, k) for c in single[arguments.own]]), own
            ),
        }
    common.write("multi_k", arguments, data, measured)


if __name__ == "__main__":
    main()
