"""A catalogue as a reader found it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["RawTable"]


@dataclass
class RawTable:
    """Columns of one length as a reader found them: numbers, or text as ``object`` arrays of str.

    ``all_text`` says that nothing has been converted yet, so that the identifier can be taken as it is written.
    """

    columns: dict[str, np.ndarray]
    units: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    all_text: bool = False

    @property
    def n_rows(self) -> int:
        return len(next(iter(self.columns.values()), ()))
