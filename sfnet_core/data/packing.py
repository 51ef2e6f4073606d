"""The first verb: a catalogue and a folder of images become a dataset."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sfnet_core.data.catalogue import Catalogue, read_catalogue
from sfnet_core.data.cutouts import MAX_PIXELS, ImageRefused, Source, image_size, read_source, resize, scan_images
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.store import META, UnfinishedWriter, as_records
from sfnet_core.utils.console import say
from sfnet_core.utils.errors import SetAside, SFNetError
from sfnet_core.utils.signals import Interrupts

__all__ = ["pack"]

WORKERS = min(8, os.cpu_count() or 1)
SAVE_SECONDS = 60  # a kill loses at most this much work


@dataclass(frozen=True)
class _Row:
    """One galaxy that may be packed: its place in the catalogue (0-based position, data row from 1) and its image."""

    position: int
    row: int | None
    id: str
    source: Source


def pack(
    catalogue: str | os.PathLike | Catalogue | None,
    images: str | os.PathLike,
    out: str | os.PathLike,
    *,
    id_column: str | None = None,
    pixel_scale: float | None = None,
    bands: str = "gri",
    source: str | None = None,
    size: int | None = None,
    simulated: bool = False,
    progress: bool = True,
    overwrite: bool = False,
    resume: bool = False,
    hdu: int | None = None,
    resample: str = "lanczos",
    stretch: float = 0.5,
    q: float = 8.0,
    minimum: float = 0.0,
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """Pack the galaxies of a catalogue that have an image into a dataset, in the catalogue's order.

    Rows without an image, images that cannot be read and rows the catalogue's reader refuses are set aside with their
    reason (``Dataset.set_aside``), the rest goes on. Nothing appears under ``out`` unless the whole run succeeds.
    Memory stays bounded whatever the number of galaxies.

    Parameters
    ----------
    catalogue : str, path, Catalogue or None
        Any table :func:`read_catalogue` reads; None: every image is a galaxy and its file's name the identifier.
    images : str or path
        A folder with ``ID.jpg``, ``ID.png``, ``ID.fits`` (a cube) or ``ID_g.fits`` … for every galaxy.
    out : str or path
        The dataset's folder; must be new or empty unless ``overwrite``.
    id_column, hdu
        As in :func:`read_catalogue`.
    pixel_scale : float, optional
        arcsec per pixel of the images as given; None where unknown. With ``size`` it is scaled along.
    bands : str
        What blue, green and red are, short wavelength first.
    source : str, optional
        Where the galaxies come from, for people.
    size : int, optional
        Resample every image's central square to this many pixels (``resample``: ``lanczos`` or ``bicubic``). Without it
        all images must have one size: those unlike the majority are set aside.
    simulated : bool
        Whether the galaxies are simulated.
    stretch, q, minimum : float
        The composition of FITS bands, see :func:`~sfnet_core.data.cutouts.lupton_rgb`.
    max_pixels : int
        Larger images are set aside.
    progress, overwrite : bool
        Show a bar; replace a dataset that is there.
    resume : bool
        Go on with a pack of these rows, images and options that was cut off. What has been packed is kept once a
        minute, and on Ctrl-C and SIGTERM once it took a minute; the dataset has the same bytes in the end.

    Returns
    -------
    Dataset

    Raises
    ------
    SFNetError
        No image, no row that has one, an option that can't be, a folder of other files, no space.
    """
    _check_arguments(pixel_scale, size, resample, bands)
    found, aside = scan_images(images, bands)
    if not found:
        raise SFNetError(_no_images(Path(images), aside))
    if catalogue is None:
        table, notes = None, []
        rows = [_Row(i, None, name, found[name]) for i, name in enumerate(sorted(found))]
    else:
        if not isinstance(catalogue, Catalogue):
            catalogue = read_catalogue(catalogue, id_column=id_column, hdu=hdu, known=found.keys())
        table, notes = catalogue, list(catalogue.notes)
        rows, missing = _match(catalogue, found, Path(images))
        aside = [*catalogue.set_aside, *missing, *aside]
        if unused := len(found) - len(rows):
            notes.append(f"{unused:,} images belong to no row of the catalogue and were not packed.")
    if size is None:
        rows, odd = _majority(rows, max_pixels, progress)
        aside += odd
    read = partial(_read, size=size, resample=resample, max_pixels=max_pixels, stretch=stretch, q=q, minimum=minimum)
    software = _libraries()
    sized, timed = _images(rows)
    job = {"rows and images (names, sizes, times)": timed, **read.keywords, "software": software}
    about_all = [sized, read.keywords, software, _table(rows, table), pixel_scale, bands, source, simulated]
    made_of = hashlib.blake2b(json.dumps(about_all).encode(), digest_size=16).hexdigest()
    if resume and not overwrite and (done := _finished(out, made_of)):
        say(progress, f"{out} is already finished; nothing was done.")
        return done
    with UnfinishedWriter(out, job, resume=resume, overwrite=overwrite, expected=len(rows)) as writer:
        refused = _read_into(writer, rows, read, progress)
        kept: list[_Row] = []
        sizes: Counter[tuple[int, int]] = Counter()
        for packed in writer.rows():
            kept.append(rows[packed["index"]])
            sizes[tuple(packed["before"])] += 1
        aside += [_aside(rows[index], reason, Path(images)) for index, reason in refused]
        if not kept:
            raise SFNetError(f"Not one of {len(rows)} images could be read; the first: {aside[-len(refused)]}")
        scale = _packed_scale(pixel_scale, sizes, size, notes)
        ids, columns, units, about = _columns(kept, table)
        meta: dict[str, Any] = {
            "pixel_scale": scale,
            "bands": bands,
            "source": source or _source(table, Path(images)),
            "simulated": bool(simulated),
            "set_aside": as_records(aside),
            "made_of": made_of,
            "notes": notes + about.pop("notes"),
            **about,
        }
        if any(isinstance(row.source, tuple) or row.source.suffix.lower() in (".fits", ".fit") for row in kept):
            meta["lupton"] = {"stretch": stretch, "q": q, "minimum": minimum}
        writer.finish(ids, columns, units=units, meta=meta)
    return Dataset.open(out)


def _read_into(
    writer: UnfinishedWriter, rows: list[_Row], read: Callable[[_Row], Any], progress: bool
) -> list[tuple[int, str]]:
    """Pack what is not there yet; gives (index, reason) of all rows that could not be read.

    A signal ends it after the image at hand; what took more than a minute is kept then.
    """
    refused: list[tuple[int, str]] = []
    begun, safe = 0, writer.n > 0
    for packed in writer.rows():
        refused += packed["refused"]
        begun = packed["index"] + 1
    new: list[tuple[int, str]] = []  # since the last one that could be read
    with Interrupts() as interrupts:
        results = _bar(_in_order(read, rows[begun:]), len(rows), "pack", progress, begun)
        for index, (_, result) in enumerate(results, begun):
            if isinstance(result, str):
                new.append((index, result))
            else:
                cutout, before = result
                writer.add(cutout, {"index": index, "before": before, "refused": new})
                refused += new
                new = []
            if interrupts.seconds_since_save() > SAVE_SECONDS and writer.n:
                writer.keep()
                interrupts.saved()
                safe = True
            if interrupts.signal:
                if safe:
                    writer.keep()
                    say(True, f"Stopped after {index + 1:,} of {len(rows):,} images; --resume continues.")
                interrupts.leave()
    return refused + new


def _images(rows: list[_Row]) -> tuple[str, str]:
    """Fingerprints of the rows to be packed and their images' names and sizes: without, then with when these were
    written."""
    sized, timed = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    for row in rows:
        for path in row.source if isinstance(row.source, tuple) else (row.source,):
            try:
                state = path.stat()
                size, time = state.st_size, state.st_mtime_ns
            except OSError:  # reading it gives the reason
                size, time = None, None
            about = f"{row.id}\0{row.row}\0{path.name}\0{size}"
            sized.update(f"{about}\n".encode())
            timed.update(f"{about}\0{time}\n".encode())
    return sized.hexdigest(), timed.hexdigest()


def _libraries() -> dict[str, str]:
    """Versions of what decodes and resamples images."""
    return {name: importlib.metadata.version(name) for name in ("sfnet-core", "numpy", "pillow", "simplejpeg")}


def _table(rows: list[_Row], table: Catalogue | None) -> str:
    """A fingerprint of what the catalogue says of these rows."""
    _, columns, units, _ = _columns(rows, table)
    total = hashlib.blake2b(repr(units).encode(), digest_size=16)
    for name, values in columns.items():
        values = np.asarray(values)
        total.update(f"\0{name}\0{values.dtype}\0".encode())
        total.update(values.tobytes() if values.dtype.kind in "biuf" else repr(values.tolist()).encode())
    return total.hexdigest()


def _finished(out: str | os.PathLike, made_of: str) -> Dataset | None:
    """The dataset at ``out`` where it was made of the same."""
    if not (Path(out) / META).is_file():
        return None
    found = Dataset.open(out)
    return found if found.meta.get("made_of") == made_of else None


def _check_arguments(pixel_scale: float | None, size: int | None, resample: str, bands: str) -> None:
    if pixel_scale is not None and not (np.isfinite(pixel_scale) and pixel_scale > 0):
        raise SFNetError(f"The pixel scale is {pixel_scale}; it must be a positive number of arcsec per pixel.")
    if size is not None and not 8 <= size <= 4096:
        raise SFNetError(f"The size is {size} pixels; choose one from 8 to 4096.")
    if resample not in ("lanczos", "bicubic"):
        raise SFNetError(f"Resampling '{resample}' is not known; choose lanczos or bicubic.")
    if len(bands) != 3 or len(set(bands)) != 3:
        raise SFNetError(
            f"The bands are '{bands}'; name three by one letter each, short wavelength first, such as gri."
        )


def _no_images(folder: Path, aside: Sequence[SetAside]) -> str:
    why = f"; {len(aside)} were set aside, the first: {aside[0]}" if aside else ""
    return f"There is no image in {folder} (ID.jpg, ID.jpeg, ID.png or ID.fits, subfolders included){why}."


def _match(catalogue: Catalogue, found: dict[str, Source], folder: Path) -> tuple[list[_Row], list[SetAside]]:
    """Rows that have an image, and the others."""
    rows, missing = [], []
    for position, (row, name) in enumerate(zip(catalogue.rows, catalogue.ids, strict=True)):
        if name in found:
            rows.append(_Row(position, int(row), name, found[name]))
        else:
            missing.append(SetAside(f"no image of this name in {folder.name}", row=int(row), id=name))
    if not rows:
        tried = f"column '{catalogue.id_column}' of {catalogue.source} (such as '{catalogue.ids[0]}')"
        raise SFNetError(
            f"None of the {len(missing):,} identifiers in {tried} has an image in {folder}, whose {len(found):,} "
            f"images have names such as '{next(iter(found))}'. Name the column with the images' names by --id-column."
        )
    return rows, missing


def _majority(rows: list[_Row], max_pixels: int, progress: bool) -> tuple[list[_Row], list[SetAside]]:
    """Rows whose image has the most frequent size, and the others set aside with theirs.

    Headers that cannot be read are left in: reading the image gives the better reason.
    """

    def size_of(row: _Row) -> tuple[int, int] | None:
        try:
            return image_size(row.source, max_pixels=max_pixels)
        except ImageRefused:
            return None

    sizes = [size for _, size in _bar(_in_order(size_of, rows), len(rows), "sizes", progress)]
    counts = Counter(size for size in sizes if size is not None)
    if len(counts) < 2:
        return rows, []
    height, width = max(counts, key=lambda size: (counts[size], size))
    keep, odd = [], []
    for row, size in zip(rows, sizes, strict=True):
        if size in (None, (height, width)):
            keep.append(row)
        else:
            reason = f"{size[1]}×{size[0]} px, but most images have {width}×{height}; --size resamples all to one size"
            odd.append(SetAside(reason, row=row.row, id=row.id))
    return keep, odd


def _read(row: _Row, *, size: int | None, resample: str, **options: Any) -> tuple[np.ndarray, tuple[int, int]] | str:
    """One cutout and the size it had, or the reason why not."""
    try:
        cutout = read_source(row.source, **options)
    except ImageRefused as error:
        return error.reason
    before = cutout.shape[:2]
    return (cutout if size is None else resize(cutout, size, resample=resample)), before


def _in_order(work: Any, rows: Sequence[_Row], chunk: int = 8) -> Iterator[tuple[_Row, Any]]:
    """``work`` on every row, in threads (decoding and waiting for the disk leave Python free), results in order.

    No more than a few chunks are in flight, so that memory does not grow with the number of rows.
    """
    pool = ThreadPoolExecutor(WORKERS)
    waiting: deque = deque()
    try:
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            waiting.append((part, pool.submit(lambda part: [work(row) for row in part], part)))
            if len(waiting) > WORKERS + 1:
                part, future = waiting.popleft()
                yield from zip(part, future.result(), strict=True)
        for part, future in waiting:
            yield from zip(part, future.result(), strict=True)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _bar(items: Iterator, total: int, what: str, progress: bool, begun: int = 0) -> Iterator:
    from tqdm import tqdm

    how = {"unit": "galaxy", "file": sys.stderr, "disable": not progress, "delay": 0.5}
    return iter(tqdm(items, total=total, initial=begun, desc=what, **how))


def _aside(row: _Row, reason: str, folder: Path) -> SetAside:
    path = row.source[0] if isinstance(row.source, tuple) else row.source
    return SetAside(reason, row=row.row, id=row.id, file=str(path.relative_to(folder)))


def _packed_scale(scale: float | None, sizes: Counter, size: int | None, notes: list[str]) -> float | None:
    """arcsec per packed pixel; None where images of several sizes were brought to one."""
    if scale is None or size is None:
        return None if scale is None else float(scale)
    sides = {min(shape) for shape in sizes}
    if len(sides) > 1:
        notes.append(f"The images had {len(sides)} sizes before resampling, so the packed pixel scale is unknown.")
        return None
    return float(scale) * sides.pop() / size


def _columns(kept: list[_Row], table: Catalogue | None) -> tuple[list[str], dict, dict, dict]:
    ids = [row.id for row in kept]
    if table is None:
        return ids, {}, {}, {"notes": [], "id_column": None}
    return ids, *table.dataset_columns(np.array([row.position for row in kept]))


def _source(table: Catalogue | None, folder: Path) -> str:
    name = folder.resolve().name
    return name if table is None else f"{table.source} and {name}"
