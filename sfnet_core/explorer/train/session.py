"""What the training page is about, without its looks: choices, dataset, folder, the process and what came of it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.explorer.train.choices import (
    Choices,
    Folder,
    free_folder,
    from_config,
    look_into,
    open_dataset,
    short,
    targets_of,
    usable,
)
from sfnet_core.explorer.train.process import Process
from sfnet_core.explorer.train.progress import Progress
from sfnet_core.explorer.train.worker import CODES
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.training.recipes import Recipe

__all__ = ["Session"]

WORKER = "sfnet_core.explorer.train.worker"
ONWARD = "sfnet_core.explorer.train.open_explorer"
UNSEEN_SECONDS = 300  # a tab in the background may speak once a minute only
DRAWN_SECONDS = 0.5  # between two drawings of the curves: a browser draws no faster than it can be clicked
BUSY = frozenset({"starting", "training", "stopping", "inferring"})


class Session:
    """One page's trainings, one at a time.

    ``tell(kind)`` is called when something changed: ``"step"`` (progress only), ``"plan"`` (other galaxies are shown)
    or ``"all"``; ``say(sentence)`` with what the user should read. ``phase`` is ready, starting, training, stopping,
    inferring, stopped or finished.
    """

    def __init__(self, choices: Choices, tell: Callable[[str], None], say: Callable[[str], None]):
        self._tell, self._say = tell, say
        self.choices = choices
        self.dataset: Dataset | None = None
        self.name, self.unit = "", ""
        self.targets: dict[str, str] = {}
        self.usable = np.empty(0, dtype=int)
        self._span: tuple[float, ...] = ()
        self.folder = Path()
        self._named_by_us = False
        self.phase = "ready"
        self.progress = Progress()
        self.run: dict[str, Any] | None = None
        self.codes: dict[str, Any] | None = None
        self.process: Process | None = None
        self._last_event = ""
        self._seen: float | None = None  # when a browser last said that it shows the page
        self._drawn, self._owed = -np.inf, False  # when the last epoch was told, and whether there was one since
        self._explorers: dict[Path, dict[str, Any]] = {}
        try:
            self._take(choices)
        except SFNetError as error:
            say(str(error))
            self.folder = self._folder_for(choices, "run")
        self._start_over()

    def listen(self, tell: Callable[[str], None], say: Callable[[str], None]) -> None:
        """Whom to tell from now on."""
        self._tell, self._say = tell, say

    # -- choices -----------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether the process runs."""
        return self.phase in BUSY

    @property
    def recipe(self) -> Recipe:
        """The recipe that the choices amount to."""
        return self.choices.recipe_for(round(len(self.usable) * (1 - self.choices.validation)))

    @property
    def found(self) -> Folder:
        """What the run's folder holds now (while a training writes there: free)."""
        return Folder("free") if self.busy else look_into(self.folder)

    def change(self, **values: Any) -> None:
        """Change choices by name; :class:`SFNetError` says what can't be, and nothing changes."""
        if self.busy:
            raise SFNetError("A training is running; stop it first.")
        if self._named_by_us:
            values = {"out": "", **values}
        self._take(self.choices.change(**values))
        self._named_by_us = False
        self._start_over()

    def _start_over(self) -> None:
        self.phase, self.run, self.codes = "ready", None, None
        self.progress = Progress(self.choices.target or "the target", self.recipe.epochs, self.unit, self._span)
        self._tell("plan")

    def _take(self, choices: Choices) -> None:
        """Take choices with the dataset, the target and the folder that they name; all of them or nothing."""
        if self.dataset is None or choices.dataset != self.choices.dataset:
            dataset, name = open_dataset(choices.dataset)
            targets = targets_of(dataset)
        else:
            dataset, name, targets = self.dataset, self.name, self.targets
        if not targets:
            raise SFNetError(f"{name} has no numeric column that could be predicted.")
        if choices.target not in targets:
            if choices.target and (dataset is self.dataset or self.dataset is None):
                known = ", ".join(list(targets)[:20])
                raise SFNetError(f"The dataset has no numeric column {choices.target!r} to predict; it has: {known}.")
            choices = replace(choices, target=next(iter(targets)))
        rows, unit, span = usable(dataset, choices.target)
        self.folder = self._folder_for(choices, name)
        self.dataset, self.name, self.targets, self.choices = dataset, name, targets, choices
        self.usable, self.unit, self._span = rows, unit, span

    def _folder_for(self, choices: Choices, name: str) -> Path:
        """The folder that was named, or a new one in ~/sfnet-runs (or SFNET_RUNS)."""
        if choices.out.strip():
            folder = Path(choices.out.strip()).expanduser().absolute()
            look_into(folder)
            return folder
        home = Path(os.environ.get("SFNET_RUNS") or Path.home() / "sfnet-runs").absolute()
        words = f"{name}-{choices.target}-k{choices.k}-w{choices.width}-seed{choices.seed}"
        return free_folder(home, re.sub(r"[^\w.-]+", "-", words).strip("-."))

    # -- the training ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the training in a new folder."""
        self._may_begin()
        if self.found.kind != "free":
            raise SFNetError(f"{short(self.folder)}: {self.found.sentence}")
        self.progress = Progress(self.choices.target, self.recipe.epochs, self.unit, self._span)
        self._spawn({"choices": self.choices.arguments()})

    def resume(self) -> None:
        """Continue the unfinished training in the folder, with the choices that it was begun with."""
        self._may_begin()
        found = self.found
        if found.kind != "unfinished":
            raise SFNetError(f"{short(self.folder)} holds no unfinished training; Start starts one.")
        choices = from_config(self.choices, found.config)
        ours = self._named_by_us
        self._take(replace(choices, out=str(self.folder)))
        self._named_by_us = ours
        earlier = self.progress.history
        self.progress = Progress(self.choices.target, found.epochs, self.unit, self._span, history=earlier)
        self._spawn({"resume": True})

    def stop(self) -> None:
        """Stop as Ctrl-C does: the run can be used as it is, and resumed."""
        if self.process is not None and self.phase in ("starting", "training", "inferring"):
            self.phase = "stopping"
            self.process.interrupt()
            self._tell("all")

    def seen(self) -> None:
        """A browser shows the page; once it has said so it must go on saying it, or the training is stopped."""
        self._seen = time.monotonic()

    def wait(self, timeout: float | None = None) -> None:
        """Until the training has ended (in a script or a test; a page never waits)."""
        if self.process is not None:
            self.process.wait(timeout)

    def _may_begin(self) -> None:
        if self.busy:
            raise SFNetError("A training is already running.")
        if self.dataset is None:
            raise SFNetError("Choose a dataset first: a folder that `sfnet pack` or `sfnet simulate` wrote.")
        for module in ("torch", "safetensors"):
            if importlib.util.find_spec(module) is None:
                raise SFNetError(f'Training needs {module}, which is not installed: pip install "sfnet-core[torch]".')

    def _spawn(self, job: dict[str, Any]) -> None:
        if not self.choices.out:
            self.choices, self._named_by_us = replace(self.choices, out=str(self.folder)), True
        self.run = self.codes = None
        self.phase, self._last_event, self._seen = "starting", "", None
        job |= {"dataset": str(self.dataset.path.absolute()), "out": str(self.folder), "codes": self.choices.codes}
        self.process = Process(WORKER, json.dumps(job), self._hear, self._ended)
        self._tell("all")

    def _hear(self, event: dict[str, Any]) -> None:
        """One event of the process, in the kernel's own thread."""
        self._last_event = kind = event["event"]
        self.progress.take(event, self.dataset.ids)
        if kind in ("plan", "step", "epoch") and self.phase == "starting":
            self.phase = "training"
        elif kind == "run":
            self.run = event
        elif kind == "infer" and self.phase != "stopping":
            self.phase = "inferring"
        elif kind == "codes":
            self.codes = event
        elif kind == "refused":
            self._say(event["sentence"])
        if self._seen is not None and time.monotonic() - self._seen > UNSEEN_SECONDS:
            self.stop()  # the browser went without a word
        self._tell_of(kind)

    def _tell_of(self, kind: str) -> None:
        """Tell of an event; of epochs that come faster than they can be watched, now and then."""
        due = time.monotonic() - self._drawn >= DRAWN_SECONDS
        if kind == "epoch" and not due:
            self._owed = True
        elif kind == "plan" or (kind == "step" and not (due and self._owed)):
            self._tell(kind)
        else:
            self._tell("all")
            self._drawn, self._owed = time.monotonic(), False

    def _ended(self, status: int, words: str) -> None:
        was, self.process, self.phase = self.phase, None, "ready"
        found = self.found
        finished = self.run is not None and self.run["status"] == "finished"
        unfinished = found.kind == "unfinished"
        self.phase = "finished" if finished else "stopped" if unfinished else "ready"
        if finished and self.codes is None and self.choices.codes and self._last_event != "refused":
            self._say("The run is finished, but its codes were not written; `sfnet infer` (on the right) writes them.")
        elif self._last_event == "stopped" or was == "stopping":
            if not finished and not unfinished:
                self._say("Stopped before the first step; nothing was written.")
        elif status and self._last_event != "refused":
            how = "was killed (out of memory?)" if status == -9 else f"ended by itself (status {status})"
            way = " Resume continues from the last saved step." if unfinished else ""
            self._say(f"The training {how}{': ' + words if words else '.'}{way}")
        if self.phase == "stopped":
            last = self.progress.history[-1] if self.progress.history else {}
            self.run = {"status": "stopped", "metrics": {**last, "n_validation": self.progress.n_validation}}
        self._tell("all")

    # -- the way on --------------------------------------------------------------------------------------------

    def open_explorer(self) -> None:
        """Serve the explorer on the new codes for as long as this page lives; :attr:`explorer` has its address."""
        codes = self.folder / CODES
        if self.codes is None or self._explorers.get(codes, {}).get("state"):
            return
        mine = self._explorers[codes] = {"state": "starting", "address": ""}

        def hear(event: dict[str, Any]) -> None:
            if event.get("event") == "open":
                mine.update(state="open", address=event["address"])
            else:
                self._say(event.get("sentence", "The explorer did not start."))
            self._tell("all")

        def ended(_status: int, _words: str) -> None:
            mine.update(state="", address="")
            self._tell("all")

        job = json.dumps([str(codes), str(self.dataset.path.absolute())])
        mine["process"] = Process(ONWARD, job, hear, ended)
        self._tell("all")

    @property
    def explorer(self) -> dict[str, str]:
        """``state``: '' (not offered), 'offer', 'starting', or 'open' with the ``address``."""
        if self.codes is None:
            return {"state": "", "address": ""}
        mine = self._explorers.get(self.folder / CODES, {})
        return {"state": mine.get("state") or "offer", "address": mine.get("address", "")}

    def close(self) -> None:
        """End what this page started: the training as Stop does, and the explorers."""
        self.stop()
        for mine in self._explorers.values():
            mine["process"].close()
