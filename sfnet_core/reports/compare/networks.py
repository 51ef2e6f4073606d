"""A comparison's work: every network trained and read once, every fit made once, all of it kept in the folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from sfnet_core.astro.photometry import NAMES, Process, forest, photometry, ridge
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.splits import objects
from sfnet_core.inference.encoding import Encoder
from sfnet_core.model.device import pick_device
from sfnet_core.model.run import LAST, MODEL, Run
from sfnet_core.reports.compare.estimators import component_fits, elastic_net, fit_each
from sfnet_core.reports.compare.table import LABELS, Key, name_of
from sfnet_core.training.loop import train
from sfnet_core.training.plan import Plan
from sfnet_core.utils.array_cache import kept
from sfnet_core.utils.console import say
from sfnet_core.utils.errors import SFNetError

__all__ = ["Comparison", "Networks", "dense_features", "objects_of", "predictions"]

_PIECE = 2048  # galaxies


class Networks:
    """Trainings of one dataset with one recipe and one split.

    Parameters
    ----------
    dataset
        The galaxies.
    folder
        Where the runs' folders go.
    options
        Of :func:`sfnet_core.training.loop.train`, all but ``k`` and ``seed``.
    say
        What tells the user which network is at work.
    """

    def __init__(
        self,
        dataset: Dataset,
        folder: Path,
        options: dict[str, Any],
        say: Callable[[str], None],
        *,
        device: str = "auto",
        progress: bool = True,
    ) -> None:
        self._dataset, self._folder, self._options, self._say = dataset, folder, options, say
        self._device, self._progress = device, progress

    def finished(self, name: str) -> bool:
        """Whether this run's training has ended."""
        folder = self._folder / name
        return (folder / MODEL).is_file() and not (folder / LAST).exists()

    def run(self, name: str, k: int, seed: int, words: str) -> Run:
        """The finished run of that name: trained, gone on with, or taken as it is where it is finished."""
        done = self.finished(name)
        if not done:
            self._say(words)
        return train(
            self._dataset, self._folder / name, k=k, seed=seed, resume=True, device=self._device,
            progress=self._progress and not done, **self._options,
        )  # fmt: skip

    def read(self, run: Run, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kept features (n, k) int16, -1 where none, and their activations (n, k) float32, of the galaxies ``rows``."""
        network = run.network().to(pick_device(self._device))
        network = network.to(memory_format=network.memory_format)
        encoder = Encoder(network, run.metadata, self._dataset, runners_up=0, maps=False)
        parts = []
        with tqdm(
            total=len(rows), unit=" galaxies", desc=f"read {run.name}", disable=not self._progress, file=sys.stderr,
            leave=False,
        ) as bar:  # fmt: skip
            for start in range(0, len(rows), _PIECE):
                parts.append(encoder.encode(rows[start : start + _PIECE], done=bar.update))
        if not all(part["good"].all() for part in parts):
            raise SFNetError(f"{run.path} gives activations that are not finite: its weights or a cutout are broken.")
        return tuple(np.concatenate([part[name] for part in parts]) for name in ("indices", "values"))


def predictions(run: Run, indices: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Bias + Σ weight × activation over the kept features: (n, k) and (n, k) → (n, T) float64, in targets' units."""
    head = run.network().head
    weight = head.weight.detach().double().numpy()  # (T, F)
    padded = np.append(weight, np.zeros((len(weight), 1)), axis=1)  # an empty slot, -1, finds a 0
    return head.bias.detach().double().numpy() + np.einsum("tnk,nk->nt", padded[:, indices], values)


def dense_features(indices: np.ndarray, values: np.ndarray, features: int) -> np.ndarray:
    """Codes of a network that keeps every feature → its activations (n, F) float32, in the order of the features."""
    dense = np.zeros((len(indices), features + 1), dtype=np.float32)  # the last column takes the empty slots
    np.put_along_axis(dense, indices.astype(np.int64), values, axis=1)
    return dense[:, :features]


RUNS, PARTS = "runs", "parts"


class Comparison:
    """Every method's predictions on the validation galaxies, made once and kept."""

    def __init__(
        self,
        dataset: Dataset,
        out: Path,
        plan: Plan,
        ks: list[int],
        seeds: list[int],
        methods: list[str],
        device: str,
        progress: bool,
    ) -> None:
        self.dataset, self.out, self.plan = dataset, out, plan
        self.ks, self.seeds, self.methods, self.progress = ks, seeds, methods, progress
        self.remarks: list[str] = []
        config = plan.config
        options = {name: config[name] for name in ("target", "validation", "group", "width", "weights", "split_seed")}
        self.say = partial(say, progress)
        self.networks = Networks(
            dataset, out / RUNS, options | {"recipe": plan.recipe}, self.say, device=device, progress=progress
        )
        self.wanted = self._trainings()
        self.truth = plan.truth[plan.train]

    def predictions(self) -> dict[Key, np.ndarray]:
        """(n, T) for each method, k and seed; says how to go on where it is interrupted."""
        try:
            found = {key: values for seed in self.seeds for key, values in self._networks(seed).items()}
            found |= self._plain()
        except (KeyboardInterrupt, SystemExit):
            done = sum(self.networks.finished(name) for name in self.wanted)
            say(
                True,
                f"The comparison is not finished: {done} of {len(self.wanted)} trainings are. "
                f"The same command (and --out {self.out}) goes on; what is finished is kept.",
            )
            raise
        return {key: found[key] for method in LABELS for key in found if key.method == method}

    # ---- networks

    def _trainings(self) -> dict[str, tuple[int, int, str]]:
        """The trainings that are needed: a run's name → k, seed, the method in words."""
        features = 8 * self.plan.config["width"]
        wanted = {}
        for seed in self.seeds:
            if "sfnet" in self.methods:
                for k in self.ks:
                    wanted[f"sfnet-k{k}-seed{seed}"] = (k, seed, f"{LABELS['sfnet']} k = {k}, seed {seed}")
            if {"dense", "pca", "elastic-net"} & set(self.methods):
                wanted[f"dense-seed{seed}"] = (features, seed, f"{LABELS['dense']}, seed {seed}")
        return wanted

    def _run(self, name: str) -> Run:
        k, seed, words = self.wanted[name]
        place = list(self.wanted).index(name) + 1
        return self.networks.run(name, k, seed, f"[{place} of {len(self.wanted)} trainings] {words}")

    def _networks(self, seed: int) -> dict[Key, np.ndarray]:
        """What needs a network of this seed."""
        found = {}
        if "sfnet" in self.methods:
            for k in self.ks:
                key = Key("sfnet", k, seed)
                run = self._run(f"sfnet-k{k}-seed{seed}")
                found[key] = self._part(name_of(key), run.fingerprint, partial(self._measured, run))["prediction"]
        if f"dense-seed{seed}" in self.wanted:
            found |= self._dense(seed)
        return found

    def _measured(self, run: Run) -> dict[str, np.ndarray]:
        return {"prediction": predictions(run, *self.networks.read(run, self.plan.validation))}

    def _dense(self, seed: int) -> dict[Key, np.ndarray]:
        """The dense network of this seed, and what is fitted on its features."""
        plan, found = self.plan, {}
        run = self._run(f"dense-seed{seed}")
        mark = run.fingerprint

        def read() -> dict[str, np.ndarray]:
            features = run.metadata["features"]
            inside, outside = self.networks.read(run, plan.train), self.networks.read(run, plan.validation)
            return {
                "prediction": predictions(run, *outside),
                "train": dense_features(*inside, features),
                "validation": dense_features(*outside, features),
            }

        dense = self._part(f"dense_seed{seed}", mark, read)
        if "dense" in self.methods:
            found[Key("dense", None, seed)] = dense["prediction"]
        if "pca" in self.methods:
            made = self._part(
                f"pca_{'-'.join(map(str, self.ks))}_seed{seed}",
                mark,
                lambda: {
                    f"k{k}": fit
                    for k, fit in component_fits(dense["train"], self.truth, dense["validation"], self.ks).items()
                },
            )
            found |= {Key("pca", k, seed): made[f"k{k}"] for k in self.ks}
        if "elastic-net" in self.methods:
            key = Key("elastic-net", None, seed)

            def fit() -> dict[str, np.ndarray]:
                self.say(f"{LABELS['elastic-net']}, seed {seed}")
                groups = objects_of(self.dataset, plan.train, plan.config["group"])
                made, remarks = elastic_net(dense["train"], self.truth, dense["validation"], groups, seed)
                return {"prediction": made, "remarks": np.array(remarks, dtype=str)}

            made = self._part(name_of(key), mark, fit)
            self.remarks += made["remarks"].tolist()
            found[key] = made["prediction"]
        return found

    # ---- without a network

    def _plain(self) -> dict[Key, np.ndarray]:
        plan, found, jobs = self.plan, {}, torch.get_num_threads()
        if "mean" in self.methods:
            found[Key("mean")] = np.repeat(self.truth.mean(axis=0)[None], len(plan.validation), axis=0)
        if not {"process", "forest", "ridge"} & set(self.methods):
            return found
        measured = self._part("measured", "", self._photometry)
        estimators: dict[Key, Callable[[], Any]] = {
            Key(name): make for name, make in (("process", Process), ("ridge", ridge)) if name in self.methods
        }
        if "forest" in self.methods:
            estimators |= {Key("forest", None, seed): partial(forest, seed, jobs) for seed in self.seeds}
        for key, make in estimators.items():

            def fit(key: Key = key, make: Callable[[], Any] = make) -> dict[str, np.ndarray]:
                self.say(LABELS[key.method] + ("" if key.seed is None else f", seed {key.seed}"))
                seen = slice(None if key.method == "process" else len(NAMES))  # the scatter in rings too, or not
                inside, outside = measured["train"][:, seen], measured["validation"][:, seen]
                return {"prediction": fit_each(make, inside, self.truth, outside)}

            found[key] = self._part(name_of(key), "", fit)["prediction"]
        return found

    def _photometry(self) -> dict[str, np.ndarray]:
        parts = {"train": self.plan.train, "validation": self.plan.validation}
        total, quiet = sum(map(len, parts.values())), not self.progress
        with tqdm(total=total, unit=" galaxies", desc="photometry", disable=quiet, file=sys.stderr, leave=False) as bar:
            return {
                name: photometry(self.dataset.cutouts, rows, bar.update, scatter=True) for name, rows in parts.items()
            }

    # ---- what is kept

    def _part(self, name: str, mark: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Arrays made once and kept in the folder; made anew where they came from another network (``mark``)."""
        return kept(self.out / PARTS / f"{name}.npz", mark, make)


def objects_of(dataset: Dataset, rows: np.ndarray, group: str | None) -> np.ndarray:
    """Which of the galaxies ``rows`` (n,) are one object, as the split has it → (n,) int."""
    position = {name: dataset.column(name)[rows] for name in ("ra", "dec") if name in dataset.columns}
    same = None if group is None else dataset.column(group)[rows]
    return objects(dataset.ids[rows], position.get("ra"), position.get("dec"), same)
