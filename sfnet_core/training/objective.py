"""What a training minimises, and how features are kept alive in it.

A gate sends gradients through the kept features only: the few that are large early are the only ones to grow, and the
others die, before the gate (a map that is 0 everywhere) or at it (never among the k largest). Two fields of
the recipe act against it; :data:`~sfnet_core.training.recipes.ALIVE` has both:

- ``start_k``: the gate begins with this many features and is narrowed to k over the first half to four fifths of the
  training: so long as enough steps are left for the features to find their places behind the narrow gate.
- ``balance``: of the features kept most often, one kept too rarely gets its map raised before the trunk's last ReLU,
  step by step, one kept often gets it lowered, more slowly: the usage-driven bias of Wang et al. 2024
  (arXiv:2408.15664), where it can be folded. Only so many features are looked after as can be in use beside those that
  carry the prediction: to give every one an even share costs accuracy, since each takes a place from another.

The offset acts before a ReLU, so it is folded into the bias of the trunk's last normalisation when a run is written
(:meth:`Objective.folded`): the saved network is the paper's, and its codes hold its k largest activations.

Shape letters: B batch, F features, h w feature-map cells, T targets.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from sfnet_core.model.network import SFNet, gate, pool
from sfnet_core.training.recipes import Recipe

__all__ = ["Objective", "activity", "fold"]

ANNEALED = 0.5, 0.8  # shares of the steps after which the gate has its own k, at least and at most …
LEFT = 120  # … so that about so many steps are left
MEMORY = 0.95  # share of a running average that a step keeps
LONG_MEMORY = 0.99  # the same of the average that tells which features are kept most often
BALANCED = 80  # features, those kept most often, that are raised where they are kept too rarely
FEW = 1000, 96  # … but so many in a training of fewer galaxies than this, where shares on other galaxies scatter more
TARGET_USAGE = 0.0135  # share of the galaxies on which each of them is to be kept …
FEWEST = 4  # … and at least on so many of the training's
MOST_PLACES = 0.5  # … as long as all of them together then take no more than this share of the k places
LOWERED = 0.2  # how much slower a frequent one is lowered than a rare one is raised, at most
SPEED_UP = 4.0, 960  # offsets move up to so many times as far in a training of fewer steps than this
SETTLED = 0.6  # last share of the steps, in which offsets move less and less


class Objective:
    """The loss of a training with this recipe, and the state it keeps beside the weights.

    ``state``: name → (F,) tensor, what ``last.ckpt`` must hold to go on; empty for recipes without an option of this
    module, whose arithmetic is then that of the network alone. ``steps``: of the whole training.
    """

    def __init__(self, network: SFNet, recipe: Recipe, steps: int) -> None:
        self.network, self.recipe, self.steps = network, recipe, steps
        self.shares = torch.from_numpy(recipe.gate_shares()).float().to(network.head.weight.device)  # (multi_k,)
        zero = torch.zeros(network.n_features, device=network.head.weight.device)
        self.state: dict[str, Tensor] = {}
        if recipe.balance:
            even = zero + network.k / network.n_features
            self.state = {"offset": zero, "usage": even, "often": even.clone()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from the state of a training that was interrupted."""
        if state.keys() != self.state.keys():
            raise ValueError(f"the state of its features holds {sorted(state)}, not {sorted(self.state)}")
        for name, tensor in self.state.items():
            tensor.copy_(state[name])

    # ---- one step

    def features(self, images: Tensor) -> Tensor:
        """Images of a training batch → activations (B, F)."""
        if not self.state:
            return self.network.features(images)
        z = self.network.before_relu(images).float() + self.state["offset"][:, None, None]  # (B, F, h, w)
        return pool(torch.relu(z))

    def loss(self, a: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and its squared errors (B, T), at a step counted from the training's first."""
        network, recipe = self.network, self.recipe
        if recipe.multi_k:
            each = network.read_each(a, recipe.multi_k) - targets[:, None]  # (B, k, T)
            error, loss = each[:, network.k - 1], (each.square().mean((0, 2)) * self.shares).sum()
        else:
            error = network.read(a, self.k(step)) - targets
            loss = error.square().mean()
        if recipe.loss == "rmse":
            loss = (loss + 1e-8).sqrt()  # the root's slope at 0 is infinite
        return loss, error.detach().square()

    @property
    def annealed(self) -> float:
        """The share of the steps after which the gate has its own k."""
        return min(max(1 - LEFT / self.steps, ANNEALED[0]), ANNEALED[1])

    def k(self, step: int) -> int:
        """The gate's k at a step: from ``start_k`` geometrically down to the network's own, then that."""
        first, last = min(self.recipe.start_k, self.network.n_features), self.network.k
        share = step / max(1.0, self.annealed * self.steps)
        if not first or share >= 1:
            return last
        return max(last, round(first * (last / first) ** share))

    @property
    def galaxies(self) -> float:
        """Of the training, to a batch."""
        return self.steps * self.recipe.batch / self.recipe.epochs

    @property
    def balanced(self) -> int:
        """How many features are looked after."""
        return min(FEW[1] if self.galaxies < FEW[0] else BALANCED, self.network.n_features)

    @property
    def target_usage(self) -> float:
        """On which share of the galaxies a feature that is looked after is to be kept."""
        return min(max(TARGET_USAGE, FEWEST / self.galaxies), MOST_PLACES * self.network.k / self.balanced)

    @torch.no_grad()
    def observe(self, a: Tensor, step: int) -> None:
        """After a step: count which features its batch kept, and move the offsets."""
        if not self.state:
            return
        kept = (gate(a.detach(), self.k(step)) > 0).sum(0)  # (F,)
        usage = self.state["usage"].lerp_(kept / len(a), 1 - MEMORY)
        often = self.state["often"].lerp_(kept / len(a), 1 - LONG_MEMORY)
        these = often.argsort(descending=True, stable=True)[: self.balanced]
        rate = self.recipe.balance * min(1.0, (1 - step / self.steps) / SETTLED)
        rate *= min(max(SPEED_UP[1] / self.steps, 1.0), SPEED_UP[0])
        self.state["offset"][these] += rate * (1 - usage[these] / self.target_usage).clamp(-LOWERED, 1)

    # ---- the network as it is used

    def folded(self) -> SFNet:
        """The network that gives by itself what is trained here: itself, or a folded copy."""
        if not self.state:
            return self.network
        network = copy.deepcopy(self.network)
        fold(network, self.state["offset"])
        return network

    def written(self, centre: np.ndarray, scale: np.ndarray) -> SFNet:
        """That as a copy on the CPU whose head speaks the targets' units, (T,) each: w ← σ w, b ← σ b + μ."""
        network = copy.deepcopy(self.folded()).cpu()
        weight, bias = network.head.weight.detach().double(), network.head.bias.detach().double()
        sigma, mu = torch.from_numpy(scale), torch.from_numpy(centre)
        network.head.weight.data = (weight * sigma[:, None]).float()
        network.head.bias.data = (bias * sigma + mu).float()
        return network.eval()


@torch.no_grad()
def fold(network: SFNet, offset: Tensor) -> None:
    """Change the network so that the trunk's last sum z, whose ReLU gives the maps, becomes z + offset (F,)."""
    network.layer4[-1].bn2.bias.add_(offset)


def activity(fires: np.ndarray, n: int) -> dict[str, int]:
    """How many features fire at all, on ≥ 1 % and on ≥ 10 % of ``n`` galaxies, from how often each does (F,)."""
    share = fires / n
    return {"any": int((fires > 0).sum()), "1%": int((share >= 0.01).sum()), "10%": int((share >= 0.1).sum())}
