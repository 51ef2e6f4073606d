"""Writing a dataset's folder: streamed row by row, hashed on the way, and given its name only when it is whole.

What takes long is cut off at any moment and goes on later to the same bytes (:class:`UnfinishedWriter`): beside the
cutouts its hidden folder holds each galaxy's row (``rows.jsonl``, one JSON object a line) and, now and then,
``unfinished.json``: what is being made, and how many galaxies are safe on disk. Whatever was written after that is cut
away before the work goes on.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from sfnet_core.utils.documents import check_document, json_object
from sfnet_core.utils.errors import SetAside, SFNetError
from sfnet_core.utils.files import folder_lock, write_json
from sfnet_core.utils.resume import check_begun
from sfnet_core.utils.version import __version__

__all__ = [
    "CUTOUTS",
    "GALAXIES",
    "META",
    "SCHEMA",
    "DatasetWriter",
    "UnfinishedWriter",
    "as_records",
    "bad_id",
    "check_ids",
    "combined_fingerprint",
    "text_array",
]

SCHEMA = 1
CUTOUTS, GALAXIES, META = "cutouts.npy", "galaxies.parquet", "dataset.json"
UNFINISHED, ROWS = "unfinished.json", "rows.jsonl"  # in a hidden folder that waits to be gone on with
NPY_HEADER = 128  # bytes; fixed, so that the header can be rewritten once the number of galaxies is known
_PIECE = 1 << 24  # bytes read at a time
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def text_array(values: Sequence[str]) -> np.ndarray:
    """Texts as a numpy array (N,): fixed-width unicode, or ``object`` where one text is so long that this would waste
    memory."""
    longest = max(map(len, values), default=0)
    return np.array(values, dtype=object if longest > 256 else f"<U{max(longest, 1)}")


class DatasetWriter:
    """Builds a dataset in a hidden folder beside ``path`` and renames it when :meth:`finish` is called.

    Use it as a context manager. Left by an exception (Ctrl-C and a full disk among them), the hidden folder is
    removed, unless it waits to be gone on with (:class:`UnfinishedWriter`), and whatever was at ``path``
    stays as it was. The hidden folder is also the lock: its name is fixed, so a second writer of the same ``path`` is
    refused at once, and the rest of a killed writer is cleared by the next one.
    """

    def __init__(self, path: str | os.PathLike, *, overwrite: bool = False, expected: int | None = None) -> None:
        self.path = Path(path)
        self.overwrite = overwrite
        self.expected = expected
        self.n = 0
        self.shape: tuple[int, int] | None = None  # (H, W), that of the first cutout
        self._work = self.path.with_name(f".{self.path.name}.part")
        self._finished = False
        self._hash = hashlib.blake2b(digest_size=16)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> DatasetWriter:
        check_target(self.path, self.overwrite)
        try:
            self._stack.enter_context(folder_lock(self._work, "a dataset"))
            self._stack.callback(self._clear)
            recover(self.path)
            check_target(self.path, self.overwrite)  # again: the writer that held the lock may have just finished
            self._begin()
        except BaseException as error:
            self._stack.close()
            if isinstance(error, OSError):
                raise SFNetError(f"Cannot write a dataset at {self.path}: {error.strerror or error}.") from error
            raise
        return self

    def _begin(self) -> None:
        """Clear what a killed writer left, unless that is to be gone on with, and open the file of the cutouts."""
        if self._kept() and not self.overwrite:
            raise SFNetError(
                f"{self.path} is an unfinished dataset; the command that started it continues with --resume. Choose "
                "another folder, or start again with --overwrite."
            )
        for left in self._work.iterdir():
            if left.name != ".lock":
                left.unlink()
        self._file = self._open(CUTOUTS, "wb")
        self._file.write(bytes(NPY_HEADER))

    def _open(self, name: str, mode: str) -> IO[bytes]:
        """A file of the hidden folder; it is closed with the writer."""
        return self._stack.enter_context(open(self._work / name, mode))

    def append(self, cutout: np.ndarray) -> None:
        """Add one cutout, (H, W, 3) uint8; all must have the first one's size."""
        if cutout.dtype != np.uint8 or cutout.ndim != 3 or cutout.shape[2] != 3:
            raise SFNetError(
                f"Cutout {self.n + 1} is {cutout.dtype} of shape {cutout.shape}; a dataset holds uint8 (H, W, 3)."
            )
        if self.shape is None:
            self.shape = cutout.shape[:2]
            self._check_room()
        elif cutout.shape[:2] != self.shape:
            raise SFNetError(f"Cutout {self.n + 1} has {cutout.shape[:2]} pixels, the first one {self.shape}.")
        data = np.ascontiguousarray(cutout).data
        self._hash.update(data)
        self._file.write(data)
        self.n += 1

    def finish(
        self, ids: Sequence[str], columns: Mapping[str, np.ndarray], *, units: Mapping[str, str], meta: dict[str, Any]
    ) -> None:
        """Write the table and the description, and give the folder its name."""
        check_ids(ids)
        if self.n == 0:
            raise SFNetError(f"No galaxy to write to {self.path}: every row was set aside or there was none.")
        if len(ids) != self.n:
            raise SFNetError(f"There are {len(ids)} identifiers but {self.n} cutouts; one cutout per galaxy is needed.")
        height, width = self.shape
        self._file.flush()
        self._file.seek(0)
        self._file.write(npy_header((self.n, height, width, 3)))
        self._file.flush()
        os.fsync(self._file.fileno())
        table = arrow_table(ids, columns, units)
        write_table(table, self._work / GALAXIES)
        fingerprint = combined_fingerprint(self._hash, (height, width), table)
        description = {"schema": SCHEMA, "n": self.n, "height": height, "width": width, **meta}
        description |= {"fingerprint": fingerprint, "units": dict(units), "versions": versions()}
        write_json(self._work / META, description)
        self._take_name()

    def copy_from(self, folder: Path) -> None:
        """Take the three files of another dataset instead of building them, and give the folder its name."""
        self._file.close()
        for name in (CUTOUTS, GALAXIES, META):
            shutil.copyfile(folder / name, self._work / name)
        self._take_name()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        written, kept = self._written(), self._kept()
        self._stack.close()
        if isinstance(error, OSError) and error.errno in FULL:
            after, way = ("some are kept", "with --resume") if kept else ("then removed", "again")
            raise SFNetError(
                f"No space left while writing {self.path} ({written:,} bytes were written, {after}). "
                f"Nothing that was there before has changed; free some space and run the same command {way}."
            ) from error

    def _kept(self) -> bool:
        """Whether the hidden folder waits to be gone on with."""
        return (self._work / UNFINISHED).is_file()

    def _clear(self) -> None:
        if not self._finished and not self._kept():  # afterwards a folder of this name would be the next writer's
            shutil.rmtree(self._work, ignore_errors=True)

    def _take_name(self) -> None:
        """The hidden folder becomes the dataset. The lock goes along with it, and is let go at the very end."""
        replace_folder(self._work, self.path)
        self._finished = True
        (self.path / ".lock").unlink(missing_ok=True)

    def _written(self) -> int:
        with contextlib.suppress(OSError):
            return sum(entry.stat().st_size for entry in self._work.iterdir())
        return 0

    def _check_room(self) -> None:
        """Refuse before hours of work what cannot fit."""
        if self.expected is None:
            return
        height, width = self.shape
        missing = self.expected - self.n
        need, free = missing * height * width * 3, shutil.disk_usage(self._work).free
        if need > free:
            raise SFNetError(
                f"{self.path} needs {need:,} bytes for {missing:,} cutouts of {width}×{height} px, but its disk "
                f"has {free:,} free. Free some space, choose another place, or pack smaller cutouts (--size)."
            )


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
        way = "choose another folder, or start again with --overwrite instead of --resume"
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
                f"What was kept of {self.path} is not as it was written ({self._work} has changed); start again with "
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
    way = f"what was kept of {path} cannot be used: start again with --overwrite instead of --resume"
    try:
        return check_document(_Mark, json_object(mark.read_bytes(), mark, way), mark, way)
    except OSError as error:
        raise SFNetError(f"{mark} cannot be read ({error.strerror}); {way}.") from error


def check_target(path: Path, overwrite: bool) -> None:
    """Refuse to write over what is not a dataset, ever, and over a dataset unless asked to."""
    if path.name in ("", ".."):
        raise SFNetError(f"'{path}' is not a name for a dataset's folder; give a new folder, such as galaxies/.")
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise SFNetError(f"{path} is a file or a link, not a folder; choose another name for the dataset.")
    if not path.exists() or not any(path.iterdir()):
        return
    if not (path / META).is_file():
        raise SFNetError(f"{path} holds other files and is left alone; choose a new folder for the dataset.")
    if not overwrite:
        raise SFNetError(f"{path} holds a dataset already; choose another folder, or use --overwrite to replace it.")


def old_name(path: Path) -> Path:
    """Where the former dataset is for the moment in which another one takes its name."""
    return path.with_name(f".{path.name}.old")


def recover(path: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    if old_name(path).exists() and not path.exists():
        old_name(path).rename(path)


def replace_folder(work: Path, path: Path) -> None:
    """Rename ``work`` to ``path``; what was there before (an empty folder or a dataset) goes."""
    if path.exists() and any(path.iterdir()):
        old = old_name(path)
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        try:
            work.rename(path)
        except BaseException:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        work.rename(path)  # replaces an empty folder


def npy_header(shape: tuple[int, ...]) -> bytes:
    """The header of a version 1.0 ``.npy`` file of C-ordered uint8, padded to ``NPY_HEADER`` bytes (NEP 1)."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode("latin1")
    start = b"\x93NUMPY\x01\x00" + (NPY_HEADER - 10).to_bytes(2, "little")
    return start + text.ljust(NPY_HEADER - 11) + b"\n"


def arrow_table(ids: Sequence[str], columns: Mapping[str, np.ndarray], units: Mapping[str, str]):
    """``galaxies.parquet`` as an Arrow table: ``id``, then ``ra`` and ``dec`` where known, then the rest in order.

    Arrays of numbers keep their type; everything else is stored as text. Units are kept in each field's metadata.
    """
    import pyarrow as pa

    names = [name for name in ("ra", "dec") if name in columns]
    names += [name for name in columns if name not in ("id", "ra", "dec")]
    fields, arrays = [pa.field("id", pa.string())], [pa.array([str(value) for value in ids], pa.string())]
    for name in names:
        values = np.asarray(columns[name])
        if values.shape != (len(ids),):
            raise SFNetError(f"Column {name} has shape {values.shape}; one value for each of {len(ids)} is needed.")
        if values.dtype.kind in "biuf":
            array = pa.array(values.astype(values.dtype.newbyteorder("="), copy=False))
        else:
            array = pa.array(["" if value is None or value != value else str(value) for value in values], pa.string())
        unit = {"unit": units[name]} if units.get(name) else None
        fields.append(pa.field(name, array.type, metadata=unit))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def write_table(table, path: Path) -> None:
    """Write an Arrow table with zstd compression; the caller makes it atomic."""
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", store_schema=True)


def combined_fingerprint(cutouts_hash, shape: tuple[int, int], table) -> str:
    """32 hexadecimal digits (BLAKE2b) from the cutouts' hash, their size, and every column's name and values.

    It depends on what a dataset holds and not on when, where or by which version of a library it was written: not a
    number of a NaN's many bit patterns, not Arrow's layout.
    """
    total = hashlib.blake2b(cutouts_hash.digest(), digest_size=16)
    total.update(repr((shape, table.num_rows)).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        total.update(f"\x00{name}\x00{column.type}\x00".encode())
        if str(column.type) in ("string", "large_string"):
            for text in column.to_pylist():
                raw = (text or "").encode()
                total.update(len(raw).to_bytes(4, "little") + raw)
        else:
            values = column.to_numpy()
            if values.dtype.kind == "f":
                values = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, one zero
            total.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes())
    return total.hexdigest()


def versions() -> dict[str, str]:
    """The versions that made a file, for its provenance."""
    import pyarrow

    python = ".".join(map(str, sys.version_info[:3]))
    return {
        "sfnet-core": __version__,
        "python": python,
        "numpy": np.__version__,
        "pyarrow": pyarrow.__version__,
    }


def bad_id(value: str) -> str | None:
    """Why a text cannot be a galaxy's identifier, or None where it can.

    An identifier is also the stem of a file's name: one that could lead out of a folder is not one.
    """
    if not value:
        return "the identifier is empty"
    if len(value.encode("utf-8", "replace")) > 250:
        return f"the identifier has {len(value)} characters; no file can have that name"
    if "/" in value or "\\" in value or value in (".", ".."):
        return "the identifier holds a path separator, or is '.' or '..'"
    if not value.isprintable():
        return "the identifier holds a control character or one that cannot be printed"
    return None


def check_ids(ids: Sequence[str]) -> None:
    """Refuse identifiers that :func:`bad_id` knows a reason against, and repeated ones."""
    seen: set[str] = set()
    for row, value in enumerate(ids, 1):
        reason = bad_id(value) or ("the identifier occurs twice" if value in seen else None)
        if reason:
            raise SFNetError(f"Galaxy {row} ({value[:40]!r}): {reason}.")
        seen.add(value)


def as_records(set_aside: Sequence[SetAside]) -> list[dict]:
    """What was set aside, for JSON."""
    return [item.as_dict() for item in set_aside]
