"""The overview's cards: one for each active feature; their pictures follow as they come into sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.ds9 import origin
from sfnet_core.analysis.feature_statistics import BINS, clear, disagree, order
from sfnet_core.explorer.atlas.parts import front_end, galaxy, number
from sfnet_core.explorer.atlas.state import LEAST, AtlasState
from sfnet_core.explorer.shared.view import View, whole

if TYPE_CHECKING:
    from sfnet_core.analysis.feature_statistics import FeatureStatistics
    from sfnet_core.data.pictures import Pictures

__all__ = ["STRIP", "Deck", "cards", "overview", "shown"]

STRIP = 6  # example galaxies on a card
MOST_ASKED = 64  # features whose pictures may be asked for in one message


def shown(statistics: FeatureStatistics, state: AtlasState, label: Callable[[int], str]) -> np.ndarray:
    """Positions in the feature table of what the overview lists, in its order."""
    table = statistics.sortable(state.split, state.target, state.sort)
    keep = table["rate"] >= LEAST[state.least]
    part = state.find.casefold()
    if part:
        keep &= np.array([part in label(int(f)).casefold() for f in table["feature"]], dtype=bool)
    return order(table, state.sort, state.descending, keep)


def overview(statistics: FeatureStatistics, state: AtlasState) -> dict:
    """What every overview says of itself: of which galaxies, how many, against which target, at fixed what."""
    return {
        "split": state.split,
        "of": state.split or "all splits",
        "n": len(statistics.rows(state.split)),
        "simulated": statistics.codes.simulated,
        "facts": origin(statistics.codes),
        "known": statistics.known(state.split, state.target),
        "target": statistics.target_label(state.target),
        "unit": statistics.unit(state.target),
        "fixed": statistics.fixed(),
        "missing": statistics.missing_controls(),
        "active": len(statistics.table(state.split, state.target)["feature"]),
        "steady": statistics.stability.about,
    }


def cards(statistics: FeatureStatistics, state: AtlasState, label: Callable[[int], str]) -> list[dict]:
    """What the cards say, in the order shown; pictures are not part of it."""
    table = statistics.table(state.split, state.target)
    index = statistics.index(state.split)
    signs = disagree(table["weight"], table["pearson"])
    sure = clear(table["pearson"], statistics.known(state.split, state.target))
    out = []
    for i in shown(statistics, state, label):
        feature = int(table["feature"][i])
        bars, largest = index.histogram(feature, BINS)
        out.append(
            {
                "feature": feature,
                "label": label(feature),
                "weight": float(table["weight"][i]),
                "fires": int(table["fires"][i]),
                "rate": float(table["rate"][i]),
                "mean": float(table["mean"][i]),
                "share": float(table["share"][i]),
                "pearson": number(table["pearson"][i]),
                "partial": number(table["partial"][i]),
                "without": number(table["without"][i]),
                "chance": number(table["chance"][i]),
                "disagree": bool(signs[i]),
                "clear": bool(sure[i]),
                "steady": statistics.stability.of(feature),
                "bars": bars.tolist(),
                "largest": largest,
            }
        )
    return out


class Deck(View):
    """Cards (``sf-card`` with ``data-feature``)."""

    _esm = front_end("atlas/card_grid")

    def __init__(
        self,
        statistics: FeatureStatistics,
        state: AtlasState,
        pictures: Pictures,
        notify: Callable[[str], None],
        label: Callable[[int], str],
        star: Callable[[int], bool] = lambda _feature: False,
    ):
        self._statistics, self._state, self._pictures, self._label = statistics, state, pictures, label
        self._star = star
        super().__init__(
            notify, {"open": lambda m: state.change(feature=whole(m, "feature")), "pictures": self._send_pictures}
        )

    def cards(self) -> list[dict]:
        """What the cards say, in the order shown; pictures are not part of it."""
        return cards(self._statistics, self._state, self._label)

    def _send_pictures(self, message: dict) -> None:
        """The strongest galaxies of the features asked for, as one message with the pictures in it."""
        asked = message["features"]
        if not (isinstance(asked, list) and len(asked) <= MOST_ASKED and all(type(f) is int for f in asked)):
            raise TypeError("features must be a short list of whole numbers")
        state, index = self._state, self._statistics.index(self._state.split)
        strips, buffers = [], []
        for feature in asked:
            if not 0 <= feature < self._statistics.codes.features:
                raise ValueError("there is no such feature")
            position, activation = index.of(feature)
            strength = dict(zip(index.rows[position].tolist(), activation.tolist(), strict=True))
            strip = []
            for row in index.top(feature, STRIP).tolist():
                one = galaxy(
                    self._statistics.codes,
                    self._pictures,
                    row,
                    split=state.split,
                    feature=feature,
                    activation=strength[row],
                )
                buffers.append(one.pop("jpeg"))
                strip.append(one)
            strips.append([feature, strip])
        self.send({"pictures": strips, "split": state.split}, buffers)

    def draw(self) -> None:
        """Send the cards as the state has them."""
        about = overview(self._statistics, self._state) | {"why": self._pictures.why}
        about |= {"open": self._state.feature < 0 and self._state.view == "cards", "cards": self.cards()}
        about |= {"starred": [card["feature"] for card in about["cards"] if self._star(card["feature"])]}
        self.data = about | {"find": self._state.find, "images": self._pictures.size is not None}
