"""Recursive descent: a filter's text to a tree of conditions. Names are looked up later, by :mod:`masks`."""

from __future__ import annotations

import difflib
from typing import NoReturn

from sfnet_core.data.filters.tokens import KEYWORDS, FilterError, Token, shown, tokens
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

__all__ = ["FilterError", "Parser", "parse"]

DEEPEST = 40  # parentheses and `not`s inside each other
MOST_TESTS = 100
UNITS = {
    **dict.fromkeys(("deg", "degree", "degrees"), 1.0),
    **dict.fromkeys(("arcmin", "arcmins", "arcminute", "arcminutes"), 1 / 60),
    **dict.fromkeys(("arcsec", "arcsecs", "arcsecond", "arcseconds"), 1 / 3600),
}


def parse(text: str) -> Node:
    """The tree of a filter; :class:`FilterError` with the place where it can't be read."""
    return Parser(tokens(text)).whole()


class Parser:
    """One pass over the tokens. ``wanted`` collects what could stand at the end: (kind, the name it is about)."""

    def __init__(self, found: list[Token]):
        self._tokens, self._at, self._tests = found, 0, 0
        self.wanted: list[tuple[str, Name | None]] = []

    def whole(self) -> Node:
        """The whole filter, to its last token."""
        node = self._either(0)
        if self._now.kind != "end":
            if self._now.kind == ")":
                self._refuse("This ) closes nothing")
            close = difflib.get_close_matches(self._now.text.lower(), ("and", "or"), 1, 0.5)
            self._refuse(f"After a condition come `and` or `or`, not {self._what()}", *close)
        return node

    # -- conditions --------------------------------------------------------------------------------------------

    def _either(self, depth: int) -> Node:
        parts = [self._both(depth)]
        while self._take_word("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self, depth: int) -> Node:
        parts = [self._one(depth)]
        while self._take_word("and"):
            parts.append(self._one(depth))
        self._could("joint")
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self, depth: int) -> Node:
        if depth > DEEPEST:
            self._refuse(f"More than {DEEPEST} parentheses or `not`s are inside each other")
        self._could("condition")
        if self._take_word("not"):
            return Not(self._one(depth + 1))
        if self._take("("):
            node = self._either(depth + 1)
            self._could("close")
            self._need(")", "A ) is missing")
            return node
        return self._test()

    def _test(self) -> Node:
        self._tests += 1
        if self._tests > MOST_TESTS:
            self._refuse(f"More than {MOST_TESTS} conditions are in one filter")
        start = self._now.start
        if self._take_word("within"):
            radius = self._radius()
            self._could("of")
            if not self._take_word("of"):
                self._refuse(f"A radius is followed by `of` and a position, not {self._what()}")
            return self._cone(start, radius)
        if self._now.is_word("cone") and self._tokens[self._at + 1].kind == "(":
            self._at += 2
            place = self._place()
            self._need(",", "The radius is missing: cone(ra, dec, radius unit)")
            cone = Cone(*place[:2], self._radius(), place[2], start, self._now.end)
            self._need(")", "A ) is missing")
            return cone
        value = self._value("A condition")
        return self._after(value)

    def _after(self, value: Name | Literal) -> Node:
        """What a name or literal at the head of a condition goes on with."""
        name = value if isinstance(value, Name) else None
        self._could("sign", name)
        if self._now.kind == "comparison":
            return self._chain(value, name)
        negated = self._now.is_word("not") and self._tokens[self._at + 1].is_word("between", "in", "contains")
        self._at += negated
        if self._take_word("between"):
            low = self._value("`between`", name)
            self._could("and")
            if not self._take_word("and"):
                self._refuse("`between` needs two ends: between 8.5 and 9")
            return Between(value, low, self._value("`between … and`", name), negated)
        if self._take_word("in"):
            return Member(value, self._list(name), negated)
        if self._take_word("contains"):
            self._could("value", name)
            if self._now.kind != "text":
                self._refuse(f"`contains` is followed by a text in quotes, not {self._what()}")
            return Contains(value, self._literal(), negated)
        if self._take_word("is"):
            self._could("known")
            negated = self._take_word("not")
            if not self._now.is_word("known", "unknown"):
                self._refuse(f"`is` is followed by `known` or `unknown`, not {self._what()}")
            return Known(value, (self._next().text.lower() == "known") != negated)
        if name is None:
            self._refuse("A comparison (= != < <= > >=) is missing here")
        return Flag(name)

    def _chain(self, value: Name | Literal, name: Name | None) -> Node:
        parts = []
        while self._now.kind == "comparison":
            sign = str(self._next().value)
            right = self._value(f"`{sign}`", name)
            parts.append(Compare(value, sign, right))
            value, name = right, right if isinstance(right, Name) else name
        if len(parts) > 2:
            self._refuse("A chain has two comparisons at most: 9 < oh_p50 < 9.2")
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _list(self, name: Name | None) -> tuple[Literal, ...]:
        self._need("(", '`in` is followed by a list: in ("SF", "AGN")')
        items = []
        while True:
            self._could("value", name)
            if self._now.kind not in ("number", "text"):
                self._refuse(f"A list holds numbers or texts in quotes, not {self._what()}")
            items.append(self._literal())
            if self._take(")"):
                return tuple(items)
            self._need(",", "A , or ) is missing")

    # -- values and places -------------------------------------------------------------------------------------

    def _value(self, where: str, about: Name | None = None) -> Name | Literal:
        if where != "A condition":
            self._could("value", about)
        token = self._now
        if token.kind in ("number", "text"):
            return self._literal()
        if token.kind == "column":
            self._next()
            return Name(str(token.value), True, token.start, token.end)
        if token.kind != "name" or token.is_word(*KEYWORDS):
            needs = (
                "begins with a name or a value"
                if where == "A condition"
                else "is followed by a number, a text or a name"
            )
            self._refuse(f"{where} {needs}, not {self._what()}")
        self._next()
        if self._now.kind != "(":
            return Name(token.text, False, token.start, token.end)
        if not token.is_word("abs"):
            close = difflib.get_close_matches(token.text.lower(), ("abs", "cone"), 1)
            self._at -= 1
            self._refuse(
                f"There is no function {shown(token.text)}(…); a filter has abs(name) and cone(ra, dec, radius)", *close
            )
        self._next()
        inner = self._next()
        if inner.kind not in ("name", "column") or inner.is_word(*KEYWORDS):
            self._at -= 1
            self._refuse("abs(…) takes one name")
        end = self._now.end
        self._need(")", "A ) is missing")
        return Name(str(inner.value), inner.kind == "column", token.start, end, absolute=True)

    def _literal(self) -> Literal:
        token = self._next()
        return Literal(token.value, token.text, token.start, token.end)

    def _radius(self) -> float:
        if self._now.kind != "number":
            self._refuse(f"A radius is a number and its unit, such as 2 arcmin, not {self._what()}")
        number = self._next()
        self._could("unit")
        unit = UNITS.get(self._now.text.lower())
        if unit is None:
            close = (
                difflib.get_close_matches(self._now.text.lower(), ("deg", "arcmin", "arcsec"), 1)
                if self._now.text
                else []
            )
            self._refuse("A radius needs its unit: deg, arcmin or arcsec", *close)
        self._next()
        radius = number.value * unit
        if not 0 < radius <= 180:
            raise FilterError("A radius is more than 0 and at most 180 deg", number.start, number.end)
        return radius

    def _cone(self, start: int, radius: float) -> Cone:
        ra, dec, centre = self._place()
        return Cone(ra, dec, radius, centre, start, self._tokens[self._at - 1].end)

    def _place(self) -> tuple[float, float, Literal | None]:
        if self._now.kind == "text":
            return 0.0, 0.0, self._literal()
        ra = self._angle("RA", 24, 15, -180, 360)
        self._take(",")
        return ra, self._angle("Dec", 90, 1, -90, 90), None

    def _angle(self, what: str, most: int, scale: int, low: int, high: int) -> float:
        token = self._now
        if token.kind not in ("number", "sexagesimal"):
            example = "150.1 2.2 (deg) or 10:00:24 +02:12:00"
            self._refuse(f"{what} is missing: a position is RA and Dec, such as {example}, or an identifier in quotes")
        self._next()
        if token.kind == "number":
            value = float(token.value)
        else:
            parts = [float(part) for part in token.text.lstrip("+-−").split(":")]
            if parts[0] > most or any(part >= 60 for part in parts[1:]):
                raise FilterError(f"{shown(token.text)} is no {what}", token.start, token.end)
            value = scale * sum(part / 60**i for i, part in enumerate(parts))
            value = -value if token.text[0] in "-−" else value
        if not low <= value <= high:
            raise FilterError(
                f"{what} goes from {'0 to 360' if what == 'RA' else '−90 to 90'} deg", token.start, token.end
            )
        return value

    # -- tokens ------------------------------------------------------------------------------------------------

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._now
        self._at += token.kind != "end"
        return token

    def _take(self, kind: str) -> bool:
        here = self._now.kind == kind
        self._at += here
        return here

    def _take_word(self, *words: str) -> bool:
        here = self._now.is_word(*words)
        self._at += here
        return here

    def _need(self, kind: str, sentence: str) -> None:
        if not self._take(kind):
            self._refuse(sentence)

    def _could(self, kind: str, about: Name | None = None) -> None:
        if self._now.kind == "end":
            self.wanted.append((kind, about))

    def _what(self) -> str:
        return "the end" if self._now.kind == "end" else f"{shown(self._now.text)}"

    def _refuse(self, sentence: str, *suggestions: str) -> NoReturn:
        raise FilterError(sentence, self._now.start, self._now.end, suggestions)
