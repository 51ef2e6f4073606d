"""The explorer's page: one state, the views that are drawn from it, and what opens first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from sfnet_core.analysis.stability.summary import FeatureStability
from sfnet_core.data.pictures import Pictures
from sfnet_core.explorer.explore.comparison import Comparison
from sfnet_core.explorer.explore.figures import Figures
from sfnet_core.explorer.explore.gallery import Gallery
from sfnet_core.explorer.explore.header import Header
from sfnet_core.explorer.explore.k_slider import KSlider
from sfnet_core.explorer.explore.neighbours import Neighbours
from sfnet_core.explorer.explore.plots import Plots
from sfnet_core.explorer.explore.selection import Selection
from sfnet_core.explorer.explore.tabs import Tabs
from sfnet_core.explorer.explore.toggles import Toggles
from sfnet_core.explorer.shared.context import Context
from sfnet_core.explorer.shared.hover import Hover
from sfnet_core.explorer.shared.inspector import Inspector
from sfnet_core.explorer.shared.label_editor import LabelEditor
from sfnet_core.explorer.shared.notes import Notes
from sfnet_core.explorer.shared.opening import Sentence, facts, open_codes, or_sentence, served, show
from sfnet_core.explorer.shared.plot_menu import PlotMenu
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.saving import permalink
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["Explorer", "Sentence", "explore", "facts", "served"]


class Explorer:
    """The page over one codes file; every control is also here in Python (``page.state.change(off={61})``).

    Parameters
    ----------
    codes
        What inference gave.
    dataset
        The cutouts behind the codes; without it the page works, without pictures.
    title
        What stands at the top of the page.
    """

    def __init__(
        self, codes: SparseCodes, dataset: Dataset | None = None, *, title: str = "", notes: list[str] | None = None
    ):
        self.codes = codes
        slots = codes.indices.shape[1]
        splits = [name for name in codes.splits if name]
        self.state = State(codes.features, len(codes), splits, len(codes.targets), slots, k=codes.k)
        self.labels = LabelEditor(codes, self.state)
        self.stability = FeatureStability.beside(codes)
        self.scene = Scene(codes, self.labels.given())
        self._first_choices()
        self._defaults = self.state.values()
        context = Context(self.scene, self.state, Pictures(codes, dataset), self.labels, self._say, self.link)
        self.header = Header(
            context,
            title=title or "SFNet explorer",
            facts=facts(codes),
            open_link=self.open_link,
            set_theme=self.set_theme,
        )
        self.toggles = Toggles(context, self.stability)
        self.k_slider = KSlider(context)
        self.plots = Plots(context)
        self.plot_menu = PlotMenu(context, self.scene.plots)
        self.tabs = Tabs(context)
        self.selection = Selection(context, self.plots.origin)
        self.comparison, self.neighbours = Comparison(context), Neighbours(context)
        self.inspector = Inspector(context)
        self.notes = Notes(context)
        self.gallery = Gallery(context)
        self.figures = Figures(context, self.plots)
        self.hover = Hover(context, self.plots.key)
        self._views = (
            self.toggles,
            self.plots,
            self.plot_menu,
            self.tabs,
            self.inspector,
            self.selection,
            self.comparison,
            self.neighbours,
            self.notes,
            self.gallery,
            self.k_slider,
        )
        self.state.on_change(lambda _changed: self._draw())
        self._draw()
        for note in [*(notes or []), *self.labels.opening(), *self.stability.notes]:
            self._say(note)
        self.widget = self._layout()

    def _say(self, words: str) -> None:
        self.header.notify(words)

    def label(self, feature: int) -> str:
        """A feature's name on the page: its number, and its label where it has one."""
        return self.labels.label(feature)

    def _first_choices(self) -> None:
        """What a newcomer sees: validation galaxies, the strongest feature, the first galaxy, all features on."""
        scene, state = self.scene, self.state
        split = "validation" if "validation" in scene.splits else ""
        plots = [plot for plot in scene.plots if plot != "residual_margin" or self.codes.runners_up]
        first = {"split": split, "feature": scene.default_feature(split, 0)}
        first["third"] = next((p for p in ("mass", "residual_truth") if p in plots), plots[0])
        first["fourth"] = next((p for p in ("bpt", "bpt_predicted", "residual_margin") if p in plots), plots[-1])
        first["sort"] = "truth" if "truth" in scene.quantities else "prediction"
        state.change(**first)
        rows = scene.listed(state.query)
        state.change(galaxy=int(rows[0]) if len(rows) else -1)
        state.forget()

    def open_link(self, query: str) -> None:
        """Read a permalink's query; what does not hold is said in a notice, and the page opens without it."""
        choices, troubles = self.state.from_url(query, self.scene.row_of)
        for key, known in (("third", self.scene.plots), ("fourth", self.scene.plots), ("sort", self.scene.quantities)):
            if choices.get(key, next(iter(known))) not in known:
                troubles.append(f"The link's “{key}” was left out: this table has no {choices.pop(key)!r}.")
        try:
            if choices.get("filter"):
                target, labels = choices.get("target", 0), self.state.labels
                self.scene.mask(Query(filter=choices["filter"], target=target, labels=labels))
        except SFNetError as error:
            troubles.append(f"The link's filter was left out: {error}")
            choices.pop("filter")
        self.header.follow(choices, troubles)

    def set_theme(self, dark: bool) -> None:
        """Draw the figures for a dark or a light page; the page itself is the browser's."""
        self.plots.theme(dark)

    @property
    def query(self) -> str:
        """The permalink's query of the present state."""
        return self.state.to_url(self.codes.ids, self._defaults)

    def link(self, place: str = "") -> str:
        """The permalink of now; ``place``: where the browser is. Nothing else of its address comes along (no token)."""
        return permalink(place, self.query)

    def save_figure(self, path: str | os.PathLike, plot: int | str = 0) -> Path:
        """Write a figure as it stands as .svg, .pdf or .png, or its caption as .txt.

        ``plot``: 0 to 3 from the upper left, ``'gate'`` (RMSE against k) or ``'picture'`` (the galaxy and its map).
        Raises :class:`SFNetError` for another ending, and where there is no such figure now.
        """
        return self.figures.save(path, plot)

    def _draw(self) -> None:
        """Draw every view from the state's query; what reads nothing of it that is another stays as it is."""
        self.labels.refresh()  # another page wrote meanwhile
        query = self.state.query
        self.header.draw(self.query)
        for view in self._views:
            view.draw(query)
        self.figures.draw()

    def _layout(self) -> ipywidgets.Widget:
        left = ipywidgets.VBox([self.toggles, self.k_slider])
        strip = ipywidgets.HBox([self.plot_menu, self.figures])
        centre = ipywidgets.VBox([strip, self.plots.widget, self.hover])
        right = ipywidgets.VBox(
            [self.tabs, self.inspector, self.selection, self.comparison, self.neighbours, self.notes]
        )
        panes = ipywidgets.HBox([left, centre, right])
        page = ipywidgets.VBox([self.header, panes, self.gallery])
        for widget, name in (
            (left, "sf-left"),
            (centre, "sf-centre"),
            (strip, "sf-strip"),
            (right, "sf-right"),
            (panes, "sf-panes"),
            (page, "sf-root"),
            (self.header, "sf-above"),
            (self.gallery, "sf-below"),
            (self.plots.widget, "sf-plots"),
        ):
            widget.add_class(name)
        return page

    def _ipython_display_(self) -> None:
        self.plots.widget.refresh_bundle()
        show(self.widget, bokeh=True)


def explore(codes: Any = None, dataset: Any = None, *, allow_mismatch: bool = False) -> Explorer | Sentence:
    """The page for a codes file and, for the pictures, its dataset; without arguments what ``sfnet explore`` was given.

    ``codes`` and ``dataset`` are paths or open objects. Where neither is given and the environment names none
    (``SFNET_CODES``, ``SFNET_DATASET``), the page opens on the embedded simulated sample.

    Raises :class:`~sfnet_core.utils.errors.SFNetError` where the dataset is not the one that the codes were made from.
    """

    def make() -> Explorer:
        opened = open_codes(codes, dataset, allow_mismatch=allow_mismatch)
        return Explorer(opened.codes, opened.dataset, title=opened.title, notes=opened.notes)

    return or_sentence(make)
