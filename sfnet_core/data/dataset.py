"""The first noun: galaxies as packed cutouts and one table, in a folder that numpy and pandas read without us."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from sfnet_core.data.store import (
    CUTOUTS,
    GALAXIES,
    META,
    SCHEMA,
    DatasetWriter,
    as_records,
    check_ids,
    combined_fingerprint,
    old_name,
    text_array,
)
from sfnet_core.utils.documents import json_object, read_document
from sfnet_core.utils.errors import SetAside, SFNetError
from sfnet_core.utils.parquet_guard import ParquetSource, family, numbers, text_bytes

if TYPE_CHECKING:
    import pandas

__all__ = ["Dataset"]


class Dataset:
    """N galaxies: cutouts (N, H, W, 3) uint8 and one row each of a table.

    The folder holds ``cutouts.npy`` (opened memory-mapped, so a set larger than memory costs nothing until it is
    read), ``galaxies.parquet`` (``id``, then ``ra`` and ``dec`` in degrees where known, then the catalogue's own
    columns) and ``dataset.json``. Make one with :meth:`create` or :func:`~sfnet_core.data.packing.pack`,
    then :meth:`open` it.

    Attributes
    ----------
    path : the folder.
    meta : what ``dataset.json`` says: ``n``, ``height``, ``width``, ``pixel_scale`` (arcsec per pixel, or None where
        unknown), ``bands``, ``source``, ``simulated``, ``fingerprint``, ``set_aside``, ``units``, ``notes``,
        ``versions``.
    cutouts : (N, H, W, 3) uint8, read-only, row 0 at the top of the picture.
    ids : (N,) identifiers, always text.
    """

    def __init__(self, path: Path, meta: dict[str, Any], cutouts: np.ndarray, parquet: ParquetSource) -> None:
        self.path = path
        self.meta = meta
        self.cutouts = cutouts
        self._parquet = parquet

    @classmethod
    def open(cls, path: str | os.PathLike) -> Dataset:
        """Open a dataset's folder.

        Raises
        ------
        SFNetError
            With what is missing, or which of the files disagree.
        """
        path = Path(path)
        if not path.exists() and old_name(path).exists():
            raise SFNetError(
                f"The dataset at {path} was being replaced when that was cut off; the former one is whole, in "
                f"{old_name(path)}. Give it its name back, or pack again."
            )
        if not path.is_dir():
            raise SFNetError(
                f"There is no dataset at {path}; make one with 'sfnet pack CATALOGUE IMAGES --out {path}'."
            )
        for name in (META, CUTOUTS, GALAXIES):
            if not (path / name).is_file():
                raise SFNetError(
                    f"{path} is not a whole dataset: {name} is missing. Pack it again, or name another folder."
                )
        meta = read_meta(path / META)
        try:
            cutouts = np.lib.format.open_memmap(path / CUTOUTS, mode="r")
        except (ValueError, OSError) as error:
            raise SFNetError(f"{path / CUTOUTS} cannot be read ({error}); pack the dataset again.") from error
        parquet = ParquetSource(path / GALAXIES)
        parquet.check_size()
        expected = (meta["n"], meta["height"], meta["width"], 3)
        if cutouts.dtype != np.uint8 or cutouts.shape != expected:
            raise SFNetError(
                f"{path / CUTOUTS} holds {cutouts.dtype} {cutouts.shape}, but {META} says uint8 {expected}; "
                "the files are not of one dataset. Pack it again."
            )
        if parquet.rows != meta["n"]:
            raise SFNetError(
                f"{path / GALAXIES} has {parquet.rows} rows, but {META} says {meta['n']}; "
                "the files are not of one dataset. Pack it again."
            )
        names = parquet.schema.names
        if not names or names[0] != "id" or family(parquet.types["id"]) != "text":
            raise SFNetError(f"{path / GALAXIES} does not start with a text column 'id'; pack the dataset again.")
        return cls(path, meta, cutouts, parquet)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike,
        ids: Sequence[str],
        cutouts: np.ndarray | Iterable[np.ndarray],
        columns: Mapping[str, np.ndarray] | None = None,
        *,
        pixel_scale: float | None = None,
        bands: str = "gri",
        source: str = "",
        simulated: bool = False,
        units: Mapping[str, str] | None = None,
        set_aside: Sequence[SetAside] = (),
        notes: Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> Dataset:
        """Write a dataset from arrays and open it.

        Parameters
        ----------
        path : str or path
            The dataset's folder; new or empty, unless ``overwrite``.
        ids : sequence of str
            N identifiers, no two alike.
        cutouts : (N, H, W, 3) uint8
            Or any iterable of N arrays (H, W, 3): they are written one by one, so that a generator of any length fits
            in memory.
        columns : dict, optional
            Name → N values: numbers keep their type, everything else is text.
        pixel_scale : float, optional
            arcsec per pixel.
        bands, source, simulated, units, set_aside, notes
            What ``dataset.json`` says.
        extra : dict, optional
            Added to ``dataset.json`` (a simulation's seed, say).
        overwrite : bool
            Replace a dataset that is there.

        Returns
        -------
        Dataset

        Raises
        ------
        SFNetError
            Identifiers that are no file's name or are there twice, shapes that do not fit, a folder of other files, no
            space.
        """
        columns = dict(columns or {})
        ids = [str(value) for value in ids]
        check_ids(ids)
        with DatasetWriter(path, overwrite=overwrite, expected=len(ids)) as writer:
            for cutout in cutouts:
                writer.append(np.asarray(cutout))
            meta = {
                "pixel_scale": None if pixel_scale is None else float(pixel_scale),
                "bands": bands,
                "source": source,
                "simulated": bool(simulated),
                "set_aside": as_records(set_aside),
                "notes": list(notes),
                **(extra or {}),
            }
            writer.finish(ids, columns, units=units or {}, meta=meta)
        return cls.open(path)

    def save(self, path: str | os.PathLike, *, overwrite: bool = False) -> Dataset:
        """Copy the dataset to another folder, whole or not at all, and open the copy."""
        with DatasetWriter(path, overwrite=overwrite) as writer:
            writer.copy_from(self.path)
        return type(self).open(path)

    def __len__(self) -> int:
        return self.meta["n"]

    def __repr__(self) -> str:
        kind = "simulated" if self.simulated else "observed"
        size = f"{self.meta['width']}×{self.meta['height']}"
        return f"<Dataset {self.path}: {len(self):,} {kind} galaxies, {size} px, {self.fingerprint}>"

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits of what the dataset holds; equal for equal contents."""
        return self.meta["fingerprint"]

    @property
    def simulated(self) -> bool:
        """Whether the galaxies are simulated and not observed."""
        return self.meta["simulated"]

    @property
    def pixel_scale(self) -> float | None:
        """arcsec per pixel of the packed cutouts, or None where unknown."""
        return self.meta["pixel_scale"]

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column that has one, as its catalogue wrote it."""
        return self.meta["units"]

    @property
    def set_aside(self) -> list[SetAside]:
        """The rows and files that were left out when the dataset was packed, and why."""
        return [SetAside(**record) for record in self.meta["set_aside"]]

    @property
    def columns(self) -> list[str]:
        """Names of the table's columns, ``id`` first."""
        return list(self._parquet.schema.names)

    @cached_property
    def ids(self) -> np.ndarray:
        """(N,) identifiers, text."""
        return self.column("id")

    def column(self, name: str) -> np.ndarray:
        """One column of the table.

        Returns
        -------
        (N,) array
            Numbers in their own type (missing: NaN), text as str (missing: '').

        Raises
        ------
        SFNetError
            Where there is none of that name, or it is damaged.
        """
        if name not in self.columns:
            raise SFNetError(f"{self.path} has no column '{name}'; it has {', '.join(self.columns)}.")
        column = self._parquet.read([name]).column(0)
        if family(column.type) == "text":
            self._parquet.refuse_above(text_bytes(column))
            return text_array([value or "" for value in column.to_pylist()])
        parts = [numbers(chunk) for chunk in column.chunks]
        if column.null_count and parts[0].dtype.kind != "f":  # not written by us, but readable
            return np.array([np.nan if value is None else value for value in column.to_pylist()])
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)

    @property
    def galaxies(self) -> pandas.DataFrame:
        """The whole table as a pandas DataFrame (N rows)."""
        return self._parquet.read().to_pandas()

    @cached_property
    def _index(self) -> dict[str, int]:
        return {value: row for row, value in enumerate(self.ids.tolist())}

    def index_of(self, id: str) -> int:
        """The row of a galaxy; an :class:`SFNetError` where there is none of that identifier."""
        try:
            return self._index[str(id)]
        except KeyError:
            raise SFNetError(f"There is no galaxy '{str(id)[:80]}' in {self.path} ({len(self):,} galaxies).") from None

    def verify(self) -> None:
        """Read everything and compare it with the fingerprint.

        Raises
        ------
        SFNetError
            Where a file has changed.
        """
        digest = hashlib.blake2b(digest_size=16)
        for cutout in self.cutouts:
            digest.update(np.ascontiguousarray(cutout).data)
        shape = (self.meta["height"], self.meta["width"])
        found = combined_fingerprint(digest, shape, self._parquet.read())
        if found != self.fingerprint:
            raise SFNetError(
                f"{self.path} has changed since it was packed: its fingerprint is {found}, {META} says "
                f"{self.fingerprint}. Pack it again."
            )


class _Description(Struct):
    """``dataset.json``, as far as it is read."""

    n: int
    height: int
    width: int
    fingerprint: str
    simulated: bool
    bands: str
    source: str
    set_aside: list[SetAside]
    units: dict[str, str]
    pixel_scale: Annotated[float, Meta(gt=0)] | None = None
    notes: list[Any] = []


def read_meta(path: Path) -> dict[str, Any]:
    """Read and check ``dataset.json``.

    Raises
    ------
    SFNetError
        With the field: a later or unknown schema, a field that is missing or of another type.
    """
    way = "pack the dataset again"
    meta = json_object(path.read_bytes(), path, way)
    read_document(_Description, meta, path, schema=SCHEMA, way=way)
    return {"pixel_scale": None, "notes": []} | meta
