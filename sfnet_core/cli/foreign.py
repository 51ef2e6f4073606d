"""The shell's verb for weights of others. What it needs is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import Json, Overwrite, RunFolder
from sfnet_core.cli.words import finish, need_torch, working
from sfnet_core.utils.errors import SFNetError

__all__ = ["import_"]


def import_(
    source: Annotated[Path, typer.Argument(help="Weights of a ResNet18 with a top-k gate: .pt, .pth, .safetensors.")],
    out: RunFolder,
    like: Annotated[
        Path,
        typer.Option(help="A dataset of such galaxies: cutout size, pixel scale and normalisation are taken from it."),
    ],
    target: Annotated[str, typer.Option(help="What the head predicts; several with commas, or `lines`.")] = "oh_p50",
    k: Annotated[int | None, typer.Option("--k", help="Features kept, where the file does not state it.")] = None,
    crop: Annotated[int | None, typer.Option(help="Pixels of the central square; by default all.")] = None,
    mean: Annotated[str | None, typer.Option(help="R,G,B on the scale 0…1, instead of the dataset's.")] = None,
    std: Annotated[str | None, typer.Option(help="R,G,B, instead of the dataset's.")] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Import a network that others trained, such as the author's published ones. Nothing in the file is run."""
    bands = {name: None if words is None else _three(name, words) for name, words in (("mean", mean), ("std", std))}
    need_torch("import")
    from sfnet_core.model.import_run import import_run

    with working(as_json):
        run = import_run(source, out, like, target=target, k=k, crop=crop, overwrite=overwrite, **bands)
    trained = run.metadata
    about = {"run": str(out), "fingerprint": run.fingerprint, "k": trained["k"], "features": trained["features"]}
    words = f"Run in {out}: k={trained['k']} of {trained['features']} features, {', '.join(run.targets)}"
    note = (
        f"Normalisation: mean {trained['mean']}, std {trained['std']}. The public code does not keep its own, "
        "so compare predictions with known values before you trust them (sfnet infer, then sfnet evaluate)."
    )
    finish(about | {"targets": run.targets, "notes": [note]}, [], as_json, words)


def _three(name: str, words: str) -> list[float]:
    try:
        numbers = [float(word) for word in words.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise SFNetError(f"--{name} needs three numbers separated by commas, such as 0.12,0.11,0.10, not {words!r}.")
    return numbers
