"""The overview as tables: correlation beside weight, and the features' correlations with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sfnet_core.explorer.atlas.cards import clear, disagree
from sfnet_core.explorer.atlas.deck import shown
from sfnet_core.explorer.atlas.feature import correlation_matrix
from sfnet_core.explorer.atlas.parts import front_end, number
from sfnet_core.explorer.atlas.state import AtlasState
from sfnet_core.explorer.view import View, whole

if TYPE_CHECKING:
    from sfnet_core.explorer.atlas.cards import Almanac

__all__ = ["MOST_FEATURES", "Tables"]

MOST_FEATURES = 48  # rows and columns of the matrix


class Tables(View):
    """The table of ρ and weight, which marks where the two disagree in sign, and the matrix of features."""

    _esm = front_end("atlas_tables")

    def __init__(self, almanac: Almanac, state: AtlasState, notify: Callable[[str], None], label: Callable[[int], str]):
        self._almanac, self._state, self._label, self._open = almanac, state, label, True
        super().__init__(notify, {"open": lambda m: state.change(feature=whole(m, "feature"))})

    def draw(self) -> None:
        """Send the table that is open; nothing while none is."""
        almanac, state, scene = self._almanac, self._state, self._almanac.scene
        if state.feature >= 0 or state.view == "cards":
            if self._open:
                self._open = False
                self.data = {"view": ""}
            return
        self._open = True
        table = almanac.table(state.split, state.target)
        listed = shown(almanac, state, self._label)
        self.data = {
            "view": state.view,
            "of": state.split or "all splits",
            "n": len(scene.rows(state.split)),
            "known": almanac.known(state.split, state.target),
            "target": scene.target_label(state.target),
            "unit": scene.unit(state.target),
            "bias": float(scene.codes.bias[state.target]),
            "fixed": almanac.fixed(),
            "missing": almanac.missing_controls(),
            "active": len(table["feature"]),
            **(self._signs(table, listed) if state.view == "signs" else self._matrix(table, listed)),
        }

    def _signs(self, table: dict, listed) -> dict:
        """One row per feature: numbers of this target and, where there are several, ρ and weight of each target."""
        almanac, state = self._almanac, self._state
        signs = disagree(table["weight"], table["pearson"])
        sure = clear(table["pearson"], almanac.known(state.split, state.target))
        targets = almanac.scene.codes.targets if len(almanac.scene.codes.targets) > 1 else []
        others = [almanac.table(state.split, t) for t in range(len(targets))]
        place = [{int(f): i for i, f in enumerate(other["feature"])} for other in others]
        names = ("rate", "weight", "pearson", "pearson_fires", "partial", "mean", "share")
        rows = []
        for i in listed:
            feature = int(table["feature"][i])
            row = {"feature": feature, "label": self._label(feature), "fires": int(table["fires"][i])}
            row |= {name: number(table[name][i]) for name in names} | {
                "disagree": bool(signs[i]),
                "clear": bool(sure[i]),
            }
            row["targets"] = [
                [number(other["pearson"][at[feature]]), number(other["weight"][at[feature]])]
                for other, at in zip(others, place, strict=True)
            ]
            rows.append(row)
        labels = [almanac.scene.target_label(t) for t in range(len(targets))]
        return {
            "rows": rows,
            "targets": labels,
            "differ": sum(row["disagree"] for row in rows),
            "clear": sum(row["disagree"] and row["clear"] for row in rows),
        }

    def _matrix(self, table: dict, listed) -> dict:
        features = [int(f) for f in table["feature"][listed[:MOST_FEATURES]]]
        split = self._state.split
        matrix = self._almanac.remember(("matrix", split), lambda: correlation_matrix(self._almanac, split))
        both = self._almanac.pairs(split)[0]
        return {
            "features": features,
            "labels": [self._label(f) for f in features],
            "cells": [[number(matrix[a, b]) for b in features] for a in features],
            "both": [[int(both[a, b]) for b in features] for a in features],
            "listed": len(listed),
        }
