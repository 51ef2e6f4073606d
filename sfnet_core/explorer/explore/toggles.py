"""The left pane: one switch per active feature, ordered by contribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.view import View, front_end, text, whole

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["Toggles"]


class Toggles(View):
    """Switches (``sf-toggle``) for the features that fire here; all, none, invert; ablate or refill; stars first."""

    _esm = front_end("explore/toggles")
    observes = frozenset({"off", "mode", "split", "target", "feature", "k", "filter", "stars", "labels"})

    def __init__(
        self,
        scene: Scene,
        state: State,
        notify: Callable[[str], None],
        label: Callable[[int], str],
        star: Callable[[int], bool] = lambda _feature: False,
        steady: Callable[[int], dict | None] = lambda _feature: None,
    ):
        self._scene, self._state, self._label, self._star, self._steady = scene, state, label, star, steady
        super().__init__(
            notify,
            {
                "toggle": lambda m: state.change(off=state.off ^ {self._listed(m)}),
                "all": lambda _m: state.change(off=frozenset()),
                "none": lambda _m: state.change(off=self._features()),
                "invert": lambda _m: state.change(off=self._features() - state.off),
                "mode": lambda m: state.change(mode=text(m, "mode")),
                "focus": lambda m: state.change(feature=self._listed(m)),
                "stars": lambda m: state.change(stars=text(m, "stars", 20)),
            },
        )

    def _features(self) -> frozenset[int]:
        table = self._scene.features_in_view(self._state)
        return frozenset(map(int, table["feature"]))

    def _listed(self, message: dict) -> int:
        feature = whole(message, "feature")
        if feature not in self._features() | self._state.off:
            raise ValueError(f"feature {feature} has no switch")
        return feature

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send the switches as the state has them."""
        scene, state = self._scene, self._state
        table = scene.features_in_view(state)
        n = max(1, len(scene.view(state)))
        largest = max((abs(float(c)) for c in table["mean"]), default=0.0) or 1.0
        stars = np.array([self._star(int(feature)) for feature in table["feature"]], dtype=bool)
        order = np.arange(len(stars))
        if state.stars:
            order = order[stars] if state.stars == "only" else np.argsort(~stars, kind="stable")
        rows = [
            {
                "feature": int(table["feature"][i]),
                "label": self._label(int(table["feature"][i])),
                "star": bool(stars[i]),
                "steady": self._steady(int(table["feature"][i])),
                "weight": float(table["weight"][i]),
                "rate": float(table["rate"][i]),
                "fires": int(table["fires"][i]),
                "mean": float(table["mean"][i]),
                "share": float(table["mean"][i]) / largest,
            }
            for i in order
        ]
        self.data = {
            "rows": rows,
            "off": sorted(state.off),
            "focus": state.feature,
            "mode": state.mode,
            "unit": scene.unit(state.target),
            "split": state.where,
            "n": n,
            "features": scene.codes.features,
            "k": scene.codes.k,
            "stars": state.stars,
            "starred": int(stars.sum()),
            "active": len(stars),
        }
