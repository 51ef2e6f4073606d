"""The shell's verb for the paper's figures and tables: report. What it needs is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import Codes, Json, OtherImages, Split, Target
from sfnet_core.cli.words import finish, working

__all__ = ["report"]


def report(
    codes: Codes,
    out: Annotated[Path, typer.Option(help="Folder for report.html and the tables as CSV files.")],
    dataset: Annotated[Path | None, typer.Option(help="The codes' dataset, for the images.")] = None,
    run: Annotated[Path | None, typer.Option(help="The run's folder, for its error by epoch.")] = None,
    split: Split = None,
    target: Target = None,
    allow_mismatch: OtherImages = False,
    as_json: Json = False,
) -> None:
    """Make the paper's figures and tables of these codes: one HTML file, and CSV files beside it."""
    from sfnet_core.codes.table import SparseCodes, check_dataset
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.reports.paper.document import write_report

    with working(as_json):
        opened = SparseCodes.open(codes)
        images = None if dataset is None else Dataset.open(dataset)
        mismatch = None if images is None else check_dataset(opened, images, allow=allow_mismatch)
        made = write_report(
            opened, out, images, run=run, split="" if split == "all" else split,
            target=0 if target is None else target, notes=[mismatch] if mismatch else [],
        )  # fmt: skip
    notes = [*made.notes, *(f"{title}: {words}" for title, some in made.missing.items() for words in some)]
    about = {"page": str(made.page), "tables": [str(path) for path in made.tables], "notes": notes}
    finish(about, [], as_json, f"Report in {made.page}, with {len(made.tables)} tables as CSV files")
