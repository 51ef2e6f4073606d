"""A comparison as a figure, and as one HTML file that needs nothing else: table, figure, provenance."""

from __future__ import annotations

from typing import Any

import numpy as np

from sfnet_core.figures.html_frame import Part, Table, page
from sfnet_core.figures.plot import ACCENT, SOFT, Bars, Curve, Drawing
from sfnet_core.reports.compare.table import LABELS, digits

__all__ = ["caption", "drawings", "page_html"]

COLOURS = {"sfnet": ACCENT, "pca": "#b3541e"}
DASHES = {"dense": "", "elastic-net": "7 3", "process": "5 2", "forest": "2 3", "ridge": "7 3 2 3", "mean": "1 4"}
FILES = {
    **{"compare.csv": "the table", "compare.json": "every number", "compare.svg": "the figure"},
    **{"compare.pdf": "the same for a paper", "predictions.parquet": "each galaxy's predictions"},
}


def drawings(result: dict[str, Any]) -> list[Drawing]:
    """RMSE against k, one figure a target: SFNet and CNN + PCA with their standard errors, lines for the rest."""
    about = result["about"]
    return [_drawing([row for row in result["rows"] if row["target"] == target], about) for target in about["targets"]]


def caption(about: dict[str, Any]) -> str:
    """What the figure is of, a fact a line."""
    kind = "simulated galaxies" if about["simulated"] else "observed galaxies"
    seeds = _seeds(about)
    lines = [
        f"RMSE against k: {', '.join(about['targets'])}; {about['dataset']}",
        f"{kind}, {about['n_train']:,} for training, {about['n_validation']:,} for validation ({about['split']}).",
        f"Points: mean of {seeds}"
        + ("; bars: ± the standard error over the seeds." if len(about["seeds"]) > 1 else "."),
        about["recipe_in_words"][0].upper() + about["recipe_in_words"][1:] + ".",
    ]
    return "\n".join(" ".join(line.split()) for line in lines)


def _seeds(about: dict[str, Any]) -> str:
    named = ", ".join(map(str, about["seeds"]))
    return f"seeds {named}" if len(about["seeds"]) > 1 else f"one training (seed {named})"


def _drawing(rows: list[dict[str, Any]], about: dict[str, Any]) -> Drawing:
    """One target's curves and lines."""
    target, unit, shown = rows[0]["target"], rows[0]["unit"], digits(rows)
    spread = [row["rmse_mean"] + sign * (row["rmse_se"] or 0) for row in rows for sign in (-1, 1)]
    margin = 0.08 * (max(spread) - min(spread)) or 0.1 * max(spread) or 1.0
    ks = sorted(about["k"])
    pad = 0.06 * (ks[-1] - ks[0]) or 0.5
    span = (ks[0] - pad, ks[-1] + pad)
    layers: list[Any] = []
    for method in LABELS:
        mine = [row for row in rows if row["method"] == method]
        if mine and method in COLOURS:
            k, mean, error = (
                np.array([row[name] for row in mine], dtype=float) for name in ("k", "rmse_mean", "rmse_se")
            )
            layers.append(Bars(k, mean - error, mean + error, COLOURS[method], 1.4, cap=4))
            line = {"colour": COLOURS[method], "width": 1.6, "opacity": 0.9, "marker": 8}
            layers.append(Curve(k, mean, name=LABELS[method], **line))
        elif mine:
            words = f"{LABELS[method]} {_with_error(mine[0], shown)}"
            level = np.full(2, mine[0]["rmse_mean"])
            layers.append(Curve(np.array(span), level, DASHES[method], 1.6, SOFT, 1.0, words))
    title = f"RMSE of {target} against k\nn = {about['n_validation']:,} validation galaxies; {about['split']}"
    labels = "k: features kept, or principal components", f"RMSE [{unit}]" if unit else "RMSE"
    ranges = (span, (max(0.0, min(spread) - margin), max(spread) + margin))
    return Drawing(f"{title}\n{_seeds(about)}", *labels, ranges, layers, ks, legend=True)


def _with_error(row: dict[str, Any], shown: int) -> str:
    error = "" if row["rmse_se"] is None else f" ± {row['rmse_se']:.{shown}f}"
    return f"{row['rmse_mean']:.{shown}f}{error}"


_HOW = (
    "± is the standard error over the seeds: how much another training would differ. The 95 % interval is a bootstrap "
    "over the validation galaxies: how much another validation set would. A difference whose interval holds 0 may be "
    "chance. Nothing was chosen by looking at the validation galaxies."
)


def page_html(result: dict[str, Any]) -> str:
    """The whole page; every text of the catalogue is escaped, and no request leaves it."""
    about = result["about"]
    kind = "simulated galaxies" if about["simulated"] else "observed galaxies"
    n = f"{about['n_train']:,} training and {about['n_validation']:,} validation galaxies ({about['split']})"
    lead = f"{kind[0].upper()}{kind[1:]}: {n}; {_seeds(about)}."
    parts = [_part(i, target, result) for i, target in enumerate(about["targets"])]
    figure = Part("figure", "RMSE against k", drawings=drawings(result))
    title = f"SFNet compared on {about['dataset']}"
    return page(title, _facts(about), [lead, _HOW, *about["notes"]], [*parts, figure], FILES)


def _part(number: int, target: str, result: dict[str, Any]) -> Part:
    """One target's tables."""
    rows = [row for row in result["rows"] if row["target"] == target]
    paired = {one["k"]: one for one in result["paired"] if one["target"] == target}
    of, unit, shown = {(row["method"], row["k"]): row for row in rows}, rows[0]["unit"], digits(rows)
    inside = f" [{unit}]" if unit else ""
    part = Part(f"target-{number}", target + inside)
    curves = [method for method in COLOURS if any(row["method"] == method for row in rows)]
    if curves:
        head = ["k", *(LABELS[method] for method in curves), *(["difference (95 %)"] if paired else [])]
        body = []
        for k in sorted({row["k"] for row in rows if row["method"] in curves}):
            cells = [_with_error(of[m, k], shown) if (m, k) in of else "–" for m in curves]
            if paired:
                one = paired.get(k)
                cells.append("–" if one is None else _signed(one, shown))
            body.append([str(k), *cells])
        words = f"RMSE{inside} by k, mean ± standard error over the seeds"
        part.tables.append(Table("", head, body, caption=words))
    head = ["method", "k", "seeds", "RMSE", "95 % over galaxies", "NMAD", "R²"]
    body = [
        [
            LABELS[row["method"]],
            "all" if row["method"] == "dense" else str(row["k"] or "–"),
            str(row["seeds"] or "–"),
            _with_error(row, shown),
            f"{row['rmse_low']:.{shown}f} to {row['rmse_high']:.{shown}f}",
            "–" if row["nmad"] is None else f"{row['nmad']:.{shown}f}",
            "–" if row["r2"] is None else f"{row['r2']:.3f}".replace("-", "\N{MINUS SIGN}"),
        ]
        for row in rows
    ]
    words = f"Every method; RMSE and NMAD{inside}, n = {rows[0]['n_validation']:,}"
    part.tables.append(Table("", head, body, caption=words))
    return part


def _signed(one: dict[str, Any], shown: int) -> str:
    value, low, high = (
        f"{one[name]:+.{shown}f}".replace("-", "\N{MINUS SIGN}") for name in ("difference", "low", "high")
    )
    return f"{value} ({low} to {high})"


def _facts(about: dict[str, Any]) -> list[list[str]]:
    left = f", {about['n_left_out']:,} left out: {about['left_out']}" if about["n_left_out"] else ""
    facts = {
        "Dataset": f"{about['dataset']}, {about['galaxies']:,} galaxies{left}",
        "Fingerprint": about["dataset_fingerprint"],
        "Split": f"{about['split']}: {about['n_train']:,} for training, {about['n_validation']:,} for validation",
        "Networks": f"ResNet18 of width {about['width']}, {about['features']} features, {about['weights']}; "
        f"the central {about['crop']} px; the dense CNN is the same with a gate that keeps every feature",
        "Recipe": about["recipe_in_words"],
        "Seeds": ", ".join(map(str, about["seeds"])),
        "Computed on": about["device"],
        "Versions": ", ".join(f"{name} {version}" for name, version in about["versions"].items()),
        "Date": about["date"],
        "To repeat it": about["command"],
    }
    return [[name, words] for name, words in facts.items()]
