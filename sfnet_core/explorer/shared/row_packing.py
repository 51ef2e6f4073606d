"""A selection's rows as bytes, for the undo list, and as text, for a permalink."""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Iterable

import numpy as np

__all__ = ["MAX_SELECTION", "pack_rows", "read_rows", "unpack_rows", "written_rows"]

MAX_SELECTION = 4096  # characters a selection may take in a permalink


def pack_rows(rows: Iterable[int] | np.ndarray) -> bytes:
    """Row numbers as sorted unique int32 bytes: immutable, and quick to compare and to keep in the undo list."""
    return np.unique(np.asarray(rows, dtype=np.int32)).tobytes()


def unpack_rows(packed: bytes) -> np.ndarray:
    """The inverse of :func:`pack_rows`: ``(n,)`` int32, ascending."""
    return np.frombuffer(packed, dtype=np.int32)


@functools.lru_cache(maxsize=4)
def written_rows(packed: bytes) -> str | None:
    """Packed rows as a permalink has them; ``None`` where they take more than :data:`MAX_SELECTION` characters."""
    steps = np.diff(unpack_rows(packed), prepend=np.int32(0)).tobytes()
    if len(zlib.compress(steps, 1)) > 4 * MAX_SELECTION:  # hopeless, and level 9 would take 0.4 s to say so
        return None
    text = base64.urlsafe_b64encode(zlib.compress(steps, 9)).decode("ascii").rstrip("=")
    return text if len(text) <= MAX_SELECTION else None


def read_rows(text: str, galaxies: int) -> bytes:
    """The packed rows of a permalink's text, of a table of so many galaxies; ``ValueError`` where they are none."""
    if not text:
        return b""
    unpacker = zlib.decompressobj()
    steps = unpacker.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), 4 * galaxies + 4)
    if not unpacker.eof or len(steps) > 4 * galaxies:  # cut short, or more rows than there are: a bomb too
        raise ValueError("its rows can't be unpacked")
    rows = np.cumsum(np.frombuffer(steps, dtype=np.int32), dtype=np.int64)
    if len(rows) and (rows.min() < 0 or rows.max() >= galaxies):
        raise ValueError("a selected row is not in this table")
    return pack_rows(rows)
