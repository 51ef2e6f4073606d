"""Does this galaxy look like those that the network learnt from? One line per question, with both values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.analysis.neighbours import similarity
from sfnet_core.codes.novelty import why_unlike
from sfnet_core.explorer.shared.quantities import MINUS
from sfnet_core.explorer.your_galaxy.similarity import LOOKS, FeatureRanges, Span, look, share_below, typical_nearest
from sfnet_core.utils.subsample import evenly

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfnet_core.data.pictures import Pictures
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.your_galaxy.galaxy import Galaxy

__all__ = ["Check", "Training"]

MOST_PICTURES = 600  # of the training set that are measured
LEAST_TYPICAL = 20  # training galaxies that must have a neighbour before 'unusual' means anything
FRAGILE = 0.05  # the share of training margins below which the choice of features is called fragile


@dataclass(frozen=True)
class Check:
    """One question. ``state`` is 'good', 'warn' (it does not look like the training data) or 'unknown'."""

    name: str
    value: str
    trained: str
    state: str
    why: str = ""

    def as_dict(self) -> dict[str, str]:
        """For the page."""
        return asdict(self)


def number(value: float, digits: int = 3) -> str:
    """A number with a true minus sign; '–' where it is not known."""
    return f"{value:.{digits}f}".replace("-", MINUS) if np.isfinite(value) else "–"


class Training:
    """What the training galaxies of some codes span, measured when it is first asked for.

    Galaxies of the split 'train'; all of them where the codes name no such split.
    """

    def __init__(self, scene: Scene, pictures: Pictures | None):
        self._scene, self._pictures = scene, pictures
        rows = scene.rows("train") if "train" in scene.splits else scene.rows("")
        self.rows = rows
        self.split = "train" if "train" in scene.splits else "all splits"
        self.name = f"{len(rows):,} {'training galaxies' if 'train' in scene.splits else 'galaxies of these codes'}"

    @cached_property
    def ranges(self) -> FeatureRanges:
        """Of each feature's activation."""
        return FeatureRanges.of(self._scene.codes, self.rows)

    @cached_property
    def typical(self) -> np.ndarray:
        """Cosines of some training galaxies with their nearest training galaxy, ascending."""
        return typical_nearest(self._scene.codes, self.rows)

    @cached_property
    def looks(self) -> dict[str, np.ndarray]:
        """Measures of pictures, each (N,), NaN where not measured: some 600 of the training set are."""
        out = {name: np.full(self._scene.n, np.nan) for name in LOOKS}
        if self._pictures is None:
            return out
        rows = self.rows[self._pictures.there(self.rows)]
        rows = rows[evenly(len(rows), MOST_PICTURES)]
        crop = self._scene.codes.provenance.get("crop")
        for start in range(0, len(rows), 64):
            part = rows[start : start + 64]
            measured = look(np.stack([self._pictures.pixels(row) for row in part.tolist()]), crop)
            for name in LOOKS:
                out[name][part] = measured[name]
        return out

    def checks(self, galaxy: Galaxy, trained: dict[str, Any], target: int, label: Callable[[int], str]) -> list[Check]:
        """All questions about one galaxy; ``trained``: see :mod:`sfnet_core.explorer.your_galaxy.engine`."""
        return [
            *(self._image(galaxy, trained) if galaxy.row < 0 else []),
            *self._looks(galaxy),
            *self._activations(galaxy, label),
            *self._unlike(galaxy, label),
            self._kinship(galaxy),
            self._prediction(galaxy, target),
        ]

    def _image(self, galaxy: Galaxy, trained: dict[str, Any]) -> list[Check]:
        """Size and scale of the visitor's own image."""
        (height, width), (h, w), used = trained["size"] or (0, 0), galaxy.given, galaxy.rgb.shape[:2]
        how = ""
        if used != (h, w):
            how = f"resampled to {used[1]}×{used[0]} px"
        elif (h, w) != (height, width):
            how = f"the central {trained['crop']} px were used as they are"
        out = [Check("image size", f"{w}×{h} px", f"{width}×{height} px", "warn" if how else "good", how)]
        scale, was = galaxy.scale, trained["scale"]
        state, why = "unknown", "at another scale the prediction is wrong without any warning"
        if scale and was:
            state, why = ("good", "") if abs(scale / was - 1) <= 0.01 else ("warn", "at another scale it is wrong")
        given = f"{scale:.3g}″ per px" if scale else "not given"
        out.append(Check("pixel scale", given, f"{was:.3g}″ per px" if was else "not recorded", state, why))
        if trained["simulated"]:
            why = "nothing here holds for a real galaxy"
            out.append(Check("kind", "your image", "simulated galaxies", "warn", why))
        return out

    def _looks(self, galaxy: Galaxy) -> list[Check]:
        out = []
        for name, value in galaxy.looks.items():
            span = Span.of(self.looks[name])
            if not span.n:
                why = "the page has no images of the training data to compare with"
                return [Check("brightness", "–", "not measured", "unknown", why)]
            why = "" if span.holds(value) else f"outside all {span.n} training images measured"
            trained = f"{number(span.low, 1)} … {number(span.high, 1)}"
            out.append(Check(LOOKS[name], number(value, 1), trained, "warn" if why else "good", why))
        return out

    def _activations(self, galaxy: Galaxy, label: Callable[[int], str]) -> list[Check]:
        out, ranges = [], self.ranges
        for feature, value in zip(galaxy.features.tolist(), galaxy.activations.tolist(), strict=True):
            if feature < 0:
                continue
            name, fires = f"activation of {label(feature)}", int(ranges.fires[feature])
            low, high = ranges.low[feature], ranges.high[feature]
            trained, why = f"{number(low)} … {number(high)}", ""
            if not fires:
                trained, why = "never fires", f"it passes the gate on none of the {self.name}"
            elif not low <= value <= high:
                side = "above the largest" if value > high else "below the smallest"
                why = f"{side} of the {fires:,} where it fires"
            out.append(Check(name, number(value), trained, "warn" if why else "good", why))
        if not out:
            why = "no feature fires; the prediction is the bias alone"
            return [Check("active features", "none", f"{self._scene.codes.k} kept", "warn", why)]
        return out

    def _unlike(self, galaxy: Galaxy, label: Callable[[int], str]) -> list[Check]:
        """All activations together, those before the gate too; only where the codes say how the training's are."""
        if galaxy.codes.unlike is None:
            return []
        unlike, why = float(galaxy.codes.unlike[0]), why_unlike(galaxy.codes, 0, label)
        state = "warn" if why else "good"
        return [Check("activations as a whole", f"{number(unlike, 2)} of the limit", "99 % are within it", state, why)]

    def _kinship(self, galaxy: Galaxy) -> Check:
        """How near the nearest training galaxy is, and whether one keeps all the same features."""
        cosine, shared = similarity(self._scene.codes, galaxy.features, galaxy.activations)
        rows = self.rows[self.rows != galaxy.row]
        if not len(rows):
            return Check("nearest galaxy", "–", "–", "unknown", "there is no other galaxy")
        best, most, own = float(cosine[rows].max()), int(shared[rows].max()), int((galaxy.features >= 0).sum())
        value = f"cosine {number(best)}, {most} of {own} features"
        if len(self.typical) < LEAST_TYPICAL:
            return Check("nearest galaxy", value, "too few galaxies to say", "unknown")
        usual = float(np.quantile(self.typical, 0.01))
        reasons = ["none keeps all of its features"] if most < own else []
        reasons += ["its code is similar to none of theirs"] if best < usual else []
        why = " and ".join(reasons)
        return Check("nearest galaxy", value, f"99 % have one at ≥ {number(usual)}", "warn" if why else "good", why)

    def _prediction(self, galaxy: Galaxy, target: int) -> Check:
        span = Span.of(self._scene.codes.prediction(target)[self.rows])
        value, unit = float(galaxy.codes.prediction(target)[0]), self._scene.unit(target)
        why = "" if span.holds(value) else "outside all predictions of the training"
        trained = f"{number(span.low)} … {number(span.high)}"
        return Check("prediction", f"{number(value)} {unit}".strip(), trained, "warn" if why else "good", why)

    def margin_place(self, galaxy: Galaxy) -> str:
        """Where the galaxy's margin stands among the training's, in words; empty where it is not known."""
        margin = float(galaxy.codes.margin[0])
        below = share_below(margin, np.asarray(self._scene.codes.margin[self.rows], dtype=np.float64))
        if not np.isfinite(margin + below):
            return ""
        if below >= 0.5:
            return f"larger than in {100 * below:.0f} % of the training"
        place = f"smaller than in {100 * (1 - below):.0f} % of the training"
        return f"{place}: fragile" if below < FRAGILE else place
