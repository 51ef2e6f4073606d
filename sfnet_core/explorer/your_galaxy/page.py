"""The page about one galaxy of the visitor's own: what its prediction is made of, and whether to believe it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from sfnet_core.data.pictures import Pictures
from sfnet_core.explorer.shared.context import Context
from sfnet_core.explorer.shared.hover import Hover
from sfnet_core.explorer.shared.label_editor import LabelEditor
from sfnet_core.explorer.shared.notes import NoteStrip
from sfnet_core.explorer.shared.opening import Sentence, facts, open_codes, or_sentence, show
from sfnet_core.explorer.shared.plot_menu import PlotMenu
from sfnet_core.explorer.shared.quantities import signed
from sfnet_core.explorer.shared.saving import permalink
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.your_galaxy.checks import Training
from sfnet_core.explorer.your_galaxy.controller import Controller
from sfnet_core.explorer.your_galaxy.engine import Engine
from sfnet_core.explorer.your_galaxy.figures import GalaxyFigures
from sfnet_core.explorer.your_galaxy.galaxy import Galaxy, GalaxyQuery
from sfnet_core.explorer.your_galaxy.plots import GalaxyPlots, plots_to_choose
from sfnet_core.explorer.your_galaxy.views import Checks, GalaxyHeader, GalaxyInspector, Neighbours

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["YourGalaxy", "your_galaxy"]

# This page's own choices: a link may carry the explorer's too (features off, a selection), which mean nothing here.
OWN = frozenset({"split", "target", "galaxy", "feature", "map", "sky", "third", "fourth", "sort"})


class YourGalaxy:
    """The page beside one codes file; every control is also here in Python (``page.controller.image(name, data)``).

    Parameters
    ----------
    codes
        What inference gave: the galaxies to compare with.
    dataset
        The cutouts behind the codes, for pictures and for the measures of brightness; the page works without.
    run
        The weights that made the codes, for images that are not in them; found beside the codes where not named.
    title
        What stands at the top of the page.
    """

    def __init__(
        self,
        codes: SparseCodes,
        dataset: Dataset | None = None,
        run: str | os.PathLike | None = None,
        *,
        title: str = "",
        allow_mismatch: bool = False,
    ):
        self.codes, self.dataset = codes, dataset
        splits = [name for name in codes.splits if name]
        self.state = State(codes.features, len(codes), splits, len(codes.targets), k=codes.k)
        self.labels = LabelEditor(codes, self.state)
        self.scene = Scene(codes, self.labels.given())
        self.pictures = Pictures(codes, dataset)
        self.engine = Engine(codes, run, allow_mismatch=allow_mismatch)
        self.training = Training(self.scene, self.pictures)
        self._plots = plots_to_choose(self.scene, dataset is not None)
        self._first_choices()
        self._defaults = self.state.values()
        self.galaxy: Galaxy | None = None
        self.image: Galaxy | None = None  # the last image of the visitor's; undo comes back to it
        self.head = GalaxyHeader(
            self.scene,
            self.state,
            title=title or "Your galaxy",
            facts=facts(codes),
            open_link=self.open_link,
            set_theme=lambda dark: self.plots.theme(dark),
        )
        say = self.head.notify
        context = Context(self.scene, self.state, self.pictures, self.labels, say, self.link)
        self.controller = Controller(context, self.engine, dataset, self.open_row, self.open_image)
        self.checks = Checks(context, self.training, self.engine)
        self.plots = GalaxyPlots(context, self.training, self._plots, self.open_row)
        self.plot_menu = PlotMenu(context, self._plots)
        self.figures = GalaxyFigures(self.scene, self.plots, say, self.link, self._named)
        self.hover = Hover(context, self.plots.key)
        self.inspector = GalaxyInspector(context, self.training)
        self.neighbours = Neighbours(context, self.open_row)
        self.watch = NoteStrip(self.state, self.labels, say, watch_only=True)
        self._views = (self.checks, self.inspector, self.plots, self.neighbours, self.plot_menu)
        self.state.on_change(lambda _changed: self._draw())
        self._draw()
        self.widget = self._layout()

    def label(self, feature: int) -> str:
        """A feature's name on the page: its number, and its label where it has one."""
        return self.labels.label(feature)

    def _first_choices(self) -> None:
        scene, plots = self.scene, list(self._plots)
        split = "validation" if "validation" in scene.splits else ""
        third = "look" if "look" in plots else plots[0]
        fourth = next((name for name in ("colour", "mass", "margin_prediction") if name in plots), plots[-1])
        feature = scene.default_feature(split, 0)
        self.state.change(split=split, feature=feature, third=third, fourth=fourth, sort="cosine")
        self.state.forget()

    # -- what the page is about --------------------------------------------------------------------------------

    def open_row(self, row: int) -> None:
        """Look at a galaxy of the loaded codes."""
        self.state.change(galaxy=row, map="sum", feature=self._strongest(self._of_row(row)))

    def open_image(self, galaxy: Galaxy) -> None:
        """Look at an image of the visitor's."""
        self.image = galaxy
        if not self.state.change(galaxy=-1, map="sum", feature=self._strongest(galaxy)):
            self._draw()  # another image under the same choices

    def _strongest(self, galaxy: Galaxy) -> int:
        """The feature with the largest |contribution|; the one in focus where the galaxy has none."""
        features = galaxy.features[galaxy.features >= 0]
        if not len(features):
            return self.state.feature
        terms = self.codes.weight[self.state.target][features] * galaxy.activations[galaxy.features >= 0]
        return int(features[np.argmax(np.abs(terms))])

    def _of_row(self, row: int) -> Galaxy:
        scale = self.codes.provenance.get("pixel_scale")
        return Galaxy(str(self.codes.ids[row]), self.codes.take([row]), row, self.pictures.pixels(row), None, scale)

    def _now(self) -> Galaxy | None:
        """The galaxy that the state names: a row, else the visitor's image, else none."""
        row = self.state.galaxy
        if row < 0:
            return self.image
        if self.galaxy is not None and self.galaxy.row == row:
            return self.galaxy
        return self._of_row(row)

    def open_link(self, query: str) -> None:
        """Read a permalink's query; what does not hold is said in a notice, and the page opens without it."""
        choices, troubles = self.state.from_url(query, self.scene.row_of)
        choices = {name: value for name, value in choices.items() if name in OWN}
        for name, known in (("third", self._plots), ("fourth", self._plots), ("sort", ("cosine", "shared"))):
            if name in choices and choices[name] not in known:
                troubles.append(f"The link's “{name}” was left out: there is no {choices.pop(name)!r} here.")
        if choices.get("galaxy", -1) >= 0 and "feature" not in choices:
            choices["feature"] = self._strongest(self._of_row(choices["galaxy"]))
        self.head.follow(choices, troubles)

    @property
    def query(self) -> str:
        """The permalink's query of the present state; an image of the visitor's is not in it."""
        return self.state.to_url(self.codes.ids, self._defaults)

    def link(self, place: str = "") -> str:
        """The permalink of now; ``place``: where the browser is."""
        return permalink(place, self.query)

    def _named(self) -> str:
        """The galaxy in focus in a caption."""
        if self.galaxy is None:
            return ""
        return f"galaxy {self.galaxy.name}" if self.galaxy.row >= 0 else f"the visitor's image {self.galaxy.name}"

    # -- drawing -----------------------------------------------------------------------------------------------

    def status(self) -> str:
        """The answer in one line, e.g. '12+log(O/H) 8.7312 dex · margin 0.0412 · true 8.69 dex · validation'."""
        galaxy, target = self.galaxy, self.state.target
        if galaxy is None:
            return "no galaxy yet"
        unit = self.scene.unit(target)
        value, truth = float(galaxy.codes.prediction(target)[0]), float(galaxy.codes.truth(target)[0])
        parts = [f"predicted {self.scene.target_label(target)} {value:.4f} {unit}".strip()]
        if np.isfinite(truth):
            parts += [f"true {truth:.4f}", f"predicted − true {signed(value - truth, 4)} {unit}".strip()]
        if galaxy.row >= 0:
            parts.append(str(galaxy.codes.split[0]) or "no split")
        return " · ".join(parts)

    def _draw(self) -> None:
        """Draw every view from the query; what reads nothing of it that is another stays as it is."""
        self.labels.refresh()  # another page wrote meanwhile
        self.galaxy = self._now()
        query = GalaxyQuery.of(self.state.query, self.galaxy)
        self.head.draw(self.query, self.status())
        self.watch.draw()
        for view in self._views:
            view.draw(query)
        self.figures.draw()

    def _layout(self) -> ipywidgets.Widget:
        left = ipywidgets.VBox([self.controller.view, self.checks])
        strip = ipywidgets.HBox([self.plot_menu, self.figures])
        centre = ipywidgets.VBox([strip, self.plots.widget, self.hover])
        right = ipywidgets.VBox([self.inspector])
        panes = ipywidgets.HBox([left, centre, right])
        page = ipywidgets.VBox([self.head, panes, self.neighbours, self.watch])
        for widget, name in (
            (left, "sf-bring"),
            (centre, "sf-centre"),
            (strip, "sf-strip"),
            (right, "sf-right"),
            (panes, "sf-panes"),
            (self.head, "sf-above"),
            (self.neighbours, "sf-below"),
            (self.plots.widget, "sf-plots"),
            (page, "sf-root"),
            (page, "sf-yours"),
        ):
            widget.add_class(name)
        return page

    def _ipython_display_(self) -> None:
        self.plots.widget.refresh_bundle()
        show(self.widget, bokeh=True)


def your_galaxy(
    codes: Any = None, dataset: Any = None, run: Any = None, *, allow_mismatch: bool = False
) -> YourGalaxy | Sentence:
    """The page beside a codes file and, for pictures, its dataset; without arguments what ``sfnet explore`` was given.

    ``codes`` and ``dataset`` are paths or open objects, ``run`` is the folder or checkpoint behind them. Where nothing
    is given and the environment names nothing (``SFNET_CODES``, ``SFNET_DATASET``, ``SFNET_RUN``), the page opens on
    the embedded simulated sample.

    Raises :class:`~sfnet_core.utils.errors.SFNetError` where the dataset is not the one that the codes were made from.
    """

    def make() -> YourGalaxy:
        opened = open_codes(codes, dataset, allow_mismatch=allow_mismatch)
        title = f"{opened.title} · your galaxy" if opened.title else ""
        allow = allow_mismatch or bool(os.environ.get("SFNET_ALLOW_MISMATCH"))
        page = YourGalaxy(opened.codes, opened.dataset, run, title=title, allow_mismatch=allow)
        for note in opened.notes:
            page.head.notify(note)
        return page

    return or_sentence(make)
