"""So many of many, spread evenly: what looks at some of a large table looks at the same ones each time."""

from __future__ import annotations

import numpy as np

__all__ = ["evenly"]


def evenly(total: int, most: int) -> np.ndarray:
    """``most`` of the numbers 0…``total`` - 1, ascending, with the first and the last → (min(total, most),) int64.

    All of them where there are no more; of one alone it is the first.
    """
    if total <= most:
        return np.arange(total)
    return np.linspace(0, total - 1, most).astype(np.int64)
