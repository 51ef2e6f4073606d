"""What the atlas's views share: their front ends, and how a galaxy goes to the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sfnet_core.explorer.shared.view import source

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.pictures import Pictures

__all__ = ["explore_link", "front_end", "galaxy", "number"]


def front_end(*names: str) -> str:
    """The JavaScript module of one view of the atlas: the shared helpers, then ``NAME.js`` of each name."""
    return "\n".join(source(f"{part}.js") for part in ("shared/common", "atlas/common", *names))


def explore_link(split: str, **choices: str | int) -> str:
    """The explorer's page with these choices, as an address relative to the atlas."""
    return f"explore.ipynb?{urlencode({**choices, 'split': split})}"


def galaxy(codes: SparseCodes, pictures: Pictures, row: int, *, split: str, feature: int, activation: float) -> dict:
    """One example galaxy: identifier, picture, its activation and its address in the explorer."""
    name, unlike = str(codes.ids[row]), codes.unlike
    return {
        "id": name,
        "jpeg": pictures.jpeg(int(row)),
        "activation": float(activation),
        "unlike": unlike is not None and bool(unlike[row] > 1),
        "link": explore_link(split, galaxy=name, feature=feature),
    }


def number(value: float) -> float | None:
    """A number for the browser; ``None`` where it is not known (JSON has no NaN)."""
    return float(value) if value == value and abs(value) != float("inf") else None
