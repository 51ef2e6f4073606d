"""Where each feature fires: rows by feature and slot, as in a compressed sparse column matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["FeatureIndex"]


class FeatureIndex:
    """The galaxies on which a feature stands in each slot; a slot's list is made when it is first asked for.

    Codes opened as shared keep the lists beside them, mapped: 4 bytes a galaxy and slot, once for all sessions.
    """

    def __init__(self, codes: SparseCodes) -> None:
        self._codes = codes
        self._rows: dict[int, np.ndarray] = {}
        self._starts: dict[int, np.ndarray] = {}

    def _slot(self, slot: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows ordered by the feature in this slot, and where each feature's begin, (F + 1,)."""
        if slot not in self._rows:
            codes = self._codes

            def order() -> np.ndarray:
                column = np.ascontiguousarray(codes.indices[:, slot])
                return np.argsort(column, kind="stable").astype(np.int32)

            def starts() -> np.ndarray:
                column = codes.indices[:, slot].astype(np.int64) + 1
                return np.cumsum(np.bincount(column, minlength=codes.features + 1))

            self._rows[slot] = codes.derived(f"rows-by-feature-{slot}", order)
            self._starts[slot] = codes.derived(f"starts-by-feature-{slot}", starts)
        return self._rows[slot], self._starts[slot]

    def count(self, feature: int, slots: int) -> int:
        """How many galaxies have the feature in one of the first ``slots`` slots."""
        return sum(int(starts[feature + 1] - starts[feature]) for _, starts in map(self._slot, range(slots)))

    def rows(self, feature: int, slots: int) -> np.ndarray:
        """Those galaxies' rows, each once, in no particular order."""
        parts = [rows[starts[feature] : starts[feature + 1]] for rows, starts in map(self._slot, range(slots))]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
