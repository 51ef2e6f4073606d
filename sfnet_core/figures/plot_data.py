"""What the atlas's figures draw, as arrays for the browser: points up to a few thousand, above that cells of a grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from sfnet_core.astro.bpt import kauffmann03, kewley01
from sfnet_core.stats.binned import running_median

__all__ = ["BPT_RANGE", "MOST_POINTS", "Ranks", "bpt_curves", "cells", "padded", "points", "running"]

MOST_POINTS = 5000
GRID = (110, 84)  # columns, rows
BPT_RANGE = ((-1.55, 0.55), (-1.05, 1.3))


def padded(values: np.ndarray, fraction: float = 0.04) -> tuple[float, float]:
    """A range a little wider than the finite values; (0, 1) where there are none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    pad = fraction * (high - low) or 0.5 * abs(high) or 0.5
    return low - pad, high + pad


def points(x: np.ndarray, y: np.ndarray, rows: np.ndarray, shade: np.ndarray | None, ranges: tuple) -> dict[str, Any]:
    """A scatter: float32 ``x``, ``y``, ``shade`` (0…1) and int32 ``rows``; weakest first, so the strongest is on top.

    Above MOST_POINTS the answer has ``cells`` instead: per cell of a grid the log count, or the largest shade.
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y, rows = x[known], y[known], rows[known]
    shade = None if shade is None else shade[known]
    out: dict[str, Any] = {"ranges": [list(map(float, r)) for r in ranges], "n": len(x)}
    if len(x) > MOST_POINTS:
        return {**out, "cells": cells(x, y, shade, ranges).astype("<f4").tobytes(), "grid": list(GRID)}
    order = np.arange(len(x)) if shade is None else np.argsort(shade, kind="stable")
    out |= {"x": x[order].astype("<f4").tobytes(), "y": y[order].astype("<f4").tobytes()}
    out["rows"] = rows[order].astype("<i4").tobytes()
    if shade is not None:
        out["shade"] = shade[order].astype("<f4").tobytes()
    return out


def cells(x: np.ndarray, y: np.ndarray, shade: np.ndarray | None, ranges: tuple) -> np.ndarray:
    """(rows, columns) float: log(1 + count) over its largest or, with ``shade``, the strongest shade in the cell.

    Row 0 is the lowest in y; a cell without galaxies is NaN.
    """
    columns, rows = GRID
    (x0, x1), (y0, y1) = ranges
    i = np.floor((x - x0) * (columns / (x1 - x0)))
    j = np.floor((y - y0) * (rows / (y1 - y0)))
    keep = (i >= 0) & (i < columns) & (j >= 0) & (j < rows)
    flat = j[keep].astype(np.int64) * columns + i[keep].astype(np.int64)
    if shade is None:
        count = np.bincount(flat, minlength=rows * columns).astype(float)
        out = np.log1p(count) / np.log1p(max(count.max(), 1.0))
        out[count == 0] = np.nan
    else:
        out = np.full(rows * columns, -np.inf)
        np.maximum.at(out, flat, shade[keep])
        out[np.isneginf(out)] = np.nan
    return out.reshape(rows, columns)


class Ranks:
    """The finite values of ``y`` (n,) sorted once, so that percentiles of all but a few need no sort of their own."""

    def __init__(self, y: np.ndarray):
        finite = np.flatnonzero(np.isfinite(y))
        order = finite[np.argsort(y[finite], kind="stable")]
        self._sorted = y[order]
        self._rank = np.full(len(y), -1, dtype=np.int32)
        self._rank[order] = np.arange(len(order), dtype=np.int32)

    def rest(self, without: np.ndarray, levels: tuple[float, ...]) -> list | None:
        """Percentiles of the values at all positions but ``without``, then their number; ``None`` where none is left.

        The same as ``np.percentile`` of those values (linear between neighbours).
        """
        gone = np.sort(self._rank[without])
        gone = gone[np.searchsorted(gone, 0) :]
        n = len(self._sorted) - len(gone)
        if not n:
            return None
        at = np.asarray(levels, dtype=float) / 100 * (n - 1)
        low = np.floor(at).astype(np.int64)
        before = gone - np.arange(len(gone))  # how many of the rest stand before each one that is gone
        value = [self._sorted[j + np.searchsorted(before, j, side="right")] for j in (low, np.minimum(low + 1, n - 1))]
        return [*(value[0] + (at - low) * (value[1] - value[0])).tolist(), n]


def running(x: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """The running median of y along x with its 16th and 84th percentiles, in up to 10 bins of at least 10 galaxies."""
    known = int((np.isfinite(x) & np.isfinite(y)).sum())
    bins = min(10, known // 10)
    if bins < 2:
        return {}
    found = running_median(x, y, bins, 5)
    return {name: getattr(found, name).astype(float).tolist() for name in ("x", "median", "low", "high")}


def bpt_curves() -> list[dict[str, Any]]:
    """Kauffmann's and Kewley's curves inside the diagram's range."""
    out = []
    (x0, x1), (y0, _) = BPT_RANGE
    for name, curve, dash in (("Kauffmann+03", kauffmann03, ""), ("Kewley+01", kewley01, "6 4")):
        x = np.linspace(x0, x1, 240)
        y = curve(x)
        keep = y >= y0
        out.append({"name": name, "x": x[keep].tolist(), "y": y[keep].tolist(), "dash": dash})
    return out
