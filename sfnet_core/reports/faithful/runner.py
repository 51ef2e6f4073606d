"""Do the explanations explain? Ablation, covered regions, sparse probing and partial correlation of one set of codes.

Each of the four is a section of one dictionary that is valid JSON; a section that cannot be made says why under
``missing``. The arithmetic is in :mod:`~sfnet_core.reports.faithful.ablation`,
:mod:`~sfnet_core.reports.faithful.insertion_deletion` (torch),
:mod:`~sfnet_core.reports.faithful.sparse_probing`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.feature_statistics import CONTROLS
from sfnet_core.reports.faithful.ablation import ablation
from sfnet_core.reports.faithful.inputs import COLOURS, PHOTOMETRY, Inputs
from sfnet_core.reports.faithful.sparse_probing import checked, probing
from sfnet_core.stats.bootstrap import resamples_for
from sfnet_core.stats.correlation import correlations
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.version import __version__

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["faithful"]


def faithful(
    codes: SparseCodes,
    *,
    dataset: Dataset | None = None,
    run: Any = None,
    classes: Sequence[str] = (),
    mirrored: tuple[str, str] | None = None,
    split: str | None = None,
    target: int | str = 0,
    galaxies: int = 200,
    fills: Sequence[str] = ("sky",),
    draws: int = 5,
    steps: int = 16,
    seed: int = 0,
    device: str = "auto",
    work: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure how far the explanations of codes explain.

    Parameters
    ----------
    codes
        What inference gave.
    dataset
        The codes' images, for covered regions, colours and the winding of spirals.
    run
        The network behind the codes (a :class:`~sfnet_core.model.run.Run` or its folder), for covered regions.
    classes
        Catalogue columns whose values are probed, each value against all others.
    mirrored
        Two values of such a column that a mirror swaps (clockwise and anticlockwise spirals): they are probed as one
        class against the rest and, beside it, against each other.
    split
        Which galaxies; validation by default, all where there are none; ``''`` for all.
    target
        Its name or number.
    galaxies
        On how many of them, drawn by ``seed``, cells are covered.
    fills
        What covers them, some of ``sky`` and ``blur``.
    draws
        Random orders a galaxy.
    steps
        How often more cells are covered, at most.
    seed
        Of all draws.
    device
        Where the network runs.
    work
        Folder that keeps finished pieces; without one nothing is kept.
    progress
        Whether to show what is at work.

    Returns
    -------
    dict[str, Any]
        One dictionary, valid JSON: ``about``, ``ablation``, ``regions`` (one for each of ``fills``), ``probing``,
        ``partial``; a section that cannot be made has ``missing``.

    Raises
    ------
    SFNetError
        There is no such split, target or class, or a number is too small.
    """
    target = codes.target_index(target)
    rows, split = _rows(codes, split)
    inputs = Inputs(
        codes, rows, target, dataset, seed, _teller(progress), progress, None if work is None else Path(work)
    )
    checked(inputs, list(classes), mirrored)  # a wrong name is said before the long work, not after it
    where = f"{len(rows):,} galaxies of the {split} split" if split else f"{len(rows):,} galaxies, all of the codes"
    return {
        "about": {
            "codes": codes.path.name if codes.path else "",
            "fingerprint": codes.fingerprint,
            "galaxies": len(rows),
            "split": split,
            "where": where,
            "target": codes.targets[target],
            "unit": codes.units.get(codes.targets[target], ""),
            "k": codes.k,
            "features": codes.features,
            "simulated": codes.simulated,
            "dataset": str(codes.provenance.get("dataset") or ""),
            "run": str(codes.provenance.get("run") or ""),
            "seed": seed,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "version": __version__,
            "command": shlex.join(["sfnet", *sys.argv[1:]]) if "faithful" in sys.argv[1:2] else "",
            "notes": [str(note) for note in codes.provenance.get("notes") or []],
        },
        "ablation": _ablation(inputs),
        "regions": _regions(inputs, run, galaxies, fills, draws, steps, device),
        "probing": probing(inputs, list(classes), mirrored),
        "partial": _partial(inputs),
    }


def _rows(codes: SparseCodes, split: str | None) -> tuple[np.ndarray, str]:
    if not len(codes):
        raise SFNetError("These codes hold no galaxies; there is nothing to measure.")
    if split is None:
        split = "validation" if "validation" in codes.splits else ""
        if "train" in codes.splits and not split:
            raise SFNetError(
                "These codes have training galaxies and no validation galaxies; on galaxies that it was trained on a "
                "network shows too much. Name a split with --split (`all` for all) if you want it all the same."
            )
    rows = np.flatnonzero(codes.in_split(split)) if split else np.arange(len(codes))
    if not len(rows):
        has = ", ".join(name for name in codes.splits if name) or "none"
        raise SFNetError(f"No galaxy of these codes is in the split {split!r}; they have: {has}.")
    return rows, split


def _teller(progress: bool) -> Callable[[str], None]:
    def say(words: str) -> None:
        if progress:
            print(words, file=sys.stderr, flush=True)

    return say


def _ablation(inputs: Inputs) -> dict[str, Any]:
    truth, name = inputs.codes.truth(inputs.target)[inputs.rows], inputs.codes.targets[inputs.target]
    if np.isfinite(truth).sum() < 10:
        return {"missing": f"Not made: {int(np.isfinite(truth).sum())} of these galaxies have a true {name}, not 10."}
    inputs.say("Ablation of every feature")
    return ablation(inputs.codes, inputs.rows, target=inputs.target, seed=inputs.seed)


def _regions(
    inputs: Inputs, run: Any, galaxies: int, fills: Sequence[str], draws: int, steps: int, device: str
) -> dict[str, Any]:
    why = "the network behind the codes was not named (--run)" if run is None else inputs.no_images
    if why:
        return {"missing": f"Not made: {why}."}
    if min(galaxies, draws, steps) < 1:
        raise SFNetError(f"Galaxies, draws and steps are at least 1, not {galaxies}, {draws}, {steps}.")
    from sfnet_core.model.run import Run
    from sfnet_core.reports.faithful.insertion_deletion import Covering, regions

    usable = np.flatnonzero(inputs.places >= 0)
    if len(usable) > galaxies:
        usable = np.sort(np.random.default_rng([inputs.seed, 2]).choice(usable, galaxies, replace=False))
    opened = run if isinstance(run, Run) else Run.open(run)
    with tempfile.TemporaryDirectory() if inputs.work is None else contextlib.nullcontext(inputs.work) as work:
        return {
            fill: regions(
                inputs.codes, opened, inputs.dataset, inputs.rows[usable], inputs.places[usable], Path(work),
                Covering(inputs.target, fill, draws, steps, inputs.seed), device=device, progress=inputs.progress,
            )
            for fill in fills
        }  # fmt: skip


def _partial(inputs: Inputs) -> dict[str, Any]:
    """Each feature's activation with the truth: plainly, at fixed colour, colour and size, and mass, SFR, redshift."""
    codes = inputs.codes
    truth = codes.truth(inputs.target)[inputs.rows]
    of = np.flatnonzero(np.isfinite(truth))
    if len(of) < 20:
        return {"missing": f"Not made: {len(of)} of these galaxies have a true {codes.targets[inputs.target]}, not 20."}
    sets: dict[str, np.ndarray] = {}
    notes = []
    if inputs.no_images:
        notes.append(f"Not at fixed colour: {inputs.no_images}.")
    else:
        measured = inputs.photometry(of)
        size = PHOTOMETRY.index("half-light radius")
        sets["colour"] = measured[:, :2]
        sets["colour and size"] = measured[:, [0, 1, size]]
        sets["colour in rings and size"] = measured[:, [*range(len(COLOURS)), size]]
    physical = {}
    for name, words, good in CONTROLS:
        if name in codes.columns and codes.is_numeric(name):
            values = codes.column(name)[inputs.rows[of]].astype(np.float64)
            with np.errstate(invalid="ignore"):
                physical[words] = np.where(good(values), values, np.nan)
    if physical:
        sets[", ".join(physical)] = np.stack(list(physical.values()), axis=1)
    absent = [words for _, words, _ in CONTROLS if words not in physical]
    if absent:
        notes.append(f"Not at fixed {', '.join(absent)}: the catalogue has no such column.")
    inputs.say("Partial correlations")
    columns, features = inputs.columns(of)
    out = []
    sets = {"plain": np.empty((len(of), 0))} | sets
    whole = np.column_stack([truth[of], *sets.values()])
    last = np.cumsum([2, *(controls.shape[1] for controls in sets.values())])
    places = {name: tuple(range(*last[i : i + 2])) for i, name in enumerate(sets)}
    known = {name: np.isfinite(controls).all(axis=1) for name, controls in sets.items()}
    alike: dict[bytes, list[str]] = {}  # sets of controls that are known for the same galaxies share their resamples
    for name, here in known.items():
        alike.setdefault(here.tobytes(), []).append(name)
    for feature, activation in zip(features.tolist(), columns.T, strict=True):
        row: dict[str, Any] = {"feature": feature, "fires": int((activation > 0).sum())}
        for names in alike.values():
            data = np.column_stack([activation, whole])[known[names[0]]]
            used = sorted({0, 1, *(place for name in names for place in places[name])})
            where = [tuple(used.index(place) for place in places[name]) for name in names]
            answers = correlations(data[:, used], where, resamples_for(len(data)), inputs.seed)
            for name, found in zip(names, answers, strict=True):
                ends = zip(("value", "low", "high"), found, strict=True)
                row[name] = {end: float(v) if np.isfinite(v) else None for end, v in ends} | {"n": len(data)}
        out.append(row)
    return {"n": len(of), "controls": list(sets)[1:], "features": out, "notes": notes}
