"""Texts of a figure on paper: what XML can hold, lines that fit, round values on an axis."""

from __future__ import annotations

import math
import re
import unicodedata

__all__ = ["clean", "log_ticks", "ticks", "wrapped"]

MOST_LINES = 4  # of one fact: a permalink with a large selection goes on in the description only
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """A text without the characters that XML can't hold, and without the marks that keep formulas from Bokeh."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text.replace("\u200b", ""))


def ticks(low: float, high: float, wanted: float) -> list[tuple[float, str]]:
    """Round values inside a range with their texts, about ``wanted`` of them."""
    raw = (high - low) / max(1.0, wanted)
    if not (math.isfinite(raw) and raw > 0):
        return []
    power = 10.0 ** math.floor(math.log10(raw))
    factor = next(m for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    step = factor * power
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (factor == 2.5)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    small = max(abs(low), abs(high)) < 1e6 and digits <= 8
    return [
        (i * step, (f"{i * step:.{digits}f}" if small else f"{i * step:.4g}").replace("-", "\N{MINUS SIGN}"))
        for i in range(first, min(last, first + 50) + 1)
    ]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """The same on a logarithmic axis from 10**low to 10**high: 1, 2 and 5 of each decade, or all of one to nine."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1,), (1, 2, 5), range(1, 10)):
        found = [m * 10.0**d for d in decades for m in steps if low <= math.log10(m) + d <= high]
        if len(found) >= 3:
            break
    return [(value, f"{value:.4g}") for value in found]


def wrapped(text: str, wide: float, most: int = MOST_LINES) -> list[str]:
    """A caption's lines, each broken where it is too long for the figure; what does not fit ends in an ellipsis.

    ``wide`` in units of the letters' size. How wide a text is depends on the reader's typeface: a wide one is assumed.
    """
    out: list[str] = []
    for line in text.splitlines():
        pieces = [""]
        for word in re.findall(r"\S+\s*", line):
            if pieces[-1] and _wide(pieces[-1] + word.rstrip()) > wide:
                pieces.append("")
            while _wide(word.rstrip()) > wide:  # an address, a list without spaces
                cut = max(1, next(i for i in range(1, len(word) + 1) if _wide(word[:i]) > wide) - 1)
                pieces[-1:] = [word[:cut], ""]
                word = word[cut:]
            pieces[-1] += word
        if len(pieces) > most:
            pieces = [*pieces[: most - 1], pieces[most - 1].rstrip()[:-2] + "…"]
        out += [piece.rstrip() for piece in pieces]
    return out


NARROW, BROAD = frozenset("!'(),./:;I[\\]`fijlrt{|} "), frozenset("%@MWmw&+=<>~")


def _wide(text: str) -> float:
    """About how wide a text is in DejaVu Sans, the widest typeface a browser may take, in units of its size."""
    return sum(
        0.4 if c in NARROW else 0.98 if c in BROAD or unicodedata.east_asian_width(c) in "WF" else 0.72 if c.isupper()
        else 0.63
        for c in text
    )  # fmt: skip
