"""Search by position: the galaxies around a place, nearest first, and how many of them are not in view."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.astro.sky_position import separation
from sfnet_core.data.filters.grammar import parse
from sfnet_core.data.filters.masks import first_cone
from sfnet_core.data.filters.tree import And, Cone, Or
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.astro.sky_position import Place
    from sfnet_core.explorer.shared.query import Query
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["angle", "around", "in_cone", "without_cone"]


def around(scene: Scene, query: Query, place: Place) -> dict[str, Any]:
    """Choices for the state: the galaxies in view inside a cone, as a filter, by distance, the nearest in focus.

    The filter that was there stays and the cone is added to it; an earlier cone at its end is replaced. Raises
    :class:`SFNetError` where no galaxy in view lies inside, saying where the nearest one is.
    """
    codes = scene.codes
    if codes.ra is None or codes.dec is None:
        raise SFNetError("These galaxies have no RA and Dec, so there is no search by position.")
    distance = separation(codes.ra, codes.dec, place.ra, place.dec)  # deg
    inside = int((distance <= place.degrees).sum())
    cone = f"{place.radius:g} {place.unit} of {place}"
    if not inside:
        raise SFNetError(f"No galaxy lies within {cone}{_nearest(scene, distance)}.")
    before = without_cone(query.filter)
    words = f"{before} and {place.clause}" if before else place.clause
    rows = scene.rows(query.split)
    rows = rows[scene.mask(replace(query, filter=words))[rows]]
    if not len(rows):
        where = f"the {query.split} split" if query.split else "view"
        where += " under this filter" if before else ""
        raise SFNetError(
            f"{_galaxies(inside)} within {cone}, none of them in {where}: set “galaxies” to all"
            f"{', or clear the filter' if before else ''}, and search again."
        )
    return {
        "filter": words,
        "sort": "cone_distance",
        "descending": False,
        "page": 0,
        "selection": b"",
        "galaxy": int(rows[np.argmin(distance[rows])]),
    }


def in_cone(scene: Scene, query: Query) -> int | None:
    """How many galaxies of the whole table lie in the filter's cone, in view or not; ``None`` where it has none."""
    cone = first_cone(query.filter, scene.names(query.target)) if query.filter else None
    return None if cone is None else int((scene.cone_distance(query) <= 60 * cone[2]).sum())


def _galaxies(n: int) -> str:
    return "1 galaxy lies" if n == 1 else f"{n:,} galaxies lie"


def _nearest(scene: Scene, distance: np.ndarray) -> str:
    if not np.isfinite(distance).any():
        return ": no galaxy here has a known position"
    row = int(np.nanargmin(distance))
    split = scene.codes.split[row]
    return f"; the nearest is {scene.codes.ids[row]} at {angle(distance[row])}{f', {split}' if split else ''}"


def angle(degrees: float) -> str:
    """An angle in the unit that suits it: 12.3″, 4.56′, 7.89°."""
    for scale, unit in ((3600, "″"), (60, "′")):
        if degrees * scale < 60:
            return f"{degrees * scale:.3g}{unit}"
    return f"{degrees:.4g}°"


def without_cone(text: str) -> str:
    """A filter without the cone that stands at its end, ready to be joined with ``and``; '' where nothing is left."""
    if not text.strip():
        return ""
    tree = parse(text)
    if isinstance(tree, Cone):
        return ""
    if isinstance(tree, And) and isinstance(tree.parts[-1], Cone):
        head, tail = text[: tree.parts[-1].start].rstrip(), text[tree.parts[-1].end :].strip()
        if head.lower().endswith("and") and not tail:  # else it is in parentheses
            return head[: -len("and")].rstrip()
    return f"({text.strip()})" if isinstance(tree, Or) else text.strip()
