"""The shell's verb for what several trainings agree on: consensus. What it needs is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import Json, Seed, SharedSplit, Target
from sfnet_core.cli.words import finish, line, working
from sfnet_core.utils.errors import SFNetError

__all__ = ["consensus"]


def consensus(
    codes: Annotated[list[Path], typer.Argument(help="Codes of the same galaxies from two trainings or more.")],
    out: Annotated[Path, typer.Option(help="The codes file to write (.parquet); the pages open it.")],
    above: Annotated[float, typer.Option(help="Mean correlation from which features go together.")] = 0.9,
    least: Annotated[
        int | None, typer.Option(help="Trainings that a shared feature is in; by default more than half.")
    ] = None,
    target: Target = None,
    split: SharedSplit = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """The mean of several trainings, explained by the features that they share and what they do not."""
    from sfnet_core.analysis.consensus_codes import consensus as work
    from sfnet_core.analysis.consensus_report import as_dict, name_features, report
    from sfnet_core.codes.table import SparseCodes

    if any(out.resolve() == path.resolve() for path in codes):
        raise SFNetError(f"{out} is one of the trainings' codes; choose another file for the consensus.")
    with working(as_json):
        files = [SparseCodes.open(path) for path in codes]
        found = work(
            files, target=0 if target is None else target, above=above, least=least,
            split="" if split == "all" else split, seed=seed,
        )  # fmt: skip
        about = as_dict(found, files)
        found.codes.save(out)
        named = name_features(found, SparseCodes.open(out))
    if not as_json:
        print("\n".join(map(line, report(found, about).splitlines())))
    notes = list(found.notes)
    if not named:
        notes.append(
            "What its features are is not written as labels: there are labels already, or they can't be written."
        )
    words = f"Consensus of {len(files)} trainings for {len(found.codes):,} galaxies in {out}"
    finish({"codes": str(out), **about, "notes": notes}, [], as_json, words)
