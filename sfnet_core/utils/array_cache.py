"""Arrays that are made once and kept in a folder, so that long work goes on where it stopped."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sfnet_core.utils.files import atomic_path

__all__ = ["kept", "read_arrays", "write_arrays"]


def kept(path: Path, mark: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file; made and written where it is not there, not whole, or of another ``mark``.

    ``mark`` says in a word what they were made from.
    """
    found = read_arrays(path)
    if found is not None and str(found.pop("mark", "")) == mark:
        return found
    made = make()
    write_arrays(path, mark=np.array(mark), **made)
    return made


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an ``.npz`` file; ``None`` where it is not there or not whole."""
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write an ``.npz`` file, atomically."""
    with atomic_path(path) as part, open(part, "wb") as handle:
        np.savez(handle, **arrays)  # type: ignore[arg-type]  # numpy names one of its own arguments
