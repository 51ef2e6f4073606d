"""What could be typed next in a filter: the parser reads up to the cursor and says what it would take."""

from __future__ import annotations

from sfnet_core.data.filters.grammar import Parser
from sfnet_core.data.filters.names import Names, UnknownName
from sfnet_core.data.filters.tokens import FilterError, Token, tokens
from sfnet_core.data.filters.tree import Name

__all__ = ["complete", "word_at"]

MOST = 20
FIXED = {
    "joint": ("and", "or"),
    "close": (")",),
    "of": ("of",),
    "and": ("and",),
    "unit": ("arcmin", "arcsec", "deg"),
    "known": ("known", "unknown", "not"),
}
SIGNS = {
    "number": ("=", "!=", "<", "<=", ">", ">=", "between", "in", "not in", "not between", "is known", "is unknown"),
    "text": ("=", "!=", "in", "contains", "not in", "not contains", "is known", "is unknown"),
    "flag": (),
}


def word_at(text: str, cursor: int) -> tuple[int, int]:
    """(start, cursor): the characters that a completion takes the place of."""
    *_, word = _split(text[:cursor])
    return (len(text[:cursor]) if word is None else word.start), min(cursor, len(text))


def complete(text: str, cursor: int, names: Names) -> list[str]:
    """Up to 20 words that could stand at the cursor instead of the one being typed, the likeliest first.

    Names, texts of a text name (in quotes), signs of comparison, keywords and units, as the grammar allows them there;
    ``[]`` where the filter before the cursor can't be read. The words take the place of :func:`word_at`.
    """
    try:
        before, word = _split(text[:cursor])
    except FilterError:
        return []
    end = word.start if word else len(text[:cursor])
    parser = Parser([*before, Token("end", "", "", end, end)])
    try:
        parser.whole()
    except FilterError as error:
        if error.start != end:
            return []
    typed = "" if word is None else word.text
    found: list[str] = []
    for kind, about in parser.wanted:
        if kind == "sign" and about is not None and not _flag(about, names):
            return _near(_words(kind, about, typed, names), typed)  # it is no condition yet that `and` could join
        found += _words(kind, about, typed, names)
    return _near(found, typed)


def _near(found: list[str], typed: str) -> list[str]:
    """Those that begin with what was typed, then those that hold it."""
    found = list(dict.fromkeys(found))
    if not typed:
        return found[:MOST]
    bare, first = typed.strip("\"'`“‘").lower(), []
    for place in (str.startswith, lambda one, part: part in one):
        first += [w for w in found if w not in first and place(w.strip("\"'`").lower(), bare)]
    return [w for w in first if w != typed][:MOST]


def _split(text: str) -> tuple[list[Token], Token | None]:
    """The tokens before the cursor without the one being typed, and that one."""
    *found, end = tokens(text, lenient=True)
    last = found[-1] if found else None
    if last is not None and last.end == end.start and (last.kind == "name" or not last.whole):
        return found[:-1], last
    return found, None


def _flag(about: Name, names: Names) -> bool:
    """Whether a name alone is a condition."""
    try:
        name = names.resolve(about.text, about.column)
        return not about.absolute and (names.is_feature(name) or names.kind(name) == "flag")
    except UnknownName:
        return False


def _words(kind: str, about: Name | None, typed: str, names: Names) -> list[str]:
    if kind in FIXED:
        return list(FIXED[kind])
    if kind == "condition":
        return [*names.words(), "not", "within", "cone(", "abs("]
    if about is None:
        return names.words() if kind == "value" else list(SIGNS["number"])
    try:
        name = names.resolve(about.text, about.column)
        sort = names.kind(name)
        if kind == "sign":
            return list(SIGNS[sort])
        if sort == "text":
            return [_quote(text) for text in names.choices(name, typed.lstrip("\"'“‘"))]
    except UnknownName:
        return []
    return [word for word in names.words() if word != about.text] if typed else []


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
