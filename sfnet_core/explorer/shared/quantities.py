"""What can stand on an axis or in a sort: quantities with their units, and the pairs of them offered as plots."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.state import State

__all__ = [
    "LINES",
    "PLOTS",
    "UNLIKE",
    "Plot",
    "Quantity",
    "format_value",
    "name_target",
    "untexed",
]

_TEX = re.compile(r"\$(?=\$)|\\(?=[\[(])")

UNLIKE = {
    "unlike": "unlike the training (1: limit)",
    "unlike_distance": "distance from the training (1: limit)",
    "unlike_range": "largest activation over the training's",
}
LINES = ("nii_6584_flux", "h_alpha_flux", "oiii_5007_flux", "h_beta_flux")


@dataclass(frozen=True)
class Quantity:
    """One number per galaxy that a plot, a sort or the inspector can use."""

    key: str
    label: str
    unit: str
    values: Callable[[State], np.ndarray]  # state → (N,) float64, NaN where unknown
    depends: frozenset[str] = frozenset()  # the state's choices that change it, beside the target

    @property
    def axis(self) -> str:
        """The label with its unit, as it stands on an axis."""
        return untexed(f"{self.label} [{self.unit}]" if self.unit else self.label)


def name_target(quantities: dict[str, Quantity], label: str, unit: str) -> None:
    """Name what is true, predicted and residual after the target in view."""
    names = {"truth": f"true {label}", "prediction": f"predicted {label}", "residual": "predicted − true"}
    for key, name in names.items():
        if key in quantities:
            quantities[key] = replace(quantities[key], label=name, unit=unit)


@dataclass(frozen=True)
class Plot:
    """A pair of quantities that the user can put in the third and fourth place."""

    key: str
    label: str
    x: str
    y: str
    kind: str = ""  # its guide lines: 'bpt', 'identity', or none


PLOTS = (
    Plot("mass", "mass–metallicity", "lgm_tot_p50", "truth"),
    Plot("bpt", "BPT diagram", "n2_ha", "o3_hb", "bpt"),
    Plot("bpt_predicted", "predicted BPT diagram", "n2_ha_predicted", "o3_hb_predicted", "bpt"),
    Plot("n2_ha_both", "predicted against measured [NII]/Hα", "n2_ha", "n2_ha_predicted", "identity"),
    Plot("o3_hb_both", "predicted against measured [OIII]/Hβ", "o3_hb", "o3_hb_predicted", "identity"),
    Plot("residual_z", "residual against redshift", "z", "residual"),
    Plot("residual_mass", "residual against stellar mass", "lgm_tot_p50", "residual"),
    Plot("residual_truth", "residual against true value", "truth", "residual"),
    Plot("residual_margin", "residual against margin", "margin", "residual"),
    Plot("residual_unlike", "residual against unlikeness", "unlike", "residual"),
    Plot("activation_prediction", "activation against prediction", "activation", "prediction"),
    Plot("sky", "sky position", "ra", "dec"),
)


def untexed(words: str) -> str:
    """A text that Bokeh shows as it is: what would begin a formula there is parted by a mark without width."""
    return _TEX.sub(lambda found: f"{found[0]}\u200b", words)


@lru_cache(maxsize=256)
def format_value(value: float, unit: str = "") -> str:
    """A catalogue value for people: up to 5 significant digits and its unit; '–' where unknown."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.5g}{' ' + unit if unit else ''}"
