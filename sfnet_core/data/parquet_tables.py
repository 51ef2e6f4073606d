"""Parquet catalogues: the schema and the sizes first, the values when both are fit."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from sfnet_core.data.raw_table import RawTable
from sfnet_core.data.votable_guard import check_votable
from sfnet_core.utils.errors import SFNetError

__all__ = ["read_parquet"]


def read_parquet(path: Path, max_bytes: int) -> RawTable:
    """Read the columns of numbers and texts of a Parquet file; others (lists, structures, images) are left out.

    The footer says what each column unpacks to. A file that would take more than ``max_bytes`` is refused before any
    value is read. Texts are read as references to distinct values, and counted before they are written out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        schema = footer.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SFNetError(f"{path} is not a whole Parquet file ({_first_line(error)}).") from error
    notes: list[str] = []
    names: list[str] = []
    texts: list[str] = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if field.name.startswith("__index_level_") or schema.names.count(field.name) > 1:
            notes.append(f"Column '{field.name}' was left out: it is an index or its name is there twice.")
        elif _is_text(kind):
            names.append(field.name)
            texts.append(field.name)
        elif _is_number(kind):
            names.append(field.name)
        else:
            notes.append(f"Column '{field.name}' was left out: it holds {str(field.type)[:40]}, not numbers or texts.")
    _refuse_bomb(path, _unpacked(footer, names), max_bytes)
    raw = RawTable({}, units=_votable_units(footer.metadata or {}, names), notes=notes)
    written_out = 0
    try:
        file = pq.ParquetFile(path, read_dictionary=texts, memory_map=True)
        for name in names:
            column = file.read(columns=[name]).column(0)
            if len(column) != footer.num_rows:
                raise SFNetError(f"{path} is damaged: column '{name}' has {len(column)} of {footer.num_rows} rows.")
            if name in texts:
                written_out += _text_bytes(column)
                _refuse_bomb(path, written_out, max_bytes)
            raw.columns[name] = _values(column)
            unit = (schema.field(name).metadata or {}).get(b"unit", b"").decode("utf-8", "replace")
            if unit:
                raw.units[name] = unit
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SFNetError(f"{path} cannot be read ({_first_line(error)}); the file is damaged.") from error
    return raw


def _votable_units(metadata: dict[bytes, bytes], names: list[str]) -> dict[str, str]:
    """Units from the VOTable description that TOPCAT and we keep in the footer (VOParquet 1.0), where it is sound."""
    document = metadata.get(b"IVOA.VOTable-Parquet.content", b"")
    units: dict[str, str] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(" ")[2] == "FIELD" and attributes.get("name") in names and attributes.get("unit"):
            units[attributes["name"]] = attributes["unit"]

    if document:
        with contextlib.suppress(SFNetError, expat.ExpatError):
            check_votable(document, Path("its description"))
            parser = expat.ParserCreate(namespace_separator=" ")
            parser.StartElementHandler = start
            parser.Parse(document, True)
    return units


def _refuse_bomb(path: Path, needs: int, max_bytes: int) -> None:
    if needs > max_bytes:
        raise SFNetError(
            f"{path} ({path.stat().st_size:,} bytes) unpacks to {needs:,} bytes, more than the {max_bytes:,} a "
            "catalogue may take; it was refused. Keep only the columns you need."
        )


def _text_bytes(column: Any) -> int:
    """Bytes that a column of texts takes written out, without writing it out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            times = np.bincount(chunk.indices.drop_null().to_numpy(), minlength=len(chunk.dictionary))
            total += int(times @ pc.binary_length(chunk.dictionary).fill_null(0).to_numpy(zero_copy_only=False))
        else:
            total += pc.sum(pc.binary_length(chunk)).as_py() or 0
    return total


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return any(
        test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    )


def _unpacked(footer: Any, names: list[str]) -> int:
    """Bytes that the columns take in memory: what the footer says, and never less than 8 for each value (runs of one
    value take next to nothing in the file)."""
    claimed = 0
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            if column.path_in_schema in names:
                claimed += max(column.total_uncompressed_size, 8 * row_group.num_rows)
    return max(claimed, 8 * footer.num_rows * len(names))


def _values(column: Any) -> np.ndarray:
    """A column as a plain array; whole numbers with gaps as floats where these are exact, else as text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind) or _is_text(kind):
        return _texts(column)
    if pa.types.is_decimal(kind):
        if kind.scale == 0:  # whole numbers of any length: text keeps them
            return np.array(["" if value is None else format(value, "f") for value in column.to_pylist()], dtype=object)
        return np.array([np.nan if value is None else float(value) for value in column.to_pylist()])
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        values = column.to_pylist()
        if any(value is not None and abs(value) >= 2**53 for value in values):
            return np.array(["" if value is None else str(value) for value in values], dtype=object)
        return np.array([np.nan if value is None else float(value) for value in values])
    values = column.to_numpy()
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _texts(column: Any) -> np.ndarray:
    """Texts as an ``object`` array whose equal texts are one Python object each."""
    import pyarrow as pa

    out = np.empty(len(column), dtype=object)
    at = 0
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_encode()
        distinct = np.array(
            ["" if value is None else value for value in chunk.dictionary.to_pylist()] + [""], dtype=object
        )
        indices = chunk.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
        out[at : at + len(chunk)] = distinct[indices]
        at += len(chunk)
    return out


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
