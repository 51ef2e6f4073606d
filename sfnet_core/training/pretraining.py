"""A trunk from images alone: it learns to read off each galaxy what photometry by hand measures on it.

Colours in rings, light, size, axis ratio, concentration, asymmetry, clumps: numbers that cost no label and that carry
much of what metallicity shows in an image. Turned, mirrored, with gain and sky varied, they have to be read from what
the network sees, not from single pixels. `sfnet train --from-run` starts from the trunk.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sfnet_core.astro.photometry import NAMES, photometry
from sfnet_core.data.dataset import Dataset
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.training.recipes import RECIPES, Recipe, choose

__all__ = ["PRETRAIN", "Measured", "pretrain"]

PRETRAIN = replace(RECIPES["thousands"], name="pretrain", epochs=10)
_TAILS = (0.5, 99.5)  # percentiles beyond which a measurement is taken as that percentile


class Measured(Dataset):
    """A dataset with further columns in memory; in everything else the one it is made from."""

    def __init__(self, dataset: Dataset, further: Mapping[str, np.ndarray]) -> None:
        super().__init__(dataset.path, dataset.meta, dataset.cutouts, dataset._parquet)
        self._further = dict(further)

    @property
    def columns(self) -> list[str]:
        """Names of the table's columns, then of the further ones."""
        return [*(name for name in super().columns if name not in self._further), *self._further]

    def column(self, name: str) -> np.ndarray:
        """As of :meth:`Dataset.column`."""
        return self._further[name].copy() if name in self._further else super().column(name)


def pretrain(
    dataset: Dataset | str | os.PathLike,
    out: str | os.PathLike,
    *,
    k: int | None = None,
    width: int | None = None,
    start: str | os.PathLike | None = None,
    epochs: int | None = None,
    seed: int = 0,
    validation: float = 0.1,
    group: str | None = None,
    recipe: str | Recipe | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> Run:
    """Train a trunk without labels and write its run, whose targets are :data:`sfnet_core.astro.photometry.NAMES`.

    Args:
        k: features kept by the gate; by default all of them.
        recipe: by default :data:`PRETRAIN`, with the crop of the recipes for few and for thousands of galaxies: a run
            to start from and the training that starts from it must see the same crop.
        dataset, out, width, start, epochs, seed, validation, group, device, resume, overwrite, progress, callback: as
            of :func:`sfnet_core.training.loop.train`. A held-out share measures how well the numbers are read.

    Beyond the 0.5th and 99.5th percentile a measurement counts as that percentile. As deterministic and resumable as
    any training.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    recipe = choose(len(dataset), PRETRAIN if recipe is None else recipe, epochs)
    with tqdm(total=len(dataset), unit=" galaxies", desc="measure", disable=not progress, file=sys.stderr) as bar:
        measured = photometry(dataset.cutouts, done=bar.update)  # (N, 25)
    low, high = np.percentile(measured, _TAILS, axis=0)
    columns = dict(zip(NAMES, np.clip(measured, low, high).T, strict=True))
    varied = [name for name, values in columns.items() if values.std() > 0]
    if k is None:
        k = 8 * (width or (64 if start is None else Run.open(start).metadata["width"]))
    return train(
        Measured(dataset, columns), Path(out), target=varied or NAMES, k=k, width=width, start=start, seed=seed,
        validation=validation, group=group, recipe=recipe, device=device, resume=resume, overwrite=overwrite,
        progress=progress, callback=callback,
    )  # fmt: skip
