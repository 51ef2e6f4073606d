"""Arrays that are made once and kept in a folder, so that long work goes on where it stopped."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sfnet_core.files import atomic_path

__all__ = ["kept"]


def kept(path: Path, mark: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file; made and written where it is not there, not whole, or of another ``mark``.

    ``mark`` says in a word what they were made from.
    """
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            found = dict(stored)
        if str(found.pop("mark")) == mark:
            return found
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        pass  # not there, or not whole
    made = make()
    with atomic_path(path) as part, open(part, "wb") as handle:
        np.savez(handle, mark=np.array(mark), **made)
    return made
