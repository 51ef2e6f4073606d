"""What the top of every page on codes does: whose codes, split and target, messages, undo and redo, the permalink."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from traitlets import TraitError

from sfnet_core.explorer.shared.view import View, text

if TYPE_CHECKING:
    from sfnet_core.explorer.atlas.common import AtlasState
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.shared.state import State

__all__ = ["PageHeader"]

MESSAGES = 4  # shown at once, the newest


class PageHeader(View):
    """Keeps the messages (``sf-notice``) and how often a permalink was read; what else it shows, ``draw`` sends."""

    def __init__(
        self,
        scene: Scene,
        state: State | AtlasState,
        title: str,
        facts: list[str],
        open_link: Callable[[str], None],
        actions: dict[str, Callable[..., None]],
    ):
        self._scene, self._state, self._title, self._facts = scene, state, title, facts
        self._notices: list[str] = []
        self._serial = 0
        self._query = ""
        common = {
            "undo": lambda _m: state.undo(),
            "redo": lambda _m: state.redo(),
            "open-link": lambda m: open_link(text(m, "query", 1 << 20)),
            "dismiss": lambda _m: self.dismiss(),
        }
        super().__init__(self.notify, common | actions)

    def draw(self, query: str | None = None) -> None:
        """Send what the top shows; ``query`` is the state's permalink, where it is another than before."""
        raise NotImplementedError

    def shared(self, query: str | None) -> dict[str, Any]:
        """What each of them sends; ``query`` as in :meth:`draw`."""
        scene, state = self._scene, self._state
        self._query = self._query if query is None else query
        return {
            "title": self._title,
            "simulated": scene.codes.simulated,
            "facts": self._facts,
            "splits": [["", f"all ({scene.n:,})"], *([s, f"{s} ({n:,})"] for s, n in scene.splits.items())],
            "split": state.split,
            "targets": [[str(t), scene.target_label(t)] for t in range(len(scene.codes.targets))],
            "target": str(state.target),
            "notices": self._notices,
            "query": self._query,
            "opened": self._serial,
        }

    def notify(self, message: str) -> None:
        """Show a message to the user."""
        self._notices = [*self._notices, message][-MESSAGES:]
        self.draw()

    def dismiss(self) -> None:
        """Take the messages away."""
        self._notices = []
        self.draw()

    def follow(self, choices: dict[str, Any], troubles: list[str], undoable: bool = False) -> None:
        """Make the choices of a permalink, say what of it does not hold, tell the browser that it has been read."""
        try:
            self._state.change(**choices)
            if not undoable:
                self._state.forget()
        except TraitError as error:
            troubles = [*troubles, f"The link could not be followed: {error}."]
        for trouble in troubles:
            self.notify(trouble)
        self.opened()

    def opened(self) -> None:
        """Tell the browser that its permalink has been read: the page is ready."""
        self._serial += 1
        self.draw()
