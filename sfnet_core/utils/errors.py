"""What goes wrong because of the input, said so that a user can act on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass


class SFNetError(Exception):
    """The user's mistake: one clear sentence with what was wrong, where, and what to do next.

    The shell commands print the sentence without a traceback and exit with status 2.
    """


@dataclass(frozen=True)
class SetAside:
    """One row or file left out of a batch, and why; the batch goes on without it.

    ``row`` counts the catalogue's data rows from 1 (``None`` where there is no row), ``file`` is a path relative
    to the folder the user named.
    """

    reason: str
    row: int | None = None
    id: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        where = [f"row {self.row}" if self.row is not None else "", self.id or "", self.file or ""]
        return f"{' · '.join(w for w in where if w)}: {self.reason}"

    def as_dict(self) -> dict:
        """The record without its empty fields, for JSON."""
        return {key: value for key, value in asdict(self).items() if value is not None}
