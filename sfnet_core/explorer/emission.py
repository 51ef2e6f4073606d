"""What the page shows of emission lines: ratios measured and predicted, and what they make of the galaxy in focus."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core import astro
from sfnet_core.explorer.quantities import LINES, PLOTS, Plot, Quantity, format_value
from sfnet_core.lines import LINES as TARGETS
from sfnet_core.lines import RATIOS, flux_of, has_lines

if TYPE_CHECKING:
    from sfnet_core.explorer.scene import Scene
    from sfnet_core.explorer.state import State

__all__ = ["line_facts", "line_quantities", "plots_of"]

AXES = {"n2_ha": "log([NII]λ6584 / Hα)", "o3_hb": "log([OIII]λ5007 / Hβ)"}
FLUXES = {"n2_ha": ("nii_6584_flux", "h_alpha_flux"), "o3_hb": ("oiii_5007_flux", "h_beta_flux")}
UNIT = "× 10⁻¹⁷ erg/s/cm²"


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
            out[name] = Quantity(name, f"predicted {AXES[key]}", "", lambda s, key=key: _predicted(scene, s, key), on)
    return out


def plots_of(scene: Scene) -> dict[str, Plot]:
    """The plots that the quantities can fill, by key; one of mass is named after a metallicity only where it is one."""
    found = {plot.key: plot for plot in PLOTS if {plot.x, plot.y} <= set(scene.quantities)}
    if "mass" in found and has_lines(scene.own.targets) and not scene.own.targets[0].startswith("oh_"):
        found["mass"] = replace(found["mass"], label="true value against stellar mass")
    return found


def line_facts(scene: Scene, state: State, row: int) -> list[list[str]]:
    """Facts of the galaxy in focus: the predicted flux of the line in view, BPT class and ratios.

    Empty where the network does not predict the four lines.
    """
    codes = scene.codes
    if not has_lines(codes.targets):
        return []
    rows, facts = np.array([row]), []
    if codes.targets[state.target] in TARGETS:
        facts.append(["predicted flux", format_value(float(flux_of(scene.prediction_of(state, row))), UNIT)])
    found = {line: _at(scene, state, line, rows) for line in TARGETS}
    true = {line: scene.truth(codes.target_index(line))[rows] for line in TARGETS}
    names, classes = [], []
    for values in (found, true):
        n2_ha, o3_hb = (values[top] - values[bottom] for top, bottom in RATIOS.values())
        names.append(astro.BPT_NAMES[int(astro.bpt_class(n2_ha, o3_hb)[0])])
        classes.append((float(n2_ha[0]), float(o3_hb[0])))
    about = "Predicted by the four outputs, with the features switched off left out; classes: Kauffmann et al. 2003"
    measured = f", measured {names[1]}" if np.isfinite(classes[1]).all() else ", not measured"
    facts.append(["BPT class", f"predicted {names[0]}{measured}", f"{about}, Kewley et al. 2001."])
    for name, (i, key) in {"log [NII]/Hα": (0, "n2_ha"), "log [OIII]/Hβ": (1, "o3_hb")}.items():
        known = f", measured {_signed(classes[1][i])}" if np.isfinite(classes[1][i]) else ""
        facts.append([name, f"predicted {_signed(classes[0][i])}{known}", f"{AXES[key]}, no unit"])
    return facts


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


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
