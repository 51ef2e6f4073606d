"""The training's figures as files: the curves so far and the held-out galaxies, with captions that say of what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.explorer.shared.saving import PLACES, SaveMenu
from sfnet_core.explorer.train import messages as wording
from sfnet_core.figures.plot import Curve, Dots, Drawing

if TYPE_CHECKING:
    from sfnet_core.explorer.train.curves import Curves
    from sfnet_core.explorer.train.session import Session

__all__ = ["CurveFigures"]

NAMES = {
    "rmse": "RMSE by epoch",
    "against": "predictions",
    "active": "active features by epoch",
    "loss": "training loss",
}
SLATE, TEAL, OCHRE = "#4d6478", "#0b6e8f", "#b45f06"
LINES = {  # column, colour, name
    "rmse": (("train_rmse", SLATE, "training"), ("validation_rmse", TEAL, "validation")),
    "active": (("active", TEAL, "on any galaxy"), ("active_percent", OCHRE, "on 1 % of the galaxies or more")),
    "loss": (("loss", SLATE, "training loss"),),
}
COLOURS = {SLATE: "slate", TEAL: "blue-green", OCHRE: "ochre"}


class CurveFigures(SaveMenu):
    """The page's menu: keys 'rmse', 'against', 'active', 'loss'."""

    def __init__(self, session: Session, curves: Curves, notify: Callable[[str], None]) -> None:
        self._session, self._curves = session, curves
        super().__init__(notify, lambda _place: "")  # a training's link names folders of this machine
        self.draw()

    def names(self) -> dict[str, str]:
        """The figures: key and words."""
        return {key: f"{place}: {words}" for place, (key, words) in zip(PLACES, NAMES.items(), strict=True)}

    def drawn(self, key: str) -> Drawing:
        """The figure as plain arrays."""
        fig = getattr(self._curves, key)
        ranges = ((fig.x_range.start, fig.x_range.end), (fig.y_range.start, fig.y_range.end))
        labels = (fig.xaxis[0].axis_label, fig.yaxis[0].axis_label)
        layers = self._held(ranges) if key == "against" else self._lines(key, ranges)
        return Drawing(fig.title.text, *labels, ranges, layers, y_log=key == "loss", legend=len(LINES.get(key, ())) > 1)

    def _held(self, ranges: tuple) -> list:
        data = {name: np.asarray(self._curves.held.data[name], dtype=float) for name in ("truth", "prediction")}
        ends = np.array([min(low for low, _ in ranges), max(high for _, high in ranges)])
        dots = Dots(data["truth"], data["prediction"], TEAL, 0.55, name="held-out galaxies")
        return [dots, Curve(ends, ends, "4 3", opacity=0.6, name="predicted = true")]

    def _lines(self, key: str, ranges: tuple) -> list:
        data = {name: np.asarray(values, dtype=float) for name, values in self._curves.history.data.items()}
        layers: list = []
        for column, colour, name in LINES[key]:
            line = {"colour": colour, "width": 1.8, "opacity": 1, "name": name, "marker": 4}
            layers.append(Curve(data["epoch"], data[column], **line))
        if key == "rmse" and self._curves.mean.visible:
            level = np.full(2, float(self._curves.mean.location))
            layers.append(Curve(np.array(ranges[0]), level, "4 3", opacity=0.7, name="predicting the mean"))
        return layers

    def caption(self, key: str, link: str = "") -> str:
        """What a figure is of, a fact a line."""
        session, fig = self._session, getattr(self._curves, key)
        title, galaxies = fig.title.text.splitlines()[:2]
        lines = [f"{COLOURS[colour]}: {name}" for _, colour, name in LINES.get(key, ())]
        if key == "rmse" and self._curves.mean.visible:
            lines.append("dashed: predicting the training galaxies' mean")
        kind = "" if session.dataset is None else " simulated" if session.dataset.simulated else " observed"
        about = [
            f"{name}: {words}" for name, words in wording.report(session)["rows"] if name not in ("Folder", "Galaxies")
        ]
        data = [] if session.dataset is None else [f"Data: {session.name} ({session.dataset.fingerprint[:12]})"]
        facts = [
            title,
            f"{galaxies},{kind} galaxies" if kind else galaxies,
            f"x: {fig.xaxis[0].axis_label}; y: {fig.yaxis[0].axis_label}" + (", logarithmic" if key == "loss" else ""),
            "; ".join(lines).capitalize(),
            *data,
            *about,
            f"SFNet, {datetime.now(UTC).date().isoformat()}",
        ]
        return "\n".join(" ".join(fact.split()) for fact in facts if fact)
