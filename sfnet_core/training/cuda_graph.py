"""A training step's forward and backward pass as one CUDA graph: hundreds of small kernels, launched at once.

A ResNet18 on a batch of 32 small images keeps a large GPU busy for less time than its kernels take to be launched one
by one. A graph is recorded once for each shape of batch and each gate, then replayed with new images in the same place.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from sfnet_core.model.device import autocast

if TYPE_CHECKING:
    from sfnet_core.training.objective import Objective

__all__ = ["GraphedStep", "Replay", "make_step", "record_cuda"]

EAGER = 2  # steps of a kind that are done as usual, before it is recorded: libraries choose and load their kernels
MOST = 4  # recorded kinds at once, each with its own memory for all activations; a narrowing gate leaves kinds behind

Step = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def make_step(objective: Objective, optimiser: torch.optim.Optimizer, bf16: bool) -> Step:
    """A step's forward and backward pass.

    Parameters
    ----------
    objective : the network and its loss
    optimiser : whose gradients are set to zero before the backward pass
    bf16 : compute in bfloat16 where autocast does

    Returns
    -------
    Step
        A function of images (B, 3, s, s), their targets (B, T) and the step's number. It leaves the gradients in the
        parameters and gives activations (B, F) and squared errors (B, T), which hold until the next step. On CUDA it is
        a :class:`GraphedStep`.
    """
    device = objective.network.head.weight.device

    def step(images: Tensor, targets: Tensor, at: int) -> tuple[Tensor, Tensor]:
        with autocast(device, bf16):
            a = objective.features(images)
        loss, squares = objective.loss(a, targets, at)
        optimiser.zero_grad()
        loss.backward()
        return a.detach(), squares

    if device.type != "cuda":
        return step
    return GraphedStep(step, objective.k, list(objective.network.parameters()))


class Replay(Protocol):
    """What was recorded, done again."""

    def replay(self) -> None:
        """Do it, on what is in its tensors now."""


def record_cuda(work: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Replay, tuple[Tensor, Tensor]]:
    """``work`` as a CUDA graph on the current stream, which must not be the default one, and its (future) results."""
    graph = torch.cuda.CUDAGraph()
    # other threads go on: one reads cutouts ahead into pinned memory, which no other mode allows during a recording
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
        results = work()
    return graph, results


class _Kind:
    """One recorded kind of step: its inputs, results and gradients lie where they lay when it was recorded."""

    def __init__(self, step: Step, parameters: Sequence[torch.nn.Parameter], images: Tensor, targets: Tensor, at: int,
                 record: Callable) -> None:  # fmt: skip
        self.images, self.targets = torch.empty_like(images), torch.empty_like(targets)
        for parameter in parameters:
            parameter.grad = None  # so that it gets a new one, which belongs to the recording
        self._replay, self.results = record(lambda: step(self.images, self.targets, at))
        self._parameters = [parameter for parameter in parameters if parameter.grad is not None]
        self._gradients = [parameter.grad for parameter in self._parameters]

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        self.images.copy_(images)
        self.targets.copy_(targets)
        self._replay.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self.results


class GraphedStep:
    """A step that is recorded the third time it is asked for, and replayed from then on.

    ``step(images, targets, at)`` does a forward and a backward pass, leaves the gradients in the ``parameters`` and
    gives (activations, squared errors), which hold until the next step. ``kind(at)`` is what of its arithmetic depends
    on the number ``at`` of the step: the gate's k. Of more than :data:`MOST` kinds the first recorded is forgotten.
    Where recording fails (for want of memory, say), the steps go on being done as usual, with a warning.
    """

    def __init__(
        self,
        step: Step,
        kind: Callable[[int], Hashable],
        parameters: Sequence[torch.nn.Parameter],
        record: Callable = record_cuda,
    ) -> None:
        self._step, self._kind, self._parameters, self._record = step, kind, list(parameters), record
        self._seen: Counter = Counter()
        self.kinds: dict[Hashable, _Kind] = {}
        self.failed = False

    def __call__(self, images: Tensor, targets: Tensor, at: int) -> tuple[Tensor, Tensor]:
        kind = self._kind(at)
        key = (tuple(images.shape), kind)
        if key not in self.kinds:
            self._seen[key] += 1
            if self.failed or self._seen[key] <= EAGER:
                return self._step(images, targets, at)
            if len(self.kinds) == MOST:
                self._forget(next(iter(self.kinds)))
            try:
                self.kinds[key] = _Kind(self._step, self._parameters, images, targets, at, self._record)
            except RuntimeError as error:
                self.failed = True
                reason = str(error).strip().splitlines()[0]
                warnings.warn(f"No CUDA graph could be recorded ({reason}): training is slower.", stacklevel=2)
                for parameter in self._parameters:
                    parameter.grad = None
                self._forget(*self.kinds)
                return self._step(images, targets, at)
        return self.kinds[key](images, targets)

    def _forget(self, *keys: Hashable) -> None:
        """Free the memory of recorded kinds, once the device has done with them."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        for key in keys:
            del self.kinds[key]
