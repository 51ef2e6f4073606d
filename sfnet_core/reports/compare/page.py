"""A comparison as a figure (SVG) and as one HTML file that needs nothing else: table, figure, provenance."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from sfnet_core.figures.svg import FRAME, GRID, INK, SOFT, Sheet
from sfnet_core.figures.svg_text import clean, ticks
from sfnet_core.reports.compare.table import LABELS, digits

__all__ = ["page_html", "page_svg"]

WIDE, HIGH = 980, 430  # px of a panel, one a target
LEFT, RIGHT, TOP, BOTTOM = 70, 600, 62, HIGH - 52  # its axes; the lines' names stand on the right of them
STEP = 17  # px between names
_STYLE = Path(__file__).with_name("compare.css")
COLOURS = {"sfnet": "#0b6e8f", "pca": "#b3541e"}
DASHES = {"dense": "", "elastic-net": "7 3", "process": "5 2", "forest": "2 3", "ridge": "7 3 2 3", "mean": "1 4"}


def page_svg(result: dict[str, Any]) -> str:
    """RMSE against k as the text of an SVG file: SFNet and CNN + PCA with their standard errors, lines for the rest."""
    about = result["about"]
    what = f"RMSE against k: {', '.join(about['targets'])}; {about['dataset']}"
    sheet = Sheet(what, _caption(about), WIDE, HIGH * len(about["targets"]))
    for t, target in enumerate(about["targets"]):
        _panel(sheet, HIGH * t, [row for row in result["rows"] if row["target"] == target], about)
    return sheet.svg()


def _caption(about: dict[str, Any]) -> str:
    kind = "simulated galaxies" if about["simulated"] else "observed galaxies"
    seeds = _seeds(about)
    lines = [
        f"{about['dataset']}: {kind}, {about['n_train']:,} for training, {about['n_validation']:,} for validation "
        f"({about['split']}).",
        f"Points: mean of {seeds}"
        + ("; bars: ± the standard error over the seeds." if len(about["seeds"]) > 1 else "."),
        about["recipe_in_words"][0].upper() + about["recipe_in_words"][1:] + ".",
    ]
    return "\n".join(lines)


def _seeds(about: dict[str, Any]) -> str:
    named = ", ".join(map(str, about["seeds"]))
    return f"seeds {named}" if len(about["seeds"]) > 1 else f"one training (seed {named})"


def _panel(sheet: Sheet, top: int, rows: list[dict[str, Any]], about: dict[str, Any]) -> None:
    """One target's axes, curves and lines, ``top`` px down the sheet."""
    target, unit, shown = rows[0]["target"], rows[0]["unit"], digits(rows)
    spread = [row["rmse_mean"] + sign * (row["rmse_se"] or 0) for row in rows for sign in (-1, 1)]
    margin = 0.08 * (max(spread) - min(spread)) or 0.1 * max(spread) or 1.0
    y0, y1 = max(0.0, min(spread) - margin), max(spread) + margin
    ks = sorted(about["k"])
    pad = 0.06 * (ks[-1] - ks[0]) or 0.5
    x0, x1 = ks[0] - pad, ks[-1] + pad

    def across(k: float) -> float:
        return LEFT + (k - x0) / (x1 - x0) * (RIGHT - LEFT)

    def up(value: float) -> float:
        return top + BOTTOM - (value - y0) / (y1 - y0) * (BOTTOM - TOP)

    sheet.text(LEFT, top + 22, f"RMSE of {target} against k", font_size=14, font_weight=600, fill=INK)
    words = f"n = {about['n_validation']:,} validation galaxies; {about['split']}; {_seeds(about)}"
    sheet.text(LEFT, top + 42, words, font_size=12, fill=SOFT)
    marks = sheet.add("g", fill=INK, font_size=11)
    for k in ks:
        sheet.add("path", marks, d=f"M{across(k):.1f} {top + TOP}V{top + BOTTOM}", stroke=GRID)
        sheet.text(across(k), top + BOTTOM + 16, str(k), marks, text_anchor="middle")
    for value, label in ticks(y0, y1, 6):
        sheet.add("path", marks, d=f"M{LEFT} {up(value):.1f}H{RIGHT}", stroke=GRID)
        sheet.text(LEFT - 7, up(value) + 4, label, marks, text_anchor="end")
    axis = {"fill": INK, "font_size": 13, "text_anchor": "middle"}
    sheet.text((LEFT + RIGHT) / 2, top + HIGH - 14, "k: features kept, or principal components", **axis)
    place = f"translate(18 {top + (TOP + BOTTOM) / 2:.1f}) rotate(-90)"
    sheet.text(0, 0, f"RMSE [{unit}]" if unit else "RMSE", transform=place, **axis)
    names = []
    for method in LABELS:
        mine = [row for row in rows if row["method"] == method]
        if not mine:
            continue
        group = sheet.add("g")
        sheet.add("title", group).text = LABELS[method]
        if method in COLOURS:
            colour = COLOURS[method]
            _curve(sheet, group, [(across(row["k"]), row) for row in mine], up, colour)
            names.append((up(mine[-1]["rmse_mean"]), LABELS[method], colour, across(mine[-1]["k"]) + 7))
            continue
        row, at = mine[0], up(mine[0]["rmse_mean"])
        style = {"stroke": SOFT, "stroke_width": 1.6, "stroke_dasharray": DASHES[method] or None}
        sheet.add("path", group, d=f"M{LEFT} {at:.1f}H{RIGHT}", fill="none", **style)
        names.append((at, f"{LABELS[method]} {_with_error(row, shown)}", INK, RIGHT))
    sheet.add("rect", fill="none", stroke=FRAME, x=LEFT, y=top + TOP, width=RIGHT - LEFT, height=BOTTOM - TOP)
    places = _apart([name[0] for name in names], top + TOP, top + BOTTOM)
    for (at, words, colour, start), place in zip(names, places, strict=True):
        line = f"M{start:.1f} {at:.1f}L{RIGHT + 4} {at:.1f}L{RIGHT + 16} {place:.1f}h4"
        sheet.add("path", d=line, fill="none", stroke=colour, stroke_opacity=0.55)
        sheet.text(RIGHT + 24, place + 4, words, font_size=12, fill=colour)


def _curve(sheet: Sheet, group: Any, points: list[tuple[float, dict[str, Any]]], up: Any, colour: str) -> None:
    at = [(x, up(row["rmse_mean"])) for x, row in points]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    sheet.add("path", group, d=line, fill="none", stroke=colour, stroke_width=1.6, stroke_opacity=0.6)
    for (x, row), (_, y) in zip(points, at, strict=True):
        if row["rmse_se"] is not None:
            low, high = (up(row["rmse_mean"] + sign * row["rmse_se"]) for sign in (-1, 1))
            bar = f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8"
            sheet.add("path", group, d=bar, fill="none", stroke=colour, stroke_width=1.4)
        sheet.add("circle", group, cx=x, cy=y, r=4, fill=colour)


def _apart(wanted: list[float], low: float, high: float) -> list[float]:
    """Places for names, as near as may be to where they are wanted, none closer than :data:`STEP` px."""
    order = np.argsort(wanted, kind="stable")
    places = np.clip(np.array(wanted, dtype=float)[order], low, high)
    for _ in range(1000):  # pairs that are too close push each other away
        gap = STEP - np.diff(places)
        if not (gap > 0.01).any():
            break
        push = np.maximum(gap, 0) / 2
        places[:-1] -= push
        places[1:] += push
        places = np.clip(places, low, high)
    out = np.empty(len(places))
    out[order] = places
    return out.tolist()


def _with_error(row: dict[str, Any], shown: int) -> str:
    error = "" if row["rmse_se"] is None else f" ± {row['rmse_se']:.{shown}f}"
    return f"{row['rmse_mean']:.{shown}f}{error}"


# ---- the page

_HOW = (
    "± is the standard error over the seeds: how much another training would differ. The 95 % interval is a bootstrap "
    "over the validation galaxies: how much another validation set would. A difference whose interval holds 0 may be "
    "chance. Nothing was chosen by looking at the validation galaxies."
)


def page_html(result: dict[str, Any]) -> str:
    """The whole page; every text of the catalogue is escaped, and no request leaves it."""
    about = result["about"]
    kind = "simulated galaxies" if about["simulated"] else "observed galaxies"
    title = f"SFNet compared on {about['dataset']}"
    n = f"{about['n_train']:,} training and {about['n_validation']:,} validation galaxies ({about['split']})"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head><body><main>",
        f"<h1>{_text(title)}</h1>",
        f'<p class="soft">{_text(f"{kind[0].upper()}{kind[1:]}: {n}; {_seeds(about)}.")}</p>',
        f'<p class="soft">{_text(_HOW)}</p>',
    ]
    for target in about["targets"]:
        parts += _tables(target, result)
    parts += ["<h2>RMSE against k</h2>", f'<div class="sheet">{page_svg(result)}</div>']
    if about["notes"]:
        parts += ["<h2>Notes</h2>", *(f"<p>{_text(note)}</p>" for note in about["notes"])]
    parts += ["<h2>Where this comes from</h2>", _facts(about), "</main></body></html>\n"]
    return "\n".join(parts)


def _tables(target: str, result: dict[str, Any]) -> list[str]:
    rows = [row for row in result["rows"] if row["target"] == target]
    paired = {one["k"]: one for one in result["paired"] if one["target"] == target}
    of, unit, shown = {(row["method"], row["k"]): row for row in rows}, rows[0]["unit"], digits(rows)
    inside = f" [{unit}]" if unit else ""
    parts = [f"<h2>{_text(target + inside)}</h2>"]
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
        parts.append(_table(f"RMSE{inside} by k, mean ± standard error over the seeds", head, body))
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
    parts.append(_table(f"Every method; RMSE and NMAD{inside}, n = {rows[0]['n_validation']:,}", head, body))
    return parts


def _signed(one: dict[str, Any], shown: int) -> str:
    value, low, high = (
        f"{one[name]:+.{shown}f}".replace("-", "\N{MINUS SIGN}") for name in ("difference", "low", "high")
    )
    return f"{value} ({low} to {high})"


def _table(caption: str, head: list[str], body: list[list[str]]) -> str:
    top = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    lines = [
        f'<tr><th scope="row">{_text(row[0])}</th>' + "".join(f"<td>{_text(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in body
    ]
    return (
        f'<div class="table"><table><caption>{_text(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _facts(about: dict[str, Any]) -> str:
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
    }
    lines = [f"<dt>{_text(name)}</dt><dd>{_text(words)}</dd>" for name, words in facts.items()]
    lines.append(f"<dt>To repeat it</dt><dd><code>{_text(about['command'])}</code></dd>")
    files = {"compare.csv": "the table", "compare.json": "every number", "compare.svg": "the figure"}
    files["predictions.parquet"] = "each galaxy's predictions"
    links = ", ".join(f'<a href="{name}">{name}</a> ({words})' for name, words in files.items())
    lines.append(f"<dt>Beside this page</dt><dd>{links}</dd>")
    return f"<dl>{''.join(lines)}</dl>"


def _text(words: str) -> str:
    return html.escape(clean(words))
