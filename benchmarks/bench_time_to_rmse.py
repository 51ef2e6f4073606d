"""How much sooner this project's training reaches the RMSE of the paper's, trained plainly.

    python -m benchmarks.bench_time_to_rmse [--galaxies 7500] [--ours 1 2 3 4 6] [--seeds 0] [--work DIR]
    python -m benchmarks.bench_time_to_rmse --ablate --first 0 --galaxies 3000 [--ours 4] [--work DIR]

The yardstick is :mod:`benchmarks.plain_training`: the paper's recipe for its 20 epochs in float32. Beside it
:func:`sfnet_core.training.loop.train` at several numbers of epochs, each a training of its own, since the schedule goes
by its length. Both on one thread and the same simulated galaxies (128 px halved to 64 px); 20 % of them are held out:
one half of those chooses the number of epochs, the other reports. Both ways predict the held-out galaxies after each
epoch, and that is counted. Seconds of processor time are of this process, so that a busy machine spoils their ratio
least; the seconds on the clock are given too. ``--ablate`` tries changes of our recipe on galaxies that report nothing
else, seen whole unless it says otherwise. Simulated galaxies say nothing about real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common, seeds
from benchmarks.paper_peer import PaperSFNet, RAdamLookahead, training_step
from benchmarks.plain_training import train_plainly
from benchmarks.training_tricks import TRICKS, tricks
from sfnet_core.data.dataset import Dataset
from sfnet_core.model.preprocess import crop_centre, to_input
from sfnet_core.model.run import Run
from sfnet_core.stats.bootstrap import percentile_interval, resampled
from sfnet_core.training.loop import train
from sfnet_core.training.plan import make_plan
from sfnet_core.training.recipes import RECIPES, Recipe
from sfnet_core.utils.files import atomic_path

RESAMPLES = 2000
GOAL = 4.0  # times sooner
CHOSEN = {"crop": 48}  # what paid in the ablation: the share that the recipe takes of larger cutouts too
PLAIN, OURS = "plain implementation, the paper's recipe", "sfnet train"
K = 4

#: Changes of our recipe, see :func:`recipe`, and what :mod:`benchmarks.training_tricks` puts into ``train``.
CHANGES: dict[str, dict[str, Any]] = {
    "rate × 2": {"rate": 6e-3},
    "rate × 3": {"rate": 9e-3},
    "rate / 2": {"rate": 1.5e-3},
    "batches of 16": {"batch": 16},
    "batches of 64": {"batch": 64},
    "central half": {"crop_share": 0.5},
    "central three quarters": {"crop": 48},
    "central three quarters, rate × 2": {"crop": 48, "rate": 6e-3},
    "central three quarters, half of the epochs on halved images": {"crop": 48, "halved": 0.5},
    "gain and sky varied": {"gain": 0.1, "sky": 0.02},
    "warm-up a tenth": {"warm_up": 0.1},
    "half of the epochs on halved images": {"halved": 0.5},
    "three quarters on halved images": {"halved": 0.75},
    "average of weights": {"average": 0.98},
    "average of weights, rate kept up": {"average": 0.98, "flat": True},
}


def main() -> None:
    """Train, measure, write ``results/time_to_rmse.json`` or ``time_to_rmse_ablation.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--galaxies", type=int, default=7500, help="with those held out")
    parser.add_argument("--first", type=int, default=3000, help="index of the first simulated galaxy that is taken")
    parser.add_argument("--survey-seed", type=int, default=0, help="seed of the simulated survey")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--plain-epochs", type=int, default=20, help="the paper's number")
    parser.add_argument(
        "--ours", type=int, nargs="+", default=[1, 2, 3, 4, 6], help="numbers of epochs of our trainings"
    )
    parser.add_argument("--ablate", action="store_true", help="try changes of our recipe instead")
    parser.add_argument("--changes", nargs="+", default=list(CHANGES), choices=CHANGES, help="which, with --ablate")
    parser.add_argument("--kept", action="store_true", help="with --ablate: of the changes, those kept in --work")
    parser.add_argument("--work", type=Path, help="keep galaxies and trainings here; finished ones are used again")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is recorded")
    parser.add_argument("--out", type=Path)
    parser.set_defaults(real=None, folds=None, threads=1, half=True, workers=1)  # what else a survey asks for
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.width, arguments.plain_epochs = 120, 4, 2
        arguments.ours, arguments.changes = [1, 2], ["rate × 2", *(n for n in CHANGES if CHANGES[n].keys() & {*TRICKS})]
    with tempfile.TemporaryDirectory() as folder:
        work = Trainings(arguments, arguments.work or Path(folder))
        (ablate if arguments.ablate else compare)(arguments, work)


class Trainings:
    """Timed trainings on one survey and split, each kept in ``work`` as its own JSON file."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        self.arguments, self.work = arguments, work
        self.data = seeds.survey(arguments, work)
        self.dataset = Dataset.open(work / "survey")
        os.environ["SFNET_BF16"] = "0"  # float32 on both sides
        plan = make_plan(self.dataset, target="oh_p50", **self._how(0), recipe=recipe(1))
        self.train, self.held = plan.train, plan.validation
        self.truth = plan.truth[:, 0]

    def _how(self, seed: int) -> dict[str, Any]:
        return {
            "k": K, "width": self.arguments.width, "seed": seed, "split_seed": 0, "validation": 0.2, "epochs": None,
            "fold": None, "folds": None, "group": None, "weights": None,
        }  # fmt: skip

    def plain(self, seed: int) -> dict[str, Any]:
        """The paper's recipe in the plain implementation."""
        epochs = self.arguments.plain_epochs
        cutouts, held = self.dataset.cutouts[np.sort(self.train)], self.dataset.cutouts[self.held]

        def work() -> np.ndarray:
            return train_plainly(
                cutouts, self.truth[np.sort(self.train)], held, epochs=epochs, k=K, width=self.arguments.width,
                seed=seed, after_epoch=lambda n, p: common.progress(f"  plain, epoch {n}: {self._rmse(p):.4f}"),
            )  # fmt: skip

        return self._timed(f"plain-{epochs}-seed{seed}", work)

    def ours(self, name: str, recipe: Recipe, seed: int, **more: Any) -> dict[str, Any]:
        """``train`` with this recipe; predictions are read from the run, after the clock has stopped."""
        steps = recipe.epochs * max(1, round(len(self.train) / recipe.batch))
        label = self.label(name, recipe.epochs, seed)
        out = self.work / f"run-{label}"

        def work() -> Run:
            with tricks(steps, **more):
                return train(
                    self.dataset, out, recipe=recipe, device="cpu", overwrite=True, progress=False, **self._how(seed)
                )

        @torch.no_grad()
        def read(run: Run) -> np.ndarray:
            network, about, found = run.network(), run.metadata, []
            for rows in np.array_split(self.held, -(-len(self.held) // 64)):
                cutouts = torch.from_numpy(crop_centre(self.dataset.cutouts[rows], about["crop"]))
                found.append(network(to_input(cutouts, about["mean"], about["std"]))[:, 0])
            return torch.cat(found).numpy()

        return self._timed(label, work, read)

    @staticmethod
    def label(name: str, epochs: int, seed: int) -> str:
        """What a training's files are called."""
        return f"{name}-{epochs}-seed{seed}".replace(" ", "_").replace("/", "over")

    def kept(self, name: str, epochs: int) -> bool:
        """Whether this was trained with every seed."""
        return all((self.work / f"{self.label(name, epochs, seed)}.json").is_file() for seed in self.arguments.seeds)

    def _rmse(self, predicted: np.ndarray) -> float:
        return float(np.sqrt(np.mean((predicted - self.truth[self.held]) ** 2)))

    def _timed(self, label: str, work: Callable[[], Any], read: Callable[[Any], np.ndarray] = lambda p: p) -> dict:
        """Seconds and residuals [dex] of the held-out galaxies, from the file where it was done already."""
        path = self.work / f"{label}.json"
        if not path.is_file():
            warm_up()
            load, clock, processor = os.getloadavg()[0], time.perf_counter(), time.process_time()
            made = work()
            seconds = {"clock_s": time.perf_counter() - clock, "processor_s": time.process_time() - processor}
            busy = [round(load, 2), round(os.getloadavg()[0], 2)]
            residuals = (np.asarray(read(made), dtype=float) - self.truth[self.held]).tolist()
            with atomic_path(path) as part:
                part.write_text(json.dumps(seconds | {"load": busy, "residuals": residuals}), encoding="utf-8")
        found = json.loads(path.read_text(encoding="utf-8"))
        error = np.sqrt(np.mean(np.square(found["residuals"])))
        common.progress(f"{label}: {found['processor_s']:.0f} s of processor, RMSE {error:.4f}")
        return found

    def about(self) -> dict[str, Any]:
        """What is to be said of the data."""
        a = self.arguments
        return {
            **self.data, "n_train": len(self.train), "n_held_out": len(self.held),
            "network": f"width {a.width}, k = {K}", "precision": "float32", "threads": torch.get_num_threads(),
        }  # fmt: skip


@cache
def warm_up() -> None:
    """What PyTorch loads at a process's first training step, so that no training pays for it."""
    network = PaperSFNet(K, 1, 2)
    training_step(network, RAdamLookahead(list(network.parameters())), torch.randn(2, 3, 64, 64), torch.randn(2, 1))


def recipe(epochs: int, **changes: Any) -> Recipe:
    """This project's recipe for thousands of simulated galaxies, which have no strange skies; seen whole."""
    ours = {"epochs": epochs, "crop_share": 1.0, "gain": 0.0, "sky": 0.0}
    return replace(RECIPES["thousands"], **(ours | changes))


def numbers(trainings: Sequence[dict[str, Any]], part: slice) -> dict[str, Any]:
    """Mean RMSE over the seeds on a part of the held-out galaxies, and seconds."""
    squared = np.square([t["residuals"][part] for t in trainings])
    return {
        "rmse_dex": float(np.sqrt(squared.mean(1)).mean()),
        "rmse_dex_each_seed": np.sqrt(squared.mean(1)).tolist(),
        **{
            name: {"mean": float(np.mean([t[name] for t in trainings])), "each_seed": [t[name] for t in trainings]}
            for name in ("processor_s", "clock_s")
        },
        "load_average_before_and_after": [t["load"] for t in trainings],
    }


def difference(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], part: slice) -> dict[str, Any]:
    """RMSE of ours minus theirs, means over seeds, with a 95 % bootstrap over galaxies."""
    first, second = (np.square([t["residuals"][part] for t in each]) for each in (ours, theirs))
    n = first.shape[1]
    drawn = [resampled(lambda c, s=s: np.sqrt(c @ s.T / n).mean(axis=1), n, RESAMPLES) for s in (first, second)]
    value, *ends = percentile_interval(drawn[0] - drawn[1])
    return {"dex": value, "95": ends}


def compare(arguments: argparse.Namespace, work: Trainings) -> None:
    """Ours at each number of epochs beside the plain implementation."""
    choosing, reporting = slice(0, None, 2), slice(1, None, 2)  # of the held-out galaxies, whose order means nothing
    plain, ours = [], {epochs: [] for epochs in sorted(arguments.ours)}
    for seed in arguments.seeds:  # the ways take turns, so that a busy hour meets both
        for epochs, found in ours.items():
            found.append(work.ours("chosen", recipe(epochs, **CHOSEN), seed))
        plain.append(work.plain(seed))
    goal = numbers(plain, choosing)["rmse_dex"]
    reached = [epochs for epochs, found in ours.items() if numbers(found, choosing)["rmse_dex"] <= goal]
    measured: dict[str, Any] = {
        "recipe": recipe(max(ours), **CHOSEN).sentence(),
        "choosing_half": {
            PLAIN: numbers(plain, choosing),
            **{f"{OURS}, {epochs} epochs": numbers(found, choosing) for epochs, found in ours.items()},
        },
        "reporting_half": {
            PLAIN: numbers(plain, reporting),
            **{f"{OURS}, {epochs} epochs": numbers(found, reporting) for epochs, found in ours.items()},
        },
        "chosen_epochs": reached[0] if reached else None,
    }
    if reached:
        found = ours[reached[0]]
        sooner = {
            name: [theirs[name] / own[name] for theirs, own in zip(plain, found, strict=True)]
            for name in ("processor_s", "clock_s")
        }
        per_epoch = [
            (theirs["processor_s"] / arguments.plain_epochs) / (own["processor_s"] / reached[0])
            for theirs, own in zip(plain, found, strict=True)
        ]
        measured |= {
            "times_sooner_by_processor_time": {
                "mean": float(np.mean(sooner["processor_s"])),
                "each_seed": sooner["processor_s"],
            },
            "times_sooner_by_the_clock": {"mean": float(np.mean(sooner["clock_s"])), "each_seed": sooner["clock_s"]},
            "of_that_by_fewer_epochs": arguments.plain_epochs / reached[0],
            "of_that_by_quicker_epochs": float(np.mean(per_epoch)),
            "ours_minus_plain_reporting_half": difference(found, plain, reporting),
            "goal_times_sooner": GOAL,
            "goal_reached": bool(np.mean(sooner["processor_s"]) >= GOAL),
        }
    else:
        measured |= {"goal_times_sooner": GOAL, "goal_reached": False}
    common.write("time_to_rmse", arguments, work.about(), measured)


def ablate(arguments: argparse.Namespace, work: Trainings) -> None:
    """Each change of the recipe at each number of epochs."""
    everything = slice(None)
    found: dict[str, Any] = {}
    for epochs in arguments.ours:
        names = ["ours", *(n for n in arguments.changes if not arguments.kept or work.kept(n, epochs))]
        ours: dict[str, list[dict]] = {name: [] for name in names}
        for seed in arguments.seeds:
            for name, trainings in ours.items():
                change = CHANGES.get(name, {})
                fields = {key: value for key, value in change.items() if key not in TRICKS}
                more = {key: value for key, value in change.items() if key in TRICKS}
                trainings.append(work.ours(name, recipe(epochs, **fields), seed, **more))
        base = ours["ours"]
        found[f"{epochs} epochs"] = {
            name: numbers(trainings, everything)
            | ({} if name == "ours" else {"minus_ours": difference(trainings, base, everything)})
            for name, trainings in ours.items()
        }
    common.write("time_to_rmse_ablation", arguments, work.about(), found)


if __name__ == "__main__":
    main()
