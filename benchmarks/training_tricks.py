"""Ways to train sooner that ``train`` does not offer, put into it from outside to see whether they pay."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from unittest.mock import patch

import torch

from sfnet_core.training import loop as training
from sfnet_core.training.objective import Objective
from sfnet_core.training.optimiser import make_optimiser
from sfnet_core.training.recipes import Recipe

__all__ = ["TRICKS", "Averaged", "Halved", "tricks"]

TRICKS = ("halved", "average", "flat")


@contextlib.contextmanager
def tricks(steps: int, halved: float = 0.0, average: float = 0.0, flat: bool = False) -> Iterator[None]:
    """Within it ``train`` trains its ``steps`` steps with these: see :class:`Halved` and :class:`Averaged`."""
    with contextlib.ExitStack() as stack:
        if halved:
            stack.enter_context(patch.object(training, "Objective", partial(Halved, share=halved)))
        if average:
            made = partial(Averaged, steps=steps, average=average, flat=flat)
            stack.enter_context(patch.object(training, "make_optimiser", made))
        yield


class Halved(Objective):
    """Images of half the side (means of 2 × 2 px) in the first ``share`` of the steps, then whole ones."""

    def __init__(self, *arguments: object, share: float) -> None:
        super().__init__(*arguments)
        self.share, self.seen = share, 0

    def features(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        self.seen += 1
        small = self.seen <= self.share * self.steps
        return super().features(torch.nn.functional.avg_pool2d(images, 2) if small else images)


class Averaged:
    """The recipe's optimiser, with a running average of the network's weights and statistics on which it ends.

    A step keeps the share ``average`` of it; with ``flat`` the rate stays at its peak once it is reached.
    """

    def __init__(self, network: torch.nn.Module, recipe: Recipe, steps: int, average: float, flat: bool) -> None:
        self.inner, self.steps, self.average, self.done = make_optimiser(network, recipe), steps, average, 0
        self.peak, self.flat = recipe.rate, flat
        self.tensors = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
        self.kept = [tensor.detach().clone() for tensor in self.tensors]
        self.param_groups, self.zero_grad = self.inner.param_groups, self.inner.zero_grad
        self.state_dict = self.inner.state_dict

    @torch.no_grad()
    def step(self) -> None:
        if self.flat and self.done > self.steps / 4:
            for group in self.param_groups:
                group["lr"] = self.peak
        self.inner.step()
        self.done += 1
        for kept, now in zip(self.kept, self.tensors, strict=True):
            kept.lerp_(now, 1 - self.average)
            if self.done == self.steps:
                now.copy_(kept)
