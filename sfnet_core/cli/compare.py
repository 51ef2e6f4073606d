"""The shell's verb for a comparison. What it needs is imported inside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import DatasetPath, Device, Epochs, Group, HeldOut, Json, Quiet, RecipeName, Weights
from sfnet_core.cli.words import held_out, need_torch, plain, working
from sfnet_core.utils.errors import SFNetError

__all__ = ["compare"]


def compare(
    dataset: DatasetPath,
    out: Annotated[Path, typer.Option(help="Folder of the comparison.")],
    target: Annotated[str, typer.Option(help="Column to predict; several with commas.")] = "oh_p50",
    k: Annotated[str, typer.Option("--k", help="Features kept, and principal components.")] = "2,3,4,6,8",
    seeds: Annotated[str, typer.Option(help="Seeds of the trainings; the split is one for all.")] = "0,1,2",
    methods: Annotated[
        str | None, typer.Option(help="Some of sfnet,dense,pca,elastic-net,process,forest,ridge,mean; by default all.")
    ] = None,
    epochs: Epochs = None,
    recipe: RecipeName = None,
    validation: HeldOut = "0.2",
    split_seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    group: Group = None,
    width: Annotated[int, typer.Option(help="Channels of the first stage; the paper's is 64.")] = 64,
    weights: Weights = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare SFNet with CNN + PCA, a dense CNN and plain methods: a table, a figure, a page. After Ctrl-C
    the same command continues.
    """
    share = held_out(validation)
    numbers: dict[str, list[int]] = {}
    for option, text in (("--k", k), ("--seeds", seeds)):
        try:
            numbers[option] = [int(word) for word in text.split(",")]
        except ValueError as error:
            raise SFNetError(f"{option} is a list of whole numbers such as 0,1,2, not {text!r}.") from error
    need_torch("compare")
    from sfnet_core.reports.compare.runner import compare as work
    from sfnet_core.reports.compare.table import report

    with working(as_json):
        found = work(
            dataset, out, target=target, k=numbers["--k"], seeds=numbers["--seeds"],
            methods=None if methods is None else [name.strip() for name in methods.split(",")],
            epochs=epochs, recipe=recipe, validation=share, split_seed=split_seed, group=group, width=width,
            weights=weights, device=device, progress=not quiet,
        )  # fmt: skip
    if as_json:
        print(json.dumps(plain({"comparison": str(out)} | found), ensure_ascii=False, allow_nan=False))
    else:
        print(f"{report(found)}\n\nThe page: {out / 'compare.html'}")
