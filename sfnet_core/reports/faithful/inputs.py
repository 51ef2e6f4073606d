"""What faithfulness is measured on: galaxies of the codes, their activations as columns, what their images show."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.photometry import RINGS, photometry
from sfnet_core.codes.sums import blocks
from sfnet_core.data.pictures import dataset_rows
from sfnet_core.utils.array_cache import kept
from sfnet_core.utils.version import __version__

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["COLOURS", "PHOTOMETRY", "Inputs"]

COLOURS = tuple(f"{pair} {where}" for where in ("all", *(f"ring {i}" for i in range(1, len(RINGS)))) for pair in
                ("R/G", "G/B"))  # fmt: skip
_SHAPES = ("area", "major axis", "axis ratio", "concentration", "half-light radius", "asymmetry", "clumps", "peak")
PHOTOMETRY = (*COLOURS, *(f"light in ring {i}" for i in range(1, len(RINGS))), *_SHAPES)


@dataclass
class Inputs:
    """What the sections are made from: ``rows`` (n,) of the codes; ``work`` keeps what was measured on their images."""

    codes: SparseCodes
    rows: np.ndarray
    target: int
    dataset: Dataset | None
    seed: int
    say: Callable[[str], None]
    progress: bool = True
    work: Path | None = None
    _measured: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def places(self) -> np.ndarray:
        """(n,) each galaxy's row in the dataset, -1 where it has no cutout."""
        return dataset_rows(self.codes, self.dataset)[self.rows].astype(np.int64)

    @property
    def no_images(self) -> str:
        """Why nothing can be measured on images; empty where it can."""
        if self.dataset is None:
            return "the codes' dataset was not named (--dataset)"
        return "" if (self.places >= 0).any() else "none of these galaxies has a cutout in the dataset"

    def photometry(self, of: np.ndarray) -> np.ndarray:
        """(len(of), 25) colours and shapes of galaxies at positions ``of`` in ``rows``; NaN without a cutout."""
        whole = self._measured.setdefault("photometry", np.full((len(self.rows), len(PHOTOMETRY)), np.nan))
        need = of[(self.places[of] >= 0) & np.isnan(whole[of]).all(axis=1)]
        if len(need):
            self.say(f"Photometry of {len(need):,} galaxies")

            def make() -> dict[str, np.ndarray]:
                return {"photometry": photometry(self.dataset.cutouts, self.places[need])}

            chosen = hashlib.blake2b(self.places[need].tobytes(), digest_size=8).hexdigest()
            mark = f"{self.dataset.fingerprint} {__version__}"
            whole[need] = (
                kept(self.work / f"photometry-{chosen}.npz", mark, make)["photometry"]
                if self.work
                else (make()["photometry"])
            )
        return whole[of]

    def columns(self, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Activations behind the gate (len(of), J) of the features that fire on them, and the features (J,)."""
        rows = self.rows[of]
        kept = self.codes.indices[rows, : self.codes.k]
        features = np.unique(kept[kept >= 0])
        where = np.full(self.codes.features + 1, len(features))  # an empty slot goes to a column that is cut off
        where[features] = np.arange(len(features))
        out = np.zeros((len(of), len(features) + 1))
        for place, indices, values in blocks(self.codes, rows):
            at = where[indices[:, : self.codes.k]]
            np.put_along_axis(out[place], at, values[:, : self.codes.k].astype(np.float64), axis=1)
        return out[:, :-1], features
