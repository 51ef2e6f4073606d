"""The report as a whole: its parts in the paper's order, written so that the HTML file is last and whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfnet_core.analysis.feature_statistics import FeatureStatistics, checked_view
from sfnet_core.annotations.labels import LabelBook, own_labels_path
from sfnet_core.data.pictures import Pictures
from sfnet_core.figures.html_frame import Part, as_csv, page
from sfnet_core.figures.plot import check_matplotlib
from sfnet_core.figures.provenance import about, accuracy, date_text
from sfnet_core.reports.paper import accuracy as fits
from sfnet_core.reports.paper import bpt, features
from sfnet_core.reports.paper.basis import Basis
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import write_text

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["PAGE", "Written", "write_report"]

PAGE = "report.html"


@dataclass
class Written:
    """What was written: the page, the CSV files, the parts that could not be made with the reasons."""

    page: Path
    tables: list[Path]
    missing: dict[str, list[str]]
    notes: list[str]


def write_report(
    codes: SparseCodes,
    out: str | os.PathLike,
    dataset: Dataset | None = None,
    *,
    run: str | os.PathLike | None = None,
    split: str | None = None,
    target: int | str = 0,
    notes: list[str] | None = None,
    date: str | None = None,
    progress: Callable[[str], None] = lambda title: None,
) -> Written:
    """Write the paper's figures and tables of codes: ``report.html`` and CSV files.

    Parameters
    ----------
    codes
        What inference gave.
    out
        The folder.
    dataset
        For the pictures.
    run
        The training's folder, for its curves.
    split
        Validation by default, '' for all galaxies.
    target
        Its name or number.
    notes
        Sentences for the reader.
    date
        As of :func:`sfnet_core.figures.provenance.date_text`.
    progress
        Called with each part's title.

    Returns
    -------
    Written
        What was written.

    Raises
    ------
    SFNetError
        ``out`` is a file, or the codes have no such split or target.
    """
    check_matplotlib()
    out, notes = Path(out), list(notes or [])
    if out.exists() and not out.is_dir():
        raise SFNetError(f"{out} is a file; --out names a folder for the report and its tables.")
    statistics = FeatureStatistics(codes)
    split, target = checked_view(codes, split, target)
    labels = LabelBook.open(codes, own_labels_path(codes))
    basis = Basis(statistics, split, target, labels.name, Pictures(codes, dataset, 96))
    history, why, source = fits.history_of(codes, None if run is None else Path(run))
    makers: list[Callable[[], Part]] = [
        lambda: fits.losses(basis, history, why),
        *(lambda make=make: make(basis) for make in (
            features.listed, features.strips, features.against_target, fits.predicted, bpt.diagrams, features.typical,
            features.matrix, features.columns_table, features.variance, bpt.classifiers, bpt.ratios, fits.by_k,
        )),
    ]  # fmt: skip
    parts = []
    for make in makers:
        parts.append(make())
        progress(parts[-1].title)
    facts = about(
        statistics, split, target, accuracy(statistics, split, target), date=date_text(date), command="sfnet report",
        shown=len(basis.table["feature"]), notes=[f"Errors by epoch from {source}."] if source else [],
    )  # fmt: skip
    kind = "simulated galaxies" if codes.simulated else "observed galaxies"
    title = f"{codes.path.stem if codes.path else 'SFNet'} · report"
    lead = f"{basis.where}, {kind}; target {basis.axis(basis.name)}. "
    lead += f"Activations are those that pass the gate (k = {codes.k})."
    tables = [table for part in parts for table in part.tables]
    for table in tables:
        write_text(out / table.file, as_csv(table))
    write_text(out / PAGE, page(title, facts, [lead, *notes], parts))
    missing = {part.title: part.missing for part in parts if part.missing}
    return Written(out / PAGE, [out / table.file for table in tables], missing, notes)
