"""After a pass in bfloat16: the galaxies whose gate or flag it could have changed, again in float32.

How errors are judged is :mod:`sfnet_core.inference.tolerance`'s; here rows are chosen and computed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from sfnet_core.inference.encoding import Encoder, Part
from sfnet_core.inference.tolerance import measure_tolerance
from sfnet_core.utils.subsample import evenly

__all__ = ["recompute_doubtful"]

FLAG_SAFETY = 1.5  # the tolerance of ``unlike`` is this much wider than the largest error seen at an unchanged gate
_MEASURED = 1024  # most rows that errors are measured on, besides the doubtful ones


def recompute_doubtful(
    encoder: Encoder,
    whole: Part,
    piece: Callable[[str, np.ndarray, Callable[[], Part], Callable[[int], object]], Part],
    step: int,
    done: Callable[[int], object],
) -> dict[str, Any]:
    """Compute again in float32 the rows whose gate or flag bfloat16 could have changed.

    First evenly spaced ones, on which bfloat16's errors are measured; then the doubtful ones, which are measured too,
    so that an error larger than those before makes more rows doubtful, until none is left. Where they fill no whole
    batch (at least one is computed), the least certain of the others fill it. ``piece(name, rows, make, done)`` makes a
    piece or finds it finished. ``whole`` (as from :meth:`Encoder.encode` in bfloat16) is changed in place; says what
    was done.
    """
    slots, near, unlike = whole.pop("slots"), whole.pop("near"), whole.get("unlike")
    unlike = None if unlike is None else unlike.copy()  # as bfloat16 has it, all the way
    exact, total, k = np.zeros_like(near), len(near), encoder.k
    again, doubtful = np.zeros(total, dtype=bool), np.zeros(total, dtype=bool)
    batches = max(1, -(-min(total // 64, _MEASURED) // encoder.micro))
    rows = evenly(total, batches * encoder.micro)
    limits: list[float] = []
    flag = 0.0
    while len(rows):
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            make = partial(encoder.encode, some, done=done, at=slots[some])
            part = piece(f"exact-{len(limits)}", some, make, done)
            exact[some] = part.pop("exact")
            for name, values in part.items():
                whole[name][some] = values
        again[rows] = True
        tolerance = measure_tolerance(slots[again], near[again], exact[again], k, encoder.n_features, doubtful[again])
        slack = tolerance.slack(slots, near, k)
        if unlike is not None:
            errors = _apart(unlike[again], whole["unlike"][again])
            errors = errors[_kept_alike(slots[again, :k], whole["indices"][again, :k])]
            flag = max(FLAG_SAFETY * errors[np.isfinite(errors)].max(initial=0.0), np.finfo(np.float32).eps)
            slack = np.fmin(slack, _apart(unlike, 1.0) / flag)
        slack[again] = np.inf
        wanted = max(int((slack <= 1).sum()), not limits)
        rows = np.argsort(slack, kind="stable")[: -(-wanted // encoder.micro) * encoder.micro]
        rows = np.sort(rows[~again[rows]])
        doubtful[rows] = True
        limits.append(tolerance.limit)
    return {
        "computed_again": int(again.sum()),
        "measured": int((again & ~doubtful).sum()),
        "limit": [round(limits[0], 3), round(limits[-1], 3)],
        **({} if unlike is None else {"flag_tolerance": round(float(flag), 5)}),
    }


def _kept_alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) where two gates (n, K) keep the same features, in whatever order.

    Where they do not, how unlike a galaxy is can jump, since it counts the kept features; but such galaxies are
    computed again for their gate.
    """
    return (np.sort(one, axis=1) == np.sort(other, axis=1)).all(axis=1)


def _apart(one: np.ndarray, other: np.ndarray | float) -> np.ndarray:
    """|ln(one / other)|, infinite where just one of them is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(np.log(np.asarray(one, dtype=np.float64)) - np.log(np.asarray(other, dtype=np.float64)))
