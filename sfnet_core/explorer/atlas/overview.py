"""All features: the top of the page, the cards, the table of ρ and weight, the matrix of correlations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.ds9 import origin
from sfnet_core.analysis.feature_statistics import BINS, clear, disagree, order
from sfnet_core.explorer.atlas.common import LEAST, AtlasState, front_end, galaxy, number
from sfnet_core.explorer.atlas.sending import Saving, file_name
from sfnet_core.explorer.shared.page_header import PageHeader
from sfnet_core.explorer.shared.view import View, source, text, whole

if TYPE_CHECKING:
    import numpy as np

    from sfnet_core.analysis.feature_statistics import FeatureStatistics
    from sfnet_core.data.pictures import Pictures
    from sfnet_core.explorer.shared.scene import Scene


__all__ = ["MOST_FEATURES", "STRIP", "AtlasHead", "CardGrid", "Tables", "cards", "overview", "shown", "signs", "status"]

LEAST_LABELS = {"": "any", "0.001": "≥ 0.1 %", "0.01": "≥ 1 %", "0.1": "≥ 10 %"}


def status(statistics: FeatureStatistics, state: AtlasState) -> str:
    """What the numbers on the page are of, e.g. '32 of 128 features fire · validation · n = 240'."""
    active = len(statistics.table(state.split, state.target)["feature"])
    known, n = statistics.known(state.split, state.target), len(statistics.rows(state.split))
    parts = [f"{active} of {statistics.codes.features} features fire", state.split or "all splits", f"n = {n:,}"]
    if known < n:
        parts.append(f"{known:,} with a true value" if known else "no true values")
    return " · ".join(parts)


class AtlasHead(PageHeader):
    """Title, badge, facts, split, sort, search; the number of features (``sf-status``), messages (``sf-notice``)."""

    _esm = front_end("shared/keys", "atlas/keys", "shared/page_head", "atlas/head")
    _css = "\n".join(source(name) for name in ("shared/explorer.css", "atlas/atlas.css"))

    def __init__(
        self,
        statistics: FeatureStatistics,
        scene: Scene,
        state: AtlasState,
        *,
        title: str,
        facts: list[str],
        open_link: Callable[[str], None],
        make_page: Callable[[Callable[[int, int], None]], bytes] | None = None,
    ):
        """``make_page(progress)`` gives the atlas as one HTML file; without it the page offers none."""
        self._statistics = statistics
        saving = None if make_page is None else Saving(make_page, self.send, file_name(title))
        self._savable = saving is not None
        actions = {}
        if saving is not None:
            actions = {"save-page": lambda _m: saving.begin(), "save-piece": lambda m: saving.piece(whole(m, "from"))}
        super().__init__(
            scene,
            state,
            title,
            facts,
            open_link,
            {
                **actions,
                "split": lambda m: state.change(split=text(m, "split")),
                "target": lambda m: state.change(target=self._target(m)),
                "sort": lambda m: self._sort(text(m, "sort")),
                "order": lambda _m: state.change(descending=not state.descending),
                "find": lambda m: state.change(find=text(m, "find").strip()),
                "least": lambda m: state.change(least=text(m, "least")),
                "view": lambda m: state.change(view=text(m, "view"), feature=-1),
            },
        )

    def _target(self, message: dict) -> int:
        target = whole(message, "target")
        if not 0 <= target < len(self._statistics.codes.targets):
            raise ValueError("there is no such target")
        return target

    def _sort(self, key: str) -> None:
        if key not in self._statistics.sorts():
            raise ValueError("there is no such quantity to sort by")
        self._state.change(sort=key)

    def status(self) -> str:
        """What the numbers on the page are of."""
        return status(self._statistics, self._state)

    def draw(self, query: str | None = None) -> None:
        """Send what the top shows; ``query`` is the state's permalink."""
        codes, state = self._statistics.codes, self._state
        self.data = self.shared(query) | {
            "status": self.status(),
            "warn": bool(np.any(codes.split == "train")) and not state.split,
            "sorts": [[key, label] for key, label in self._statistics.sorts().items()],
            "sort": state.sort,
            "descending": state.descending,
            "find": state.find,
            "leasts": [[key, LEAST_LABELS[key]] for key in LEAST],
            "least": state.least,
            "view": state.view,
            "feature": state.feature,
            "savable": self._savable,
        }


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


class CardGrid(View):
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


MOST_FEATURES = 48  # rows and columns of the matrix


class Tables(View):
    """The table of ρ and weight, which marks where the two disagree in sign, and the matrix of features."""

    _esm = front_end("shared/save", "atlas/save", "atlas/tables")

    def __init__(
        self,
        statistics: FeatureStatistics,
        state: AtlasState,
        notify: Callable[[str], None],
        label: Callable[[int], str],
    ):
        self._statistics, self._state, self._label, self._open = statistics, state, label, True
        super().__init__(
            notify,
            {
                "open": lambda m: state.change(feature=whole(m, "feature")),
                "sort": lambda m: self._sort(text(m, "key")),
            },
        )

    def _sort(self, key: str) -> None:
        """Sort by a column; the one sorted by already, the other way round."""
        if key not in self._statistics.sorts():
            raise ValueError("there is no such quantity to sort by")
        state = self._state
        state.change(sort=key, descending=not state.descending if key == state.sort else True)

    def draw(self) -> None:
        """Send the table that is open; nothing while none is."""
        statistics, state, codes = self._statistics, self._state, self._statistics.codes
        if state.feature >= 0 or state.view == "cards":
            if self._open:
                self._open = False
                self.data = {"view": ""}
            return
        self._open = True
        listed = shown(statistics, state, self._label)
        part = signs if state.view == "signs" else matrix
        self.data = {
            **overview(statistics, state),
            "view": state.view,
            "sort": state.sort,
            "descending": state.descending,
            "bias": float(codes.bias[state.target]),
            **part(statistics, state, listed, self._label),
        }


def signs(statistics: FeatureStatistics, state: AtlasState, listed: np.ndarray, label: Callable[[int], str]) -> dict:
    """One row per feature: numbers of this target and, where there are several, ρ and weight of each target."""
    table = statistics.table(state.split, state.target)
    opposed = disagree(table["weight"], table["pearson"])
    sure = clear(table["pearson"], statistics.known(state.split, state.target))
    targets = statistics.codes.targets if len(statistics.codes.targets) > 1 else []
    others = [statistics.table(state.split, t) for t in range(len(targets))]
    place = [{int(f): i for i, f in enumerate(other["feature"])} for other in others]
    names = ("rate", "weight", "pearson", "pearson_fires", "partial", "mean", "share", "without", "chance")
    rows = []
    for i in listed:
        feature = int(table["feature"][i])
        row = {"feature": feature, "label": label(feature), "fires": int(table["fires"][i])}
        row |= {name: number(table[name][i]) for name in names}
        row |= {"disagree": bool(opposed[i]), "clear": bool(sure[i])}
        row |= {"steady": statistics.stability.of(feature)} if statistics.stability else {}
        row["targets"] = [
            [number(other["pearson"][at[feature]]), number(other["weight"][at[feature]])]
            for other, at in zip(others, place, strict=True)
        ]
        rows.append(row)
    return {
        "rows": rows,
        "targets": [statistics.target_label(t) for t in range(len(targets))],
    }


def matrix(statistics: FeatureStatistics, state: AtlasState, listed: np.ndarray, label: Callable[[int], str]) -> dict:
    """The correlations of the first MOST_FEATURES listed features with each other."""
    features = [int(f) for f in statistics.table(state.split, state.target)["feature"][listed[:MOST_FEATURES]]]
    found = statistics.matrix(state.split)
    both = statistics.pairs(state.split)[0]
    return {
        "features": features,
        "labels": [label(f) for f in features],
        "cells": [[number(found[a, b]) for b in features] for a in features],
        "both": [[int(both[a, b]) for b in features] for a in features],
        "listed": len(listed),
    }
