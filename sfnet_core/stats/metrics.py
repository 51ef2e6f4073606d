"""How good a prediction is, with the sampling error of every number.

All functions take ``truth`` and ``prediction`` of shape (N,) in the same unit (dex for 12 + log10(O/H)) and answer
in that unit, except :func:`r2` and :func:`outlier_fraction`, which have none. A galaxy without a truth or without a
prediction (NaN, infinite) takes no part; :func:`evaluate_arrays` counts those left out. Where nothing is left the
answer is NaN, never a warning.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sfnet_core.stats.bootstrap import percentile_interval, resampled
from sfnet_core.utils.errors import SFNetError

__all__ = [
    "METRICS",
    "bias",
    "evaluate_arrays",
    "nmad",
    "outlier_fraction",
    "r2",
    "rmse",
]

#: 1 / Φ⁻¹(3/4): scales the median absolute deviation of a normal distribution to its standard deviation.
NMAD_SCALE = 1.482602218505602

#: An outlier is further than this many normalised median absolute deviations from the median residual.
OUTLIER_NMAD = 3.0

Metric = Callable[[np.ndarray, np.ndarray], float]


def rmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Root of the mean squared residual, over all galaxies at once (not a mean of batches)."""
    residual = _residual(*_pairs(truth, prediction))
    return float(np.sqrt(np.mean(residual**2))) if residual.size else float("nan")


def bias(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean of prediction − truth."""
    residual = _residual(*_pairs(truth, prediction))
    return float(np.mean(residual)) if residual.size else float("nan")


def nmad(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Normalised median absolute deviation of the residuals about their median: 1.4826 × MAD."""
    residual = _residual(*_pairs(truth, prediction))
    return NMAD_SCALE * float(np.median(np.abs(residual - np.median(residual)))) if residual.size else float("nan")


def r2(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; NaN where the truth does not vary."""
    truth, prediction = _pairs(truth, prediction)
    if truth.size == 0:
        return float("nan")
    total = float(np.sum((truth - truth.mean()) ** 2))
    if total == 0.0:
        return float("nan")
    return 1.0 - float(np.sum((truth - prediction) ** 2)) / total


def outlier_fraction(truth: np.ndarray, prediction: np.ndarray, limit: float | None = None) -> float:
    """Share of galaxies whose residual is further than ``limit`` (default 3 NMAD) from the median residual."""
    residual = _residual(*_pairs(truth, prediction))
    if residual.size == 0:
        return float("nan")
    distance = np.abs(residual - np.median(residual))
    if limit is None:
        limit = OUTLIER_NMAD * NMAD_SCALE * float(np.median(distance))
    return float(np.mean(distance > limit))


#: What :func:`evaluate_arrays` reports, by name.
METRICS: dict[str, Metric] = {
    "rmse": rmse,
    "nmad": nmad,
    "r2": r2,
    "bias": bias,
    "outlier_fraction": outlier_fraction,
}


def evaluate_arrays(
    truth: np.ndarray,
    prediction: np.ndarray,
    *,
    intervals: int = 0,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> dict:
    """All of :data:`METRICS` for one set of galaxies.

    Returns ``{"n", "n_left_out", "truth_std", "rmse", "nmad", "r2", "bias", "outlier_fraction"}``; with
    ``intervals=n`` also ``"intervals": {name: [low, high]}`` from ``n`` bootstrap resamples (95 %). Values that
    cannot be computed are ``None``, so that the dictionary is valid JSON.
    """
    whole = np.asarray(truth)
    truth, prediction, groups = _finite(truth, prediction, groups)
    answer: dict = {"n": int(truth.size), "n_left_out": int(whole.size - truth.size)}
    answer["truth_std"] = _json(float(np.std(truth)) if truth.size else float("nan"))
    for name, fn in METRICS.items():
        answer[name] = _json(fn(truth, prediction))
    if intervals:
        ends = np.full((2, len(METRICS)), np.nan)
        if truth.size:
            order = np.argsort(_residual(truth, prediction), kind="stable")
            named = {"seed": seed, "groups": None if groups is None else groups[order]}
            drawn = resampled(_of_counts(truth[order], prediction[order]), truth.size, intervals, **named)
            ends = np.array(percentile_interval(drawn)[1:])
        answer["intervals"] = {name: [_json(end) for end in ends[:, i]] for i, name in enumerate(METRICS)}
    return answer


def _of_counts(truth: np.ndarray, prediction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A statistic for :func:`sfnet_core.stats.bootstrap.resampled`: (r, N) counts → (r, 5), all of :data:`METRICS`.

    The rows come in the order of their residual. No resample is written out: the sums behind RMSE, bias and R² are
    products with the counts, and a quantile is a place in their running total. The numbers are those of drawing the
    rows, to rounding (the tests compare), at about a tenth of the time.
    """
    residual, centred = _residual(truth, prediction), truth - truth.mean()
    terms = np.stack([residual, residual**2, centred, centred**2], axis=1)  # (N, 4)

    def statistic(counts: np.ndarray) -> np.ndarray:
        running = np.zeros((len(counts), residual.size + 1))  # how many were drawn of the rows before each
        np.cumsum(counts, axis=1, out=running[:, 1:])
        sums, drawn = counts @ terms, running[:, -1]
        total = sums[:, 3] - sums[:, 2] ** 2 / drawn
        flat = total <= 1e-12 * sums[:, 3]  # one truth only, up to rounding
        middle = _middle(drawn, lambda k: _value_at(residual, running, k))
        mad = _middle(drawn, lambda k: _distance_at(residual, running, middle, k))
        within = _drawn_within(residual, running, middle, OUTLIER_NMAD * NMAD_SCALE * mad)
        found = {
            "rmse": np.sqrt(sums[:, 1] / drawn),
            "nmad": NMAD_SCALE * mad,
            "r2": 1.0 - np.where(flat, np.nan, sums[:, 1] / np.where(flat, 1.0, total)),
            "bias": sums[:, 0] / drawn,
            "outlier_fraction": 1.0 - within / drawn,
        }
        return np.stack([found[name] for name in METRICS], axis=1)

    return statistic


def _middle(drawn: np.ndarray, at: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The median from a function that gives the k-th smallest: the mean of the two middle ones."""
    return 0.5 * (at((drawn - 1) // 2) + at(drawn // 2))


def _value_at(ordered: np.ndarray, running: np.ndarray, k: np.ndarray) -> np.ndarray:
    """The ``k``-th smallest (from 0) of each resample: (N,) ascending values, (R, N + 1) running counts → (R,)."""
    places = [np.searchsorted(one, place, side="right") - 1 for one, place in zip(running, k, strict=True)]
    return ordered[places]


def _drawn_within(ordered: np.ndarray, running: np.ndarray, centre: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """How many of each resample are no further than ``reach`` (R,) from ``centre`` (R,)."""
    resample = np.arange(len(running))
    below = np.searchsorted(ordered, centre - reach, side="left")
    return running[resample, np.searchsorted(ordered, centre + reach, side="right")] - running[resample, below]


def _distance_at(ordered: np.ndarray, running: np.ndarray, centre: np.ndarray, k: np.ndarray) -> np.ndarray:
    """The ``k``-th smallest distance from ``centre`` in each resample, by bisection down to the last bit or so."""
    low, high = np.zeros(len(k)), np.maximum(centre - ordered[0], ordered[-1] - centre)
    for _ in range(60):
        half = 0.5 * (low + high)
        enough = _drawn_within(ordered, running, centre, half) > k
        low, high = np.where(enough, low, half), np.where(enough, half, high)
    return high


def _finite(
    truth: np.ndarray, prediction: np.ndarray, groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The rows on which both arrays are finite, as float64, and the groups of those rows."""
    truth = np.asarray(truth, dtype=np.float64)
    prediction = np.asarray(prediction, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != prediction.shape:
        raise SFNetError(
            f"Truth has shape {truth.shape} and prediction {prediction.shape}; both must be (N,) with the same N."
        )
    keep = np.isfinite(truth) & np.isfinite(prediction)
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != truth.shape:
            raise SFNetError(
                f"There are {groups.shape} group labels for {truth.size} galaxies; one a galaxy is needed."
            )
        groups = groups[keep]
    return truth[keep], prediction[keep], groups


def _pairs(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _finite(truth, prediction, None)[:2]


def _residual(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return prediction - truth


def _json(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
