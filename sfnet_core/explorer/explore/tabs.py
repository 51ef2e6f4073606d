"""The tabs of the right side: the galaxy in focus, the selection, a comparison, neighbours."""

from __future__ import annotations

from collections.abc import Callable

from sfnet_core.explorer.shared.state import TABS, State
from sfnet_core.explorer.shared.view import View, front_end, text

__all__ = ["Tabs"]


class Tabs(View):
    """One button a tab."""

    _esm = front_end("explore/tabs")
    observes = frozenset({"tab", "selection", "pinned", "kept"})

    def __init__(self, state: State, notify: Callable[[str], None]):
        self._state = state
        super().__init__(notify, {"tab": lambda m: state.change(tab=text(m, "tab"))})

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send which tab is in front."""
        state = self._state
        marked = {"selection": bool(state.selection), "compare": state.pinned >= 0 or bool(state.kept)}
        self.data = {"tabs": [[key, words, marked.get(key, False)] for key, words in TABS.items()], "tab": state.tab}
