"""The shell's verb pretrain: a trunk without labels. What it needs is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import Device, Epochs, Json, Overwrite, Quiet, Resume, RunFolder, Seed, Width
from sfnet_core.cli.words import finish, need_torch, working

__all__ = ["pretrain"]


def pretrain(
    dataset: Annotated[Path, typer.Argument(help="A dataset, as `sfnet pack` writes it; its table is not read.")],
    out: RunFolder,
    k: Annotated[int | None, typer.Option("--k", help="Features kept for each galaxy; by default all.")] = None,
    epochs: Epochs = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe by name; by default one of its own.")] = None,
    validation: Annotated[float, typer.Option(help="Share of objects held out.")] = 0.1,
    width: Width = None,
    from_run: Annotated[Path | None, typer.Option(help="Start from the trunk of another run.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a trunk on images without labels, for `sfnet train --from-run` to start from.

    It learns to read off each cutout the colours and shapes that photometry by hand measures on it.
    """
    need_torch("pretrain")
    from sfnet_core.training.pretraining import pretrain as run

    with working(as_json):
        made = run(
            dataset, out, k=k, epochs=epochs, recipe=recipe, validation=validation, width=width, start=from_run,
            seed=seed, device=device, resume=resume, overwrite=overwrite, progress=not quiet,
        )  # fmt: skip
    about = {"run": str(out), "status": made.status, "fingerprint": made.fingerprint, "metrics": made.metrics}
    words = f"Run {made.status} in {out}; `sfnet train DATASET --from-run {out}` starts from it"
    finish(about | {"config": made.config, "last_epoch": made.history[-1] if made.history else {}}, [], as_json, words)
