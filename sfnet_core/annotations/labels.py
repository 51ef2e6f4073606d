"""Labels, notes, stars and named lists for features and galaxies, saved beside the codes as they are made.

Every change is written at once to ``CODES.labels.json``: under a lock the file is read anew, the one change is made on
what it holds now, and the whole takes the file's name. So two pages, of one process or of two, never lose each other's
entries; of two changes to the same label the later stays. Where nothing can be written the labels live in memory, and
:attr:`LabelBook.trouble` says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sfnet_core.annotations.carry import carry, put_back, stamp, tidings, transfer
from sfnet_core.annotations.document import (
    Document,
    Entry,
    Roster,
    Section,
    checked_text,
    is_fingerprint,
    merge,
    ordered,
    read_labels,
    write_document,
)
from sfnet_core.annotations.store import Store, read_file
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import default_cache, sample_folder, write_text

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["Entry", "LabelBook", "displayed", "labels_path", "own_labels_path"]

# Marks that turn the direction of the text after them, beyond the label's own end.
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])

Kind = Literal["features", "galaxies"]


def labels_path(codes: str | os.PathLike) -> Path:
    """Where the labels of a codes file are: ``run.parquet`` → ``run.labels.json`` in the same folder."""
    path = Path(codes)
    return path.with_name(f"{path.stem}.labels.json")


def own_labels_path(codes: SparseCodes) -> Path | None:
    """Where the labels of codes are, if not beside them.

    In the folder that ``SFNET_LABELS`` names, for codes that several people read and none may write beside; those of
    the embedded sample, which is a part of the installation, in the user's cache folder (``SFNET_CACHE``).
    """
    if codes.path is None:
        return None
    if folder := os.environ.get("SFNET_LABELS"):
        with contextlib.suppress(OSError):  # what is wrong with it is said when something is to be written
            Path(folder).mkdir(parents=True, exist_ok=True)
        return labels_path(Path(folder) / Path(codes.path).name)
    with contextlib.suppress(SFNetError, OSError):
        if Path(codes.path).samefile(sample_folder() / "sample-codes.parquet"):
            default_cache().mkdir(parents=True, exist_ok=True)
            return labels_path(default_cache() / "sample-codes.parquet")
    return None


def displayed(label: str) -> str:
    """A label's letters, without marks that would turn the direction of the text after it."""
    return label.translate(_TURNING)


class LabelBook:
    """The labels of one set of codes.

    ``notices``: sentences of what was found when the file was opened, for the user to read once. Every ``set`` and list
    method raises :class:`SFNetError` for texts that are too long or can't be written, and never for a file that can't:
    that is told by ``trouble``.
    """

    def __init__(self, codes: SparseCodes, path: str | os.PathLike | None):
        """Use :meth:`open`. ``codes`` are the ones in the file, not a part of them and not behind another gate."""
        self.codes, self.path = codes, None if path is None else Path(path)
        run = codes.provenance.get("run_fingerprint")
        self.run = run if is_fingerprint(run) else ""
        self.notices: list[str] = []
        self._store = Store(self.path, lambda: self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """The codes' own; reckoned when it is first needed, because it reads all of them."""
        return self.codes.fingerprint

    @classmethod
    def open(cls, codes: SparseCodes, path: str | os.PathLike | None = None) -> LabelBook:
        """The labels beside codes, or in the file ``path``; codes without a file have theirs in memory.

        A file that is damaged or not ours is left untouched, with a sentence in ``trouble``. Features named under
        another fingerprint come along where the same network made those codes; else they are kept in the file, unseen,
        until :meth:`transfer` says which feature is which.

        Parameters
        ----------
        codes : SparseCodes
            The ones in the file, not a part of them and not behind another gate.
        path : str or path, optional
            Another file than the one beside them.

        Returns
        -------
        LabelBook
        """
        if path is None and codes.path is not None:
            path = labels_path(codes.path)
        book = cls(codes, path)
        book.refresh()
        book._welcome()
        return book

    def _welcome(self) -> None:
        if not self._document.features:
            return
        mine = self._document.features.get(self.fingerprint)
        others = self.others()
        if mine is not None or not others:
            return
        same = {name for name in others if self.run and self._document.features[name].run == self.run}
        if same:
            self._store.later(lambda document: carry(document, self.fingerprint, same, self.codes.features))
            self.notices.append(
                f"{len(self.features)} feature label(s) come from other codes that the same network made; "
                "they are written for these codes with the next change."
            )
        if kept := sum(count for name, count in others.items() if name not in same):
            self.notices.append(
                f"{kept} feature label(s) in {self.path.name} belong to codes with another fingerprint "
                f"({', '.join(name[:8] for name in others if name not in same)}; these have {self.fingerprint[:8]}). "
                "They are kept there and not shown, because a feature's number means another thing in another network."
            )

    def refresh(self) -> bool:
        """Take in what other pages have written; whether anything is different now. Quick; ask every second."""
        return self._store.refresh()

    def save(self) -> bool:
        """Try again to write what is in memory only (every change tries by itself)."""
        return self._store.save()

    @property
    def trouble(self) -> str:
        """A sentence while changes are in this page's memory only, else empty."""
        return self._store.trouble

    @property
    def _document(self) -> Document:
        return self._store.document

    # -- reading -----------------------------------------------------------------------------------------------

    @property
    def features(self) -> dict[int, Entry]:
        """Features that something was said of, by number."""
        there = sorted(self._section("features").items.items())
        return {key: entry for key, entry in there if entry and key < self.codes.features}

    @property
    def galaxies(self) -> dict[str, Entry]:
        """Galaxies that something was said of, by identifier; those of other codes with the same file too."""
        return {key: entry for key, entry in sorted(self._section("galaxies").items.items()) if entry}

    def feature(self, feature: int) -> Entry:
        """What was said of a feature; an empty entry where nothing was."""
        return self._section("features").items.get(int(feature), Entry())

    def name(self, feature: int) -> str:
        """'f61', or 'f61 · blue, star-forming' where somebody labelled it so."""
        label = self.feature(feature).label if feature >= 0 else ""
        return f"f{feature} · {displayed(label)}" if label else f"f{feature}"

    def galaxy(self, identifier: str) -> Entry:
        """What was said of a galaxy; an empty entry where nothing was."""
        return self._section("galaxies").items.get(str(identifier), Entry())

    def lists(self, kind: Kind) -> dict[str, tuple]:
        """Named lists of ``features`` (numbers) or ``galaxies`` (identifiers), each in ascending order."""
        end = self.codes.features if kind == "features" else None  # a file from elsewhere may name any number
        return {
            name: tuple(member for member in roster.members if end is None or member < end)
            for name, roster in sorted(self._section(kind).lists.items())
            if not roster.gone
        }

    def label_rows(self) -> dict[int, str]:
        """Row → label of the galaxies in these codes that have one, for a filter's ``label``."""
        return {row: entry.label for row, entry in self._rows() if entry.label}

    def star_rows(self) -> set[int]:
        """Rows of the galaxies in these codes with a star, for a filter's ``star``."""
        return {row for row, entry in self._rows() if entry.star}

    def _rows(self) -> Iterator[tuple[int, Entry]]:
        for identifier, entry in self._section("galaxies").items.items():
            with contextlib.suppress(SFNetError):
                yield self.codes.index_of(identifier), entry

    def others(self) -> dict[str, int]:
        """Fingerprints of other codes in the file, and how many of their features have labels."""
        counts = {
            name: sum(map(bool, section.items.values()))
            for name, section in self._document.features.items()
            if name != self.fingerprint
        }
        return {name: count for name, count in counts.items() if count or self._document.features[name].lists}

    def _section(self, kind: Kind) -> Section:
        if kind == "galaxies":
            return self._document.galaxies
        if kind == "features":
            return (self._document.features and self._document.features.get(self.fingerprint)) or Section()
        raise SFNetError(f"Lists are of `features` or of `galaxies`, not of {str(kind)[:40]!r}.")

    # -- changing ----------------------------------------------------------------------------------------------

    def set_feature(
        self, feature: int, *, label: str | None = None, note: str | None = None, star: bool | None = None
    ) -> Entry:
        """Say something of a feature; what is ``None`` stays, an empty text takes it away.

        Parameters
        ----------
        feature : int
            Its number.
        label, note : str, optional
            One line of at most 120 characters; several of at most 4,000.
        star : bool, optional
            Whether it has one.

        Returns
        -------
        Entry
            The entry before, for an undo.

        Raises
        ------
        SFNetError
            No such feature, or a text that is too long or can't be written.
        """
        return self._set("features", self._member("features", feature), label, note, star)

    def set_galaxy(
        self, identifier: str, *, label: str | None = None, note: str | None = None, star: bool | None = None
    ) -> Entry:
        """Say something of a galaxy of these codes, by identifier; see :meth:`set_feature`."""
        return self._set("galaxies", self._member("galaxies", identifier), label, note, star)

    def _set(self, kind: Kind, key: int | str, label: str | None, note: str | None, star: bool | None) -> Entry:
        said: dict = {}
        if label is not None:
            said["label"] = checked_text(label.strip() if isinstance(label, str) else label, "label")
        if note is not None:
            note = note.replace("\r\n", "\n").replace("\r", "\n") if isinstance(note, str) else note
            said["note"] = checked_text(note, "note")
        if star is not None:
            if not isinstance(star, bool):
                raise SFNetError("A star is there or not: true or false.")
            said["star"] = star
        before = self._section(kind).items.get(key, Entry())

        def change(document: Document) -> None:
            items = self._part(document, kind).items
            now = items.get(key, Entry())
            items[key] = replace(now, **said, **stamp(now))

        if any(getattr(before, name) != value for name, value in said.items()):
            self._store.change(change)
        return before

    def add(self, kind: Kind, name: str, members: Iterable[int | str] = ()) -> int:
        """Put features or galaxies on a named list, made where there is none.

        Parameters
        ----------
        kind : {"features", "galaxies"}
            What the list is of.
        name : str
            Its name.
        members : iterable
            Numbers or identifiers.

        Returns
        -------
        int
            The length of the list.

        Raises
        ------
        SFNetError
            A name that can't be, or members that are not in these codes.
        """
        members = [self._member(kind, member) for member in members]
        name = self._edit_list(kind, name, lambda now: {*now, *members}, make=True)
        return len(self.lists(kind)[name])

    def remove(self, kind: Kind, name: str, members: Iterable[int | str]) -> int:
        """Take features or galaxies off a list; gives the length of what is left."""
        members = set(members)
        name = self._edit_list(kind, name, lambda now: now - members, make=False)
        return len(self.lists(kind).get(name, ()))

    def drop(self, kind: Kind, name: str) -> None:
        """Delete a list."""
        self._edit_list(kind, name, lambda now: set(), make=False, gone=True)

    def _edit_list(self, kind: Kind, name: str, edit: Callable[[set], set], *, make: bool, gone: bool = False) -> str:
        name = checked_text(name.strip() if isinstance(name, str) else name, "name")
        if not name:
            raise SFNetError("A list needs a name.")
        if name not in self.lists(kind) and not make:
            raise SFNetError(f"There is no list {name!r} of {kind}.")

        def change(document: Document) -> None:
            lists = self._part(document, kind).lists
            now = lists.get(name, Roster())
            if now.gone and not make:  # another page deleted it meanwhile
                return
            lists[name] = Roster(ordered(edit(set() if now.gone else set(now.members))), gone=gone, **stamp(now))

        self._store.change(change)
        return name

    def snapshot(self, kind: Kind) -> tuple[dict, dict[str, Roster]]:
        """Entries and lists as they are, for :meth:`restore`."""
        section = self._section(kind)
        return dict(section.items), dict(section.lists)

    def restore(self, kind: Kind, entries: Mapping[int | str, Entry], lists: Mapping[str, Roster | None]) -> None:
        """Put entries and lists back to what they were, in one change; ``None`` for a list that was not there."""
        self._store.change(lambda document: put_back(self._part(document, kind), entries, lists))

    def transfer(self, matches: Mapping[int, int], source: str | None = None) -> int:
        """Carry labels over from the features of other codes.

        A feature that has an entry here keeps it. Lists come along with the members that have a match. What is carried
        stays where it was, too.

        Parameters
        ----------
        matches : dict
            Old feature → feature here.
        source : str, optional
            The fingerprint of those codes, needed where the file has several.

        Returns
        -------
        int
            How many entries were carried.

        Raises
        ------
        SFNetError
            No such codes in the file, or no such feature here.
        """
        others = self.others()
        if source is None and len(others) != 1:
            there = ", ".join(others) or "none"
            raise SFNetError(f"Name the codes that the labels come from, by fingerprint; the file has: {there}.")
        source = source or next(iter(others))
        if source not in others:
            raise SFNetError(f"The labels file has no features of codes with fingerprint {str(source)[:64]}.")
        pairs = {int(old): self._member("features", new) for old, new in matches.items()}
        carried = 0

        def change(document: Document) -> None:
            nonlocal carried
            self._part(document, "features")
            carried = transfer(document, self.fingerprint, source, pairs)

        self._store.change(change)
        return carried

    def _member(self, kind: Kind, member: int | str) -> int | str:
        if kind == "galaxies":
            self.codes.index_of(checked_text(member, "id"))
            return member
        if isinstance(member, bool) or not hasattr(member, "__index__") or not 0 <= member < self.codes.features:
            raise SFNetError(f"There is no feature {str(member)[:40]!r}; they go from 0 to {self.codes.features - 1}.")
        return int(member)

    def _part(self, document: Document, kind: Kind) -> Section:
        if kind == "galaxies":
            return document.galaxies
        section = document.section(self.fingerprint)
        section.run = self.run or section.run
        return section

    # -- to and from other people ------------------------------------------------------------------------------

    def export_text(self) -> str:
        """Everything in the file and in memory as the JSON text of a labels file."""
        return write_document(self._document, self.fingerprint)

    def export(self, path: str | os.PathLike) -> Path:
        """Write :meth:`export_text` to a ``.json`` file."""
        path = Path(path)
        if path.suffix.lower() != ".json":
            raise SFNetError(f"Labels are exported to a .json file, not to {path.name!r}.")
        write_text(path, self.export_text())
        return path

    def import_file(self, path: str | os.PathLike) -> str:
        """As :meth:`import_text`, from a file."""
        try:
            return self._import(read_file(path))
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise SFNetError(f"{Path(path).name} can't be read ({why}); no label has changed.") from error

    def import_text(self, text: str | bytes, where: str = "The file") -> str:
        """Merge another labels file into this one.

        Of two versions of an entry the later stays; lists of one name are united. Labels of other codes are kept under
        their fingerprint, and shown here where the same network made those codes.

        Parameters
        ----------
        text : str or bytes
            The file's content.
        where : str
            What the sentence calls it.

        Returns
        -------
        str
            What came of it, as a sentence.

        Raises
        ------
        SFNetError
            With the field that is wrong, where the text is no labels file; then no label has changed.
        """
        return self._import(read_labels(text, where))

    def _import(self, theirs: Document) -> str:
        before = self._document
        same = [
            name for name, s in theirs.features.items() if self.run and s.run == self.run and name != self.fingerprint
        ]

        def change(document: Document) -> None:
            merged = merge(document, theirs)
            document.features, document.galaxies = merged.features, merged.galaxies
            if same:
                carry(document, self.fingerprint, same, self.codes.features)

        self._store.change(change)
        ours, now = before.features.get(self.fingerprint, Section()), self._section("features")
        pairs = ((ours, now), (before.galaxies, self._document.galaxies))
        return tidings(pairs, [s for name, s in theirs.features.items() if name not in (self.fingerprint, *same)])
