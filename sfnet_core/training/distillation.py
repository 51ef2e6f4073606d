"""What a training shows its network, and what it wants of it: the galaxies and their targets, or a teacher's lessons.

A few hundred labels are enough for a smooth function of forty numbers measured by hand, and too few for millions of
weights. So a *taught* training (``variants`` of the recipe) fits that function, a Gaussian process on photometry, to
the training galaxies, draws further pictures of them (:mod:`sfnet_core.training.synthetic_views`), lets it say what
each of those has, and the network learns that from the pixels. Galaxies of the dataset without a usable target take
part as pictures. Held-out galaxies take no part, neither their targets nor their pictures. The idea is that of
distillation (Hinton et al. 2015, arXiv:1503.02531) from another kind of model.

Shape letters: N galaxies of the dataset, n lessons, T targets, s side of the crop.
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
from sfnet_core.model.cutout_loader import CutoutFeed
from sfnet_core.model.preprocess import centre
from sfnet_core.stats.metrics import rmse
from sfnet_core.training.recipes import PICTURES
from sfnet_core.training.synthetic_views import draw
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.subsample import evenly

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.training.plan import Plan

__all__ = ["Lessons", "lessons"]

LIMIT = 4 << 30  # bytes of pictures
_PIECE = 512


@dataclass
class Lessons:
    """Pictures, cropped and on the device, and what is wanted of each, (n, T) standardised."""

    feed: CutoutFeed
    wanted: Tensor
    galaxies: CutoutFeed  # the training galaxies themselves
    about: dict[str, float] = field(default_factory=dict)  # for the run's metrics
    remarks: list[str] = field(default_factory=list)  # sentences to be printed

    def __len__(self) -> int:
        return len(self.wanted)


def lessons(
    dataset: Dataset, plan: Plan, centre_: np.ndarray, scale: np.ndarray, device: torch.device, progress: bool
) -> Lessons:
    """Those of this training; targets are standardised with (T,) ``centre_`` and ``scale``."""

    def wanted(targets: np.ndarray) -> Tensor:
        return torch.from_numpy((targets - centre_) / scale).float().to(device)

    galaxies = CutoutFeed(dataset.cutouts, plan.train, plan.side, device)
    if not plan.recipe.variants:
        return Lessons(galaxies, wanted(plan.truth[plan.train]), galaxies)
    pictures, targets, about, remarks = _taught(dataset, plan, progress)
    feed = CutoutFeed(pictures, np.arange(len(pictures)), plan.side, device)
    return Lessons(feed, wanted(targets), galaxies, about, remarks)


def _taught(dataset: Dataset, plan: Plan, progress: bool) -> tuple[np.ndarray, np.ndarray, dict[str, float], list[str]]:
    """Cropped pictures (n, s, s, 3), the teacher's word on them (n, T), how good it is, and that in a sentence."""
    cutouts, times = dataset.cutouts, plan.recipe.variants
    others = _without_target(len(dataset), plan)
    drawn = len(plan.train) * times
    total = len(plan.train) + len(plan.validation) + drawn + len(others)
    if (size := (drawn + len(others)) * plan.side**2 * 3) > LIMIT:
        raise SFNetError(
            f"To be taught, {drawn + len(others):,} pictures of {plan.side} px would be held in memory, "
            f"{size / 1e9:.1f} GB. Pack the cutouts smaller (sfnet pack --size), or train on fewer galaxies."
        )
    pictures = np.empty((drawn + len(others), plan.side, plan.side, 3), dtype=np.uint8)
    with tqdm(total=total, unit=" pictures", desc="measure", disable=not progress, file=sys.stderr, leave=False) as bar:

        def measured(rows: np.ndarray) -> np.ndarray:
            return photometry(cutouts, rows, bar.update, scatter=True)

        known = measured(plan.train)
        teacher, at, found = Process().fit(known, plan.truth[plan.train]), 0, []
        pieces = (cutouts[others[start : start + _PIECE]] for start in range(0, len(others), _PIECE))
        for some in chain(draw(cutouts, plan.train, times, plan.config["seed"]), pieces):
            pictures[at : at + len(some)] = centre(some, plan.side)
            found.append(photometry(some, done=bar.update, scatter=True))
            at += len(some)
        said = _says(teacher, np.concatenate(found), plan)
        about = {"n_pictures": len(pictures), "n_without_target": len(others)}
        about["teacher_train_rmse"] = rmse(plan.truth[plan.train].ravel(), _says(teacher, known, plan).ravel())
        sentence = f"The teacher's own RMSE is {about['teacher_train_rmse']:.4f} on the training galaxies"
        if len(held := plan.validation):
            error = rmse(plan.truth[held].ravel(), _says(teacher, measured(held), plan).ravel())
            about["teacher_validation_rmse"] = error
            sentence += f", {error:.4f} on those held out"
    sentence += f"; the network learns {len(pictures):,} pictures"
    sentence += f", {len(others):,} of them galaxies without a target." if len(others) else "."
    return pictures, said, about, [sentence]


def _without_target(n: int, plan: Plan) -> np.ndarray:
    """Rows of the dataset that are in neither part of the split, at most as many as pictures are drawn."""
    rows = np.setdiff1d(np.arange(n), np.concatenate([plan.train, plan.validation]))
    return rows[evenly(len(rows), PICTURES)]


def _says(teacher: Process, measured: np.ndarray, plan: Plan) -> np.ndarray:
    return teacher.predict(measured).reshape(len(measured), len(plan.targets))
