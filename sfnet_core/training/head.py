"""The head by least squares: behind a trunk that comes from elsewhere, and once more after the last step.

The prediction is linear in the kept features, so the best head for a given trunk is a linear regression. Steps come
near it, but for the features of training batches, which are normalised by their own means and variances: in use a
network has running averages of those, and other values. Where gates of several k share one head, what is lost so is
largest behind the narrowest (benchmarks/results/multi_k).

Shape letters: n galaxies, B batch, F features, T targets, m largest gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from sfnet_core.augment import to_input
from sfnet_core.network import SFNet, strongest

if TYPE_CHECKING:
    from sfnet_core.feed import CutoutFeed
    from sfnet_core.recipes import Recipe
    from sfnet_core.training.alive import Objective

__all__ = ["fit_head", "refit_head"]

PENALTY = 0.01  # on a weight's distance from where it is drawn to, of the largest variance of an activation
_PIECE = 64  # galaxies in a forward pass


@torch.no_grad()
def fit_head(
    network: SFNet,
    feed: CutoutFeed,
    mean: list[float],
    std: list[float],
    wanted: Tensor,
    recipe: Recipe,
    drawn_to: Tensor | float = 0.0,
) -> None:
    """Ridge regression of ``wanted`` (n, T) on what passes the network's gate, or the recipe's gates as they count.

    ``feed`` has the n galaxies; each is seen once, unturned, in ``eval`` mode. The penalty is :data:`PENALTY` · n times
    the largest variance of an activation, on the squared distance of the weights from ``drawn_to`` (T, F); a feature
    that is never kept has that weight. The intercept is not penalised. In float64, from sums: no (n, F) is kept.
    """
    network.eval()
    shares = recipe.gate_shares() if recipe.multi_k else np.eye(network.k)[-1]
    n, most, size = len(wanted), len(shares), network.n_features + 1
    y = wanted.cpu().double()
    passing = np.cumsum(shares[::-1])[::-1]  # the share of the gates that the feature of each rank passes
    counts = torch.from_numpy(np.concatenate([[1.0], passing]))  # … with the intercept before them
    ranks = torch.arange(most + 1)
    pairs = counts[torch.maximum(ranks[:, None], ranks)]
    square, right = torch.zeros(size * size, dtype=torch.float64), torch.zeros(size, y.shape[1], dtype=torch.float64)
    parts = np.array_split(np.arange(n), -(-n // _PIECE))
    for cutouts, rows in zip(feed.batches(parts), parts, strict=True):
        found, features = strongest(network.features(to_input(cutouts, mean, std)), most)  # (B, m)
        values = pad(found.cpu().double(), (1, 0), value=1.0)  # (B, 1 + m)
        at = pad(features.cpu() + 1, (1, 0))  # 0: the intercept
        products = pairs * values[:, :, None] * values[:, None]
        square.index_add_(0, (at[:, :, None] * size + at[:, None]).flatten(), products.flatten())
        right.index_add_(0, at.flatten(), ((counts * values)[:, :, None] * y[rows][:, None]).flatten(0, 1))
    square, right = square.reshape(size, size) / n, right / n
    spread = square.diagonal()[1:] - square[0, 1:] ** 2
    penalty = max(PENALTY * float(spread.max()), 1e-12)
    weight = network.head.weight
    square.diagonal()[1:] += penalty
    right[1:] += penalty * torch.as_tensor(drawn_to, dtype=torch.float64).cpu().expand(weight.shape).T
    solved = torch.linalg.solve(square, right)  # (1 + F, T)
    weight.copy_(solved[1:].T)
    network.head.bias.copy_(solved[0])


def refit_head(objective: Objective, feed: CutoutFeed, mean: list[float], std: list[float], wanted: Tensor) -> None:
    """After the last step, where the recipe says so: the same for the finished network's features, near its weights."""
    if not objective.recipe.refit_head:
        return
    network = objective.folded()
    fit_head(network, feed, mean, std, wanted, objective.recipe, network.head.weight.detach().clone())
    objective.network.head.load_state_dict(network.head.state_dict())
