"""How far off the predictions are under the present toggles: exact for any number of galaxies in view."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.codes.sums import ResidualSums, residual_sums, squares, squares_by_k
from sfnet_core.explorer.shared import plot_subsample as drawn

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.shared.state import State

__all__ = ["Errors", "Numbers"]


@dataclass(frozen=True)
class Numbers:
    """The numbers of the galaxies in view under the present toggles, in the target's unit."""

    n: int  # galaxies with a true value
    rmse: float
    r2: float
    rmse_all_on: float
    mean_change: float  # mean of (prediction now − prediction with all on), over all galaxies in view
    in_view: int


def numbers_of(n: int, squares: float, spread: float, squares_on: float, change: float, in_view: int) -> Numbers:
    """:class:`Numbers` from sums over the ``n`` galaxies with a true value; the change is over all in view."""
    return Numbers(
        n=n,
        rmse=math.sqrt(squares / n) if n else math.nan,
        r2=1 - squares / spread if n > 1 and spread > 0 else math.nan,
        rmse_all_on=math.sqrt(squares_on / n) if n else math.nan,
        mean_change=change,
        in_view=in_view,
    )


def of(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``values[rows]`` for ascending rows, each once; not copied where that is all of them."""
    return values if len(rows) == len(values) else values[rows]


class Errors:
    """RMSE, R² and the like for the galaxies that a scene has in view; the scene remembers them."""

    def __init__(self, scene: Scene):
        self._scene = scene

    def by_k(self, state: State) -> list[float]:
        """RMSE for k = 1 … k + r, features off as in the state, of the galaxies that figures are drawn from; [] without
        true values."""

        def compute() -> list[float]:
            places, truth = self._by_k(state)
            codes = drawn.drawn_codes(self._scene, state)
            found = squares_by_k(codes, truth, places, state.off, state.mode, state.target)
            return np.sqrt(found / len(truth)).tolist()

        if not len(self._by_k(state)[1]):
            return []
        return self._scene.remember(
            ("by_k", state.split, state.filter, state.target, state.off, state.mode if state.off else ""),
            compute,
            keep=4,
        )

    def _by_k(self, state: State) -> tuple[np.ndarray | None, np.ndarray]:
        """Of the galaxies drawn those with a true value: places (``None`` for all), and truth."""

        def compute() -> tuple[np.ndarray | None, np.ndarray]:
            truth = of(self._scene.truth(state.target), self._scene.drawn(state))
            known = np.isfinite(truth)
            return (None, truth) if known.all() else (np.flatnonzero(known), truth[known])

        return self._scene.remember(("known", state.split, state.filter, state.target, "drawn"), compute, keep=2)

    def known(self, state: State) -> tuple[np.ndarray, np.ndarray, float]:
        """Of the galaxies in view with a true value: rows, truth, and Σ (truth − mean truth)²."""

        def compute() -> tuple[np.ndarray, np.ndarray, float]:
            rows = self._scene.view(state)
            truth = of(self._scene.truth(state.target), rows)
            known = np.isfinite(truth)
            if not known.all():
                rows, truth = rows[known], truth[known]
            return rows, truth, float(((truth - truth.mean()) ** 2).sum()) if len(truth) else 0.0

        return self._scene.remember(("known", state.split, state.filter, state.target), compute, keep=2)

    def numbers(self, state: State) -> Numbers:
        """RMSE, R² and the change, over the galaxies in view.

        Of more than :data:`~sfnet_core.explorer.shared.plot_subsample.MANY`, features that are left out are taken from
        sums made once (:class:`~sfnet_core.codes.sums.ResidualSums`): exact too, to about nine digits, and no galaxy is
        gone through.
        """
        key = ("numbers", state.split, state.filter, state.target, state.off, state.mode if state.off else "")
        return self._scene.remember(key, lambda: self._numbers(state), keep=4)

    def squares_on(self, state: State) -> float:
        """Σ (prediction − truth)² of the galaxies in view, with all features on."""

        def compute() -> float:
            rows, truth, _ = self.known(state)
            return squares(of(self._scene.prediction(state, all_on=True), rows) - truth)

        return self._scene.remember(("squares", state.split, state.filter, state.target), compute, keep=2)

    def _numbers(self, state: State) -> Numbers:
        view = self._scene.view(state)
        if len(view) > drawn.MANY and (state.mode == "ablate" or not state.off):
            sums = self._sums(state)
            found = sums.ablate(state.off)
            if found is not None:
                return numbers_of(sums.n, found[0], sums.spread, sums.squares, found[1], len(view))
        rows, truth, spread = self.known(state)
        before, now = self._scene.prediction(state, all_on=True), self._scene.prediction(state)
        squares_on = self.squares_on(state)
        change = float(np.mean(of(now, view) - of(before, view))) if state.off and len(view) else 0.0
        squares_now = squares(of(now, rows) - truth) if state.off else squares_on
        return numbers_of(len(rows), squares_now, spread, squares_on, change if len(view) else np.nan, len(view))

    def _sums(self, state: State) -> ResidualSums:
        """The sums of the galaxies in view; a split's are kept beside the codes."""
        codes, target = self._scene.codes, state.target

        def compute() -> ResidualSums:
            rows = self._scene.view(state) if state.split or state.filter else None
            if state.filter:
                return residual_sums(codes, target, rows)
            name = f"sums-{state.split or 'all'}-{target}-k{codes.k}"
            return ResidualSums.unpack(codes.derived(name, lambda: residual_sums(codes, target, rows).pack()))

        return self._scene.remember(("sums", state.split, state.filter, target), compute, keep=4)
