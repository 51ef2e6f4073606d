"""What a training will do, decided and checked before anything is computed; and what is in its folder already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.data.splits import paper_split, validation_mask
from sfnet_core.data.targets import read_targets
from sfnet_core.model.run import LAST, MODEL, RECORD, Run, read_record
from sfnet_core.training.progress import read_last
from sfnet_core.training.recipes import (
    DECIDED,
    EVERY_K,
    NEUTRAL,
    PICTURES,
    PICTURES_LIMIT,
    TAUGHT_BELOW,
    TAUGHT_WIDTH,
    Recipe,
    choose,
    known_fields,
)
from sfnet_core.training.warm_start import open_start
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.resume import check_begun

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset

__all__ = ["Plan", "begun_defaults", "inspect_output_dir", "make_plan"]

FEWEST = 8  # training galaxies


@dataclass
class Plan:
    """What will be done, decided before anything is computed."""

    config: dict[str, Any]
    recipe: Recipe
    side: int
    targets: list[str]
    units: list[str]
    truth: np.ndarray  # (N, T) float64, NaN where unusable
    train: np.ndarray  # rows
    validation: np.ndarray
    left_out: dict[str, int] = field(default_factory=dict)  # why → how many galaxies
    remarks: list[str] = field(default_factory=list)  # sentences to be printed
    start: Run | None = None  # whose trunk the training starts from

    def left_out_words(self) -> str:
        """Why galaxies are left out and how many, the most frequent reason first; '' where none are."""
        return ", ".join(f"{why} ({n:,})" for why, n in sorted(self.left_out.items(), key=lambda item: -item[1]))


def make_plan(
    dataset: Dataset,
    *,
    target: str | Sequence[str],
    k: int,
    epochs: int | None,
    seed: int,
    fold: int | None,
    folds: int | None,
    validation: float | str,
    group: str | None,
    weights: str | None,
    recipe: str | Recipe | None,
    width: int | None = None,
    multi_k: int | None = None,
    taught: bool | None = None,
    split_seed: int | None = None,
    start: str | os.PathLike | None = None,
    **changes: Any,
) -> Plan:
    """Targets, split and recipe.

    Where neither recipe, width nor a start is given, a training of fewer labels than
    :data:`~sfnet_core.training.recipes.TAUGHT_BELOW` is taught. Where ``multi_k`` is not given, nor a :class:`Recipe`,
    the paper's recipe or ``start_k``, every k up to :data:`~sfnet_core.training.recipes.EVERY_K` is trained.

    Parameters
    ----------
    dataset : of the training
    target, k, … : as of :func:`sfnet_core.training.loop.train`

    Raises
    ------
    SFNetError
        Where the data or the arguments don't allow the training.
    """
    targets = read_targets(dataset, target)
    names, truth, reasons = targets.names, targets.values, targets.reasons
    usable = np.flatnonzero(targets.usable)
    if len(usable) < FEWEST:
        why = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.items())
        raise SFNetError(
            f"Only {len(usable)} of {len(dataset):,} galaxies have a usable {', '.join(names)}; "
            f"at least {FEWEST} are needed. Left out: {why or 'none'}."
        )
    if validation == "paper":
        mask = paper_split(len(usable))
    elif isinstance(validation, str):
        raise SFNetError(f"The validation share is {validation!r}; give a number below 1, or “paper”.")
    else:
        position = {name: dataset.column(name)[usable] for name in ("ra", "dec") if name in dataset.columns}
        same = None if group is None else dataset.column(group)[usable]
        ids = dataset.ids[usable]
        mask = validation_mask(
            ids, seed=seed if split_seed is None else split_seed, validation=validation, fold=fold, folds=folds,
            group=same, ra=position.get("ra"), dec=position.get("dec"),
        )  # fmt: skip
    rows = usable[~mask]
    if len(rows) < FEWEST:
        raise SFNetError(f"The split leaves {len(rows)} galaxies for training; at least {FEWEST} are needed.")
    if (truth[rows].std(axis=0) == 0).any():
        constant = names[int(np.argmin(truth[rows].std(axis=0)))]
        raise SFNetError(f"{constant} has one and the same value for all training galaxies; there is nothing to learn.")
    size, remarks = (dataset.meta["height"], dataset.meta["width"]), list(targets.remarks)
    if all(one is None for one in (taught, recipe, width, weights, start)) and "variants" not in changes:
        bytes_needed = 2 * PICTURES * choose(len(rows), **changes).side(*size) ** 2 * 3
        if len(usable) < TAUGHT_BELOW and bytes_needed <= PICTURES_LIMIT:
            taught, width = True, TAUGHT_WIDTH
            remarks.append(
                f"Fewer than {TAUGHT_BELOW:,} labels: taught by photometry, at width {width} (--no-taught: from the "
                "labels alone, at width 64)."
            )
    asked, recipe = recipe, choose(len(rows), recipe, epochs, multi_k, taught=bool(taught), **changes)
    side = recipe.side(*size)
    if start is not None and weights is not None:
        raise SFNetError("Start from another run or from ImageNet weights, not from both.")
    begin = None if start is None else open_start(start, dataset, width, side)
    width = width or (64 if begin is None else begin.metadata["width"])
    told = multi_k is not None or isinstance(asked, Recipe) or recipe.name == "paper" or "start_k" in changes
    if EVERY_K and not told and k <= 8 * width:
        every = min(max(k, EVERY_K), 8 * width)
        recipe = choose(len(rows), asked, epochs, every, taught=bool(taught), **changes)
    if recipe.multi_k and not k <= recipe.multi_k <= 8 * width:
        raise SFNetError(
            f"The gates from 1 to multi_k={recipe.multi_k} are trained together: that is at least the network's own "
            f"k={k} and at most its {8 * width} features."
        )
    config = {
        "target": names, "k": k, "width": width, "seed": seed, "fold": fold, "folds": folds, "validation": validation,
        "group": group, "weights": weights, "recipe": recipe.as_dict(), "dataset_fingerprint": dataset.fingerprint,
        "split_seed": split_seed, "start": None if start is None else str(start),
    }  # fmt: skip
    return Plan(
        config, recipe, side, names, targets.units, truth, rows, usable[mask], reasons, remarks, begin
    )  # fmt: skip


def inspect_output_dir(out: Path, config: dict[str, Any], resume: bool, overwrite: bool) -> dict[str, Any] | Run | None:
    """Look at what a training's folder holds before anything is written to it.

    Parameters
    ----------
    out : the folder
    config : of the training that is asked for
    resume, overwrite : as of :func:`sfnet_core.training.loop.train`

    Returns
    -------
    None, dict or Run
        ``None`` to start anew, the state of an unfinished training, or a finished run.

    Raises
    ------
    SFNetError
        Where the folder holds another training, or one and neither ``resume`` nor ``overwrite`` is given.
    """
    begun, done = (out / LAST).is_file(), (out / MODEL).is_file()
    if overwrite:
        (out / LAST).unlink(missing_ok=True)
        return None
    if not resume:
        if begun or done:
            kind = "an unfinished training; continue it with --resume" if begun else "a run"
            raise SFNetError(f"{out} holds {kind}. Choose another folder, or replace it with --overwrite.")
        return None
    if not begun and not done:
        return None  # so that one command line serves the first start and every later one
    last = read_last(out / LAST) if begun else None
    run = None if begun else Run.open(out)
    before = last["config"] if begun else run.config
    check_begun(out, _named(before), _named(config), "another training", "or another folder")
    return last if begun else run


def begun_defaults(out: Path) -> dict[str, Any]:
    """What is decided without being asked, as it was when the training in this folder was begun."""
    config = read_record(out / RECORD)["config"] if (out / RECORD).is_file() else {}
    recipe = config.get("recipe")
    if not isinstance(recipe, dict):
        return {}
    begun = {name: NEUTRAL[name] for name in DECIDED if name not in recipe}
    begun |= {"multi_k": recipe.get("multi_k", 0), "taught": bool(recipe.get("variants"))}
    return begun | ({"width": config["width"]} if "width" in config else {})


def _named(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with each of the recipe's fields under a name of its own, those too that it does not know yet."""
    recipe = config.get("recipe")
    fields = NEUTRAL | known_fields(recipe) if isinstance(recipe, dict) else {}
    rest = {name: value for name, value in config.items() if name != "recipe"}
    return rest | {f"recipe.{name}": value for name, value in fields.items()}
