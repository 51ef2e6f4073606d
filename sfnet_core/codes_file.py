"""Sparse codes in one Parquet file: what may be read is decided from the footer, before a single page is unpacked.

Columns: ``id``, ``ra``, ``dec``, ``split``, ``target_NAME``, ``prediction_NAME``, ``prediction_NAME_d4``, ``margin``,
``indices``, ``values``, ``maps``, then the catalogue's own. The metadata key ``sfnet`` holds the header as JSON and
``IVOA.VOTable-Parquet.content`` the same as VOTable (VOParquet 1.0, IVOA Note 2025-01-14).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sfnet_core.codes_check import LONG_TEXT
from sfnet_core.codes_header import MAX_SLOTS, Header, votable
from sfnet_core.errors import SFNetError
from sfnet_core.files import atomic_path
from sfnet_core.parquet_guard import check_ends, family, first_line, is_list, leaves, numbers, valid

if TYPE_CHECKING:
    from sfnet_core.codes import SparseCodes

ROW_GROUP = 8192
COLUMN_LIMIT = 1 << 30  # bytes one text column may take in memory
FREE_BYTES = 64 << 20  # below this, a file may unpack to anything
EXPANSION = 200  # and above it to no more than this many times its own size


class CodesFile:
    """An open codes file: the checked header, and columns and maps read when asked for.

    The file stays mapped, so a reader keeps the file it opened even when a writer puts a new one in its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = check_ends(path)
        try:
            metadata = pq.read_metadata(path)
            schema = metadata.schema.to_arrow_schema()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SFNetError(
                f"{path} cannot be read as Parquet: its footer is damaged ({first_line(error)})."
            ) from error
        text = (metadata.metadata or {}).get(b"sfnet")
        if text is None:
            raise SFNetError(
                f"{path} is a Parquet file but not a codes file: its metadata has no key `sfnet`. "
                "Codes are written by `sfnet infer`; other tools drop this key when they rewrite a file."
            )
        self.header = Header.from_json(text, str(path))
        self.rows = metadata.num_rows
        self.types = {field.name: field.type for field in schema}
        self._leaves = leaves(metadata)
        self.slots = self._check_schema(metadata)
        self.flat_columns = [n for n in self.types if n not in _NESTED and family(self.types[n])]
        texts = [n for n in self.flat_columns if family(self.types[n]) == "text" and self._leaves[n]["dictionary"]]
        self._file = pq.ParquetFile(path, memory_map=True, read_dictionary=texts, metadata=metadata)
        self._group_starts = np.cumsum([0] + [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)])
        self._maps_group: tuple[int, np.ndarray] | None = None

    def _check_schema(self, metadata: pq.FileMetaData) -> int:
        """Columns, types and sizes; returns k + r. Nothing has been unpacked yet."""
        header, where = self.header, self.path
        wanted = {"id": "text", "split": "text", "margin": "float"}
        wanted |= {f"{p}_{t}": "float" for t in header.targets for p in ("target", "prediction")}
        optional = {f"prediction_{t}_d4": "float" for t in header.targets} | {"ra": "float", "dec": "float"}
        for name, right in (wanted | {n: f for n, f in optional.items() if n in self.types}).items():
            if name not in self.types:
                raise SFNetError(f"{where}: column `{name}` is missing.")
            if family(self.types[name]) != right:
                raise SFNetError(f"{where}: column `{name}` is {self.types[name]} and should be {right}.")
        for name in header.columns:
            if not family(self.types.get(name)):
                raise SFNetError(f"{where}: the catalogue column `{name}` is missing or of a type that is not read.")
        nested = {"indices": pa.types.is_integer, "values": pa.types.is_floating}
        if header.map_shape:
            nested["maps"] = pa.types.is_floating
        lengths = {}
        for name, right in nested.items():
            kind = self.types.get(name)
            if kind is None:
                raise SFNetError(f"{where}: column `{name}` is missing.")
            if not is_list(kind) or not right(kind.value_type):
                raise SFNetError(f"{where}: column `{name}` is {kind} and should be a list of numbers.")
            cells = self._leaves.get(name, {"cells": 0})["cells"]
            lengths[name] = cells // self.rows if self.rows else getattr(kind, "list_size", header.k)
            if cells != lengths[name] * self.rows:
                raise SFNetError(f"{where}: column `{name}` has lists of different lengths.")
        slots = lengths["indices"]
        if lengths["values"] != slots or not header.k <= slots <= MAX_SLOTS:
            raise SFNetError(
                f"{where}: `indices` has {slots} and `values` {lengths['values']} entries a row; "
                f"both need k + r, with k = {header.k}."
            )
        if header.map_shape and lengths["maps"] != header.k * header.map_shape[0] * header.map_shape[1]:
            raise SFNetError(
                f"{where}: `maps` has {lengths['maps']} cells a row; k × h × w is {header.k} × {header.map_shape}."
            )
        unpacked = sum(leaf["bytes"] for leaf in self._leaves.values())
        core = self.rows * (slots * 6 + 8 * (2 + len(wanted)))
        for size, what in ((unpacked, "its pages"), (core, "its codes")):
            if size > max(FREE_BYTES, EXPANSION * self.size):
                raise SFNetError(
                    f"{where} has {self.size:,} bytes and {what} would unpack to {size:,}: "
                    "refused as a decompression bomb."
                )
        if metadata.num_columns > 4096 or len(self.types) > 4096:
            raise SFNetError(f"{where} has {metadata.num_columns} columns; at most 4,096 are read.")
        return slots

    def _read(self, names: list[str]) -> pa.Table:
        try:
            return self._file.read(columns=names)
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise SFNetError(f"{self.path}: {', '.join(names)} cannot be unpacked ({first_line(error)}).") from error

    def read_core(self) -> dict[str, np.ndarray]:
        """The columns the page always needs; shapes (N,) and, for ``indices`` and ``values``, (N, k+r)."""
        names = ["id", "split", "margin", *(n for n in ("ra", "dec") if n in self.types)]
        for target in self.header.targets:
            names += [f"target_{target}", f"prediction_{target}"]
            names += [n for n in (f"prediction_{target}_d4",) if n in self.types]
        table = self._read([*names, "indices", "values"])
        core = {name: self._flat(table.column(name), name) for name in names}
        for name, array in core.items():
            if array.dtype.kind == "f":
                core[name] = array.astype(np.float32 if name == "margin" else np.float64, copy=False)
        indices, values = (self._lists(table.column(n), n, self.slots) for n in ("indices", "values"))
        if len(indices) and not (indices.min() >= -1 and indices.max() < self.header.features):
            raise SFNetError(f"{self.path}: `indices` names a feature outside 0 to {self.header.features - 1}.")
        with np.errstate(over="ignore"):
            return core | {
                "indices": indices.astype(np.int16, copy=False),
                "values": values.astype(np.float32, copy=False),
            }

    def column(self, name: str) -> np.ndarray:
        """(N,) one column: numbers as numbers (NaN where missing), text as text."""
        return self._flat(self._read([name]).column(name), name)

    def maps(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), k, h, w) float32; the row group read last stays in memory."""
        shape = (self.header.k, *self.header.map_shape)
        found = np.empty((len(rows), *shape), dtype=np.float32)
        rows = np.where(rows < 0, rows + self.rows, rows)
        groups = np.searchsorted(self._group_starts, rows, side="right") - 1
        for group in np.unique(groups):
            if self._maps_group is None or self._maps_group[0] != group:
                try:
                    cells = self._file.read_row_group(int(group), columns=["maps"]).column("maps")
                except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
                    raise SFNetError(f"{self.path}: `maps` cannot be unpacked ({first_line(error)}).") from error
                self._maps_group = int(group), self._lists(cells, "maps", int(np.prod(shape)))
            here = groups == group
            found[here] = self._maps_group[1][rows[here] - self._group_starts[group]].reshape(-1, *shape)
        return found

    def _lists(self, column: pa.ChunkedArray, name: str, length: int) -> np.ndarray:
        if column.null_count:
            raise SFNetError(f"{self.path}: column `{name}` has empty rows.")
        flat = [chunk.flatten() for chunk in column.chunks]
        if any(chunk.null_count for chunk in flat):
            raise SFNetError(f"{self.path}: column `{name}` has empty entries.")
        for chunk in column.chunks:  # a plain list may hide rows of different lengths behind the right total
            if not pa.types.is_fixed_size_list(chunk.type) and (np.diff(numbers(chunk.offsets)) != length).any():
                raise SFNetError(f"{self.path}: column `{name}` has lists of different lengths.")
        numpy = [numbers(chunk) for chunk in flat]
        array = numpy[0] if len(numpy) == 1 else np.concatenate(numpy) if numpy else np.empty(0, np.float32)
        return array.reshape(-1, length)

    def _flat(self, column: pa.ChunkedArray, name: str) -> np.ndarray:
        if family(self.types[name]) == "text":
            return self._text(column, name)
        if column.null_count and not pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
        parts = [numbers(chunk) for chunk in column.chunks]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.float64)

    def _text(self, column: pa.ChunkedArray, name: str) -> np.ndarray:
        """Dictionaries are measured before they are expanded: one long text named in every row would fill memory."""
        parts: list[tuple[list[str], int, np.ndarray | None]] = []
        total = 0
        for chunk in column.chunks:
            coded = pa.types.is_dictionary(chunk.type)
            words = [word or "" for word in (chunk.dictionary if coded else chunk).to_pylist()]
            longest = max(map(len, words), default=0)
            codes = None
            if coded:
                words.append("")  # what a missing text becomes
                codes = np.where(valid(chunk.indices), numbers(chunk.indices), len(words) - 1)
            parts.append((words, longest, codes))
            total += 8 * len(chunk) if longest > LONG_TEXT else 4 * longest * len(chunk)
        if total > COLUMN_LIMIT:
            raise SFNetError(f"{self.path}: the texts of column `{name}` would take {total:,} bytes; refused.")
        # a column with longer texts is an object array: a fixed width would cost N × the longest
        kind = object if any(longest > LONG_TEXT for _, longest, _ in parts) else str
        arrays = [np.array(words, dtype=kind) for words, _, _ in parts]
        arrays = [words if codes is None else words[codes] for words, (_, _, codes) in zip(arrays, parts, strict=True)]
        return np.concatenate(arrays) if arrays else np.empty(0, dtype="U1")


def write(codes: SparseCodes, path: Path) -> None:
    """Write ``codes`` atomically, one row group of maps in memory at a time; the same codes give the same bytes."""
    names = ["id", *(n for n in ("ra", "dec") if getattr(codes, n) is not None), "split"]
    for target in codes.targets:
        names += [f"target_{target}", f"prediction_{target}"]
        names += [f"prediction_{target}_d4"] if codes.prediction_d4(target) is not None else []
    flat = {
        name: codes.column(name) if name in codes._flat else codes.truth(name.removeprefix("target_")) for name in names
    }
    flat |= {"margin": codes.margin}
    own = {name: codes.column(name) for name in codes.columns}
    nested = {"indices": codes.indices, "values": codes.values}
    if codes.map_shape:
        nested["maps"] = None

    def table(start: int, stop: int) -> pa.Table:
        arrays: dict[str, pa.Array] = {name: to_arrow(array[start:stop], name) for name, array in flat.items()}
        for name, array in nested.items():
            part = codes.maps(slice(start, stop)) if array is None else array[start:stop]
            width = int(np.prod(part.shape[1:]))
            arrays[name] = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(part).reshape(-1)), width)
        arrays |= {name: to_arrow(array[start:stop], name) for name, array in own.items()}
        return pa.table(arrays)

    first = table(0, min(len(codes), ROW_GROUP))
    fields = [(f.name, _votype(f.type), f.type.list_size if is_list(f.type) else None) for f in first.schema]
    schema = first.schema.with_metadata(
        {
            "sfnet": codes.header.to_json(),
            "IVOA.VOTable-Parquet.version": "1.0",
            "IVOA.VOTable-Parquet.content": votable(codes.header, fields),
        }
    )
    plain = [n for n, array in (flat | own).items() if array.dtype.kind in "UO" and n != "id"]
    with (
        atomic_path(path) as part,
        pq.ParquetWriter(part, schema, compression="zstd", use_dictionary=plain, write_statistics=list(flat)) as writer,
    ):
        for start in range(0, max(len(codes), 1), ROW_GROUP):
            piece = first if start == 0 else table(start, min(start + ROW_GROUP, len(codes)))
            writer.write_table(piece.cast(schema), row_group_size=ROW_GROUP)


def is_reserved(name: str, targets: list[str]) -> bool:
    """Whether the file format itself uses this column name."""
    ours = {"id", "ra", "dec", "split", "margin", *_NESTED}
    for target in targets:
        ours |= {f"target_{target}", f"prediction_{target}", f"prediction_{target}_d4"}
    return name in ours


def tidy(name: str, values: Any, n: int) -> np.ndarray:
    """(n,) a catalogue column as numpy numbers or text; missing numbers are NaN, missing texts empty."""
    if isinstance(values, np.ma.MaskedArray):
        values = (
            values.astype(np.float64).filled(np.nan)
            if values.dtype.kind in "iuf" and values.mask.any()
            else values.filled()
        )
    array = np.asarray(values)
    if array.shape != (n,):
        raise SFNetError(
            f"Column `{name}` has shape {array.shape} and there are {n} galaxies; give one value a galaxy."
        )
    if array.dtype.kind == "O":
        array = np.array(
            ["" if v is None or v is np.ma.masked or v != v else str(v) for v in array.tolist()] or [], dtype=object
        )
        return array if max(map(len, array), default=0) > LONG_TEXT else array.astype(str)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind in "biuU":
        return array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "f":
        return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
    return array.astype(str)


_NESTED = ("indices", "values", "maps")


def to_arrow(array: np.ndarray, name: str) -> pa.Array:
    """An Arrow array of numbers (NaN becomes missing) or texts; :class:`SFNetError` where a text is no Unicode."""
    try:
        if array.dtype.kind in "UO":  # a list: from a numpy array of texts Arrow would cut each at its first NUL
            return pa.array(array.tolist(), pa.string())
        return pa.array(array, from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise SFNetError(f"Column `{name}` cannot be written ({first_line(error)}).") from error


def _votype(kind: pa.DataType) -> str:
    kind = kind.value_type if is_list(kind) else kind
    names = {
        "bool": "boolean",
        "uint8": "unsignedByte",
        "int8": "short",
        "int16": "short",
        "int32": "int",
        "uint16": "int",
    }
    names |= {"float": "float", "double": "double", "int64": "long", "uint32": "long", "uint64": "long"}
    return names.get(str(kind), "char")
