"""The shell's verb train. What it needs is imported inside it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sfnet_core.cli.options import DatasetPath, Device, Epochs, Json, Overwrite, Quiet, Resume, RunFolder, Seed
from sfnet_core.cli.recipe_file import read_recipe_file
from sfnet_core.cli.words import finish, held_out, need_torch, working

__all__ = ["train"]


def train(
    dataset: DatasetPath,
    out: RunFolder,
    target: Annotated[str, typer.Option(help="Column to predict; several: a,b; or `lines`.")] = "oh_p50",
    k: Annotated[int, typer.Option("--k", help="Features kept for each galaxy.")] = 4,
    multi_k: Annotated[int | None, typer.Option(help="Train every k from 1 to this one at once.")] = None,
    alive: Annotated[bool, typer.Option("--alive", help="Keep more features in use.")] = False,
    taught: Annotated[bool | None, typer.Option(help="Few labels: learn from photometry.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe's name, or a file FILE.toml.")] = None,
    epochs: Epochs = None,
    width: Annotated[int | None, typer.Option(help="Channels of the first stage (64).")] = None,
    validation: Annotated[str | None, typer.Option(help="Share held out (0.2), or `paper`.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a sparse feature network. Ctrl-C leaves a usable run; --resume continues.

    FILE.toml sets all else: the fields of a recipe, the split, weights to start from.
    """
    options = {} if recipe is None else read_recipe_file(recipe)
    given: dict[str, Any] = {"epochs": epochs, "multi_k": multi_k, "taught": taught}
    given["validation"] = None if validation is None else held_out(validation)
    options |= {name: value for name, value in given.items() if value is not None}
    need_torch("train")
    from sfnet_core.training.loop import train as run

    with working(as_json):
        made = run(
            dataset, out, target=target, k=k, width=width, seed=seed, alive=alive, device=device, resume=resume,
            overwrite=overwrite, progress=not quiet, **options,
        )  # fmt: skip
    about = {"run": str(out), "status": made.status, "fingerprint": made.fingerprint, "metrics": made.metrics}
    last = made.history[-1] if made.history else {}
    rmse = [
        f"{name.removesuffix('_rmse')} RMSE {last[name]:.4f}"
        for name in ("train_rmse", "validation_rmse")
        if name in last
    ]
    words = f"Run {made.status} in {out}" + (f" ({', '.join(rmse)})" if rmse else "")
    finish(about | {"config": made.config, "last_epoch": last}, [], as_json, words)
