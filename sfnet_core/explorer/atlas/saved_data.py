"""What a saved atlas holds, piece by piece as plain data: an index, and for each feature its page and its pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from sfnet_core.analysis.coefficients import ResampledCoefficients
from sfnet_core.analysis.feature_statistics import order
from sfnet_core.analysis.mean_maps import mean_maps
from sfnet_core.codes.novelty import why_unlike
from sfnet_core.explorer.atlas.common import number
from sfnet_core.explorer.atlas.feature_page import FeatureData
from sfnet_core.explorer.atlas.overview import STRIP, cards, overview, shown, signs
from sfnet_core.explorer.shared.survey_links import survey_links
from sfnet_core.figures.plot_data import BPT_RANGE, MOST_POINTS, bpt_curves, padded

if TYPE_CHECKING:
    from sfnet_core.analysis.feature_statistics import FeatureStatistics
    from sfnet_core.data.pictures import Pictures
    from sfnet_core.explorer.atlas.common import AtlasState
    from sfnet_core.explorer.shared.label_editor import LabelEditor
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["Contents", "packed"]

POINTS = 1000  # galaxies drawn for a feature, in tables of more than MOST_POINTS
BACKGROUND = 3000  # galaxies drawn whether the feature fires on them or not, in such tables
MOST_QUANTITIES = 40
MOST_HOVERED = 500  # up to so many galaxies in view, each one's picture is there for the pointer
EACH_WAY = 8  # companions listed that fire more, and less, often than by chance


def packed(values: np.ndarray, kind: str) -> str:
    """Numbers as base64 of their little-endian bytes; ``kind`` is numpy's name, such as '<f4'."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")


class Contents:
    """One atlas, for the split and the target of ``state``; ``state`` is this object's own and is changed by it.

    Galaxies are numbered as they are first named; a picture is kept with the feature that named its galaxy first.
    """

    def __init__(
        self,
        statistics: FeatureStatistics,
        scene: Scene,
        state: AtlasState,
        pictures: Pictures,
        naming: LabelEditor,
        *,
        features: int | None = None,
        examples: int = 8,
    ):
        self.statistics, self._scene, self.state = statistics, scene, state
        self._pictures, self._naming = pictures, naming
        self._label = label = naming.label
        self._examples, self._against = examples, state.against
        self.parts = FeatureData(statistics, scene, pictures, label, keep=MOST_QUANTITIES)
        self._index = statistics.index(state.split)
        self.cards = cards(statistics, state, label)[:features]
        self.features = [card["feature"] for card in self.cards]
        self._rows: list[int] = []  # galaxy → row of the codes
        self._number: dict[int, int] = {}  # row of the codes → galaxy
        self._home: dict[int, int] = {}  # galaxy → feature with its picture
        self._shown: set[int] = set()  # galaxies that are examples of a feature
        n = self._index.n
        self.sampled = n > MOST_POINTS
        self._chance = np.random.default_rng(0).permutation(n) if self.sampled else np.arange(n)
        everyone = self._index.rows[np.flatnonzero(self._chance < (BACKGROUND if self.sampled else n))]
        self._background = [self._galaxy(int(row)) for row in everyone]
        self._hovered = pictures.size is not None and n <= MOST_HOVERED

    @property
    def galaxies(self) -> int:
        """How many galaxies the page knows so far."""
        return len(self._rows)

    @property
    def remarks(self) -> list[str]:
        """What the files of labels and stability gave to say: they are of other codes, or can't be read."""
        return [*self._naming.opening(), *self.statistics.stability.notes]

    @property
    def pictures(self) -> int:
        """How many pictures the page has so far."""
        return len(self._home)

    def _galaxy(self, row: int) -> int:
        if row not in self._number:
            self._number[row] = len(self._rows)
            self._rows.append(row)
        return self._number[row]

    def _brief(self, one: dict, fresh: dict[int, str], home: int) -> list:
        """[galaxy, activation, caption], its picture put into ``fresh`` where no feature has it yet."""
        galaxy = self._galaxy(one["row"])
        self._shown.add(galaxy)
        if one["jpeg"] and galaxy not in self._home:
            self._home[galaxy] = home
            fresh[galaxy] = base64.b64encode(one["jpeg"]).decode("ascii")
        return [galaxy, one["activation"], one.get("caption", "")]

    # -- one feature after the other ---------------------------------------------------------------------------

    def pages(self) -> Iterator[tuple[int, dict, dict[int, str]]]:
        """(feature, its page, the pictures that come with it), in the cards' order."""
        resampled = ResampledCoefficients(self.statistics, self.state.split, self.state.target)
        maps = mean_maps(self._index, self.features, self.state.target)
        quantities = self.parts.choices(self.state)[:MOST_QUANTITIES]
        for card in self.cards:
            feature = card["feature"]
            self.state.change(feature=feature)
            self.state.forget()
            fresh: dict[int, str] = {}
            page = {"numbers": self._numbers(feature, resampled, fresh)}
            page["groups"] = self._groups(feature, fresh)
            page["plots"] = {}
            for quantity in quantities:
                self.state.change(against=quantity.key)
                plot = self.parts.plot(self.state, drawn=False)
                page["plots"][quantity.key] = _short({name: plot[name] for name in ("n", "rho", "silent", "running")})
                page["range"] = plot["ranges"][0]
            page["drawn"] = self._drawn(feature)
            looks = self.parts.looks(self.state, maps.get(feature))
            looks["mean"] = base64.b64encode(looks["mean"]).decode("ascii")
            page["looks"] = looks
            top = self._index.top(feature, STRIP)
            strip = zip(top.tolist(), self.statistics.activation(feature, top).tolist(), strict=True)
            strip = [self.parts.galaxy(self.state, row, strength) | {"row": row} for row, strength in strip]
            card["strip"] = [self._brief(one, fresh, feature)[:2] for one in strip]
            page["said"] = self._said(feature)
            yield feature, page, fresh
        self.state.change(feature=-1)

    def _said(self, feature: int) -> dict:
        """What somebody wrote of a feature, beside its label."""
        about = self._naming.about("features", feature)
        return {"note": about["note"], "lists": about["on"], "star": about["star"]}

    def _numbers(self, feature: int, resampled: ResampledCoefficients, fresh: dict[int, str]) -> dict:
        numbers = self.parts.numbers(self.state)
        del numbers["link"]
        numbers["coefficients"] = [
            {**vars(c), **{name: number(getattr(c, name)) for name in ("value", "low", "high")}}
            for c in resampled.coefficients(feature)
        ]
        bpt = self.parts.bpt(self.state, drawn=False)
        bpt["nine"] = [[*self._brief(one, fresh, feature)[:2], one["place"]] for one in bpt["nine"]]
        for name in ("curves", "ranges"):
            bpt.pop(name, None)
        found = self.parts.companions(self.state)
        more, less = [c for c in found if c["lift"] > 1], [c for c in found if c["lift"] <= 1]
        return numbers | {"bpt": bpt, "companions": more[:EACH_WAY] + less[-EACH_WAY:], "seen": len(found)}

    def _groups(self, feature: int, fresh: dict[int, str]) -> list[dict]:
        found = self.parts.examples(self.state, self._examples)["groups"]
        return [
            {**group, "galaxies": [self._brief(one, fresh, feature) for one in group["galaxies"]]} for group in found
        ]

    def _drawn(self, feature: int) -> dict:
        """The galaxies of the plots: all where it fires or, of many, those that an even draw gives."""
        position, activation = self._index.of(feature)
        if self.sampled and len(position) > POINTS:
            chance = self._chance[position]
            limit = max(np.partition(chance, POINTS - 1)[POINTS - 1], BACKGROUND - 1)
            position, activation = position[chance <= limit], activation[chance <= limit]
        galaxies = [self._galaxy(int(row)) for row in self._index.rows[position]]
        return {"galaxies": packed(np.array(galaxies), "<i4"), "activations": packed(activation, "<f4")}

    def more_pictures(self) -> dict[int, str]:
        """Pictures of the galaxies in view that no feature has named, where there are few enough."""
        fresh: dict[int, str] = {}
        for row in self._rows if self._hovered else ():
            jpeg = self._pictures.jpeg(row)
            galaxy = self._number[row]
            if jpeg and galaxy not in self._home:
                self._home[galaxy] = -1
                fresh[galaxy] = base64.b64encode(jpeg).decode("ascii")
        return fresh

    # -- what the page opens with, made last -------------------------------------------------------------------

    def index(self) -> dict:
        """Everything but the features' pages: cards, tables, galaxies, and where each picture is."""
        statistics, state, codes = self.statistics, self.state, self.statistics.codes
        listed = shown(statistics, state, self._label)[: len(self.features)]
        table = statistics.sortable(state.split, state.target, "likeness")
        here = np.isin(np.arange(len(table["feature"])), listed)
        orders = {
            key: [order(table, key, descending, here).tolist() for descending in (True, False)]
            for key in statistics.sorts()
        }
        rows = np.array(self._rows, dtype=np.int64)
        in_view = statistics.rows(state.split)
        quantities = []
        for quantity in self.parts.choices(state)[:MOST_QUANTITIES]:
            values = self._scene.values(quantity.key, state)
            about = {"key": quantity.key, "name": quantity.label, "axis": quantity.axis}
            about |= {"range": list(padded(values[in_view])), "values": packed(values[rows], "<f4")}
            quantities.append(about)
        upper = np.triu_indices(len(self.features), 1)
        pairs = np.ix_(self.features, self.features)
        matrix = statistics.matrix(state.split)
        return {
            "overview": overview(statistics, state),
            "images": self._pictures.size is not None,
            "why": self._pictures.why,
            "simulated": codes.simulated,
            "bias": float(codes.bias[state.target]),
            "against": self._against,
            "cards": self.cards,
            "starred": [feature for feature in self.features if self._naming.star(feature)],
            "orders": orders,
            "rows": signs(statistics, state, listed, self._label),
            "matrix": packed(matrix[pairs][upper], "<f4"),
            "both": packed(statistics.pairs(state.split)[0][pairs][upper], "<i4"),
            "quantities": quantities,
            "curves": bpt_curves(),
            "bpt": [list(map(float, r)) for r in BPT_RANGE],
            "ids": [str(codes.ids[row]) for row in self._rows],
            "background": packed(np.array(self._background), "<i4"),
            "sampled": self.sampled,
            "codes": self._codes(rows),
            "said": self._galaxies_said(),
            "unlike": self._unlike(rows),
            "sky": self._sky(rows),
            "homes": packed(np.array([self._home.get(g, -2) for g in range(len(rows))]), "<i4"),
        }

    def _codes(self, rows: np.ndarray) -> dict:
        """For bias + Σ weight × activation: the codes of every galaxy named or, of many, of the examples."""
        codes = self.statistics.codes
        named = np.arange(len(rows)) if not self.sampled else np.array(sorted(self._shown), dtype=np.int64)
        return {
            "k": codes.k,
            "galaxies": packed(named, "<i4"),
            "features": packed(codes.indices[rows[named], : codes.k], "<i4"),
            "activations": packed(codes.values[rows[named], : codes.k], "<f4"),
            "weights": packed(codes.weight[self.state.target], "<f8"),
        }

    def _unlike(self, rows: np.ndarray) -> dict[int, str]:
        """Galaxy → by what it is unlike the training galaxies, of those that are."""
        codes = self.statistics.codes
        beyond = [] if codes.unlike is None else np.flatnonzero(codes.unlike[rows] > 1).tolist()
        return {galaxy: why_unlike(codes, int(rows[galaxy]), self._label) for galaxy in beyond}

    def _sky(self, rows: np.ndarray) -> dict | None:
        """Zoom of the Legacy Survey's viewer and scale of SDSS's for a cutout's field; ``None`` for no sky."""
        codes, size = self.statistics.codes, self._pictures.size
        for row in rows[:1000].tolist():
            links = survey_links(codes, row, size[1] if size else None)
            if links:
                legacy, sdss = (dict(parse_qsl(urlsplit(address).query)) for _, address, _ in links[:2])
                return {"zoom": legacy["zoom"], "scale": sdss["scale"]}
        return None

    def _galaxies_said(self) -> dict[int, list[str]]:
        """Galaxy → label and note, of those that somebody wrote of."""
        said = {}
        for identifier in self._naming.book.galaxies:
            entry, row = self._naming.galaxy(identifier), self._scene.row_of(identifier)
            if row in self._number and (entry.label or entry.note):
                said[self._number[row]] = [entry.label, entry.note]
        return dict(sorted(said.items()))


def _short(value: Any) -> Any:
    """Numbers with 7 significant digits: more than any axis or caption shows."""
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value
