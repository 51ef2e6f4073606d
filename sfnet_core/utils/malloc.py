"""Memory that a computation asks for and frees in every step, kept by the process until the computation ends.

glibc hands large blocks back to the system as soon as they are freed, and the system clears every page of those that
are asked for next. A training step frees and asks for all its activations. Other C libraries are left as they are.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
import threading
from collections.abc import Iterator
from functools import cache

__all__ = ["kept_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # mallopt(3)
_LARGEST = 32 << 20  # bytes: the largest threshold that glibc moves to by itself (mallopt(3), M_MMAP_THRESHOLD)
_USUAL_MAX = 65536

_lock = threading.Lock()
_inside = [0]


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Within it freed memory stays with this process; at its end what is free goes back to the system."""
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    libc = _glibc()
    with _lock:
        _inside[0] += change
        if libc is None:
            return
        if change > 0 and _inside[0] == 1:
            libc.mallopt(_MMAP_MAX, 0)
            libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        elif not _inside[0]:  # setting thresholds ends their own movement: leave them where it ends
            libc.mallopt(_MMAP_MAX, _USUAL_MAX)
            libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
            libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
            libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    with contextlib.suppress(OSError):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
            return libc
    return None
