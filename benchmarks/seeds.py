"""Trainings on one split of simulated or observed galaxies, kept in a folder: what is finished is not done again."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.data.simulate.survey import draw_galaxies, simulate
from sfnet_core.inference.runner import infer
from sfnet_core.stats.bootstrap import percentile_interval, resampled
from sfnet_core.training.loop import train
from sfnet_core.training.recipes import RECIPES, Recipe, choose

__all__ = ["ABOUT", "held_out", "options", "ratio", "recipe_of", "rmse", "survey", "trained"]

RESAMPLES = 2000


def options(text: str, seeds: list[int]) -> argparse.ArgumentParser:
    """The options of every comparison of trainings."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--galaxies", type=int, default=1500)
    parser.add_argument("--survey-seed", type=int, default=0, help="seed of the simulated survey")
    parser.add_argument("--first", type=int, default=0, help="index of the first simulated galaxy that is taken")
    parser.add_argument("--half", action="store_true", help="cutouts of 64 px, the means of 2×2 pixels")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw simulated galaxies")
    parser.add_argument("--real", type=Path, help="a folder with galaxies.csv and images/, instead of simulating")
    parser.add_argument("--folds", type=int, help="hold out each of so many folds once, instead of 20 %%")
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--recipe", choices=[*RECIPES], help="instead of the one for this many galaxies")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's number")
    parser.add_argument("--crop", type=int, help="side of the central crop in px, instead of the recipe's")
    parser.add_argument("--taught", action="store_true", help="networks taught by photometry")
    parser.add_argument("--no-refit", action="store_true", help="heads as the last step leaves them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="keep the dataset, runs and codes here; finished ones are used again")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is recorded")
    parser.add_argument("--out", type=Path)
    return parser


def survey(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Simulate or pack the galaxies in ``work/survey`` unless they are there → what is to be said of the data."""
    torch.set_num_threads(arguments.threads)
    work.mkdir(parents=True, exist_ok=True)
    folder, place, half = arguments.real, work / "survey", arguments.half
    if folder is not None:
        if not place.is_dir():
            full = pack(folder / "galaxies.csv", folder / "images", work / "full" if half else place, progress=False)
            if half:
                truth = {"oh_p50": full.column("oh_p50")}
                Dataset.create(place, full.ids, map(common.shrunk, full.cutouts), truth, simulated=False)
        data = {"galaxies": f"{len(Dataset.open(place))} observed ({folder.name})", "simulated": False}
    else:
        if not place.is_dir():
            _simulate(arguments, place)
        since = f", from galaxy {arguments.first} on" if arguments.first else ""
        made = f"{arguments.galaxies} simulated (sfnet simulate --seed {arguments.survey_seed}{since}), 128 px"
        data = {"galaxies": made, "simulated": True}
    data |= ABOUT | ({"cutouts": "128 px halved to 64 px"} if half else {})
    return data | ({"split": f"{arguments.folds} folds, split seed 0, each held out once"} if arguments.folds else {})


def _simulate(arguments: argparse.Namespace, place: Path) -> None:
    """The simulated survey, or its galaxies from ``--first`` on, or halved."""
    n, seed, first, workers = arguments.galaxies, arguments.survey_seed, arguments.first, arguments.workers
    if not (first or arguments.half):
        simulate(n, seed=seed, out=place, workers=workers, progress=False)
        return
    cutouts, truth = [], []
    for cutout, row in draw_galaxies(first, first + n, seed, 128, workers):
        cutouts.append(common.shrunk(cutout) if arguments.half else cutout)
        truth.append(row["oh_p50"])
    ids = [f"sim-{i}" for i in range(first, first + n)]
    Dataset.create(place, ids, cutouts, {"oh_p50": np.array(truth)}, simulated=True)


ABOUT = {"split": "20 % held out, split seed 0 for every training", "target": "oh_p50"}


def recipe_of(arguments: argparse.Namespace, n: int, **more: Any) -> Recipe:
    """The recipe for ``n`` galaxies less those held out, with what else was asked for."""
    asked = {} if arguments.crop is None else {"crop": arguments.crop}
    asked |= {"refit_head": False} if arguments.no_refit else {}
    share = 1 - 1 / arguments.folds if arguments.folds else 0.8
    return replace(choose(round(n * share), arguments.recipe, epochs=arguments.epochs), **asked, **more)


def trained(arguments: argparse.Namespace, work: Path, name: str, seed: int, k: int, **more: Any) -> SparseCodes:
    """Codes of the whole survey by a network trained on its training galaxies; ``more`` goes to ``train``."""
    path, started = work / f"{name}.parquet", time.perf_counter()
    usual = {"target": "oh_p50", "recipe": arguments.recipe} | ({"taught": True} if arguments.taught else {})
    usual |= {"refit_head": False} if arguments.no_refit else {}
    if not path.is_file():
        run = train(
            work / "survey", work / f"run-{name}", k=k, width=arguments.width,
            epochs=arguments.epochs, seed=seed, split_seed=0, resume=True, progress=False, **(usual | more),
        )  # fmt: skip
        infer(run, work / "survey", path, maps=False, runners_up=16, progress=False)
    common.progress(f"{name}: {time.perf_counter() - started:.0f} s")
    return SparseCodes.open(path)


def held_out(arguments: argparse.Namespace, work: Path, name: str, seed: int, k: int, **more: Any) -> list[SparseCodes]:
    """Codes of the galaxies that were not trained on: of the one split, or of each fold."""
    folds = arguments.folds
    ways = [{}] if not folds else [{"fold": fold, "folds": folds} for fold in range(folds)]
    files = [
        trained(arguments, work, f"{name}-fold{way['fold']}" if way else name, seed, k, **way, **more) for way in ways
    ]
    return [codes.take(codes.in_split("validation")) for codes in files]


def rmse(squares: np.ndarray) -> float:
    """Mean over trainings of the RMSE of (trainings, n) squared errors."""
    return float(np.sqrt(squares.mean(axis=1)).mean())


def ratio(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, list[float]]:
    """Our :func:`rmse` over theirs, and its 95 % bootstrap over galaxies and trainings (paired)."""
    trainings, n = ours.shape
    which = resampled(lambda counts: counts, trainings, RESAMPLES, seed=1)  # (1 + R, trainings)
    roots = [resampled(lambda c, s=s: np.sqrt(c @ s.T / n), n, RESAMPLES) for s in (ours, theirs)]
    value, *ends = percentile_interval((which * roots[0]).sum(axis=1) / (which * roots[1]).sum(axis=1))
    return value, ends
