"""``history.csv``: a training's numbers, one row per epoch."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import write_text

__all__ = ["HISTORY", "read_history", "write_history"]

HISTORY = "history.csv"


def read_history(path: Path) -> list[dict[str, float]]:
    """One dict per epoch: ``epoch`` a whole number, the rest in the target's unit; a cell that is empty is left out.

    Empty where there is no file; :class:`SFNetError` where it is no table of numbers or a row lacks its epoch.
    """
    if not path.is_file():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(handle)]
        return [row | {"epoch": int(row["epoch"])} for row in rows]
    except KeyError:
        raise SFNetError(f"{path} is not a history of epochs: a row has no `epoch`.") from None
    except (ValueError, TypeError, OverflowError, UnicodeDecodeError, csv.Error) as error:
        raise SFNetError(f"{path} is not a table of numbers ({error}).") from error


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write the rows atomically, the columns in the order in which they first occur."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())
