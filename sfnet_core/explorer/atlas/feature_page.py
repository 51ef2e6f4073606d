"""A feature's full page: its numbers, its galaxies, its plots, and what takes longer afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import traitlets

from sfnet_core.explorer.atlas.card_grid import shown
from sfnet_core.explorer.atlas.feature import neighbours
from sfnet_core.explorer.atlas.feature_data import Sheet
from sfnet_core.explorer.atlas.parts import front_end
from sfnet_core.explorer.atlas.state import AtlasState
from sfnet_core.explorer.shared.view import View, text, whole

if TYPE_CHECKING:
    from sfnet_core.analysis.feature_statistics import FeatureStatistics
    from sfnet_core.data.pictures import Pictures
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["Leaf"]


class Leaf(View):
    """The page of the feature in focus. ``data`` opens it at once; ``slow`` has what the browser then asks for."""

    _esm = front_end("shared/save", "atlas/save", "atlas/plot", "atlas/feature_page")
    galaxies = traitlets.Dict().tag(sync=True)
    plot = traitlets.Dict().tag(sync=True)
    slow = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        statistics: FeatureStatistics,
        scene: Scene,
        state: AtlasState,
        pictures: Pictures,
        notify: Callable[[str], None],
        label: Callable[[int], str],
    ):
        self._statistics, self._state, self._label = statistics, state, label
        self._sheet = Sheet(statistics, scene, pictures, label)
        self._open, self._slow_sent = True, False
        actions = {
            "open": lambda m: state.change(feature=whole(m, "feature")),
            "against": lambda m: self._against(text(m, "key")),
            "again": lambda _m: state.change(seed=(state.seed + 1) % 10_000),
            "slow": lambda _m: self._send_slow(),
            "sky": lambda m: state.change(sky=m["less"] is True),
            "peek": lambda m: self._peek(whole(m, "row")),
        }
        super().__init__(notify, actions)

    # -- from the browser --------------------------------------------------------------------------------------

    def _against(self, key: str) -> None:
        if key not in {quantity.key for quantity in self._sheet.choices(self._state)}:
            raise ValueError("there is no such quantity to draw against")
        self._state.change(against=key)

    def _peek(self, row: int) -> None:
        """Send one galaxy's picture: the pointer rests on its point."""
        if not 0 <= row < len(self._statistics.codes):
            raise ValueError("there is no such row")
        one = self._galaxy(row, float(self._statistics.activation(self._state.feature, np.array([row]))[0]))
        picture = one.pop("jpeg")
        self.send({"peek": row, "galaxy": one}, [picture])

    # -- to the browser ----------------------------------------------------------------------------------------

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send what the change touches; nothing while no feature is open."""
        state = self._state
        if state.feature < 0:
            if self._open:
                self._open = False
                self.data = {"feature": -1}
            return
        everything = changed is None or not self._open or bool(changed & {"feature", "split", "target"})
        self._open = True
        if everything:
            self._slow_sent, self.slow = False, {}
        elif "sky" in changed and self._slow_sent:
            self.slow = {**self.slow, "less": state.sky}
        if everything or changed & {"seed"}:
            self.galaxies = self._sheet.examples(state)
        if everything or changed & {"against", "labels"}:
            self.plot = self._sheet.plot(state)
        if everything or changed & {"sort", "descending", "find", "least", "labels"}:
            self.data = self._numbers()

    def _galaxy(self, row: int, activation: float) -> dict:
        return self._sheet.galaxy(self._state, row, activation)

    def _numbers(self) -> dict:
        statistics, state, sheet = self._statistics, self._state, self._sheet
        listed = statistics.table(state.split, state.target)["feature"][shown(statistics, state, self._label)]
        before, after = neighbours(listed, state.feature)
        out = sheet.numbers(state) | {"before": [before, self._label(before)], "after": [after, self._label(after)]}
        if out["fires"]:
            out["coefficients"] = sheet.coefficients(state, intervals=False)
            out["bpt"] = sheet.bpt(state)
            out["companions"] = sheet.companions(state)
        return out

    def _send_slow(self) -> None:
        """Intervals, the mean map and the mean picture: what opening the page does not wait for."""
        state = self._state
        if state.feature < 0 or self._slow_sent:
            return
        self._slow_sent = True
        fires = self._statistics.index(state.split).fires[state.feature]
        coefficients = self._sheet.coefficients(state, intervals=True) if fires else []
        self.slow = {**self._sheet.looks(state), "less": state.sky, "coefficients": coefficients}
