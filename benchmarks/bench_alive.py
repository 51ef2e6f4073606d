"""Do more features stay in use, and does it cost accuracy? The paper's recipe, this project's, and that with --alive.

    python -m benchmarks.bench_alive [--galaxies 20000] [--first 1200] [--real FOLDER --folds 2] [--work DIR]
    python -m benchmarks.bench_alive … --recipes paper paper-alive --out FILE

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

from benchmarks import common, seeds
from sfnet_core.analysis.evaluation import active_features
from sfnet_core.codes.table import SparseCodes
from sfnet_core.training.recipes import ALIVE, GATE_POWER, RECIPES, Recipe

MULTI = {"multi_k": 16, "multi_k_power": GATE_POWER}
OPTIONS = {
    "alive": ALIVE,
    "alive-32": ALIVE | {"batch": 32},
    "multi": MULTI,
    "alive-multi": ALIVE | MULTI | {"start_k": 0},
    "last-step": {"refit_head": False},
    "alive-last-step": ALIVE | {"refit_head": False},
}
USUAL = ["paper", "ours", "ours-alive"]


def main() -> None:
    """Train, measure, write ``results/alive.json``, of observed galaxies ``results/alive_observed.json``."""
    parser = seeds.options(__doc__, [0, 1, 2])
    parser.set_defaults(galaxies=1800, first=1200, half=True, width=32, epochs=8)
    known = [f"{one}{option}" for one in ("paper", "ours") for option in ("", *(f"-{name}" for name in OPTIONS))]
    parser.add_argument(
        "--recipes", nargs="+", default=USUAL, choices=known, help="what is compared, each with those before it"
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.seeds, arguments.epochs, arguments.width = 60, [0, 1], 1, 4
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def recipes(arguments: argparse.Namespace) -> dict[str, Recipe]:
    """What is compared, by name."""
    few = 0  # observed galaxies
    ours = seeds.recipe_of(arguments, arguments.galaxies if arguments.real is None else few, crop_share=1.0)
    if arguments.real is None:
        ours = replace(ours, gain=0.0, sky=0.0)
    plain, found = {"paper": ("paper", RECIPES["paper"]), "ours": (ours.name, ours)}, {}
    for asked in arguments.recipes:
        one, _, option = asked.partition("-")
        label, recipe = plain[one]
        found[f"{label}, {option}" if option else label] = replace(recipe, **OPTIONS.get(option, {}))
    return found


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """All trainings; then RMSE and features in use of each recipe, and ratios to the paper's."""
    data = seeds.survey(arguments, work) | {"cutouts": "128 px halved to 64 px, whole"}
    chosen = recipes(arguments)
    files: dict[str, list[list[SparseCodes]]] = {name: [] for name in chosen}  # recipe → seed → fold
    for seed in arguments.seeds:
        for name, recipe in chosen.items():
            label = f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}"
            files[name].append(seeds.held_out(arguments, work, label, seed, 4, recipe=recipe))
    squares = {name: np.array([_squares(folds) for folds in each]) for name, each in files.items()}  # (seeds, n)
    first = next(iter(files))
    measured: dict[str, Any] = {"n_held_out": squares[first].shape[1], "features": files[first][0][0].features}
    for name, each in files.items():
        used = [active_features(codes) for folds in each for codes in folds]
        measured[name] = {
            "rmse_dex": seeds.rmse(squares[name]),
            "rmse_dex_each_seed": np.sqrt(squares[name].mean(axis=1)).tolist(),
            "features_in_use_on_held_out_galaxies": {
                key: {"mean": float(np.mean([one[key] for one in used])), "each": [one[key] for one in used]}
                for key in used[0]
            },
        } | ratios(squares, name)
    part = "" if arguments.real is None else "_observed"
    common.write(f"alive{part}", arguments, data, measured)


def ratios(squares: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    """RMSE over that of each recipe before, with its interval."""
    found = {}
    for other in [*squares][: [*squares].index(name)]:
        found[f"rmse_over_{other}"], found[f"rmse_over_{other}_95"] = seeds.ratio(squares[name], squares[other])
    return found


def _squares(folds: list[SparseCodes]) -> np.ndarray:
    """(n,) squared errors of the held-out galaxies, dex², in one order for every seed."""
    ids = np.concatenate([codes.ids for codes in folds])
    squared = np.concatenate([(codes.prediction() - codes.truth()) ** 2 for codes in folds])
    return squared[np.argsort(ids)]


if __name__ == "__main__":
    main()
