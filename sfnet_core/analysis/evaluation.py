"""How good the predictions are, by split, with intervals, and how many features it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.emission_line_metrics import report_lines, score_lines
from sfnet_core.analysis.intervals import coverage, validation_radii
from sfnet_core.astro.emission_lines import has_lines
from sfnet_core.stats.metrics import evaluate_arrays
from sfnet_core.stats.proportions import wilson
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["active_features", "evaluate", "report"]

NAMES = {"": "no split", "train": "train", "validation": "validation", "test": "test"}
COMMON = {"any": 0.0, "1_percent": 0.01, "10_percent": 0.1}


def evaluate(codes: SparseCodes, *, intervals: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Metrics of every target on every split, as a dictionary that is valid JSON.

    ``{"galaxies", "k", "features", "simulated", "set_aside", "notes", "targets": {NAME: {"unit", "splits": {…}}}}``.
    A split's metrics are those of :func:`sfnet_core.stats.metrics.evaluate_arrays` (galaxies without a known target are
    left out and counted), with 95 % bootstrap intervals from ``intervals`` resamples (0: none), for the plain
    prediction and, where the codes have it, under ``"d4"`` for the mean over 8 orientations; and ``"active_features"``.
    A split without a galaxy is absent; galaxies of no split stand under ``"no split"``. ``"notes"`` are the
    provenance's. The validation split also has ``"prediction_interval"``, split-conformal
    (:mod:`sfnet_core.analysis.intervals`): its level, its radii in the target's unit between ``limits`` of the
    prediction, how often it holds on galaxies that did not set it, in all and in quarters by prediction; ``None`` where
    there are too few galaxies. Where the codes say how unlike the training galaxies each galaxy is
    (:mod:`sfnet_core.codes.novelty`), a split has ``"unlike"``: ``n`` galaxies, the ``share`` beyond the limit with
    Wilson's 95 % interval ``low``, ``high``, and the metrics of these (``"flagged"``) and of the others
    (``"not_flagged"``). Where the paper's four lines are all predicted, ``"lines"`` has by split what
    :func:`sfnet_core.analysis.emission_line_metrics.score_lines` says.
    """
    if not len(codes):
        raise SFNetError("These codes hold no galaxies; there is nothing to evaluate.")
    targets: dict[str, Any] = {}
    splits = {name: codes.split == split for split, name in reversed(NAMES.items()) if (codes.split == split).any()}
    active = {name: active_features(codes, rows) for name, rows in splits.items()}
    for target in codes.targets:
        truth, plain, mean = codes.truth(target), codes.prediction(target), codes.prediction_d4(target)
        found = {}
        for name, rows in splits.items():
            found[name] = evaluate_arrays(truth[rows], plain[rows], intervals=intervals, seed=seed)
            if mean is not None:
                found[name]["d4"] = evaluate_arrays(truth[rows], mean[rows], intervals=intervals, seed=seed)
            found[name]["active_features"] = active[name]
            if codes.unlike is not None:
                found[name]["unlike"] = _unlike(codes.unlike[rows], truth[rows], plain[rows], intervals, seed)
            if name == "validation":
                found[name]["prediction_interval"] = _prediction_interval(codes, target, seed)
        targets[target] = {"unit": codes.units.get(target, ""), "splits": found}
    lines = {}
    if has_lines(codes.targets):
        scores = {name: score_lines(codes, rows, intervals=intervals, seed=seed) for name, rows in splits.items()}
        lines = {"lines": scores}
    return {
        "galaxies": len(codes),
        "k": codes.k,
        "features": codes.features,
        "simulated": codes.simulated,
        "set_aside": len(codes.set_aside),
        "targets": targets,
        **lines,
        "notes": [str(note) for note in codes.provenance.get("notes") or []],
    }


def _unlike(unlike: np.ndarray, truth: np.ndarray, plain: np.ndarray, intervals: int, seed: int) -> dict[str, Any]:
    beyond = unlike > 1
    low, high = wilson(int(beyond.sum()), len(beyond))
    share = {"n": len(beyond), "share": float(beyond.mean()), "low": float(low), "high": float(high)}
    groups = {"flagged": beyond, "not_flagged": ~beyond}
    return share | {
        name: evaluate_arrays(truth[rows], plain[rows], intervals=intervals, seed=seed) for name, rows in groups.items()
    }


def _prediction_interval(codes: SparseCodes, target: str, seed: int) -> dict[str, Any] | None:
    try:
        measured, radii = coverage(codes, target=target, seed=seed), validation_radii(codes, target=target)
    except SFNetError:
        return None
    names = ("n", "inside", "low", "high")
    columns = [getattr(measured, name).tolist() for name in names]
    groups = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    groups = [{name: None if value != value else value for name, value in group.items()} for group in groups]
    about = {"level": measured.level, "radii": radii.radius.tolist(), "limits": radii.edges.tolist()}
    about |= {"mean_radius": measured.radius, "coverage": groups[0]}
    return about | {"edges": measured.edges.tolist(), "coverage_by_prediction": groups[1:]}


def active_features(codes: SparseCodes, rows: np.ndarray | slice = slice(None)) -> dict[str, int]:
    """How many features are kept on any galaxy of ``rows``, on at least 1 % and on at least 10 % of them."""
    kept = codes.indices[rows, : codes.k]
    fires = np.bincount(kept[kept >= 0], minlength=codes.features)
    return {name: int((fires >= max(share * len(kept), 1)).sum()) for name, share in COMMON.items()}


def report(result: dict[str, Any]) -> str:
    """The dictionary of :func:`evaluate` as a table for people."""
    kind = "simulated galaxies" if result["simulated"] else "observed galaxies"
    lines = [f"{result['galaxies']:,} {kind}, k = {result['k']} of {result['features']} features"]
    for target, about in result["targets"].items():
        unit = f" [{about['unit']}]" if about["unit"] else ""
        lines += ["", f"{target}{unit}", _row("split", "n", "rmse", "95 % interval", "nmad", "r2", "bias", "outliers")]
        for split, found in about["splits"].items():
            for label, m in ((split, found), ("  mean of 8 views", found.get("d4"))):
                if m is None:
                    continue
                if m["rmse"] is None:
                    lines.append(_row(label, f"{m['n']:,}", *["–"] * 6))
                    continue
                ends = (m.get("intervals") or {}).get("rmse", [None, None])
                span = "–" if None in ends else f"{ends[0]:.4f}–{ends[1]:.4f}"
                numbers = [f"{m['nmad']:.4f}", _or_dash(m["r2"], ".3f"), f"{m['bias']:+.4f}"]
                lines.append(
                    _row(
                        label, f"{m['n']:,}", f"{m['rmse']:.4f}", span, *numbers, _or_dash(m["outlier_fraction"], ".1%")
                    )
                )
            if sure := found.get("prediction_interval"):
                whole, quarters = sure["coverage"], sure["coverage_by_prediction"]
                each = ", ".join(f"{quarter['inside']:.0%}" for quarter in quarters if quarter["inside"] is not None)
                lines.append(
                    f"    {sure['level']:.0%} interval: prediction ± {_radii(sure)}; it holds for "
                    f"{whole['inside']:.1%} ({whole['low']:.1%}–{whole['high']:.1%}), in quarters by prediction {each}"
                )
            if found.get("unlike"):
                lines.append(_unlike_words(found["unlike"]))
            unknown = f"; {found['n_left_out']:,} without a known {target}" if found["n_left_out"] else ""
            a = found["active_features"]
            lines.append(
                f"    {a['any']} features fire, {a['1_percent']} on ≥ 1 % and {a['10_percent']} on ≥ 10 % of galaxies"
                f"{unknown}"
            )
    lines += report_lines(result.get("lines", {}))
    lines += [f"Note: {note}" for note in result["notes"]]
    return "\n".join(lines)


def _unlike_words(found: dict[str, Any]) -> str:
    """Share beyond the limit, and RMSE on both sides of it; of fewer than 5 galaxies their number alone."""

    def rmse(m: dict[str, Any]) -> str:
        if m["rmse"] is None or m["n"] < 5:
            return f"– (n {m['n']:,})"
        ends = (m.get("intervals") or {}).get("rmse", [None, None])
        span = "" if None in ends else f", {ends[0]:.4f}–{ends[1]:.4f}"
        return f"{m['rmse']:.4f} (n {m['n']:,}{span})"

    return (
        f"    {found['share']:.1%} ({found['low']:.1%}–{found['high']:.1%}) are novel: RMSE "
        f"{rmse(found['flagged'])}, of the others {rmse(found['not_flagged'])}"
    )


def _radii(sure: dict[str, Any]) -> str:
    words = [f"{radius:.3f} below {limit:.2f}" for radius, limit in zip(sure["radii"], sure["limits"], strict=False)]
    last = sure["radii"][-1]
    return ", ".join([*words, f"{last:.3f}" + (f" from {sure['limits'][-1]:.2f}" if words else "")])


def _row(split: str, *cells: str) -> str:
    widths = (9, 8, 15, 8, 7, 9, 9)
    return f"{split:<18}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _or_dash(value: float | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)
