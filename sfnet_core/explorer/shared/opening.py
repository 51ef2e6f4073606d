"""The door of every page: which codes and dataset it opens on, what it says of them, or why it can't open."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets

from sfnet_core.codes.table import SparseCodes, check_dataset
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset

__all__ = ["Opened", "Sentence", "facts", "open_codes", "or_sentence", "served", "show"]


class Opened(NamedTuple):
    """What a page opens on."""

    codes: SparseCodes
    dataset: Dataset | None
    title: str
    notes: list[str]  # sentences the page says at once


def open_codes(codes: Any = None, dataset: Any = None, *, allow_mismatch: bool = False) -> Opened:
    """Codes and dataset from paths or open objects, else from the environment, else the embedded simulated sample.

    The environment is what ``sfnet explore`` was given: ``SFNET_CODES``, ``SFNET_DATASET``, ``SFNET_ALLOW_MISMATCH``.
    Raises :class:`SFNetError` where one can't be opened or the dataset is not the one that the codes were made from.
    """
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset

    codes = os.environ.get("SFNET_CODES") or None if codes is None else codes
    dataset = os.environ.get("SFNET_DATASET") or None if dataset is None else dataset
    allow_mismatch = allow_mismatch or bool(os.environ.get("SFNET_ALLOW_MISMATCH"))
    title = ""
    if codes is None:
        codes, dataset, title = sample_codes(), sample_dataset(), "embedded sample"
    if isinstance(codes, str | os.PathLike):
        title = Path(codes).stem
        codes = SparseCodes.open(codes, shared=True)
    if isinstance(dataset, str | os.PathLike):
        dataset = Dataset.open(dataset)
    mismatch = None if dataset is None else check_dataset(codes, dataset, allow=allow_mismatch)
    return Opened(codes, dataset, title, [mismatch] if mismatch else [])


def facts(codes: SparseCodes) -> list[str]:
    """What stands beside the title: whose data and whose weights these are."""
    provenance = codes.provenance
    targets = ", ".join(f"{name} [{unit}]" if unit else name for name, unit in codes.units.items())
    out = [
        f"{len(codes):,} galaxies",
        f"k = {codes.k} of {codes.features} features",
        f"target {targets}",
        f"weights: {provenance.get('weights') or 'origin not recorded'}",
    ]
    if provenance.get("dataset"):
        out.append(f"data: {provenance['dataset']}")
    return [*out, *provenance.get("notes", [])]


class Sentence:
    """What a visitor of the served page sees instead of a traceback: one readable sentence (``sf-notice``)."""

    def __init__(self, text: str):
        self.widget = ipywidgets.HTML(f'<div class="sf-page sf-notice" role="alert">{html.escape(text)}</div>')

    def _ipython_display_(self) -> None:
        show(self.widget)


def or_sentence(make: Callable[[], Any]) -> Any:
    """What ``make()`` gives; on a served page a user's mistake becomes a :class:`Sentence`, elsewhere it is raised."""
    if not served():
        return make()
    try:
        return make()
    except SFNetError as error:
        return Sentence(without_folders(str(error)))


def without_folders(words: str) -> str:
    """The sentence with the names of files, not the folders they are in: those are the server's business."""
    return re.sub(r"(?<![\w./~])(?:~|[A-Za-z]:)?[/\\](?:[^/\\\s:;,'\"<>]+[/\\])+(?=[^\s/\\])", "", words)


def served() -> bool:
    """Whether this kernel's page is one of ours, served by ``sfnet explore``."""
    return bool(os.environ.get("SFNET_BOKEH_ON_PAGE"))


def show(widget: ipywidgets.Widget, *, bokeh: bool = False) -> None:
    """Display a page; with figures, BokehJS first where our own Voilà template has not brought it (JupyterLab)."""
    from IPython.display import display

    if bokeh and not served():
        from bokeh.io import output_notebook
        from bokeh.resources import Resources

        output_notebook(Resources(mode="inline", components=["bokeh"]), hide_banner=True)
    display(widget)
