"""Catalogues of galaxies in the formats astronomers keep them in, with identifiers that never lose a digit."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.astro import emission_lines as lines
from sfnet_core.data.readers import RawTable, read_raw, typed
from sfnet_core.data.store import bad_id
from sfnet_core.utils.errors import SetAside, SFNetError

if TYPE_CHECKING:
    import pandas

__all__ = ["Catalogue", "read_catalogue"]

# Columns taken for the identifier, in this order, when none is named; upper and lower case are alike.
ID_NAMES = (
    "objid", "id", "galaxy_id", "galaxyid", "object_id", "objectid", "source_id", "iauname", "iau_name", "name",
    "galaxy", "dr7objid", "dr8objid", "ls_id", "specobjid", "targetid", "coadd_object_id", "objname", "objno",
)  # fmt: skip
RA_NAMES = ("ra", "radeg", "ra_deg", "raj2000", "_raj2000", "ra_j2000", "ra_icrs", "alpha_j2000", "target_ra", "raobs")
DEC_NAMES = ("dec", "dedeg", "decdeg", "dec_deg", "de", "dej2000", "_dej2000", "dec_j2000", "decj2000", "de_icrs",
             "dec_icrs", "delta_j2000", "target_dec", "decobs")  # fmt: skip
MISSING = -9999.0  # how SDSS and MPA-JHU write "not measured"
ROUNDED = re.compile(r"[+-]?\d+\.\d*[eE]\+?\d+|[+-]?\d+[eE]\+\d+")  # 1.2e18, 1E+18: a number that was shortened
DECIMAL = re.compile(r"(\d+)\.0*")


@dataclass
class Catalogue:
    """A table of N galaxies with text identifiers, each there once.

    Attributes
    ----------
    table : N rows; the identifier's column comes first, named as in the file. Numbers that are infinite or −9999 in
        the file are NaN here.
    id_column : that column's name.
    set_aside : rows that were left out, by data row (from 1), and why.
    units : column → unit, as the file writes it.
    source : the file's name.
    rows : (N,) the data row (from 1) in the file of each row kept.
    notes : what was changed or looks odd, in sentences.
    """

    table: pandas.DataFrame
    id_column: str
    set_aside: list[SetAside] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    source: str = ""
    rows: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.rows is None:
            self.rows = np.arange(1, len(self.table) + 1)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> list[str]:
        """The N identifiers."""
        return self.table[self.id_column].tolist()

    def dataset_columns(self, positions: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, Any]]:
        """The rows at ``positions`` as a dataset's columns, their units, and what to say about them.

        The identifier is not among them. Right ascension and declination are recognised by their names and come as
        ``ra`` and ``dec`` in degrees, the four line fluxes and their errors as MPA-JHU calls them
        (:mod:`sfnet_core.astro.emission_lines`); a column that is in the way of ``id``, ``ra`` or ``dec`` is renamed.
        """
        part = self.table.iloc[positions]
        columns = {name: part[name].to_numpy() for name in part.columns if name != self.id_column}
        units = {name: unit for name, unit in self.units.items() if name in columns}
        renamed, notes = _name_sky(columns, units)
        renamed |= _name_lines(columns, units, notes)
        for name in ("id", *(() if "ra" in renamed else ("ra", "dec"))):
            if name in columns and (name == "id" or columns[name].dtype.kind not in "iuf"):
                new = _free_name(f"catalogue_{name}", columns)
                columns[new], renamed[new] = columns.pop(name), name
                if name in units:
                    units[new] = units.pop(name)
        return columns, units, {"notes": notes, "id_column": self.id_column, "renamed": renamed}


def read_catalogue(
    path: str | os.PathLike,
    *,
    id_column: str | None = None,
    hdu: int | None = None,
    known: Collection[str] | None = None,
) -> Catalogue:
    """Read a catalogue, its format by its suffix: CSV, TSV or TXT (``.gz`` too), ECSV, FITS, VOTable, Parquet.

    Identifiers are text, with every digit they have in the file. A column of floating-point numbers that are too large
    to be exact is refused, since digits are lost already. Rows whose identifier is empty, repeated, or cannot be the
    name of a file are set aside.

    Parameters
    ----------
    path : str or path
        The file.
    id_column : str, optional
        The identifier's column. Not named, it is the first of the usual names (``objID``, ``id``, ``name``,
        ``specObjID`` …) whose values are all there once; or, with ``known``, the column that names most of these.
    hdu : int, optional
        Which table of a FITS file (0 is the primary HDU); the first one where not said.
    known : collection of str, optional
        Identifiers that have an image.

    Returns
    -------
    Catalogue

    Raises
    ------
    SFNetError
        Where the file as a whole cannot be used.
    """
    import pandas as pd

    path = Path(path)
    raw = read_raw(path, hdu)
    if not raw.columns or not raw.n_rows:
        raise SFNetError(f"{path} holds no row; a catalogue needs a header and one row for each galaxy.")
    name = _choose_id(raw, path, id_column, known)
    ids = _as_ids(raw.columns[name], name, path, raw.notes)
    aside, keep = _check_ids(ids, name, path)
    table = {name: pd.array([ids[i] for i in keep], dtype="str")}
    keep_all = len(keep) == raw.n_rows
    for other, values in raw.columns.items():
        if other != name:
            values = typed(values) if raw.all_text else values
            values = _known_numbers(other, values, raw.notes)
            table[other] = values if keep_all else values[keep]
    frame = pd.DataFrame(table, copy=False)
    return Catalogue(frame, name, aside, raw.units, path.name, np.asarray(keep) + 1, raw.notes)


def _choose_id(raw: RawTable, path: Path, wanted: str | None, known: Collection[str] | None) -> str:
    listed = ", ".join(list(raw.columns)[:30])
    if wanted is not None:
        if wanted not in raw.columns:
            raise SFNetError(f"{path} has no column '{wanted}' for the identifiers; it has {listed}.")
        return wanted
    lower = {name.strip().lower(): name for name in reversed(raw.columns)}
    candidates = [lower[name] for name in ID_NAMES if name in lower]
    if known:
        images = set(known)
        others = [c for c, values in raw.columns.items() if c not in candidates and values.dtype.kind in "iuOUT"]
        for columns in (candidates, others):
            matches = {column: len(images.intersection(_plain(raw.columns[column]))) for column in columns}
            best = max(matches, key=matches.get, default=None)
            if best and matches[best]:
                return best
    if not candidates:
        raise SFNetError(
            f"No column of {path} looks like the identifier; name it with --id-column. The columns are {listed}."
        )
    for candidate in candidates:
        values = _plain(raw.columns[candidate])
        if all(values) and len(set(values)) == len(values):
            return candidate
    return candidates[0]


def _plain(values: np.ndarray) -> list[str]:
    """Values as text, for comparing only."""
    return [unicodedata.normalize("NFC", str(value).strip()) for value in values.tolist()]


def _as_ids(values: np.ndarray, name: str, path: Path, notes: list[str]) -> list[str]:
    """A column's values as identifiers, or a refusal where digits have been lost."""
    if values.dtype.kind == "f":
        whole = values[np.isfinite(values)]
        if values.dtype.itemsize < 8 or np.any(np.abs(whole) >= 2.0**53) or np.any(whole != np.floor(whole)):
            raise _lost(path, name, f"{whole[np.argmax(np.abs(whole))]:.6g}" if len(whole) else "NaN", 1)
        return ["" if not np.isfinite(value) else str(int(value)) for value in values.tolist()]
    if values.dtype.kind not in "iuOUT":
        raise SFNetError(
            f"Column '{name}' of {path} is of type {values.dtype}, not text or whole numbers; name another one."
        )
    ids = _plain(values)
    rounded = [row for row, value in enumerate(ids, 1) if ROUNDED.fullmatch(value)]
    if len(rounded) * 2 > len(ids):
        raise _lost(path, name, ids[rounded[0] - 1], rounded[0])
    if all(DECIMAL.fullmatch(value) for value in ids if value):  # 123.0: whole numbers that went through a float
        wide = next((row for row, value in enumerate(ids, 1) if value and float(value) >= 2.0**53), None)
        if wide is not None:
            raise _lost(path, name, ids[wide - 1], wide)
        notes.append(f"The identifiers in column '{name}' were written as decimal numbers; the '.0' was removed.")
        ids = [value.split(".")[0] for value in ids]
    return ids


def _lost(path: Path, name: str, value: str, row: int) -> SFNetError:
    return SFNetError(
        f"Column '{name}' of {path} holds identifiers as floating-point numbers ({value} in row {row}): their last "
        "digits are lost. Export the column again as text or 64-bit integers, or name another --id-column."
    )


def _check_ids(ids: list[str], name: str, path: Path) -> tuple[list[SetAside], list[int]]:
    """Rows to keep (from 0), and the others with the reason."""
    aside, keep, first = [], [], {}
    for i, value in enumerate(ids):
        reason = bad_id(value)
        if reason is None and ROUNDED.fullmatch(value):
            reason = "the identifier was shortened to a floating-point number; its last digits are lost"
        if reason is None and value in first:
            reason = f"the identifier is already in row {first[value] + 1}"
        if reason:
            shown = value if value.isprintable() else ascii(value)[1:-1]
            aside.append(SetAside(reason, row=i + 1, id=shown if len(shown) <= 80 else shown[:77] + "…"))
        else:
            first[value] = i
            keep.append(i)
    if not keep:
        raise SFNetError(f"No row of {path} has a usable identifier in column '{name}'; the first: {aside[0]}.")
    return aside, keep


def _known_numbers(name: str, values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Infinite numbers and −9999 become NaN, and a note says how many."""
    if values.dtype.kind != "f":
        return values
    infinite, missing = np.isinf(values), values == MISSING
    for mask, what in ((infinite, "infinite"), (missing, "−9999")):
        if count := int(mask.sum()):
            notes.append(f"Column '{name}' is {what} in {count:,} rows; these were read as unknown (NaN).")
    bad = infinite | missing
    return np.where(bad, np.nan, values) if bad.any() else values


def _name_sky(columns: dict[str, np.ndarray], units: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Rename right ascension and declination to ``ra`` and ``dec``, in place, if both are there in degrees."""
    lower = {name.strip().lower(): name for name in reversed(columns)}
    ra = next((lower[name] for name in RA_NAMES if name in lower), None)
    dec = next((lower[name] for name in DEC_NAMES if name in lower), None)
    if ra is None or dec is None:
        return {}, []
    alpha, delta = columns[ra], columns[dec]
    if alpha.dtype.kind not in "iuf" or delta.dtype.kind not in "iuf":
        return {}, [f"Columns '{ra}' and '{dec}' are not numbers in degrees, so positions are not known."]
    alpha, delta = alpha.astype(float), delta.astype(float)
    if units.get(ra, "").lower() in ("h", "hour", "hours", "hourangle"):
        alpha = alpha * 15
    elif units.get(ra, "").lower() in ("rad", "radian", "radians"):
        alpha, delta = np.degrees(alpha), np.degrees(delta)
    notes = []
    wrong = ~((alpha >= -180) & (alpha <= 360) & (np.abs(delta) <= 90)) & ~(np.isnan(alpha) | np.isnan(delta))
    if wrong.any():
        notes.append(
            f"Positions in columns '{ra}' and '{dec}' are outside the sky in {int(wrong.sum()):,} rows: unknown (NaN)."
        )
    unknown = wrong | np.isnan(alpha) | np.isnan(delta)
    del columns[ra], columns[dec]
    units.pop(ra, None), units.pop(dec, None)
    for name in ("ra", "dec"):  # another column that has this very name, when the recognised one is called otherwise
        if name in columns:
            columns[_free_name(f"catalogue_{name}", columns)] = columns.pop(name)
    columns["ra"], columns["dec"] = np.where(unknown, np.nan, alpha % 360), np.where(unknown, np.nan, delta)
    units["ra"] = units["dec"] = "deg"
    return {"ra": ra, "dec": dec}, notes


def _name_lines(columns: dict[str, np.ndarray], units: dict[str, str], notes: list[str]) -> dict[str, str]:
    """Give line fluxes and errors the names used here, in place; new name → the file's."""
    found = lines.renamed(columns)
    for old, new in found.items():
        columns[new] = columns.pop(old)
        if old in units:
            units[new] = units.pop(old)
    if found:
        pairs = ", ".join(f"'{old}' is {new}" for old, new in found.items())
        notes.append(f"Columns recognised as line fluxes: {pairs}.")
    return {new: old for old, new in found.items()}


def _free_name(name: str, columns: Collection[str]) -> str:
    while name in columns:
        name += "_"
    return name
