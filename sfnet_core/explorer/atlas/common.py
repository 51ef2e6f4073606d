"""What the atlas's views share: the user's choices, their front ends, how a galaxy and a number go to the browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from traitlets import CaselessStrEnum, Int, TraitError, Unicode, validate

from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.view import source

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.pictures import Pictures

__all__ = ["LEAST", "AtlasState", "explore_link", "front_end", "galaxy", "number"]

LEAST = {"": 0.0, "0.001": 0.001, "0.01": 0.01, "0.1": 0.1}  # choices of the lowest firing rate shown
MOST_TEXT = 80  # characters of a search


class AtlasState(State):
    """The choices of the atlas. ``feature`` is the one whose page is open, -1 for the overview."""

    view = CaselessStrEnum(["cards", "signs", "matrix"], "cards", help="how the overview shows the features")
    find = Unicode("", help="text that a feature's name must hold")
    least = Unicode("", help="lowest firing rate of the features shown, a key of LEAST")
    against = Unicode("", help="what the activation is drawn against on a feature's page")
    seed = Int(0, min=0, max=9999, help="draw of the random examples")

    @validate("find")
    def _check_find(self, proposal: dict) -> str:
        if len(proposal["value"]) > MOST_TEXT:
            raise TraitError(f"a search has at most {MOST_TEXT} characters")
        return proposal["value"]

    @validate("least")
    def _check_least(self, proposal: dict) -> str:
        if proposal["value"] not in LEAST:
            raise TraitError(f"the lowest firing rate is one of {', '.join(key or 'empty' for key in LEAST)}")
        return proposal["value"]

    def _read(self, name: str, text: str, row_of: Callable[[str], int | None]) -> Any:
        return int(text) if name == "seed" else super()._read(name, text, row_of)


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
