"""The explorer's head: what the data are, which split the numbers are of, and the numbers under the toggles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.data.filters.grammar import FilterError
from sfnet_core.explorer.explore.filter_box import FilterBox
from sfnet_core.explorer.shared.context import Context
from sfnet_core.explorer.shared.page_header import PageHeader
from sfnet_core.explorer.shared.quantities import MINUS, signed
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.state import MAX_FILTER, unpack_rows
from sfnet_core.explorer.shared.view import front_end, source, text, whole

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["Header", "status_text"]


def status_text(scene: Scene, query: Query) -> str:
    """The numbers of the query as the page shows them, e.g. 'RMSE 0.0932 dex · R² 0.712 · N 240 · …'."""
    numbers, unit = scene.numbers(query), scene.unit(query.target)
    parts = []
    if numbers.n:
        parts += [f"RMSE {numbers.rmse:.4f} {unit}".rstrip()]
    if np.isfinite(numbers.r2):
        parts += [f"R² {numbers.r2:.3f}".replace("-", MINUS)]
    if query.off and numbers.n:
        parts += [f"ΔRMSE {signed(numbers.rmse - numbers.rmse_all_on, 4)} {unit}"]
    if query.off and np.isfinite(numbers.mean_change):
        parts += [f"mean change {signed(numbers.mean_change, 4)} {unit}"]
    parts += [f"N {numbers.n or numbers.in_view:,}", query.split or "all splits"]
    parts += ["filtered"] if query.filter else []
    parts += [f"{beyond:,} novel"] if (beyond := scene.unlike_in_view(query)) else []
    parts += [f"{len(query.off)} off, {query.mode}" if query.off else "all features on"]
    return " · ".join(parts)


class Header(PageHeader):
    """Title, provenance, split switch, status line (``sf-status``) and messages (``sf-notice``)."""

    _esm = front_end(
        "shared/said", "shared/keys", "explore/keys", "shared/page_head", "explore/filter_box", "explore/header"
    )
    _css = source("shared/explorer.css")

    def __init__(
        self,
        context: Context,
        *,
        title: str,
        facts: list[str],
        open_link: Callable[[str], None],
        set_theme: Callable[[bool], None],
    ):
        scene, state = context.scene, context.state
        self._box = FilterBox(context)
        super().__init__(
            scene,
            state,
            title,
            facts,
            open_link,
            {
                "target": lambda m: state.change(target=whole(m, "target")),
                "split": lambda m: state.change(split=text(m, "split"), page=0, selection=b""),
                "filter": lambda m: self._filter(text(m, "filter", MAX_FILTER)),
                "filter-ask": lambda m: self._ask(text(m, "text", MAX_FILTER), whole(m, "cursor"), whole(m, "serial")),
                "filter-examples": lambda _m: self.send({"filterExamples": self._box.examples()}),
                "clear-selection": lambda _m: state.change(selection=b"", page=0),
                "theme": lambda m: set_theme(m["dark"] is True),
            },
        )

    def _filter(self, given: str) -> None:
        """Set a filter; one that can't be read is refused before it is set, and the box says why and where."""
        words = given.strip()
        try:
            self._scene.mask(replace(self._state.query, filter=words))
        except FilterError as error:
            self.send({"filter": {**self._box.complaint(given, error), "refused": True}})
            return
        self._state.change(filter=words, page=0, selection=b"")

    def _ask(self, given: str, cursor: int, serial: int) -> None:
        self.send({"filter": {**self._box.ask(given, cursor), "serial": serial}})

    def draw(self, query: str | None = None) -> None:
        """Send what the header shows; ``query`` is the state's permalink."""
        scene, now = self._scene, self._state.query
        numbers = scene.numbers(now)
        selected = len(unpack_rows(now.selection))
        self.data = self.shared(query) | {
            "status": status_text(scene, now),
            "filter": now.filter,
            "hint": self._box.hint(),
            "warn": bool(numbers.n and not now.split and scene.splits),
            "selected": f"{selected:,} selected of {len(scene.view(now)):,}" if selected else "",
        }
