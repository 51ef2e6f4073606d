"""The shell's verbs on codes: evaluate, export. What they need is imported inside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import Codes, Json, Quiet, Seed
from sfnet_core.cli.words import finish, working
from sfnet_core.utils.errors import SFNetError

__all__ = ["evaluate", "export"]


def evaluate(
    codes: Codes,
    intervals: Annotated[int, typer.Option(help="Bootstrap resamples for the 95 % intervals; 0 for none.")] = 1000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Report how good the predictions are: RMSE, NMAD, R², bias and outliers by split, with intervals."""
    from sfnet_core.analysis.evaluation import evaluate as work
    from sfnet_core.analysis.evaluation import report
    from sfnet_core.codes.table import SparseCodes

    found = work(SparseCodes.open(codes), intervals=max(intervals, 0), seed=seed)
    print(json.dumps(found, ensure_ascii=False, allow_nan=False) if as_json else report(found))


def export(
    codes: Codes,
    out: Annotated[Path, typer.Argument(help="OUT.csv, .ecsv, .vot, .fits or .parquet: a table. OUT.html: the atlas.")],
    dataset: Annotated[Path | None, typer.Option(help="Atlas: the dataset, for the images.")] = None,
    split: Annotated[str | None, typer.Option(help="Atlas: train, validation, test or all.")] = None,
    target: Annotated[str | None, typer.Option(help="Atlas: which target; by default the first.")] = None,
    features: Annotated[int | None, typer.Option(help="Atlas: only this many features, the strongest.")] = None,
    examples: Annotated[int | None, typer.Option(help="Atlas: galaxies in a group of examples (8).")] = None,
    pixels: Annotated[int | None, typer.Option(help="Atlas: widest image in pixels (128).")] = None,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Atlas: images of a dataset the codes were not made from.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write codes as a flat table for other programs, or their atlas as one HTML page that needs no server."""
    from sfnet_core.codes.table import SparseCodes

    given = {"split": split, "target": target, "features": features, "examples": examples, "pixels": pixels}
    given = {name: value for name, value in given.items() if value is not None}
    if out.suffix.lower() in (".html", ".htm"):
        from sfnet_core.explorer.atlas.saved import export_page

        with working(as_json):
            about, words = export_page(
                codes, out, dataset, allow_mismatch=allow_mismatch, progress=not quiet, **given
            )  # fmt: skip
        return finish(about, [], as_json, words)
    if dataset is not None or given:
        raise SFNetError(f"--{next(iter(given), 'dataset')} is for an atlas, OUT.html; {out.name} is a table.")
    from sfnet_core.analysis.tables import export as work

    with working(as_json):
        opened = SparseCodes.open(codes)
        work(opened, out)
    return finish(
        {"table": str(out), "galaxies": len(opened)}, [], as_json, f"{len(opened):,} galaxies written to {out}"
    )
