"""Where the visitor's galaxy falls, as files: each plot with a caption that says of which galaxies it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.ds9 import caption
from sfnet_core.explorer.shared.saving import PLACES, SaveMenu, bare, panel_drawing, panel_facts
from sfnet_core.figures.plot import Drawing

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.your_galaxy.plots import GalaxyPanel, GalaxyPlots

__all__ = ["GalaxyFigures"]


class GalaxyFigures(SaveMenu):
    """The page's menu: keys 'plot-0' … 'plot-3'."""

    def __init__(
        self,
        scene: Scene,
        where: GalaxyPlots,
        notify: Callable[[str], None],
        link: Callable[[str], str],
        name: Callable[[], str],
    ):
        """``name`` is the galaxy's in focus, '' for none."""
        self._scene, self._where, self._name = scene, where, name
        super().__init__(notify, link)

    def names(self) -> dict[str, str]:
        """The figures: key and words."""
        axes = [place.axes for place in self._where.places]
        return {
            f"plot-{i}": f"{PLACES[i]}: {bare(one.y_label)} against {bare(one.x_label)}" for i, one in enumerate(axes)
        }

    def _place(self, key: str) -> GalaxyPanel:
        return self._where.places[int(key[-1])]

    def drawn(self, key: str) -> Drawing:
        """The figure as plain arrays."""
        place = self._place(key)
        axes, focus = place.axes, [np.array([value]) for value in place.at]
        return panel_drawing(place.panel, axes, focus, aggregate=place.aggregate)

    def caption(self, key: str, link: str = "") -> str:
        """What a figure is of, a fact a line."""
        place, codes = self._place(key), self._scene.codes
        focus = [np.array([value]) for value in place.at]
        words = " · ".join(place.axes.title.splitlines()[:-1])
        return caption(
            codes,
            n=place.axes.n,
            split=place.split,
            what=f"{bare(place.axes.y_label)} against {bare(place.axes.x_label)}" + (f": {words}" if words else ""),
            more=panel_facts(place.panel, place.axes, focus, self._name(), aggregate=place.aggregate),
            link=link or self._link(""),
        ).replace("\u200b", "")
