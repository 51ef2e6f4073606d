"""How far a training is: its process's events, kept as the numbers that the page shows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sfnet_core.explorer.train.choices import first_of

__all__ = ["Progress", "duration"]


def duration(seconds: float) -> str:
    """'48 s', '3:07 min', '1:02:09 h'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{second:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{second:02} h"


@dataclass
class Progress:
    """One training; times in seconds of :func:`time.monotonic`."""

    target: str = "the target"
    epochs: int = 0
    unit: str = ""
    span: tuple[float, ...] = ()  # lowest and highest value of the target, before the split is known
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=str))
    plan: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    truth: np.ndarray | None = None  # (n,) of the held-out galaxies shown
    prediction: np.ndarray | None = None
    before: np.ndarray | None = None  # predictions one epoch earlier
    done: int = 0  # steps
    _first: tuple[float, int] | None = None
    _last: float = 0.0

    @property
    def begun(self) -> bool:
        """Whether the split is known."""
        return bool(self.plan)

    @property
    def shown(self) -> str:
        """The target that is drawn galaxy by galaxy: of several the first."""
        return self.plan.get("shown", first_of(self.target))

    @property
    def n_train(self) -> int:
        """Training galaxies."""
        return self.plan.get("n_train", 0)

    @property
    def learnt(self) -> str:
        """What the training's own errors are of: the training galaxies, or pictures with a teacher's predictions."""
        if self.plan.get("teacher"):
            return f"{self.plan['n_examples']:,} pictures"
        return f"{self.n_train:,} train"

    @property
    def n_validation(self) -> int:
        """Galaxies held out."""
        return self.plan.get("n_validation", 0)

    @property
    def features(self) -> int:
        """Features of the network."""
        return self.plan.get("features", 0)

    @property
    def baseline(self) -> float | None:
        """RMSE of predicting the training galaxies' mean for every held-out galaxy, over all targets."""
        return self.plan.get("baseline")

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.plan.get("steps", 1)

    @property
    def share(self) -> float:
        """Done, 0…1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def take(self, event: dict[str, Any], ids: np.ndarray) -> None:
        """Take one event of the process; ``ids`` are the dataset's."""
        kind = event["event"]
        if kind == "plan":
            self.plan = event
            self.epochs, self.unit, self.done = event["epochs"], event["unit"], event["done"]
            known = {row["epoch"]: row for row in self.history}  # a resumed training's, with its active features
            self.history = [{**known.get(row["epoch"], {}), **row} for row in event["history"]]
            self.truth = np.array(event["truth"], dtype=float)
            self.ids = ids[np.array(event["rows"], dtype=int)]
            self._first = None
        elif kind == "step":
            self.done = event["done"]
            self._clock()
        elif kind == "epoch":
            row = {key: value for key, value in event.items() if key not in ("event", "predictions")}
            self.history.append(row)
            self.done = row["epoch"] * self.plan["steps"]
            self.before = self.prediction
            self.prediction = np.array(event["predictions"], dtype=float) if "predictions" in event else None
            self._clock()

    def _clock(self) -> None:
        self._last = time.monotonic()
        if self._first is None:
            self._first = (self._last, self.done)

    @property
    def left(self) -> float | None:
        """Seconds to go, or ``None`` while nothing can be said."""
        if self._first is None or self.done <= self._first[1]:
            return None
        pace = (self._last - self._first[0]) / (self.done - self._first[1])
        return pace * (self.total - self.done)

    @property
    def sentence(self) -> str:
        """'Epoch 12 of 60 · 2:10 min left'."""
        now = min(len(self.history) + 1, self.epochs)
        left = self.left
        return f"Epoch {now} of {self.epochs}" + ("" if left is None else f" · {duration(left)} left")
