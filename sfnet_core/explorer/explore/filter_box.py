"""The header's filter box: what could be typed next, whether what is typed can be read, and examples of this table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.code_names import FEATURE
from sfnet_core.astro.axis_labels import COLUMN_LABELS, TARGET_LABELS
from sfnet_core.astro.sky_position import plain
from sfnet_core.data.filters.completion import complete, word_at
from sfnet_core.data.filters.grammar import FilterError, parse
from sfnet_core.explorer.shared.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sfnet_core.explorer.shared.context import Context

__all__ = ["FilterBox"]

EXAMPLES = 5
SAMPLED = 20_000  # galaxies that are enough for a value in the empty box
MOST_COUNTED = 2_000_000  # galaxies; in larger tables what is typed is only parsed, and counted when it is applied
HINTS = {
    "truth": "true value",
    "prediction": "predicted value, all features on",
    "residual": "predicted − true",
    "margin": "margin of the gate",
    "unlike": "the training galaxies; 1 is the limit",
    "unlike_distance": "of all activations; 1 is the limit",
    "unlike_range": "largest activation over the training's",
    "unlike_feature": "the feature of unlike_range",
    "id": "identifier",
    "split": "train, validation or test",
    "bpt": "class in the BPT diagram",
    "star": "galaxies with a star",
    "label": 'text of your label: contains "…"',
    "note": 'text of your note: contains "…"',
    "list": 'galaxies on a list: = "…"',
    "ra": "RA [deg]",
    "dec": "Dec [deg]",
    "n2_ha": "log([NII]λ6584 / Hα)",
    "o3_hb": "log([OIII]λ5007 / Hβ)",
    "n2_ha_predicted": "predicted log([NII]λ6584 / Hα)",
    "o3_hb_predicted": "predicted log([OIII]λ5007 / Hβ)",
    "bpt_predicted": "class by the predicted lines",
    "and": "both conditions hold",
    "or": "one of the conditions holds",
    "not": "turns a condition round",
    "within": "2 arcmin of 150.1 2.2",
    "cone(": "RA, Dec, 2 arcmin)",
    "abs(": "absolute value",
    "between": "8.5 and 9, both included",
    "in": "one of a list: (…, …)",
    "not in": "none of a list: (…, …)",
    "contains": "a part of the text",
    "is known": "there is a value",
    "is unknown": "there is no value",
}


class FilterBox:
    """Answers of one page's filter box, as plain data for the browser. Nothing here changes the state."""

    def __init__(self, context: Context):
        self._scene, self._state, self._label = context.scene, context.state, context.labels.label
        self._examples: dict[int, list[dict[str, Any]]] = {}
        self._hints: dict[int, str] = {}

    def ask(self, text: str, cursor: int) -> dict[str, Any]:
        """What could stand at the cursor (``options``, in place of ``start`` to ``end``), and :meth:`check`."""
        cursor = min(max(cursor, 0), len(text))
        names = self._scene.names(self._state.target)
        try:
            start, end = word_at(text, cursor)
            words = complete(text, cursor, names)
        except FilterError:
            start, end, words = cursor, cursor, []
        options = [{"text": word, "hint": self._hint(word)} for word in words]
        found = {"options": options, "start": start, "end": end, **self.check(text)}
        if found["error"] and options and start <= found["from"] and found["to"] <= end == cursor:
            found["unfinished"] = True  # a name that is still being typed
        return found

    def check(self, text: str) -> dict[str, Any]:
        """Whether a filter can be read: ``count`` of galaxies it would leave in view (``None`` where not counted), or
        ``error`` with its ``from`` and ``to`` characters, ``unfinished`` where only the end is missing, and
        ``suggestions`` of what could stand there.
        """
        state, scene = self._state, self._scene
        rows = scene.rows(state.split)
        where = state.split or "all splits"
        found: dict[str, Any] = {"text": text, "count": None, "of": len(rows), "where": where, "error": ""}
        try:
            if not text.strip():
                found["count"] = len(rows)
            elif scene.n <= MOST_COUNTED:
                found["count"] = int(scene.mask(replace(state.query, filter=text.strip()))[rows].sum())
            else:
                parse(text.strip())
        except FilterError as error:
            found |= self.complaint(text, error)
        return found

    @staticmethod
    def complaint(text: str, error: FilterError) -> dict[str, Any]:
        """What :meth:`check` says of an ``error`` in ``text.strip()``; the places are those in ``text``."""
        shift = len(text) - len(text.lstrip())
        return {
            "text": text,
            "error": str(error).split(" Did you mean ")[0] if error.suggestions else str(error),
            "from": error.start + shift,
            "to": error.end + shift,
            "unfinished": error.start + shift >= len(text.rstrip()),
            "suggestions": error.suggestions[:3],
        }

    def _hint(self, word: str) -> str:
        """What a word that completion offers is, in a few words; '' where it says so itself."""
        scene, target = self._scene, self._state.target
        if word in HINTS:
            return HINTS[word]
        if match := FEATURE.fullmatch(word):
            feature = int(match[2])
            name = self._label(feature)
            what = "activation" if match[1] in "fF" else "contribution"
            return what if name == f"f{feature}" else f"{what} of {name}"
        if word == scene.codes.targets[target]:
            return f"true {TARGET_LABELS.get(word, word)}"
        column = word.strip("`").replace("``", "`")
        if column in scene.codes.columns:
            label, unit = COLUMN_LABELS.get(column, ("column", scene.codes.column_units.get(column, "")))
            return f"{label} [{unit}]" if unit else label
        return ""

    def hint(self) -> str:
        """A filter to imitate, of this table's own names: the first example and the strongest feature.

        The page opens with it, so of a large table some galaxies say how high the value is, and the codes are not read.
        """
        target = self._state.target
        if target not in self._hints:
            feature = self._scene.default_feature(self._state.split, target)
            subject, values, _ = self._subject(target)
            text = f"{subject} > {quantile(values[:: len(values) // SAMPLED + 1], 0.8)}"
            self._hints[target] = f"{text} and f{feature}" if feature >= 0 else text
        return self._hints[target]

    def _subject(self, target: int) -> tuple[str, np.ndarray, bool]:
        """What the first example is about: its name, its values (N,), whether they are the true ones."""
        scene, name = self._scene, self._scene.codes.targets[target]
        if not np.isfinite(scene.truth(target)).any():
            return "prediction", scene.codes.prediction(target), False
        known = scene.names(target).words_without_features()
        return name if name in known else "truth", scene.truth(target), True

    # -- examples ----------------------------------------------------------------------------------------------

    def examples(self) -> list[dict[str, Any]]:
        """Five filters made of this table's own columns, features and positions, each met by some of its galaxies.

        Each has ``filter``, ``words`` (what it asks for) and ``count`` (of all galaxies, whatever the split).
        """
        target = self._state.target
        if target not in self._examples:
            found = []
            for text, words in self._candidates(target):
                count = int(self._scene.mask(Query(filter=text, target=target)).sum())
                if count:
                    found.append({"filter": text, "words": words, "count": count})
                if len(found) == EXAMPLES:
                    break
            self._examples[target] = found
        return self._examples[target]

    def _candidates(self, target: int) -> Iterator[tuple[str, str]]:
        """Filters and what they ask for, the most telling first."""
        scene = self._scene
        names = scene.names(target)
        what, unit = scene.target_label(target), scene.unit(target)
        subject, values, known = self._subject(target)
        high = quantile(values, 0.8)
        yield f"{subject} > {high}", f"{'true' if known else 'predicted'} {what} above {high}"
        if names.active:
            feature = names.active[0]
            size = quantile(names.values(f"f{feature}"), 0.5, positive=True)
            rare = names.active[-1]
            words = f"{self._label(feature)} active above {size}, {self._label(rare)} silent"
            yield f"f{feature} > {size} and not f{rare}", words
        if known:
            off = quantile(np.abs(names.values("residual")), 0.9)
            yield f"abs(residual) > {off}", f"predictions off by more than {off} {unit}".rstrip()
        if "bpt" in names.words():
            yield 'bpt = "AGN"', "active nuclei in the BPT diagram"
        if {"bpt", "bpt_predicted"} <= set(names.words()):
            yield 'bpt = "AGN" and bpt_predicted = "SF"', "active nuclei classified as star-forming galaxies"
        column = next((c for c in COLUMN_LABELS if c in scene.codes.columns), None) or next(
            (c for c in scene.numeric_columns() if c in scene.codes.columns and c != scene.codes.targets[target]), None
        )
        if column:
            written = column if column in names.words() else f"`{column.replace('`', '``')}`"
            low, top = (quantile(scene.column(column), q) for q in (0.25, 0.75))
            if float(low) < float(top):
                name = COLUMN_LABELS.get(column, (column, ""))[0]
                yield f"{written} between {low} and {top}", f"{name}, the middle half"
        place = np.flatnonzero(np.isfinite(scene.codes.ra + scene.codes.dec)) if "ra" in names.words() else []
        if len(place):
            ra, dec = float(scene.codes.ra[place[0]]), float(scene.codes.dec[place[0]])
            yield f"within 30 arcmin of {ra:.3f} {dec:.3f}", "a part of the sky, RA and Dec in deg"
        if len(names.active) > 1:
            yield f"not (f{names.active[0]} or f{names.active[1]})", "neither feature is active"
        yield f"margin < {quantile(scene.codes.margin, 0.1)}", "the gate's choice of features is fragile"
        if "unlike" in names.words() and scene.codes.unlike is not None:
            yield "unlike > 1", "novel: unlike the training galaxies"
        for identifier in scene.codes.ids[:1]:
            end = str(identifier)[-3:].replace('"', '""')
            yield f'id contains "{end}"', "a part of the identifier"


def quantile(values: np.ndarray, share: float, *, positive: bool = False) -> str:
    """The value that ``share`` of the known ones lie below, to three digits; '0' where there is none."""
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values) & ((values > 0) | (not positive))]
    if not len(values):
        return "0"
    text = f"{float(np.quantile(values, share)):.3g}"
    return text if "e" not in text else plain(float(text))
