"""Sparse codes in one Parquet file: what may be read is decided from the footer, before a single page is unpacked.

Columns: ``id``, ``ra``, ``dec``, ``split``, ``target_NAME``, ``prediction_NAME``, ``prediction_NAME_d4``, ``margin``,
``unlike`` and its three parts, ``indices``, ``values``, ``maps``, then the catalogue's own. The metadata key ``sfnet``
holds the header as JSON and ``IVOA.VOTable-Parquet.content`` the same as VOTable (VOParquet 1.0, IVOA Note 2025-01-14).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sfnet_core.codes.check import LONG_TEXT, split_codes
from sfnet_core.codes.header import MAX_SLOTS, Header
from sfnet_core.codes.novelty import COLUMNS as UNLIKE
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.parquet_guard import (
    check_ends,
    family,
    first_line,
    is_list,
    leaves,
    longest,
    numbers,
    texts,
    valid,
)

ROW_GROUP = 8192
BATCH = 1 << 17  # galaxies unpacked at a time
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
            source = pa.memory_map(str(path))  # opened once: footer and data are of one file, whoever replaces it
            metadata = pq.read_metadata(source)
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
        self._file = pq.ParquetFile(source, read_dictionary=texts, metadata=metadata)
        self._group_starts = np.cumsum([0] + [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)])
        self._maps_group: tuple[int, np.ndarray] | None = None

    def _check_schema(self, metadata: pq.FileMetaData) -> int:
        """Columns, types and sizes; returns k + r. Nothing has been unpacked yet."""
        header, where = self.header, self.path
        wanted = {"id": "text", "split": "text", "margin": "float"}
        wanted |= {f"{p}_{t}": "float" for t in header.targets for p in ("target", "prediction")}
        optional = {f"prediction_{t}_d4": "float" for t in header.targets} | {"ra": "float", "dec": "float"}
        optional |= {n: "number" if n == UNLIKE[-1] else "float" for n in UNLIKE if n not in header.columns}
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

    def numeric(self, name: str) -> bool | None:
        """Whether a column holds numbers, without reading it; ``None`` where only reading tells."""
        kind = self.types[name]
        if pa.types.is_boolean(kind):  # numbers where one is missing
            return None
        return family(kind) != "text"

    def _read(self, names: list[str], groups: list[int] | None = None) -> pa.Table:
        try:
            if groups is None:
                return self._file.read(columns=names)
            return self._file.read_row_groups(groups, columns=names)
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise SFNetError(f"{self.path}: {', '.join(names)} cannot be unpacked ({first_line(error)}).") from error

    def _lumps(self) -> Iterator[tuple[int, list[int]]]:
        """(first row, row groups) of about :data:`BATCH` galaxies each; one without groups for an empty table."""
        starts, lump, first = self._group_starts, [], 0
        for group in range(len(starts) - 1):
            lump.append(group)
            if starts[group + 1] - starts[first] >= BATCH or group == len(starts) - 2:
                yield int(starts[first]), lump
                lump, first = [], group + 1
        if len(starts) == 1:
            yield 0, []

    @property
    def core_names(self) -> list[str]:
        """The flat columns that :meth:`batches` reads."""
        names = ["id", "split", "margin", *(n for n in ("ra", "dec") if n in self.types)]
        for target in self.header.targets:
            names += [f"target_{target}", f"prediction_{target}"]
            names += [n for n in (f"prediction_{target}_d4",) if n in self.types]
        return names

    def batches(self) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """The columns that the page always needs, some row groups at a time: (first row, name → array).

        Shapes (n,) and, for ``indices`` and ``values``, (n, k+r); ``split`` as places in ``codes.check.SPLITS``.
        """
        names = self.core_names
        for start, groups in self._lumps():
            table = self._read([*names, "indices", "values"], groups)
            core = {name: self._flat(table.column(name), name) for name in names}
            core["split"] = split_codes(core["split"])
            for name, array in core.items():
                if array.dtype.kind == "f":
                    core[name] = array.astype(np.float32 if name == "margin" else np.float64, copy=False)
            indices, values = (self._lists(table.column(n), n, self.slots) for n in ("indices", "values"))
            if len(indices) and not (indices.min() >= -1 and indices.max() < self.header.features):
                raise SFNetError(f"{self.path}: `indices` names a feature outside 0 to {self.header.features - 1}.")
            core["indices"] = indices.astype(np.int16, copy=False)
            with np.errstate(over="ignore"):
                core["values"] = values.astype(np.float32, copy=False)
            yield start, core

    def width(self, name: str) -> int:
        """At least as many characters as the longest text of a column has."""
        found = 1
        for _, groups in self._lumps():
            for chunk in self._read([name], groups).column(name).chunks:
                found = max(found, longest(chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk))
        return found

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
        parts: list[tuple[np.ndarray, np.ndarray | None]] = []
        total = 0
        for chunk in column.chunks:
            coded = pa.types.is_dictionary(chunk.type)
            words, places = chunk.dictionary if coded else chunk, None
            if longest(words) <= LONG_TEXT:
                words = texts(words)
                size = words.dtype.itemsize
            else:  # an object array: a fixed width would cost N × the longest
                words = np.array([word or "" for word in words.to_pylist()], dtype=object)
                size = 8 if max(map(len, words)) > LONG_TEXT else 4 * max(map(len, words))
            if coded:
                words = np.append(words, np.array([""], dtype=words.dtype))
                places = np.where(valid(chunk.indices), numbers(chunk.indices), len(words) - 1)  # missing: the last, ""
            parts.append((words, places))
            total += size * len(chunk)
        if total > COLUMN_LIMIT:
            raise SFNetError(f"{self.path}: the texts of column `{name}` would take {total:,} bytes; refused.")
        arrays = [words if places is None else words[places] for words, places in parts]
        if any(words.dtype.kind == "O" and max(map(len, words), default=0) > LONG_TEXT for words in arrays):
            return np.concatenate([words.astype(object) for words in arrays])
        return np.concatenate([words.astype(str) for words in arrays]) if arrays else np.empty(0, dtype="U1")


_NESTED = ("indices", "values", "maps")
