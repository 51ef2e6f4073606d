"""Sparse codes into one Parquet file (:mod:`sfnet_core.codes.file` says what is in it), and columns made fit for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sfnet_core.codes.check import LONG_TEXT
from sfnet_core.codes.file import ROW_GROUP
from sfnet_core.codes.header import votable
from sfnet_core.codes.novelty import COLUMNS as UNLIKE
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path
from sfnet_core.utils.parquet_guard import first_line, is_list

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["by_target", "catalogue", "is_reserved", "tidy", "to_arrow", "write"]


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
    flat |= {name: codes.column(name) for name in UNLIKE} if codes.unlike is not None else {}
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
