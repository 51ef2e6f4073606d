"""Emission lines of the galaxy in focus: the predicted flux, and its place in the BPT diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.bpt import AGN, COMPOSITE, STAR_FORMING, bpt_class
from sfnet_core.astro.emission_lines import LINES, RATIOS, flux_of, has_lines
from sfnet_core.explorer.shared.quantities import format_value

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.query import Query
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["line_facts"]

FLUX = "predicted flux [10⁻¹⁷ erg/s/cm²]"
CLASS = {STAR_FORMING: "SF", COMPOSITE: "composite", AGN: "AGN"}
ABOUT = (
    "Class (Kauffmann et al. 2003, Kewley et al. 2001), then log([NII]λ6584 / Hα) and log([OIII]λ5007 / Hβ); "
    "predicted: by the four outputs under the present toggles."
)


def line_facts(scene: Scene, query: Query, row: int) -> list[list[str]]:
    """Facts of the galaxy in focus: the predicted flux of the line in view, and where it stands in the BPT diagram.

    Empty where the network does not predict the four lines.
    """
    codes = scene.codes
    if not has_lines(codes.targets):
        return []
    rows, facts = np.array([row]), []
    if codes.targets[query.target] in LINES:
        facts.append([FLUX, format_value(float(flux_of(scene.prediction_of(query, row))))])
    found = {line: scene.line_prediction(query, line, rows)[0] for line in LINES}
    true = {line: scene.truth(codes.target_index(line))[row] for line in LINES}
    return [*facts, ["BPT, predicted", _place(found), ABOUT], ["BPT, measured", _place(true), ABOUT]]


def _place(lines: dict[str, float]) -> str:
    """A galaxy's class and its two ratios, as short as the pane is narrow; '–' where a line is not known."""
    ratios = [lines[top] - lines[bottom] for top, bottom in RATIOS.values()]
    if not np.isfinite(ratios).all():
        return "–"
    name = CLASS[int(bpt_class(*(np.array([ratio]) for ratio in ratios))[0])]
    return f"{name} {ratios[0]:+.2f}, {ratios[1]:+.2f}".replace("-", "−")
