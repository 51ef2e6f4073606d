"""Options that several verbs of the shell have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Codes", "Device", "Json", "Overwrite", "Quiet", "Seed"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Codes = Annotated[Path, typer.Argument(help="A codes file, as `sfnet infer` writes it.")]
