"""The notes pane: what was said of the feature and of the galaxy in focus, the lists, and the labels as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from sfnet_core.explorer.shared.label_editor import KINDS, MOST_UPLOAD, MOST_WORDS, LabelEditor
from sfnet_core.explorer.shared.state import State, unpack_rows
from sfnet_core.explorer.shared.view import View, front_end, source, text, whole
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["NoteStrip", "Notes"]

MOST_LISTED = 60  # features and lists that the overview names
FILTERS = {"star": "star", "label": "label is known"}


class NoteStrip(View):
    """The form for the feature in focus as a strip (``sf-note-strip``), for pages with nothing else of the kind.

    In the page all the time, so that other pages' changes are noticed.
    """

    _esm = front_end("shared/said", "shared/notes_editor", "shared/note_strip")
    _css = source("shared/notes.css")

    def __init__(self, state: State, naming: LabelEditor, notify: Callable[[str], None], *, watch_only: bool = False):
        self._state, self._naming, self._watch_only = state, naming, watch_only
        super().__init__(notify, {"look": lambda _m: naming.look()} if watch_only else naming.actions())

    def draw(self) -> None:
        """Send the form; without a feature in focus, or where the page only reads, that there is none."""
        feature, naming = self._state.feature, self._naming
        form = None if self._watch_only or feature < 0 else naming.about("features", feature)
        self.data = {"features": form, "saved": naming.saved(), "written": naming.written}


class Notes(View):
    """Two forms (``sf-notes``), saved as they are written; lists; export and import.

    In the page all the time, so that its keys work and other pages' changes are noticed behind any tab.
    """

    _esm = front_end("shared/said", "shared/notes_editor", "shared/notes")
    _css = source("shared/notes.css")
    observes = frozenset({"tab", "feature", "galaxy", "selection", "filter", "labels"})
    with_buffers: ClassVar[frozenset[str]] = frozenset({"import"})

    def __init__(self, scene: Scene, state: State, naming: LabelEditor, notify: Callable[[str], None]):
        self._scene, self._state, self._naming = scene, state, naming
        super().__init__(
            notify,
            {
                **naming.actions(),
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
        if name not in self._naming.book.lists("galaxies"):
            raise ValueError("there is no such list")
        return 'list = "{}"'.format(name.replace('"', '""'))

    def _filter(self, words: str) -> None:
        """Show these galaxies, or all again where they are shown already."""
        words = "" if self._state.filter == words else words
        if words:
            self._scene.mask(words, self._state.target)
        self._state.change(filter=words, page=0, selection=b"")

    def _join_selected(self, name: str) -> None:
        rows = unpack_rows(self._state.selection)
        if not len(rows):
            raise SFNetError("No galaxy is selected: draw a lasso or a box in a plot first.")
        self._naming.collect("galaxies", name, self._scene.codes.ids[rows].tolist(), add=True)

    def _export(self) -> None:
        book = self._naming.book
        name = book.path.name if book.path else "labels.json"
        self.send({"download": name, "mime": "application/json"}, [book.export_text().encode()])

    def _import(self, _message: dict, buffers: list) -> None:
        if len(buffers) != 1:
            raise ValueError("one file is imported at a time")
        size = memoryview(buffers[0]).nbytes
        if size > MOST_UPLOAD:
            raise SFNetError(f"The file has {size:,} bytes; labels of up to {MOST_UPLOAD:,} are imported on the page.")
        self._notify(self._naming.load(bytes(buffers[0])))

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send the forms; the overview only while the pane is in front."""
        state, naming = self._state, self._naming
        front = state.tab == "notes"
        identifier = str(self._scene.codes.ids[state.galaxy]) if state.galaxy >= 0 else ""
        self.data = {
            "shown": front,
            "features": naming.about("features", state.feature) if state.feature >= 0 else None,
            "galaxies": naming.about("galaxies", identifier) if identifier else None,
            "selected": len(unpack_rows(state.selection)),
            "saved": naming.saved(),
            "written": naming.written,
            "most": MOST_UPLOAD,
            "focus": state.feature,
            **(self._overview() if front else {}),
        }

    def _overview(self) -> dict:
        naming, book = self._naming, self._naming.book
        features, galaxies = book.features, book.galaxies
        lists = {kind: list(book.lists(kind).items())[:MOST_LISTED] for kind in KINDS}
        named = sorted(features, key=lambda feature: (not features[feature].star, feature))
        return {
            "named": [[f, naming.label(f), features[f].star, bool(features[f].note)] for f in named[:MOST_LISTED]],
            "more": max(0, len(named) - MOST_LISTED),
            "featureLists": [[name, [[f, naming.label(f)] for f in members]] for name, members in lists["features"]],
            "galaxyLists": [[name, len(members)] for name, members in lists["galaxies"]],
            "starred": sum(entry.star for entry in galaxies.values()),
            "labelled": sum(bool(entry.label) for entry in galaxies.values()),
            "filter": self._state.filter,
        }
