"""Predictions of several methods on the same galaxies → the table, paired differences and their intervals. numpy only.

Shape letters: n validation galaxies, T targets, S seeds, C columns (a method at one k and seed).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sfnet_core.analysis.tables import FORMULA
from sfnet_core.stats.bootstrap import RESAMPLES, percentile_interval, resampled
from sfnet_core.stats.metrics import evaluate_arrays

__all__ = ["LABELS", "Key", "csv_text", "digits", "name_of", "report", "summarise"]

#: The methods, in the table's order.
LABELS = {
    "sfnet": "SFNet",
    "pca": "CNN + PCA",
    "dense": "dense CNN",
    "elastic-net": "elastic net on dense features",
    "process": "Gaussian process on photometry",
    "forest": "random forest on photometry",
    "ridge": "ridge on photometry",
    "mean": "mean of the training galaxies",
}
_METRICS = ("rmse", "nmad", "r2", "bias", "outlier_fraction")
COLUMNS = (
    *("method", "k", "target", "unit", "seeds", "n_validation"),
    *("rmse_mean", "rmse_se", "rmse_low", "rmse_high", "nmad", "r2"),
)


class Key(NamedTuple):
    """Whose predictions: a method of :data:`LABELS`, its k and its seed where it has them."""

    method: str
    k: int | None = None
    seed: int | None = None


def name_of(key: Key) -> str:
    """``sfnet_k4_seed0``, ``mean``: how files and columns are named."""
    return "_".join(
        [
            key.method,
            *([f"k{key.k}"] if key.k is not None else []),
            *([f"seed{key.seed}"] if key.seed is not None else []),
        ]
    )


def summarise(
    truth: np.ndarray,
    found: dict[Key, np.ndarray],
    targets: list[str],
    units: list[str],
    groups: np.ndarray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The table of a comparison, and the paired differences.

    Parameters
    ----------
    truth
        (n, T) true values.
    found
        Each method's predictions, (n, T).
    targets, units
        T texts each.
    groups
        (n,) objects; resamples draw whole ones where they are given.
    seed, resamples
        Of the bootstrap.

    Returns
    -------
    rows
        One a target, method and k: ``seeds`` (0 where none is involved), ``rmse_mean`` over them, ``rmse_se`` its
        standard error (``None`` from one training, or where no seed is involved), ``rmse_low``, ``rmse_high`` the 95 %
        bootstrap interval of that mean over the galaxies, ``nmad`` and ``r2`` (means over the seeds), and ``per_seed``
        with all of them for each training.
    paired
        One a target and k: RMSE of SFNet minus that of CNN + PCA, ``low`` and ``high`` from the same resamples for
        both.
    """
    rows, paired = [], []
    for t, (target, unit) in enumerate(zip(targets, units, strict=True)):
        squares = np.stack([(values[:, t] - truth[:, t]) ** 2 for values in found.values()], axis=1)  # (n, C)
        drawn = resampled(_rmse_of(squares), len(truth), resamples, seed, groups)
        drawn = dict(zip(found, drawn.T, strict=True))  # (1 + R,) each
        of: dict[tuple[str, int | None], dict[str, Any]] = {}
        spread: dict[tuple[str, int | None], np.ndarray] = {}
        for method in LABELS:
            for k in sorted({key.k for key in found if key.method == method}, key=lambda k: k or 0):
                keys = [key for key in found if (key.method, key.k) == (method, k)]
                each = [evaluate_arrays(truth[:, t], found[key][:, t]) for key in keys]
                each = [{name: one[name] for name in _METRICS} for one in each]
                rmse = np.array([one["rmse"] for one in each])
                spread[method, k] = np.mean([drawn[key] for key in keys], axis=0)
                _, low, high = percentile_interval(spread[method, k])
                of[method, k] = {
                    "method": method, "k": k, "target": target, "unit": unit,
                    "seeds": sum(key.seed is not None for key in keys),
                    "n_validation": len(truth), "rmse_mean": float(rmse.mean()), "rmse_se": _standard_error(rmse),
                    "rmse_low": low, "rmse_high": high, "nmad": _mean(each, "nmad"), "r2": _mean(each, "r2"),
                    "per_seed": [{"seed": key.seed, **one} for key, one in zip(keys, each, strict=True)],
                }  # fmt: skip
        rows += of.values()
        for method, k in of:
            if method == "sfnet" and ("pca", k) in of:
                difference, low, high = percentile_interval(spread["sfnet", k] - spread["pca", k])
                paired.append(
                    {"k": k, "target": target, "unit": unit, "difference": difference, "low": low, "high": high}
                )
    return rows, paired


def _rmse_of(squares: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A statistic for the bootstrap: (r, n) counts → (r, C) RMSE of each column of squared residuals (n, C)."""
    return lambda counts: np.sqrt(counts @ squares / counts.sum(axis=1, keepdims=True))


def _standard_error(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _mean(each: list[dict[str, Any]], name: str) -> float | None:
    values = [one[name] for one in each]
    return None if None in values else float(np.mean(values))


def csv_text(rows: list[dict[str, Any]]) -> str:
    """The table as CSV: one row a target, method and k, the unit in a column, empty where there is no value."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _plain(row[name]) for name in COLUMNS})
    return out.getvalue()


def _plain(value: object) -> object:
    """What a spreadsheet shows as it is: a text that it would take for a formula gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def digits(rows: list[dict[str, Any]]) -> int:
    """Decimals that show the middle one of the rows' RMSEs to three figures."""
    middle = float(np.median([row["rmse_mean"] for row in rows])) or 1.0
    return int(np.clip(2 - np.floor(np.log10(middle)), 0, 9))


def report(result: dict[str, Any]) -> str:
    """The table for a terminal."""
    about = result["about"]
    kind = "simulated galaxies" if about["simulated"] else "observed galaxies"
    lines = [f"{about['n_validation']:,} validation {kind} ({about['split']}); {about['n_train']:,} for training"]
    for target in about["targets"]:
        rows = [row for row in result["rows"] if row["target"] == target]
        unit, shown = rows[0]["unit"], digits(rows)
        lines += ["", f"{target}{f' [{unit}]' if unit else ''}"]
        lines.append(_line("method", "k", "seeds", "rmse", "s.e.", "95 % interval", "nmad", "r2"))
        for row in rows:
            k = "all" if row["method"] == "dense" else "" if row["k"] is None else str(row["k"])
            numbers = [_or_dash(row[name], f".{shown}f") for name in ("rmse_mean", "rmse_se")]
            span = f"{row['rmse_low']:.{shown}f}–{row['rmse_high']:.{shown}f}"
            more = [_or_dash(row["nmad"], f".{shown}f"), _or_dash(row["r2"], ".3f")]
            lines.append(_line(LABELS[row["method"]], k, str(row["seeds"] or "–"), *numbers, span, *more))
        for one in result["paired"]:
            if one["target"] == target:
                ends = f"{one['low']:+.{shown}f} to {one['high']:+.{shown}f}"
                lines.append(f"    SFNet − (CNN + PCA) at k = {one['k']}: {one['difference']:+.{shown}f} ({ends})")
    return "\n".join([*lines, *(f"Note: {note}" for note in about["notes"])])


def _line(method: str, *cells: str) -> str:
    widths = (5, 7, 9, 9, 16, 9, 8)
    return f"{method:<30}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _or_dash(value: float | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)
