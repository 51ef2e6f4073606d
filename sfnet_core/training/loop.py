"""Dataset → Run: one process, one device, deterministic on the CPU, resumable to the bit.

Every random number is a function of (seed, epoch, step), and so are the learning rate and the momentum. What has to be
kept to go on is therefore the weights, the optimiser and the position; ``last.ckpt`` holds these and nothing else.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sfnet_core.data.dataset import Dataset
from sfnet_core.inference import novelty_fit
from sfnet_core.model import checkpoint
from sfnet_core.model.cutout_loader import CutoutLoader
from sfnet_core.model.device import autocast, own_stream, pick_device, to_device, trains_in_bfloat16
from sfnet_core.model.network import SFNet, gate
from sfnet_core.model.preprocess import augment, channel_statistics, to_input
from sfnet_core.model.run import LAST, Run
from sfnet_core.training.cuda_graph import make_step
from sfnet_core.training.distillation import training_set
from sfnet_core.training.head import fit_head, refit_head
from sfnet_core.training.objective import Objective, activity
from sfnet_core.training.optimiser import make_optimiser, one_cycle, set_cycle
from sfnet_core.training.plan import Plan, begun_defaults, inspect_output_dir, make_plan
from sfnet_core.training.progress import LAST_SCHEMA, write_last
from sfnet_core.training.recipes import Recipe
from sfnet_core.training.warm_start import check_normalisation, first_weights
from sfnet_core.utils.console import say
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import folder_lock
from sfnet_core.utils.malloc import kept_memory
from sfnet_core.utils.signals import Interrupts
from sfnet_core.utils.version import __version__

__all__ = ["Epoch", "TrainingPlan", "train"]

SAVE_SECONDS = 60  # an unannounced kill loses at most this much work (and the epoch it fell into)
_EVALUATION_BATCH = {"cpu": 64}  # elsewhere 512
_CHECK = {"cpu": 1}  # steps between two checks of the loss; by default 50, since reading it stalls a GPU
_SHOWN = {"train_rmse": "training", "validation_rmse": "held out"}


def train(
    dataset: Dataset | str | os.PathLike,
    out: str | os.PathLike,
    *,
    target: str | Sequence[str] = "oh_p50",
    k: int = 4,
    epochs: int | None = None,
    seed: int = 0,
    fold: int | None = None,
    folds: int | None = None,
    validation: float | str = 0.2,
    group: str | None = None,
    width: int | None = None,
    weights: str | None = None,
    start: str | os.PathLike | None = None,
    device: str = "auto",
    resume: bool = False,
    recipe: str | Recipe | None = None,
    multi_k: int | None = None,
    taught: bool | None = None,
    split_seed: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
    on_plan: Callable[[TrainingPlan], None] | None = None,
    on_step: Callable[[int], None] | None = None,
    on_epoch: Callable[[Epoch], bool | None] | None = None,
    **changes: Any,
) -> Run:
    """Train an SFNet and write its run.

    Ctrl-C and SIGTERM end the current step, write ``last.ckpt`` and a usable run, and raise ``KeyboardInterrupt`` or
    ``SystemExit(143)``; ``resume`` goes on from there, on the CPU to weights equal bit by bit to an unbroken run.
    RMSEs are over the whole split (not means over batches), over all targets where there are several. The held-out
    galaxies choose nothing: the weights are those after the last epoch, the head fitted once more (``refit_head``).

    Parameters
    ----------
    dataset : a :class:`Dataset` or its folder.
    out : the run's folder. One that holds a run is refused, unless ``resume`` or ``overwrite``.
    target : column(s) to predict, see :func:`sfnet_core.data.targets.read_targets`. Galaxies without one are left out.
    k : features kept for each galaxy.
    epochs : instead of the recipe's number.
    seed : of the split, the initial weights, the order and the orientations.
    fold, folds : hold out part ``fold`` (from 0) of ``folds``.
    validation : without folds, the share that is held out, or ``"paper"`` for the split of Wu (2025). Whole objects,
        see :func:`sfnet_core.data.splits.objects`.
    group : a column whose equal values are one object.
    width : channels of the first stage (F = 8 · width); 64, or that of ``start``.
    weights : ``None`` (from scratch), ``"hub"`` (ImageNet) or a file, see
        :func:`sfnet_core.model.checkpoint.load_imagenet`.
    start : a run whose trunk, width and normalisation are taken over, the head fitted anew
        (:mod:`sfnet_core.training.warm_start`); one that was trained at another crop or pixel scale is refused.
    device : ``auto``, ``cpu``, ``cuda``, ``mps``.
    resume : go on with the training that was begun in ``out``, with its ``multi_k``, ``taught`` and ``width`` where
        these are not given; start it where there is none.
    recipe : a name or a :class:`Recipe`; by default the one for the number of training galaxies.
    multi_k : train every k from 1 to this one at once (0: ``k`` alone), instead of the recipe's choice.
    taught : learn from photometry (:mod:`sfnet_core.training.distillation`). Where it is not given, nor a recipe, a
        width or a start: with fewer labels than :data:`sfnet_core.training.recipes.TAUGHT_BELOW`.
    split_seed : of the split, instead of ``seed``.
    overwrite : replace what is in ``out``.
    progress : show a progress bar and say what is done.
    on_plan : called once with the :class:`TrainingPlan`, before the first step.
    on_step : called before each step with the number of steps done.
    on_epoch : called after each epoch with its :class:`Epoch`; returning ``False`` stops the training, which ``resume``
        can go on with.
    changes : ``alive=True`` for :data:`sfnet_core.training.recipes.ALIVE`; any field of the :class:`Recipe`.

    Returns
    -------
    Run
        The finished run, or the stopped one.

    Raises
    ------
    SFNetError
        Where an argument can't be, ``out`` holds something else, or the loss is not finite.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    out = Path(out)
    taught = False if taught is None and "variants" in changes else taught
    asked = {"multi_k": multi_k, "width": width, "taught": taught}
    changes |= {name: value for name, value in asked.items() if value is not None}
    if resume and not overwrite and not isinstance(recipe, Recipe):
        changes = begun_defaults(out) | changes
    plan = make_plan(
        dataset, target=target, k=k, epochs=epochs, seed=seed, fold=fold, folds=folds, validation=validation,
        group=group, weights=weights, recipe=recipe, split_seed=split_seed, start=start, **changes,
    )  # fmt: skip
    with folder_lock(out, "training"):
        last = inspect_output_dir(out, plan.config, resume, overwrite)
        if isinstance(last, Run):
            say(progress, f"{out} is already finished; nothing was done.")
        else:
            where = pick_device(device)
            with own_stream(where), kept_memory():
                last = _Training(dataset, out, plan, where, last, progress, (on_plan, on_step, on_epoch)).run()
        return novelty_fit.ensure(last, dataset, device, progress)


@dataclass(frozen=True)
class TrainingPlan:
    """What a training is about to do.

    Attributes
    ----------
    plan : targets, split and recipe
    n_examples : pictures to an epoch: the training galaxies, or those of a taught training
    remarks : sentences on how good the teacher of a taught training is
    steps : to an epoch
    done : steps done already, where it is resumed
    history : the records of the epochs done already
    k, features : of the network
    origin : where its first weights come from
    device : ``cpu``, ``cuda``, …
    precision : ``float32`` or ``bfloat16``
    mean, scale : (T,) mean and standard deviation of the training galaxies' targets
    """

    plan: Plan
    n_examples: int
    remarks: list[str]
    steps: int
    done: int
    history: list[dict[str, float]]
    k: int
    features: int
    origin: str
    device: str
    precision: str
    mean: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training.

    Attributes
    ----------
    record : ``epoch`` (from 1), ``rate``, ``train_rmse``, ``validation_rmse`` in the target's unit (over all targets,
        and of each with its name), ``active_any``, ``active_1%``, ``active_10%``: how many features fire on held-out
        galaxies
    predictions : (n, T) of the n held-out galaxies, in the targets' units
    fires : (F,) on how many of them each feature fires
    """

    record: dict[str, float]
    predictions: np.ndarray
    fires: np.ndarray


def _about(seconds: float) -> str:
    """'less than a minute', 'about 7 minutes', 'about 3.2 hours'."""
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute"
    return f"about {minutes:.0f} minutes" if minutes < 120 else f"about {minutes / 60:.1f} hours"


def _ignore(_told: Any) -> None:
    """A hook that nobody gave."""


class _Training:
    """The state of one training, and the loop over it."""

    def __init__(
        self,
        dataset: Dataset,
        out: Path,
        plan: Plan,
        device: torch.device,
        last: dict[str, Any] | None,
        progress: bool,
        hooks: tuple[Callable[[Any], Any] | None, ...],
    ) -> None:
        self.dataset, self.out, self.plan, self.device = dataset, out, plan, device
        self.progress, self.recipe = progress, plan.recipe
        self.on_plan, self.on_step, self.on_epoch = (hook or _ignore for hook in hooks)
        self.mean, self.std = channel_statistics(dataset.cutouts, plan.train, plan.side, device)
        if plan.start is not None:
            self.mean, self.std = check_normalisation(plan.start, self.mean, self.std)
        known = plan.truth[plan.train]
        self.centre, self.scale = known.mean(axis=0), known.std(axis=0)  # (T,)
        self.bf16 = trains_in_bfloat16(device)
        self.examples = training_set(dataset, plan, self.centre, self.scale, device, progress)
        seed = plan.config["seed"]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = SFNet(plan.config["k"], len(plan.targets), plan.config["width"])
        self.origin = "" if last is not None else first_weights(network, plan.config["weights"], plan.start)
        self.network = network.to(device, memory_format=network.memory_format)
        self.optimiser = make_optimiser(self.network, self.recipe)
        self.epoch, self.step, self.history = 0, 0, []
        self.squares = np.zeros(len(plan.targets))  # summed squared errors of the running epoch, standardised
        self.steps = max(1, round(len(self.examples) / self.recipe.batch))  # per epoch
        self.objective = Objective(self.network, self.recipe, self.recipe.epochs * self.steps)
        if last is not None:
            self._restore(last)
        self.forward_backward = make_step(self.objective, self.optimiser, self.bf16)

    # ---- the loop

    def run(self) -> Run:
        plan = self.plan
        self._announce()
        self.on_plan(self._overview())
        feed = self.examples.feed
        held = CutoutLoader(self.dataset.cutouts, plan.validation, plan.side, self.device)
        if plan.start is not None and not (self.epoch or self.step):
            fit_head(self.network, feed, self.mean, self.std, self.examples.targets, self.recipe)
        total, interrupts = self.recipe.epochs, Interrupts()
        quiet = not self.progress
        bar = tqdm(total=total, initial=self.epoch, unit=" epochs", desc="train", disable=quiet, file=sys.stderr)
        with interrupts, bar:
            while self.epoch < total:
                if not self._one_epoch(feed, interrupts):
                    self._leave(interrupts, bar)
                epoch = self._evaluated(held)
                record = epoch.record
                self.history.append(record)
                self.epoch, self.step, self.squares = self.epoch + 1, 0, np.zeros_like(self.squares)
                bar.update()
                rmse = [f"{record[name]:.4f} {part}" for name, part in _SHOWN.items() if name in record]
                bar.set_postfix_str(f"RMSE {', '.join(rmse)}")
                go_on = self.on_epoch(epoch) is not False
                if self.epoch < total and not go_on:
                    return self._save("stopped")
                if self.epoch < total and interrupts.signal:  # it came after the epoch's last step
                    self._leave(interrupts, bar)
                if self.epoch < total and interrupts.seconds_since_save() > SAVE_SECONDS:
                    self._save("interrupted")
                    interrupts.saved()
            run = self._save("finished", {"active_features": self._active(self.examples.galaxies, held)})
        (self.out / LAST).unlink(missing_ok=True)
        interrupts.leave_if_asked()
        return run

    def _overview(self) -> TrainingPlan:
        return TrainingPlan(
            self.plan, len(self.examples), self.examples.remarks, self.steps, self.epoch * self.steps + self.step,
            list(self.history), self.network.k, self.network.n_features, self.origin, str(self.device),
            "bfloat16" if self.bf16 else "float32", self.centre, self.scale,
        )  # fmt: skip

    def _leave(self, interrupts: Interrupts, bar: tqdm) -> NoReturn:
        """Save what there is, say how to go on, and end as the signal asked."""
        self._save("interrupted")
        bar.close()
        where = f"epoch {self.epoch + 1} of {self.recipe.epochs}"
        say(True, f"Stopped in {where}; {self.out} can be used as it is; --resume continues.")
        interrupts.leave()

    def _one_epoch(self, feed: CutoutLoader, interrupts: Interrupts) -> bool:
        """The rest of an epoch, the last one's with the head; False when a signal ended it early."""
        recipe, seed = self.recipe, self.plan.config["seed"]
        order = np.random.default_rng([seed, 1, self.epoch]).permutation(len(self.examples))
        batches = np.array_split(order, self.steps)
        self.network.train()
        sums = torch.from_numpy(self.squares).to(self.device if self.device.type == "cuda" else "cpu")
        check = _CHECK.get(self.device.type, 50)
        for cutouts, chosen in zip(feed.batches(batches[self.step :]), batches[self.step :], strict=True):
            at = self.epoch * self.steps + self.step
            self.on_step(at)
            set_cycle(self.optimiser, *self._cycle(at))
            rng = np.random.default_rng([seed, 2, self.epoch, self.step])
            images = augment(cutouts, self.mean, self.std, rng, recipe.gain, recipe.sky)
            targets = self.examples.targets[to_device(chosen, self.device)]
            a, squares = self.forward_backward(images, targets, at)
            self.optimiser.step()
            self.objective.observe(a, at)
            sums = sums + squares.sum(0).to(sums.device).double()
            self.step += 1
            signalled = interrupts.signal
            check_now = signalled or self.step == self.steps or self.step % check == 0  # before anything is saved
            if check_now and not torch.isfinite(sums).all():
                raise SFNetError(
                    f"The loss is not finite at step {self.step} of epoch {self.epoch + 1}. The training was stopped; "
                    f"what was saved in {self.out} before is unchanged. Another --seed may help."
                )
            if signalled:
                break
        self.squares = sums.cpu().numpy()
        if self.step < self.steps or self.epoch + 1 < recipe.epochs:
            return self.step == self.steps
        return refit_head(self.objective, feed, self.mean, self.std, self.examples.targets, interrupts)

    def _cycle(self, step: int) -> tuple[float, float]:
        """Learning rate and momentum at a step counted from the training's first."""
        return one_cycle(step, self.recipe.epochs * self.steps, self.recipe.rate, self.recipe.warm_up)

    def _predict(self, feed: CutoutLoader, network: SFNet) -> tuple[Tensor, Tensor]:
        """Plain (single-view) predictions (n, T) and how many galaxies each feature fires on (F,)."""
        found, fires = [], torch.zeros(network.n_features, dtype=torch.int64, device=self.device)
        size = _EVALUATION_BATCH.get(self.device.type, 512)
        parts = [np.arange(i, min(i + size, len(feed))) for i in range(0, len(feed), size)]
        network.eval()
        with torch.inference_mode():
            for cutouts in feed.batches(parts):
                with autocast(self.device, self.bf16):
                    a = network.features(to_input(cutouts, self.mean, self.std))
                kept = gate(a, network.k)
                fires += (kept > 0).sum(0)
                found.append(network.head(kept).cpu())
        return torch.cat(found), fires.cpu()

    def _evaluated(self, held: CutoutLoader) -> Epoch:
        """One epoch's numbers, in the targets' units."""
        plan = self.plan
        per_target = {"train": np.sqrt(self.squares / len(self.examples)) * self.scale}
        predictions, fires = np.empty((0, len(plan.targets))), np.zeros(self.network.n_features, dtype=int)
        if len(plan.validation):
            found, fires = (part.numpy() for part in self._predict(held, self.objective.folded()))
            predictions = found.astype(np.float64) * self.scale + self.centre
            per_target["validation"] = np.sqrt(((predictions - plan.truth[plan.validation]) ** 2).mean(axis=0))
        rate = self._cycle((self.epoch + 1) * self.steps - 1)[0]
        record: dict[str, float] = {"epoch": self.epoch + 1, "rate": rate}
        record |= {f"{part}_rmse": float(np.sqrt((rmse**2).mean())) for part, rmse in per_target.items()}
        for part, rmse in per_target.items():
            if len(plan.targets) > 1:
                record |= {f"{part}_rmse_{name}": float(one) for name, one in zip(plan.targets, rmse, strict=True)}
        if len(plan.validation):
            record |= {f"active_{share}": n for share, n in activity(fires, len(plan.validation)).items()}
        return Epoch(record, predictions, fires)

    # ---- what is kept

    def _restore(self, last: dict[str, Any]) -> None:
        try:
            self.network.load_state_dict(last["network"])
            self.optimiser.load_state_dict(last["optimiser"])
            self.objective.load(last.get("objective", {}))
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise SFNetError(f"{self.out / LAST} does not fit this network ({str(error).splitlines()[0]}).") from error
        self.epoch, self.step, self.history = last["epoch"], last["step"], last["history"]
        self.squares, self.origin = np.array(last["squares"]), last["origin"]

    def _save(self, status: str, metrics: dict[str, Any] | None = None) -> Run:
        """Write the run as it stands, usable by itself, and (unless it is finished) what is needed to go on."""
        plan = self.plan
        run = Run(
            self.out,
            self._metadata(),
            plan.config,
            {"train": self.dataset.ids[plan.train], "validation": self.dataset.ids[plan.validation]},
            list(self.history),
            {
                "n_train": len(plan.train),
                "n_validation": len(plan.validation),
                "n_left_out": len(self.dataset) - len(plan.train) - len(plan.validation),
                "left_out": plan.left_out,
                **self.examples.metrics,
                **(self.history[-1] if self.history else {}),
                **(metrics or {}),
            },
            status,
        )
        run.write(self.out, self.objective.written(self.centre, self.scale))
        if status != "finished":
            state = {
                "schema": LAST_SCHEMA, "config": plan.config, "epoch": self.epoch, "step": self.step,
                "squares": self.squares.tolist(), "history": self.history, "origin": self.origin,
                "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(),
                "objective": self.objective.state,
            }  # fmt: skip
            write_last(self.out / LAST, state)
        return run

    def _metadata(self) -> dict[str, Any]:
        dataset, plan = self.dataset, self.plan
        return {
            "schema": checkpoint.SCHEMA, "k": self.network.k, "features": self.network.n_features,
            "width": self.network.width, "targets": plan.targets, "units": plan.units, "crop": plan.side,
            "cutout_size": [dataset.meta["height"], dataset.meta["width"]], "pixel_scale": dataset.pixel_scale,
            "mean": self.mean, "std": self.std, "data_fingerprint": dataset.fingerprint,
            "dataset": dataset.meta["source"] or dataset.path.name, "simulated": dataset.simulated,
            "weights_origin": self.origin,
            "versions": {"sfnet-core": __version__, "torch": torch.__version__, "numpy": np.__version__},
        }  # fmt: skip

    def _active(self, feed: CutoutLoader, held: CutoutLoader) -> dict[str, int]:
        """How many features fire at all, on ≥ 1 % and on ≥ 10 % of the galaxies used."""
        plan, network = self.plan, self.objective.folded()
        fires = self._predict(feed, network)[1]
        if len(plan.validation):
            fires = fires + self._predict(held, network)[1]
        return activity(fires.numpy(), len(plan.train) + len(plan.validation))

    def _seconds(self) -> float:
        """How long the steps that are left will take, by one step of a copy of the network on blank pictures."""
        objective = Objective(copy.deepcopy(self.network).train(), self.recipe, self.recipe.epochs * self.steps)
        side, batch = self.plan.side, max(2, min(self.recipe.batch, len(self.examples)))
        blank = to_input(torch.zeros(batch, side, side, 3, dtype=torch.uint8, device=self.device), self.mean, self.std)
        targets = self.examples.targets[:batch]
        for _ in range(2):  # the first chooses its kernels
            started = time.perf_counter()
            with autocast(self.device, self.bf16):
                a = objective.features(blank)
            objective.loss(a, targets, 0)[0].backward()
            float(objective.network.head.bias.grad.sum())  # waits for a GPU
            took = time.perf_counter() - started
        return took * (self.steps * (self.recipe.epochs - self.epoch) - self.step)

    def _announce(self) -> None:
        if not self.progress:
            return
        plan, n = self.plan, len(self.dataset)
        left = n - len(plan.train) - len(plan.validation)
        precision = "bfloat16 autocast" if self.bf16 else "float32"
        start = f"resumed at epoch {self.epoch + 1}" if self.epoch or self.step else self.origin
        say(
            True,
            f"{', '.join(plan.targets)} from {len(plan.train):,} galaxies, {len(plan.validation):,} held out"
            + (f", {left:,} left out: {plan.left_out_words()}" if left else "")
            + f"; k={self.network.k} of {self.network.n_features} features, {start}; {self.device} in {precision}; "
            + " ".join(
                (
                    f"the central {plan.side} px; {self.recipe.sentence()}.",
                    *plan.remarks,
                    *self.examples.remarks,
                    f"Expect {_about(self._seconds())}.",
                )
            ),
        )
