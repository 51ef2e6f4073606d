"""What a comparison says of itself: what it was asked for, on which galaxies, with which versions, how to repeat it."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.figures.provenance import date_text
from sfnet_core.reports.compare.table import LABELS
from sfnet_core.utils.version import __version__

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.training.plan import Plan

__all__ = ["about_of", "command_of", "settings_of", "split_words"]

FEW = 100  # validation galaxies, below which the page warns


def settings_of(plan: Plan, seeds: Sequence[int], width: int, weights: str | None) -> dict[str, Any]:
    """What may not change from one call to the next in one folder; plain values that JSON gives back unchanged."""
    config = plan.config
    settings = {
        "dataset fingerprint": config["dataset_fingerprint"], "target": config["target"], "seeds": list(seeds),
        "width": width, "weights": None if weights is None else str(weights), "validation": config["validation"],
        "split seed": config["split_seed"], "group": config["group"],
    }  # fmt: skip
    return settings | {f"recipe {name}": value for name, value in plan.recipe.as_dict().items()}


def split_words(config: dict[str, Any]) -> str:
    """The split, in words."""
    if config["validation"] == "paper":
        return "the split of Wu (2025), 20 % of the rows held out"
    same = "" if config["group"] is None else f", one object by {config['group']}"
    return f"{100 * config['validation']:g} % of the objects held out, split seed {config['split_seed']}{same}"


def about_of(
    dataset: Dataset,
    plan: Plan,
    *,
    ks: Sequence[int],
    methods: Sequence[str],
    seeds: Sequence[int],
    width: int,
    weights: str | None,
    device: str,
    command: str,
    remarks: Sequence[str],
) -> dict[str, Any]:
    """Provenance, as plain values."""
    versions = {"sfnet-core": __version__, "python": platform.python_version(), "numpy": np.__version__}
    versions |= {name: importlib.metadata.version(name) for name in ("torch", "scikit-learn")}
    return {
        "dataset": dataset.meta["source"] or dataset.path.name,
        "dataset_fingerprint": dataset.fingerprint,
        "simulated": dataset.simulated,
        "galaxies": len(dataset),
        "n_train": len(plan.train),
        "n_validation": len(plan.validation),
        "n_left_out": len(dataset) - len(plan.train) - len(plan.validation),
        "left_out": plan.left_out_words(),
        "split": split_words(plan.config),
        "targets": list(plan.targets),
        "units": list(plan.units),
        "recipe": plan.recipe.as_dict(),
        "recipe_in_words": plan.recipe.sentence(),
        "width": width,
        "features": 8 * width,
        "crop": plan.side,
        "weights": "from scratch" if weights is None else str(weights),
        "seeds": list(seeds),
        "k": list(ks),
        "methods": list(methods),
        "device": device,
        "versions": versions,
        "date": date_text(),
        "command": command,
        "notes": [*_notes(dataset, plan, methods, seeds), *plan.remarks, *remarks],
    }


def _notes(dataset: Dataset, plan: Plan, methods: Sequence[str], seeds: Sequence[int]) -> list[str]:
    notes = []
    if dataset.simulated:
        notes.append("These galaxies are simulated: the numbers say nothing about real ones.")
    if len(seeds) == 1:
        notes.append("One seed: how much another training would differ is not known.")
    if len(plan.validation) < FEW:
        notes.append(
            f"Only {len(plan.validation)} validation galaxies: the intervals are wide, differences may be chance."
        )
    if {"pca", "elastic-net"} & set(methods):
        fitted = " and ".join(LABELS[name] for name in ("pca", "elastic-net") if name in methods)
        notes.append(
            f"{fitted}: fitted on features of the galaxies that the dense network was trained on, which it knows "
            "better than others."
        )
    return notes


def command_of(
    dataset: Dataset,
    out: Path,
    plan: Plan,
    *,
    ks: Sequence[int],
    methods: Sequence[str],
    seeds: Sequence[int],
    epochs: int | None,
    recipe: Any,
    width: int,
    weights: str | None,
) -> list[str]:
    """The shell's command for the same comparison, with names of files instead of paths."""
    config = plan.config
    words = ["sfnet", "compare", dataset.path.name, "--out", out.name, "--target", ",".join(plan.targets)]
    words += ["--k", ",".join(map(str, ks)), "--seeds", ",".join(map(str, seeds))]
    words += ["--methods", ",".join(methods)] if len(methods) < len(LABELS) else []
    words += ["--recipe", recipe if isinstance(recipe, str) else plan.recipe.name]
    words += ["--epochs", str(epochs)] if epochs is not None else []
    words += ["--validation", str(config["validation"]), "--split-seed", str(config["split_seed"])]
    words += ["--group", config["group"]] if config["group"] is not None else []
    words += ["--width", str(width)] if width != 64 else []
    return words + (["--weights", Path(str(weights)).name] if weights is not None else [])
