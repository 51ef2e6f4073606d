"""The shell's verb for several trainings: stability. What it needs is imported inside it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import Codes, Json, Seed, SharedSplit
from sfnet_core.cli.words import line, say
from sfnet_core.utils.errors import SFNetError

__all__ = ["stability"]


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
    """How steady is each feature? Finds it again in other trainings; the pages then show its score."""
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
