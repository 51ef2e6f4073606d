"""What the page shows of emission lines: ratios measured and predicted, and what they make of the galaxy in focus."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.bpt import AGN, COMPOSITE, STAR_FORMING, bpt_class
from sfnet_core.astro.emission_lines import LINES as TARGETS
from sfnet_core.astro.emission_lines import RATIOS, flux_of, has_lines
from sfnet_core.explorer.shared.quantities import LINES, PLOTS, Plot, Quantity, format_value

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.shared.state import State

__all__ = ["line_facts", "line_quantities", "plots_of"]

AXES = {"n2_ha": "log([NII]λ6584 / Hα)", "o3_hb": "log([OIII]λ5007 / Hβ)"}
FLUXES = {"n2_ha": ("nii_6584_flux", "h_alpha_flux"), "o3_hb": ("oiii_5007_flux", "h_beta_flux")}
PREDICTED = {"n2_ha": "predicted log([NII] / Hα)", "o3_hb": "predicted log([OIII] / Hβ)"}  # short: axes are
FLUX = "predicted flux [10⁻¹⁷ erg/s/cm²]"
CLASS = {STAR_FORMING: "SF", COMPOSITE: "composite", AGN: "AGN"}
ABOUT = (
    "Class (Kauffmann et al. 2003, Kewley et al. 2001), then log([NII]λ6584 / Hα) and log([OIII]λ5007 / Hβ); "
    "predicted: by the four outputs under the present toggles."
)


def line_quantities(scene: Scene, columns: Collection[str]) -> dict[str, Quantity]:
    """The axes of the BPT diagram, as far as they are known: of the catalogue's fluxes, and of the predicted ones.

    Predicted ratios follow the toggles; ``columns`` are the catalogue's numeric ones.
    """
    out = {}
    if set(LINES) <= set(columns):
        for key, pair in FLUXES.items():
            out[key] = Quantity(key, AXES[key], "", lambda s, pair=pair: scene.line_ratio(*pair))
    if has_lines(scene.own.targets):
        for key in RATIOS:
            name, on = f"{key}_predicted", frozenset({"off", "mode"})
            out[name] = Quantity(name, PREDICTED[key], "", lambda s, key=key: _predicted(scene, s, key), on)
    return out


def plots_of(scene: Scene) -> dict[str, Plot]:
    """The plots that the quantities can fill, by key; one of mass is named after a metallicity only where it is one."""
    found = {plot.key: plot for plot in PLOTS if {plot.x, plot.y} <= set(scene.quantities)}
    if "mass" in found and has_lines(scene.own.targets) and not scene.own.targets[0].startswith("oh_"):
        found["mass"] = replace(found["mass"], label="true value against stellar mass")
    return found


def line_facts(scene: Scene, state: State, row: int) -> list[list[str]]:
    """Facts of the galaxy in focus: the predicted flux of the line in view, and where it stands in the BPT diagram.

    Empty where the network does not predict the four lines.
    """
    codes = scene.codes
    if not has_lines(codes.targets):
        return []
    rows, facts = np.array([row]), []
    if codes.targets[state.target] in TARGETS:
        facts.append([FLUX, format_value(float(flux_of(scene.prediction_of(state, row))))])
    found = {line: _at(scene, state, line, rows)[0] for line in TARGETS}
    true = {line: scene.truth(codes.target_index(line))[row] for line in TARGETS}
    return [*facts, ["BPT, predicted", _place(found), ABOUT], ["BPT, measured", _place(true), ABOUT]]


def _place(lines: dict[str, float]) -> str:
    """A galaxy's class and its two ratios, as short as the pane is narrow; '–' where a line is not known."""
    ratios = [lines[top] - lines[bottom] for top, bottom in RATIOS.values()]
    if not np.isfinite(ratios).all():
        return "–"
    name = CLASS[int(bpt_class(*(np.array([ratio]) for ratio in ratios))[0])]
    return f"{name} {ratios[0]:+.2f}, {ratios[1]:+.2f}".replace("-", "−")


def _predicted(scene: Scene, state: State, key: str) -> np.ndarray:
    """(N,) one predicted ratio under the present toggles."""
    top, bottom = RATIOS[key]
    on = (state.off, state.mode if state.off else "")

    def compute() -> np.ndarray:
        return _at(scene, state, top, slice(None)) - _at(scene, state, bottom, slice(None))

    return scene.remember(("predicted ratio", key, *on), compute, keep=4)


def _at(scene: Scene, state: State, line: str, rows: np.ndarray | slice) -> np.ndarray:
    """Predictions of one line for some galaxies under the present toggles."""
    exact = scene.counterfactual(scene.codes.target_index(line))
    if not state.off:
        return exact.all_on[rows]
    if isinstance(rows, slice):
        return exact.prediction(off=state.off, mode=state.mode)[rows]
    return exact.at(rows, state.off, state.mode)
