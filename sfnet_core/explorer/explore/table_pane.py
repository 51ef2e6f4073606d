"""A pane of the right side that is a short report: Python composes its blocks, one front end draws them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sfnet_core.annotations.labels import Entry
from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.view import front_end, text, whole

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
    """Bars about zero: red raises the prediction, blue lowers it."""
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


class TablePane(Pane):
    """A pane behind one of the right side's tabs; composed only while it is the one in front."""

    _esm = front_end("shared/save", "explore/table_pane")
    tab = ""

    def __init__(self, context: Context, actions: dict[str, Callable[[dict], None]] | None = None):
        state = context.state
        always = {
            "feature": lambda m: state.change(feature=whole(m, "feature")),
            "galaxy": lambda m: state.change(galaxy=self.row(text(m, "id"))),
        }
        super().__init__(context, always | (actions or {}))

    def compose(self, query: Query) -> list[dict]:
        """The blocks for a query."""
        raise NotImplementedError

    def show(self, query: Query) -> dict:
        """The blocks, or that this pane is behind another."""
        if query.tab != self.tab:
            return {"shown": False, "tab": self.tab, "blocks": [], "focus": -1}
        blocks: list[dict[str, Any]] = self.compose(query)
        said = self.context.labels.galaxies(query)
        for item in (item for block in blocks if block["kind"] == "galaxies" for item in block["items"]):
            entry = said.get(item["id"], Entry())
            item |= {"star": entry.star, "label": entry.label}
        return {"shown": True, "tab": self.tab, "blocks": blocks, "focus": query.feature}

    def download(self, name: str, mime: str, content: bytes) -> None:
        """Have the browser save a file."""
        self.send({"download": name, "mime": mime}, [content])
