"""How well the network does: losses by epoch, predicted against true, RMSE against k."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sfnet_core.analysis.interpret import predict, predict_by_k, trained_for, trained_for_text
from sfnet_core.figures.html_frame import Part, Table
from sfnet_core.figures.k_curve import rmse_against_k
from sfnet_core.figures.plot import ACCENT, Curve, Dots, Drawing
from sfnet_core.figures.plot_data import padded
from sfnet_core.reports.paper.basis import Basis
from sfnet_core.stats.metrics import r2, rmse

__all__ = ["by_k", "losses", "predicted"]

OTHER = "#b4532a"


def losses(basis: Basis, history: list[dict[str, float]], why: str) -> Part:
    """Row 1: the numbers of each epoch; ``why``: what to say where there are none."""
    part = Part("losses", "Training: error by epoch")
    if not history:
        part.missing.append(why)
        return part
    names = list(dict.fromkeys(name for row in history for name in row))
    part.said.append("Global RMSE over all galaxies of a part, not the mean of the batches' RMSEs.")
    rows = [[row.get(name) for name in names] for row in history]
    part.tables.append(Table("history.csv", names, rows))
    shown = [(name, colour) for name, colour in (("train_rmse", ACCENT), ("validation_rmse", OTHER)) if name in names]
    if shown:
        x = np.array([row["epoch"] for row in history], dtype=float)
        series = [np.array([row.get(name, np.nan) for row in history], dtype=float) for name, _ in shown]
        layers = [
            Curve(x, y, colour=colour, opacity=1, width=1.8, name=name.removesuffix("_rmse"), marker=5)
            for y, (name, colour) in zip(series, shown, strict=True)
        ]
        ranges = ((x.min() - 0.5, x.max() + 0.5), padded(np.concatenate(series)))
        part.drawings.append(Drawing("RMSE by epoch", "epoch", basis.axis("RMSE"), ranges, layers, legend=True))
    return part


def predicted(basis: Basis) -> Part:
    """Row 6: predicted against true, then with every rare feature left out."""
    part = Part("predicted", "Predicted against true")
    codes, truth = basis.codes, basis.truth
    if np.isfinite(truth).sum() < 2:
        part.missing.append(f"Not made: fewer than 2 of these galaxies have a true {basis.name}.")
        return part
    rare = sorted(set(range(codes.features)) - set(basis.common.tolist()))
    top = sorted(set(range(codes.features)) - set(basis.table["feature"][:4].tolist()))
    kinds = [
        ("all features", ()),
        (f"features on more than {basis.least} galaxies", rare),
        ("the four with the largest mean |contribution|", top),
    ]
    rows = []
    span = padded(truth)
    for number, (words, off) in enumerate(kinds):
        value = predict(codes, off=off, target=basis.target)[basis.rows]
        n = int((np.isfinite(truth) & np.isfinite(value)).sum())
        rows.append([words, codes.features - len(off), n, rmse(truth, value), r2(truth, value)])
        if number < 2:
            some = basis.draw(np.isfinite(truth) & np.isfinite(value))
            drawn = f" ({len(some):,} drawn)" if len(some) < n else ""
            title = f"{words[0].upper()}{words[1:]}\nRMSE {rows[-1][3]:.4f} {basis.unit}, n = {n:,}{drawn}"
            layers = [Dots(truth[some], value[some], ACCENT, 0.75, 5), Curve(np.array(span), np.array(span), "6 4")]
            labels = basis.axis(f"true {basis.name}"), basis.axis(f"predicted {basis.name}")
            part.drawings.append(Drawing(title, *labels, (span, span), layers))
    part.said.append(
        f"{basis.where}. RMSE is the root of the mean squared residual of all galaxies at once; R² = 1 − Σ(y − ŷ)² / "
        "Σ(y − ȳ)². The features left out are switched off without giving their place to others; the head is the same."
    )
    columns = ["features on", "count", "n", f"RMSE{f' [{basis.unit}]' if basis.unit else ''}", "R2"]
    part.tables.append(Table("predicted-against-true.csv", columns, rows))
    return part


def by_k(basis: Basis) -> Part:
    """Row 15: the same head behind other gates."""
    part = Part("k", "RMSE against k")
    codes = basis.codes
    if not np.isfinite(basis.truth).any():
        part.missing.append(f"Not made: none of these galaxies has a true {basis.name}.")
        return part
    found = [rmse(basis.truth, value[basis.rows]) for value in predict_by_k(codes, target=basis.target)]
    part.said.append(f"The same weights behind a gate of k; global RMSE, {basis.where}.")
    if codes.provenance.get("consensus"):
        part.said.append(f"A mean of several trainings has no gate: below {codes.k} the smallest terms are left out.")
    elif len(trained_for(codes)) > 1:
        part.said.append(f"The weights were {trained_for_text(codes)} at once.")
    else:
        part.said.append(
            f"The weights were trained at k = {codes.k}: at another k they are not at their best. The paper's Table 2 "
            "trains one network for each k, which `sfnet train --k` does."
        )
    title = f"RMSE of {basis.name} against k\n{basis.where}"
    part.drawings.append(rmse_against_k(found, codes.k, basis.unit, title))
    columns = ["k", f"RMSE{f' [{basis.unit}]' if basis.unit else ''}", "trained at this k"]
    rows = [[k, value, "yes" if k in trained_for(codes) else "no"] for k, value in enumerate(found, start=1)]
    part.tables.append(Table("rmse-against-k.csv", columns, rows))
    return part


def history_of(codes, run: Path | None) -> tuple[list[dict[str, float]], str, str]:
    """The epochs of the run that made the codes, why there are none, and where they are from.

    ``run``: its folder; by default looked for beside the codes, by the name in their provenance.
    """
    from sfnet_core.model.history import HISTORY, read_history
    from sfnet_core.utils.errors import SFNetError

    name = str(codes.provenance.get("run") or "")
    folder = run
    if run is None and name and codes.path is not None:
        places = [Path(name), codes.path.parent / Path(name).name]
        folder = next((p for p in places if (p / HISTORY).is_file()), None)
    if folder is None:
        return [], "Not made: the run of these codes was not found. Name its folder with --run.", ""
    path = Path(folder) / HISTORY
    if not path.is_file():
        if run is not None and not Path(run).exists():
            raise SFNetError(f"There is no run {run}; --run names the folder that `sfnet train` wrote.")
        return [], f"Not made: {folder} has no history.csv, so it holds weights without their training.", ""
    return read_history(path), f"Not made: {path} holds no epoch.", str(path)
