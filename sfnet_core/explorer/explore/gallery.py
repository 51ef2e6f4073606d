"""The gallery: galaxies as pictures, sorted, paged, found by identifier."""

from __future__ import annotations

import numpy as np

from sfnet_core.annotations.labels import Entry
from sfnet_core.astro.sky_position import read_place
from sfnet_core.explorer.explore.search import around, in_cone
from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.label_editor import brief
from sfnet_core.explorer.shared.quantities import Quantity
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.view import front_end, text, whole
from sfnet_core.utils.errors import SFNetError

__all__ = ["PAGE", "Gallery"]

PAGE = 28  # galaxies on a page


class Gallery(Pane):
    """One page of galaxies (``sf-galaxy`` with ``data-id``), of the selection where there is one."""

    _esm = front_end("explore/gallery")

    def __init__(self, context: Context):
        state = context.state
        super().__init__(
            context,
            {
                "focus": lambda m: state.change(galaxy=self.row(text(m, "id"))),
                "page": lambda m: self._turn(whole(m, "page")),
                "sort": lambda m: self._sort(text(m, "sort")),
                "order": lambda _m: state.change(descending=not state.descending, page=0),
                "find": lambda m: self._find(text(m, "id")),
            },
        )

    def _rows(self) -> np.ndarray:
        return self.context.scene.listed(self.context.state.query)

    def _turn(self, page: int) -> None:
        last = max(0, (len(self._rows()) - 1) // PAGE)
        self.context.state.change(page=min(max(0, page), last))

    def _sort(self, key: str) -> None:
        if key not in self.context.scene.quantities or not self._offered(self.context.state.query, key):
            raise ValueError("there is no such quantity to sort by")
        self.context.state.change(sort=key, page=0)

    def _find(self, part: str) -> None:
        trouble = SFNetError(
            f"No galaxy has the identifier “{part}”, and none holds it. Check the digits, or browse by page."
        )
        if self.context.scene.row_of(part.strip()) is None:
            try:
                place = read_place(part)
            except SFNetError as error:  # it may be a part of an identifier all the same
                place, trouble = None, error
            if place is not None:
                self.context.state.change(**around(self.context.scene, self.context.state.query, place))
                return
        row = self.context.scene.find(part)
        if row is None:
            raise trouble
        codes, here = self.context.scene.codes, np.flatnonzero(self._rows() == row)
        choices: dict = {"galaxy": row}
        if len(here):
            choices["page"] = int(here[0]) // PAGE
        elif self.context.state.split and (home := codes.split_of(row)) != self.context.state.split:
            home = home or "unnamed"
            self.context.notify(f"{codes.ids[row]} is in the {home} split, not among the galaxies shown below.")
        self.context.state.change(**choices)

    def show(self, query: Query) -> dict:
        """The page that the query asks for."""
        scene, rows = self.context.scene, self.context.scene.listed(query)
        quantities, said = scene.named(query), self.context.labels.galaxies(query)
        start = min(query.page, max(0, (len(rows) - 1) // PAGE)) * PAGE
        shown = rows[start : start + PAGE]
        sort = quantities.get(query.sort)
        values = scene.at(sort.key, query, shown) if sort else np.full(len(shown), np.nan)
        unlike = scene.codes.unlike
        unlike = np.zeros(len(shown), dtype=bool) if unlike is None else unlike[shown] > 1
        return {
            "galaxies": [
                {
                    **tile(str(scene.codes.ids[row]), said),
                    "jpeg": self.context.pictures.jpeg(int(row)),
                    "value": f"{value:.3f}" if np.isfinite(value) else "–",
                    "unlike": bool(beyond),
                }
                for row, value, beyond in zip(shown, values, unlike, strict=True)
            ],
            "focus": str(scene.codes.ids[query.galaxy]) if query.galaxy >= 0 else "",
            "page": start // PAGE,
            "pages": max(1, -(-len(rows) // PAGE)),
            "total": len(rows),
            "of": self._of(query),
            "sort": query.sort,
            "descending": query.descending,
            "sorts": [[s.key, self._sort_label(query, s)] for s in quantities.values() if self._offered(query, s.key)],
            "unit": sort.unit if sort else "",
            "label": self._sort_label(query, sort) if sort else "",
            "why": self.context.pictures.why,
        }

    def _of(self, query: Query) -> str:
        """What the galaxies are that the total counts."""
        inside = in_cone(self.context.scene, query)
        where = query.where + ("" if inside is None else f" from {inside:,} in the cone")
        return f"selected galaxies · {where}" if query.selection else f"galaxies · {where}"

    def _offered(self, query: Query, key: str) -> bool:
        """Whether a sort means anything now: distances need a cone in the filter."""
        return key != "cone_distance" or query.sort == key or self.context.scene.has_cone(query)

    def _sort_label(self, query: Query, quantity: Quantity) -> str:
        if quantity.key == "activation":
            return f"activation of {brief(self.context.labels.names(query)[query.feature])}"
        return quantity.label


def tile(identifier: str, said: dict[str, Entry]) -> dict:
    """A galaxy's identifier, its star and label."""
    entry = said.get(identifier, Entry())
    return {"id": identifier, "star": entry.star, "label": entry.label}
