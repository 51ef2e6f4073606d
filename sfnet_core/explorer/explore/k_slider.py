"""Under the switches: k as a slider, and how the error depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfnet_core.analysis.interpret import trained_for, trained_for_text
from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.view import front_end, whole

if TYPE_CHECKING:
    pass

__all__ = ["KSlider"]


class KSlider(Pane):
    """How many features the gate keeps, from 1 to the k + r that the codes hold, with the RMSE of each choice."""

    _esm = front_end("explore/k_slider")

    def __init__(self, context: Context):
        super().__init__(context, {"k": lambda m: context.state.change(k=whole(m, "k"))})

    def show(self, query: Query) -> dict:
        """k, its range, and the RMSE for each k of the galaxies in view."""
        scene = self.context.scene
        return {
            "k": query.k,
            "own": scene.codes.k,
            "most": scene.codes.indices.shape[1],
            "rmse": scene.rmse_by_k(query),
            "unit": scene.unit(query.target),
            "split": query.where,
            "trained": "" if scene.codes.provenance.get("consensus") else trained_for_text(scene.codes),
            "note": " ".join(self._notes(query)),
        }

    def _notes(self, query: Query) -> list[str]:
        scene = self.context.scene
        trained = trained_for_text(scene.codes)
        own, drawn, view = scene.codes.k, len(scene.drawn(query)), len(scene.view(query))
        every = len(trained_for(scene.codes)) >= scene.codes.indices.shape[1]
        out = [] if every else [f"The weights were {trained}: at another k they are not at their best."]
        if scene.codes.provenance.get("consensus"):
            out = [f"A mean of several trainings has no gate: below {own} the smallest contributions are left out."]
        return out if drawn == view else [*out, f"The curve is of {drawn:,} of the {view:,} galaxies, drawn at random."]
