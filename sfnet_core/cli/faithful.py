"""The shell's verb for how far the explanations explain: faithful. What it needs is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfnet_core.cli.options import Codes, Device, Json, OtherImages, Quiet, Seed, Split, Target
from sfnet_core.cli.words import finish, line, need_torch, working
from sfnet_core.utils.errors import SFNetError

__all__ = ["faithful"]


def faithful(
    codes: Codes,
    out: Annotated[Path, typer.Option(help="Folder for faithful.html, its tables and intermediate results.")],
    run: Annotated[Path | None, typer.Option(help="The run behind the codes, to cover regions of images.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="The codes' dataset: regions, colours, winding.")] = None,
    classes: Annotated[str | None, typer.Option(help="Column whose classes are probed; several with commas.")] = None,
    mirrored: Annotated[
        str | None, typer.Option(help="Two classes that a mirror swaps, as spiral_cw,spiral_acw: handedness.")
    ] = None,
    split: Split = None,
    target: Target = None,
    galaxies: Annotated[int, typer.Option(help="Galaxies whose regions are covered.")] = 200,
    cover: Annotated[str, typer.Option(help="What a covered region shows: sky, blur, or both with a comma.")] = "sky",
    draws: Annotated[int, typer.Option(help="Random orders of regions per galaxy.")] = 5,
    seed: Seed = 0,
    device: Device = "auto",
    allow_mismatch: OtherImages = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Test whether the explanations explain: features ablated beside random ones, regions covered, classes probed with
    a few features, correlations at fixed colour. One page. After Ctrl-C the same command continues.
    """
    from sfnet_core.codes.table import SparseCodes, check_dataset
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.reports.faithful.page import folder, write
    from sfnet_core.reports.faithful.runner import faithful as work
    from sfnet_core.reports.faithful.wording import FILLS, sentences

    fills, pair = _words(cover), None if mirrored is None else _words(mirrored)
    if not fills or not set(fills) <= set(FILLS):
        raise SFNetError(f"--cover is sky, blur or sky,blur, not {cover!r}.")
    if pair is not None and (len(pair) != 2 or pair[0] == pair[1]):
        raise SFNetError(f"--mirrored names two classes with a comma between them, not {mirrored!r}.")
    if pair is not None and classes is None:
        raise SFNetError("--mirrored needs the column of its classes: name it with --classes.")
    if run is not None:
        need_torch("faithful --run")
    with working(as_json):
        opened, out = SparseCodes.open(codes), folder(out)
        images = None if dataset is None else Dataset.open(dataset)
        mismatch = None if images is None else check_dataset(opened, images, allow=allow_mismatch)
        found = work(
            opened, dataset=images, run=run, classes=_words(classes or ""),
            mirrored=(pair[0], pair[1]) if pair else None, galaxies=galaxies,
            split="" if split == "all" else split, target=0 if target is None else target,
            fills=fills, draws=draws, seed=seed, device=device, work=out / "parts", progress=not quiet,
        )  # fmt: skip
        found["about"]["notes"] += [mismatch] if mismatch else []
        files = write(found, out)
    said = [words for _, words in sentences(found)]
    missing = [f"{name}: {found[name]['missing']}" for name in found if "missing" in found[name]]
    about = {"page": str(files[0]), "files": [str(path) for path in files], "found": said, "notes": missing}
    if not as_json:
        print("\n".join(map(line, said)), end="\n\n" if said else "")
    finish(about, [], as_json, f"The page: {files[0]}")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
