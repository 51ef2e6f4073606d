"""An atlas as one HTML file that needs no server: style, program, numbers and pictures are in it, and nothing else.

The program is the served page's own front end with :file:`atlas_saved.js` in the place of the kernel. A content policy
in the file lets the browser run that program alone and fetch nothing, so that no text of a catalogue can do anything.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import html
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sfnet_core import __version__
from sfnet_core.errors import SFNetError
from sfnet_core.explorer.atlas.cards import SORTS, Almanac
from sfnet_core.explorer.atlas.head import LEAST_LABELS, status
from sfnet_core.explorer.atlas.saved_about import about, accuracy, rmse_text, written
from sfnet_core.explorer.atlas.saved_contents import MOST_QUANTITIES, Contents, Thumbnails
from sfnet_core.explorer.atlas.state import LEAST, AtlasState
from sfnet_core.explorer.opening import facts
from sfnet_core.explorer.scene import Scene
from sfnet_core.explorer.view import STATIC
from sfnet_core.files import atomic_path

if TYPE_CHECKING:
    from sfnet_core.codes import SparseCodes
    from sfnet_core.survey.dataset import Dataset

__all__ = ["save_page", "write_page"]

STYLES = ("explorer.css", "atlas.css", "atlas_saved.css")
# name in the program → the modules it is made of; each is a scope of its own, as in the browser
VIEWS = {
    "atlasHead": ("keys", "atlas_keys", "atlas_head"),
    "atlasCards": ("atlas_cards",),
    "atlasLeaf": ("atlas_plot", "atlas_leaf"),
    "atlasTables": ("atlas_tables",),
}


def save_page(
    codes: SparseCodes,
    out: str | os.PathLike,
    dataset: Dataset | None = None,
    *,
    split: str | None = None,
    target: int | str = 0,
    features: int | None = None,
    examples: int = 8,
    pixels: int = 128,
    label: Callable[[int], str] | None = None,
    title: str = "",
    date: datetime.datetime | str | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Path:
    """Write the atlas of ``codes`` to the file ``out``, whole or not at all.

    ``split`` (validation by default, '' for all), ``target``, the first ``features`` by mean |contribution| (all by
    default), ``examples`` galaxies in a group, pictures ``pixels`` wide at most; ``label`` names a feature, by default
    from the labels beside the codes. The same input gives the same bytes but for the date, which ``date`` or the
    environment's SOURCE_DATE_EPOCH sets.

    In tables of more than 5,000 galaxies the plots show an even draw, and the page says of how many.
    """
    out = Path(out)
    if codes.path is not None and out.exists() and out.resolve() == codes.path.resolve():
        raise SFNetError(f"{out} is the codes file itself; choose another name for the page.")
    with atomic_path(out) as part, open(part, "w", encoding="utf-8", newline="\n") as handle:
        write_page(
            codes, handle, dataset, split=split, target=target, features=features, examples=examples, pixels=pixels,
            label=label, title=title, date=date, name=out.name, progress=progress,
        )  # fmt: skip
    return out


def write_page(
    codes: SparseCodes,
    handle: IO[str],
    dataset: Dataset | None = None,
    *,
    split: str | None = None,
    target: int | str = 0,
    features: int | None = None,
    examples: int = 8,
    pixels: int = 128,
    label: Callable[[int], str] | None = None,
    title: str = "",
    date: datetime.datetime | str | None = None,
    name: str = "atlas.html",
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """As :func:`save_page`, to an open text file."""
    for words, value, least, most in (
        ("features", features, 1, 32_767), ("examples", examples, 1, 64), ("pixels", pixels, 16, 512),
    ):  # fmt: skip
        if value is not None and not least <= value <= most:
            raise SFNetError(f"--{words} is a number from {least} to {most:,}, not {value}.")
    date = written(date)
    scene = Scene(codes)
    almanac = Almanac(scene)
    target = codes.target_index(target)
    state = _state(scene, split, target)
    pictures = Thumbnails(codes, dataset, pixels)
    label = label or naming(codes)
    title = title or f"{codes.path.stem if codes.path else 'SFNet'} · atlas"
    contents = Contents(almanac, state, pictures, label, features=features, examples=examples)
    style, script = styles(), program()
    handle.write(_head(title, style, script))
    for done, (feature, page, fresh) in enumerate(contents.pages(), start=1):
        handle.write(_block(f"f{feature}", page))
        if fresh:
            handle.write(_block(f"p{feature}", fresh))
        progress(done, len(contents.features))
    more = contents.more_pictures()
    if more:
        handle.write(_block("p-1", more))
    found = accuracy(almanac, state)
    rmse = rmse_text(found, scene.unit(target))
    index = contents.index()
    index["head"] = {
        "title": title,
        "facts": facts(codes),
        "status": " · ".join(filter(None, [status(almanac, state), rmse])),
        "warn": bool((codes.split == "train").any()) and not state.split,
        "sorts": [[key, words] for key, (words, _) in SORTS.items()],
        "leasts": [[key, LEAST_LABELS[key], LEAST[key]] for key in LEAST],
    }
    options = {"features": (features, None), "examples": (examples, 8), "pixels": (pixels, 128)}
    command = _command(codes, dataset, name, state, options)
    index["about"] = about(
        almanac, state, found, date=date, command=command, shown=len(contents.features), notes=_notes(contents, dataset)
    )
    handle.write(_block("index", index))
    handle.write(f"<script>{script}</script>\n</body>\n</html>\n")


def naming(codes: SparseCodes) -> Callable[[int], str]:
    """Names of features as the pages have them: the number, and the label given beside the codes."""
    from sfnet_core.labels import LabelBook

    entries = LabelBook.open(codes).features

    def name(feature: int) -> str:
        label = entries[feature].label if feature in entries else ""
        return f"f{feature} {label}" if label else f"f{feature}"

    return name


def _state(scene: Scene, split: str | None, target: int) -> AtlasState:
    codes = scene.codes
    if split is None:
        split = "validation" if "validation" in scene.splits else ""
    if split and split not in scene.splits:
        have = ", ".join(scene.splits) or "none"
        raise SFNetError(f"These codes have no split {split[:40]!r}; they have: {have}. `all` takes every galaxy.")
    if not len(scene.rows(split)):
        raise SFNetError("These codes hold no galaxies; there is no atlas to write.")
    state = AtlasState(codes.features, len(codes), scene.splits, len(codes.targets), codes.indices.shape[1], k=codes.k)
    against = "truth" if "truth" in scene.quantities else "prediction"
    state.change(split=split, target=target, sort="contribution", against=against)
    return state


def _notes(contents: Contents, dataset: Dataset | None) -> list[str]:
    notes = []
    if dataset is not None:
        notes.append(f"{contents.pictures:,} pictures.")
    if contents.sampled:
        notes.append(
            "The plots show an even draw of the galaxies, at least 1,000 of those on which a feature fires where there "
            "are so many; all numbers and lines are of all galaxies."
        )
    left_out = len(contents.sheet.choices()) - MOST_QUANTITIES
    if left_out > 0:
        notes.append(f"{left_out} catalogue columns are not among the quantities to draw against.")
    return notes


def _command(codes: SparseCodes, dataset: Dataset | None, name: str, state: AtlasState, options: dict) -> str:
    """The shell's command that gives this page again, with names of files instead of paths."""
    words = ["sfnet", "export", codes.path.name if codes.path else "CODES.parquet", name]
    words += ["--dataset", dataset.path.name] if dataset is not None and getattr(dataset, "path", None) else []
    words += ["--split", state.split or "all"]
    words += ["--target", codes.targets[state.target]] if state.target else []
    for option, (value, usual) in options.items():
        words += [f"--{option}", str(value)] if value != usual else []
    return shlex.join(words)


# -- the file ------------------------------------------------------------------------------------------------------


def as_json(value: Any) -> str:
    """JSON that can stand inside a script element: no character in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _block(name: str, value: Any) -> str:
    return f'<script type="application/json" id="sf-{name}">{as_json(value)}</script>\n'


def styles() -> str:
    """The page's style sheet."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in STYLES)


def program() -> str:
    """The page's program: the served page's modules, each in a scope of its own, and what takes the kernel's place."""

    def read(part: str) -> str:
        return (STATIC / f"{part}.js").read_text(encoding="utf-8")

    parts = ["(() => {", '"use strict";', read("common"), read("atlas_common")]
    for name, modules in VIEWS.items():
        body = "\n".join(map(read, modules))
        if body.count("export default { render };") != 1:
            raise SFNetError("This installation's front end is not whole; install sfnet-core again.")
        parts += [
            f"const {name} = (() => {{",
            body.replace("export default", "return"),
            "})();",
        ]
    script = "\n".join([*parts, read("atlas_saved"), "})();"])
    if "</script" in script.lower() or "<!--" in script:
        raise SFNetError("This installation's front end can't stand in a page; install sfnet-core again.")
    return script


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _head(title: str, style: str, script: str) -> str:
    # blob: are figures that the page itself draws and saves; nothing can be fetched from anywhere
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src 'sha256-{_hash(style)}'; "
        f"script-src 'sha256-{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="sfnet-core {__version__}">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body data-saved="1">
<main class="sf-root sf-atlas" id="sf-atlas"></main>
<noscript><p>This atlas is drawn by a program inside this file: allow scripts for it, then open it again.</p></noscript>
"""
