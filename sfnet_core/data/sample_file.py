"""A whole dataset in one small Parquet file: the form in which the embedded sample travels.

A dataset's cutouts are raw pixels, 49 kB each at 128 px; a sample holds them as JPEG, about 2.5 kB each. The first
:func:`open_sample` unpacks it into a cache folder named after the file's content, later ones open that folder.
JPEG is lossy: an unpacked sample is its own dataset, with its own fingerprint, the same on every machine whose JPEG
decoder is libjpeg-turbo.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from sfnet_core.data.cutouts import MAX_PIXELS, decode, encode_jpeg
from sfnet_core.data.dataset import Dataset
from sfnet_core.utils.documents import json_object, read_document
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path, default_cache, folder_lock
from sfnet_core.utils.parquet_guard import ParquetSource

__all__ = ["default_cache", "open_sample", "write_sample"]

#: Key of the Parquet file's metadata that holds the dataset's own (JSON).
METADATA = b"sfnet-sample"

SCHEMA, IMAGE = 1, "image"

#: What a sample may hold at most: a sample is small, and a hostile file must not fill memory or disk.
MAX_FILE_BYTES, MAX_GALAXIES, MAX_SIDE = 256 << 20, 50_000, 1024

#: Fields of ``dataset.json`` that describe the galaxies and travel with them.
_KEPT = ("pixel_scale", "bands", "source", "simulated", "units", "notes", "seed")


def write_sample(dataset: Dataset, path: str | os.PathLike, *, quality: int = 85) -> Path:
    """Write a dataset as one Parquet file: its columns, and ``image`` with each cutout as JPEG bytes.

    The same dataset and quality give the same bytes. The catalogue's numbers are kept as they are.

    Parameters
    ----------
    dataset : Dataset
        Of at most :data:`MAX_GALAXIES` galaxies.
    path : str or path
        Where to.
    quality : int
        Of the JPEGs, 1…100.

    Returns
    -------
    Path

    Raises
    ------
    SFNetError
        Too many galaxies, or a column called ``image``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if len(dataset) > MAX_GALAXIES:
        raise SFNetError(f"A sample holds at most {MAX_GALAXIES:,} galaxies; {dataset.path} has {len(dataset):,}.")
    if IMAGE in dataset.columns:
        raise SFNetError(f"{dataset.path} has a column called '{IMAGE}', which a sample needs for the cutouts.")
    arrays = {"id": pa.array(dataset.ids.tolist(), pa.string())}
    for name in dataset.columns:
        if name != "id":
            values = dataset.column(name)
            arrays[name] = pa.array(values.tolist(), pa.string()) if values.dtype.kind in "OUS" else pa.array(values)
    pictures = [encode_jpeg(np.ascontiguousarray(cutout), quality=quality) for cutout in dataset.cutouts]
    arrays[IMAGE] = pa.array(pictures, pa.binary())
    meta = {key: dataset.meta[key] for key in _KEPT if key in dataset.meta}
    meta |= {"schema": SCHEMA, "n": len(dataset), "size": list(dataset.cutouts.shape[1:3]), "quality": quality}
    table = pa.table(arrays)
    table = table.replace_schema_metadata({METADATA: json.dumps(meta, ensure_ascii=False, sort_keys=True).encode()})
    path = Path(path)
    with atomic_path(path) as part:
        # JPEG bytes do not compress further; the rest does.
        pq.write_table(table, part, compression={name: "none" if name == IMAGE else "zstd" for name in arrays})
    return path


def open_sample(path: str | os.PathLike, cache_dir: str | os.PathLike | None = None) -> Dataset:
    """Open a sample as a Dataset, unpacking it once.

    The folder's name holds the hash of the file's content, so that another sample never answers for this one. It is
    built beside its place and renamed: a killed unpacking leaves nothing that would be opened, and of two processes
    that unpack at once the second waits for the first.

    Parameters
    ----------
    path : str or path
        The file.
    cache_dir : str or path, optional
        Where it is unpacked; by default :func:`default_cache`.

    Returns
    -------
    Dataset

    Raises
    ------
    SFNetError
        No sample, a damaged one, or one that is too large.
    """
    path = Path(path)
    cache = Path(cache_dir) if cache_dir is not None else default_cache()
    folder = cache / f"{path.stem}-{_content_hash(path)}"
    dataset = _opened(folder)
    if dataset is not None:
        return dataset
    with _waiting_lock(cache):
        dataset = _opened(folder)
        return dataset if dataset is not None else _unpack(path, folder)


def _content_hash(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise SFNetError(f"{path} has {size:,} bytes; a sample has at most {MAX_FILE_BYTES:,}.")
        return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError as error:
        raise SFNetError(f"Cannot read the sample {path}: {error.strerror or error}.") from error


def _opened(folder: Path) -> Dataset | None:
    """The dataset unpacked earlier, or None where there is none or it does not open (it is then made anew)."""
    if not folder.is_dir():
        return None
    try:
        return Dataset.open(folder)
    except SFNetError:
        return None


@contextlib.contextmanager
def _waiting_lock(cache: Path, patience: float = 120.0) -> Iterator[None]:
    """The cache's one writer's place, waited for: another process unpacks in seconds."""
    end = time.monotonic() + patience
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(folder_lock(cache, "unpacking a sample"))
                break
            except SFNetError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            except OSError as error:
                raise SFNetError(
                    f"Cannot write in the cache {cache} ({error.strerror}); set SFNET_CACHE to a folder that can be."
                ) from error
        yield


def _unpack(path: Path, folder: Path) -> Dataset:
    table, meta = _read(path)
    height, width = meta["size"]
    names = [name for name in table.column_names if name not in ("id", IMAGE)]
    columns = {name: _values(table.column(name)) for name in names}
    return Dataset.create(
        folder,
        table.column("id").to_pylist(),
        _pictures(path, table, height, width),
        columns,
        pixel_scale=meta.get("pixel_scale"),
        bands=meta.get("bands", "gri"),
        source=meta.get("source", ""),
        simulated=bool(meta.get("simulated", False)),
        units=meta.get("units") or {},
        notes=meta.get("notes") or [],
        extra={key: meta[key] for key in ("seed",) if key in meta},
        overwrite=True,
    )


class _Description(Struct):
    """The metadata, as far as it is read."""

    size: tuple[int, int]
    pixel_scale: float | None = None
    bands: str = "gri"
    source: str = ""
    simulated: bool = False
    units: dict[str, str] | None = None
    notes: list[Any] | None = None


def _read(path: Path):
    """The table and its metadata, after the schema and the sizes have been checked."""
    import pyarrow as pa

    source = ParquetSource(path, "sample")
    if METADATA not in source.metadata:
        raise SFNetError(f"{path} is not a sample: its metadata lack {METADATA!r}. write_sample makes one.")
    meta = json_object(source.metadata[METADATA], f"{path}: the sample's metadata")
    height, width = read_document(_Description, meta, path, schema=SCHEMA).size
    for name, kind in (("id", pa.string()), (IMAGE, pa.binary())):
        if source.types.get(name) != kind:
            raise SFNetError(f"{path} is not a sample: it has no column '{name}' of type {kind}.")
    if source.rows > MAX_GALAXIES or not 1 <= max(height, width) <= MAX_SIDE:
        raise SFNetError(f"{path} is too large for a sample: {source.rows:,} galaxies of {width}×{height} px.")
    source.check_size(most=4 * MAX_FILE_BYTES)
    return source.read(), {**meta, "size": (height, width)}


def _values(column) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_string(column.type):
        return np.array(["" if v is None else v for v in column.to_pylist()], dtype=object)
    return column.to_numpy()


def _pictures(path: Path, table, height: int, width: int) -> Iterator[np.ndarray]:
    for row, data in enumerate(table.column(IMAGE), start=1):
        try:
            picture = decode(data.as_py() or b"", max_pixels=min(MAX_PIXELS, MAX_SIDE**2))
        except Exception as error:  # a decoder raises nearly anything for broken bytes
            raise SFNetError(f"{path} is damaged: the picture in row {row} cannot be read ({error}).") from error
        if picture.shape != (height, width, 3):
            raise SFNetError(f"{path}: the picture in row {row} is {picture.shape}, not {(height, width, 3)}.")
        yield picture
