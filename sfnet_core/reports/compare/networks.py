"""The networks of a comparison: each a normal run, trained once, and read on the galaxies that are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.encoding import Encoder
from sfnet_core.model.device import pick_device
from sfnet_core.model.run import LAST, MODEL, Run
from sfnet_core.training.loop import train
from sfnet_core.utils.errors import SFNetError

__all__ = ["Networks", "dense_features", "predictions"]

_PIECE = 2048  # galaxies


class Networks:
    """Trainings of one dataset with one recipe and one split.

    Args:
        dataset: the galaxies.
        folder: where the runs' folders go.
        options: of :func:`sfnet_core.training.loop.train`, all but ``k`` and ``seed``.
        say: what tells the user which network is at work.
    """

    def __init__(
        self,
        dataset: Dataset,
        folder: Path,
        options: dict[str, Any],
        say: Callable[[str], None],
        *,
        device: str = "auto",
        progress: bool = True,
    ) -> None:
        self._dataset, self._folder, self._options, self._say = dataset, folder, options, say
        self._device, self._progress = device, progress

    def finished(self, name: str) -> bool:
        """Whether this run's training has ended."""
        folder = self._folder / name
        return (folder / MODEL).is_file() and not (folder / LAST).exists()

    def run(self, name: str, k: int, seed: int, words: str) -> Run:
        """The finished run of that name: trained, gone on with, or taken as it is where it is finished."""
        done = self.finished(name)
        if not done:
            self._say(words)
        return train(
            self._dataset, self._folder / name, k=k, seed=seed, resume=True, device=self._device,
            progress=self._progress and not done, **self._options,
        )  # fmt: skip

    def read(self, run: Run, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kept features (n, k) int16, -1 where none, and their activations (n, k) float32, of the galaxies ``rows``."""
        network = run.network().to(pick_device(self._device))
        network = network.to(memory_format=network.memory_format)
        encoder = Encoder(network, run.metadata, self._dataset, runners_up=0, maps=False)
        parts = []
        with tqdm(
            total=len(rows), unit=" galaxies", desc=f"read {run.name}", disable=not self._progress, file=sys.stderr,
            leave=False,
        ) as bar:  # fmt: skip
            for start in range(0, len(rows), _PIECE):
                parts.append(encoder.encode(rows[start : start + _PIECE], done=bar.update))
        if not all(part["good"].all() for part in parts):
            raise SFNetError(f"{run.path} gives activations that are not finite: its weights or a cutout are broken.")
        return tuple(np.concatenate([part[name] for part in parts]) for name in ("indices", "values"))


def predictions(run: Run, indices: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Bias + Σ weight × activation over the kept features: (n, k) and (n, k) → (n, T) float64, in targets' units."""
    head = run.network().head
    weight = head.weight.detach().double().numpy()  # (T, F)
    padded = np.append(weight, np.zeros((len(weight), 1)), axis=1)  # an empty slot, -1, finds a 0
    return head.bias.detach().double().numpy() + np.einsum("tnk,nk->nt", padded[:, indices], values)


def dense_features(indices: np.ndarray, values: np.ndarray, features: int) -> np.ndarray:
    """Codes of a network that keeps every feature → its activations (n, F) float32, in the order of the features."""
    dense = np.zeros((len(indices), features + 1), dtype=np.float32)  # the last column takes the empty slots
    np.put_along_axis(dense, indices.astype(np.int64), values, axis=1)
    return dense[:, :features]
