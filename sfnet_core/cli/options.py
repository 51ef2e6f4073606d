"""Options that several verbs of the shell have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.training.recipes import RECIPES

__all__ = [
    "Codes",
    "DatasetPath",
    "Device",
    "Epochs",
    "Group",
    "HeldOut",
    "Json",
    "NewDataset",
    "OtherImages",
    "Overwrite",
    "Quiet",
    "RecipeName",
    "Resume",
    "RunFolder",
    "Seed",
    "SharedSplit",
    "Split",
    "Target",
    "Weights",
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue where an interrupted run stopped.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
OtherImages = Annotated[
    bool, typer.Option("--allow-mismatch", help="Images of a dataset the codes were not made from.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]

# datasets
DatasetPath = Annotated[Path, typer.Argument(help="A dataset, as `sfnet pack` writes it.")]
NewDataset = Annotated[Path, typer.Option(help="Folder of the new dataset.")]

# codes
Codes = Annotated[Path, typer.Argument(help="A codes file, as `sfnet infer` writes it.")]
Split = Annotated[str | None, typer.Option(help="train, validation, test or all; validation by default.")]
SharedSplit = Annotated[
    str | None, typer.Option(help="train, validation, test or all; by default those held out by all.")
]
Target = Annotated[str | None, typer.Option(help="Which target; by default the first.")]

# trainings
RunFolder = Annotated[Path, typer.Option(help="Folder of the run.")]
Epochs = Annotated[int | None, typer.Option(help="Number of epochs; by default the recipe's.")]
RecipeName = Annotated[
    str | None, typer.Option(help=f"{', '.join(RECIPES)}; by default the one for this many training galaxies.")
]
HeldOut = Annotated[str, typer.Option(help="Share of objects held out, or `paper`.")]
Group = Annotated[str | None, typer.Option(help="Column whose equal values are one object.")]
Weights = Annotated[str | None, typer.Option(help="Start from ImageNet weights: `hub` or a file.")]
