"""What can stand on an axis or in a sort: quantities with their units, and the pairs of them offered as plots."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.emission_lines import has_lines

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.query import Query

__all__ = [
    "LINES",
    "MINUS",
    "PLOTS",
    "PREDICTED_RATIOS",
    "RATIO_AXES",
    "RATIO_FLUXES",
    "UNLIKE",
    "Plot",
    "Quantity",
    "format_value",
    "named_after",
    "plots_of",
    "signed",
    "untexed",
]

MINUS = "\N{MINUS SIGN}"
_TEX = re.compile(r"\$(?=\$)|\\(?=[\[(])")

UNLIKE = {
    "unlike": "novelty (1: limit)",
    "unlike_distance": "distance from the training (1: limit)",
    "unlike_range": "largest activation over the training's",
}
LINES = ("nii_6584_flux", "h_alpha_flux", "oiii_5007_flux", "h_beta_flux")
RATIO_FLUXES = {"n2_ha": ("nii_6584_flux", "h_alpha_flux"), "o3_hb": ("oiii_5007_flux", "h_beta_flux")}
RATIO_AXES = {"n2_ha": "log([NII]λ6584 / Hα)", "o3_hb": "log([OIII]λ5007 / Hβ)"}
PREDICTED_RATIOS = {"n2_ha": "predicted log([NII] / Hα)", "o3_hb": "predicted log([OIII] / Hβ)"}  # short: axes are


@dataclass(frozen=True)
class Quantity:
    """One number per galaxy that a plot, a sort or the inspector can use."""

    key: str
    label: str
    unit: str
    values: Callable[[Query], np.ndarray]  # query → (N,) float64, NaN where unknown
    fields: frozenset[str] = frozenset()  # of the query that it depends on

    @property
    def axis(self) -> str:
        """The label with its unit, as it stands on an axis."""
        return untexed(f"{self.label} [{self.unit}]" if self.unit else self.label)


def named_after(quantities: dict[str, Quantity], label: str, unit: str) -> dict[str, Quantity]:
    """The same quantities; what is true, predicted and residual is named after a target."""
    names = {"truth": f"true {label}", "prediction": f"predicted {label}", "residual": "predicted − true"}
    named = {key: replace(quantities[key], label=name, unit=unit) for key, name in names.items() if key in quantities}
    return quantities | named


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
    Plot("residual_unlike", "residual against novelty", "unlike", "residual"),
    Plot("activation_prediction", "activation against prediction", "activation", "prediction"),
    Plot("sky", "sky position", "ra", "dec"),
)


def plots_of(quantities: Collection[str], targets: Sequence[str]) -> dict[str, Plot]:
    """The plots that the quantities can fill, by key; one of mass is named after a metallicity only where it is one."""
    found = {plot.key: plot for plot in PLOTS if {plot.x, plot.y} <= set(quantities)}
    if "mass" in found and has_lines(targets) and not targets[0].startswith("oh_"):
        found["mass"] = replace(found["mass"], label="true value against stellar mass")
    return found


def untexed(words: str) -> str:
    """A text that Bokeh shows as it is: what would begin a formula there is parted by a mark without width."""
    return _TEX.sub(lambda found: f"{found[0]}\u200b", words)


def signed(value: float, digits: int) -> str:
    """A number with its sign, true minus sign included."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


@lru_cache(maxsize=256)
def format_value(value: float, unit: str = "") -> str:
    """A catalogue value for people: up to 5 significant digits and its unit; '–' where unknown."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.5g}{' ' + unit if unit else ''}"
