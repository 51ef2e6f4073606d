"""The optimisers of the recipes, Lookahead, and the one-cycle schedule as a function of the step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from sfnet_core.training.recipes import Recipe

__all__ = ["Lookahead", "make_optimiser", "one_cycle", "set_cycle"]


class Lookahead:
    """Slow weights that follow the optimiser's fast ones (Zhang et al. 2019, arXiv:1907.08610, algorithm 1).

    Every ``every`` steps: φ ← φ + α (θ − φ), θ ← φ. The slow weights start as the fast ones.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, every: int = 6, alpha: float = 0.5) -> None:
        self.optimiser, self.every, self.alpha, self.count = optimiser, every, alpha, 0
        self.param_groups = optimiser.param_groups
        self.slow = [[p.detach().clone() for p in group["params"]] for group in self.param_groups]

    def zero_grad(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)

    @torch.no_grad()
    def step(self) -> None:
        self.optimiser.step()
        self.count += 1
        if self.count % self.every == 0:
            for group, slow in zip(self.param_groups, self.slow, strict=True):
                for fast, kept in zip(group["params"], slow, strict=True):
                    kept.lerp_(fast, self.alpha)
                    fast.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return {"optimiser": self.optimiser.state_dict(), "slow": self.slow, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self.param_groups = self.optimiser.param_groups
        for mine, theirs in zip(self.slow, state["slow"], strict=True):
            for kept, value in zip(mine, theirs, strict=True):
                kept.copy_(value)
        self.count = state["count"]


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer | Lookahead:
    """The recipe's optimiser over all parameters; weight decay is decoupled (Loshchilov & Hutter 2019) in both."""
    parameters = list(network.parameters())
    if recipe.optimiser == "adamw":
        fused = parameters[0].device.type in ("cpu", "cuda")
        return torch.optim.AdamW(parameters, recipe.rate, weight_decay=recipe.weight_decay, fused=fused)
    inner = torch.optim.RAdam(
        parameters, recipe.rate, weight_decay=recipe.weight_decay, eps=1e-6, decoupled_weight_decay=True
    )
    return Lookahead(inner)


def one_cycle(step: int, total: int, peak: float, warm_up: float = 0.25) -> tuple[float, float]:
    """The one-cycle schedule (Smith & Topin 2019; cosine form, as in fastai).

    The rate rises from peak/25 to the peak over the ``warm_up`` share of the steps and falls to peak/25e4; the momentum
    goes 0.95 → 0.85 → 0.95 against it. A function of the step, so that resuming needs no state.

    Parameters
    ----------
    step, total : the step, and the steps of the whole training
    peak : the highest rate
    warm_up : share of the steps in which the rate rises

    Returns
    -------
    rate, momentum
        Of this step.
    """
    top = warm_up * total - 1
    if step < top or step == top > 0:
        return _cosine(peak / 25, peak, step / top), _cosine(0.95, 0.85, step / top)
    done = (step - top) / max(total - 1 - top, 1e-12)
    return _cosine(peak, peak / 25e4, done), _cosine(0.85, 0.95, done)


def set_cycle(optimiser: torch.optim.Optimizer | Lookahead, rate: float, momentum: float) -> None:
    """Give every parameter group this rate and first momentum."""
    for group in optimiser.param_groups:
        group["lr"] = rate
        group["betas"] = (momentum, group["betas"][1])


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))
