"""What a saved page says of itself: whose galaxies and weights, how good the predictions, when and how it was made."""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.stats.bootstrap import resamples_for
from sfnet_core.stats.metrics import evaluate_arrays
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.version import __version__

if TYPE_CHECKING:
    from sfnet_core.analysis.feature_statistics import FeatureStatistics

__all__ = ["about", "accuracy", "date_text", "rmse_text"]


def date_text(date: datetime.datetime | str | None = None) -> str:
    """The date on the page, in UTC: ``date``, else the environment's SOURCE_DATE_EPOCH, else now."""
    if isinstance(date, str):
        text = date
        try:
            date = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise SFNetError(f"A date is written as 2026-11-24 or 2026-11-24T12:00, not {text[:40]!r}.") from None
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if date is None and epoch:
        try:
            date = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
        except (ValueError, OverflowError, OSError):
            raise SFNetError(f"SOURCE_DATE_EPOCH is a number of seconds since 1970, not {epoch[:40]!r}.") from None
    date = date or datetime.datetime.now(datetime.UTC)
    if date.tzinfo is not None:
        date = date.astimezone(datetime.UTC)
    return date.strftime("%Y-%m-%d %H:%M UTC")


def accuracy(statistics: FeatureStatistics, split: str, target: int) -> dict:
    """Metrics of the galaxies in view with 95 % intervals, as ``sfnet evaluate`` gives them; {} without true values.

    Tables of more than 15,000 galaxies have fewer resamples than its 1,000.
    """
    rows = statistics.rows(split)
    truth, prediction = statistics.truth(target)[rows], statistics.codes.prediction(target)[rows]
    if not np.isfinite(truth).any():
        return {}
    return evaluate_arrays(truth, prediction, intervals=resamples_for(len(rows)))


def rmse_text(found: dict, unit: str) -> str:
    """'RMSE 0.0912 dex (95 %: 0.0813 to 0.1008)'; empty where nothing is known."""
    if not found or found["rmse"] is None:
        return ""
    low, high = found["intervals"]["rmse"]
    span = "" if low is None else f" (95 %: {low:.4f} to {high:.4f})"
    return f"RMSE {found['rmse']:.4f} {unit}".rstrip() + span


def about(
    statistics: FeatureStatistics,
    split: str,
    target: int,
    found: dict,
    *,
    date: str,
    command: str,
    shown: int,
    notes: list[str],
) -> list[list[str]]:
    """The page's last part: where its numbers come from.

    Parameters
    ----------
    statistics, split, target
        What the page is of.
    found
        What :func:`accuracy` gave.
    date, command
        When and by which command it was made.
    shown
        How many features are on the page.
    notes
        What was left out.

    Returns
    -------
    list[list[str]]
        Pairs of a term and its text.
    """
    codes = statistics.codes
    provenance = codes.provenance
    unit, label = statistics.unit(target), statistics.target_label(target)
    n, known = len(statistics.rows(split)), statistics.known(split, target)
    active = len(statistics.table(split, target)["feature"])
    kind = "simulated: no number here says anything about real galaxies" if codes.simulated else "observed"
    of = f"the {split} split" if split else "all splits, those that the network was trained on too"
    rows = [
        ["Galaxies", f"{len(codes):,}, {kind}. This page is of {of}: {n:,}, of which {known:,} have a true {label}."],
        ["Network", f"k = {codes.k} of {codes.features} features; {active} fire on these galaxies."],
        ["Target", f"{codes.targets[target]}: {label}{f' [{unit}]' if unit else ''}; bias "
                   f"{codes.bias[target]:.4f} {unit}".rstrip() + "."],
    ]  # fmt: skip
    if found:
        values = [rmse_text(found, unit)]
        values += [f"NMAD {found['nmad']:.4f} {unit}".rstrip(), f"bias {found['bias']:+.4f} {unit}".rstrip()]
        values += [f"R² {found['r2']:.3f}"] if found["r2"] is not None else []
        rows.append(["Accuracy", ", ".join(values).replace("-", "\N{MINUS SIGN}") + f"; n = {found['n']:,}."])
    run = [f"run {provenance['run']}"] if provenance.get("run") else []
    run += [f"fingerprint {provenance['run_fingerprint']}"] if provenance.get("run_fingerprint") else []
    rows.append(["Weights", "; ".join([str(provenance.get("weights") or "origin not recorded"), *run]) + "."])
    data = [str(provenance.get("dataset") or "origin not recorded")]
    data += [f"fingerprint {provenance['dataset_fingerprint']}"] if provenance.get("dataset_fingerprint") else []
    rows.append(["Data", "; ".join(data) + "."])
    name = f"{codes.path.name}; " if codes.path is not None else ""
    rows.append(["Codes", f"{name}fingerprint {codes.fingerprint}."])
    versions = ", ".join(f"{key} {value}" for key, value in (provenance.get("versions") or {}).items())
    rows.append(["Made by", f"sfnet-core {__version__} on {date}" + (f"; the codes by {versions}" if versions else "")])
    rows.append(["Made with", command])
    rows += [["Stability", statistics.stability.summary]] if statistics.stability else []
    left_out = f"The {shown} features with the largest mean |contribution| of {active}." if shown < active else ""
    rows.append(["On this page", " ".join(filter(None, [left_out or f"All {active} features that fire.", *notes]))])
    rows.append(
        ["How", "Activations are 0 where a feature does not pass the gate. Partial correlations are of residuals of "
                "linear fits; intervals are 95 % percentile bootstraps (Efron 1979), of a lift Wilson's (1927). BPT "
                "curves: Kauffmann et al. 2003, Kewley et al. 2001."]
    )  # fmt: skip
    return [*rows, *(["Note", str(note)] for note in provenance.get("notes") or [])]
