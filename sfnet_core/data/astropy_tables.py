"""FITS, ECSV and VOTable catalogues through astropy."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from sfnet_core.data.raw_table import RawTable
from sfnet_core.data.votable_guard import check_votable
from sfnet_core.utils.errors import SFNetError

__all__ = ["read_ecsv", "read_fits", "read_votable"]


def read_ecsv(data: bytes, path: Path) -> RawTable:
    """Read an ECSV table (astropy's APE 6) from a file's bytes."""
    from astropy.table import Table

    with _astropy(path, "an ECSV table"):
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        if not text.startswith("# %ECSV"):
            raise ValueError("it does not start with '# %ECSV'; is it a plain CSV?")
        return _raw(Table.read(text.split("\n"), format="ascii.ecsv"))


def read_fits(data: bytes, path: Path, hdu: int | None) -> RawTable:
    """Read a table of a FITS file, the first one with columns unless ``hdu`` says which (0 is the primary HDU)."""
    from astropy.io import fits
    from astropy.table import Table

    if not data.startswith(b"SIMPLE  ="):
        raise SFNetError(f"{path} is not a FITS file (it does not begin with SIMPLE).")
    with _astropy(path, "a FITS table"), fits.open(io.BytesIO(data), memmap=False) as hdus:
        tables = [number for number, unit in enumerate(hdus) if isinstance(unit, fits.BinTableHDU | fits.TableHDU)]
        tables = [number for number in tables if not hdus[number].header.get("ZIMAGE")]
        if not tables:
            raise SFNetError(f"{path} holds no table, only images; catalogues are binary or ASCII table extensions.")
        listed = ", ".join(f"{number} ({hdus[number].name or 'no name'})" for number in tables)
        if hdu is not None and hdu not in tables:
            raise SFNetError(f"HDU {hdu} of {path} is not a table; the tables are {listed}.")
        unit = hdus[tables[0] if hdu is None else hdu]
        if unit.header.get("ZTABLE"):
            raise SFNetError(f"The table in {path} is compressed by fpack; unpack it with funpack first.")
        needs = unit.header["NAXIS1"] * unit.header["NAXIS2"]
        if needs > len(data):
            raise SFNetError(f"{path} is truncated: its table needs {needs:,} bytes, the file has {len(data):,}.")
        raw = _raw(Table.read(unit))
    if hdu is None and len(tables) > 1:
        raw.notes.append(f"The first of {len(tables)} tables was read; the tables are HDU {listed}.")
    return raw


def read_votable(data: bytes, path: Path) -> RawTable:
    """Read the first table of a VOTable, after :func:`check_votable`: no reference of the document is ever followed."""
    from astropy.io import votable

    check_votable(data, path)
    with _astropy(path, "a VOTable"):
        document = votable.parse(io.BytesIO(data), verify="ignore")
        tables = list(document.iter_tables())
        if not tables:
            raise ValueError("it holds no TABLE")
        raw = _raw(tables[0].to_table(use_names_over_ids=True))
    if len(tables) > 1:
        raw.notes.append(f"The first of {len(tables)} tables was read.")
    return raw


class _astropy:
    """Astropy's warnings are not the user's; its many kinds of error become one sentence that names the file."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self.quiet = warnings.catch_warnings()

    def __enter__(self) -> None:
        self.quiet.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.quiet.__exit__(kind, error, trace)
        if isinstance(error, Exception) and not isinstance(error, SFNetError):
            text = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SFNetError(f"{self.path} cannot be read as {self.what} ({text[:200]}).") from error


def _raw(table: Any) -> RawTable:
    """An astropy table's columns as plain arrays: masked numbers become NaN, texts ``object`` arrays of str."""
    raw = RawTable({})
    for name in table.colnames:
        column = table[name]
        if not hasattr(column, "dtype"):
            column = getattr(column, "value", column)  # a Time, a SkyCoord …
        values = np.ma.asarray(column)
        if values.ndim != 1:
            raw.notes.append(f"Column '{name}' was left out: its cells hold {values.shape[1:]} values each.")
            continue
        if values.dtype.kind == "O" and any(isinstance(value, np.ndarray | list | tuple) for value in values.data):
            raw.notes.append(f"Column '{name}' was left out: its cells hold lists of values.")
            continue
        raw.columns[name] = _plain_array(values)
        if unit := getattr(column, "unit", None):
            raw.units[name] = str(unit)
    return raw


def _plain_array(values: np.ma.MaskedArray) -> np.ndarray:
    mask, data = np.ma.getmaskarray(values), np.asarray(values.data)
    kind = data.dtype.kind
    if kind == "f":
        data = data.astype(data.dtype.newbyteorder("="))
        return np.where(mask, np.nan, data).astype(data.dtype) if mask.any() else data
    if kind in "iub":
        data = data.astype(data.dtype.newbyteorder("="))
        if not mask.any():
            return data
        if kind == "b" or np.all(np.abs(data[~mask].astype(float)) < 2.0**53):
            return np.where(mask, np.nan, data.astype(float))
        return np.array(["" if gone else str(value) for value, gone in zip(data.tolist(), mask, strict=True)], object)
    return np.array(["" if gone else _text(value) for value, gone in zip(data.tolist(), mask, strict=True)], object)


def _text(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()
