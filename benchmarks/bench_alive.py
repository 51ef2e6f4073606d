"""Do more features stay in use, and does it cost accuracy? The paper's recipe, this project's, and that with --alive.

    python -m benchmarks.bench_alive [--galaxies 20000] [--first 1200] [--real FOLDER --folds 2] [--work DIR]

Cutouts are halved to 64 px and seen whole. All recipes have the same number of epochs, split and seeds; on simulated
galaxies none varies gain and sky. The simulated galaxies before ``--first`` are left out: the options of ``--alive``
were chosen on a split of those. Simulated galaxies say nothing about real ones.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common, seeds
from sfnet_core.codes import SparseCodes
from sfnet_core.evaluate import active_features
from sfnet_core.recipes import ALIVE, RECIPES, Recipe
from sfnet_core.survey.dataset import Dataset
from sfnet_core.survey.pack import pack
from sfnet_core.survey.simulate import draw_cutout, draw_galaxy

RESAMPLES = 2000
OTHERS = {"auxk": {"auxk": 64}, "normalise": {"normalise": True}}


def main() -> None:
    """Train, measure, write ``results/alive.json``, of observed galaxies ``results/alive_observed.json``."""
    parser = seeds.options(__doc__, [0, 1, 2])
    parser.set_defaults(galaxies=1800, width=32, epochs=8)
    parser.add_argument("--first", type=int, default=1200, help="index of the first simulated galaxy that is taken")
    parser.add_argument("--others", nargs="*", default=[], choices=[*OTHERS], help="further options, beside --alive")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.seeds, arguments.epochs, arguments.width = 60, [0, 1], 1, 4
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def survey(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The galaxies at 64 px, in ``work/survey`` unless they are there → what is to be said of the data."""
    torch.set_num_threads(arguments.threads)
    work.mkdir(parents=True, exist_ok=True)
    place, seed, first = work / "survey", arguments.survey_seed, arguments.first
    if arguments.real is not None:
        if not place.is_dir():
            full = pack(arguments.real / "galaxies.csv", arguments.real / "images", work / "full", progress=False)
            halve(place, full.ids, (full.cutouts[i] for i in range(len(full))), full.column("oh_p50"), False)
        about = {"galaxies": f"{len(Dataset.open(place))} observed ({arguments.real.name})", "simulated": False}
    else:
        indices = range(first, first + arguments.galaxies)
        if not place.is_dir():
            truth = np.array([draw_galaxy(seed, i).row["oh_p50"] for i in indices])
            halve(place, [f"sim-{i}" for i in indices], (draw_cutout(seed, 128, i) for i in indices), truth, True)
        made = f"{arguments.galaxies} simulated (sfnet simulate --seed {seed}, from galaxy {first} on)"
        about = {"galaxies": made, "simulated": True}
    about |= seeds.ABOUT | {"cutouts": "128 px halved to 64 px, whole"}
    return about | ({"split": f"{arguments.folds} folds, split seed 0, each held out once"} if arguments.folds else {})


def halve(place: Path, ids, cutouts, truth: np.ndarray, simulated: bool) -> None:
    """Write a dataset of cutouts half as wide: means of 2×2 pixels."""
    half = (
        cutout.reshape(cutout.shape[0] // 2, 2, cutout.shape[1] // 2, 2, 3).mean((1, 3)).round().astype(np.uint8)
        for cutout in cutouts
    )
    Dataset.create(place, list(ids), half, {"oh_p50": truth}, simulated=simulated)


def recipes(arguments: argparse.Namespace) -> dict[str, Recipe]:
    """What is compared, by name."""
    name = "thousands" if arguments.real is None else "few hundred"
    ours = replace(RECIPES[name], crop_share=1.0)
    if arguments.real is None:
        ours = replace(ours, gain=0.0, sky=0.0)
    found = {"paper": RECIPES["paper"], name: ours, f"{name}, alive": replace(ours, **ALIVE)}
    return found | {f"{name}, {other}": replace(ours, **OTHERS[other]) for other in arguments.others}


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """All trainings; then RMSE and features in use of each recipe, and ratios to the paper's."""
    data = survey(arguments, work)
    chosen = recipes(arguments)
    files: dict[str, list[list[SparseCodes]]] = {name: [] for name in chosen}  # recipe → seed → fold
    for seed in arguments.seeds:
        for name, recipe in chosen.items():
            label = f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}"
            files[name].append(seeds.held_out(arguments, work, label, seed, 4, recipe=recipe))
    squares = {name: np.array([_squares(folds) for folds in each]) for name, each in files.items()}  # (seeds, n)
    measured: dict[str, Any] = {"n_held_out": squares["paper"].shape[1], "features": files["paper"][0][0].features}
    for name, each in files.items():
        used = [active_features(codes) for folds in each for codes in folds]
        measured[name] = {
            "rmse_dex": float(np.sqrt(squares[name].mean(axis=1)).mean()),
            "rmse_dex_each_seed": np.sqrt(squares[name].mean(axis=1)).tolist(),
            "features_in_use_on_held_out_galaxies": {
                key: {"mean": float(np.mean([one[key] for one in used])), "each": [one[key] for one in used]}
                for key in used[0]
            },
        } | ({} if name == "paper" else ratios(squares, name))
    part = "" if arguments.real is None else "_observed"
    common.write(f"alive{part}", arguments, data, measured)


def ratios(squares: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    """RMSE over that of each recipe before, with a 95 % bootstrap over held-out galaxies and over seeds (paired)."""
    seeds_, n = squares[name].shape
    rng = np.random.default_rng(0)
    draws = [(rng.integers(0, seeds_, seeds_)[:, None], rng.integers(0, n, n)) for _ in range(RESAMPLES)]

    def rmse(squared: np.ndarray) -> float:
        return float(np.sqrt(squared.mean(axis=1)).mean())

    found = {}
    for other in [*squares][: [*squares].index(name)]:
        spread = [rmse(squares[name][draw]) / rmse(squares[other][draw]) for draw in draws]
        found[f"rmse_over_{other}"] = rmse(squares[name]) / rmse(squares[other])
        found[f"rmse_over_{other}_95"] = np.percentile(spread, [2.5, 97.5]).tolist()
    return found


def _squares(folds: list[SparseCodes]) -> np.ndarray:
    """(n,) squared errors of the held-out galaxies, dex², in one order for every seed."""
    ids = np.concatenate([codes.ids for codes in folds])
    squared = np.concatenate([(codes.prediction() - codes.truth()) ** 2 for codes in folds])
    return squared[np.argsort(ids)]


if __name__ == "__main__":
    main()
