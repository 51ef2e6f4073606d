"""Points in the plane, by numpy: the range that holds them, how many are in each cell, which are in a box or lasso."""

from __future__ import annotations

import numpy as np

__all__ = ["BINS", "histogram", "inside", "padded_range", "within"]

BINS = (120, 90)  # columns, rows of a density
BLOCK = 1 << 16  # points at a time: what is made on the way stays in the processor's cache
MOST_CORNERS = 2000
MANY = 20_000  # points in a lasso's range from which it is worth drawing it in cells first
CELLS = 128  # a side

Ranges = tuple[tuple[float, float], tuple[float, float]]


def padded_range(values: list[np.ndarray], fraction: float = 0.05) -> tuple[float, float]:
    """A range that holds all finite values, a little wider; (0, 1) where there are none."""
    ends = [_extent(v) for v in values]
    ends = [end for end in ends if end is not None]
    if not ends:
        return 0.0, 1.0
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    pad = fraction * (high - low) or 0.5 * abs(high) or 0.5
    return low - pad, high + pad


def _extent(values: np.ndarray) -> tuple[float, float] | None:
    """The smallest and the largest finite value."""
    if not len(values):
        return None
    low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))  # these pass over NaN
    if np.isfinite(low) and np.isfinite(high):
        return low, high
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else None


def histogram(x: np.ndarray, y: np.ndarray, ranges: Ranges, bins: tuple[int, int] = BINS) -> np.ndarray:
    """Counts ``(rows, columns)`` int64 of the points inside ``ranges``, row 0 the lowest; unknown values are left out.

    A cell holds its lower edges and not its upper ones. One pass over the points, in float64 whatever their type, with
    no copy of them.
    """
    (x0, x1), (y0, y1) = ranges
    columns, rows = bins
    across, up = columns / (x1 - x0), rows / (y1 - y0)
    counts = np.zeros(rows * columns, dtype=np.int64)
    size = min(BLOCK, len(x))
    u, v = np.empty(size), np.empty(size)
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(x), BLOCK):
            n = min(BLOCK, len(x) - start)
            i, j = u[:n], v[:n]
            np.multiply(np.subtract(x[start : start + n], x0, out=i, dtype=np.float64), across, out=i)
            np.multiply(np.subtract(y[start : start + n], y0, out=j, dtype=np.float64), up, out=j)
            keep = (i >= 0) & (i < columns) & (j >= 0) & (j < rows)
            np.multiply(np.floor(j, out=j), columns, out=j)
            np.add(j, np.floor(i, out=i), out=j)  # the cell's number: whole, so exact
            inner = j if keep.all() else j[keep]
            counts += np.bincount(inner.astype(np.intp), minlength=rows * columns)
    return counts.reshape(rows, columns)


def within(x: np.ndarray, y: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Positions, ascending, of the points inside ``ranges``, edges included."""
    (x0, x1), (y0, y1) = ranges
    return np.flatnonzero((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def inside(x: np.ndarray, y: np.ndarray, geometry: dict) -> np.ndarray:
    """``(n,)`` True for points in a box or lasso, as Bokeh's SelectionGeometry describes it."""
    if geometry["type"] == "rect":
        x0, x1 = sorted((float(geometry["x0"]), float(geometry["x1"])))
        y0, y1 = sorted((float(geometry["y0"]), float(geometry["y1"])))
        return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    px, py = (np.asarray(list(geometry[c]), dtype=float) for c in "xy")
    step = len(px) // MOST_CORNERS + 1  # a hand's lasso has hundreds of corners
    px, py = px[::step], py[::step]
    if len(px) < 3 or len(px) != len(py) or not np.isfinite(px + py).all():
        return np.zeros(len(x), dtype=bool)
    out = (x >= px.min()) & (x <= px.max()) & (y >= py.min()) & (y <= py.max())
    candidates = np.flatnonzero(out)
    cx, cy = x[candidates], y[candidates]
    with np.errstate(all="ignore"):
        cells = [CELLS / (p.max() - p.min()) for p in (px, py)]  # to a unit of x, of y
    by_cells = len(candidates) > MANY and np.isfinite(cells).all() and min(cells) > 0
    out[candidates] = _by_cells(px, py, cx, cy, *cells) if by_cells else _odd(px, py, cx, cy)
    return out


def _odd(px: np.ndarray, py: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) whether points are inside a polygon by the even-odd rule, one edge at a time."""
    odd = np.zeros(len(x), dtype=bool)
    for ax, ay, bx, by in zip(px, py, np.roll(px, -1), np.roll(py, -1), strict=True):
        if ay == by:
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # of an edge all but level, at points that are not beside it
            crosses = ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
        odd ^= crosses
    return odd


def _by_cells(px: np.ndarray, py: np.ndarray, x: np.ndarray, y: np.ndarray, across: float, up: float) -> np.ndarray:
    """The same as :func:`_odd` for many points: in a cell that no edge comes near all are in or all are out.

    ``across``, ``up``: cells to a unit of x and of y.
    """
    x0, y0 = px.min(), py.min()
    near = _near_an_edge((px - x0) * across, (py - y0) * up)  # (rows, columns)
    rows, columns = np.nonzero(~near)
    state = np.zeros((CELLS, CELLS), dtype=bool)
    state[rows, columns] = _odd(px, py, (columns + 0.5) / across + x0, (rows + 0.5) / up + y0)
    out = np.empty(len(x), dtype=bool)
    for start in range(0, len(x), BLOCK):
        part = slice(start, start + BLOCK)
        i = np.minimum(((x[part] - x0) * across).astype(np.intp), CELLS - 1)
        j = np.minimum(((y[part] - y0) * up).astype(np.intp), CELLS - 1)
        odd = state[j, i]
        exact = np.flatnonzero(near[j, i])
        odd[exact] = _odd(px, py, x[part][exact], y[part][exact])
        out[part] = odd
    return out


def _near_an_edge(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(CELLS, CELLS) True for the cells within two of one that an edge goes through; corners in units of cells.

    Points on the edges half a cell apart mark theirs; a cell between two of them is next to a marked one, and one more
    is for rounding.
    """
    du, dv = np.roll(u, -1) - u, np.roll(v, -1) - v
    steps = np.ceil(2 * np.maximum(np.abs(du), np.abs(dv))).astype(int) + 1
    edge = np.repeat(np.arange(len(u)), steps)
    along = (np.arange(len(edge)) - np.repeat(np.cumsum(steps) - steps, steps)) / steps[edge]
    marked = np.zeros((CELLS + 4, CELLS + 4), dtype=bool)
    i, j = ((start[edge] + step[edge] * along).astype(int) for start, step in ((u, du), (v, dv)))
    marked[np.minimum(j, CELLS - 1) + 2, np.minimum(i, CELLS - 1) + 2] = True
    near = np.zeros((CELLS, CELLS), dtype=bool)
    for dj in range(5):
        for di in range(5):
            near |= marked[dj : dj + CELLS, di : di + CELLS]
    return near
