"""The document behind the labels: what a labels file holds, how it is read with suspicion, how two of them merge.

One JSON object::

    {"kind": "sfnet labels", "schema": 1, "codes": FINGERPRINT,
     "features": {FINGERPRINT: {"run": FINGERPRINT, "items": {"61": ENTRY}, "lists": {NAME: ROSTER}}},
     "galaxies": {"items": {ID: ENTRY}, "lists": {NAME: ROSTER}}}

    ENTRY   {"label": TEXT, "note": TEXT, "star": true, "origin": TEXT, "revision": 2, "time": UTC}
    ROSTER  {"members": [61, 7], "revision": 1, "time": …, "gone": true}

A feature's number means something for one set of weights only, so features stand under the fingerprint of the codes
they were named in; a galaxy's identifier means the same everywhere. An entry that was emptied stays, with its time, so
that an older copy does not bring it back.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from msgspec import Meta

from sfnet_core.utils.documents import read_document
from sfnet_core.utils.errors import SFNetError

__all__ = [
    "Document",
    "Entry",
    "Roster",
    "Section",
    "checked_text",
    "is_fingerprint",
    "merge",
    "read_labels",
    "write_document",
]

KIND, SCHEMA = "sfnet labels", 1
LONGEST = {"label": 120, "note": 4000, "name": 80, "id": 256, "origin": 80}  # characters
MOST_ITEMS, MOST_LISTS, MOST_MEMBERS, MOST_CODES = 50_000, 200, 50_000, 64
MOST_BYTES = 32 << 20
MOST_REVISION = 2**53 - 1
_PRINT = re.compile(r"[0-9a-f]{1,64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,4}")


Print = Annotated[str, Meta(pattern=r"\A[0-9a-f]{1,64}\Z")]
Revision = Annotated[int, Meta(ge=0, le=MOST_REVISION)]
Time = Annotated[
    str, Meta(pattern=r"\A([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)?\Z")
]  # empty, or such as 2026-01-31T12:00:00.000Z


@dataclass(frozen=True)
class Entry:
    """What was said of one feature or galaxy. ``revision`` counts its changes, ``time`` (UTC) is the last one's."""

    label: str = ""
    note: str = ""
    star: bool = False
    revision: Revision = 0
    time: Time = ""
    origin: str = ""  # where it was carried over from

    def __bool__(self) -> bool:
        return bool(self.label or self.note or self.star)

    @property
    def order(self) -> tuple:
        """The later of two versions has the larger; the texts settle a tie, the same way round everywhere."""
        return self.time, self.revision, self.label, self.note, self.star, self.origin


@dataclass(frozen=True)
class Roster:
    """A named list; ``gone``: it was deleted."""

    members: Annotated[tuple[int | str, ...], Meta(max_length=MOST_MEMBERS)] = ()
    revision: Revision = 0
    time: Time = ""
    gone: bool = False

    @property
    def order(self) -> tuple:
        """As of an entry."""
        return self.time, self.revision, self.gone


@dataclass
class Section:
    """Entries and lists of features (of one fingerprint; ``run``: the network's) or of galaxies."""

    items: Annotated[dict[Any, Entry], Meta(max_length=MOST_ITEMS)] = field(default_factory=dict)
    lists: Annotated[dict[str, Roster], Meta(max_length=MOST_LISTS)] = field(default_factory=dict)
    run: Annotated[str, Meta(pattern=r"\A[0-9a-f]{0,64}\Z")] = ""

    def copy(self) -> Section:
        return Section(dict(self.items), dict(self.lists), self.run)

    def check(self, what: str) -> None:
        """Raise :class:`SFNetError` where there is more than a file may hold."""
        for found, most, kind in (
            (len(self.items), MOST_ITEMS, "entries"),
            (len(self.lists), MOST_LISTS, "lists"),
            (max((len(r.members) for r in self.lists.values()), default=0), MOST_MEMBERS, "members in one list"),
        ):
            if found > most:
                raise SFNetError(f"{what}: {found:,} {kind} are more than the {most:,} that labels may hold.")


@dataclass
class Document:
    """All labels of one file."""

    features: dict[str, Section] = field(default_factory=dict)
    galaxies: Section = field(default_factory=Section)

    def copy(self) -> Document:
        return Document({name: section.copy() for name, section in self.features.items()}, self.galaxies.copy())

    def section(self, fingerprint: str) -> Section:
        """The features of some codes; made where there are none yet."""
        if fingerprint not in self.features and len(self.features) >= MOST_CODES:
            raise SFNetError(f"These labels are of {MOST_CODES} different codes already; start a new file.")
        return self.features.setdefault(fingerprint, Section())


@dataclass
class _File:
    """A labels file; what else it holds is ignored."""

    features: Annotated[dict[Print, Section], Meta(max_length=MOST_CODES)] = field(default_factory=dict)
    galaxies: Section = field(default_factory=Section)


def merge(one: Document, other: Document) -> Document:
    """Both documents in one: of two versions of an entry the later; lists of one name are united, unless the later
    version was deleted. ``merge(a, b) == merge(b, a)``, and merging twice changes nothing.

    Raises
    ------
    SFNetError
        Where the features of too many codes would come together.
    """
    out = one.copy()
    for fingerprint, section in other.features.items():
        _merge(out.section(fingerprint), section)
    _merge(out.galaxies, other.galaxies)
    return out


def _merge(into: Section, section: Section) -> None:
    into.run = max(into.run, section.run)
    for key, entry in section.items.items():
        into.items[key] = max(into.items.get(key, entry), entry, key=lambda e: e.order)
    for name, roster in section.lists.items():
        mine = into.lists.get(name, roster)
        later = max(mine, roster, key=lambda r: r.order)
        members = () if later.gone else ordered({*mine.members, *roster.members})
        into.lists[name] = replace(later, members=members)


def ordered(members: Iterable[int | str]) -> tuple[int | str, ...]:
    """Members of a list, each once, in one order whoever added them."""
    return tuple(sorted(set(members)))


# ---- texts


def checked_text(value: Any, what: str, where: str = "") -> str:
    """A text that can be written to JSON and shown as it is.

    Parameters
    ----------
    value
        The text.
    what : {"label", "note", "name", "id", "origin"}
        A label (one line), note, list's name, identifier, or where an entry came from.
    where : str
        What the sentence calls it.

    Raises
    ------
    SFNetError
        No text, too long, or a character that can't be written.
    """
    where = where or f"The {what}"
    if not isinstance(value, str):
        raise SFNetError(f"{where} must be a text.")
    if len(value) > LONGEST[what]:
        raise SFNetError(f"{where} has {len(value):,} characters; {LONGEST[what]:,} are the most.")
    allowed = "\n\t" if what == "note" else ""
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in allowed:
            kind = "a line break" if character in "\r\n" else "a character that can't be written"
            raise SFNetError(f"{where} holds {kind} (U+{ord(character):04X}); leave it out.")
    return value


def is_fingerprint(value: Any) -> bool:
    """Whether a value is hexadecimal digits, as fingerprints are; one from a foreign file may be anything."""
    return isinstance(value, str) and bool(_PRINT.fullmatch(value))


# ---- JSON


def write_document(document: Document, fingerprint: str) -> str:
    """The JSON text of a document.

    Parameters
    ----------
    document : Document
        What it holds.
    fingerprint : str
        Of the codes that it was opened with last.

    Raises
    ------
    SFNetError
        Where there is more than a labels file may hold.
    """
    for name, section in (*document.features.items(), ("galaxies", document.galaxies)):
        section.check("Galaxies" if name == "galaxies" else f"Features of {name[:8]}")
    value = {
        "kind": KIND,
        "schema": SCHEMA,
        "codes": fingerprint,
        "features": {
            name: {"run": section.run} | _section_out(section)
            for name, section in sorted(document.features.items())
            if section.items or section.lists
        },
        "galaxies": _section_out(document.galaxies),
    }
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if len(text.encode()) > MOST_BYTES:
        raise SFNetError(f"Labels take {len(text.encode()):,} bytes; {MOST_BYTES:,} are the most. Shorten some notes.")
    return text


def _section_out(section: Section) -> dict:
    return {
        "items": {str(key): _out(entry) for key, entry in sorted(section.items.items())},
        "lists": {
            name: _out(roster) | {"members": list(roster.members)} for name, roster in sorted(section.lists.items())
        },
    }


def _out(thing: Entry | Roster) -> dict:
    return {name: value for name, value in vars(thing).items() if value or name == "revision"}


def read_labels(content: str | bytes, where: str) -> Document:
    """A document from JSON that anybody may have written.

    Raises
    ------
    SFNetError
        One sentence with the field that is wrong.
    """
    if len(content) > MOST_BYTES:
        raise SFNetError(f"{where} has {len(content):,} bytes; labels take {MOST_BYTES:,} at most.")
    file = read_document(_File, content, where, schema=SCHEMA, mark=KIND)
    document = Document(galaxies=_section_in(file.galaxies, f"{where}: galaxies", _id))
    for name, section in file.features.items():
        document.features[name] = _section_in(section, f"{where}: features of {name[:16]!r}", _feature)
    return document


def _section_in(found: Section, where: str, key_of: Callable[[Any, str], Any]) -> Section:
    """A section of the file with its names as they are in memory, and its texts checked."""
    section = Section(run=found.run)
    for key, entry in found.items.items():
        at = f"{where}, item {key[:40]!r}"
        section.items[key_of(key, at)] = entry
        for name in ("label", "note", "origin"):
            checked_text(getattr(entry, name), name, f"{at}: `{name}`")
    for name, roster in found.lists.items():
        at = f"{where}, list {name[:40]!r}"
        checked_text(name, "name", at)
        section.lists[name] = replace(roster, members=ordered(key_of(member, at) for member in roster.members))
    section.check(where)
    return section


def _feature(value: Any, where: str) -> int:
    """A feature's number, as JSON's number or as the text that JSON needs for a key."""
    if type(value) is int and 0 <= value < 100_000:
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    raise SFNetError(f"{where}: {str(value)[:40]!r} is no feature's number.")


def _id(value: Any, where: str) -> str:
    return checked_text(value, "id", f"{where}: an identifier")
