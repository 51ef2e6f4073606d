"""The tabs of the right side: the galaxy in focus, the selection, a comparison, neighbours, notes."""

from __future__ import annotations

from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.state import TABS
from sfnet_core.explorer.shared.view import front_end, text

__all__ = ["Tabs"]


class Tabs(Pane):
    """One button a tab."""

    _esm = front_end("explore/tabs")

    def __init__(self, context: Context):
        super().__init__(context, {"tab": lambda m: context.state.change(tab=text(m, "tab"))})

    def show(self, query: Query) -> dict:
        """Which tab is in front, and which have something to show."""
        marked = {"selection": bool(query.selection), "compare": query.pinned >= 0 or bool(query.pinned_selection)}
        return {"tabs": [[key, words, marked.get(key, False)] for key, words in TABS.items()], "tab": query.tab}
