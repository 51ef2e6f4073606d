"""Under the switches: k as a slider, and how the error depends on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sfnet_core.analysis.interpret import trained_for, trained_for_text
from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.view import View, front_end, whole

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["KSlider"]


class KSlider(View):
    """How many features the gate keeps, from 1 to the k + r that the codes hold, with the RMSE of each choice."""

    _esm = front_end("explore/k_slider")
    observes = frozenset({"k", "split", "target", "off", "mode", "filter"})

    def __init__(self, scene: Scene, state: State, notify: Callable[[str], None]):
        self._scene, self._state = scene, state
        super().__init__(notify, {"k": lambda m: state.change(k=whole(m, "k"))})

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send k, its range, and the RMSE for each k of the galaxies in view."""
        scene, state = self._scene, self._state
        self.data = {
            "k": state.k,
            "own": scene.own.k,
            "most": scene.own.indices.shape[1],
            "rmse": scene.rmse_by_k(state),
            "unit": scene.unit(state.target),
            "split": state.where,
            "trained": "" if scene.own.provenance.get("consensus") else trained_for_text(scene.own),
            "note": " ".join(self._notes()),
        }

    def _notes(self) -> list[str]:
        scene, state = self._scene, self._state
        own, drawn, view = scene.own.k, len(scene.drawn(state)), len(scene.view(state))
        every = len(trained_for(scene.own)) >= scene.own.indices.shape[1]
        out = (
            []
            if every
            else [f"The weights were {trained_for_text(scene.own)}: at another k they are not at their best."]
        )
        if scene.codes.provenance.get("consensus"):
            out = [f"A mean of several trainings has no gate: below {own} the smallest contributions are left out."]
        return out if drawn == view else [*out, f"The curve is of {drawn:,} of the {view:,} galaxies, drawn at random."]
