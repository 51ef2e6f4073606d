"""What the user has chosen: clicks change it, and every view is drawn from its :attr:`State.query`.

Views never call each other: a view turns a click into :meth:`State.change`, and the page draws every view (the clicked
one too) from the query of the changed state. The state is written to and read from the page's URL, so every view of the
page is a permalink, and undo is a list of its values.
"""

from __future__ import annotations

import operator
import zlib
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import numpy as np
from traitlets import Bool, Bytes, CaselessStrEnum, HasTraits, Instance, Int, TraitError, Unicode, validate

from sfnet_core.explorer.shared.query import Query, labels_asked
from sfnet_core.explorer.shared.row_packing import MAX_SELECTION, pack_rows, read_rows, unpack_rows, written_rows

__all__ = ["LABELS", "MAX_QUERY", "TABS", "State", "pack_rows", "unpack_rows"]

MAX_QUERY = 8192  # characters of a permalink's query that are read; more is refused with a notice
MAX_FILTER = 500
UNDO_STEPS = 200
OLD_NAMES = {"kept": "pinned_selection"}  # choices by the names that 0.1.0 gave them in links
FLAGS = frozenset({"descending", "sky"})  # choices that are yes or no
TABS = {"galaxy": "Galaxy", "selection": "Selection", "compare": "Compare", "near": "Neighbours", "notes": "Notes"}
LABELS = frozenset({"labels"})  # what observers hear of when a label, a note, a star or a list is another


class Features(Instance):
    """A frozenset of feature numbers; any set, list or tuple of whole numbers is taken."""

    klass = frozenset

    def validate(self, obj: HasTraits, value: Any) -> frozenset[int]:
        if isinstance(value, set | frozenset | list | tuple) and not any(isinstance(f, bool) for f in value):
            try:
                value = frozenset(map(operator.index, value))  # numpy's integers become Python's
            except TypeError as error:
                raise TraitError("features are whole numbers") from error
        return super().validate(obj, value)


class LabelStep(NamedTuple):
    """A step of the undo list that is no choice: what takes it back, and what does it again."""

    back: Callable[[], None]
    forth: Callable[[], None]
    tag: str = ""


class State(HasTraits):
    """The user's choices. ``galaxy`` and ``feature`` are in focus; ``off`` are the features switched off."""

    split = Unicode("", help="galaxies in view: 'train', 'validation', 'test', or '' for all")
    target = Int(0, min=0, help="which of the T targets the page explains")
    off = Features(args=(), help="features that are switched off")
    k = Int(1, min=1, help="features the gate keeps; the network's own number at first")
    mode = CaselessStrEnum(["ablate", "refill"], "ablate", help="what happens to the place of a feature switched off")
    feature = Int(-1, min=-1, help="feature in focus, -1 for none")
    galaxy = Int(-1, min=-1, help="row of the galaxy in focus, -1 for none")
    selection = Bytes(b"", help="rows selected by lasso or box, packed by pack_rows")
    tab = CaselessStrEnum(list(TABS), "galaxy", help="what the right side shows")
    pinned = Int(-1, min=-1, help="row of the galaxy to compare with, -1 for none")
    pinned_selection = Bytes(b"", help="rows of the selection to compare with, packed by pack_rows")
    filter = Unicode("", help="which galaxies are in view, in the filters' grammar")
    stars = CaselessStrEnum(["", "first", "only"], "", help="starred features in their order, first, or alone")
    third = Unicode("", help="key of the third plot")
    fourth = Unicode("", help="key of the fourth plot")
    sort = Unicode("", help="quantity the gallery is sorted by")
    descending = Bool(True)
    page = Int(0, min=0, help="page of the gallery, from 0")
    map = Unicode("sum", help="contribution map drawn over the galaxy: a feature's number, 'sum' or 'none'")
    sky = Bool(True, help="whether the empty sky's map is subtracted from the contribution map")

    def __init__(
        self,
        features: int,
        galaxies: int,
        splits: Iterable[str] = (),
        targets: int = 1,
        slots: int = 1024,
        **values: Any,
    ):
        """For F features, N galaxies, these splits, T targets and codes of ``slots`` = k + r stored activations."""
        self._features, self._galaxies, self._splits, self._targets = features, galaxies, ("", *splits), targets
        self._slots = slots
        self.labels = 0  # counts the changes of labels, notes, stars and lists
        self._observers: list[Callable[[frozenset[str]], None]] = []
        self._past: list[dict | LabelStep] = []
        self._future: list[dict | LabelStep] = []
        super().__init__(**values)

    # -- what is allowed ---------------------------------------------------------------------------------------

    @validate("off")
    def _check_off(self, proposal: dict) -> frozenset[int]:
        if not all(0 <= f < self._features for f in proposal["value"]):
            raise TraitError(f"features go from 0 to {self._features - 1}")
        return proposal["value"]

    @validate("target")
    def _check_target(self, proposal: dict) -> int:
        return self._below(proposal["value"], self._targets, "target")

    @validate("k")
    def _check_k(self, proposal: dict) -> int:
        return self._below(proposal["value"], self._slots + 1, "k")

    @validate("feature")
    def _check_feature(self, proposal: dict) -> int:
        return self._below(proposal["value"], self._features, "feature")

    @validate("filter")
    def _check_filter(self, proposal: dict) -> str:
        if len(proposal["value"]) > MAX_FILTER:
            raise TraitError(f"a filter has at most {MAX_FILTER} characters")
        return proposal["value"]

    @validate("galaxy", "pinned")
    def _check_galaxy(self, proposal: dict) -> int:
        return self._below(proposal["value"], self._galaxies, "galaxy row")

    @validate("split")
    def _check_split(self, proposal: dict) -> str:
        if proposal["value"] not in self._splits:
            raise TraitError(f"there is no split {proposal['value']!r} here")
        return proposal["value"]

    @validate("selection", "pinned_selection")
    def _check_selection(self, proposal: dict) -> bytes:
        packed = proposal["value"]
        if len(packed) % 4:
            raise TraitError("a selection is whole int32 numbers")
        rows = unpack_rows(packed)
        if (rows[1:] <= rows[:-1]).any():
            raise TraitError("selected rows ascend")
        if len(rows) and (rows[0] < 0 or rows[-1] >= self._galaxies):
            raise TraitError("a selected row is not in this table")
        return packed

    @validate("map")
    def _check_map(self, proposal: dict) -> str:
        choice = proposal["value"]
        if choice in ("sum", "none"):
            return choice
        if not (choice.isascii() and choice.isdigit() and len(choice) < 6 and int(choice) < self._features):
            raise TraitError("a map is of a feature, the sum, or none")
        return str(int(choice))

    @staticmethod
    def _below(value: int, end: int, name: str) -> int:
        if value >= end:
            raise TraitError(f"there is no such {name}; it must be below {end}")
        return value

    @property
    def query(self) -> Query:
        """The choices at this moment, and how often the labels were changed."""
        return Query(**{field.name: getattr(self, field.name) for field in fields(Query)})

    @property
    def where(self) -> str:
        """As :attr:`Query.where`."""
        return self.query.where

    @property
    def filter_labels(self) -> int:
        """As :attr:`Query.filter_labels`."""
        return labels_asked(self.filter, self.labels)

    # -- changing and observing --------------------------------------------------------------------------------

    def on_change(self, observer: Callable[[frozenset[str]], None]) -> None:
        """Call ``observer(names of what changed)`` once after each :meth:`change`."""
        self._observers.append(observer)

    def change(self, **values: Any) -> frozenset[str]:
        """Set several choices at once; all are valid or none is set (``TraitError``). Observers hear of it once."""
        before = self.values()
        changed = self._assign(values, before)
        if changed:
            self._past = [*self._past[-(UNDO_STEPS - 1) :], before]
            self._future.clear()
            self._tell(changed)
        return changed

    def record(self, back: Callable[[], None], forth: Callable[[], None], tag: str = "") -> None:
        """Put what was done to the labels on the undo list, and tell the observers (``labels``).

        Steps one after the other with the same ``tag`` (letters typed in one sitting) are one step.
        """
        last = self._past[-1] if self._past else None
        if tag and isinstance(last, LabelStep) and last.tag == tag:
            back = self._past.pop().back
        self._past = [*self._past[-(UNDO_STEPS - 1) :], LabelStep(back, forth, tag)]
        self._future.clear()
        self.labels_changed()

    def labels_changed(self) -> None:
        """The labels are others, maybe by another page: count that and tell the observers."""
        self.labels += 1
        self._tell(LABELS)

    def undo(self) -> bool:
        """Go back one change; ``False`` where there is none."""
        return self._travel(self._past, self._future)

    def redo(self) -> bool:
        """Take back an undo; ``False`` where there is none."""
        return self._travel(self._future, self._past)

    def forget(self) -> None:
        """Empty the undo list: what the page opened with is where it begins."""
        self._past.clear()
        self._future.clear()

    def values(self) -> dict[str, Any]:
        """All choices by name, for the undo list and the permalink."""
        return {name: getattr(self, name) for name in self.trait_names()}

    def _travel(self, source: list[dict | LabelStep], other: list[dict | LabelStep]) -> bool:
        if not source:
            return False
        if isinstance(source[-1], LabelStep):
            source[-1].back()  # where that is refused the list stays as it is
            step = source.pop()
            other.append(LabelStep(step.forth, step.back))
            self.labels_changed()
            return True
        before = self.values()
        other.append(before)
        self._tell(self._assign(source.pop(), before))
        return True

    def _assign(self, values: dict[str, Any], before: dict[str, Any]) -> frozenset[str]:
        unknown = set(values) - set(before)
        if unknown:
            raise TraitError(f"the page has no choice named {', '.join(sorted(unknown))}")
        try:
            for name, value in values.items():
                setattr(self, name, value)
        except Exception:
            for name in values:
                setattr(self, name, before[name])
            raise
        return frozenset(name for name in values if getattr(self, name) != before[name])

    def _tell(self, changed: frozenset[str]) -> None:
        for observer in self._observers:
            observer(changed)

    # -- permalinks --------------------------------------------------------------------------------------------

    def to_url(self, ids: np.ndarray, defaults: dict[str, Any]) -> str:
        """The state as a URL query: only what differs from ``defaults``, the galaxy in focus by its identifier.

        A selection that would make the query longer than :meth:`from_url` reads is left out.
        """
        now = self.values()
        out: dict[str, str] = {}
        for name, value in now.items():
            if value == defaults[name]:
                continue
            if name == "off":
                out["off"] = ",".join(map(str, sorted(value)))
            elif name in ("galaxy", "pinned"):
                out[name] = str(ids[value]) if value >= 0 else ""
            elif name in ("selection", "pinned_selection"):
                if (rows := written_rows(value)) is not None:
                    out[name] = rows
            elif name in FLAGS:
                out[name] = "1" if value else "0"
            else:
                out[name] = str(value)
        query = urlencode(out, safe=",")
        for name in ("pinned_selection", "selection"):
            if len(out.get(name, "")) > MAX_SELECTION or len(query) > MAX_QUERY:
                out.pop(name, None)
                query = urlencode(out, safe=",")
        return query

    def from_url(self, query: str, row_of: Callable[[str], int | None]) -> tuple[dict[str, Any], list[str]]:
        """Check a permalink's query; returns the choices that hold and a sentence for each that does not.

        Nothing is set here: ``state.change(**choices)`` does that, after the page has looked at the choices.
        ``row_of`` finds an identifier's row, or ``None``.
        """
        if len(query) > MAX_QUERY:
            return {}, [f"The link's {len(query):,} characters are more than this page reads ({MAX_QUERY:,})."]
        choices: dict[str, Any] = {}
        troubles: list[str] = []
        known = self.trait_names()
        for name, text in parse_qsl(query.lstrip("?"), keep_blank_values=True):
            choice = OLD_NAMES.get(name, name)
            if choice not in known:
                continue  # other people's parameters (token, utm_…) are none of our business
            try:
                choices[choice] = self._read(choice, text, row_of)
                self._validate_alone(choice, choices[choice])
            except (ValueError, TraitError, zlib.error) as error:
                choices.pop(choice, None)
                troubles.append(f"The link's “{name}” was left out: {str(error)[:200].rstrip('.')}.")
        return choices, troubles

    def _read(self, name: str, text: str, row_of: Callable[[str], int | None]) -> Any:
        if name == "off":
            return frozenset(int(part) for part in text.split(",") if part)
        if name in ("galaxy", "pinned"):
            row = row_of(text)
            if row is None and not text:
                return -1
            if row is None:
                raise ValueError("there is no galaxy with that identifier here")
            return row
        if name in ("selection", "pinned_selection"):
            return read_rows(text, self._galaxies)
        if name in FLAGS:
            if text not in ("0", "1"):
                raise ValueError("it is 0 or 1")
            return text == "1"
        return int(text) if name in ("target", "feature", "page", "k") else text

    def _validate_alone(self, name: str, value: Any) -> None:
        """Raise ``TraitError`` where ``value`` would be refused, and leave the state as it is."""
        before = getattr(self, name)
        try:
            setattr(self, name, value)
        finally:
            setattr(self, name, before)
