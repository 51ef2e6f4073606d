"""The training page: choose data, target, k and recipe; watch it learn; stop, resume, go on to the explorer.

The training is a process of its own (:mod:`sfnet_core.explorer.train.worker`): the page stays quick and free of
torch, Stop is a Ctrl-C to that process, and closing the served page stops it in the same way: it can be resumed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from sfnet_core.data.targets import read_targets
from sfnet_core.explorer.shared.opening import or_sentence, show
from sfnet_core.explorer.shared.view import text, whole
from sfnet_core.explorer.train import messages as wording
from sfnet_core.explorer.train.choices import WIDTHS, Choices, first_of, short
from sfnet_core.explorer.train.curves import Curves
from sfnet_core.explorer.train.figures import CurveFigures
from sfnet_core.explorer.train.session import Session
from sfnet_core.explorer.train.views import Examples, Form, Report, Top
from sfnet_core.training.recipes import RECIPES
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.explorer.shared.opening import Sentence

__all__ = ["TrainPage", "train_page"]

SHOWN = 12  # galaxies in the strip


class TrainPage:
    """The page; every control is also in Python (``page.session.change(k=2)``, ``page.session.start()``).

    Parameters
    ----------
    choices
        What the form opens with; ``choices.dataset`` "" is the embedded sample.
    """

    def __init__(self, choices: Choices | None = None):
        self._serial = 0
        self._answered = 0  # the number of the form's last message that was dealt with
        self._shown: np.ndarray | None = None  # the strip's galaxies, as positions among the held-out ones
        self._ids: list[str] = []
        self._truth = np.empty(0)
        self._troubles: list[str] = []
        self.session = session = Session(choices or Choices(), lambda _kind: None, self._troubles.append)
        self.top = Top(
            {
                "start": lambda _m: session.start(),
                "stop": lambda _m: session.stop(),
                "resume": lambda _m: session.resume(),
                "here": lambda _m: session.seen(),
                "theme": lambda m: self.curves.theme(m["dark"] is True),
                "open-link": lambda m: self.open_link(text(m, "query", 1 << 16)),
            }
        )
        say = self.top.notify
        self.form = Form(say, {"choose": self._choose, "new-folder": lambda _m: session.change(out="")})
        self.report = Report(say, {"explore": lambda _m: session.open_explorer()})
        self.examples = Examples(say, {})
        self.curves = Curves()
        self.figures = CurveFigures(session, self.curves, say)
        self.draw("plan")
        for trouble in self._troubles:
            say(trouble)
        session.listen(self.draw, say)
        self.widget = self._layout()

    def _choose(self, message: dict) -> None:
        name, number = text(message, "name"), whole(message, "number")
        try:
            self.session.change(**{name: message.get("value")})
        finally:
            self._answered = number  # also of a refused value, which must go from its field
            self.draw("all")

    def open_link(self, query: str) -> None:
        """Read a permalink's query; what does not hold is said, and the page opens without it."""
        values, troubles = Choices.read_query(query)
        try:
            if values and not self.session.busy:
                self.session.change(**values)
        except SFNetError as error:
            troubles.append(f"The link could not be followed: {error}")
        for trouble in troubles:
            self.top.notify(trouble)
        self._serial += 1
        self.draw("all")

    # -- drawing -----------------------------------------------------------------------------------------------

    def draw(self, kind: str = "all") -> None:
        """Bring the views up to the session: only the top for a ``"step"``, with other galaxies for a ``"plan"``."""
        session = self.session
        if kind == "plan":
            self._choose_galaxies()
        if kind != "step":
            self.form.data = self._form()
            self.report.data = wording.report(session)
            self.examples.data = self._strip()
            self.curves.draw(session.progress)
        found = session.found.kind
        idle = session.dataset is not None and not session.busy
        self.top.draw(
            {
                "facts": wording.facts(session),
                "simulated": None if session.dataset is None else session.dataset.simulated,
                "status": wording.status(session),
                "phase": session.phase,
                "share": 1.0 if session.phase in ("finished", "inferring") else session.progress.share,
                "startable": idle and found == "free",
                "stoppable": session.phase in ("starting", "training", "inferring"),
                "resumable": idle and found == "unfinished",
                "query": session.choices.query(),
                "opened": self._serial,
            }
        )

    def _form(self) -> dict[str, Any]:
        session, recipe, found = self.session, self.session.recipe, self.session.found
        return {
            "values": {**session.choices.__dict__, "out": short(session.folder)},
            "targets": list(session.targets.items()),
            "usable": f"{len(session.usable):,} galaxies have one" if session.dataset is not None else "",
            "widths": [[str(w), f"{w} channels, {8 * w} features"] for w in WIDTHS],
            "recipes": [["", f"by size ({recipe.name})"], *([name, name] for name in RECIPES)],
            "epochs": recipe.epochs,
            "folder": "" if session.phase in ("finished", "stopped") else found.sentence,
            "taken": found.kind != "free",
            "busy": session.busy,
            "answered": self._answered,
        }

    def _choose_galaxies(self) -> None:
        """Choose the galaxies of the strip and send their pictures: of the dataset, later held-out ones."""
        session, plan = self.session, self.session.progress.plan
        self._shown = None
        if session.dataset is None:
            self._ids, self._truth, self.examples.pictures = [], np.empty(0), []
            return
        if plan and len(session.progress.truth):
            self._shown = spread(session.progress.truth)
            self._truth = session.progress.truth[self._shown]
            rows = np.array(plan["rows"], dtype=int)[self._shown]
        else:
            values = read_targets(session.dataset, first_of(session.choices.target)).values[:, 0]
            rows = spread(values)
            self._truth = values[rows]
        from sfnet_core.data.cutouts import encode_jpeg

        self._ids = [str(session.dataset.ids[row]) for row in rows]
        self.examples.pictures = [encode_jpeg(np.ascontiguousarray(session.dataset.cutouts[row])) for row in rows]

    def _strip(self) -> dict[str, Any]:
        """True values, predictions now and one epoch ago, all on one axis."""
        session, progress, truth = self.session, self.session.progress, self._truth
        what = f"{first_of(session.choices.target)}{f' [{session.unit}]' if session.unit else ''}"
        if self._shown is not None:
            after = f"after epoch {progress.history[-1]['epoch']}" if progress.history else "before the first epoch"
            caption = f"Held-out galaxies {after}, from low to high {what}"
        else:
            caption = f"Galaxies of this dataset, from low to high {what}" if len(truth) else ""
        low, high = (float(truth.min()), float(truth.max())) if len(truth) else (0.0, 1.0)
        pad = 0.25 * (high - low) or 1.0
        return {
            "caption": caption,
            "ids": self._ids,
            "truth": truth.tolist(),
            "now": self._of_shown(progress.prediction),
            "before": self._of_shown(progress.before),
            "range": [low - pad, high + pad],
        }

    def _of_shown(self, predictions: np.ndarray | None) -> list[float]:
        if predictions is None or self._shown is None:
            return []
        return predictions[self._shown].tolist()

    def _layout(self) -> ipywidgets.Widget:
        strip = ipywidgets.HBox([self.figures])
        centre = ipywidgets.VBox([strip, self.curves.widget])
        panes = ipywidgets.HBox([self.form, centre, self.report])
        page = ipywidgets.VBox([self.top, panes, self.examples])
        page.add_class("sf-root").add_class("sf-train")
        panes.add_class("sf-panes")
        centre.add_class("sf-centre")
        strip.add_class("sf-strip")
        self.top.add_class("sf-above")
        self.examples.add_class("sf-below")
        self.curves.widget.add_class("sf-plots")
        return page

    def _ipython_display_(self) -> None:
        self.curves.widget.refresh_bundle()
        show(self.widget, bokeh=True)


def spread(values: np.ndarray, most: int = SHOWN) -> np.ndarray:
    """Positions of at most ``most`` finite values from the lowest to the highest, evenly by rank."""
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    if len(order) <= most:
        return order
    return order[np.round(np.linspace(0.02, 0.98, most) * (len(order) - 1)).astype(int)]


def train_page(dataset: Any = None, *, start: bool = False, **choices: Any) -> TrainPage | Sentence:
    """The training page. It trains nothing by itself, unless ``start``.

    ``dataset`` is a folder; without one the environment's ``SFNET_DATASET``, or the embedded sample. ``choices`` are
    those of :class:`~sfnet_core.explorer.train.choices.Choices`: ``train_page("my-galaxies", k=2, width=64)``.
    """

    def make() -> TrainPage:
        folder = os.fspath(dataset) if dataset is not None else os.environ.get("SFNET_DATASET") or ""
        page = TrainPage(Choices().change(dataset=str(folder), **choices))
        if start:
            page.session.start()
        return page

    return or_sentence(make)
