"""Positions on the sky: one typed by hand, how far around it to look, and distances between two."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from sfnet_core.utils.errors import SFNetError

__all__ = ["Place", "read_place", "separation"]

EXAMPLES = "150.1 2.2 5', or 10:00:24 +02:12:00 30\""
LONGEST = 120  # characters of a position that are read
UNITS = {  # deg, and how a filter writes the unit
    **dict.fromkeys(("°", "d", "deg", "degree", "degrees"), (1.0, "deg")),
    **dict.fromkeys(("'", "′", "’", "m", "arcmin", "arcmins", "arcminute", "arcminutes"), (1 / 60, "arcmin")),
    **dict.fromkeys(
        ('"', "″", "”", "''", "′′", "s", "arcsec", "arcsecs", "arcsecond", "arcseconds"), (1 / 3600, "arcsec")
    ),
}
NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
SIGN = r"[-+−–]?"
_DEGREES = re.compile(rf"({SIGN}{NUMBER})(?:°|d|deg)?[\s,;]+({SIGN}{NUMBER})(?:°|d|deg)?")
_COLONS = re.compile(rf"([0-9]+:[0-9]+(?::{NUMBER})?)[\s,;]+({SIGN}[0-9]+:[0-9]+(?::{NUMBER})?)")
_LETTERS = re.compile(
    rf"([0-9]+)h\s*([0-9]+)m\s*(?:({NUMBER})s)?[\s,;]*({SIGN})([0-9]+)(?:d|°)\s*([0-9]+)(?:m|′|')\s*(?:({NUMBER})(?:s|″|\"))?",
)
_SPACES = re.compile(
    rf"([0-9]{{1,2}})\s+([0-9]{{1,2}})\s+({NUMBER})[\s,;]+({SIGN})([0-9]{{1,2}})\s+([0-9]{{1,2}})\s+({NUMBER})"
)
_RADIUS = re.compile(rf"(?:[\s,;]|\br\s*=\s*)*({NUMBER})\s*({'|'.join(sorted(map(re.escape, UNITS), key=len)[::-1])})?")
_LOOKS_LIKE = re.compile(rf"{SIGN}[0-9.]+\s*(?:°|:|h|d(?:eg)?|[\s,;])\s*{SIGN}[0-9]", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """A cone on the sky: ``ra``, ``dec`` (deg, ICRS) of its centre, ``radius`` in ``unit`` (deg, arcmin or arcsec)."""

    ra: float
    dec: float
    radius: float = 1.0
    unit: str = "arcmin"

    @property
    def degrees(self) -> float:
        """The radius in deg."""
        return self.radius * UNITS[self.unit][0]

    @property
    def clause(self) -> str:
        """The cone as a filter has it; the position to 0.4 mas."""
        return f"within {self.radius:g} {self.unit} of {plain(self.ra)} {plain(self.dec)}"

    def __str__(self) -> str:
        return f"RA {self.ra:.5f}°, Dec {self.dec:+.5f}°".replace("-", "−")


def plain(value: float) -> str:
    """A number of degrees to 7 decimals, without an exponent and without zeros at its end."""
    return f"{value:.7f}".rstrip("0").rstrip(".")


def read_place(text: str) -> Place | None:
    """RA, Dec and radius (1 arcmin where not given) from one line; ``None`` where it looks like no position.

    RA and Dec in degrees (``150.1 2.2``) or sexagesimal (``10:00:24 +02:12:00``, ``10h00m24s +02d12m00s``,
    ``10 00 24 +02 12 00``); the radius with its unit (``5'``, ``30"``, ``0.1 deg``, ``2 arcmin``). Raises
    :class:`SFNetError` where it looks like a position and is none.
    """
    words = re.sub(r"\b(ra|dec|icrs|j2000)\b\s*[=:]?", " ", text, flags=re.IGNORECASE).strip()
    if not _LOOKS_LIKE.match(words):
        return None
    if len(text) > LONGEST:
        raise SFNetError(f"A position has at most {LONGEST} characters, for example {EXAMPLES}.")
    for pattern, read in ((_LETTERS, _letters), (_COLONS, _colons), (_SPACES, _spaces), (_DEGREES, _degrees)):
        match = pattern.match(words)
        if match is None:
            continue
        rest = words[match.end() :].strip()
        radius = _RADIUS.fullmatch(rest)
        if rest and radius is None:
            continue
        if radius and radius[2] is None:
            raise SFNetError(f"The radius {radius[1]} needs its unit: {radius[1]}', {radius[1]}\" or {radius[1]} deg.")
        ra, dec = read(match)
        place = Place(ra, dec) if radius is None else Place(ra, dec, float(radius[1]), UNITS[radius[2].lower()][1])
        return _checked(place)
    raise SFNetError(f"{text.strip()[:40]!r} is not a position: write RA, Dec and a radius such as {EXAMPLES}.")


def _checked(place: Place) -> Place:
    if place.ra == 360:  # rounding writes 24:00:00 for what is a little less
        place = replace(place, ra=0.0)
    if not 0 <= place.ra < 360:
        raise SFNetError(f"RA goes from 0 to 360 deg (0 to 24 h), not to {place.ra:g}.")
    if not -90 <= place.dec <= 90:
        raise SFNetError(f"Dec goes from −90 to 90 deg, not to {place.dec:g}.")
    if not 0 < place.degrees <= 180:
        raise SFNetError("A radius is more than 0 and at most 180 deg.")
    return place


def _number(text: str) -> float:
    return float(text.replace("−", "-").replace("–", "-"))


def _degrees(match: re.Match) -> tuple[float, float]:
    ra, dec = _number(match[1]), _number(match[2])
    return (ra % 360 if -180 <= ra < 0 else ra), dec


def _colons(match: re.Match) -> tuple[float, float]:
    sign = -1 if match[2][0] in "-−–" else 1
    return 15 * _sixties(match[1].split(":")), sign * _sixties(match[2].lstrip("+-−–").split(":"))


def _letters(match: re.Match) -> tuple[float, float]:
    sign = -1 if match[4] and match[4] in "-−–" else 1
    return 15 * _sixties([match[1], match[2], match[3] or "0"]), sign * _sixties([match[5], match[6], match[7] or "0"])


_spaces = _letters  # the same groups


def _sixties(parts: list[str]) -> float:
    values = [float(part) for part in parts]
    if any(value >= 60 for value in values[1:]):
        raise SFNetError(f"{':'.join(parts)} is not a sexagesimal number: minutes and seconds are below 60.")
    return sum(value / 60**i for i, value in enumerate(values))


def separation(ra: np.ndarray, dec: np.ndarray, ra0: float, dec0: float) -> np.ndarray:
    """Angular distance (N,) in deg between positions ``ra``, ``dec`` (N,) and one position, all in deg; NaN stays NaN.

    Vincenty's formula on a sphere (Vincenty 1975, Survey Review 23, 88; its special case of a flattening of 0), which
    keeps its digits at every distance, at the poles, across RA 0, and opposite on the sky.
    """
    step = np.radians(np.asarray(ra, dtype=np.float64) - ra0)
    d1, d0 = np.radians(np.asarray(dec, dtype=np.float64)), np.radians(float(dec0))
    east = np.cos(d1) * np.sin(step)
    north = np.cos(d0) * np.sin(d1) - np.sin(d0) * np.cos(d1) * np.cos(step)
    along = np.sin(d0) * np.sin(d1) + np.cos(d0) * np.cos(d1) * np.cos(step)
    return np.degrees(np.arctan2(np.hypot(east, north), along))
