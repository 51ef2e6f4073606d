"""A feature's full page: its numbers, galaxies and plots as plain data, and the view that sends them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import traitlets

from sfnet_core.analysis.coefficients import coefficients
from sfnet_core.analysis.ds9 import origin
from sfnet_core.analysis.examples import COUNT, examples
from sfnet_core.analysis.feature_statistics import clear, companions, disagree
from sfnet_core.analysis.mean_maps import MeanMap, mean_map
from sfnet_core.astro.bpt import AGN, COMPOSITE, STAR_FORMING, bpt_class
from sfnet_core.explorer.atlas.common import AtlasState, explore_link, front_end, galaxy, number
from sfnet_core.explorer.atlas.overview import shown
from sfnet_core.explorer.shared.contribution_map import no_sky
from sfnet_core.explorer.shared.quantities import LINES
from sfnet_core.explorer.shared.view import View, text, whole
from sfnet_core.figures import plot_data as drawing

if TYPE_CHECKING:
    from sfnet_core.analysis.feature_statistics import FeatureStatistics
    from sfnet_core.data.pictures import Pictures
    from sfnet_core.explorer.shared.quantities import Quantity
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["FeatureData", "FeaturePage"]

STACK = 64  # galaxies in the mean picture


class FeatureData:
    """The parts of a feature's page for any state whose ``feature`` is one; the same for the served page and a file."""

    def __init__(
        self,
        statistics: FeatureStatistics,
        scene: Scene,
        pictures: Pictures,
        label: Callable[[int], str],
        keep: int = 2,
    ):
        """``keep``: how many quantities stay in memory (20 bytes a galaxy each)."""
        self._statistics, self._scene, self._pictures, self._label = statistics, scene, pictures, label
        self._keep, self._columns = keep, {}

    def _rows(self, state: AtlasState) -> np.ndarray:
        return self._statistics.rows(state.split)

    def galaxy(self, state: AtlasState, row: int, activation: float) -> dict:
        """One galaxy with its picture."""
        return galaxy(
            self._statistics.codes, self._pictures, row, split=state.split, feature=state.feature, activation=activation
        )

    def numbers(self, state: AtlasState) -> dict:
        """The line at the top: weight, firing rate, contributions, rank; ``fires`` is 0 for a silent feature."""
        statistics, codes, feature = self._statistics, self._statistics.codes, state.feature
        table = statistics.table(state.split, state.target)
        at = np.flatnonzero(table["feature"] == feature)
        out = {
            "feature": feature,
            "label": self._label(feature),
            "link": explore_link(state.split, feature=feature),
            "of": state.split or "all splits",
            "n": len(self._rows(state)),
            "simulated": codes.simulated,
            "facts": origin(codes),
            "unit": statistics.unit(state.target),
            "target": statistics.target_label(state.target),
            "weight": float(codes.weight[state.target][feature]),
            "steady": statistics.stability.of(feature),
            "steadyLine": statistics.stability.line(feature),
            "elsewhere": statistics.fires_on(feature),
            "fires": 0,
        }
        if not len(at):
            return out
        i = int(at[0])
        out |= {
            name: number(table[name][i])
            for name in ("rate", "mean", "mean_fires", "std_fires", "share", "pearson", "without", "chance")
        }
        out |= {"fires": int(table["fires"][i]), "rank": i + 1, "active": len(table["feature"])}
        out["disagree"] = bool(disagree(table["weight"], table["pearson"])[i])
        out["clear"] = bool(clear(table["pearson"], statistics.known(state.split, state.target))[i])
        out["missing"] = statistics.missing_controls()
        return out

    def coefficients(self, state: AtlasState, *, intervals: bool) -> list[dict]:
        """Correlations with the target; with their intervals it takes longer."""
        found = coefficients(self._statistics, state.split, state.target, state.feature, intervals=intervals)
        return [{**vars(c), **{name: number(getattr(c, name)) for name in ("value", "low", "high")}} for c in found]

    def examples(self, state: AtlasState, count: int = COUNT) -> dict:
        """The five groups of galaxies, up to ``count`` in each."""
        statistics, rows = self._statistics, self._rows(state)
        residual = statistics.truth(state.target)[rows]
        residual = statistics.codes.prediction(state.target)[rows] - residual
        groups = examples(statistics.index(state.split), state.feature, residual, state.seed, count)
        return {
            "feature": state.feature,
            "images": self._pictures.size is not None,
            "why": self._pictures.why,
            "groups": [
                {
                    "key": group.key,
                    "title": group.title,
                    "hint": group.hint,
                    "empty": group.empty,
                    "galaxies": [
                        {**self.galaxy(state, int(row), float(a)), "row": int(row), "caption": caption}
                        for row, a, caption in zip(group.rows, group.activations, group.captions, strict=True)
                    ],
                }
                for group in groups
            ],
        }

    # -- plots -------------------------------------------------------------------------------------------------

    def choices(self, state: AtlasState) -> list[Quantity]:
        """What the activation can be drawn against, named after the target in view."""
        label, unit = self._statistics.target_label(state.target), self._statistics.unit(state.target)
        named = {"truth": f"true {label}", "prediction": f"predicted {label}"}
        return [
            replace(q, label=named.get(q.key, q.label), unit=unit if q.key in (*named, "residual") else q.unit)
            for q in self._scene.quantities.values()
            if q.key != "activation" and "filter" not in q.fields  # the atlas has no filter
        ]

    def plot(self, state: AtlasState, *, drawn: bool = True) -> dict:
        """Activation against the quantity chosen: points where the feature fires, the silent galaxies as a summary.

        Without ``drawn`` all but the points (or cells) themselves.
        """
        statistics, rows = self._statistics, self._rows(state)
        choices = self.choices(state)
        chosen = next((q for q in choices if q.key == state.against), choices[0])
        position, activation = statistics.index(state.split).of(state.feature)
        y, heights, rank = self._column(state, chosen.key)
        here = y[position]
        largest = float(activation.max(initial=0.0)) or 1.0
        ranges = ((-0.06 * largest, 1.04 * largest), heights)
        both = np.isfinite(here)
        varies = both.sum() > 2 and np.ptp(here[both]) > 0 and np.ptp(activation[both]) > 0
        out = {
            "feature": state.feature,
            "label": self._label(state.feature),
            "choices": [[q.key, q.label] for q in choices],
            "key": chosen.key,
            "name": chosen.label,
            "axis": chosen.axis,
            "of": state.split or "all splits",
            "rho": number(np.corrcoef(activation[both], here[both])[0, 1]) if varies else None,
            "silent": rank.rest(position, (16, 50, 84)),
            "running": drawing.running(activation, here),
        }
        if drawn:
            return out | drawing.points(activation, here, rows[position], None, ranges)
        return out | {"ranges": [list(map(float, r)) for r in ranges], "n": int(both.sum())}

    def _column(self, state: AtlasState, quantity: str) -> tuple[np.ndarray, tuple[float, float], drawing.Ranks]:
        """A quantity of the galaxies in view: its values, the range of its axis, its values by rank."""
        key = (state.split, state.target, quantity)
        if key not in self._columns:
            while len(self._columns) >= self._keep:
                del self._columns[next(iter(self._columns))]
            y = self._scene.values(quantity, state)[self._rows(state)]
            self._columns[key] = y, drawing.padded(y), drawing.Ranks(y)
        return self._columns[key]

    def bpt(self, state: AtlasState, *, drawn: bool = True) -> dict:
        """The BPT diagram coloured by activation / max, and nine of the feature's galaxies with their place in it."""
        statistics, scene, rows = self._statistics, self._scene, self._rows(state)
        index = statistics.index(state.split)
        position, activation = index.of(state.feature)
        strong = np.argsort(-activation, kind="stable")
        lines = {"n2_ha", "o3_hb"} <= set(scene.quantities)
        place = [scene.values(key, state)[rows] if lines else np.full(len(rows), np.nan) for key in ("n2_ha", "o3_hb")]
        if lines:  # nine that are in the diagram
            strong = strong[np.isfinite(place[0][position[strong]] + place[1][position[strong]])]
        nine = [
            {
                **self.galaxy(state, int(rows[position[i]]), float(activation[i])),
                "row": int(rows[position[i]]),
                "place": [number(p[position[i]]) for p in place],
            }
            for i in strong[:9]
        ]
        out = {"nine": nine, "missing": [] if lines else [c for c in LINES if c not in scene.quantities]}
        if not lines:
            return out
        largest = float(activation.max(initial=0.0))
        everyone = statistics.remember(("bpt", state.split), lambda: bpt_mix(*place))
        out["curves"] = drawing.bpt_curves()
        out["mix"] = [
            [*one, part] for one, part in zip(
                bpt_mix(*(p[position] for p in place)).items(), everyone.values(), strict=True
            )
        ]  # fmt: skip
        if drawn:
            shade = index.dense(state.feature) / max(largest, 1e-300)
            return out | drawing.points(*place, rows, shade, drawing.BPT_RANGE)
        known = statistics.remember(("bpt", state.split, "n"), lambda: int(np.isfinite(place[0] + place[1]).sum()))
        return out | {"ranges": [list(map(float, r)) for r in drawing.BPT_RANGE], "n": known, "largest": largest}

    # -- the rest ----------------------------------------------------------------------------------------------

    def companions(self, state: AtlasState) -> list[dict]:
        """Features that fire with this one more, or less, often than by chance, by falling lift."""
        found = companions(self._statistics, state.split, state.feature)
        return [
            {
                "feature": int(feature),
                "label": self._label(int(feature)),
                "both": int(both),
                **{n: number(v) for n, v in zip(("expected", "lift", "low", "high", "pearson"), rest, strict=True)},
            }
            for feature, both, *rest in zip(*vars(found).values(), strict=True)
        ]

    def _sky(self, state: AtlasState) -> list[list[float]] | None:
        """(h, w) the feature's contribution map of an empty sky; ``None`` where the codes do not hold it."""
        codes = self._statistics.codes
        if codes.sky is None:
            return None
        return codes.sky.contribution(state.feature, codes.weight[state.target][state.feature]).tolist()

    def looks(self, state: AtlasState, found: MeanMap | bool | None = False) -> dict:
        """Where it looks: the mean contribution map (given, or averaged here) and the mean picture."""
        statistics = self._statistics
        index = statistics.index(state.split)
        if found is False:
            found = mean_map(index, state.feature, state.target)
        top = index.top(state.feature, STACK)
        return {
            "feature": state.feature,
            "map": None if found is None else found.cells.tolist(),
            "sky": self._sky(state),
            "skywhy": no_sky(statistics.codes),
            "used": found.used if found else 0,
            "fires": found.fires if found else 0,
            "maps": statistics.codes.map_shape is not None,
            "mean": self._pictures.mean(top),
            "stack": len(top),
            "why": self._pictures.why,
            "size": list(self._pictures.size or ()),
            "crop": statistics.codes.provenance.get("crop"),
        }


def bpt_mix(n2_ha: np.ndarray, o3_hb: np.ndarray) -> dict[str, int]:
    """How many galaxies are star-forming, composite and AGN by the BPT curves; those without ratios are left out."""
    classes = bpt_class(n2_ha, o3_hb)
    kinds = (("star-forming", STAR_FORMING), ("composite", COMPOSITE), ("AGN", AGN))
    return {name: int((classes == kind).sum()) for name, kind in kinds}


def neighbours(listed: np.ndarray, feature: int) -> tuple[int, int]:
    """The features before and after one in a list, -1 where there is none."""
    before = {int(b): int(a) for a, b in pairwise(listed)}
    after = {int(a): int(b) for a, b in pairwise(listed)}
    return before.get(feature, -1), after.get(feature, -1)


class FeaturePage(View):
    """The page of the feature in focus. ``data`` opens it at once; ``slow`` has what the browser then asks for."""

    _esm = front_end("shared/save", "atlas/save", "atlas/plot", "atlas/feature_page")
    galaxies = traitlets.Dict().tag(sync=True)
    plot = traitlets.Dict().tag(sync=True)
    slow = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        statistics: FeatureStatistics,
        scene: Scene,
        state: AtlasState,
        pictures: Pictures,
        notify: Callable[[str], None],
        label: Callable[[int], str],
    ):
        self._statistics, self._state, self._label = statistics, state, label
        self._parts = FeatureData(statistics, scene, pictures, label)
        self._open, self._slow_sent = True, False
        actions = {
            "open": lambda m: state.change(feature=whole(m, "feature")),
            "against": lambda m: self._against(text(m, "key")),
            "again": lambda _m: state.change(seed=(state.seed + 1) % 10_000),
            "slow": lambda _m: self._send_slow(),
            "sky": lambda m: state.change(sky=m["less"] is True),
            "peek": lambda m: self._peek(whole(m, "row")),
        }
        super().__init__(notify, actions)

    # -- from the browser --------------------------------------------------------------------------------------

    def _against(self, key: str) -> None:
        if key not in {quantity.key for quantity in self._parts.choices(self._state)}:
            raise ValueError("there is no such quantity to draw against")
        self._state.change(against=key)

    def _peek(self, row: int) -> None:
        """Send one galaxy's picture: the pointer rests on its point."""
        if not 0 <= row < len(self._statistics.codes):
            raise ValueError("there is no such row")
        one = self._galaxy(row, float(self._statistics.activation(self._state.feature, np.array([row]))[0]))
        picture = one.pop("jpeg")
        self.send({"peek": row, "galaxy": one}, [picture])

    # -- to the browser ----------------------------------------------------------------------------------------

    def draw(self, changed: frozenset[str] | None = None) -> None:
        """Send what the change touches; nothing while no feature is open."""
        state = self._state
        if state.feature < 0:
            if self._open:
                self._open = False
                self.data = {"feature": -1}
            return
        everything = changed is None or not self._open or bool(changed & {"feature", "split", "target"})
        self._open = True
        if everything:
            self._slow_sent, self.slow = False, {}
        elif "sky" in changed and self._slow_sent:
            self.slow = {**self.slow, "less": state.sky}
        if everything or changed & {"seed"}:
            self.galaxies = self._parts.examples(state)
        if everything or changed & {"against", "labels"}:
            self.plot = self._parts.plot(state)
        if everything or changed & {"sort", "descending", "find", "least", "labels"}:
            self.data = self._numbers()

    def _galaxy(self, row: int, activation: float) -> dict:
        return self._parts.galaxy(self._state, row, activation)

    def _numbers(self) -> dict:
        statistics, state, sheet = self._statistics, self._state, self._parts
        listed = statistics.table(state.split, state.target)["feature"][shown(statistics, state, self._label)]
        before, after = neighbours(listed, state.feature)
        out = sheet.numbers(state) | {"before": [before, self._label(before)], "after": [after, self._label(after)]}
        if out["fires"]:
            out["coefficients"] = sheet.coefficients(state, intervals=False)
            out["bpt"] = sheet.bpt(state)
            out["companions"] = sheet.companions(state)
        return out

    def _send_slow(self) -> None:
        """Intervals, the mean map and the mean picture: what opening the page does not wait for."""
        state = self._state
        if state.feature < 0 or self._slow_sent:
            return
        self._slow_sent = True
        fires = self._statistics.index(state.split).fires[state.feature]
        coefficients = self._parts.coefficients(state, intervals=True) if fires else []
        self.slow = {**self._parts.looks(state), "less": state.sky, "coefficients": coefficients}
