"""From a codes file to checked arrays: a batch of galaxies at a time, into memory or onto a shelf."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np

from sfnet_core.codes import file as codes_file
from sfnet_core.codes.array_store import Shelf
from sfnet_core.codes.check import check_arrays, check_ids, check_predictions
from sfnet_core.codes.file import CodesFile
from sfnet_core.utils.errors import SFNetError

__all__ = ["column", "read", "shelved"]


def read(file: CodesFile) -> dict[str, np.ndarray]:
    """The checked arrays in memory, (N,) and (N, k+r); :class:`SFNetError` where they are no sparse codes."""
    core: dict[str, np.ndarray] = {}
    identifiers, width = [], 1
    for start, batch in _checked(file):
        identifiers.append(batch.pop("id"))
        width = max(width, identifiers[-1].dtype.itemsize // 4)
        _limit(file, width)
        for name, array in batch.items():
            if len(array) == file.rows:  # a single batch is all there is
                core[name] = array
                continue
            whole = core.setdefault(name, np.empty((file.rows, *array.shape[1:]), array.dtype))
            whole[start : start + len(array)] = array
    core = {"id": np.concatenate(identifiers), **core}
    check_ids(core["id"], str(file.path))
    return core


def shelved(file: CodesFile, shelf: Shelf) -> dict[str, np.ndarray]:
    """The same arrays mapped from the shelf, put there first where they are not there yet."""
    found = _on(shelf, file)
    if found is None:
        try:
            _fill(shelf, file)
        except (OSError, SFNetError):  # no place to write, or none left; or no sparse codes, which `read` then says too
            return read(file)
        found = _on(shelf, file)
    shelf.touch()
    return read(file) if found is None else found


def column(file: CodesFile, shelf: Shelf | None, name: str) -> np.ndarray:
    """One column of the file, from the shelf where there is one."""
    if shelf is None:
        return file.column(name)
    place = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return shelf.keep(f"column-{place}", lambda: file.column(name))


def _limit(file: CodesFile, width: int) -> None:
    size = 4 * width * file.rows
    if size > codes_file.COLUMN_LIMIT:
        raise SFNetError(f"{file.path}: the texts of column `id` would take {size:,} bytes; refused.")


def _checked(file: CodesFile) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    for start, batch in file.batches():
        check_arrays(file.header, batch, str(file.path), start)
        check_predictions(file.header, batch, str(file.path), start)
        yield start, batch


def _on(shelf: Shelf, file: CodesFile) -> dict[str, np.ndarray] | None:
    """All arrays from the shelf, or ``None`` where one is not there; ``checked`` was put there last."""
    n = file.rows
    if shelf.get("checked", np.dtype(np.int64), (1,)) is None:
        return None
    core = {name: shelf.get(f"core-{_place(file, name)}", dtype, (n, *more)) for name, dtype, more in _layout(file)}
    if any(array is None for array in core.values()) or core["id"].dtype.kind != "U":
        return None
    return core


def _layout(file: CodesFile) -> list[tuple[str, np.dtype | None, tuple]]:
    """(name, type, shape after N) of each array; the width of the identifiers is not known beforehand."""
    kinds = {"id": None, "split": np.dtype(np.int8), "margin": np.dtype(np.float32)}
    flat = [(name, kinds.get(name, np.dtype(np.float64)), ()) for name in file.core_names]
    slots = (file.slots,)
    return [*flat, ("indices", np.dtype(np.int16), slots), ("values", np.dtype(np.float32), slots)]


def _place(file: CodesFile, name: str) -> int:
    """Files are numbered: a target's name may hold anything."""
    return [*file.core_names, "indices", "values"].index(name)


def _fill(shelf: Shelf, file: CodesFile) -> None:
    width = file.width("id")
    _limit(file, width)
    with contextlib.ExitStack() as stack:
        append = {}
        for name, dtype, more in _layout(file):
            dtype = np.dtype(("U", width)) if dtype is None else dtype
            writer = shelf.writer(f"core-{_place(file, name)}", dtype, (file.rows, *more))
            append[name] = stack.enter_context(writer)
        for _, batch in _checked(file):
            for name, array in batch.items():
                append[name](array)
    ids = shelf.get(f"core-{_place(file, 'id')}")
    if ids is None:
        raise OSError("the shelf was taken away")
    check_ids(ids, str(file.path))
    shelf.keep("checked", lambda: np.array([file.rows]))
