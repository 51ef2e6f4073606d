"""Datasets, trunks and trainings of :mod:`benchmarks.bench_few_labels`, kept in a folder."""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.data.splits import validation_mask
from sfnet_core.inference.encoding import Encoder
from sfnet_core.model.device import pick_device
from sfnet_core.model.run import Run
from sfnet_core.reports.compare.networks import predictions
from sfnet_core.training.loop import train
from sfnet_core.training.recipes import RECIPES, Recipe, choose
from sfnet_core.utils.files import write_json

FOLDS = 5
TARGET = "oh_p50"
STARTS = {"scratch": None, "simulated": "trunk-simulated"}
TAUGHT = ("taught", "taught-unlabelled")
CHOSEN = (
    " Taught: a Gaussian process was taken as the teacher after the errors of five estimators on these folds had been "
    "seen (on photometry without the rings' scatter 0.095 to 0.103 dex); the scatter, among some twenty sets of more "
    "numbers, by the marginal likelihood of the training galaxies, but its errors had been seen too; how pictures are "
    "drawn and for how many epochs on folds 0 and 1, by the distance to the teacher and the errors. So these RMSEs are "
    "a little flattered; bench_taught has galaxies that chose nothing."
)
WORDS = {
    "scratch": "from scratch, the recipe “few hundred”",
    "simulated": "from a trunk trained on simulated galaxies' O/H, mass and star formation rate, dense gate",
    "taught": "sfnet train --taught: what a Gaussian process on photometry says of pictures of the labelled galaxies",
    "taught-unlabelled": "the same, the unlabelled galaxies in the dataset too, as pictures",
}


class OutOfTime(Exception):
    """No further training is begun."""


class Bench:
    """The datasets, the trunks and the trainings of one work folder."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.work = arguments, arguments.work
        self.until = time.monotonic() + 60 * arguments.minutes
        self.data = self.packed(arguments.real, "observed")
        self.truth = np.asarray(self.data.column(TARGET), dtype=float)
        ids = self.data.ids
        self.fold = np.zeros(len(ids), dtype=int)
        for fold in range(FOLDS):
            self.fold[validation_mask(ids, seed=0, fold=fold, folds=FOLDS)] = fold
        self.recipe = replace(RECIPES["few hundred"], crop=arguments.crop)

    def packed(self, source: Path, name: str) -> Dataset:
        side = self.arguments.side
        path = self.work / f"{name}-{side}"
        if not path.is_dir():
            pack(source / "galaxies.csv", source / "images", path, size=side, progress=False)
        return Dataset.open(path)

    def halved(self, source: Path) -> Dataset:
        """The simulated galaxies as small as the others (means of pixels)."""
        side = self.arguments.side
        path = self.work / f"simulated-{side}"
        if not path.is_dir():
            full = Dataset.open(source)
            factor = full.meta["height"] // side
            small = (common.shrunk(cutout, factor) for cutout in full.cutouts)
            columns = {name: full.column(name) for name in (TARGET, "lgm_tot_p50", "sfr_tot_p50")}
            Dataset.create(path, full.ids, small, columns, simulated=True, source=f"{len(full)} simulated galaxies")
        return Dataset.open(path)

    def trunk(self, name: str) -> Path:
        """The run to start from, trained where it is not there yet."""
        out, options = self.work / name, {"width": self.arguments.width, "resume": True, "progress": False}
        options["on_epoch"] = lambda epoch: time.monotonic() < self.until
        if (out / "done").is_file():
            return out
        self.check_time()
        recipe = replace(RECIPES["thousands"], crop=self.arguments.crop, epochs=self.arguments.trunk_epochs)
        started = time.perf_counter()
        run = train(
            self.halved(self.arguments.simulated), out, target=f"{TARGET},lgm_tot_p50,sfr_tot_p50",
            k=8 * self.arguments.width, recipe=recipe, **options,
        )  # fmt: skip
        if run.status != "finished":
            raise OutOfTime
        common.progress(
            f"{name}: held out {run.history[-1]['validation_rmse']:.4f}, {time.perf_counter() - started:.0f} s"
        )
        (out / "done").touch()
        return out

    def written(self) -> list[str]:
        """When the first and the last of the errors were measured; earlier than this file where they were kept."""
        times = sorted(path.stat().st_mtime for path in (self.work / "errors").glob("*.json"))
        return [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one)) for one in (times[0], times[-1])]

    def check_time(self) -> None:
        if time.monotonic() > self.until:
            raise OutOfTime

    def errors(
        self, way: str, labels: np.ndarray, test: np.ndarray, fold: int, seed: int = 0
    ) -> dict[str, list[float]]:
        """Errors [dex] on ``test`` of a network trained on ``labels`` (rows): one view, and the mean of 8 views."""
        path = self.work / "errors" / f"{way}-fold{fold}-{len(labels)}-seed{seed}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        if way in TAUGHT:
            return self.taught(way, labels, test, path, seed)
        begin = None if STARTS[way] is None else self.trunk(STARTS[way])
        self.check_time()
        epochs = self.recipe.epochs if begin is None else self.arguments.epochs
        run = self.trained(labels, None, path.stem, replace(self.recipe, epochs=epochs), seed, begin)
        return self.kept(run, test, path)

    def kept(self, run: Run, test: np.ndarray, path: Path) -> dict[str, list[float]]:
        """Its errors on ``test``, written to ``path``."""
        one, mean = self.read(run, self.data, test)
        found = {"plain": (one - self.truth[test]).tolist(), "d4": (mean - self.truth[test]).tolist()}
        path.parent.mkdir(exist_ok=True)
        write_json(path, found)
        common.progress(f"{path.stem}: {rmse(found['d4']):.4f} dex")
        return found

    def taught(self, way: str, labels: np.ndarray, test: np.ndarray, path: Path, seed: int) -> dict[str, list[float]]:
        """Errors of a taught network."""
        self.check_time()
        many = self.packed(self.arguments.unlabelled, "unlabelled") if way == "taught-unlabelled" else None
        recipe = choose(len(labels), self.recipe, self.arguments.taught_epochs, taught=True)
        return self.kept(self.trained(labels, many, path.stem, recipe, seed), test, path)

    def trained(
        self, labels: np.ndarray, many: Dataset | None, name: str, recipe: Recipe, seed: int, start: Path | None = None
    ) -> Run:
        """A network whose dataset holds the labelled galaxies (and those without labels) alone."""
        place = self.work / "runs" / f"{name}-dataset"
        ids = [*self.data.ids[labels], *(many.ids if many else [])]
        cutouts = itertools.chain(self.data.cutouts[labels], many.cutouts if many else [])
        known = np.concatenate([self.truth[labels], np.full(len(ids) - len(labels), np.nan)])
        shutil.rmtree(place, ignore_errors=True)
        data = Dataset.create(place, ids, cutouts, {TARGET: known}, simulated=False)
        run = train(
            data, self.work / "runs" / name, target=TARGET, k=4, seed=seed, width=self.arguments.width, start=start,
            recipe=recipe, validation=0.0, overwrite=True, progress=False,
        )  # fmt: skip
        shutil.rmtree(place)
        return run

    def read(self, run: Run, data: Dataset, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions [dex] of one view, and of the mean of 8."""
        network = run.network()
        network = network.to(pick_device(), memory_format=network.memory_format)
        part = Encoder(network, run.metadata, data, runners_up=0, maps=False, tta=True).encode(rows)
        one = predictions(run, part["indices"], part["values"])[:, 0]
        return one, (one + part["views"][:, 0]) / 8

    def part(self, fold: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of ``n`` labels drawn from outside a fold, and the fold's rows."""
        inside, outside = np.flatnonzero(self.fold == fold), np.flatnonzero(self.fold != fold)
        drawn = np.random.default_rng([9, fold, n]).permutation(outside)[:n] if n < len(outside) else outside
        return np.sort(drawn), inside


def rmse(errors: Any) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))
