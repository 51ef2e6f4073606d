"""What a filter may name: the catalogue's columns, the features, truth and prediction, and what the page adds."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sfnet_core.analysis.enrichment import CLASSES, galaxy_classes, line_ratio, places_of
from sfnet_core.analysis.interpret import activations
from sfnet_core.astro.emission_lines import RATIOS, has_lines, predicted_ratio
from sfnet_core.astro.relations import bpt_class
from sfnet_core.codes.novelty import COLUMNS as UNLIKE
from sfnet_core.data.filters.tokens import KEYWORDS, shown
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["Names", "Tags", "UnknownName", "Words"]

FEATURE = re.compile(r"([fc])([0-9]{1,5})", re.IGNORECASE)
PLAIN = re.compile(r"[^\W\d]\w*")
KEPT = 24  # features whose activations stay in memory
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


class Names:
    """The names of one set of codes and their (N,) values: numbers, flags (bool) or texts.

    ``given`` adds names or replaces the ones here, for what only the page knows: name → a function that gives (N,)
    numbers, flags or texts; or a mapping row → text (``label``); or a set of rows (``star``); or :class:`Tags`
    (``list``). Given values are asked
    for at every use, all others are kept. ``prediction`` given changes ``residual`` with it.

    Names without ``given``: ``truth``, ``prediction``, ``residual`` (prediction − truth) in the target's unit,
    ``margin``, ``unlike`` (the training galaxies; 1 is the limit), ``unlike_distance``, ``unlike_range``,
    ``split``, ``id``, ``ra``, ``dec`` (deg), ``bpt`` (SF, composite, AGN, LINER), ``n2_ha``, ``o3_hb``
    (log10), the same three with ``_predicted`` where the network predicts the four lines, ``f61`` the activation of
    feature 61 (0 where the gate does not keep it), ``c61`` its contribution in the target's unit, the target's own
    name, and every catalogue column. Where two are alike, the column is meant by backquotes only.
    """

    def __init__(
        self, codes: SparseCodes, *, target: int = 0, given: Mapping[str, Callable[[], Any]] | None = None
    ) -> None:
        self.codes, self.target = codes, codes.target_index(target)
        self._given = dict(given or {})
        self._kept: dict[str, Values] = {}
        self._features: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.codes)

    # -- which names there are ---------------------------------------------------------------------------------

    @cached_property
    def _own(self) -> dict[str, Callable[[], Values]]:
        codes, t = self.codes, self.target
        own: dict[str, Callable[[], Values]] = {
            "truth": lambda: codes.truth(t),
            "prediction": lambda: codes.prediction(t),
            "margin": lambda: codes.margin,
            "id": lambda: codes.ids,
            "split": lambda: self._words(codes.split, ("train", "validation", "test")),
        }
        if codes.unlike is not None:
            own |= {name: lambda name=name: codes.column(name) for name in UNLIKE}
        if codes.ra is not None and codes.dec is not None:
            own |= {"ra": lambda: codes.ra, "dec": lambda: codes.dec}
        lines = {f"{line}_flux" for line in ("nii_6584", "h_alpha", "oiii_5007", "h_beta")}
        if lines <= set(codes.columns):
            own |= {"n2_ha": lambda: line_ratio(codes, "n2_ha"), "o3_hb": lambda: line_ratio(codes, "o3_hb")}
        if "bptclass" in codes.columns or "n2_ha" in own:
            own["bpt"] = self._bpt
        if has_lines(codes.targets):
            own |= {f"{name}_predicted": lambda name=name: predicted_ratio(codes, name) for name in RATIOS}
            own["bpt_predicted"] = self._bpt_predicted
        target = codes.targets[t]
        if target not in codes.columns:
            own.setdefault(target, own["truth"])
        return own

    def _bpt(self) -> Words:
        place = galaxy_classes(self.codes)
        return Words(np.full(len(self), -1, dtype=np.int8) if place is None else place, CLASSES)

    def _bpt_predicted(self) -> Words:
        return Words(places_of(bpt_class(*(predicted_ratio(self.codes, name) for name in RATIOS))), CLASSES)

    @cached_property
    def active(self) -> list[int]:
        """Features that the gate keeps anywhere, the most frequent first."""
        kept = self.codes.indices[:, : self.codes.k]
        fires = np.bincount(kept[kept >= 0].astype(np.int64), minlength=self.codes.features)
        order = np.argsort(-fires, kind="stable")
        return order[fires[order] > 0].tolist()

    @cached_property
    def _columns(self) -> dict[str, str]:
        """Catalogue columns by how they are written in a filter."""
        special = {name.lower() for name in (*self._own, "residual", *self._given, *KEYWORDS)}
        return {
            name
            if PLAIN.fullmatch(name) and name.lower() not in special and not FEATURE.fullmatch(name)
            else f"`{name.replace('`', '``')}`": name
            for name in self.codes.columns
        }

    def words(self) -> list[str]:
        """Every name as it is written in a filter; for completion, so the active features only, activations and then
        contributions last."""
        return list(
            dict.fromkeys([*self.words_without_features(), *(f"{kind}{j}" for kind in "fc" for j in self.active)])
        )

    def words_without_features(self) -> list[str]:
        """Those of :meth:`words` that are known without a pass over the codes."""
        own = [name for name in (*self._given, "residual", *self._own) if name.lower() not in KEYWORDS]
        return list(dict.fromkeys([*own, *self._columns]))

    def resolve(self, text: str, column: bool = False) -> str:
        """The name meant by ``text``, as :meth:`values` takes it: a column between backquotes; capitals matter only
        where needed to tell two names apart. Raises :class:`UnknownName` with the nearest names."""
        if column:
            if text in self.codes.columns:
                return f"`{text}`"
            raise self._unknown(text, list(self.codes.columns), "catalogue column")
        for known in (self._given, self._own, ("residual",)):
            if text in known:
                return text
        if match := FEATURE.fullmatch(text):
            if text in self.codes.columns and int(match[2]) >= self.codes.features:
                return f"`{text}`"
            if int(match[2]) >= self.codes.features:
                raise UnknownName(f"There is no feature {int(match[2])}; they go from 0 to {self.codes.features - 1}")
            return f"{match[1].lower()}{int(match[2])}"
        if text in self.codes.columns:
            return f"`{text}`"
        alike = {name: name for name in (*self._given, *self._own, "residual")}
        alike |= {f"`{name}`": name for name in self.codes.columns if name not in alike}
        alike = [key for key, name in alike.items() if name.lower() == text.lower()]
        if len(alike) == 1:
            return alike[0]
        raise self._unknown(text, [*self._given, "residual", *self._own, *self.codes.columns], "name")

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
        if name == "residual":
            return self.values("prediction") - self.values("truth")
        if name in self._kept:
            return self._kept[name]
        if name in self._own:
            found = self._own[name]()
        elif name.startswith("`"):
            found = self._as_values(name, self.codes.column(name[1:-1]))
        else:
            activation = self._activation(int(name[1:]))
            return activation if name[0] == "f" else activation * self.codes.weight[self.target, int(name[1:])]
        self._kept[name] = found
        return found

    def _activation(self, feature: int) -> np.ndarray:
        if feature not in self._features:
            if len(self._features) >= KEPT:
                del self._features[next(iter(self._features))]
            self._features[feature] = activations(self.codes, feature)
        return self._features[feature]

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

    def _words(self, texts: np.ndarray, words: tuple[str, ...]) -> Words:
        place = np.full(len(self), -1, dtype=np.int8)
        for i, word in enumerate(words):
            place[texts == word] = i
        return Words(place, words)

    def rows_of(self, identifiers: Collection[str]) -> np.ndarray:
        """(N,) bool: the galaxies with these identifiers; unknown ones are in no galaxy's place."""
        found = np.zeros(len(self), dtype=bool)
        for identifier in identifiers:
            with contextlib.suppress(SFNetError):
                found[self.codes.index_of(identifier)] = True
        return found

    def is_feature(self, name: str) -> bool:
        """Whether a resolved name is an activation such as ``f61``, which alone says that the feature fires."""
        return name[:1] == "f" and bool(FEATURE.fullmatch(name)) and name not in self._given

    def kind(self, name: str) -> str:
        """``number``, ``flag`` or ``text``."""
        if FEATURE.fullmatch(name) or name in (
            "residual",
            "truth",
            "prediction",
            "margin",
            *(UNLIKE if self.codes.unlike is not None else ()),
            "ra",
            "dec",
            "n2_ha",
            "o3_hb",
        ):
            return "number"
        if name in ("id", "split", "bpt") and name not in self._given:
            return "text"
        return kind_of(self.values(name))

    def choices(self, name: str, beginning: str = "") -> list[str]:
        """Texts that a text name can have, for completion; of identifiers those that begin so, few of either."""
        if name == "id":
            hits = (
                np.flatnonzero(np.char.startswith(self.codes.ids, beginning))
                if len(beginning) > 1
                else np.arange(len(self))
            )
            return self.codes.ids[hits[:MOST_WORDS]].tolist()
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
        return name in ("bpt", "bpt_predicted", "split") and name not in self._given


def kind_of(values: Values) -> str:
    """``number``, ``flag`` or ``text`` of (N,) values."""
    if isinstance(values, Words | Tags) or values.dtype.kind == "U":
        return "text"
    return "flag" if values.dtype.kind == "b" else "number"
