"""The process that trains for the page: ``python -m sfnet_core.explorer.train.worker '{"dataset": …, "out": …}'``.

It says what it does as one JSON object a line on standard output (:func:`main` lists them). When nobody reads any more
(the page was closed), or on SIGINT, it stops as ``sfnet train`` stops on Ctrl-C: a usable run that can be resumed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.training.recipes import Recipe, known_fields
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.training.loop import Epoch, TrainingPlan

__all__ = ["CODES", "config_of", "main", "sample_rows"]

CODES = "codes.parquet"
MOST_EXAMPLES = 500  # held-out galaxies whose predictions are told after each epoch
STEP_SECONDS = 0.25
EPOCH_KEYS = ("epoch", "rate", "train_rmse", "validation_rmse")


class Speaker:
    """Writes the events; once the reader is gone it asks this process, once, to stop."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # whatever a library prints must not look like an event
        self._gone = False

    def __call__(self, event: str, **more: Any) -> None:
        if self._gone:
            return
        try:
            self._out.write(json.dumps({"event": event, **more}) + "\n")
            self._out.flush()
        except BrokenPipeError:
            self._gone = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
            os.kill(os.getpid(), signal.SIGINT)


def sample_rows(n: int, most: int = MOST_EXAMPLES) -> np.ndarray:
    """At most ``most`` of ``n`` positions, always the same ones, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


class Reporter:
    """Tells the page a training's plan, its steps and what the held-out galaxies get: the hooks of ``train``."""

    def __init__(self, say: Callable[..., None]) -> None:
        self.say, self.told = say, 0.0

    def on_plan(self, about: TrainingPlan) -> None:
        """Tell what will be done, and which held-out galaxies are shown."""
        self.about, plan = about, about.plan
        held = plan.validation
        self.shown = sample_rows(len(held))
        truth = plan.truth[held, 0]
        self.say(
            "plan",
            n_train=len(plan.train),
            n_examples=about.n_examples,
            teacher=" ".join(about.remarks),
            n_validation=len(held),
            n_left_out=sum(plan.left_out.values()),
            epochs=plan.recipe.epochs,
            steps=about.steps,
            done=about.done,
            k=about.k,
            features=about.features,
            recipe=plan.recipe.sentence(),
            side=plan.side,
            origin=about.origin,
            device=about.device,
            precision=about.precision,
            unit=plan.units[0],
            shown=plan.targets[0],
            baseline=float(np.sqrt(np.mean((plan.truth[held] - about.mean) ** 2))) if len(held) else None,
            rows=held[self.shown].tolist(),
            truth=truth[self.shown].tolist(),
            history=[self.numbers(record) for record in about.history],
        )

    def on_step(self, done: int) -> None:
        """Tell the steps that are done, now and then."""
        if time.monotonic() - self.told > STEP_SECONDS:
            self.told = time.monotonic()
            self.say("step", done=done)

    def on_epoch(self, epoch: Epoch) -> None:
        """Tell the epoch's numbers, the features in use and the predictions of the galaxies shown."""
        told = self.numbers(epoch.record)
        if n := len(epoch.predictions):
            told |= {
                "active": int((epoch.fires > 0).sum()),
                "active_percent": int((epoch.fires >= max(1, 0.01 * n)).sum()),
                "predictions": epoch.predictions[self.shown, 0].tolist(),
            }
        self.say("epoch", **told)

    def numbers(self, record: dict[str, float]) -> dict[str, Any]:
        """An epoch's numbers, with the training loss: the mean squared error of the standardised targets."""
        names = self.about.plan.targets
        each = [record[f"train_rmse_{name}"] for name in names] if len(names) > 1 else [record["train_rmse"]]
        loss = float(np.mean((np.array(each) / self.about.scale) ** 2))
        return {key: record[key] for key in EPOCH_KEYS if key in record} | {"loss": loss}


def config_of(out: str) -> dict[str, Any]:
    """What an unfinished training was begun with, as arguments of :func:`sfnet_core.training.loop.train`."""
    from sfnet_core.model.run import Run

    config = dict(Run.open(out).config)
    config.pop("dataset_fingerprint", None)
    try:
        config["recipe"] = Recipe(**known_fields(config["recipe"]))
    except (KeyError, TypeError) as error:
        raise SFNetError(f"{out} was started with a recipe that this version does not know; start again.") from error
    return config


def finished_run(out: str) -> Any:
    """The :class:`~sfnet_core.model.run.Run` in a folder, where it is there and finished."""
    from sfnet_core.model.run import MODEL, Run

    if not (Path(out) / MODEL).is_file():
        return None
    run = Run.open(out)
    return run if run.status == "finished" else None


def work(job: dict[str, Any], say: Speaker) -> None:
    """Train, then (where asked) infer and evaluate."""
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.training.loop import train

    dataset = Dataset.open(job["dataset"])
    choices = config_of(job["out"]) if job.get("resume") else job["choices"]
    try:
        tell = Reporter(say)
        run = train(
            dataset, job["out"], resume=bool(job.get("resume")), progress=False, on_plan=tell.on_plan,
            on_step=tell.on_step, on_epoch=tell.on_epoch, **choices,
        )  # fmt: skip
    except KeyboardInterrupt:
        if (run := finished_run(job["out"])) is not None:  # stopped in its last step
            say("run", status=run.status, metrics=run.metrics)
        raise
    say("run", status=run.status, metrics=run.metrics)
    if not job.get("codes"):
        return
    say("infer")
    from sfnet_core.analysis.evaluation import evaluate
    from sfnet_core.inference.runner import infer

    codes = infer(run, dataset, Path(job["out"]) / CODES, precision="float32", progress=False)
    found = {
        name: target["splits"].get("validation", {})
        for name, target in evaluate(codes, intervals=1000)["targets"].items()
    }
    first = next(iter(found.values()))
    numbers = {key: first.get(key) for key in ("n", "rmse", "r2")}
    interval = (first.get("intervals") or {}).get("rmse")
    if len(found) > 1:  # the one number over all targets is the run's; here each has its own
        each = {
            name: [one.get("rmse"), *((one.get("intervals") or {}).get("rmse") or [])] for name, one in found.items()
        }
        numbers, interval = {"n": first.get("n"), "each": each}, None
    notes = [str(note) for note in codes.provenance.get("notes") or []]
    say("codes", file=CODES, interval=interval, notes=notes, set_aside=len(codes.set_aside), **numbers)


def main(arguments: list[str]) -> int:
    """Events: ``plan``, ``step``, ``epoch``, ``run``, ``infer``, ``codes``; ``stopped`` or ``refused`` as the last."""
    say = Speaker()
    try:
        os.nice(5)  # the page stays quick
        work(json.loads(arguments[0]), say)
    except SFNetError as error:
        say("refused", sentence=str(error))
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        say("refused", sentence=f"{error.filename}: {error.strerror}.")
        return 2
    except KeyboardInterrupt:
        say("stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
