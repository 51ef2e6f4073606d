"""What figures are drawn from: the galaxies in view, or some of very many, drawn at random, and the page says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.codes.sums import Part

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.shared.state import State

__all__ = ["drawn_codes", "drawn_rows", "sample", "values_at"]

MANY = 500_000  # of more galaxies in view, figures and the error against k are of this many; the numbers are of all


def sample(n: int) -> np.ndarray | slice:
    """Places of :data:`MANY` out of ``n``, at random but always the same and ascending; all where there are no more."""
    if n <= MANY:
        return slice(None)
    return np.sort(np.random.default_rng(0).choice(n, MANY, replace=False, shuffle=False))


def drawn_rows(scene: Scene, state: State) -> np.ndarray:
    """Rows of the galaxies in view, or of :data:`MANY` of them: ascending, and the same ones at every call."""
    rows = scene.view(state)
    if len(rows) <= MANY:
        return rows
    return scene.remember(("drawn", state.split, state.filter, state.target), lambda: rows[sample(len(rows))], keep=2)


def drawn_codes(scene: Scene, state: State) -> Part:
    """Their codes, close together in memory, behind the gate in use; a split's stay beside the codes."""
    own, rows = scene.own, drawn_rows(scene, state)

    def part() -> Part:
        if len(rows) == scene.n:
            arrays = own.indices, own.values
        elif state.filter or len(scene.view(state)) == len(rows):
            arrays = own.indices[rows], own.values[rows]
        else:
            name = f"drawn-{len(rows)}-{state.split or 'all'}"
            arrays = (own.derived(f"{name}-{w}", lambda w=w: getattr(own, w)[rows]) for w in ("indices", "values"))
        return Part(own.k, own.features, own.weight, own.bias, *arrays)

    found = scene.remember(("part", state.split, state.filter, state.target), part, keep=1)
    return found if found.k == scene.codes.k else replace(found, k=scene.codes.k)


def values_at(scene: Scene, key: str, state: State, rows: np.ndarray) -> np.ndarray:
    """``(len(rows),)`` float64 of a quantity; nothing is computed for the other galaxies where that can be helped."""
    if key == "prediction":
        return scene.prediction_at(state, rows)
    if key == "residual":
        return scene.prediction_at(state, rows) - values_at(scene, "truth", state, rows)
    drawn = rows is drawn_rows(scene, state)
    if key == "activation":
        codes, which = (drawn_codes(scene, state), slice(None)) if drawn else (scene.codes, rows)
        row, slot = np.nonzero(codes.indices[which, : codes.k] == state.feature)
        found = np.zeros(len(rows))
        if state.feature >= 0:
            found[row] = codes.values[which][row, slot]
        return found
    if scene.quantities[key].depends or not drawn:
        return scene.values(key, state)[rows]
    kept = ("at", key, state.split, state.filter, state.target)
    return scene.remember(kept, lambda: scene.values(key, state)[rows], keep=8)
