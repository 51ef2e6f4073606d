"""A pane of the right side that is a short report: Python composes its blocks, one front end draws them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.view import View, front_end, text, whole

if TYPE_CHECKING:
    from sfnet_core.annotations.labels import Entry
    from sfnet_core.data.pictures import Pictures
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["TablePane", "bars", "buttons", "galaxies", "heading", "line", "table"]


def heading(words: str) -> dict:
    """A heading."""
    return {"kind": "heading", "text": words}


def line(words: str) -> dict:
    """A line of explanation."""
    return {"kind": "text", "text": words}


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], features: Sequence[int] | None = None) -> dict:
    """A table of texts, the first column left, the others right; ``features`` makes the first cells buttons."""
    return {
        "kind": "table",
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "features": [] if features is None else [int(f) for f in features],
    }


def bars(labels: Sequence[str], values: Sequence[float], texts: Sequence[str], features: Sequence[int]) -> dict:
    """Bars about zero: red adds, blue takes away."""
    rows = zip(labels, values, texts, features, strict=True)
    return {
        "kind": "bars",
        "rows": [{"label": a, "value": float(v), "text": t, "feature": int(f)} for a, v, t, f in rows],
    }


def galaxies(items: Sequence[tuple[str, bytes, str]]) -> dict:
    """Pictures with a line under each: (identifier, JPEG, text)."""
    return {"kind": "galaxies", "items": [{"id": i, "jpeg": picture, "text": words} for i, picture, words in items]}


def buttons(*items: tuple[str, str, str]) -> dict:
    """Buttons: (words, action, what it does)."""
    return {"kind": "buttons", "items": [{"text": t, "do": action, "title": title} for t, action, title in items]}


class TablePane(View):
    """A pane behind one of the right side's tabs; composed only while it is the one in front.

    ``said``: what was said of a galaxy, by identifier (:meth:`LabelEditor.galaxy`), for the stars on its pictures.
    """

    _esm = front_end("shared/save", "explore/table_pane")
    tab = ""
    said: Callable[[str], Entry] | None = None

    def __init__(
        self,
        scene: Scene,
        state: State,
        pictures: Pictures,
        notify: Callable[[str], None],
        label: Callable[[int], str],
        actions: dict[str, Callable[[dict], None]] | None = None,
    ):
        self._scene, self._state, self._pictures, self._label = scene, state, pictures, label
        always = {
            "feature": lambda m: state.change(feature=whole(m, "feature")),
            "galaxy": lambda m: state.change(galaxy=self._row(text(m, "id"))),
        }
        super().__init__(notify, always | (actions or {}))

    def _row(self, identifier: str) -> int:
        row = self._scene.row_of(identifier)
        if row is None:
            raise ValueError("that galaxy is not in the table")
        return row

    def compose(self) -> list[dict]:
        """The blocks, from the state."""
        raise NotImplementedError

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send the blocks, or that this pane is behind another."""
        front = self._state.tab == self.tab
        blocks: list[dict[str, Any]] = self.compose() if front else []
        for item in (item for block in blocks if block["kind"] == "galaxies" for item in block["items"]):
            entry = self.said(item["id"]) if self.said is not None else None
            item |= {"star": bool(entry and entry.star), "label": entry.label if entry else ""}
        self.data = {"shown": front, "tab": self.tab, "blocks": blocks, "focus": self._state.feature}

    def download(self, name: str, mime: str, content: bytes) -> None:
        """Have the browser save a file."""
        self.send({"download": name, "mime": mime}, [content])
