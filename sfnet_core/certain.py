"""Which galaxies' gates a lower precision could have changed: measured tolerances of activations, and each row's slack.

bfloat16 has 8 bits of mantissa: after 20 layers an activation is off by about a percent of the galaxy's largest, which
swaps the k-th and (k+1)-th feature of some galaxies. How far off is measured, feature by feature, on galaxies computed
both ways. A galaxy is certain where even features off by that much would be kept all the same; the others are computed
again in float32.

Shape letters: B batch, F features, K kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfnet_core.network import strongest

__all__ = ["SAFETY", "Tolerance", "measure_tolerance"]

SAFETY = 1.5  # tolerances are this much wider than the largest error seen


@dataclass
class Tolerance:
    """``epsilon`` (F,): how far each activation may be from float32's, as a share of the galaxy's largest one."""

    epsilon: Tensor

    def slack(self, a: Tensor, k: int) -> Tensor:
        """By how many tolerances a gate of ``k`` is decided: (B, F) → (B,).

        The smallest (a_i − a_j) / (s (ε_i + ε_j)) over kept i and dropped j, with s the row's largest activation. Above
        1 no errors within the tolerance change which features are kept. Infinite where nothing is dropped.
        """
        _, order = strongest(a, a.shape[1])
        kept, dropped = order[:, :k], order[:, k:]
        if not dropped.shape[1]:
            return torch.full((len(a),), torch.inf, device=a.device)
        room = self.epsilon * a.amax(1, keepdim=True)  # (B, F)
        gap = a.gather(1, kept)[:, :, None] - a.gather(1, dropped)[:, None, :]  # (B, K, F − K)
        width = room.gather(1, kept)[:, :, None] + room.gather(1, dropped)[:, None, :]
        return (gap / width).nan_to_num(nan=0.0, posinf=torch.inf).amin((1, 2))  # all-zero rows: 0/0, never certain

    def exceeded(self, slots: np.ndarray, values: np.ndarray, exact_slots: np.ndarray, exact: np.ndarray) -> float:
        """The largest error in tolerances over features that both codes of a galaxy store.

        ``slots`` and ``values`` (n, K+r) of the lower precision, then of float32; an empty slot is −1. 0 without any.
        """
        same = (slots[:, :, None] == exact_slots[:, None, :]) & (slots >= 0)[:, :, None]  # (n, K+r, K+r)
        n, low, high = np.nonzero(same)
        if not len(n):
            return 0.0
        room = self.epsilon.cpu().numpy()[slots[n, low]] * values.max(axis=1)[n]
        return float(np.max(np.abs(values[n, low] - exact[n, high]) / room))


def measure_tolerance(low: Tensor, high: Tensor) -> Tolerance:
    """Tolerances from activations of the same galaxies in the lower precision and in float32: (B, F) twice.

    A feature's is :data:`SAFETY` times its largest error seen, and no less than the median feature's: what seldom fires
    here may fire elsewhere.
    """
    share = (low - high).abs() / low.amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    epsilon = SAFETY * share[torch.isfinite(share).all(1)].amax(0)
    positive = epsilon[epsilon > 0]
    floor = positive.median() if len(positive) else torch.tensor(torch.finfo(torch.bfloat16).eps)
    return Tolerance(epsilon.clamp_min(floor))
