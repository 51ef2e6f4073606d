"""The gallery: galaxies as pictures, sorted, paged, found by identifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.sky_position import read_place
from sfnet_core.data.pictures import Pictures
from sfnet_core.explorer.explore.search import around, in_cone
from sfnet_core.explorer.shared.label_editor import brief
from sfnet_core.explorer.shared.state import State, unpack_rows
from sfnet_core.explorer.shared.view import View, front_end, text, whole
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.label_editor import LabelEditor
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["PAGE", "Gallery"]

PAGE = 28  # galaxies on a page


class Gallery(View):
    """One page of galaxies (``sf-galaxy`` with ``data-id``), of the selection where there is one."""

    _esm = front_end("explore/gallery")
    observes = frozenset(
        {
            "off",
            "mode",
            "split",
            "target",
            "feature",
            "galaxy",
            "selection",
            "sort",
            "descending",
            "page",
            "k",
            "filter",
            "labels",
        }
    )

    def __init__(
        self,
        scene: Scene,
        state: State,
        pictures: Pictures,
        notify: Callable[[str], None],
        naming: LabelEditor | None = None,
    ):
        self._scene, self._state, self._pictures, self._naming = scene, state, pictures, naming
        super().__init__(
            notify,
            {
                "focus": lambda m: state.change(galaxy=self._shown_row(text(m, "id"))),
                "page": lambda m: self._turn(whole(m, "page")),
                "sort": lambda m: self._sort(text(m, "sort")),
                "order": lambda _m: state.change(descending=not state.descending, page=0),
                "find": lambda m: self._find(text(m, "id")),
            },
        )

    def rows(self) -> np.ndarray:
        """Rows in the gallery's order: the selection if there is one, else the galaxies in view."""
        scene, state = self._scene, self._state
        selected = unpack_rows(state.selection)
        return scene.order(state, selected if len(selected) else scene.view(state))

    def _shown_row(self, identifier: str) -> int:
        row = self._scene.row_of(identifier)
        if row is None:
            raise ValueError("that galaxy is not in the table")
        return row

    def _turn(self, page: int) -> None:
        last = max(0, (len(self.rows()) - 1) // PAGE)
        self._state.change(page=min(max(0, page), last))

    def _sort(self, key: str) -> None:
        if key not in self._scene.quantities or not self._offered(key):
            raise ValueError("there is no such quantity to sort by")
        self._state.change(sort=key, page=0)

    def _find(self, part: str) -> None:
        trouble = SFNetError(
            f"No galaxy has the identifier “{part}”, and none holds it. Check the digits, or browse by page."
        )
        if self._scene.row_of(part.strip()) is None:
            try:
                place = read_place(part)
            except SFNetError as error:  # it may be a part of an identifier all the same
                place, trouble = None, error
            if place is not None:
                self._state.change(**around(self._scene, self._state, place))
                return
        row = self._scene.find(part)
        if row is None:
            raise trouble
        here = np.flatnonzero(self.rows() == row)
        choices: dict = {"galaxy": row}
        if len(here):
            choices["page"] = int(here[0]) // PAGE
        elif self._state.split and self._scene.codes.split_of(row) != self._state.split:
            home = self._scene.codes.split_of(row) or "unnamed"
            self._notify(f"{self._scene.codes.ids[row]} is in the {home} split, not among the galaxies shown below.")
        self._state.change(**choices)

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send the page the state asks for."""
        scene, state = self._scene, self._state
        rows = self.rows()
        start = min(state.page, max(0, (len(rows) - 1) // PAGE)) * PAGE
        shown = rows[start : start + PAGE]
        sort = scene.quantities.get(state.sort)
        values = sort.values(state)[shown] if sort else np.full(len(shown), np.nan)
        unlike = scene.codes.unlike
        unlike = np.zeros(len(shown), dtype=bool) if unlike is None else unlike[shown] > 1
        self.data = {
            "galaxies": [
                {
                    **self._said(str(scene.codes.ids[row])),
                    "jpeg": self._pictures.jpeg(int(row)),
                    "value": f"{value:.3f}" if np.isfinite(value) else "–",
                    "unlike": bool(beyond),
                }
                for row, value, beyond in zip(shown, values, unlike, strict=True)
            ],
            "focus": str(scene.codes.ids[state.galaxy]) if state.galaxy >= 0 else "",
            "page": start // PAGE,
            "pages": max(1, -(-len(rows) // PAGE)),
            "total": len(rows),
            "of": self._of(),
            "sort": state.sort,
            "descending": state.descending,
            "sorts": [[q.key, self._sort_label(q)] for q in scene.quantities.values() if self._offered(q.key)],
            "unit": sort.unit if sort else "",
            "label": self._sort_label(sort) if sort else "",
            "why": self._pictures.why,
        }

    def _of(self) -> str:
        """What the galaxies are that the total counts."""
        state = self._state
        kept = state.where
        inside = in_cone(self._scene, state)
        kept += "" if inside is None else f" from {inside:,} in the cone"
        return f"selected galaxies · {kept}" if state.selection else f"galaxies · {kept}"

    def _offered(self, key: str) -> bool:
        """Whether a sort means anything now: distances need a cone in the filter."""
        return key != "cone_distance" or self._state.sort == key or self._scene.has_cone(self._state)

    def _said(self, identifier: str) -> dict:
        """The galaxy's identifier, its star and label."""
        entry = self._naming.galaxy(identifier) if self._naming else None
        return {"id": identifier, "star": bool(entry and entry.star), "label": entry.label if entry else ""}

    def _sort_label(self, quantity) -> str:
        if quantity.key == "activation":
            feature = self._state.feature
            return f"activation of {brief(self._naming.label(feature)) if self._naming else f'f{feature}'}"
        return quantity.label
