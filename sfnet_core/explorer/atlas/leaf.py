"""A feature's full page: its numbers, its galaxies, its plots, and what takes longer afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import traitlets

from sfnet_core.explorer.atlas import drawing
from sfnet_core.explorer.atlas.cards import clear, disagree
from sfnet_core.explorer.atlas.deck import shown
from sfnet_core.explorer.atlas.examples import examples
from sfnet_core.explorer.atlas.feature import bpt_mix, coefficients, companions, neighbours
from sfnet_core.explorer.atlas.looking import STACK, mean_map
from sfnet_core.explorer.atlas.parts import explore_link, front_end, galaxy, number
from sfnet_core.explorer.atlas.state import AtlasState
from sfnet_core.explorer.quantities import LINES
from sfnet_core.explorer.view import View, text, whole

if TYPE_CHECKING:
    from sfnet_core.explorer.atlas.cards import Almanac
    from sfnet_core.explorer.atlas.looking import AtlasPictures

__all__ = ["Leaf"]


class Leaf(View):
    """The page of the feature in focus. ``data`` opens it at once; ``slow`` has what the browser then asks for."""

    _esm = front_end("atlas_plot", "atlas_leaf")
    galaxies = traitlets.Dict().tag(sync=True)
    plot = traitlets.Dict().tag(sync=True)
    slow = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        almanac: Almanac,
        state: AtlasState,
        pictures: AtlasPictures,
        notify: Callable[[str], None],
        label: Callable[[int], str],
    ):
        self._almanac, self._state, self._pictures, self._label = almanac, state, pictures, label
        self._open, self._slow_sent = True, False
        actions = {
            "open": lambda m: state.change(feature=whole(m, "feature")),
            "against": lambda m: self._against(text(m, "key")),
            "again": lambda _m: state.change(seed=(state.seed + 1) % 10_000),
            "slow": lambda _m: self._send_slow(),
            "peek": lambda m: self._peek(whole(m, "row")),
        }
        super().__init__(notify, actions)

    # -- from the browser --------------------------------------------------------------------------------------

    def _against(self, key: str) -> None:
        if key not in self._almanac.scene.quantities or key == "activation":
            raise ValueError("there is no such quantity to draw against")
        self._state.change(against=key)

    def _peek(self, row: int) -> None:
        """Send one galaxy's picture: the pointer rests on its point."""
        if not 0 <= row < len(self._almanac.codes):
            raise ValueError("there is no such row")
        one = self._galaxy(row, float(self._almanac.scene.activation(self._state.feature)[row]))
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
        if everything or changed & {"seed"}:
            self.galaxies = self._examples()
        if everything or changed & {"against"}:
            self.plot = self._plot()
        if everything or changed & {"sort", "descending", "find", "least"}:
            self.data = self._numbers()

    def _rows(self) -> np.ndarray:
        return self._almanac.scene.rows(self._state.split)

    def _galaxy(self, row: int, activation: float) -> dict:
        state = self._state
        return galaxy(
            self._almanac.scene, self._pictures, row, split=state.split, feature=state.feature, activation=activation
        )

    def _numbers(self) -> dict:
        almanac, state, scene = self._almanac, self._state, self._almanac.scene
        feature, table = state.feature, almanac.table(state.split, state.target)
        at = np.flatnonzero(table["feature"] == feature)
        before, after = neighbours(table["feature"][shown(almanac, state, self._label)], feature)
        rows = self._rows()
        out = {
            "feature": feature,
            "label": self._label(feature),
            "before": [before, self._label(before)],
            "after": [after, self._label(after)],
            "link": explore_link(state.split, feature=feature),
            "of": state.split or "all splits",
            "n": len(rows),
            "simulated": scene.codes.simulated,
            "unit": scene.unit(state.target),
            "target": scene.target_label(state.target),
            "weight": float(scene.codes.weight[state.target][feature]),
            "elsewhere": int((scene.activation(feature) > 0).sum()),
            "fires": 0,
        }
        if not len(at):
            return out
        i = int(at[0])
        out |= {
            name: number(table[name][i]) for name in ("rate", "mean", "mean_fires", "std_fires", "share", "pearson")
        }
        out |= {"fires": int(table["fires"][i]), "rank": i + 1, "active": len(table["feature"])}
        out["disagree"] = bool(disagree(table["weight"], table["pearson"])[i])
        out["clear"] = bool(clear(table["pearson"], almanac.known(state.split, state.target))[i])
        out["coefficients"] = self._coefficients(intervals=False)
        out["missing"] = almanac.missing_controls()
        out["bpt"] = self._bpt()
        out["companions"] = self._companions()
        return out

    def _coefficients(self, *, intervals: bool) -> list[dict]:
        state = self._state
        found = coefficients(self._almanac, state.split, state.target, state.feature, intervals=intervals)
        return [{**vars(c), **{name: number(getattr(c, name)) for name in ("value", "low", "high")}} for c in found]

    def _examples(self) -> dict:
        almanac, state = self._almanac, self._state
        rows = self._rows()
        residual = almanac.scene.truth(state.target)[rows]
        residual = almanac.codes.prediction(state.target)[rows] - residual
        groups = examples(almanac.firing(state.split), state.feature, residual, state.seed)
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
                        {**self._galaxy(int(row), float(a)), "caption": caption}
                        for row, a, caption in zip(group.rows, group.activations, group.captions, strict=True)
                    ],
                }
                for group in groups
            ],
        }

    def _plot(self) -> dict:
        """Activation against the quantity chosen: points where the feature fires, the silent galaxies as a summary."""
        almanac, state, scene = self._almanac, self._state, self._almanac.scene
        firing, rows = almanac.firing(state.split), self._rows()
        choices = [q for q in scene.quantities.values() if q.key != "activation"]
        chosen = scene.quantities.get(state.against, choices[0])
        y = scene.values(chosen.key, state)[rows]
        position, activation = firing.of(state.feature)
        here = y[position]
        silent = np.ones(len(rows), dtype=bool)
        silent[position] = False
        rest = y[silent & np.isfinite(y)]
        largest = float(activation.max(initial=0.0)) or 1.0
        ranges = ((-0.06 * largest, 1.04 * largest), drawing.padded(y))
        both = np.isfinite(here)
        varies = both.sum() > 2 and np.ptp(here[both]) > 0 and np.ptp(activation[both]) > 0
        return {
            "feature": state.feature,
            "label": self._label(state.feature),
            "choices": [[q.key, q.label] for q in choices],
            "key": chosen.key,
            "name": chosen.label,
            "axis": chosen.axis,
            "of": state.split or "all splits",
            "rho": number(np.corrcoef(activation[both], here[both])[0, 1]) if varies else None,
            "silent": [*np.percentile(rest, [16, 50, 84]).tolist(), len(rest)] if len(rest) else None,
            "running": drawing.running(activation, here),
            **drawing.points(activation, here, rows[position], None, ranges),
        }

    def _bpt(self) -> dict:
        """The BPT diagram coloured by activation / max, and nine of the feature's galaxies with their place in it."""
        almanac, state, scene = self._almanac, self._state, self._almanac.scene
        firing, rows = almanac.firing(state.split), self._rows()
        position, activation = firing.of(state.feature)
        strong = np.argsort(-activation, kind="stable")
        lines = {"n2_ha", "o3_hb"} <= set(scene.quantities)
        place = [scene.values(key, state)[rows] if lines else np.full(len(rows), np.nan) for key in ("n2_ha", "o3_hb")]
        if lines:  # nine that are in the diagram
            strong = strong[np.isfinite(place[0][position[strong]] + place[1][position[strong]])]
        nine = [
            {
                **self._galaxy(int(rows[position[i]]), float(activation[i])),
                "place": [number(p[position[i]]) for p in place],
            }
            for i in strong[:9]
        ]
        out = {"nine": nine, "missing": [] if lines else [c for c in LINES if c not in scene.quantities]}
        if lines:
            shade = firing.dense(state.feature) / max(float(activation.max(initial=0.0)), 1e-300)
            out |= drawing.points(*place, rows, shade, drawing.BPT_RANGE) | {"curves": drawing.bpt_curves()}
            out["mix"] = [
                [*one, part] for one, part in zip(
                    bpt_mix(*(p[position] for p in place)).items(), bpt_mix(*place).values(), strict=True
                )
            ]  # fmt: skip
        return out

    def _companions(self) -> list[dict]:
        found = companions(self._almanac, self._state.split, self._state.feature)
        return [
            {
                "feature": int(feature),
                "label": self._label(int(feature)),
                "both": int(both),
                **{n: number(v) for n, v in zip(("expected", "lift", "low", "high", "pearson"), rest, strict=True)},
            }
            for feature, both, *rest in zip(*vars(found).values(), strict=True)
        ]

    def _send_slow(self) -> None:
        """Intervals, the mean map and the mean picture: what opening the page does not wait for."""
        almanac, state = self._almanac, self._state
        if state.feature < 0 or self._slow_sent:
            return
        self._slow_sent = True
        firing = almanac.firing(state.split)
        found = mean_map(firing, state.feature, state.target)
        top = firing.top(state.feature, STACK)
        provenance = almanac.codes.provenance
        self.slow = {
            "feature": state.feature,
            "coefficients": self._coefficients(intervals=True) if firing.fires[state.feature] else [],
            "map": None if found is None else found.cells.tolist(),
            "used": found.used if found else 0,
            "fires": found.fires if found else 0,
            "maps": almanac.codes.map_shape is not None,
            "mean": self._pictures.mean(top),
            "stack": len(top),
            "why": self._pictures.why,
            "size": list(self._pictures.size or ()),
            "crop": provenance.get("crop"),
        }
