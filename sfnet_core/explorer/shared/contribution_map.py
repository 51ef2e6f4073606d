"""Where in the image a galaxy's contributions come from: the cells of a map, and the sentence that says their sum.

A plain map sums to the contribution. Less the empty sky, it sums to what the galaxy's light added: of one feature, its
contribution less the same feature's of a blank image; of all, the prediction less the blank image's, under the same
gate and with the same features off. Both are identities of the numbers on the page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.interpret import round_to_sum
from sfnet_core.codes.empty_sky import blank_map
from sfnet_core.explorer.shared.quantities import MINUS, signed

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.explorer.shared.query import Query
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["map_of", "no_sky"]

DIGITS = 4
NO_MAPS = "These codes hold no maps (sfnet infer --maps adds them)."
NO_SKY = "These codes do not hold the map of an empty sky; sfnet infer of this version writes it."
NO_SKY_OF_SEVERAL = (
    "A consensus has no map of an empty sky: its features are groups of several networks' features, and which of them "
    "fire is another question for every galaxy."
)


def no_sky(codes: SparseCodes) -> str:
    """Why no map of an empty sky can be taken off; '' where it can."""
    if codes.sky is not None:
        return ""
    return NO_SKY_OF_SEVERAL if codes.provenance.get("consensus") else NO_SKY


def map_of(scene: Scene, query: Query, row: int, terms: list[dict], label: Callable[[int], str]) -> dict[str, Any]:
    """The map that ``query.map`` asks for, of a galaxy's ``terms`` (:meth:`Scene.terms`).

    ``cells`` (h × w, the target's unit per cell), empty where there is none; ``mapnote``, the sentence; ``sky``: ``on``
    or ``off``, or empty where there is nothing to take off, and then ``skywhy`` says why.
    """
    if query.map == "none":
        return _none(query, "")
    codes = scene.gated(query)
    maps = codes.maps(np.array([row]))
    if maps is None:
        return _none(query, NO_MAPS)
    maps = maps[0].astype(np.float64)  # (k, h, w), of the slots that the network's own gate kept
    counted = [t for t in terms if t["state"] != "off"]
    wanted = [t for t in counted if query.map == "sum" or str(t["feature"]) == query.map]
    mapped = [t for t in wanted if t["slot"] < len(maps)]
    cells = sum((t["weight"] * maps[t["slot"]] / maps[t["slot"]].size for t in mapped), np.zeros(maps.shape[1:]))
    whole = query.map == "sum" and len(mapped) == len(wanted)
    name = "all contributions" if query.map == "sum" else label(int(query.map))
    if query.map == "sum" and not whole:
        name = f"{len(mapped)} of {len(wanted)} contributions (the others have no map)"
    unit, total = scene.unit(query.target), float(cells.sum())
    less = codes.sky is not None and query.sky
    if query.map != "sum" and not mapped:
        note = f"{name} has no map here" if wanted else f"{name} does not fire on this galaxy or is off"
    elif not less:
        note = f"{name}: {signed(total, DIGITS)} {unit} in {maps.shape[1]}×{maps.shape[2]} cells"
    elif whole:
        sky = blank_map(codes.weight[query.target], codes.sky.maps, codes.k, query.off, query.mode == "refill")
        cells = cells - sky
        empty, light = _parts(float(codes.bias[query.target] + sky.sum()), scene.prediction_of(query, row))
        note = f"{name}: the light gives {light} {unit}, an empty sky {empty.lstrip('+')} {unit}".rstrip()
    else:
        sky = sum(codes.sky.contribution(t["feature"], t["weight"]) for t in mapped)
        cells = cells - sky
        empty, light = _parts(float(np.sum(sky)), total)
        note = f"{name}: the light gives {light} {unit}, an empty sky {empty} {unit}".rstrip()
    return {
        "map": query.map,
        "cells": cells.tolist(),
        "mapnote": note,
        "sky": "" if codes.sky is None else "on" if query.sky else "off",
        "skywhy": no_sky(codes),
    }


def _none(query: Query, note: str) -> dict[str, Any]:
    return {"map": query.map, "cells": [], "mapnote": note, "sky": "", "skywhy": ""}


def _parts(sky: float, total: float) -> tuple[str, str]:
    """What an empty sky gives and what the light adds, signed: as decimals they make up the total as it is shown."""
    texts = round_to_sum([sky, total - sky], total, DIGITS)
    return tuple(text.replace("-", MINUS) if text.startswith("-") else f"+{text}" for text in texts)
