"""Few labels: a network from scratch against networks taught by photometry, or that start from another's trunk.

    python -m benchmarks.bench_few_labels --real DIR --unlabelled DIR [--simulated DIR] --work DIR [--repeats 3]
    python -m benchmarks.bench_few_labels … --side 128 --crop 96 --width 32 --labels

``--real`` and ``--unlabelled`` hold ``galaxies.csv`` and ``images`` (sdss-metallicity-400, sdss-gz1-6000);
``--simulated`` is a dataset as `sfnet simulate` writes it. All are packed at 64 px: a quarter of the pixels takes a
quarter of the time; at their own 128 px (the second command, all labels only) the result is ``few_labels_128.json``.
What is finished is kept in ``--work`` and not done again, so that two processes may share the ``--ways``; ``--minutes``
ends early with what there is (then the rest says "not measured").

Labels that a training may not see are taken out of its dataset, not merely held out.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common
from benchmarks.few_labels_work import CHOSEN, FOLDS, STARTS, TAUGHT, WORDS, Bench, OutOfTime, rmse
from sfnet_core.astro.photometry import NAMES, Process, forest, photometry, ridge
from sfnet_core.stats.bootstrap import bootstrap_interval
from sfnet_core.utils.files import write_json

RESAMPLES = 2000


def interval(statistic: Any, n: int) -> list[float]:
    """95 % bootstrap interval over galaxies of a statistic of rows."""
    return list(bootstrap_interval(statistic, np.arange(n), resamples=RESAMPLES)[1:])


def scored(errors: np.ndarray, beside: np.ndarray | None) -> dict[str, Any]:
    """RMSE with its interval; paired difference to ``beside`` (the same galaxies) with its own."""
    found = {"rmse": rmse(errors), "interval": interval(lambda rows: rmse(errors[rows]), len(errors)), "n": len(errors)}
    if beside is not None:
        found["minus_scratch"] = rmse(errors) - rmse(beside)
        found["minus_scratch_interval"] = interval(lambda rows: rmse(errors[rows]) - rmse(beside[rows]), len(errors))
    return found


def by_photometry(bench: Bench, folds: range, n: int) -> dict[str, np.ndarray]:
    """Errors of forest, ridge and (rings too) Gaussian process on photometry by hand, same labels and galaxies."""
    path = bench.work / "errors" / f"photometry-{len(folds)}-folds-{n}.json"
    if path.is_file():
        return {name: np.array(each) for name, each in json.loads(path.read_text(encoding="utf-8")).items()}
    measured, found = photometry(bench.data.cutouts, scatter=True), {"forest": [], "ridge": [], "process": []}
    for fold in folds:
        labels, test = bench.part(fold, n)
        for name, make in (("forest", lambda: forest(0, 1)), ("ridge", ridge), ("process", Process)):
            seen = measured if name == "process" else measured[:, : len(NAMES)]  # the scatter in rings too, or not
            predicted = make().fit(seen[labels], bench.truth[labels]).predict(seen[test])
            found[name].append(predicted - bench.truth[test])
    path.parent.mkdir(exist_ok=True)
    write_json(path, {name: np.concatenate(each).tolist() for name, each in found.items()})
    return {name: np.concatenate(each) for name, each in found.items()}


def collect(bench: Bench, way: str, folds: range, n: int, seed: int = 0) -> dict[str, np.ndarray] | None:
    """Errors over folds, or ``None`` where time ran out."""
    try:
        parts = [bench.errors(way, *bench.part(fold, n), fold, seed) for fold in folds]
    except OutOfTime:
        return None
    return {view: np.concatenate([part[view] for part in parts]) for view in ("plain", "d4")}


def main() -> None:
    """Train, measure, write ``results/few_labels.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--unlabelled", type=Path, required=True)
    parser.add_argument("--simulated", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--side", type=int, default=64, help="pixels of the packed cutouts; 64, or 128 as they are")
    parser.add_argument("--crop", type=int, default=48, help="pixels in the middle that the network sees")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--ways", nargs="+", choices=[*STARTS, *TAUGHT], default=["scratch", "simulated", "taught"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--labels", type=int, nargs="*", default=[50, 100, 200, 320])
    parser.add_argument("--repeats", type=int, default=3, help="splits at each number of labels")
    parser.add_argument("--seeds", type=int, default=1, help="trainings at all labels; an ensemble where there are 3")
    parser.add_argument("--epochs", type=int, default=25, help="of a training that starts from a trunk")
    parser.add_argument("--trunk-epochs", type=int, default=16)
    parser.add_argument("--taught-epochs", type=int, help="of a taught training, instead of its own number")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no training after that")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is recorded")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments)
    if arguments.quick:
        arguments.epochs = arguments.trunk_epochs = arguments.repeats = 1
        arguments.taught_epochs = 1
        arguments.labels, bench.recipe = [50], replace(bench.recipe, epochs=1)
    ways = [way for way in arguments.ways if way != "simulated" or arguments.simulated is not None]
    measured = {"all labels": whole(bench, ways), "by number of labels": curves(bench, ways)}
    measured["from ImageNet weights"] = "not measured: no weights at hand"
    about = {
        "observed": f"{len(bench.data)} SDSS cutouts with 12+log(O/H) (sdss-metallicity-400), packed at "
        f"{arguments.side} px, the central {arguments.crop} px seen; σ = {bench.truth.std():.4f} dex",
        "ways": {way: WORDS[way] for way in ways},
        "split": f"{FOLDS} folds by identifier, split seed 0; at fewer labels that many are drawn outside the fold",
        "chosen": "The rate of a started training on simulated galaxies alone (320 labels, 600 others held out, trunk "
        "that read the observed ones' photometry, 20 epochs: 0.0943 dex at 3e-3, 0.0955 at 1e-3; from scratch, 60 "
        "epochs: 0.0930). Its number of epochs was set beforehand. Averaging the weights while training (decay 0.98) "
        "changed those by at most 0.0005 and was left out. The folds' own labels chose nothing; trials on inner splits "
        "of 320 of these 400 galaxies had been seen." + (CHOSEN if set(TAUGHT) & set(ways) else ""),
        "seeds": list(range(arguments.seeds)),
        "errors written": bench.written(),
    }
    part = "_taught" if set(TAUGHT) & set(ways) else "" if arguments.side == 64 else f"_{arguments.side}"
    common.write(f"few_labels{part}", arguments, about, measured)


def whole(bench: Bench, ways: list[str]) -> dict[str, Any]:
    """Five folds, every galaxy predicted once."""
    folds, n, found = range(FOLDS), len(bench.data), {}
    errors = {way: [collect(bench, way, folds, n, seed) for seed in range(bench.arguments.seeds)] for way in ways}
    first = {way: each[0] for way, each in errors.items() if each[0] is not None}
    base = first.get("scratch")
    for way, one in first.items():
        beside = base if way != "scratch" else None
        found[way] = {view: scored(one[view], beside and beside[view]) for view in ("d4", "plain")}
        found[way]["largest error, d4"] = float(np.abs(one["d4"]).max())
        done = [each["d4"] for each in errors[way] if each is not None]
        found[way]["d4, each seed"] = [rmse(each) for each in done]
        if len(done) > 2:
            found[way][f"mean of {len(done)} networks"] = scored(np.mean(done, axis=0), base["d4"])
    if len(first) > 1:
        together = np.mean([one["d4"] for one in first.values()], axis=0)
        found[f"mean of one network each ({', '.join(first)})"] = scored(together, base and base["d4"])
    by_hand = {f"{name} on photometry": each for name, each in by_photometry(bench, folds, n).items()}
    found |= {name: scored(each, base and base["d4"]) for name, each in by_hand.items()}
    everyone = {way: one["d4"] for way, one in first.items()} | by_hand
    found["mean of all of these"] = scored(np.mean([*everyone.values()], axis=0), base and base["d4"])
    found["correlations of the errors"] = {
        f"{a}; {b}": float(np.corrcoef(everyone[a], everyone[b])[0, 1]) for a, b in itertools.combinations(everyone, 2)
    }
    return found | {way: "not measured" for way in ways if way not in first}


def curves(bench: Bench, ways: list[str]) -> list[dict[str, Any]]:
    """RMSE of the mean of 8 views at each number of labels, over the first folds."""
    folds, rows = range(bench.arguments.repeats), []
    for n, way in itertools.product(bench.arguments.labels, ways):
        found = collect(bench, way, folds, n)
        base = collect(bench, "scratch", folds, n) if way != "scratch" else None
        score = "not measured" if found is None else scored(found["d4"], base and base["d4"])
        rows.append({"labels": n, "way": way, "splits": len(folds), "d4": score})
    for n in bench.arguments.labels:
        for name, each in by_photometry(bench, folds, n).items():
            rows.append({"labels": n, "way": f"{name} on photometry", "splits": len(folds), "rmse": scored(each, None)})
    return rows


if __name__ == "__main__":
    main()
