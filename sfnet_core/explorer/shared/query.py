"""What a page shows is a function of (codes, query): the query, what is remembered of it, what is drawn anew.

The state gives a :class:`Query`. A function of it names the fields that it uses (:func:`cached`) and gets only those:
it can't read another, so what is remembered never depends on more than its key. A view draws from a :class:`Reading`,
which notes the fields that it reads; when none of them is another the view stays as it is (:class:`Follower`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from functools import cache, wraps
from typing import Any

__all__ = ["IN_VIEW", "TOGGLES", "Follower", "Query", "Reading", "cached", "labels_asked", "narrowed"]

IN_VIEW = (
    "split",
    "filter",
    "filter_labels",
    "target",
)  # which galaxies are in view; a filter may ask for the residual
TOGGLES = ("target", "k", "off", "mode")  # what a prediction depends on
LABEL_WORDS = re.compile(r"\b(star|label|note|list)\b", re.IGNORECASE)  # names in a filter that mean what users wrote


@dataclass(frozen=True)
class Query:
    """The user's choices at one moment; see :class:`~sfnet_core.explorer.shared.state.State` for each of them.

    ``labels`` is no choice: it counts the changes of labels, notes, stars and lists.
    """

    split: str = ""
    target: int = 0
    off: frozenset[int] = frozenset()
    k: int = 1
    mode: str = "ablate"
    feature: int = -1
    galaxy: int = -1
    selection: bytes = b""
    tab: str = "galaxy"
    pinned: int = -1
    pinned_selection: bytes = b""
    filter: str = ""
    stars: str = ""
    third: str = ""
    fourth: str = ""
    sort: str = ""
    descending: bool = True
    page: int = 0
    map: str = "sum"
    sky: bool = True
    labels: int = 0

    @property
    def filter_labels(self) -> int:
        """``labels`` where the filter asks for any of them, else 0."""
        return labels_asked(self.filter, self.labels)

    @property
    def where(self) -> str:
        """Which galaxies are in view, in words for a caption: 'validation', 'all splits', 'train, filtered'."""
        return f"{self.split or 'all splits'}{', filtered' if self.filter else ''}"


def labels_asked(text: str, labels: int) -> int:
    """``labels`` where a filter's text asks for a star, a label, a note or a list, else 0."""
    return labels if LABEL_WORDS.search(text) else 0


@cache
def _narrow(fields: tuple[str, ...]) -> type:
    return make_dataclass("Query", fields, frozen=True)


def narrowed(query: Any, *fields: str) -> Any:
    """A query, or a state, with these fields only; hashable."""
    return _narrow(fields)(*(getattr(query, field) for field in fields))


def cached(*fields: str, keep: int = 1024) -> Callable[[Callable], Callable]:
    """Remember the last ``keep`` answers of a function ``f(owner, query, *others)`` in ``owner.memory``.

    The function gets the query with only these ``fields``. Without fields it is ``f(owner, *others)``.
    """

    def decorate(function: Callable) -> Callable:
        name = f"{function.__module__}.{function.__qualname__}"

        @wraps(function)
        def answer(owner: Any, *given: Any) -> Any:
            key = (narrowed(given[0], *fields), *given[1:]) if fields else given
            kept = owner.memory.setdefault(name, {})
            if key in kept:
                kept[key] = kept.pop(key)  # the newest is the last
                return kept[key]
            while len(kept) >= keep:
                del kept[next(iter(kept))]
            found = kept[key] = function(owner, *key)
            return found

        return answer

    return decorate


class Reading:
    """A query that notes which of its fields are read: ``read``, field → value."""

    def __init__(self, query: Any):
        self._query, self.read = query, {}

    def __getattr__(self, field: str) -> Any:
        value = self.read[field] = getattr(self._query, field)
        return value


class Follower:
    """Calls ``function(query)`` anew when a field that it read the last time is another now."""

    def __init__(self, function: Callable[[Any], None]):
        self._function, self._read = function, None

    def forget(self) -> None:
        """Call the function at the next query, whatever it is."""
        self._read = None

    def __call__(self, query: Any) -> frozenset[str]:
        """The fields that are others, all that were read at the first time; where there are none nothing is called."""
        before, changed = self._read, frozenset()
        if before is not None:
            changed = frozenset(field for field, value in before.items() if getattr(query, field) != value)
            if not changed:
                return changed
        self.forget()  # where the function raises, the next query calls it again
        reading = Reading(query)
        self._function(reading)
        self._read = reading.read
        return changed if before is not None else frozenset(reading.read)
