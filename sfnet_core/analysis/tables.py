"""Codes as a flat table for other programs: CSV, ECSV, VOTable, FITS or Parquet, chosen by the file's name."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.interpret import contributions
from sfnet_core.codes.header import describe
from sfnet_core.codes.novelty import COLUMNS as UNLIKE
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["FORMATS", "export", "flat_columns"]

FORMATS = (".csv", ".ecsv", ".vot", ".xml", ".votable", ".fits", ".parquet")
CHUNK = 20_000
_CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")  # neither XML nor FITS can hold these
# What a spreadsheet may take for a formula, with the full-width forms that some read alike (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def export(codes: SparseCodes, out: str | os.PathLike) -> Path:
    """Write codes as a flat table for other programs, one row per galaxy.

    Columns: ``id``, ``ra``, ``dec``, ``split``, targets, predictions, ``margin``, ``unlike`` and its parts where the
    codes have them, then ``feature_1`` … ``feature_k`` by falling activation (-1: no feature), ``activation_1`` …,
    ``contribution_1`` … (with several targets ``contribution_TARGET_1`` …), then the catalogue's own. FITS and VOTable
    know no unit *dex*: it stands in the description; each target's bias and whether the galaxies are simulated stand in
    the metadata. In CSV a text that a spreadsheet would take for a formula gets a leading apostrophe; numbers are
    untouched.

    Parameters
    ----------
    codes
        The galaxies.
    out
        The file; its name's ending says the format, one of :data:`FORMATS`.

    Returns
    -------
    Path
        The file's path.

    Raises
    ------
    SFNetError
        The name is of another format, or the codes file's own.
    """
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix not in FORMATS:
        raise SFNetError(
            f"Codes are not exported to {out.suffix or 'a file without suffix'!r}; choose {', '.join(FORMATS)}."
        )
    if codes.path is not None and out.exists() and out.resolve() == codes.path.resolve():
        raise SFNetError(f"{out} is the codes file itself; choose another name for the export.")
    if suffix == ".csv":
        _write_csv(codes, out)
    elif suffix == ".parquet":
        _write_parquet(codes, out)
    else:
        _write_astropy(codes, out, suffix)
    return out


def flat_columns(codes: SparseCodes) -> Iterator[tuple[str, np.ndarray, str, str]]:
    """(name, (N,) array, unit, description) of every column of the flat table, in order."""
    taken: set[str] = set()

    def entry(name: str, array: np.ndarray, unit: str, text: str) -> tuple[str, np.ndarray, str, str]:
        while name.lower() in taken:  # FITS does not tell cases apart
            name += "_"
        taken.add(name.lower())
        return name, array, unit, text

    def own(name: str) -> tuple[str, np.ndarray, str, str]:
        unit, _, text = describe(name, codes.header)
        return entry(name, codes.column(name), unit, text)

    yield own("id")
    for name in ("ra", "dec"):
        if getattr(codes, name) is not None:
            yield own(name)
    yield own("split")
    for target in codes.targets:
        unit, _, text = describe(f"target_{target}", codes.header)
        yield entry(f"target_{target}", codes.truth(target), unit, text)
        yield own(f"prediction_{target}")
        if codes.prediction_d4(target) is not None:
            yield own(f"prediction_{target}_d4")
    yield own("margin")
    if codes.unlike is not None:
        yield from map(own, UNLIKE)
    for slot in range(codes.k):
        yield entry(f"feature_{slot + 1}", codes.indices[:, slot], "", "kept feature by falling activation; -1: none")
    for slot in range(codes.k):
        yield entry(f"activation_{slot + 1}", codes.values[:, slot], "", f"activation of feature_{slot + 1}")
    for target in codes.targets:
        terms = contributions(codes, target)
        middle = f"{target}_" if len(codes.targets) > 1 else ""
        unit = f" [{codes.units[target]}]" if codes.units.get(target) else ""
        for slot in range(codes.k):
            text = f"weight x activation of feature_{slot + 1} in {target}{unit}"
            yield entry(f"contribution_{middle}{slot + 1}", terms[:, slot], "", text)
    for name in codes.columns:
        yield own(name)


def _write_csv(codes: SparseCodes, out: Path) -> None:
    columns = list(flat_columns(codes))
    with atomic_path(out) as part, open(part, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([_harmless(name) for name, *_ in columns])
        for start in range(0, len(codes), CHUNK):
            rows = slice(start, start + CHUNK)
            writer.writerows(zip(*(_texts(array[rows]) for _, array, *_ in columns), strict=True))


def _texts(array: np.ndarray) -> list:
    """Shortest texts that read back as the same number; missing values are empty."""
    if array.dtype.kind in "UO":
        return [_harmless(text) for text in array.tolist()]
    if array.dtype.kind == "f":
        # csv writes a Python float as its repr; a float32 would come out as the longer float64, so numpy spells it
        return [
            "" if number != number or number == "nan" else number
            for number in (array.tolist() if array.itemsize > 4 else array.astype(str).tolist())
        ]
    return array.tolist()


def _harmless(text: str) -> str:
    """With an apostrophe before what a spreadsheet would compute, unless it is a plain number such as -1.5."""
    text = text.replace("\r", "\n")  # a bare CR would end the row for some readers, and csv does not quote it
    if not text.lstrip(" ").startswith(FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text if text == text.strip() else f"'{text}"


def _about(codes: SparseCodes, short: bool = False) -> dict[str, bool | float]:
    """What a reader needs beside the columns; ``short`` for FITS keywords."""
    bias = {f"BIAS{t + 1}" if short else f"bias_{name}": float(codes.bias[t]) for t, name in enumerate(codes.targets)}
    return {"SIMUL" if short else "simulated": bool(codes.simulated)} | bias


def _write_parquet(codes: SparseCodes, out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sfnet_core.codes.file import to_arrow

    fields, arrays = [], []
    for name, array, unit, text in flat_columns(codes):
        arrays.append(to_arrow(array, name))
        notes = {key: value for key, value in (("unit", unit), ("description", text)) if value}
        fields.append(pa.field(name, arrays[-1].type, metadata=notes or None))
    metadata = {key: str(value) for key, value in _about(codes).items()}
    with atomic_path(out) as part:
        pq.write_table(
            pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata)), part, compression="zstd"
        )


def _write_astropy(codes: SparseCodes, out: Path, suffix: str) -> None:
    import warnings

    from astropy import units
    from astropy.io.votable import writeto
    from astropy.table import Column, Table

    table = Table()
    for name, array, unit, text in flat_columns(codes):
        if array.dtype.kind in "UO":
            array = np.array([_CONTROL.sub("\ufffd", word) for word in array.tolist()], dtype=str)
            if suffix == ".fits":  # FITS texts are ASCII
                array = np.char.encode(array, "ascii", "backslashreplace")
            array = array if array.dtype.itemsize else array.astype("S1" if suffix == ".fits" else "U1")
        elif array.dtype.kind == "u" and array.dtype.itemsize > 1 and suffix != ".ecsv":
            array = array.astype(np.int64) if array.dtype.itemsize < 8 or not (array >> 63).any() else array.astype(str)
        elif array.dtype == np.int8 and suffix != ".ecsv":
            array = array.astype(np.int16)
        column = Column(np.array(array), name=name, description=text or None)
        try:
            column.unit = units.Unit(unit, format="vounit") if unit else None
        except ValueError:  # the catalogue's unit is none that the standards know
            column.description = f"{text} [{unit}]".strip()
        table.add_column(column)
    if suffix == ".fits":
        for number, name in enumerate(table.colnames, start=1):
            if table[name].description:
                table.meta[f"TCOMM{number}"] = table[name].description.encode("ascii", "replace").decode()
    table.meta |= _about(codes, short=suffix == ".fits")
    if suffix in (".vot", ".xml", ".votable"):  # the one entry of ``meta`` that a VOTable keeps
        table.meta = {"description": "; ".join(f"{key}: {value}" for key, value in _about(codes).items())}
    kind = {".ecsv": "ascii.ecsv", ".fits": "fits"}.get(suffix, "votable")
    with atomic_path(out) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy's remarks on names and units, each of them seen to above
        if kind == "votable":
            # Table.write would use astropy 8's C writer, which writes past its buffer where a row has 256, 512, …
            # characters and so breaks the process, at once or later (astropy issue 20419); this is the same in Python.
            writeto(table, str(part))
        else:
            table.write(part, format=kind, overwrite=True)
