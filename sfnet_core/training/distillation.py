"""The pictures of a training and their targets: the galaxies' own, or pictures and the predictions of a teacher.

A few hundred labels are enough for a smooth function of forty numbers measured by hand, and too few for millions of
weights. So a *taught* training (``variants`` of the recipe) fits that function, a Gaussian process on photometry, to
the training galaxies, draws further pictures of them (:mod:`sfnet_core.training.synthetic_views`), predicts the
targets of each of those, and the network learns these predictions from the pixels. Galaxies of the dataset without a
usable target take part as pictures. Held-out galaxies take no part, neither their targets nor their pictures. The idea
is that of distillation (Hinton et al. 2015, arXiv:1503.02531) from another kind of model.

Shape letters: N galaxies of the dataset, n pictures, T targets, s side of the crop.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sfnet_core.astro.photometry import Process, photometry
from sfnet_core.model.cutout_loader import CutoutLoader
from sfnet_core.model.preprocess import crop_centre
from sfnet_core.stats.metrics import rmse
from sfnet_core.training.recipes import PICTURES, PICTURES_LIMIT
from sfnet_core.training.synthetic_views import draw
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.subsample import evenly

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.training.plan import Plan

__all__ = ["TrainingSet", "training_set"]

_PIECE = 512


@dataclass
class TrainingSet:
    """What the network learns.

    Attributes
    ----------
    feed : n pictures, cropped and on the device
    targets : (n, T) standardised targets of each
    galaxies : the training galaxies themselves
    metrics : for the run's metrics
    remarks : sentences to be printed
    """

    feed: CutoutLoader
    targets: Tensor
    galaxies: CutoutLoader
    metrics: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.targets)


def training_set(
    dataset: Dataset, plan: Plan, mean: np.ndarray, scale: np.ndarray, device: torch.device, progress: bool
) -> TrainingSet:
    """The pictures and targets of this training.

    Parameters
    ----------
    dataset, plan : of the training
    mean, scale : (T,) mean and standard deviation that targets are standardised with
    device : where the pictures are kept
    progress : show a progress bar

    Raises
    ------
    SFNetError
        Where more pictures are to be drawn than memory holds.
    """

    def standardised(targets: np.ndarray) -> Tensor:
        return torch.from_numpy((targets - mean) / scale).float().to(device)

    galaxies = CutoutLoader(dataset.cutouts, plan.train, plan.side, device)
    if not plan.recipe.variants:
        return TrainingSet(galaxies, standardised(plan.truth[plan.train]), galaxies)
    pictures, targets, metrics, remarks = _taught(dataset, plan, progress)
    feed = CutoutLoader(pictures, np.arange(len(pictures)), plan.side, device)
    return TrainingSet(feed, standardised(targets), galaxies, metrics, remarks)


def _taught(dataset: Dataset, plan: Plan, progress: bool) -> tuple[np.ndarray, np.ndarray, dict[str, float], list[str]]:
    """Cropped pictures (n, s, s, 3), the teacher's predictions (n, T), how good it is, and that in a sentence."""
    cutouts, times = dataset.cutouts, plan.recipe.variants
    others = _without_target(len(dataset), plan)
    drawn = len(plan.train) * times
    total = len(plan.train) + len(plan.validation) + drawn + len(others)
    if (size := (drawn + len(others)) * plan.side**2 * 3) > PICTURES_LIMIT:
        raise SFNetError(
            f"--taught would hold {drawn + len(others):,} images of {plan.side} px in memory, "
            f"{size / 1e9:.1f} GB. Pack the cutouts smaller (sfnet pack --size), train on fewer galaxies, or "
            "learn from the labels alone (--no-taught)."
        )
    pictures = np.empty((drawn + len(others), plan.side, plan.side, 3), dtype=np.uint8)
    with tqdm(total=total, unit=" pictures", desc="measure", disable=not progress, file=sys.stderr, leave=False) as bar:

        def measured(rows: np.ndarray) -> np.ndarray:
            return photometry(cutouts, rows, bar.update, scatter=True)

        known = measured(plan.train)
        teacher, at, found = Process().fit(known, plan.truth[plan.train]), 0, []
        pieces = (cutouts[others[start : start + _PIECE]] for start in range(0, len(others), _PIECE))
        for some in chain(draw(cutouts, plan.train, times, plan.config["seed"]), pieces):
            pictures[at : at + len(some)] = crop_centre(some, plan.side)
            found.append(photometry(some, done=bar.update, scatter=True))
            at += len(some)
        targets = _predicted(teacher, np.concatenate(found), plan)
        metrics = {"n_pictures": len(pictures), "n_without_target": len(others)}
        metrics["teacher_train_rmse"] = rmse(plan.truth[plan.train].ravel(), _predicted(teacher, known, plan).ravel())
        sentence = f"The teacher's own RMSE is {metrics['teacher_train_rmse']:.4f} on the training galaxies"
        if len(held := plan.validation):
            error = rmse(plan.truth[held].ravel(), _predicted(teacher, measured(held), plan).ravel())
            metrics["teacher_validation_rmse"] = error
            sentence += f", {error:.4f} on those held out"
    sentence += f"; the network learns from {len(pictures):,} images"
    sentence += f", {len(others):,} of them galaxies without a target." if len(others) else "."
    return pictures, targets, metrics, [sentence]


def _without_target(n: int, plan: Plan) -> np.ndarray:
    """Rows of the dataset that are in neither part of the split, at most as many as pictures are drawn."""
    rows = np.setdiff1d(np.arange(n), np.concatenate([plan.train, plan.validation]))
    return rows[evenly(len(rows), PICTURES)]


def _predicted(teacher: Process, measured: np.ndarray, plan: Plan) -> np.ndarray:
    return teacher.predict(measured).reshape(len(measured), len(plan.targets))
