"""What was unpacked from a codes file, kept as plain arrays on disk: every session maps the same pages.

Unpacked anew in each process, the codes of 250,000 galaxies cost every session tens of megabytes of its own; mapped
from one file, they are in memory once. A shelf is a folder of ``.npy`` files in the user's cache (``SFNET_CACHE``),
named after the codes file's identity (device, inode, size, times) and its footer, so that another file, or the same one
written again, has a shelf of its own. Where a shelf can't be written, arrays are made in memory, as without one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path, default_cache

__all__ = ["Shelf", "shelf_of"]

FORMAT = 1  # of what the arrays mean; another number is another shelf
SMALL = 4 << 20  # bytes; a smaller file is unpacked in no time
SETTLED = 2.0  # seconds a file must have been left alone: before that its times don't tell one writing from the next
MOST_BYTES = 16 << 30  # on all shelves together; those not used for longest go first
FORGOTTEN = 30 * 86400  # seconds after which an unused shelf goes


def shelf_of(path: Path, cache: Path | None = None) -> Shelf | None:
    """The shelf of a codes file (it may be empty yet), or ``None`` where the file is small or was just written."""
    try:
        with open(path, "rb") as handle:
            about = os.fstat(handle.fileno())
            if about.st_size < SMALL or time.time() - max(about.st_mtime, about.st_ctime) < SETTLED:
                return None
            handle.seek(-8, os.SEEK_END)
            length = int.from_bytes(handle.read(4), "little")
            handle.seek(-min(length + 8, about.st_size), os.SEEK_END)
            footer = handle.read(length)
        cache = default_cache() if cache is None else cache
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    identity = [FORMAT, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns]
    digest = hashlib.blake2b(json.dumps(identity).encode() + footer, digest_size=16)
    return Shelf(cache / "codes" / digest.hexdigest(), owner=about.st_uid, readers=about.st_mode & 0o044)


class Shelf:
    """Arrays by name in one folder. ``owner``: who else than this user may have filled it (the codes file's owner, who
    could have changed the codes themselves); ``readers``: permission bits of those who may read it, as of the codes."""

    def __init__(self, folder: Path, owner: int | None = None, readers: int = 0) -> None:
        self.folder, self._owners, self._readers = folder, {os.geteuid(), 0, owner}, readers

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _is_trusted(self) -> bool:
        """Whether the folder is a real one that nobody but its owner can write in, and the owner one of ours."""
        try:
            about = self.folder.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(about.st_mode) and not about.st_mode & 0o022 and about.st_uid in self._owners

    def get(self, name: str, dtype: np.dtype | None = None, shape: tuple | None = None) -> np.ndarray | None:
        """The mapped array, read-only, or ``None`` where there is none (of that type and shape)."""
        if not self._is_trusted():
            return None
        try:
            found = np.lib.format.open_memmap(self._file(name), mode="r")  # refuses arrays of objects
        except (OSError, ValueError):
            return None
        if (dtype is not None and found.dtype != dtype) or (shape is not None and found.shape != shape):
            return None
        return found.view(np.ndarray)

    def keep(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of this name: mapped where it is there, else made, written and mapped, or left in memory where that
        fails."""
        found = self.get(name)
        if found is not None:
            return found
        made = np.asarray(make())
        if made.dtype.hasobject:
            return made
        try:
            with self.writer(name, made.dtype, made.shape) as append:
                append(made)
        except (OSError, SFNetError):  # the latter where the disk is full
            return made
        found = self.get(name, made.dtype, made.shape)
        return made if found is None else found

    @contextlib.contextmanager
    def writer(self, name: str, dtype: np.dtype, shape: tuple) -> Iterator[Callable[[np.ndarray], None]]:
        """``append(rows)`` writes an array row by row, without holding it; on leaving the block it is there, whole.

        Raises ``OSError`` or :class:`SFNetError` where it can't be written. Nothing is mapped while it is written, so
        that a full disk is an error and not the end of the process.
        """
        self._make_folder()
        with atomic_path(self._file(name)) as part:
            rows = 0
            with open(part, "wb") as handle:
                os.fchmod(handle.fileno(), 0o600 | self._readers)
                header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
                np.lib.format.write_array_header_2_0(handle, header | {"shape": tuple(shape)})

                def append(array: np.ndarray) -> None:
                    nonlocal rows
                    rows += len(array)
                    handle.write(np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8).data)

                yield append
            if rows != shape[0]:
                raise OSError(f"{rows} rows were written for an array of {shape[0]}")

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            tidy(self.folder.parent)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.folder.chmod(0o700 | self._readers | self._readers >> 2)  # who reads a folder's files enters it
        if not self._is_trusted():
            raise PermissionError(f"{self.folder} can be written by others")

    def touch(self) -> None:
        """Say that the shelf is in use, so that it stays."""
        with contextlib.suppress(OSError):
            os.utime(self.folder)


def tidy(shelves: Path, most_bytes: int | None = None) -> None:
    """Remove shelves that nobody has used for a month, and the longest unused ones while all are too large.

    A session that has one of them mapped keeps its pages: a removed file stays until the last one lets go.
    """
    most_bytes = MOST_BYTES if most_bytes is None else most_bytes
    found = []
    for folder in shelves.iterdir():
        with contextlib.suppress(OSError):
            for part in folder.glob(".*.part"):  # of a writer that was killed
                if time.time() - part.stat().st_mtime > 86400:
                    part.unlink()
            size = sum(file.stat().st_size for file in folder.iterdir())
            found.append((folder.stat().st_mtime, size, folder))
    total = sum(size for _, size, _ in found)
    for used, size, folder in sorted(found):
        if total > most_bytes or time.time() - used > FORGOTTEN:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size
