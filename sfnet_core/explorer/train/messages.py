"""What the views are told: the page's state as plain values and sentences."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from sfnet_core.explorer.train.choices import FOUR, short
from sfnet_core.explorer.train.worker import CODES

if TYPE_CHECKING:
    from sfnet_core.explorer.train.session import Session

__all__ = ["commands", "facts", "number", "report", "status"]


def facts(session: Session) -> list[str]:
    """What stands beside the title: whose data these are."""
    dataset = session.dataset
    if dataset is None:
        return []
    height, width = (int(side) for side in dataset.cutouts.shape[1:3])
    scale = f" of {dataset.pixel_scale:g}″" if dataset.pixel_scale else ", pixel scale unknown"
    out = [f"data: {session.name}", f"{len(dataset):,} galaxies", f"{height} × {width} px{scale}"]
    return out + ([dataset.meta["source"]] if dataset.meta.get("source") else [])


def number(value: float, unit: str) -> str:
    """'0.0932 dex'."""
    return f"{value:.4f} {unit}".rstrip()


def split_words(session: Session) -> str:
    """How the held-out galaxies were chosen."""
    return f"{100 * session.choices.validation:g} % of objects held out at random, seed {session.choices.seed}"


def report(session: Session) -> dict[str, Any]:
    """The right-hand pane."""
    choices, progress = session.choices, session.progress
    rows: list[list[str]] = []
    if session.dataset is not None and choices.target:
        n, left = len(session.usable), len(session.dataset) - len(session.usable)
        if progress.begun:
            words = f"{progress.n_train:,} train, {progress.n_validation:,} validation"
            left = progress.plan["n_left_out"]
        else:
            held = round(n * choices.validation)
            words = f"about {n - held:,} train, {held:,} validation"
        lack = "all four lines measured" if choices.target == FOUR else f"a usable {choices.target}"
        rows.append(["Galaxies", words + (f"; {left:,} without {lack} left out" if left else "")])
        rows.append(["Split", split_words(session)])
    plan = progress.plan
    recipe = plan["recipe"] if plan else session.recipe.sentence()
    rows.append(["Recipe", recipe.removeprefix("recipe ")])
    rows.append(["Network", f"k = {choices.k} of {8 * choices.width} features, {plan.get('origin', 'from scratch')}"])
    if plan.get("teacher"):
        rows.append(["Teacher", f"a Gaussian process on photometry. {plan['teacher']}"])
    if plan:
        rows.append(["Runs on", f"{plan['device']} in {plan['precision']}; the central {plan['side']} px"])
    rows.append(["Folder", short(session.folder)])
    command = "" if session.dataset is None else choices.command(session.dataset.path, session.folder)
    return {
        "rows": rows,
        "command": command,
        "result": result(session),
        "next": commands(session) if session.run is not None else [],
        "explore": session.explorer,
    }


def result(session: Session) -> dict[str, Any] | None:
    """How the training ended, or ``None`` while it has not."""
    if session.run is None:
        return None
    metrics, codes, unit = session.run["metrics"], session.codes, session.progress.unit
    n = metrics.get("n_validation", 0)
    last = metrics.get("validation_rmse")
    rmse = codes["rmse"] if codes and codes.get("rmse") is not None else last
    headline = f"Validation RMSE {number(rmse, unit)}" if n and rmse is not None else "No galaxies were held out"
    rows = []
    for name, (value, *ends) in ((codes or {}).get("each") or {}).items():
        words = f" (95 %: {ends[0]:.4f} to {ends[1]:.4f})" if ends else ""
        rows.append([name, "–" if value is None else f"{number(value, unit)}{words}"])
    if codes and codes.get("interval"):
        low, high = codes["interval"]
        rows.append(["95 % interval", f"{low:.4f} to {number(high, unit)} (bootstrap)"])
    if n:
        rows.append(["Galaxies", f"n = {n:,}, validation"])
        rows.append(["Split", split_words(session)])
    if codes and codes.get("r2") is not None:
        rows.append(["R²", f"{codes['r2']:.3f}".replace("-", "\N{MINUS SIGN}")])
    if session.progress.baseline:
        rows.append(["Compare", f"{number(session.progress.baseline, unit)}: predicting the training galaxies' mean"])
    active = metrics.get("active_features")
    if active:
        rows.append(
            ["Features", f"{active['any']} fire; {active['1%']} on ≥ 1 %, {active['10%']} on ≥ 10 % of galaxies"]
        )
    rows.append(["Folder", short(session.folder)])
    notes = list(codes["notes"]) if codes else []
    if n and rmse is not None and number(rmse, unit) != number(last, unit):
        precision = session.progress.plan.get("precision", "another precision")
        notes.append(f"The curve ends at {last:.4f}: it was computed in {precision}, the codes in float32.")
    if session.run["status"] != "finished":
        done, total = len(session.progress.history), session.progress.epochs
        notes.append(f"Stopped after {done} of {total} epochs; usable as it is; Resume continues.")
    return {"headline": headline, "rows": rows, "notes": notes}


def commands(session: Session) -> list[list[str]]:
    """The ways on in a shell, as [what it does, command]."""
    run, dataset = str(session.folder), str(session.dataset.path)
    codes = str(session.folder / CODES)
    infer = ["sfnet", "infer", run, dataset, "--out", codes]
    explore = ["sfnet", "explore", codes, "--dataset", dataset]
    return [["codes, in a shell", shlex.join(infer)], ["explorer, in a shell", shlex.join(explore)]]


def status(session: Session) -> str:
    """The page's one sentence about itself."""
    p, held = session.progress, ""
    if p.history and "validation_rmse" in p.history[-1]:
        last = p.history[-1]["validation_rmse"]
        rmse = number((session.codes or {}).get("rmse") or last, p.unit)
        held = f" · validation RMSE {rmse}, n = {p.n_validation:,}"
    galaxies = 0 if session.dataset is None else len(session.dataset)
    return {
        "ready": "Ready to train" if session.dataset is not None else "Choose a dataset",
        "starting": "Starting: loading torch, splitting the galaxies"
        f"{', drawing and measuring pictures' if session.choices.taught else ''} …",
        "training": f"{p.sentence}{held}",
        "stopping": "Stopping at the end of this step …",
        "inferring": f"Trained; writing the codes of {galaxies:,} galaxies …",
        "stopped": f"Stopped after {len(p.history)} of {p.epochs} epochs{held}",
        "finished": f"Finished{held}",
    }[session.phase]
