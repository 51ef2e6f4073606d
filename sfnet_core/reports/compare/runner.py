"""Table 2 of Wu (2025) for any dataset: SFNet beside CNN + PCA, a dense CNN and plain methods, on one split.

A folder holds it all: ``runs/`` (each training a normal run), ``parts/`` (each method's predictions, so that nothing is
done twice), ``job.json`` (what was asked for), and the results: ``compare.json``, ``compare.csv``, ``compare.svg``,
``compare.html`` and ``predictions.parquet``. The validation galaxies choose nothing: they are only measured on.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sfnet_core.data.dataset import Dataset
from sfnet_core.figures.plot import check_matplotlib, save_figure
from sfnet_core.model.device import pick_device
from sfnet_core.reports.compare.networks import Comparison, objects_of
from sfnet_core.reports.compare.page import caption, drawings, page_html
from sfnet_core.reports.compare.provenance import about_of, command_of, settings_of
from sfnet_core.reports.compare.table import LABELS, Key, csv_text, name_of, summarise
from sfnet_core.training.plan import Plan, make_plan
from sfnet_core.training.recipes import GONE, Recipe
from sfnet_core.utils.documents import json_object
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path, folder_lock, write_json, write_text
from sfnet_core.utils.resume import check_begun

__all__ = ["compare"]

SCHEMA = 1
JOB = "job.json"


def compare(
    dataset: Dataset | str | os.PathLike,
    out: str | os.PathLike,
    *,
    target: str | Sequence[str] = "oh_p50",
    k: Sequence[int] = (2, 3, 4, 6, 8),
    seeds: Sequence[int] = (0, 1, 2),
    methods: Sequence[str] | None = None,
    epochs: int | None = None,
    recipe: str | Recipe | None = None,
    validation: float | str = 0.2,
    split_seed: int = 0,
    group: str | None = None,
    width: int = 64,
    weights: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Train and measure every method side by side.

    The dense CNN is the same network with a gate that keeps all its features. Everything that is fitted sees training
    galaxies only, in the targets' units. Ctrl-C ends the step at work; the same call continues.

    Parameters
    ----------
    dataset
        A :class:`Dataset` or its folder.
    out
        The comparison's folder. What is finished in it is not done again; a folder of another dataset, target, recipe,
        split or seeds is refused. ``k`` and ``methods`` may grow from one call to the next.
    k
        Features kept, for SFNet, and numbers of principal components for CNN + PCA.
    seeds
        Of the trainings (initial weights, order, orientations) and the forest; the split is one for all.
    methods
        Some of ``sfnet``, ``dense``, ``pca`` (CNN + PCA), ``elastic-net``, ``process`` (Gaussian process), ``forest``,
        ``ridge``, ``mean``; all by default. ``pca`` and ``elastic-net`` read the dense network's pooled features.
    validation, split_seed, group
        The split, see :func:`sfnet_core.training.loop.train`; ``split_seed`` is its seed.
    target, epochs, recipe, width, weights, device
        As of :func:`sfnet_core.training.loop.train`, for every network.
    progress
        Whether to show what is at work.

    Returns
    -------
    dict[str, Any]
        What is written as ``compare.json``: ``{"schema", "about", "rows", "paired"}``, provenance, then what
        :func:`sfnet_core.reports.compare.table.summarise` gives.

    Raises
    ------
    SFNetError
        No galaxies are held out, a k does not fit, the folder is of another comparison.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    out = Path(out)
    ks, seeds, chosen = _numbers(k, "k", 1), _numbers(seeds, "seed", 0), _methods(methods)
    plan = make_plan(
        dataset, target=target, k=1, epochs=epochs, seed=seeds[0], fold=None, folds=None, validation=validation,
        group=group, width=width, weights=weights, recipe=recipe, split_seed=split_seed, multi_k=0, taught=False,
    )  # fmt: skip
    if not len(plan.validation):
        raise SFNetError("A comparison needs galaxies held out; give --validation a share above 0.")
    if max(ks) > 8 * width:
        raise SFNetError(f"k={max(ks)} does not fit {8 * width} features (width {width}); choose k up to that.")
    pick_device(device)  # a mistake is said before anything is written
    check_matplotlib()
    settings = settings_of(plan, seeds, width, weights)
    _look_at(out, settings)
    with folder_lock(out, "a comparison"):
        write_json(out / JOB, settings)
        work = Comparison(dataset, out, plan, ks, seeds, chosen, device, progress)
        found = work.predictions()
        groups = objects_of(dataset, plan.validation, group)
        rows, paired = summarise(plan.truth[plan.validation], found, plan.targets, plan.units, groups)
        command = command_of(
            dataset, out, plan, ks=ks, methods=chosen, seeds=seeds, epochs=epochs, recipe=recipe, width=width,
            weights=weights,
        )  # fmt: skip
        about = about_of(
            dataset, plan, ks=ks, methods=chosen, seeds=seeds, width=width, weights=weights,
            device=str(pick_device(device)), command=shlex.join(command), remarks=work.remarks,
        )  # fmt: skip
        result = {"schema": SCHEMA, "about": about, "rows": rows, "paired": paired}
        _write(out, dataset, plan, found, result)
    return result


def _look_at(out: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder of something else, or of another comparison."""
    if out.exists() and not out.is_dir():
        raise SFNetError(f"{out} is a file; --out is the comparison's folder.")
    if not (out / JOB).is_file():
        if out.is_dir() and any(entry.name != ".lock" for entry in out.iterdir()):
            raise SFNetError(f"{out} is not empty and holds no comparison; choose another folder.")
        return
    before = json_object((out / JOB).read_bytes(), out / JOB, "choose another folder")
    before = {name: was for name, was in before.items() if GONE.get(name.removeprefix("recipe "), ...) != was}
    check_begun(out, before, settings, "another comparison", "or another folder")


def _write(out: Path, dataset: Dataset, plan: Plan, found: dict[Key, np.ndarray], result: dict[str, Any]) -> None:
    """The results, each file whole or not at all; ``compare.json`` last."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns: dict[str, np.ndarray] = {"id": dataset.ids[plan.validation].astype(object)}
    for t, target in enumerate(plan.targets):
        columns[f"truth_{target}"] = plan.truth[plan.validation, t]
        columns |= {f"{name_of(key)}_{target}": values[:, t] for key, values in found.items()}
    with atomic_path(out / "predictions.parquet") as part:
        parquet.write_table(pa.table(columns), part)
    write_text(out / "compare.csv", csv_text(result["rows"]))
    for kind in ("svg", "pdf"):
        save_figure(out / f"compare.{kind}", drawings(result), caption(result["about"]))
    write_text(out / "compare.html", page_html(result))
    write_json(out / "compare.json", result)


def _numbers(values: Iterable[int], what: str, least: int) -> list[int]:
    numbers = list(values)
    if not numbers or len(set(numbers)) != len(numbers) or min(numbers) < least:
        raise SFNetError(f"Give one or more different values of {what}, from {least}, not {numbers}.")
    return sorted(numbers)


def _methods(methods: Sequence[str] | None) -> list[str]:
    chosen = list(LABELS) if methods is None else list(methods)
    for name in chosen:
        if name not in LABELS:
            raise SFNetError(f"There is no method {name!r}; there are: {', '.join(LABELS)}.")
    if not chosen:
        raise SFNetError(f"Name one or more methods: {', '.join(LABELS)}.")
    return [name for name in LABELS if name in chosen]
