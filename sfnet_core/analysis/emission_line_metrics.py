"""How good predicted emission lines are: RMSE of lines and ratios in dex, BPT classes beside the measured ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.astro.bpt import AGN, BPT_NAMES, COMPOSITE, STAR_FORMING, bpt_class
from sfnet_core.astro.emission_lines import LABELS, LINES, RATIOS
from sfnet_core.stats.metrics import evaluate_arrays
from sfnet_core.stats.proportions import wilson

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["CLASSES", "confusion", "report_lines", "score_lines"]

#: Classes of the [NII] diagram, in the order of the confusion matrix.
CLASSES = (STAR_FORMING, COMPOSITE, AGN)
_RATIO_LABELS = {"n2_ha": "log [NII]/Hα", "o3_hb": "log [OIII]/Hβ"}


def score_lines(codes: SparseCodes, rows: np.ndarray, *, intervals: int = 1000, seed: int = 0) -> dict[str, Any]:
    """The four-line numbers of ``rows`` (N,) bool, valid JSON; of the galaxies whose four lines are all measured.

    ``n`` of them, and ``n_left_out``; ``all``: the RMSE over galaxies and lines together, as in Table 2 of Wu (2025);
    ``lines`` and ``ratios``: each one's metrics in dex (:func:`sfnet_core.stats.metrics.evaluate_arrays`), with 95 %
    bootstrap intervals over galaxies from ``intervals`` resamples; ``bpt``: ``classes``, ``confusion`` (row: measured
    class, column: predicted class), ``right`` with its 95 % Wilson interval [``low``, ``high``], ``recall`` by measured
    class (``None`` where no galaxy is of it), and ``most_frequent``: the share that always answering the most frequent
    measured class would have right. Classes are those of Kauffmann et al. (2003) and Kewley et al. (2001).
    """
    truth = np.stack([codes.truth(line)[rows] for line in LINES], axis=1)
    found = np.stack([codes.prediction(line)[rows] for line in LINES], axis=1)
    known = np.isfinite(truth).all(axis=1)
    left_out = int((~known).sum())
    truth, found = truth[known], found[known]
    names = list(LINES)

    def metrics(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
        return evaluate_arrays(a, b, intervals=intervals, seed=seed)

    ratios = {}
    for name, (top, bottom) in RATIOS.items():
        i, j = names.index(top), names.index(bottom)
        ratios[name] = truth[:, i] - truth[:, j], found[:, i] - found[:, j]
    together = metrics(np.zeros(len(truth)), np.sqrt(((found - truth) ** 2).mean(axis=1)))
    ends = {"interval": together["intervals"]["rmse"]} if intervals else {}
    return {
        "n": len(truth),
        "n_left_out": left_out,
        "all": {"rmse": together["rmse"], **ends},
        "lines": {name: metrics(truth[:, i], found[:, i]) for i, name in enumerate(names)},
        "ratios": {name: metrics(*pair) for name, pair in ratios.items()},
        "bpt": _classes(*(bpt_class(ratios["n2_ha"][i], ratios["o3_hb"][i]) for i in (0, 1))),
    }


def confusion(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(3, 3) counts: row the measured class, column the predicted one, in the order of :data:`CLASSES`."""
    return np.array([[int(((measured == a) & (predicted == b)).sum()) for b in CLASSES] for a in CLASSES])


def _classes(measured: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    table = confusion(measured, predicted)
    n, right, of_class = int(table.sum()), int(np.trace(table)), table.sum(axis=1)
    low, high = wilson(right, n)
    return {
        "classes": [BPT_NAMES[name] for name in CLASSES],
        "confusion": table.tolist(),
        "right": right / n if n else None,
        "low": float(low) if n else None,
        "high": float(high) if n else None,
        "recall": [int(table[i, i]) / int(of_class[i]) if of_class[i] else None for i in range(len(CLASSES))],
        "most_frequent": int(of_class.max()) / n if n else None,
    }


def report_lines(splits: dict[str, Any]) -> list[str]:
    """The dictionaries of :func:`score_lines` by split, as lines for people."""
    out: list[str] = []
    for split, found in splits.items():
        n, bpt = found["n"], found["bpt"]
        out += ["", f"The four lines, {split}: {n:,} galaxies with all four measured ({found['n_left_out']:,} without)"]
        if not n:
            continue
        out.append(f"    {'RMSE [dex]':<22}{found['all']['rmse']:.4f}{_span(found['all'].get('interval'))}")
        for names, group in ((LABELS, found["lines"]), (_RATIO_LABELS, found["ratios"])):
            for name, m in group.items():
                ends = (m.get("intervals") or {}).get("rmse")
                out.append(f"    {names[name]:<22}{m['rmse']:.4f}{_span(ends)}")
        classes = bpt["classes"]
        out.append(
            f"    BPT class right for {bpt['right']:.1%} ({bpt['low']:.1%}–{bpt['high']:.1%}); "
            f"always the most frequent class: {bpt['most_frequent']:.1%}"
        )
        out.append("    " + f"{'measured ↓ predicted →':<24}" + "".join(f"{name:>14}" for name in (*classes, "n")))
        for name, row in zip(classes, bpt["confusion"], strict=True):
            out.append("    " + f"{name:<24}" + "".join(f"{count:>14,}" for count in (*row, sum(row))))
    return out


def _span(ends: list[float | None] | None) -> str:
    return "" if not ends or None in ends else f"  ({ends[0]:.4f}–{ends[1]:.4f})"
