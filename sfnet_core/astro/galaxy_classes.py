"""Star-forming, composite, AGN or LINER: the class of each galaxy of a catalogue, and the two line ratios behind it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np

from sfnet_core.astro.bpt import bpt_class_from_fluxes, log_ratio

__all__ = ["CLASSES", "FLUXES", "Catalogue", "class_index", "galaxy_classes", "line_ratio"]

CLASSES = ("SF", "composite", "AGN", "LINER")
#: The columns of the four fluxes, as in MPA-JHU.
FLUXES = ("nii_6584_flux", "h_alpha_flux", "oiii_5007_flux", "h_beta_flux")
RATIOS = {"n2_ha": FLUXES[:2], "o3_hb": FLUXES[2:]}


class Catalogue(Protocol):
    """A table of N galaxies: a dataset, or codes with their catalogue."""

    columns: Collection[str]

    def column(self, name: str) -> np.ndarray:
        """(N,) one of :attr:`columns`."""


def line_ratio(table: Catalogue, name: str) -> np.ndarray | None:
    """(N,) float64 of ``n2_ha`` = log10([NII]λ6584/Hα) or ``o3_hb`` = log10([OIII]λ5007/Hβ), NaN where unknown.

    ``None`` where the catalogue lacks the fluxes (columns ``nii_6584_flux`` and so on, as in MPA-JHU).
    """
    return log_ratio(*map(table.column, RATIOS[name])) if set(RATIOS[name]) <= set(table.columns) else None


def galaxy_classes(table: Catalogue) -> np.ndarray | None:
    """(N,) int8: position in :data:`CLASSES`, −1 where unclassified; ``None`` where the catalogue does not tell.

    From the column ``bptclass`` (MPA-JHU: 1 and 2 star-forming, 3 composite, 4 AGN, 5 low-S/N LINER; Brinchmann et al.
    2004), else from the four line fluxes with the same scheme (with their errors where the catalogue has all four).
    """
    if "bptclass" in table.columns and table.column("bptclass").dtype.kind in "iuf":
        number = table.column("bptclass")
    else:
        error = [f"{flux}_err" for flux in FLUXES]
        if not set(FLUXES) <= set(table.columns):
            return None
        errors = error if set(error) <= set(table.columns) else []
        number = bpt_class_from_fluxes(*map(table.column, [*FLUXES, *errors]))
    return class_index(number)


def class_index(number: np.ndarray) -> np.ndarray:
    """(N,) int8 positions in :data:`CLASSES` of MPA-JHU's numbers, −1 where unclassified."""
    out = np.full(len(number), -1, dtype=np.int8)
    for value, place in ((1, 0), (2, 0), (3, 1), (4, 2), (5, 3)):
        out[number == value] = place
    return out
