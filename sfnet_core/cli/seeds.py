"""The shell's verbs for several trainings: seeds match, stability, consensus; what they need is imported inside."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import Codes, Json, Seed, SharedSplit, Target
from sfnet_core.cli.words import finish, line, say, working
from sfnet_core.utils.errors import SFNetError

__all__ = ["seeds"]

seeds = typer.Typer(help="Compare trainings from several seeds: match, stability, consensus.", no_args_is_help=True)


@seeds.command()
def match(
    codes: Codes,
    other: Annotated[Path, typer.Argument(help="Codes of the same galaxies from another training.")],
    split: SharedSplit = None,
    carry_labels: Annotated[
        bool, typer.Option("--carry-labels", help="Copy OTHER's feature labels to their counterparts above 0.9.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Match the features of two trainings by their activations."""
    from sfnet_core.analysis.stability import matching
    from sfnet_core.codes.table import SparseCodes

    one, two = SparseCodes.open(codes), SparseCodes.open(other)
    found = matching.match_features(one, two, split="" if split == "all" else split, seed=seed)
    carried = matching.carry_labels(one, two, found.pairs()) if carry_labels else None
    if as_json:
        print(json.dumps(matching.as_dict(found) | {"labels_carried": carried}, ensure_ascii=False, allow_nan=False))
        return
    print(matching.report(found))
    if carried is not None:
        print(f"{carried} labels carried over")


@seeds.command()
def stability(
    codes: Codes,
    others: Annotated[list[Path], typer.Argument(help="Codes of the same galaxies from other trainings.")],
    out: Annotated[
        Path | None, typer.Option(help="The .json file to write; by default CODES.stability.json beside the codes.")
    ] = None,
    split: SharedSplit = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure how stable each feature is: find it in other trainings. The pages then show its score."""
    from sfnet_core.analysis.stability.file import stability_path, write_stability
    from sfnet_core.analysis.stability.seeds import report
    from sfnet_core.analysis.stability.seeds import stability as work
    from sfnet_core.codes.table import SparseCodes

    opened = [SparseCodes.open(path) for path in (codes, *others)]
    found = work(opened[0], opened[1:], split="" if split == "all" else split, seed=seed)
    folder = os.environ.get("SFNET_LABELS")
    place = out or (stability_path(Path(folder) / codes.name) if folder else stability_path(codes))
    try:
        write_stability(place, found)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise SFNetError(
            f"{place} can't be written: the folder or the file is read-only. Set SFNET_LABELS to a folder of your own, "
            "where the pages look too, or name a file with --out."
        ) from None
    if as_json:
        print(json.dumps(found.as_dict() | {"file": str(place)}, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(map(line, report(found).splitlines())))
        print(line(f"Written to {place}"))
    for note in found.notes:
        say(f"Note: {note}")


@seeds.command()
def consensus(
    codes: Annotated[list[Path], typer.Argument(help="Codes of the same galaxies from two trainings or more.")],
    out: Annotated[Path, typer.Option(help="The codes file to write (.parquet); the pages open it.")],
    above: Annotated[float, typer.Option(help="Mean correlation above which features are grouped.")] = 0.9,
    least: Annotated[
        int | None,
        typer.Option(help="Least number of trainings that a shared feature is in; by default more than half."),
    ] = None,
    target: Target = None,
    split: SharedSplit = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Average several trainings, explained by the features that they share and those that they do not."""
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
