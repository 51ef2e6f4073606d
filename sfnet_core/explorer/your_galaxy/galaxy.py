"""The galaxy that the page is about: a row of the loaded codes, or an image of the visitor's with a code of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.your_galaxy.similarity import LOOKS, look

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["Galaxy", "GalaxyQuery"]


@dataclass(eq=False)
class Galaxy:
    """One galaxy under study. ``codes`` has this one row only; ``row`` is its row in the loaded codes, −1 for an image.

    ``rgb`` (H, W, 3) uint8 is the picture or ``None``; ``given`` the
    size (H, W) of an image as it was brought, before any resampling; ``scale`` its pixel scale in arcsec or ``None``.
    """

    name: str
    codes: SparseCodes
    row: int = -1
    rgb: np.ndarray | None = None
    given: tuple[int, int] | None = None
    scale: float | None = None
    scene: Scene = field(init=False)
    looks: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.scene = Scene(self.codes)
        self.looks = {}
        if self.rgb is not None:
            measured = look(self.rgb[None], self.codes.provenance.get("crop"))
            self.looks = {name: float(measured[name][0]) for name in LOOKS}

    @property
    def features(self) -> np.ndarray:
        """(k,) kept features, −1 for an empty slot."""
        return self.codes.indices[0, : self.codes.k]

    @property
    def activations(self) -> np.ndarray:
        """(k,) their activations."""
        return self.codes.values[0, : self.codes.k]

    def activation(self, feature: int) -> float:
        """The gated activation of one feature."""
        return float(self.activations[self.features == feature].sum()) if feature >= 0 else 0.0

    def value(self, key: str, query: Query, whole: Scene) -> float:
        """The galaxy's value of a quantity that a plot shows; NaN where it is not known (an image has no catalogue)."""
        if key in LOOKS:
            return self.looks.get(key, float("nan"))
        if key == "activation":
            return self.activation(query.feature)
        if key == "prediction":
            return float(self.codes.prediction(query.target)[0])
        if key == "margin":
            return float(self.codes.margin[0])
        if self.row >= 0 and key in whole.quantities:
            return float(whole.at(key, query, np.array([self.row]))[0])
        return float("nan")


@dataclass(frozen=True)
class GalaxyQuery(Query):
    """The page's query: the choices, and the galaxy that the page is about, ``None`` before there is one."""

    shown: Galaxy | None = None

    @classmethod
    def of(cls, query: Query, shown: Galaxy | None) -> GalaxyQuery:
        """``query`` about this galaxy."""
        return cls(**{one.name: getattr(query, one.name) for one in fields(Query)}, shown=shown)
