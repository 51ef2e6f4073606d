"""The right pane: one galaxy, its picture equation and where in the image each feature looked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.interpret import round_to_sum
from sfnet_core.analysis.intervals import LEVEL, Radii, validation_radii
from sfnet_core.codes.novelty import why_unlike
from sfnet_core.data.pictures import Pictures
from sfnet_core.explorer.shared.ablation import described
from sfnet_core.explorer.shared.contribution_map import map_of
from sfnet_core.explorer.shared.emission_lines import line_facts
from sfnet_core.explorer.shared.header import MINUS, signed
from sfnet_core.explorer.shared.quantities import format_value
from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.survey_links import survey_links
from sfnet_core.explorer.shared.view import View, front_end, text, whole
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.label_editor import LabelEditor
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["DIGITS", "Inspector", "equation"]

INTERVAL = (
    f"Split-conformal: of the validation galaxies with about this prediction, {100 * LEVEL:.0f} % are predicted at "
    "least this well. It holds on average over galaxies like them; sfnet evaluate says how often."
)
DIGITS = 4  # decimals of the picture equation; its terms add up to the last one shown


def equation(scene: Scene, state: State, row: int) -> dict:
    """The picture equation of a galaxy under the present toggles, as the page shows it.

    ``terms`` are the counted ones and the switched-off ones; the displayed bias and counted terms, added as
    decimals, give the displayed prediction exactly (:func:`sfnet_core.analysis.interpret.round_to_sum`).
    """
    terms = scene.terms(state, row)
    counted = [term for term in terms if term["state"] != "off"]
    bias = float(scene.codes.bias[state.target])
    total = scene.prediction_of(state, row)  # the number that the plots and the status line go by
    shown = round_to_sum([bias, *(term["contribution"] for term in counted)], total, DIGITS)
    for term, display in zip(counted, shown[1:], strict=True):
        term["text"] = display.replace("-", MINUS) if display.startswith("-") else f"+{display.lstrip('+')}"
    for term in terms:
        if term["state"] == "off":
            term["text"] = signed(term["contribution"], DIGITS)
    prediction = f"{total:.{DIGITS}f}".replace("-", MINUS)
    pieces = [shown[0].replace("-", MINUS)]
    pieces += [f"{term['text'][0]} {term['text'][1:]}" for term in counted]
    unit = scene.unit(state.target)
    return {
        "bias": shown[0].replace("-", MINUS),
        "terms": terms,
        "prediction": prediction,
        "sum": f"{' '.join(pieces)} = {prediction} {unit}".strip(),
    }


class Inspector(View):
    """The galaxy in focus (``sf-inspector``), large, with its picture equation (``sf-sum``)."""

    _esm = front_end("shared/said", "shared/ablation", "shared/inspector")
    observes = frozenset(
        {"off", "mode", "target", "galaxy", "map", "sky", "feature", "k", "tab", "labels", "split", "filter"}
    )
    among_others = True  # the scene has more galaxies than the one in focus
    empty = "Click a galaxy in the gallery or a point in a plot to see what its prediction is made of."

    def __init__(
        self,
        scene: Scene,
        state: State,
        pictures: Pictures,
        notify: Callable[[str], None],
        label: Callable[[int], str],
        naming: LabelEditor | None = None,
    ):
        self._scene, self._state, self._pictures, self._label = scene, state, pictures, label
        self._naming = naming  # what was said of the galaxy, where the page keeps that
        super().__init__(
            notify,
            {
                "map": lambda m: state.change(map=text(m, "map")),
                "sky": lambda m: state.change(sky=m["less"] is True),
                "feature": lambda m: state.change(feature=whole(m, "feature")),
                **(naming.actions() if naming else {}),
            },
        )

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send the galaxy in focus, or what to do to get one."""
        scene, state = self._scene, self._state
        row = state.galaxy
        if state.tab != "galaxy":
            self.data = {"shown": False}
            return
        if row < 0:
            self.data = {"shown": True, "id": "", "empty": self.empty}
            return
        codes, unit = scene.codes, scene.unit(state.target)
        picture = equation(scene, state, row)
        for term in picture["terms"]:
            term["label"] = self._label(term["feature"])
        truth, now = float(scene.truth(state.target)[row]), scene.prediction_of(state, row)
        before = float(scene.prediction(state, all_on=True)[row])
        radius = self._radius(before)
        facts = [["prediction", f"{now:.4f} {unit}"]]
        if np.isfinite(radius):
            thin = "\N{THIN SPACE}±\N{THIN SPACE}"
            facts = [[f"prediction{thin}{100 * LEVEL:.0f} %", f"{now:.4f}{thin}{radius:.3f} {unit}", INTERVAL]]
        if state.off:
            facts.append(["change by toggles", f"{signed(now - before, 4)} {unit}"])
        if np.isfinite(truth):
            facts += [["true value", f"{truth:.4f} {unit}"], ["predicted − true", f"{signed(now - truth, 4)} {unit}"]]
        facts += line_facts(scene, state, row)
        facts += [["split", codes.split_of(row) or "–"], ["margin of the gate", f"{float(codes.margin[row]):.4f}"]]
        if codes.unlike is not None:
            facts.append(["unlike the training", f"{float(codes.unlike[row]):.2f} of the limit"])
        self.data = {
            "shown": True,
            "id": str(codes.ids[row]),
            "unlike": why_unlike(codes, row, self._label),
            "said": vars(self._naming.galaxy(str(codes.ids[row]))) if self._naming else None,
            "jpeg": self._pictures.jpeg(row),
            "why": self._pictures.why,
            "size": list(self._pictures.size or ()),
            "crop": codes.provenance.get("crop"),
            "scale": codes.provenance.get("pixel_scale"),
            "facts": facts,
            "unit": unit,
            "target": scene.target_label(state.target),
            **picture,
            "runners": [[self._label(f), f"{a:.4f}"] for f, a in scene.runners_up(row)],
            "focus": state.feature,
            "catalogue": self._catalogue(row),
            "without": described(scene, state, row, self._label, all_too=self.among_others),
            "links": survey_links(codes, row, (self._pictures.size or (None, None))[1]),
            **map_of(scene, state, row, picture["terms"], self._label),
        }

    def _radius(self, prediction: float) -> float:
        """Half the conformal interval of the network's own prediction; NaN where features are off or k is another."""
        scene, state = self._scene, self._state

        def compute() -> Radii | None:
            try:
                return validation_radii(scene.own, target=state.target)
            except SFNetError:
                return None

        if state.off or state.k != scene.own.k:
            return np.nan
        radii = scene.remember(("radius", state.target), compute)
        return float(radii.of(prediction)) if radii else np.nan

    def picture(self, row: int) -> dict:
        """The picture equation of a galaxy and its contribution map, as the pane shows them."""
        picture = equation(self._scene, self._state, row)
        for term in picture["terms"]:
            term["label"] = self._label(term["feature"])
        return {**picture, **map_of(self._scene, self._state, row, picture["terms"], self._label)}

    def _catalogue(self, row: int) -> list[list[str]]:
        scene, out = self._scene, []
        for name in scene.codes.columns:
            value = scene.codes.column(name)[row]
            if isinstance(value, np.floating):
                out.append([name, format_value(float(value), scene.codes.column_units.get(name, ""))])
            else:  # whole numbers with all their digits: they may be identifiers
                out.append([name, f"{value} {scene.codes.column_units.get(name, '')}".strip()])
        return out
