"""The overview as tables: correlation beside weight, and the features' correlations with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sfnet_core.analysis.feature_statistics import clear, disagree
from sfnet_core.explorer.atlas.card_grid import overview, shown
from sfnet_core.explorer.atlas.parts import front_end, number
from sfnet_core.explorer.atlas.state import AtlasState
from sfnet_core.explorer.shared.view import View, text, whole

if TYPE_CHECKING:
    import numpy as np

    from sfnet_core.analysis.feature_statistics import FeatureStatistics

__all__ = ["MOST_FEATURES", "Tables", "signs"]

MOST_FEATURES = 48  # rows and columns of the matrix


class Tables(View):
    """The table of ρ and weight, which marks where the two disagree in sign, and the matrix of features."""

    _esm = front_end("shared/save", "atlas/save", "atlas/tables")

    def __init__(
        self,
        statistics: FeatureStatistics,
        state: AtlasState,
        notify: Callable[[str], None],
        label: Callable[[int], str],
    ):
        self._statistics, self._state, self._label, self._open = statistics, state, label, True
        super().__init__(
            notify,
            {
                "open": lambda m: state.change(feature=whole(m, "feature")),
                "sort": lambda m: self._sort(text(m, "key")),
            },
        )

    def _sort(self, key: str) -> None:
        """Sort by a column; the one sorted by already, the other way round."""
        if key not in self._statistics.sorts():
            raise ValueError("there is no such quantity to sort by")
        state = self._state
        state.change(sort=key, descending=not state.descending if key == state.sort else True)

    def draw(self) -> None:
        """Send the table that is open; nothing while none is."""
        statistics, state, codes = self._statistics, self._state, self._statistics.codes
        if state.feature >= 0 or state.view == "cards":
            if self._open:
                self._open = False
                self.data = {"view": ""}
            return
        self._open = True
        listed = shown(statistics, state, self._label)
        part = signs if state.view == "signs" else matrix
        self.data = {
            **overview(statistics, state),
            "view": state.view,
            "sort": state.sort,
            "descending": state.descending,
            "bias": float(codes.bias[state.target]),
            **part(statistics, state, listed, self._label),
        }


def signs(statistics: FeatureStatistics, state: AtlasState, listed: np.ndarray, label: Callable[[int], str]) -> dict:
    """One row per feature: numbers of this target and, where there are several, ρ and weight of each target."""
    table = statistics.table(state.split, state.target)
    opposed = disagree(table["weight"], table["pearson"])
    sure = clear(table["pearson"], statistics.known(state.split, state.target))
    targets = statistics.codes.targets if len(statistics.codes.targets) > 1 else []
    others = [statistics.table(state.split, t) for t in range(len(targets))]
    place = [{int(f): i for i, f in enumerate(other["feature"])} for other in others]
    names = ("rate", "weight", "pearson", "pearson_fires", "partial", "mean", "share", "without", "chance")
    rows = []
    for i in listed:
        feature = int(table["feature"][i])
        row = {"feature": feature, "label": label(feature), "fires": int(table["fires"][i])}
        row |= {name: number(table[name][i]) for name in names}
        row |= {"disagree": bool(opposed[i]), "clear": bool(sure[i])}
        row |= {"steady": statistics.stability.of(feature)} if statistics.stability else {}
        row["targets"] = [
            [number(other["pearson"][at[feature]]), number(other["weight"][at[feature]])]
            for other, at in zip(others, place, strict=True)
        ]
        rows.append(row)
    return {
        "rows": rows,
        "targets": [statistics.target_label(t) for t in range(len(targets))],
    }


def matrix(statistics: FeatureStatistics, state: AtlasState, listed: np.ndarray, label: Callable[[int], str]) -> dict:
    """The correlations of the first MOST_FEATURES listed features with each other."""
    features = [int(f) for f in statistics.table(state.split, state.target)["feature"][listed[:MOST_FEATURES]]]
    found = statistics.matrix(state.split)
    both = statistics.pairs(state.split)[0]
    return {
        "features": features,
        "labels": [label(f) for f in features],
        "cells": [[number(found[a, b]) for b in features] for a in features],
        "both": [[int(both[a, b]) for b in features] for a in features],
        "listed": len(listed),
    }
