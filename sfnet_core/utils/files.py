"""Writing so that a reader sees the old file or the new one, never half of either; where files are by default."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sfnet_core.utils.errors import SFNetError

__all__ = ["atomic_path", "default_cache", "folder_lock", "sample_folder", "write_json", "write_text"]


def default_cache() -> Path:
    """``$SFNET_CACHE``, else ``sfnet`` in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``)."""
    if own := os.environ.get("SFNET_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfnet"


def sample_folder() -> Path:
    """Where the embedded sample is: in the installed package, or at the top of a checkout."""
    for folder in (Path(__file__).parents[1] / "sample", Path(__file__).parents[2] / "data"):
        if (folder / "sample-codes.parquet").is_file():
            return folder
    raise SFNetError(
        "The embedded sample is missing from this installation; name your own codes: sfnet explore CODES.parquet"
    )


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is flushed to disk and takes ``path``'s name.

    On any failure the temporary file is removed and ``path`` is left as it was. A full disk becomes an
    :class:`SFNetError` that names the path and the bytes that had been written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield part
        with open(part, "rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            written = part.stat().st_size if part.exists() else 0
            raise SFNetError(
                f"No space left while writing {path} ({written:,} bytes were written, then removed). "
                "Nothing that was there before has changed; free some space and run the same command again."
            ) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the file system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as indented JSON atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def folder_lock(folder: str | os.PathLike, doing: str) -> Iterator[None]:
    """Hold the one writer's place in ``folder``; a second writer is refused at once with a sentence.

    The lock is the operating system's (``flock`` on ``folder/.lock``), so it goes with the process that held it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SFNetError(
                f"Another process is writing in {folder} ({doing} needs it alone). "
                "Wait until it ends or choose another folder."
            ) from error
        yield
