"""The right pane: one galaxy, its picture equation and where in the image each feature looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.interpret import round_to_sum
from sfnet_core.analysis.intervals import LEVEL, Radii, validation_radii
from sfnet_core.annotations.labels import Entry
from sfnet_core.codes.novelty import why_unlike
from sfnet_core.explorer.shared.ablation import described
from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.contribution_map import map_of
from sfnet_core.explorer.shared.emission_lines import line_facts
from sfnet_core.explorer.shared.quantities import MINUS, format_value, signed
from sfnet_core.explorer.shared.query import Query, cached
from sfnet_core.explorer.shared.survey_links import survey_links
from sfnet_core.explorer.shared.view import front_end, text, whole
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["DIGITS", "Inspector", "equation", "picture_equation"]

INTERVAL = (
    f"Split-conformal: of the validation galaxies with about this prediction, {100 * LEVEL:.0f} % are predicted at "
    "least this well. It holds on average over galaxies like them; sfnet evaluate reports how often."
)
DIGITS = 4  # decimals of the picture equation; its terms add up to the last one shown


def equation(scene: Scene, query: Query, row: int) -> dict:
    """The picture equation of a galaxy under the query's toggles, as the page shows it.

    ``terms`` are the counted ones and the switched-off ones; the displayed bias and counted terms, added as
    decimals, give the displayed prediction exactly (:func:`sfnet_core.analysis.interpret.round_to_sum`).
    """
    terms = scene.terms(query, row)
    counted = [term for term in terms if term["state"] != "off"]
    bias = float(scene.codes.bias[query.target])
    total = scene.prediction_of(query, row)  # the number that the plots and the status line go by
    shown = round_to_sum([bias, *(term["contribution"] for term in counted)], total, DIGITS)
    for term, display in zip(counted, shown[1:], strict=True):
        term["text"] = display.replace("-", MINUS) if display.startswith("-") else f"+{display.lstrip('+')}"
    for term in terms:
        if term["state"] == "off":
            term["text"] = signed(term["contribution"], DIGITS)
    prediction = f"{total:.{DIGITS}f}".replace("-", MINUS)
    pieces = [shown[0].replace("-", MINUS)]
    pieces += [f"{term['text'][0]} {term['text'][1:]}" for term in counted]
    unit = scene.unit(query.target)
    return {
        "bias": shown[0].replace("-", MINUS),
        "terms": terms,
        "prediction": prediction,
        "sum": f"{' '.join(pieces)} = {prediction} {unit}".strip(),
    }


@cached("target")
def radii(scene: Scene, query: Query) -> Radii | None:
    """Half the conformal intervals of the network's own predictions; ``None`` where there are too few galaxies."""
    try:
        return validation_radii(scene.codes, target=query.target)
    except SFNetError:
        return None


class Inspector(Pane):
    """The galaxy in focus (``sf-inspector``), large, with its picture equation (``sf-sum``)."""

    _esm = front_end("shared/said", "shared/ablation", "shared/inspector")
    among_others = True  # the scene has more galaxies than the one in focus
    annotated = True  # what was said of the galaxy is shown, and can be changed
    empty = "Click a galaxy in the gallery or a point in a plot to see what its prediction is made of."

    def __init__(self, context: Context):
        state = context.state
        super().__init__(
            context,
            {
                "map": lambda m: state.change(map=text(m, "map")),
                "sky": lambda m: state.change(sky=m["less"] is True),
                "feature": lambda m: state.change(feature=whole(m, "feature")),
                **(context.labels.actions() if self.annotated else {}),
            },
        )

    def show(self, query: Query) -> dict:
        """The galaxy in focus, or what to do to get one."""
        return self.galaxy(self.context, query) if query.tab == "galaxy" else {"shown": False}

    def galaxy(self, context: Context, query: Query) -> dict:
        """All that is shown of the query's galaxy in the context's scene."""
        scene, row = context.scene, query.galaxy
        if row < 0:
            return {"shown": True, "id": "", "empty": self.empty}
        codes, unit, pictures = scene.gated(query), scene.unit(query.target), context.pictures
        name = context.labels.names(query).__getitem__
        truth, now = float(scene.truth(query.target)[row]), scene.prediction_of(query, row)
        before = float(scene.all_on(query)[row])
        radius = self._radius(scene, query, before)
        facts = [["prediction", f"{now:.4f} {unit}"]]
        if np.isfinite(radius):
            thin = "\N{THIN SPACE}±\N{THIN SPACE}"
            facts = [[f"prediction{thin}{100 * LEVEL:.0f} %", f"{now:.4f}{thin}{radius:.3f} {unit}", INTERVAL]]
        if query.off:
            facts.append(["change by toggles", f"{signed(now - before, 4)} {unit}"])
        if np.isfinite(truth):
            facts += [["true value", f"{truth:.4f} {unit}"], ["predicted − true", f"{signed(now - truth, 4)} {unit}"]]
        facts += line_facts(scene, query, row)
        facts += [["split", codes.split_of(row) or "–"], ["margin of the gate", f"{float(codes.margin[row]):.4f}"]]
        if codes.unlike is not None:
            facts.append(["novelty", f"{float(codes.unlike[row]):.2f} of the limit"])
        identifier = str(codes.ids[row])
        said = vars(context.labels.galaxies(query).get(identifier, Entry())) if self.annotated else None
        return {
            "shown": True,
            "id": identifier,
            "unlike": why_unlike(codes, row, name),
            "said": said,
            "jpeg": pictures.jpeg(row),
            "why": pictures.why,
            "size": list(pictures.size or ()),
            "crop": codes.provenance.get("crop"),
            "scale": codes.provenance.get("pixel_scale"),
            "facts": facts,
            "unit": unit,
            "target": scene.target_label(query.target),
            "runners": [[name(f), f"{a:.4f}"] for f, a in scene.runners_up(query, row)],
            "focus": query.feature,
            "catalogue": catalogue(codes, row),
            "without": described(scene, query, row, name, all_too=self.among_others),
            "links": survey_links(codes, row, (pictures.size or (None, None))[1]),
            **picture_equation(context, query, row),
        }

    @staticmethod
    def _radius(scene: Scene, query: Query, prediction: float) -> float:
        """Half the conformal interval of the network's own prediction; NaN where features are off or k is another."""
        if query.off or query.k != scene.codes.k:
            return np.nan
        found = radii(scene, query)
        return float(found.of(prediction)) if found else np.nan


def picture_equation(context: Context, query: Query, row: int) -> dict:
    """The picture equation of a galaxy and its contribution map, the features by their names."""
    names = context.labels.names(query)
    picture = equation(context.scene, query, row)
    for term in picture["terms"]:
        term["label"] = names[term["feature"]]
    return {**picture, **map_of(context.scene, query, row, picture["terms"], names.__getitem__)}


def catalogue(codes: SparseCodes, row: int) -> list[list[str]]:
    """A galaxy's catalogue: name of a column, value with its unit."""
    out = []
    for name in codes.columns:
        value, unit = codes.column(name)[row], codes.column_units.get(name, "")
        if isinstance(value, np.floating):
            out.append([name, format_value(float(value), unit)])
        else:  # whole numbers with all their digits: they may be identifiers
            out.append([name, f"{value} {unit}".strip()])
    return out
