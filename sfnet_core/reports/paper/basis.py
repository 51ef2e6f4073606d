"""What every part of the report is made from: the galaxies in view, their activations, what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.bpt import log_ratio
from sfnet_core.astro.emission_lines import LINES, RATIOS, has_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfnet_core.analysis.activation_index import ActivationIndex
    from sfnet_core.analysis.feature_statistics import FeatureStatistics
    from sfnet_core.data.pictures import Pictures

__all__ = ["NO_LINES", "Basis", "pearson"]

NO_LINES = (
    "Not made: these codes hold no fluxes of the four lines. Pack the dataset from a catalogue with the columns "
    f"{', '.join(LINES.values())}, then run `sfnet infer` again."
)
DRAWN = 2000  # points of a figure; more are an even draw


@dataclass
class Basis:
    """One report's galaxies (``split``, '' for all) and target; activations are those that pass the gate."""

    statistics: FeatureStatistics
    split: str
    target: int
    label: Callable[[int], str]
    pictures: Pictures

    @property
    def codes(self):
        return self.statistics.codes

    @cached_property
    def index(self) -> ActivationIndex:
        return self.statistics.index(self.split)

    @property
    def rows(self) -> np.ndarray:
        """(n,) rows of the codes."""
        return self.index.rows

    @cached_property
    def table(self) -> dict[str, np.ndarray]:
        """The feature table by falling mean |contribution|; only features that fire."""
        return self.statistics.table(self.split, self.target)

    @cached_property
    def common(self) -> np.ndarray:
        """Features, by falling mean |contribution|, that fire on more than :attr:`least` galaxies."""
        return self.table["feature"][self.table["fires"] > self.least]

    @property
    def least(self) -> int:
        """The paper's 100 galaxies, or 1 % of the galaxies where these are fewer than 10,000."""
        return min(100, len(self.rows) // 100)

    @cached_property
    def truth(self) -> np.ndarray:
        return self.statistics.truth(self.target)[self.rows]

    @property
    def name(self) -> str:
        return self.statistics.target_label(self.target)

    @property
    def unit(self) -> str:
        return self.statistics.unit(self.target)

    def axis(self, words: str) -> str:
        return f"{words} [{self.unit}]" if self.unit else words

    @property
    def where(self) -> str:
        """'n = 400, validation split'."""
        return f"n = {len(self.rows):,}, {f'{self.split} split' if self.split else 'all splits'}"

    def draw(self, usable: np.ndarray) -> np.ndarray:
        """Positions to draw of those usable (n,) bool: all, or an even draw of DRAWN, ascending."""
        found = np.flatnonzero(usable)
        if len(found) > DRAWN:
            found = np.sort(np.random.default_rng(0).choice(found, DRAWN, replace=False))
        return found

    @cached_property
    def ratios(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(N,) log10 [NII]/Hα and [OIII]/Hβ of all galaxies, NaN where not positive; ``None``: no lines."""
        if set(LINES.values()) <= set(self.statistics.numeric_columns()):
            flux = {line: self.statistics.column(column) for line, column in LINES.items()}
            return tuple(log_ratio(flux[top], flux[bottom]) for top, bottom in RATIOS.values())
        if has_lines(self.codes.targets):
            return tuple(self.codes.truth(top) - self.codes.truth(bottom) for top, bottom in RATIOS.values())
        return None

    def dense(self, split: str, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n,) of a split and their activations (n, len(features)), 0 where silent."""
        index = self.statistics.index(split)
        return index.rows, np.stack([index.dense(int(f)) for f in features], axis=1)


def pearson(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """Pearson's ρ over the finite pairs, and how many; NaN for fewer than 3 or a constant."""
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good] - x[good].mean() if good.any() else x[good], y[good] - y[good].mean() if good.any() else y[good]
    power = float(np.sqrt((x @ x) * (y @ y)))
    n = int(good.sum())
    return (float(np.clip(x @ y / power, -1, 1)) if n >= 3 and power > 1e-12 else float("nan")), n
