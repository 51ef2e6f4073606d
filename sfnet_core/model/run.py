"""A training's folder: weights, configuration, split, history.

On disk: ``model.safetensors`` (see :mod:`sfnet_core.model.checkpoint`), ``run.json`` (configuration, split, seeds,
versions, metrics), ``history.csv`` (one row per epoch), ``unlike.npz`` (what its training galaxies are like,
:mod:`sfnet_core.codes.novelty`), and ``last.ckpt`` while the training is not finished.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from sfnet_core.codes.novelty import FILE as UNLIKE
from sfnet_core.model import checkpoint
from sfnet_core.model.history import HISTORY, read_history, write_history
from sfnet_core.utils.documents import json_object, read_document
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path, folder_lock, write_json

if TYPE_CHECKING:
    from sfnet_core.model.network import SFNet

__all__ = ["LAST", "MODEL", "RECORD", "Run", "read_record"]

MODEL, RECORD, LAST = "model.safetensors", "run.json", "last.ckpt"
SCHEMA = 1


@dataclass
class Run:
    """One trained network and how it came to be.

    Attributes:
        path: its folder, or a lone ``.safetensors`` file (then config, split, history and metrics are empty).
        metadata: the checkpoint's fields (:class:`sfnet_core.model.checkpoint.Metadata`).
        config: the arguments of the training and the recipe in full.
        split: ``{"train": ids, "validation": ids}``, each an array of text; galaxies left out are in neither.
        history: one dict per epoch, numbers in the target's unit.
        metrics: the last epoch's numbers, counts, active features.
        status: ``"finished"``, ``"stopped"`` (by a callback) or ``"interrupted"``; ``"weights"`` for a lone file.
    """

    path: Path
    metadata: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    split: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    history: list[dict[str, float]] = field(default_factory=list, repr=False)
    metrics: dict[str, Any] = field(default_factory=dict)
    status: str = "weights"

    @classmethod
    def open(cls, path: str | os.PathLike) -> Run:
        """Open a run's folder, or a lone ``.safetensors`` file as a run without history."""
        path = Path(path)
        if path.is_file():
            return cls(path, checkpoint.read_metadata(path))
        if not path.is_dir():
            raise SFNetError(f"There is no run {path}: neither a folder nor a .safetensors file.")
        if not (path / MODEL).is_file():
            raise SFNetError(f"{path} is not a run: it has no {MODEL}. `sfnet train DATASET --out {path}` makes one.")
        metadata = checkpoint.read_metadata(path / MODEL)
        record = read_record(path / RECORD)
        split = {name: np.asarray(ids, dtype=str) for name, ids in record["split"].items()}
        history = read_history(path / HISTORY)
        return cls(path, metadata, record["config"], split, history, record["metrics"], record["status"])

    @property
    def model_path(self) -> Path:
        """The checkpoint file."""
        return self.path if self.path.is_file() else self.path / MODEL

    @property
    def name(self) -> str:
        """The folder's or file's name, for people."""
        return self.path.stem if self.path.is_file() else self.path.resolve().name

    @property
    def fingerprint(self) -> str:
        """Of the checkpoint's content (weights and metadata)."""
        return checkpoint.fingerprint(self.model_path)

    @property
    def targets(self) -> list[str]:
        """Target names, in the order of the head's rows."""
        return list(self.metadata["targets"])

    def network(self) -> SFNet:
        """The network with its weights, on the CPU, in evaluation mode; read anew at each call."""
        return checkpoint.load(self.model_path)[0]

    def split_of(self, ids: np.ndarray) -> np.ndarray:
        """``"train"``, ``"validation"`` or ``""`` for each of N ids → (N,) text."""
        table = {name: part for part, names in self.split.items() for name in names.tolist()}
        return np.array([table.get(name, "") for name in np.asarray(ids, dtype=str).tolist()], dtype=str)

    def save(self, path: str | os.PathLike) -> None:
        """Write a copy: a folder, or only the checkpoint where ``path`` ends in ``.safetensors``."""
        path, network = Path(path), self.network()
        if path.suffix == ".safetensors":
            checkpoint.save(path, network, self.metadata)
            return
        with folder_lock(path, "saving a run"):
            self.write(path, network)
            if (self.path / UNLIKE).is_file():
                with atomic_path(path / UNLIKE) as part:
                    part.write_bytes((self.path / UNLIKE).read_bytes())

    def write(self, folder: Path, network: SFNet) -> None:
        """Write the three files into ``folder``, each atomically, with these weights (the caller holds the lock)."""
        checkpoint.save(folder / MODEL, network, self.metadata)
        write_history(folder / HISTORY, self.history)
        record = {
            "schema": SCHEMA,
            "status": self.status,
            "config": self.config,
            "metrics": self.metrics,
            "versions": self.metadata["versions"],
            "split": {part: ids.tolist() for part, ids in self.split.items()},
        }
        write_json(folder / RECORD, record)


class _Record(Struct):
    """``run.json``, as far as it is read."""

    config: dict[str, Any]
    metrics: dict[str, Any]
    status: str
    split: dict[str, list[str]]  # part → identifiers


def read_record(path: Path) -> dict[str, Any]:
    """``run.json``, its fields checked.

    Raises
    ------
    SFNetError
        With the field that is wrong.
    """
    way = f"to use the weights alone, give the {MODEL} file itself"
    try:
        record = json_object(path.read_bytes(), path, way)
    except FileNotFoundError as error:
        raise SFNetError(f"{path} is missing; {way}.") from error
    read_document(_Record, record, path, schema=SCHEMA, way=way)
    return record
