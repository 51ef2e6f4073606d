"""The accuracy that README states: the 400 observed galaxies by halves, and the embedded simulated sample.

    python -m benchmarks.bench_accuracy --real FOLDER --work DIR [--threads 1]

``FOLDER`` holds ``galaxies.csv`` and ``images``. Everything is trained by :func:`sfnet_core.training.loop.train` with
the recipe it chooses by itself; each half of the 400 is held out once (``--folds 2``; another seed has other halves).
"Inside each half": the same two recipes on halves of each training half, the held-out galaxies not looked at. Simulated
galaxies say nothing about observed ones. What is finished is kept in ``--work`` and not done again.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common
from benchmarks.baselines import methods
from sfnet_core.analysis.interpret import predict
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.data.splits import validation_mask
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset
from sfnet_core.inference.runner import infer
from sfnet_core.stats.metrics import evaluate_arrays, rmse
from sfnet_core.training.loop import train
from sfnet_core.training.recipes import RECIPES

TARGET = "oh_p50"
STEADY = replace(RECIPES["few hundred"], gain=0.0, sky=0.0)  # the recipe without varied gain and sky
RESAMPLES = 2000  # for 95 % intervals
FEW = 200  # simulated galaxies to train on


class Bench:
    """The trainings of one work folder."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.work, self.epochs = arguments.work, 1 if arguments.quick else None
        self.full, self.half = (8, 4) if arguments.quick else (64, 32)

    def codes(self, data: Dataset, name: str, **how: Any) -> SparseCodes:
        """Codes of the whole dataset by a network trained on a part of it."""
        path, started = self.work / f"{name}.parquet", time.perf_counter()
        if not path.is_file():
            how = {"target": TARGET, "k": 4, "resume": True, "progress": False} | how
            if self.epochs is not None:
                how["epochs"] = self.epochs
            run = train(data, self.work / f"run-{name}", **how)
            infer(run, data, path, maps=False, tta=True, progress=False)
        common.progress(f"{name}: {time.perf_counter() - started:.0f} s")
        return SparseCodes.open(path)

    def halves(self, data: Dataset, name: str, *, seed: int = 0, **how: Any) -> dict[str, Any]:
        """RMSE [dex] of each half held out once, of one view and of the mean of 8 orientations."""
        found: dict[str, Any] = {"one view": [], "mean of 8 orientations": []}
        for fold in range(2):
            codes = self.codes(data, f"{name}-seed{seed}-half{fold}", seed=seed, fold=fold, folds=2, **how)
            out = codes.in_split("validation")
            for view, predicted in zip(found, (codes.prediction(), codes.prediction_d4()), strict=True):
                found[view].append(rmse(codes.truth()[out], predicted[out]))
        return {view: {"mean": float(np.mean(each)), "each": each} for view, each in found.items()}

    def observed(self, data: Dataset, small: Dataset) -> dict[str, Any]:
        """README's table and what it says below it; ``small``: the same galaxies at half the size."""
        found: dict[str, Any] = {"n": len(data), "std_dex": float(np.std(data.column(TARGET)))}
        found["full width"] = self.halves(data, "full", width=self.full)
        for seed in range(3):
            found[f"width 32, seed {seed}"] = self.halves(data, "w32", width=self.half, seed=seed)
        for seed in range(3):
            found[f"64 px, width 16, seed {seed}"] = self.halves(small, "small", width=self.half // 2, seed=seed)
        steady = self.halves(data, "steady", width=self.half, recipe=STEADY)
        found["width 32, seed 0, gain and sky not varied"] = steady
        inside = {"gain and sky varied": {}, "not varied": {"recipe": STEADY}}
        ids, columns = np.asarray(data.ids), {TARGET: np.asarray(data.column(TARGET))}
        for half in range(2):
            rows = np.flatnonzero(~validation_mask(data.ids, seed=0, fold=half, folds=2))
            place = self.work / f"inside{half}"
            if not place.is_dir():
                part = {name: column[rows] for name, column in columns.items()}
                Dataset.create(place, ids[rows], (np.array(data.cutouts[row]) for row in rows), part)
            for name, how in inside.items():
                label = f"inside{half}-{'steady' if how else 'full'}"
                one = self.halves(Dataset.open(place), label, width=self.half, **how)["one view"]
                found.setdefault(f"width 32, inside each half, {name}", []).append(one)
        return found

    def sample(self) -> dict[str, Any]:
        """The embedded sample: its own network, what a few hundred galaxies give with and without varied gain."""
        codes, data = sample_codes(), sample_dataset()
        out = codes.in_split("validation")
        truth = codes.truth()[out]
        found: dict[str, Any] = {"n_validation": int(out.sum()), "std_dex": float(np.std(truth))}
        for k in (1, codes.k, codes.k + codes.runners_up):
            scored = evaluate_arrays(truth, predict(codes, k=k)[out], intervals=RESAMPLES)
            found[f"its network, k = {k}"] = {"rmse": scored["rmse"], "interval": scored["intervals"]["rmse"]}
        place = np.array([data.index_of(name) for name in codes.ids])
        cutouts, training = np.asarray(data.cutouts), place[codes.in_split("train")]
        known = np.asarray(data.column(TARGET), dtype=float)
        for name, (features, make) in methods(cutouts, 0).items():
            predicted = make().fit(features[training], known[training]).predict(features[place[out]])
            found[name] = rmse(truth, predicted)
        for name, how in {"varied": {}, "not varied": {"recipe": STEADY}}.items():
            share = 1 - FEW / len(data)
            few = self.codes(data, f"few-{name.replace(' ', '-')}", validation=share, width=self.half, **how)
            held = few.in_split("validation")
            error = rmse(few.truth()[held], few.prediction()[held])
            found[f"width 32, {FEW} galaxies, gain and sky {name}"] = {"rmse": error, "n_held_out": int(held.sum())}
        return found


def main() -> None:
    """Train, measure, write ``results/accuracy.json``."""
    parser = common.parser(__doc__)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    bench, source, sizes = Bench(arguments), arguments.real, {"observed": None, "small": 64}
    for name, size in sizes.items():
        if not (arguments.work / name).is_dir():
            pack(source / "galaxies.csv", source / "images", arguments.work / name, size=size, progress=False)
    data = {
        "observed": f"{arguments.real.name}: gri cutouts of 128 px with 12+log(O/H)",
        "simulated": "the embedded sample, its own split",
        "split": "observed: 2 folds by identifier, split seed = seed, each held out once",
        "target": "oh_p50 [dex]",
        "recipe": "as sfnet train chooses it: few hundred, 96 px crop (of 64 px: 48)",
    }
    observed = bench.observed(*(Dataset.open(arguments.work / name) for name in sizes))
    measured = {"observed": observed, "sample": bench.sample()}
    common.write("accuracy", arguments, data, measured)


if __name__ == "__main__":
    main()
