"""What the user has chosen in the atlas; the explorer's state with the choices that only the atlas has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from traitlets import CaselessStrEnum, Int, TraitError, Unicode, validate

from sfnet_core.explorer.shared.state import State

__all__ = ["LEAST", "AtlasState"]

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
