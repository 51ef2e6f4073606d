"""The notes pane: what was said of the feature and of the galaxy in focus, the lists, and the labels as a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.label_editor import MOST_UPLOAD, MOST_WORDS, LabelEditor
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.state import State, unpack_rows
from sfnet_core.explorer.shared.view import View, front_end, source, text, whole
from sfnet_core.utils.errors import SFNetError

__all__ = ["NoteStrip", "Notes"]

FILTERS = {"star": "star", "label": "label is known"}


class NoteStrip(View):
    """The form for the feature in focus as a strip (``sf-note-strip``), for pages with nothing else of the kind.

    In the page all the time, so that other pages' changes are noticed.
    """

    _esm = front_end("shared/said", "shared/notes_editor", "shared/note_strip")
    _css = source("shared/notes.css")

    def __init__(self, state: State, labels: LabelEditor, notify: Callable[[str], None], *, watch_only: bool = False):
        self._state, self._labels, self._watch_only = state, labels, watch_only
        super().__init__(notify, {"look": lambda _m: labels.look()} if watch_only else labels.actions())

    def draw(self) -> None:
        """Send the form; without a feature in focus, or where the page only reads, that there is none."""
        state, labels = self._state, self._labels
        shown = state.feature >= 0 and not self._watch_only
        form = labels.form(state, "features", state.feature) if shown else None
        self.data = {"features": form, **labels.saved(state)}


class Notes(Pane):
    """Two forms (``sf-notes``), saved as they are written; lists; export and import.

    In the page all the time, so that its keys work and other pages' changes are noticed behind any tab.
    """

    _esm = front_end("shared/said", "shared/notes_editor", "shared/notes")
    _css = source("shared/notes.css")
    with_buffers: ClassVar[frozenset[str]] = frozenset({"import"})

    def __init__(self, context: Context):
        state = context.state
        super().__init__(
            context,
            {
                **context.labels.actions(),
                "show": lambda _m: state.change(tab="notes"),
                "focus": lambda m: state.change(feature=whole(m, "feature")),
                "filter": lambda m: self._filter(FILTERS[text(m, "of", 20)]),
                "filter-list": lambda m: self._filter(self._asked(text(m, "list", MOST_WORDS))),
                "join-selected": lambda m: self._join_selected(text(m, "list", MOST_WORDS)),
                "export": lambda _m: self._export(),
                "import": self._import,
            },
        )

    def _asked(self, name: str) -> str:
        if name not in self.context.labels.book.lists("galaxies"):
            raise ValueError("there is no such list")
        return 'list = "{}"'.format(name.replace('"', '""'))

    def _filter(self, words: str) -> None:
        """Show these galaxies, or all again where they are shown already."""
        state = self.context.state
        words = "" if state.filter == words else words
        if words:
            self.context.scene.mask(replace(state.query, filter=words))
        state.change(filter=words, page=0, selection=b"")

    def _join_selected(self, name: str) -> None:
        rows = unpack_rows(self.context.state.selection)
        if not len(rows):
            raise SFNetError("No galaxy is selected: draw a lasso or a box in a plot first.")
        self.context.labels.collect("galaxies", name, self.context.scene.codes.ids[rows].tolist(), add=True)

    def _export(self) -> None:
        book = self.context.labels.book
        name = book.path.name if book.path else "labels.json"
        self.send({"download": name, "mime": "application/json"}, [book.export_text().encode()])

    def _import(self, _message: dict, buffers: list) -> None:
        if len(buffers) != 1:
            raise ValueError("one file is imported at a time")
        size = memoryview(buffers[0]).nbytes
        if size > MOST_UPLOAD:
            raise SFNetError(f"The file has {size:,} bytes; labels of up to {MOST_UPLOAD:,} are imported on the page.")
        self.context.notify(self.context.labels.load(bytes(buffers[0])))

    def show(self, query: Query) -> dict:
        """The forms; the overview only while the pane is in front."""
        labels, front = self.context.labels, query.tab == "notes"
        identifier = str(self.context.scene.codes.ids[query.galaxy]) if query.galaxy >= 0 else ""
        return {
            "shown": front,
            "features": labels.form(query, "features", query.feature) if query.feature >= 0 else None,
            "galaxies": labels.form(query, "galaxies", identifier) if identifier else None,
            "selected": len(unpack_rows(query.selection)),
            **labels.saved(query),
            "most": MOST_UPLOAD,
            "focus": query.feature,
            **({**labels.overview(query), "filter": query.filter} if front else {}),
        }
