"""A filter's text as words, numbers, texts and signs, each with its place; and the error that names the place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sfnet_core.utils.errors import SFNetError

__all__ = ["KEYWORDS", "LONGEST", "FilterError", "Token", "shown", "tokens"]

LONGEST = 4096  # characters of a filter
KEYWORDS = ("and", "or", "not", "between", "in", "contains", "is", "known", "unknown", "within", "of")
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’"}
COMPARISONS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "≠": "!=", "<": "<", "<=": "<=", "≤": "<="} | {
    ">": ">", ">=": ">=", "≥": ">="
}  # fmt: skip
_SIGN = "[-+−]?"
_SEXAGESIMAL = re.compile(_SIGN + r"[0-9]+(?::[0-9]+){1,2}(?:\.[0-9]*)?")
_NUMBER = re.compile(_SIGN + r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NAME = re.compile(r"[^\W\d]\w*")
_COMPARISON = re.compile(r"==|!=|<>|<=|>=|[=<>≠≤≥]")
INSTEAD = {
    **dict.fromkeys("&", "write `and`"),
    **dict.fromkeys("|", "write `or`, or abs(…) for an absolute value"),
    **dict.fromkeys("!~", "write `not`"),
    **dict.fromkeys("*/^%", "a filter compares, it does not calculate"),
    **dict.fromkeys("+-−", "a sign stands directly before its number"),
    **dict.fromkeys("[]{}", "use ( and )"),
    ";": "join conditions with `and` or `or`",
}


class FilterError(SFNetError):
    """A filter that can't be read: a sentence with the place, and what could stand there.

    ``start``, ``end``: the characters in question, from 0; ``suggestions``: words that could stand there instead.
    """

    def __init__(self, sentence: str, start: int, end: int, suggestions: Sequence[str] = ()):
        self.start, self.end, self.suggestions = start, max(end, start), list(suggestions)
        hint = f" Did you mean {' or '.join(self.suggestions[:3])}?" if self.suggestions else ""
        super().__init__(f"{sentence}, at character {start + 1}.{hint}")

    def pointer(self, text: str) -> str:
        """The filter with a line of ``^`` under the place, for a terminal."""
        marks = "^" * max(1, min(self.end, len(text)) - self.start)
        return f"{' '.join(text.splitlines())}\n{' ' * self.start}{marks}"


def shown(text: str, longest: int = 40) -> str:
    """A piece of the user's text as it stands in a sentence: cut, and without characters that have no shape."""
    text = "".join(c if c.isprintable() else "�" for c in text)
    return f"{text[:longest]}…" if len(text) > longest else text


@dataclass(frozen=True)
class Token:
    """``kind``: name, column (between backquotes), number, sexagesimal, text, comparison, one of ``( ) ,``, or end.

    ``text`` is what stands in the filter, ``value`` what it means. ``whole`` is false for a text or name whose closing
    quote is missing.
    """

    kind: str
    text: str
    value: str | int | float
    start: int
    end: int
    whole: bool = True

    def is_word(self, *words: str) -> bool:
        """Whether this is one of these keywords, in whatever case."""
        return self.kind == "name" and self.text.lower() in words


def tokens(text: str, *, lenient: bool = False) -> list[Token]:
    """All of a filter, an ``end`` token last. ``lenient`` lets the last text lack its closing quote."""
    if len(text) > LONGEST:
        sentence = f"The filter's {len(text):,} characters are more than the {LONGEST:,} that are read"
        raise FilterError(sentence, LONGEST, LONGEST)
    found: list[Token] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
            continue
        if character in "(),":
            token = Token(character, character, character, at, at + 1)
        elif character in QUOTES or character == "`":
            token = _quoted(text, at)
            if not (token.whole or lenient):
                raise FilterError(f"The closing {QUOTES.get(character, '`')} is missing", at, len(text))
        elif match := _SEXAGESIMAL.match(text, at):
            token = Token("sexagesimal", match[0], match[0], at, match.end())
        elif match := _NUMBER.match(text, at):
            token = Token("number", match[0], _number(match[0], at), at, match.end())
        elif match := _NAME.match(text, at):
            token = Token("name", match[0], match[0], at, match.end())
        elif match := _COMPARISON.match(text, at):
            token = Token("comparison", match[0], COMPARISONS[match[0]], at, match.end())
        else:
            why = f": {INSTEAD[character]}" if character in INSTEAD else ""
            raise FilterError(f"The character “{shown(character)}” means nothing in a filter{why}", at, at + 1)
        found.append(token)
        at = token.end
    return [*found, Token("end", "", "", len(text), len(text))]


def _quoted(text: str, start: int) -> Token:
    closing = QUOTES.get(text[start], "`")
    inside: list[str] = []
    at = start + 1
    while at < len(text):
        if text[at] == closing:
            if not text.startswith(closing, at + 1):
                kind = "column" if closing == "`" else "text"
                return Token(kind, text[start : at + 1], "".join(inside), start, at + 1)
            at += 1  # doubled: the quote itself
        inside.append(text[at])
        at += 1
    return Token("column" if closing == "`" else "text", text[start:], "".join(inside), start, len(text), whole=False)


def _number(word: str, at: int) -> int | float:
    word = word.replace("−", "-")
    digits = word.lstrip("+-")
    value = int(word) if digits.isdigit() and len(digits) <= 300 else float(word)
    if abs(value) == float("inf"):
        raise FilterError(f"The number {shown(word)} is too large", at, at + len(word))
    return value
