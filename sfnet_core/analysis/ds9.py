"""A selection for other programs: DS9 regions, :mod:`~sfnet_core.analysis.tables`, and a caption beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.tables import FORMATS, export
from sfnet_core.codes.check import rows_of
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import write_text

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["SELECTION_FORMATS", "caption", "export_selection", "origin", "region_text", "write_regions"]

SELECTION_FORMATS = (*FORMATS, ".reg")
COLOURS = ("black", "white", "red", "green", "blue", "cyan", "magenta", "yellow")  # the names that DS9 has
_BREAK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # would end a line, and begin a command
_QUOTES = ("{}", '""', "''")


def region_text(codes: SparseCodes, rows: Any, *, radius: float = 5.0, colour: str = "cyan", comment: str = "") -> str:
    """A DS9 region file (format 4.1) of circles in FK5, one a galaxy, with its identifier beside it.

    ``radius`` in arcsec; ``comment``: lines at the top, such as a :func:`caption`. RA and Dec are in deg to 10⁻⁷ (less
    than a mas). Galaxies without a position are left out, and a comment says how many. An identifier can't leave its
    place: it is quoted with braces or quotes that it does not hold, line ends become spaces, and of one that holds all
    three kinds of quotes the braces become parentheses (https://ds9.si.edu/doc/ref/region.html).

    Raises :class:`SFNetError` where the codes have no RA and Dec, none of the rows has them, or the radius is no size.
    """
    if colour not in COLOURS:
        raise SFNetError(f"DS9 has no colour {str(colour)[:40]!r}; choose {', '.join(COLOURS)}.")
    if not (np.isfinite(radius) and 0 < radius <= 36_000):
        raise SFNetError(f"A circle's radius is more than 0 and at most 36,000 arcsec, not {radius}.")
    if codes.ra is None or codes.dec is None:
        raise SFNetError("These galaxies have no RA and Dec, so there are no regions of them; export a table instead.")
    rows = rows_of(rows, len(codes))
    known = np.isfinite(codes.ra[rows]) & np.isfinite(codes.dec[rows]) & (np.abs(codes.dec[rows]) <= 90)
    if not known.any():
        raise SFNetError("None of these galaxies has a position, so there are no regions of them.")
    lines = ["# Region file format: DS9 version 4.1"]
    lines += [f"# {_BREAK.sub(' ', line)}" for line in comment.splitlines() if line.strip()]
    if missing := int((~known).sum()):
        lines.append(f"# {missing} without RA and Dec left out")
    lines += [f"global color={colour} width=1", "fk5"]
    size = f"{radius:.4f}".rstrip("0").rstrip(".")
    rows = rows[known]
    ra = np.round(np.mod(codes.ra[rows], 360.0), 7) % 360.0  # 359.99999999 is 0, not 360
    for name, x, y in zip(codes.ids[rows].tolist(), ra.tolist(), codes.dec[rows].tolist(), strict=True):
        lines.append(f'circle({x:.7f},{y:.7f},{size}") # text={_quoted(name)}')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text that DS9 reads as one, whatever it holds."""
    text = _BREAK.sub(" ", text)
    for first, last in _QUOTES:
        if first not in text and last not in text:
            return f"{first}{text}{last}"
    return "{" + text.replace("{", "(").replace("}", ")") + "}"


def write_regions(codes: SparseCodes, rows: Any, path: str | os.PathLike, **options: Any) -> Path:
    """Write :func:`region_text` to a file, whole or not at all; the options are the same."""
    path = Path(path)
    write_text(path, region_text(codes, rows, **options))
    return path


def export_selection(codes: SparseCodes, rows: Any, path: str | os.PathLike, *, comment: str = "") -> Path:
    """Write some galaxies (positions or a mask) to a table or a DS9 region file, by the name's ending.

    As :func:`sfnet_core.analysis.tables.export` of those rows, or :func:`write_regions` with ``comment`` at its top.
    Raises :class:`SFNetError` for another ending, and where no galaxy is selected.
    """
    path = Path(path)
    part = codes.take(rows)
    if not len(part):
        raise SFNetError("No galaxy is selected, so there is nothing to export.")
    if path.suffix.lower() == ".reg":
        return write_regions(part, np.arange(len(part)), path, comment=comment)
    if path.suffix.lower() not in SELECTION_FORMATS:
        ending = repr(path.suffix) if path.suffix else "a file without ending"
        raise SFNetError(f"A selection is not exported to {ending}; choose {', '.join(SELECTION_FORMATS)}.")
    return export(part, path)


def caption(
    codes: SparseCodes,
    *,
    n: int,
    split: str = "",
    what: str = "",
    filter: str = "",
    link: str = "",
    more: Iterable[str] = (),
    on: date | None = None,
) -> str:
    """What a figure or an exported table shows, one fact a line: title, n and split, data, weights, date, link.

    ``what``: a title; ``n`` galaxies of ``split`` ('' for all splits); ``filter``: the filter in force; ``link``: the
    page's permalink; ``more``: other lines, such as what the axes are; ``on``: the day (today in UTC). From the codes:
    dataset and its fingerprint, simulated or observed, the weights' origin, the run, k of F features, target and unit.
    Texts stand as they are, on one line each.
    """
    galaxies = "galaxy" if n == 1 else "galaxies"
    kind = "simulated" if codes.simulated else "observed"
    day = on or datetime.now(UTC).date()
    lines = [
        what,
        f"{n:,} {kind} {galaxies}, {f'{split} split' if split else 'all splits'}",
        f"Filter: {filter}" if filter.strip() else "",
        *more,
        *origin(codes),
        f"SFNet, {day.isoformat()}",
        link,
    ]
    return "\n".join(_BREAK.sub(" ", line).strip() for line in lines if line.strip())


def origin(codes: SparseCodes) -> list[str]:
    """Whose data and whose weights: the lines of a :func:`caption` that are the same for every figure of the codes."""
    known = codes.provenance
    units = [f"{name} [{codes.units[name]}]" if codes.units.get(name) else name for name in codes.targets]
    data = _fact(known.get("dataset")) or "dataset of unknown name"
    print_ = _fact(known.get("dataset_fingerprint"))[:12]
    return [
        f"Data: {data}{f' ({print_})' if print_ else ''}; codes {codes.fingerprint[:12]}",
        f"Weights: {_fact(known.get('weights')) or 'of unknown origin'}"
        + (f"; run {_fact(known['run'])}" if known.get("run") else "")
        + f"; k = {codes.k} of {codes.features} features; target {', '.join(units)}",
    ]


def _fact(value: Any) -> str:
    """A provenance entry as a short text; the file may hold anything."""
    return str(value)[:120] if isinstance(value, str | int | float) else ""
