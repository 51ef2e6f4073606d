"""The left pane: one switch per active feature, ordered by contribution."""

from __future__ import annotations

import numpy as np

from sfnet_core.analysis.stability.summary import FeatureStability
from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.view import front_end, text, whole

__all__ = ["Toggles"]


class Toggles(Pane):
    """Switches (``sf-toggle``) for the features that fire here; all, none, invert; ablate or refill; stars first."""

    _esm = front_end("explore/toggles")

    def __init__(self, context: Context, stability: FeatureStability):
        self._stability, state = stability, context.state
        super().__init__(
            context,
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
        table = self.context.scene.features_in_view(self.context.state.query)
        return frozenset(map(int, table["feature"]))

    def _listed(self, message: dict) -> int:
        feature = whole(message, "feature")
        if feature not in self._features() | self.context.state.off:
            raise ValueError(f"feature {feature} has no switch")
        return feature

    def show(self, query: Query) -> dict:
        """The switches as the query has them."""
        scene, names = self.context.scene, self.context.labels.names(query)
        starred = self.context.labels.starred(query)
        table = scene.features_in_view(query)
        n = max(1, len(scene.view(query)))
        largest = max((abs(float(c)) for c in table["mean"]), default=0.0) or 1.0
        stars = np.array([int(feature) in starred for feature in table["feature"]], dtype=bool)
        order = np.arange(len(stars))
        if query.stars:
            order = order[stars] if query.stars == "only" else np.argsort(~stars, kind="stable")
        rows = [
            {
                "feature": int(table["feature"][i]),
                "label": names[int(table["feature"][i])],
                "star": bool(stars[i]),
                "steady": self._stability.of(int(table["feature"][i])),
                "weight": float(table["weight"][i]),
                "rate": float(table["rate"][i]),
                "fires": int(table["fires"][i]),
                "mean": float(table["mean"][i]),
                "share": float(table["mean"][i]) / largest,
            }
            for i in order
        ]
        return {
            "rows": rows,
            "off": sorted(query.off),
            "focus": query.feature,
            "mode": query.mode,
            "unit": scene.unit(query.target),
            "split": query.where,
            "n": n,
            "features": scene.codes.features,
            "k": query.k,
            "stars": query.stars,
            "starred": int(stars.sum()),
            "active": len(stars),
        }
