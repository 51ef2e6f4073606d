"""The head by least squares: behind a trunk that comes from elsewhere, and once more after the last step.

The prediction is linear in the kept features, so the best head for a given trunk is a linear regression. Steps come
near it, but for the features of training batches, which are normalised by their own means and variances: in use a
network has running averages of those, and other values.

Shape letters: n galaxies, B batch, F features, T targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from sfnet_core.model.network import SFNet, gate
from sfnet_core.model.preprocess import to_input

if TYPE_CHECKING:
    from sfnet_core.model.cutout_loader import CutoutLoader
    from sfnet_core.training.objective import Objective
    from sfnet_core.training.recipes import Recipe
    from sfnet_core.utils.signals import Interrupts

__all__ = ["fit_head", "refit_head"]

FRESH, NEAR = 0.01, 0.05  # penalties of a head that has no weights yet, and of one that is to stay near those it has
_PIECE = 64  # galaxies in a forward pass


@torch.no_grad()
def fit_head(
    network: SFNet,
    feed: CutoutLoader,
    mean: list[float],
    std: list[float],
    targets: Tensor,
    recipe: Recipe,
    drawn_to: Tensor | None = None,
    interrupts: Interrupts | None = None,
) -> bool:
    """Ridge regression of the targets on what passes the network's gate, or the recipe's gates as they count.

    Each galaxy is seen once, unturned, in ``eval`` mode. The squared distance of the weights from ``drawn_to``, or from
    0, is penalised: n times :data:`NEAR`, or :data:`FRESH`, times the largest variance of an activation. So a feature
    that is rarely kept stays near that weight, one that never is has it. The intercept is not penalised. In float64,
    from sums over batches.

    Parameters
    ----------
    network : its head is replaced
    feed : the n galaxies
    mean, std : of each band, for the normalisation
    targets : (n, T)
    recipe : its gates
    drawn_to : (T, F) weights that those found are to stay near
    interrupts : asked for a signal between batches

    Returns
    -------
    bool
        ``False`` where a signal came; the head is then as it was.
    """
    network.eval()
    gates = list(enumerate(recipe.gate_shares(), 1)) if recipe.multi_k else [(network.k, 1.0)]
    n, size, y = len(targets), network.n_features + 1, targets.cpu().double()
    square, right = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, y.shape[1], dtype=torch.float64)
    parts = np.array_split(np.arange(n), -(-n // _PIECE))
    for cutouts, rows in zip(feed.batches(parts), parts, strict=True):
        if interrupts is not None and interrupts.signal:
            return False
        a = network.features(to_input(cutouts, mean, std)).float().cpu()
        for k, share in gates:
            kept = pad(gate(a, k).double(), (1, 0), value=1.0)  # (B, 1 + F), the intercept first
            square += share / n * kept.T @ kept
            right += share / n * kept.T @ y[rows]
    spread = square.diagonal()[1:] - square[0, 1:] ** 2
    penalty = max((FRESH if drawn_to is None else NEAR) * float(spread.max()), 1e-12)
    square.diagonal()[1:] += penalty
    if drawn_to is not None:
        right[1:] += penalty * drawn_to.double().cpu().T
    solved = torch.linalg.solve(square, right)  # (1 + F, T)
    network.head.weight.copy_(solved[1:].T)
    network.head.bias.copy_(solved[0])
    return True


def refit_head(
    objective: Objective,
    feed: CutoutLoader,
    mean: list[float],
    std: list[float],
    targets: Tensor,
    interrupts: Interrupts | None = None,
) -> bool:
    """After the last step: :func:`fit_head` for the finished network's features, near its weights, if the recipe asks.

    Parameters and what is returned are those of :func:`fit_head`.
    """
    if not objective.recipe.refit_head:
        return True
    network = objective.folded()
    near = network.head.weight.detach().clone()
    done = fit_head(network, feed, mean, std, targets, objective.recipe, near, interrupts)
    objective.network.head.load_state_dict(network.head.state_dict())
    return done
