"""Parquet with care: types, cells and sizes known before a page is unpacked; Arrow to numpy without pandas."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sfnet_core.utils.errors import SFNetError

FOOTER_LIMIT = 64 << 20
MOST_COLUMNS = 4096
FREE_BYTES = 64 << 20  # below this, a file may unpack to anything
EXPANSION = 200  # and above it to no more than this many times its own size


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


class ParquetSource:
    """A Parquet file of which the footer alone has been read: what it would unpack to is known before it is unpacked.

    The file stays mapped, so a reader keeps the file it opened even when a writer puts a new one in its place.

    Attributes
    ----------
    path, size : the file, and its size in bytes.
    footer, schema : what pyarrow makes of the footer; ``types`` maps each column to its Arrow type.
    rows : number of rows that the footer promises.
    metadata : key-value pairs beside the schema, bytes.
    cells, dictionary : column → stored values, and whether a dictionary is used.

    Raises
    ------
    SFNetError
        No file, no whole Parquet file, a damaged footer, too many columns. ``what`` names the file: "codes file".
    """

    def __init__(self, path: Path, what: str = "Parquet file") -> None:
        self.path, self.size = path, check_ends(path, what)
        try:
            self._map = pa.memory_map(str(path))  # opened once: footer and data are of one file, whoever replaces it
            self.footer = pq.read_metadata(self._map)
            self.schema = self.footer.schema.to_arrow_schema()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SFNetError(
                f"{path} cannot be read as Parquet: its footer is damaged ({first_line(error)})."
            ) from error
        self.rows, self.metadata = self.footer.num_rows, self.footer.metadata or {}
        self.types = {field.name: field.type for field in self.schema}
        if max(self.footer.num_columns, len(self.types)) > MOST_COLUMNS:
            raise SFNetError(f"{path} has {self.footer.num_columns} columns; at most {MOST_COLUMNS:,} are read.")
        self.cells, self._bytes, self.dictionary = (dict.fromkeys(self.types, 0) for _ in range(3))
        for group in map(self.footer.row_group, range(self.footer.num_row_groups)):
            for chunk in map(group.column, range(group.num_columns)):
                name = chunk.path_in_schema  # of a list its element's; a name may hold dots itself
                name = name if name in self.types else name.split(".")[0]
                self.cells[name] = self.cells.get(name, 0) + chunk.num_values
                self._bytes[name] = self._bytes.get(name, 0) + max(chunk.total_uncompressed_size, 0)
                self.dictionary[name] = self.dictionary.get(name, 0) | chunk.has_dictionary_page

    def unpacked(self, names: Iterable[str] | None = None) -> int:
        """Bytes that columns (all) take in memory: what the footer says, and never less than their values need (runs
        of one value take next to nothing in the file)."""
        return sum(max(self._bytes[name], self._least(name)) for name in (self._bytes if names is None else names))

    def _least(self, name: str) -> int:
        kind = self.types.get(name)
        if kind is None or not is_list(kind):
            return 8 * max(self.cells[name], self.rows)
        try:
            return self.cells[name] * kind.value_type.bit_width // 8
        except ValueError:  # of no fixed width
            return 8 * self.cells[name]

    def check_size(self, names: Iterable[str] | None = None, most: int | None = None) -> None:
        """Refuse columns that unpack to more than ``most`` bytes, or than any honest file of this size does."""
        self.refuse_above(self.unpacked(names), most)

    def refuse_above(self, needs: int, most: int | None = None) -> None:
        """Refuse ``needs`` bytes where they are more than ``most``; :meth:`check_size` says what is usual."""
        most = max(FREE_BYTES, EXPANSION * self.size) if most is None else most
        if needs > most:
            raise SFNetError(
                f"{self.path} ({self.size:,} bytes) unpacks to {needs:,} bytes, more than the {most:,} that are read: "
                "refused as a decompression bomb."
            )

    def open(self, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
        """A reader of this very file; make one for each thread."""
        return pq.ParquetFile(self._map, read_dictionary=list(read_dictionary), metadata=self.footer)

    def read(self, names: list[str] | None = None, file: pq.ParquetFile | None = None, groups: Any = None) -> pa.Table:
        """Columns (all) of some row groups (all), with a sentence where they are damaged."""
        try:
            file = self.open() if file is None else file
            return file.read(columns=names) if groups is None else file.read_row_groups(groups, columns=names)
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            which = "its columns" if names is None else ", ".join(f"`{name}`" for name in names)
            raise SFNetError(f"{self.path}: {which} cannot be unpacked ({first_line(error)}).") from error


def check_ends(path: Path, what: str) -> int:
    """The file's size, once both magic numbers and the footer's length make sense."""
    if not path.is_file():
        raise SFNetError(f"There is no {what} {path}." if not path.exists() else f"{path} is not a file.")
    try:
        size = path.stat().st_size
        with open(path, "rb") as handle:
            head = handle.read(4)
            handle.seek(max(size - 8, 0), os.SEEK_SET)
            tail = handle.read(8)
    except OSError as error:
        raise SFNetError(f"{path} cannot be read ({error.strerror}).") from error
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


def text_bytes(column: pa.ChunkedArray) -> int:
    """Bytes that a column of texts takes written out, without writing it out."""
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            times = np.bincount(numbers(chunk.indices.drop_null()), minlength=len(chunk.dictionary))
            total += int(times @ numbers(pc.binary_length(chunk.dictionary).fill_null(0)))
        else:
            total += pc.sum(pc.binary_length(chunk)).as_py() or 0
    return total


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
