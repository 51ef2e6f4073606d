"""The atlas as one HTML file that needs no server: what goes on it, and its frame.

Its program is the served page's own front end; the data come from the file (:file:`embedded.js`), not from a kernel. A
content policy in the file lets the browser run that program alone and fetch nothing, so that no text of a catalogue can
do anything.
"""

from __future__ import annotations

import datetime
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sfnet_core.analysis.feature_statistics import FeatureStatistics, checked_view
from sfnet_core.analysis.stability.summary import FeatureStability
from sfnet_core.data.pictures import Pictures
from sfnet_core.explorer.atlas.common import LEAST, AtlasState, front_end
from sfnet_core.explorer.atlas.feature_page import FeaturePage
from sfnet_core.explorer.atlas.overview import LEAST_LABELS, AtlasHead, CardGrid, Tables, status
from sfnet_core.explorer.atlas.saved_data import MOST_QUANTITIES, Contents
from sfnet_core.explorer.shared.label_editor import LabelEditor
from sfnet_core.explorer.shared.opening import facts
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.view import source
from sfnet_core.figures import html_frame
from sfnet_core.figures.provenance import about, accuracy, date_text, rmse_text
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["Choices", "as_json", "export_page", "save_page", "state_of", "write_page"]

LARGE = 30_000_000  # bytes, above which the shell says how to make the page smaller


@dataclass(frozen=True)
class Choices:
    """What goes on the page.

    ``split`` (validation by default, '' for all), ``target`` by name or number, the first ``features`` by mean
    |contribution| (all by default), ``examples`` galaxies in a group, pictures at most ``pixels`` wide.
    """

    split: str | None = None
    target: int | str = 0
    features: int | None = None
    examples: int = 8
    pixels: int = 128

    def check(self) -> None:
        """:class:`SFNetError` for a number that makes no page."""
        for name, least, most in (("features", 1, 32_767), ("examples", 1, 64), ("pixels", 16, 512)):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise SFNetError(f"--{name} is a number from {least} to {most:,}, not {value}.")


def save_page(codes: SparseCodes, out: str | os.PathLike, dataset: Dataset | None = None, **how: Any) -> Contents:
    """Write the atlas of ``codes`` to the file ``out``, whole or not at all; ``how``: as of :func:`write_page`."""
    out = Path(out)
    if codes.path is not None and out.exists() and out.resolve() == codes.path.resolve():
        raise SFNetError(f"{out} is the codes file itself; choose another name for the page.")
    with atomic_path(out) as part, open(part, "w", encoding="utf-8", newline="\n") as handle:
        return write_page(codes, handle, dataset, name=out.name, **how)


def write_page(
    codes: SparseCodes,
    handle: IO[str],
    dataset: Dataset | None = None,
    *,
    choices: Choices | None = None,
    naming: LabelEditor | None = None,
    title: str = "",
    notes: Sequence[str] = (),
    date: datetime.datetime | str | None = None,
    name: str = "atlas.html",
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Contents:
    """Write the atlas of ``codes`` to an open text file; gives what is on it.

    ``naming`` has the labels, by default those beside the codes; ``notes`` are sentences for the reader; ``name`` is
    the file's, in the command that the page tells. The same input gives the same bytes but for the date, which ``date``
    or the environment's SOURCE_DATE_EPOCH sets.

    In tables of more than 5,000 galaxies the plots show an even draw, and the page says of how many.
    """
    choices = choices or Choices()
    choices.check()
    date = date_text(date)
    scene, statistics = Scene(codes), FeatureStatistics(codes, FeatureStability.beside(codes))
    state = state_of(scene, choices)
    naming = naming or LabelEditor(codes, state)
    title = title or f"{codes.path.stem if codes.path else 'SFNet'} · atlas"
    pictures = Pictures(codes, dataset, choices.pixels)
    if dataset is None:
        pictures.why = "No images: this page was written without its dataset."
    contents = Contents(
        statistics, scene, state, pictures, naming, features=choices.features, examples=choices.examples
    )
    handle.write(opening(title))
    for done, (feature, page, fresh) in enumerate(contents.pages(), start=1):
        handle.write(block(f"f{feature}", page))
        if fresh:
            handle.write(block(f"p{feature}", fresh))
        progress(done, len(contents.features))
    more = contents.more_pictures()
    if more:
        handle.write(block("p-1", more))
    found = accuracy(statistics, state.split, state.target)
    index = contents.index()
    index["head"] = {
        "title": title,
        "facts": facts(codes),
        "status": " · ".join(
            filter(None, [status(statistics, state), rmse_text(found, statistics.unit(state.target))])
        ),
        "warn": bool((codes.split == "train").any()) and not state.split,
        "sorts": [[key, words] for key, words in statistics.sorts().items()],
        "leasts": [[key, LEAST_LABELS[key], LEAST[key]] for key in LEAST],
        "notices": list(notes),
    }
    index["about"] = about(
        statistics, state.split, state.target, found, date=date, command=_command(codes, dataset, name, state, choices),
        shown=len(contents.features), notes=[*_remarks(contents, dataset), *notes],
    )  # fmt: skip
    handle.write(block("index", index))
    handle.write(ending())
    return contents


def export_page(
    codes: str | os.PathLike,
    out: str | os.PathLike,
    dataset: str | os.PathLike | None = None,
    *,
    allow_mismatch: bool = False,
    progress: bool = True,
    **choices: Any,
) -> tuple[dict, str]:
    """``sfnet export CODES OUT.html``: what was written, as a dictionary and as a sentence with its size."""
    from tqdm import tqdm

    from sfnet_core.codes.table import SparseCodes, check_dataset
    from sfnet_core.data.dataset import Dataset

    if choices.get("split") == "all":
        choices["split"] = ""
    opened = SparseCodes.open(codes)
    images = None if dataset is None else Dataset.open(dataset)
    mismatch = None if images is None else check_dataset(opened, images, allow=allow_mismatch)
    notes = [mismatch] if mismatch else []
    with tqdm(desc="atlas", unit=" features", disable=not progress, file=sys.stderr, delay=0.5) as bar:

        def show(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        contents = save_page(opened, out, images, choices=Choices(**choices), notes=notes, progress=show)
    notes = [*notes, *contents.remarks]
    size, features, pictures = Path(out).stat().st_size, len(contents.features), contents.pictures
    found = {"page": str(out), "bytes": size, "features": features, "pictures": pictures, "notes": notes}
    words = f"Atlas of {features:,} features with {pictures:,} pictures in {out}: {size / 1e6:.1f} MB"
    return found, words + (". --features, --examples or --pixels make it smaller" if size > LARGE else "")


def state_of(scene: Scene, choices: Choices) -> AtlasState:
    """The atlas state that these choices mean; :class:`SFNetError` for a split or target that is not there."""
    codes = scene.codes
    split, target = checked_view(codes, choices.split, choices.target)
    state = AtlasState(codes.features, len(codes), scene.splits, len(codes.targets), codes.indices.shape[1], k=codes.k)
    against = "truth" if "truth" in scene.quantities else "prediction"
    state.change(split=split, target=target, sort="contribution", against=against)
    return state


def _remarks(contents: Contents, dataset: Dataset | None) -> list[str]:
    notes = []
    if dataset is not None:
        notes.append(f"{contents.pictures:,} pictures.")
    if contents.sampled:
        notes.append(
            "The plots show an even draw of the galaxies, at least 1,000 of those on which a feature fires where there "
            "are so many; all numbers and lines are of all galaxies."
        )
    left_out = len(contents.parts.choices(contents.state)) - MOST_QUANTITIES
    if left_out > 0:
        notes.append(f"{left_out} catalogue columns are not among the quantities to draw against.")
    return notes


def _command(codes: SparseCodes, dataset: Dataset | None, name: str, state: AtlasState, choices: Choices) -> str:
    """The shell's command that gives this page again, with names of files instead of paths."""
    words = ["sfnet", "export", codes.path.name if codes.path else "CODES.parquet", name]
    words += ["--dataset", dataset.path.name] if dataset is not None and getattr(dataset, "path", None) else []
    words += ["--split", state.split or "all"]
    words += ["--target", codes.targets[state.target]] if state.target else []
    for option in ("features", "examples", "pixels"):
        value = getattr(choices, option)
        words += [f"--{option}", str(value)] if value != getattr(Choices, option) else []
    return shlex.join(words)


# ---- its frame: style, program, and data that no program but ours reads

STYLES = ("shared/explorer.css", "shared/notes.css", "atlas/atlas.css", "atlas/saved.css")
# The views by their names in the program.
VIEWS = {"atlasHead": AtlasHead, "atlasCards": CardGrid, "atlasFeature": FeaturePage, "atlasTables": Tables}


def as_json(value: Any) -> str:
    """JSON that can stand inside a script element: no character in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def block(name: str, value: Any) -> str:
    """A data block of the page."""
    return f'<script type="application/json" id="sf-{name}">{as_json(value)}</script>\n'


@lru_cache(maxsize=1)
def styles() -> str:
    """The page's style sheet."""
    return "\n".join(source(name) for name in STYLES)


@lru_cache(maxsize=1)
def program() -> str:
    """The page's program: the served page's modules, each in a scope of its own, and what takes the kernel's place."""

    shared = front_end()
    parts = ["(() => {", '"use strict";', shared]
    for name, view in VIEWS.items():
        body = str(view._esm)
        if not body.startswith(shared) or body.count("export default { render };") != 1:
            raise SFNetError("This installation's front end is incomplete; install sfnet-core again.")
        body = body.removeprefix(shared).replace("export default", "return")
        parts += [f"const {name} = (() => {{", body, "})();"]
    own = [source(name) for name in ("atlas/galaxy_card.js", "atlas/embedded.js")]
    script = "\n".join([*parts, *own, "})();"])
    if "</script" in script.lower() or "<!--" in script:
        raise SFNetError("This installation's front end can't be embedded in a page; install sfnet-core again.")
    return script


def ending() -> str:
    """The end of the page: its program, which finds the data blocks before it."""
    return f"<script>{program()}</script>\n</body>\n</html>\n"


def opening(title: str) -> str:
    """The page up to its data blocks."""
    head = html_frame.opening(title, styles(), program())
    return f"""{head}<body data-saved="1">
<main class="sf-root sf-atlas" id="sf-atlas"></main>
<noscript><p>This atlas is drawn by a program inside this file: allow scripts for it, then open it again.</p></noscript>
"""
