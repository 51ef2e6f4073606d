"""A tree of conditions to a mask over the galaxies, with numpy comparisons only."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterator

import numpy as np

from sfnet_core.astro.sky_position import separation
from sfnet_core.data.filters.grammar import parse
from sfnet_core.data.filters.names import Names, Tags, UnknownName, Values, Words, kind_of
from sfnet_core.data.filters.tokens import FilterError, shown
from sfnet_core.data.filters.tree import (
    And,
    Between,
    Compare,
    Cone,
    Contains,
    Flag,
    Known,
    Literal,
    Member,
    Name,
    Node,
    Not,
    Or,
)

__all__ = ["evaluate", "first_cone", "select"]

SIGNS: dict[str, Callable] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SYNONYMS = {"star-forming": "SF", "starforming": "SF", "sf": "SF", "comp": "composite", "liner": "LINER", "agn": "AGN"}
FEW = 8  # texts to look for one by one; more go through a set


def select(text: str, names: Names) -> np.ndarray:
    """The galaxies that meet a filter.

    Parameters
    ----------
    text : str
        The filter; an empty one is met by all.
    names : Names
        What its names mean.

    Returns
    -------
    (N,) bool

    Raises
    ------
    FilterError
        With the place of the mistake.
    """
    if not text.strip():
        return np.ones(len(names), dtype=bool)
    return evaluate(parse(text), names)


def evaluate(node: Node, names: Names) -> np.ndarray:
    """(N,) bool of a tree from :func:`parse`; a new array."""
    match node:
        case And(parts) | Or(parts):
            found = evaluate(parts[0], names)
            for part in parts[1:]:
                other = evaluate(part, names)
                found = (
                    np.logical_and(found, other, out=found)
                    if isinstance(node, And)
                    else np.logical_or(found, other, out=found)
                )
            return found
        case Not(part):
            found = evaluate(part, names)
            return np.logical_not(found, out=found)
        case Compare():
            return _compare(node, names)
        case Between():
            return _between(node, names)
        case Member():
            return _member(node, names)
        case Contains():
            return _contains(node, names)
        case Known():
            return known(_lookup(node.value, names)) == node.known
        case Flag():
            return _flag(node.name, names)
        case Cone():
            return _cone(node, names)
    raise TypeError(f"{node!r} is no condition")


def known(values: Values) -> np.ndarray:
    """(N,) bool: where there is a value; NaN and empty texts are none."""
    if isinstance(values, Tags):
        return values.any_of(True for _ in values.words)
    if isinstance(values, Words):
        return values.place >= 0
    if values.dtype.kind == "U":
        return values != ""
    return ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), dtype=bool)


# ---- conditions


def _compare(node: Compare, names: Names) -> np.ndarray:
    left, right, sign = node.left, node.right, node.sign
    if isinstance(left, Literal) and isinstance(right, Literal):
        raise FilterError("Two constants are compared; one side is a name", left.start, right.end)
    if isinstance(left, Literal):  # 9 < x is x > 9
        left, right, sign = right, left, {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)
    values = _lookup(left, names)
    if kind_of(values) == "text":
        if not isinstance(right, Literal):
            sentence = f"{left.text} is a text; it is compared with a text in quotes"
            raise FilterError(sentence, right.start, right.end, [f'"{shown(right.text)}"'])
        if sign not in ("=", "!="):
            raise FilterError(f"{left.text} is a text; texts take only = and !=", left.start, right.end)
        found = _is_one_of(left, values, (right,), names)
        return found if sign == "=" else known(values) & ~found
    a, b = _numbers(left, values), _other(left, right, names)
    a = _wide(a, b)
    if sign != "!=":
        return SIGNS[sign](a, b)
    there = known(a) if isinstance(right, Literal) else known(a) & known(b)
    return (a != b) & there


def _between(node: Between, names: Names) -> np.ndarray:
    value, low, high = node.value, node.low, node.high
    if not isinstance(value, Name):
        raise FilterError("`between` asks about a name: oh_p50 between 8.5 and 9", value.start, value.end)
    a = _numbers(value, _lookup(value, names))
    ends = [_other(value, end, names) for end in (low, high)]
    if isinstance(low, Literal) and isinstance(high, Literal) and ends[0] > ends[1]:
        raise FilterError("The smaller end comes first in `between`", low.start, high.end)
    inside = (_wide(a, ends[0]) >= ends[0]) & (_wide(a, ends[1]) <= ends[1])
    if not node.negated:
        return inside
    there = known(a)
    for end in ends:
        there = there & known(end) if isinstance(end, np.ndarray) else there
    return there & ~inside


def _member(node: Member, names: Names) -> np.ndarray:
    value = node.value
    if not isinstance(value, Name):
        raise FilterError('`in` asks about a name: bpt in ("SF", "AGN")', value.start, value.end)
    values = _lookup(value, names)
    if kind_of(values) == "text":
        found = _is_one_of(value, values, node.items, names)
    else:
        a = _numbers(value, values)
        found = np.zeros(len(names), dtype=bool)
        for item in node.items:
            b = _other(value, item, names)
            found |= _wide(a, b) == b
    return known(values) & ~found if node.negated else found


def _contains(node: Contains, names: Names) -> np.ndarray:
    value, part = node.value, str(node.part.value).casefold()
    values = _lookup(value, names) if isinstance(value, Name) else None
    if values is None or kind_of(values) != "text":
        raise FilterError("`contains` asks about a text, such as id or label", value.start, value.end)
    if not part:
        raise FilterError("The text to look for is empty", node.part.start, node.part.end)
    if isinstance(values, Words | Tags):
        found = _at(values, [part in word.casefold() for word in values.words])
    else:
        found = _holds(values, part)
    return known(values) & ~found if node.negated else found


def _flag(name: Name, names: Names) -> np.ndarray:
    values = _lookup(name, names)
    kind = kind_of(values)
    if kind == "flag":
        return values.copy()
    if kind == "number" and not name.absolute and names.is_feature(names.resolve(name.text, name.column)):
        return values > 0
    example = f'{name.text} = "…"' if kind == "text" else f"{name.text} > 0"
    raise FilterError(f"{shown(name.text)} needs a comparison, such as {shown(example)}", name.start, name.end)


def _cone(node: Cone, names: Names) -> np.ndarray:
    ra0, dec0 = cone_centre(node, names)
    ra, dec = names.position
    near = np.flatnonzero(np.abs(dec - dec0) <= node.radius * (1 + 1e-9) + 1e-9)  # a NaN is not near
    found = np.zeros(len(names), dtype=bool)
    found[near] = separation(ra[near], dec[near], ra0, dec0) <= node.radius
    return found


def cone_centre(node: Cone, names: Names) -> tuple[float, float]:
    """RA and Dec (deg) of a cone's centre; :class:`FilterError` where it is a galaxy whose position is not known."""
    if names.position is None:
        raise FilterError("These galaxies have no RA and Dec, so there is no search by position", node.start, node.end)
    if node.centre is None:
        return node.ra, node.dec
    ra, dec = names.position
    name = str(node.centre.value)
    row = np.flatnonzero(names.rows_of({name}))
    if not len(row):
        raise FilterError(f"No galaxy has the identifier {shown(name)}", node.centre.start, node.centre.end)
    ra0, dec0 = float(ra[row[0]]), float(dec[row[0]])
    if not (np.isfinite(ra0) and np.isfinite(dec0)):
        raise FilterError(f"The position of {shown(name)} is not known", node.centre.start, node.centre.end)
    return ra0, dec0


def first_cone(text: str, names: Names) -> tuple[float, float, float] | None:
    """RA, Dec and radius (deg) of the first cone in a filter that can be read; ``None`` where it has none."""

    def cones(node: Node) -> Iterator[Cone]:
        if isinstance(node, Cone):
            yield node
        for part in node.parts if isinstance(node, And | Or) else [node.part] if isinstance(node, Not) else []:
            yield from cones(part)

    found = next(cones(parse(text)), None) if text.strip() else None
    return None if found is None else (*cone_centre(found, names), found.radius)


# ---- values


def _lookup(value: Name | Literal, names: Names) -> Values:
    if isinstance(value, Literal):
        raise FilterError("A name is needed here, not a constant", value.start, value.end)
    try:
        values = names.values(names.resolve(value.text, value.column))
    except UnknownName as error:
        raise FilterError(str(error), value.start, value.end, error.suggestions) from None
    if value.absolute:
        if kind_of(values) != "number":
            raise FilterError(f"abs(…) takes a number; {shown(value.text)} is not one", value.start, value.end)
        values = np.abs(values)
    return values


def _numbers(name: Name, values: Values) -> np.ndarray:
    if kind_of(values) == "number":
        return values
    what = f'a text: {name.text} = "…"' if kind_of(values) == "text" else f"yes or no: {name.text}, or not {name.text}"
    raise FilterError(f"{shown(name.text)} is {what}", name.start, name.end)


def _other(name: Name, value: Name | Literal, names: Names) -> np.ndarray | int | float:
    """The number or numbers that ``name`` is compared with."""
    if isinstance(value, Name):
        return _numbers(value, _lookup(value, names))
    if isinstance(value.value, str):
        sentence = f"{shown(name.text)} is a number; {shown(value.source)} is a text"
        raise FilterError(sentence, value.start, value.end)
    return value.value


def _wide(a: np.ndarray, b: np.ndarray | int | float) -> np.ndarray:
    """``a`` wide enough for the constant ``b``: else a float32 column would be compared with infinity."""
    if isinstance(b, np.ndarray) or a.dtype.kind != "f" or a.itemsize >= 8:
        return a
    return a.astype(np.float64) if abs(b) > float(np.finfo(a.dtype).max) else a


def _is_one_of(name: Name, values: Values, items: tuple[Literal, ...], names: Names) -> np.ndarray:
    wanted = {_text(name, item, names) for item in items}
    if isinstance(values, Words | Tags):
        return _at(values, [word in wanted for word in values.words])
    if values is names.ids:
        return names.rows_of(wanted)
    if len(wanted) <= FEW:
        found = np.zeros(len(values), dtype=bool)
        for word in wanted:
            found |= values == word
        return found
    return np.fromiter((text in wanted for text in values.tolist()), dtype=bool, count=len(values))


def _text(name: Name, item: Literal, names: Names) -> str:
    """The text that an item of a comparison means; an identifier may stand without quotes and keeps its digits."""
    if item.value == "":
        raise FilterError(f"For missing texts write {shown(name.text)} is unknown", item.start, item.end)
    resolved = names.resolve(name.text, name.column)
    if not names.closed(resolved):
        return item.value if isinstance(item.value, str) else item.source
    word = item.value if isinstance(item.value, str) else item.source
    choices = names.choices(resolved)
    lower = {choice.lower(): choice for choice in choices} | (SYNONYMS if resolved == "bpt" else {})
    if word.lower() not in lower:
        near = [f'"{lower[n]}"' for n in difflib.get_close_matches(word.lower(), lower, 2, 0.5)]
        sentence = f"{name.text} is one of {', '.join(choices)}, not {shown(word)}"
        raise FilterError(sentence, item.start, item.end, list(dict.fromkeys(near)))
    return lower[word.lower()]


def _holds(values: np.ndarray, part: str) -> np.ndarray:
    """Where texts hold ``part`` (casefolded), whatever their capitals; without letters numpy need not fold them."""
    if part.isascii() and not any(c.isalpha() for c in part):
        return np.strings.find(values, part) >= 0
    return np.fromiter((part in text.casefold() for text in values.tolist()), dtype=bool, count=len(values))


def _at(values: Words | Tags, wanted: list[bool]) -> np.ndarray:
    if isinstance(values, Tags):
        return values.any_of(wanted)
    return np.array([*wanted, False])[values.place]  # −1 finds the False at the end
