"""Parquet with care: types, cells and sizes known before a page is unpacked; Arrow to numpy without pandas."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sfnet_core.utils.errors import SFNetError

FOOTER_LIMIT = 64 << 20


def is_list(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)


def family(kind: pa.DataType | None) -> str:
    """``text``, ``float`` or ``number``; empty for what is not read."""
    if kind is None:
        return ""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_dictionary(kind):
        return family(kind.value_type) if family(kind.value_type) == "text" else ""
    if pa.types.is_floating(kind):
        return "float"
    return "number" if pa.types.is_integer(kind) or pa.types.is_boolean(kind) else ""


def leaves(metadata: pq.FileMetaData) -> dict[str, dict[str, int]]:
    """Per top-level column, from the footer alone: cells, bytes when unpacked, and whether a dictionary is used."""
    found: dict[str, dict[str, int]] = {}
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        for c in range(group.num_columns):
            chunk = group.column(c)
            leaf = found.setdefault(chunk.path_in_schema.split(".")[0], {"cells": 0, "bytes": 0, "dictionary": 0})
            leaf["cells"] += chunk.num_values
            leaf["bytes"] += max(chunk.total_uncompressed_size, 0)
            leaf["dictionary"] |= int(chunk.has_dictionary_page)
    return found


def check_ends(path: Path) -> int:
    """The file's size, once both magic numbers and the footer's length make sense."""
    if not path.is_file():
        raise SFNetError(f"There is no codes file {path}." if not path.exists() else f"{path} is not a file.")
    size = path.stat().st_size
    with open(path, "rb") as handle:
        head = handle.read(4)
        handle.seek(max(size - 8, 0), os.SEEK_SET)
        tail = handle.read(8)
    if size < 12 or head != b"PAR1" or tail[4:] != b"PAR1":
        cut = "it was cut short, or is still being copied" if head == b"PAR1" else "it is another kind of file"
        raise SFNetError(f"{path} is not a whole Parquet file: {cut}.")
    footer = int.from_bytes(tail[:4], "little")
    if not 0 < footer <= min(size - 12, FOOTER_LIMIT):
        raise SFNetError(
            f"{path}: the footer says it has {footer:,} bytes, in a file of {size:,}; the file is damaged."
        )
    return size


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def valid(array: pa.Array) -> np.ndarray:
    """(n,) bool: which entries are there."""
    if not array.null_count:
        return np.ones(len(array), dtype=bool)
    return _bits(array.buffers()[0], array.offset, len(array))


def numbers(array: pa.Array) -> np.ndarray:
    """(n,) an Arrow array of numbers or booleans as numpy, a view where it can be; a missing float is NaN.

    Arrow's own ``to_numpy`` imports pandas, which costs every page a third of a second when it starts.
    """
    if pa.types.is_boolean(array.type):
        return _bits(array.buffers()[1], array.offset, len(array))
    dtype = np.dtype(_NUMPY[str(array.type)])
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.empty(0, dtype=dtype)
    found = np.frombuffer(buffer, dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize)
    return np.where(valid(array), found, dtype.type(np.nan)) if array.null_count and dtype.kind == "f" else found


_NUMPY = {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_NUMPY |= {"halffloat": "float16", "float": "float32", "double": "float64"}


def _bits(buffer: pa.Buffer, offset: int, n: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little", count=offset + n)[offset:].astype(bool)


PIECE = 1 << 16  # texts laid out at a time


def longest(array: pa.Array) -> int:
    """Bytes of the longest of an Arrow array's texts; from the offsets alone where it has them."""
    offsets = _offsets(array)
    if offsets is None:
        return max((len((word or "").encode("utf-8", "surrogatepass")) for word in array.to_pylist()), default=0)
    return int(np.diff(offsets).max(initial=0))


def texts(array: pa.Array) -> np.ndarray:
    """(n,) an Arrow array of texts as numpy text of one width; a missing text is empty.

    Plain ASCII, which identifiers are, is laid out without making a Python object of each.
    """
    offsets = _offsets(array)
    if offsets is not None and len(array):
        buffer = array.buffers()[2]
        data = np.empty(0, np.uint8) if buffer is None else np.frombuffer(buffer, np.uint8)[offsets[0] : offsets[-1]]
        if not (data & 0x80).any():
            return _ascii(data, offsets - offsets[0])
    return np.array([word or "" for word in array.to_pylist()], dtype=str)


def _offsets(array: pa.Array) -> np.ndarray | None:
    """(n + 1,) where each text begins in the data buffer; ``None`` where the layout is another or a text is missing."""
    wide = pa.types.is_large_string(array.type)
    if array.null_count or not (wide or pa.types.is_string(array.type)) or array.buffers()[1] is None:
        return None
    kind = np.dtype(np.int64 if wide else np.int32)
    return np.frombuffer(array.buffers()[1], kind, len(array) + 1, array.offset * kind.itemsize)


def _ascii(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    n, lengths = len(offsets) - 1, np.diff(offsets)
    width = max(int(lengths.max()), 1)
    letters = np.zeros((n, width), dtype=np.uint32)  # numpy's text: four bytes a letter, zeros behind the last
    for start in range(0, n, PIECE):
        stop = min(start + PIECE, n)
        here = np.arange(width) < lengths[start:stop, None]
        letters[start:stop][here] = data[offsets[start] : offsets[stop]]
    return letters.view(np.dtype(("U", width))).reshape(n)
