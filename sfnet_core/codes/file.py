"""Sparse codes in one Parquet file: read with suspicion, into memory or onto a shelf of arrays, and written.

What may be read is decided from the footer, before a single page is unpacked. Columns: ``id``, ``ra``, ``dec``,
``split``, ``target_NAME``, ``prediction_NAME``, ``prediction_NAME_d4``, ``margin``, ``unlike`` and its three parts,
``indices``, ``values``, ``maps``, then the catalogue's own. The metadata key ``sfnet`` holds the header as JSON and
``IVOA.VOTable-Parquet.content`` the same as VOTable (VOParquet 1.0, IVOA Note 2025-01-14).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sfnet_core.codes.array_store import Shelf
from sfnet_core.codes.check import LONG_TEXT, check_arrays, check_ids, check_predictions, split_codes
from sfnet_core.codes.header import MAX_SLOTS, Header, votable
from sfnet_core.codes.novelty import COLUMNS as UNLIKE
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path
from sfnet_core.utils.parquet_guard import (
    ParquetSource,
    family,
    first_line,
    is_list,
    longest,
    numbers,
    texts,
    valid,
)

__all__ = [
    *("CodesFile", "by_target", "catalogue", "column", "is_reserved", "read", "shelved", "tidy", "to_arrow", "write")
]

ROW_GROUP = 8192
BATCH = 1 << 17  # galaxies unpacked at a time
COLUMN_LIMIT = 1 << 30  # bytes one text column may take in memory
_NESTED = ("indices", "values", "maps")


class CodesFile:
    """An open codes file: the checked header, and columns and maps read when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._source = ParquetSource(path, "codes file")
        text = self._source.metadata.get(b"sfnet")
        if text is None:
            raise SFNetError(
                f"{path} is a Parquet file but not a codes file: its metadata has no key `sfnet`. "
                "Codes are written by `sfnet infer`; other tools drop this key when they rewrite a file."
            )
        self.header = Header.from_json(text, str(path))
        self.rows, self.types = self._source.rows, self._source.types
        self.slots = self._check_schema()
        self.flat_columns = [n for n in self.types if n not in _NESTED and family(self.types[n])]
        texts = [n for n in self.flat_columns if family(self.types[n]) == "text" and self._source.dictionary[n]]
        self._file, footer = self._source.open(texts), self._source.footer
        self._group_starts = np.cumsum([0] + [footer.row_group(g).num_rows for g in range(footer.num_row_groups)])
        self._maps_group: tuple[int, np.ndarray] | None = None

    def _check_schema(self) -> int:
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
            cells = self._source.cells[name]
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
        self._source.check_size()
        return slots

    def numeric(self, name: str) -> bool | None:
        """Whether a column holds numbers, without reading it; ``None`` where only reading tells."""
        kind = self.types[name]
        if pa.types.is_boolean(kind):  # numbers where one is missing
            return None
        return family(kind) != "text"

    def _read(self, names: list[str], groups: list[int] | None = None) -> pa.Table:
        return self._source.read(names, self._file, groups)

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
                cells = self._read(["maps"], [int(group)]).column("maps")
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


# ---- from the file to checked arrays


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
    if size > COLUMN_LIMIT:
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


# ---- into the file


def write(
    path: Path,
    header: Header,
    flat: Mapping[str, np.ndarray],
    nested: Mapping[str, np.ndarray],
    maps: Callable[[slice], np.ndarray | None] | None,
    own: Mapping[str, np.ndarray],
) -> None:
    """Write a codes file atomically, one row group of maps in memory at a time; the same codes give the same bytes.

    Parameters
    ----------
    path : where to.
    header : the checked header.
    flat : the format's own columns, name → (N,).
    nested : ``indices`` and ``values``, (N, k+r).
    maps : gives the feature maps of some galaxies, (n, k, h, w); ``None``: there are none.
    own : the catalogue's columns, name → (N,).
    """
    n = len(nested["indices"])

    def table(start: int, stop: int) -> pa.Table:
        arrays: dict[str, pa.Array] = {name: to_arrow(array[start:stop], name) for name, array in flat.items()}
        lists = {name: array[start:stop] for name, array in nested.items()}
        lists |= {} if maps is None else {"maps": maps(slice(start, stop))}
        for name, part in lists.items():
            width = int(np.prod(part.shape[1:]))
            arrays[name] = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(part).reshape(-1)), width)
        arrays |= {name: to_arrow(array[start:stop], name) for name, array in own.items()}
        return pa.table(arrays)

    first = table(0, min(n, ROW_GROUP))
    fields = [(f.name, _votype(f.type), f.type.list_size if is_list(f.type) else None) for f in first.schema]
    schema = first.schema.with_metadata(
        {
            "sfnet": header.to_json(),
            "IVOA.VOTable-Parquet.version": "1.0",
            "IVOA.VOTable-Parquet.content": votable(header, fields),
        }
    )
    plain = [n for n, array in (dict(flat) | dict(own)).items() if array.dtype.kind in "UO" and n != "id"]
    with (
        atomic_path(path) as part,
        pq.ParquetWriter(part, schema, compression="zstd", use_dictionary=plain, write_statistics=list(flat)) as writer,
    ):
        for start in range(0, max(n, 1), ROW_GROUP):
            piece = first if start == 0 else table(start, min(start + ROW_GROUP, n))
            writer.write_table(piece.cast(schema), row_group_size=ROW_GROUP)


def catalogue(
    columns: Mapping[str, Any], units: Mapping[str, str], place: dict[str, Any], targets: list[str], n: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """A catalogue's columns made fit for the file, and their units.

    What of ``place`` (``ra``, ``dec``) is not given is taken from them; a column whose name the file format uses
    becomes ``catalogue_NAME``.
    """
    columns, units = {str(name): tidy(name, array, n) for name, array in columns.items()}, dict(units)
    for name in place:
        place[name] = columns.pop(name, None) if place[name] is None else place[name]
    for name in [c for c in columns if is_reserved(c, targets)]:
        columns[f"catalogue_{name}"] = columns.pop(name)
        if name in units:
            units[f"catalogue_{name}"] = units.pop(name)
    return columns, units


def is_reserved(name: str, targets: list[str]) -> bool:
    """Whether the file format itself uses this column name."""
    ours = {"id", "ra", "dec", "split", "margin", "indices", "values", "maps", *UNLIKE}
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


def by_target(given: Any, targets: list[str], n: int, what: str) -> dict[str, np.ndarray]:
    """target → (n,) float64 from a mapping, an (n, T) array, or (n,) for one target; what is not finite becomes NaN."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        array = np.asarray(given, dtype=np.float64).reshape(n, -1) if n else np.empty((0, len(targets)))
        if array.shape[1] != len(targets):
            raise SFNetError(f"codes: `{what}…` has {array.shape[1]} column(s) for {len(targets)} target(s).")
        given = {target: array[:, t] for t, target in enumerate(targets)}
    found = {t: np.array(given[t], dtype=np.float64) for t in targets if t in given}
    for array in found.values():
        array[~np.isfinite(array)] = np.nan
    return found
