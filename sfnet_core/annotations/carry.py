"""Labels of features from other codes: along with the same network's, or by matched features; and counts of a merge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sfnet_core.annotations.document import MOST_REVISION, Document, Entry, Roster, Section, ordered

__all__ = ["carry", "changes", "put_back", "stamp", "tidings", "transfer"]


def stamp(now: Entry | Roster) -> dict[str, int | str]:
    """Revision and time of the version after ``now``; time never runs backwards, whatever the clocks say."""
    clock = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"revision": min(now.revision + 1, MOST_REVISION), "time": max(clock, now.time)}


def carry(document: Document, into: str, sources: Iterable[str], features: int) -> None:
    """Copy what the section ``into`` lacks from ``sources``, whose features are the same ones (numbers below F)."""
    mine = document.section(into)
    for source in sorted(sources):
        theirs = document.features.get(source, Section())
        mine.run = mine.run or theirs.run
        for key, entry in theirs.items.items():
            if key < features:
                mine.items.setdefault(key, entry)
        for name, roster in theirs.lists.items():
            members = tuple(member for member in roster.members if member < features)
            mine.lists.setdefault(name, replace(roster, members=members))


def transfer(document: Document, into: str, source: str, matches: dict[int, int]) -> int:
    """Copy entries and lists from ``source``, each feature under the number that ``matches`` gives it.

    A feature that has an entry keeps it; lists are united. Gives how many entries were copied.
    """
    theirs, mine, carried = document.features.get(source, Section()), document.section(into), 0
    for old, new in matches.items():
        entry, now = theirs.items.get(old, Entry()), mine.items.get(new, Entry())
        if entry and not now:
            mine.items[new] = replace(entry, **stamp(now), origin=f"f{old} of {source[:12]}")
            carried += 1
    for name, roster in theirs.lists.items():
        here = {matches[member] for member in roster.members if member in matches}
        now = mine.lists.get(name, Roster())
        if here - set(now.members) and not roster.gone:
            mine.lists[name] = Roster(ordered(here | set(now.members)), **stamp(now))
    return carried


def put_back(section: Section, entries: Mapping[int | str, Entry], lists: Mapping[str, Roster | None]) -> None:
    """Entries and lists as they once were, as the latest change: what others wrote of anything else stays."""
    for key, entry in entries.items():
        section.items[key] = replace(entry, **stamp(section.items.get(key, Entry())))
    for name, roster in lists.items():
        now = section.lists.get(name, Roster())
        section.lists[name] = replace(roster or Roster(gone=True), **stamp(now))


def changes(before: Section, after: Section) -> tuple[int, int]:
    """How many entries came in, and how many took another's place."""
    old = before.items
    added = sum(bool(entry) and not old.get(key) for key, entry in after.items.items())
    return added, sum(bool(old.get(key)) and old[key] != entry for key, entry in after.items.items())


def tidings(pairs: Iterable[tuple[Section, Section]], foreign: Iterable[Section]) -> str:
    """What came of an import, as a sentence: from the sections before and after it, and those of other codes."""
    added, replaced = map(sum, zip(*(changes(*pair) for pair in pairs), strict=True))
    sentence = f"{added} label(s) came in and {replaced} were replaced by later ones."
    if kept := sum(sum(map(bool, section.items.values())) for section in foreign):
        sentence += f" {kept} of features belong to other codes; they are kept for those and not shown here."
    return sentence
