"""A dataset that takes long to make: cut off at any moment, it goes on later to the same bytes.

Beside the cutouts the hidden folder of :class:`~sfnet_core.data.store.DatasetWriter` holds each galaxy's row
(``rows.jsonl``, one JSON object a line) and, now and then, ``unfinished.json``: what is being made, and how many
galaxies are safe on disk. Whatever was written after that is cut away before the work goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from sfnet_core.data.store import CUTOUTS, NPY_HEADER, UNFINISHED, DatasetWriter
from sfnet_core.utils.documents import check_document, json_object
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import write_json
from sfnet_core.utils.resume import check_begun

__all__ = ["UnfinishedWriter"]

ROWS = "rows.jsonl"
_PIECE = 1 << 24  # bytes read at a time


class UnfinishedWriter(DatasetWriter):
    """A :class:`DatasetWriter` whose hidden folder waits where the work is cut off, from the first :meth:`keep` on.

    ``job`` is what decides the bytes: plain values by name. Entered with ``resume`` where something waits, ``n`` is
    the number of galaxies that are there already; other arguments, or files that are not whole, are refused.
    """

    def __init__(
        self, path: str | os.PathLike, job: dict[str, Any], *, resume: bool, overwrite: bool, expected: int
    ) -> None:
        super().__init__(path, overwrite=overwrite, expected=expected)
        self.job, self.resume = job, resume
        self._rows_hash = hashlib.blake2b(digest_size=16)

    def add(self, cutout: np.ndarray, row: dict[str, Any]) -> None:
        """Append one galaxy: its cutout (H, W, 3) uint8 and its row, of what JSON holds."""
        self.append(cutout)
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
        self._rows_hash.update(line)
        self._rows.write(line)

    def keep(self) -> None:
        """Make what is there safe: a kill or a power cut loses at most what comes after."""
        for handle in (self._file, self._rows):
            handle.flush()
            os.fsync(handle.fileno())
        mark = {"job": self.job, "n": self.n, "shape": self.shape, "digests": self._digests()}
        write_json(self._work / UNFINISHED, mark)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the galaxies that are there, in order."""
        self._rows.flush()
        with open(self._work / ROWS, encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    def columns(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The rows as columns, name → (N,)."""
        found: dict[str, list] = {name: [] for name in names}
        for row in self.rows():
            for name, values in found.items():
                values.append(row[name])
        return {name: np.array(values) for name, values in found.items()}

    def _begin(self) -> None:
        if not (self.resume and self._kept()):
            super()._begin()
            self._rows = self._open(ROWS, "wb")
            return
        kept = _read_mark(self._work / UNFINISHED, self.path)
        way = "choose another folder, or begin anew with --overwrite instead of --resume"
        check_begun(self.path, kept.job, self.job, "another dataset", way)
        for left in self._work.iterdir():
            if left.name not in (".lock", CUTOUTS, ROWS, UNFINISHED):
                left.unlink()
        self.n, self.shape = kept.n, kept.shape
        self._file = self._open(CUTOUTS, "rb+")
        self._file.seek(NPY_HEADER)
        left = self.n * self.shape[0] * self.shape[1] * 3
        while left and (piece := self._file.read(min(left, _PIECE))):
            self._hash.update(piece)
            left -= len(piece)
        self._rows = self._open(ROWS, "rb+")
        for _ in range(self.n):
            self._rows_hash.update(self._rows.readline())
        if left or self._digests() != kept.digests:
            raise SFNetError(
                f"What was kept of {self.path} is not as it was written ({self._work} has changed); begin anew with "
                "--overwrite instead of --resume."
            )
        for handle in (self._file, self._rows):
            handle.truncate()  # what came after the last keep
        self._check_room()

    def _digests(self) -> list[str]:
        return [self._hash.hexdigest(), self._rows_hash.hexdigest()]

    def _take_name(self) -> None:
        self._rows.close()
        super()._take_name()
        for name in (UNFINISHED, ROWS):
            (self.path / name).unlink(missing_ok=True)


class _Mark(Struct):
    """``unfinished.json``."""

    job: dict[str, Any]
    n: Annotated[int, Meta(ge=1)]
    shape: tuple[Annotated[int, Meta(ge=1)], Annotated[int, Meta(ge=1)]]  # (H, W)
    digests: list[Any]


def _read_mark(mark: Path, path: Path) -> _Mark:
    way = f"what was kept of {path} cannot be used: begin anew with --overwrite instead of --resume"
    try:
        return check_document(_Mark, json_object(mark.read_bytes(), mark, way), mark, way)
    except OSError as error:
        raise SFNetError(f"{mark} cannot be read ({error.strerror}); {way}.") from error
