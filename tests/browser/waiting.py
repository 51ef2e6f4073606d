"""What another process does comes a moment later: tests wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["until"]


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it holds; fail where it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to that within {seconds} s"
        time.sleep(0.05)
