"""One network for every k against one network for each k.

    python -m benchmarks.bench_multi_k [--galaxies 1500 | --real FOLDER [--folds 2]] [--seeds 0 1 2]
        [--ks 1 2 4 8 16] [--powers 0 1] [--width 16] [--work DIR] [--out FILE]
    python -m benchmarks.bench_multi_k --choose --survey-seed 1 --galaxies 500 --folds 2 --seeds 0 --powers 0 0.5 1 2

Every network has the same split, recipe and seed; only the gate differs. ``--powers``: how the gates count in the loss
of the multi-k network (:class:`sfnet_core.training.recipes.Recipe`). Beside them a network trained at one k alone and
read at the others, which is what a slider over an ordinary network shows. ``--choose`` trains multi-k networks alone,
to compare powers on galaxies that report nothing else. Simulated galaxies say nothing about real ones.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common, seeds
from sfnet_core.analysis.interpret import predict
from sfnet_core.codes.table import SparseCodes


def main() -> None:
    """Train, measure, write ``results/multi_k.json``, ``multi_k_observed.json`` or ``multi_k_choice.json``."""
    parser = seeds.options(__doc__, [0, 1, 2])
    parser.add_argument("--ks", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="the largest is multi-k's too")
    parser.add_argument("--own", type=int, default=4, help="k of the multi-k network and of the one read at all k")
    parser.add_argument("--powers", type=float, nargs="+", default=[1.0])
    parser.add_argument("--choose", action="store_true", help="compare powers alone")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.seeds, arguments.ks, arguments.epochs = 150, [0], [1, 4], 1
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def squares(files: list[SparseCodes], k: int) -> np.ndarray:
    """(n,) squared residuals of the held-out galaxies at a gate of ``k``, dex², in the identifiers' order."""
    ids = np.concatenate([codes.ids for codes in files])
    error = np.concatenate([predict(codes, k=k) - codes.truth() for codes in files])
    return error[np.argsort(ids)] ** 2


def compared(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """RMSE of (seeds, n) squared residuals, and the first's over the second's with its 95 % bootstrap."""
    over, interval = seeds.ratio(ours, theirs)
    return {
        "rmse_dex": seeds.rmse(ours),
        "rmse_dex_each_seed": np.sqrt(ours.mean(axis=1)).tolist(),
        "over_trained_at_this_k": over,
        "over_trained_at_this_k_95": interval,
    }


def judged(errors: np.ndarray, names: list[str]) -> dict[str, Any]:
    """RMSE [dex] (networks, ks) → who loses least at the k where it is worst, and who is best on average."""
    lost, mean = (errors / errors.min(axis=0)).max(axis=1), errors.mean(axis=1)
    return {
        "mean over k": dict(zip(names, mean.tolist(), strict=True)),
        "lowest": names[mean.argmin()],
        "at its worst k over the best there": dict(zip(names, lost.tolist(), strict=True)),
        "least lost": names[lost.argmin()],
    }


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """All trainings of all seeds; then RMSE at each k."""
    data = seeds.survey(arguments, work)
    most, own = max(arguments.ks), arguments.own
    n = arguments.galaxies if arguments.real is None else int(data["galaxies"].split()[0])
    multi: dict[float, list[list[SparseCodes]]] = {power: [] for power in arguments.powers}
    single: dict[int, list[list[SparseCodes]]] = {} if arguments.choose else {k: [] for k in {*arguments.ks, own}}
    for seed in arguments.seeds:
        for power, found in multi.items():
            recipe = seeds.recipe_of(arguments, n, multi_k=most, multi_k_power=power)
            name = f"multi{most}-power{power:g}-seed{seed}"
            found.append(seeds.held_out(arguments, work, name, seed, own, recipe=recipe))
        for k, found in single.items():
            found.append(seeds.held_out(arguments, work, f"k{k}-seed{seed}", seed, k))
    names = {power: f"one network for k = 1 to {most}, gates counted as 1/k^{power:g}" for power in multi}
    measured: dict[str, Any] = {"n_held_out": len(squares(multi[arguments.powers[0]][0], own))}
    for k in arguments.ks:
        at_k = {power: np.array([squares(files, k) for files in found]) for power, found in multi.items()}
        if arguments.choose:
            measured[f"k = {k}"] = {names[power]: {"rmse_dex": seeds.rmse(each)} for power, each in at_k.items()}
            continue
        alone = np.array([squares(files, k) for files in single[k]])
        measured[f"k = {k}"] = {
            "trained at this k": {"rmse_dex": seeds.rmse(alone)},
            **{names[power]: compared(each, alone) for power, each in at_k.items()},
            f"trained at k = {own}, read at this k": compared(
                np.array([squares(files, k) for files in single[own]]), alone
            ),
        }
    if arguments.choose:
        errors = [[measured[f"k = {k}"][name]["rmse_dex"] for k in arguments.ks] for name in names.values()]
        measured |= judged(np.array(errors), [*names.values()])
    part = "_choice" if arguments.choose else "_observed" if arguments.real is not None else ""
    common.write(f"multi_k{part}", arguments, data, measured)


if __name__ == "__main__":
    main()
