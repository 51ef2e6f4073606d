"""What a page says of its features and galaxies: names from the labels file, changes with undo, news from other pages.

Everything is kept by :class:`~sfnet_core.annotations.labels.LabelBook`; here its changes become steps of the page's
undo list, and the messages of the browser are checked. A change is written at once and redraws every view that names
what changed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.annotations.labels import Entry, LabelBook, displayed, own_labels_path
from sfnet_core.data.filters.names import Tags
from sfnet_core.explorer.shared.quantities import untexed
from sfnet_core.explorer.shared.query import Query, cached
from sfnet_core.explorer.shared.view import text, whole
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.explorer.shared.state import State

__all__ = ["KINDS", "MOST_UPLOAD", "FeatureNames", "LabelEditor", "brief", "on_plots"]

KINDS = ("features", "galaxies")
MOST_UPLOAD = 8 << 20  # bytes of an imported file: one message of the browser's has to carry it
MOST_LISTED = 60  # features and lists that the overview names
MOST_WORDS = 8192  # characters of a text that is looked at; LabelBook says what a note may have


def brief(words: str, most: int = 28) -> str:
    """A name for a narrow place: cut, with an ellipsis."""
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def on_plots(name: str) -> str:
    """A name for titles and axes: cut to their room, and no formula to Bokeh."""
    return untexed(brief(name))


class FeatureNames(dict):
    """Feature → its name on the page; those without a label are not in it, and have their number."""

    def __missing__(self, feature: int) -> str:
        return f"f{feature}"


class LabelEditor:
    """The labels of a page. ``book`` is what is kept; ``written`` counts the changes made here.

    What a view shows of them is a function of the query, whose ``labels`` counts every change of the book.
    """

    def __init__(self, codes: SparseCodes, state: State):
        self._state = state
        self.memory: dict[str, dict] = {}  # see `cached`
        self._elsewhere = own_labels_path(codes)
        self.book = LabelBook.open(codes, self._elsewhere)
        self.written = 0

    # -- names -------------------------------------------------------------------------------------------------

    def label(self, feature: int) -> str:
        """A feature's name, as the whole page shows it."""
        return self.book.name(feature)

    @cached("labels", keep=1)
    def names(self, query: Query) -> FeatureNames:
        """The names of all features."""
        return FeatureNames({f: self.book.name(f) for f, entry in self.book.features.items() if entry.label})

    @cached("labels", keep=1)
    def starred(self, query: Query) -> frozenset[int]:
        """Features with a star."""
        return frozenset(feature for feature, entry in self.book.features.items() if entry.star)

    @cached("labels", keep=1)
    def galaxies(self, query: Query) -> dict[str, Entry]:
        """What was said of galaxies, by identifier."""
        return {key: self.galaxy(key) for key in self.book.galaxies}

    def star(self, feature: int) -> bool:
        """Whether a feature has a star."""
        return self.book.feature(feature).star

    def galaxy(self, identifier: str) -> Entry:
        """What was said of a galaxy, its label as the page shows it."""
        entry = self.book.galaxy(identifier)
        return Entry(displayed(entry.label), entry.note, entry.star)

    @cached("labels", keep=4)
    def form(self, query: Query, kind: str, key: int | str) -> dict[str, Any]:
        """As :meth:`about`, of the query's labels."""
        return self.about(kind, key)

    def about(self, kind: str, key: int | str) -> dict[str, Any]:
        """All that was said of one feature or galaxy, for the form that changes it."""
        entry = self.book.feature(key) if kind == "features" else self.book.galaxy(key)
        lists = self.book.lists(kind)
        return {
            "key": key,
            "name": f"f{key}" if kind == "features" else key,
            "label": entry.label,
            "note": entry.note,
            "star": entry.star,
            "origin": entry.origin,
            "on": [name for name, members in lists.items() if key in members],
            "lists": list(lists),
        }

    def given(self) -> dict[str, Callable[[], Any]]:
        """What a filter may ask of galaxies: ``star``, ``label``, ``note``, ``list``."""
        book = self.book

        def notes() -> dict[int, str]:
            said = {key: entry.note for key, entry in book.galaxies.items() if entry.note}
            return {row: said[key] for key, row in self._rows(said).items()}

        def lists() -> Tags:
            found = book.lists("galaxies")
            rows = [np.array(sorted(self._rows(members).values()), dtype=np.int64) for members in found.values()]
            return Tags(len(book.codes), tuple(found), tuple(rows))

        return {"star": book.star_rows, "label": book.label_rows, "note": notes, "list": lists}

    def _rows(self, identifiers: Iterable[str]) -> dict[str, int]:
        """Identifier → row of those that are in these codes."""
        out = {}
        for identifier in identifiers:
            with contextlib.suppress(SFNetError):
                out[identifier] = self.book.codes.index_of(identifier)
        return out

    def opening(self) -> list[str]:
        """Sentences to say when the page opens: labels of other codes, a file that can't be read."""
        return [*self.book.notices, *([self.book.trouble] if self.book.trouble else [])]

    @cached("labels", keep=1)
    def saved(self, query: Query) -> dict[str, Any]:
        """Whether what was written is on disk, and where, or why not; and how many changes were made here."""
        return {"saved": self._saved(), "written": self.written}

    def _saved(self) -> dict[str, Any]:
        book = self.book
        if book.trouble:
            return {"ok": False, "text": f"Not saved. {book.trouble}"}
        if book.path is None:
            return {"ok": True, "text": "These codes have no file: labels are kept while this page is open."}
        own = "in your labels folder" if os.environ.get("SFNET_LABELS") else "in SFNet's cache folder"
        where = own if self._elsewhere else "beside the codes"
        return {"ok": True, "text": f"{'Saved' if self.written else 'Saved as you write'}: {book.path.name}, {where}"}

    @cached("labels", keep=1)
    def overview(self, query: Query) -> dict[str, Any]:
        """The features and galaxies of which anything was said, and the lists, as many as a pane has room for."""
        features, galaxies, names = self.book.features, self.book.galaxies, self.names(query)
        lists = {kind: list(self.book.lists(kind).items())[:MOST_LISTED] for kind in KINDS}
        named = sorted(features, key=lambda feature: (not features[feature].star, feature))
        return {
            "named": [[f, names[f], features[f].star, bool(features[f].note)] for f in named[:MOST_LISTED]],
            "more": max(0, len(named) - MOST_LISTED),
            "featureLists": [[name, [[f, names[f]] for f in members]] for name, members in lists["features"]],
            "galaxyLists": [[name, len(members)] for name, members in lists["galaxies"]],
            "starred": sum(entry.star for entry in galaxies.values()),
            "labelled": sum(bool(entry.label) for entry in galaxies.values()),
        }

    # -- changes -----------------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Take in what other pages wrote; whether anything is different. One look at the file's date."""
        different = self.book.refresh()
        self._state.labels += different
        return different

    def look(self) -> None:
        """As :meth:`refresh`, and have the page drawn anew where anything is different."""
        if self.book.refresh():
            self._state.labels_changed()

    def change(
        self, act: Callable[[], Any], touched: Mapping[str, tuple[Iterable, Iterable]] | None, tag: str = ""
    ) -> Any:
        """Do ``act`` as one step of the undo list; gives what it gives.

        ``touched``: kind → (keys, names of lists) that the step may change, so that an undo leaves what other pages
        change meanwhile alone; ``None`` for whatever differs afterwards. ``tag``: see :meth:`State.record`.
        """
        self.refresh()
        before = {kind: self.book.snapshot(kind) for kind in KINDS}
        trouble = self.book.trouble
        done = act()
        after = {kind: self.book.snapshot(kind) for kind in KINDS}
        steps = [(_part(a, b, only), _part(b, a, only)) for a, b, only in (
            (before[kind], after[kind], None if touched is None else touched.get(kind, ((), ()))) for kind in KINDS
        )]  # fmt: skip
        if any(back != forth for back, forth in steps):
            self.written += 1
            back, forth = ({kind: step[i] for kind, step in zip(KINDS, steps, strict=True)} for i in (0, 1))
            self._state.record(lambda: self._restore(back), lambda: self._restore(forth), tag)
        elif self.book.trouble != trouble:
            self._state.labels_changed()
        return done

    def _restore(self, parts: Mapping[str, tuple[dict, dict]]) -> None:
        for kind, (entries, lists) in parts.items():
            if entries or lists:
                self.book.restore(kind, entries, lists)
        self.written += 1

    def set(self, kind: str, key: int | str, tag: str = "", **said: Any) -> None:
        """Say ``label``, ``note`` or ``star`` of a feature or galaxy."""
        act = self.book.set_feature if kind == "features" else self.book.set_galaxy
        self.change(lambda: act(key, **said), {kind: ((key,), ())}, tag)

    def load(self, data: bytes) -> str:
        """Merge a labels file; gives a sentence of what came of it."""
        return self.change(lambda: self.book.import_text(data), None)

    # -- messages of the browser -------------------------------------------------------------------------------

    def actions(self) -> dict[str, Callable[[dict], None]]:
        """What a view may be asked to do: to be put among its actions."""
        return {
            "write": self._write,
            "star": self._star,
            "join": lambda m: self._join(m, add=True),
            "leave": lambda m: self._join(m, add=False),
            "drop": self._drop,
            "look": lambda _m: self.look(),
            "save": lambda _m: (self.book.save(), self._state.labels_changed()),
        }

    def _subject(self, message: dict) -> tuple[str, int | str]:
        kind = self._kind(message)
        if kind == "features":
            key = whole(message, "key")
            if not 0 <= key < self.book.codes.features:
                raise ValueError("there is no such feature")
            return kind, key
        key = text(message, "key")
        self.book.codes.index_of(key)
        return kind, key

    def _kind(self, message: dict) -> str:
        kind = text(message, "kind", 20)
        if kind not in KINDS:
            raise ValueError("labels are of features or of galaxies")
        return kind

    def _write(self, message: dict) -> None:
        kind, key = self._subject(message)
        field, words = text(message, "field", 20), text(message, "text", MOST_WORDS)
        if field not in ("label", "note"):
            raise ValueError("a label or a note is written, nothing else")
        self.set(kind, key, f"{kind} {key} {field} {whole(message, 'sitting')}", **{field: words})

    def _star(self, message: dict) -> None:
        kind, key = self._subject(message)
        now = self.star(key) if kind == "features" else self.book.galaxy(key).star
        self.set(kind, key, star=not now)

    def _join(self, message: dict, *, add: bool) -> None:
        kind, key = self._subject(message)
        self.collect(kind, text(message, "list", MOST_WORDS), [key], add=add)

    def collect(self, kind: str, name: str, members: list, *, add: bool) -> None:
        """Put members on a list (made where there is none), or take them off."""
        name = name.strip()
        act = self.book.add if add else self.book.remove
        self.change(lambda: act(kind, name, members), {kind: ((), (name,))})

    def _drop(self, message: dict) -> None:
        kind, name = self._kind(message), text(message, "list", MOST_WORDS)
        self.change(lambda: self.book.drop(kind, name), {kind: ((), (name,))})


def _part(
    one: tuple[dict, dict], other: tuple[dict, dict], only: tuple[Iterable, Iterable] | None
) -> tuple[dict, dict]:
    """Entries and lists of ``one`` that are to be looked at: those named, or those that differ in ``other``."""
    (items, lists), (items2, lists2) = one, other
    keys, names = only or (
        [key for key in {**items, **items2} if items.get(key) != items2.get(key)],
        [name for name in {**lists, **lists2} if lists.get(name) != lists2.get(name)],
    )
    return {key: items.get(key, Entry()) for key in keys}, {name: lists.get(name) for name in names}
