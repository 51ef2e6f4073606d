"""What a filter may name: a table's columns, classes and line ratios that follow from them, and what is given beside.

:class:`Names` knows a catalogue, so a filter can choose galaxies of a dataset before any network is trained;
:class:`sfnet_core.analysis.code_names.CodeNames` adds what codes know: features, predictions, residuals.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from sfnet_core.astro.galaxy_classes import CLASSES, FLUXES, Catalogue, galaxy_classes, line_ratio
from sfnet_core.data.filters.tokens import KEYWORDS, shown
from sfnet_core.utils.errors import SFNetError

__all__ = ["Names", "Table", "Tags", "UnknownName", "Words"]

PLAIN = re.compile(r"[^\W\d]\w*")
MOST_WORDS = 40  # different texts of a column that completion offers
PEEK = 20_000  # galaxies looked at for them


class UnknownName(LookupError):
    """There is no such name; ``suggestions`` are the nearest ones."""

    def __init__(self, sentence: str, suggestions: Iterable[str] = ()):
        super().__init__(sentence)
        self.suggestions = list(suggestions)


class Words(NamedTuple):
    """Texts of N galaxies, few of them different: ``place`` (N,) into ``words``, −1 where unknown."""

    place: np.ndarray
    words: tuple[str, ...]


class Tags(NamedTuple):
    """Texts of which each of N galaxies may have several, such as the lists it is on: ``rows`` of each of ``words``."""

    n: int
    words: tuple[str, ...]
    rows: tuple[np.ndarray, ...]

    def any_of(self, wanted: Iterable[bool]) -> np.ndarray:
        """(N,) bool: galaxies with at least one of the words that are ``wanted``."""
        found = np.zeros(self.n, dtype=bool)
        for rows, is_wanted in zip(self.rows, wanted, strict=True):
            if is_wanted:
                found[rows] = True
        return found


Values = np.ndarray | Words | Tags


class Table(Catalogue, Protocol):
    """A catalogue whose galaxies have identifiers: a dataset, or codes."""

    ids: np.ndarray

    def __len__(self) -> int: ...

    def index_of(self, id: str) -> int:
        """The row of an identifier; :class:`SFNetError` where there is none."""


class Names:
    """The names of one table and their (N,) values: numbers, flags (bool) or texts.

    Names: ``id``; ``bpt`` (SF, composite, AGN, LINER), ``n2_ha``, ``o3_hb`` (log10) where the catalogue has the line
    fluxes or ``bptclass``; and every column. Where two are alike, the column is meant by backquotes only.

    Parameters
    ----------
    table
        The galaxies: a dataset or codes.
    given
        More names, or others in the place of the ones here, for what only the page knows: name → a function that gives
        (N,) numbers, flags or texts; or a mapping row → text (``label``); or a set of rows (``star``); or :class:`Tags`
        (``list``). Given values are asked for at every use, all others are kept.
    """

    def __init__(self, table: Table, *, given: Mapping[str, Callable[[], Any]] | None = None) -> None:
        self.table = table
        self._given = dict(given or {})
        self._kept: dict[str, Values] = {}

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> np.ndarray:
        """(N,) text."""
        return self.table.ids

    @property
    def position(self) -> tuple[np.ndarray, np.ndarray] | None:
        """RA and Dec, (N,) deg each; ``None`` where the table has none."""
        columns = self.table.columns
        return tuple(self.table.column(name) for name in ("ra", "dec")) if {"ra", "dec"} <= set(columns) else None

    # -- which names there are ---------------------------------------------------------------------------------

    @cached_property
    def _own(self) -> dict[str, Callable[[], Values]]:
        """Name → its values, beside the columns."""
        return self._offered()

    def _offered(self) -> dict[str, Callable[[], Values]]:
        table = self.table
        own: dict[str, Callable[[], Values]] = {"id": lambda: self.ids}
        if set(FLUXES) <= set(table.columns):
            own |= {name: lambda name=name: line_ratio(table, name) for name in ("n2_ha", "o3_hb")}
        if "bptclass" in table.columns or "n2_ha" in own:
            own["bpt"] = self._bpt
        return own

    def _bpt(self) -> Words:
        place = galaxy_classes(self.table)
        return Words(np.full(len(self), -1, dtype=np.int8) if place is None else place, CLASSES)

    @property
    def _named(self) -> list[str]:
        """Every name beside the columns, in the order in which they are offered."""
        return list(dict.fromkeys([*self._given, *self._own]))

    @cached_property
    def _columns(self) -> dict[str, str]:
        """Catalogue columns by how they are written in a filter."""
        taken = {name.lower() for name in (*self._named, *KEYWORDS)}
        plain = [name for name in self.table.columns if PLAIN.fullmatch(name) and name.lower() not in taken]
        plain = {name for name in plain if not self._means_more(name)}
        return {name if name in plain else f"`{name.replace('`', '``')}`": name for name in self.table.columns}

    def _means_more(self, name: str) -> bool:
        """Whether a column's name means something else in a filter, as a feature's does."""
        return False

    def words(self) -> list[str]:
        """Every name as it is written in a filter, for completion."""
        return self.words_without_features()

    def words_without_features(self) -> list[str]:
        """Those of :meth:`words` that are known without a pass over the codes."""
        return list(dict.fromkeys([*(name for name in self._named if name.lower() not in KEYWORDS), *self._columns]))

    def resolve(self, text: str, column: bool = False) -> str:
        """The name meant by ``text``, as :meth:`values` takes it: a column between backquotes; capitals matter only
        where needed to tell two names apart. Raises :class:`UnknownName` with the nearest names."""
        columns = self.table.columns
        if column:
            if text in columns:
                return f"`{text}`"
            raise self._unknown(text, list(columns), "catalogue column")
        if text in self._named:
            return text
        if text in columns:
            return f"`{text}`"
        alike = {name: name for name in self._named}
        alike |= {f"`{name}`": name for name in columns if name not in alike}
        alike = [key for key, name in alike.items() if name.lower() == text.lower()]
        if len(alike) == 1:
            return alike[0]
        raise self._unknown(text, [*self._named, *columns], "name")

    def _unknown(self, text: str, names: list[str], what: str) -> UnknownName:
        lower = {name.lower(): name for name in reversed(names)}
        near = difflib.get_close_matches(text.lower(), lower, 3, 0.6)
        inside = [name for name in lower if len(text) > 2 and text.lower() in name][:3]
        return UnknownName(
            f"There is no {what} {shown(text)} here", [lower[n] for n in dict.fromkeys([*near, *inside])][:3]
        )

    # -- their values ------------------------------------------------------------------------------------------

    def values(self, name: str) -> Values:
        """(N,) numbers, flags or texts of a name from :meth:`resolve`."""
        if name in self._given:
            return self._as_values(name, self._given[name]())
        if name not in self._kept:
            own = self._own.get(name)
            self._kept[name] = own() if own else self._as_values(name, self.table.column(name[1:-1]))
        return self._kept[name]

    def _as_values(self, name: str, found: Any) -> Values:
        if isinstance(found, Words | Tags):
            return found
        if isinstance(found, Mapping):
            return self._sparse(found)
        if isinstance(found, Collection) and not isinstance(found, np.ndarray | list | tuple | str):
            flags = np.zeros(len(self), dtype=bool)
            flags[list(found)] = True
            return flags
        array = np.asarray(found)
        if array.shape != (len(self),) or array.dtype.kind not in "biufUO":
            raise UnknownName(f"{shown(name)} holds neither numbers nor texts, one a galaxy")
        return array.astype(str) if array.dtype.kind == "O" else array

    def _sparse(self, texts: Mapping[int, str]) -> Words:
        words = tuple(dict.fromkeys(texts.values()))
        number = {word: i for i, word in enumerate(words)}
        place = np.full(len(self), -1, dtype=np.int32)
        place[list(texts)] = [number[word] if word else -1 for word in texts.values()]
        return Words(place, words)

    def rows_of(self, identifiers: Collection[str]) -> np.ndarray:
        """(N,) bool: the galaxies with these identifiers; unknown ones are in no galaxy's place."""
        found = np.zeros(len(self), dtype=bool)
        for identifier in identifiers:
            with contextlib.suppress(SFNetError):
                found[self.table.index_of(identifier)] = True
        return found

    def is_feature(self, name: str) -> bool:
        """Whether a resolved name is an activation such as ``f61``, which alone says that the feature fires."""
        return False

    def kind(self, name: str) -> str:
        """``number``, ``flag`` or ``text``; told without reading anything where the name tells."""
        if name in ("n2_ha", "o3_hb"):
            return "number"
        return "text" if name in ("id", "bpt") and name not in self._given else kind_of(self.values(name))

    def choices(self, name: str, beginning: str = "") -> list[str]:
        """Texts that a text name can have, for completion; of identifiers those that begin so, few of either."""
        if name == "id":
            hits = (
                np.flatnonzero(np.char.startswith(self.ids, beginning)) if len(beginning) > 1 else np.arange(len(self))
            )
            return self.ids[hits[:MOST_WORDS]].tolist()
        values = self.values(name)
        if isinstance(values, Words | Tags):
            return [word for word in values.words if word]
        if values.dtype.kind != "U":
            return []
        seen, counts = np.unique(values[:PEEK], return_counts=True)
        order = np.argsort(-counts, kind="stable")[: MOST_WORDS + 1]
        return [word for word in seen[order].tolist() if word][:MOST_WORDS]

    def closed(self, name: str) -> bool:
        """Whether a text name can have only its :meth:`choices`, so that any other text is a slip of the pen."""
        return name == "bpt" and name not in self._given


def kind_of(values: Values) -> str:
    """``number``, ``flag`` or ``text`` of (N,) values."""
    if isinstance(values, Words | Tags) or values.dtype.kind == "U":
        return "text"
    return "flag" if values.dtype.kind == "b" else "number"
