"""What the views of a page share, and how each of them is drawn: from a query, where what it reads of it is another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sfnet_core.data.pictures import Pictures
from sfnet_core.explorer.shared.label_editor import LabelEditor
from sfnet_core.explorer.shared.query import Follower, Query
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.view import View

__all__ = ["Context", "Pane"]


@dataclass(frozen=True)
class Context:
    """The arithmetic, the state that clicks change, pictures, labels; where messages go, and the page's permalink."""

    scene: Scene
    state: State
    pictures: Pictures
    labels: LabelEditor
    notify: Callable[[str], None]
    link: Callable[[str], str] = lambda _place: ""  # for the address in the browser


class Pane(View):
    """A view whose data are a function of the query: :meth:`show`. Clicks change the context's state."""

    def __init__(self, context: Context, actions: dict[str, Callable[..., None]]):
        self.context = context
        self._follow = Follower(self._show)
        self._shown: dict[str, Any] | None = None
        super().__init__(context.notify, actions)

    def draw(self, query: Query) -> None:
        """Send what the page shows for this query, where a field that was read the last time is another now."""
        if self.data is not self._shown:  # somebody wrote into it over the comm
            self._follow.forget()
        self._follow(query)

    def show(self, query: Query) -> dict[str, Any]:
        """The data for this query; whatever can change is read from it."""
        raise NotImplementedError

    def _show(self, query: Query) -> None:
        self.data = self.show(query)
        self._shown = self.data

    def row(self, identifier: str) -> int:
        """The row of a galaxy that a message names; ``ValueError`` where there is none."""
        row = self.context.scene.row_of(identifier)
        if row is None:
            raise ValueError("that galaxy is not in the table")
        return row
