"""Where in the image a contribution comes from: exact feature-map cells, and occlusion beside them.

The two answer different questions. A contribution map says in which cells of the last feature map the activation was
collected; each cell sees a wide part of the image, so that it is no map of causes. Occlusion says how the prediction
changes when a patch is covered. They often differ; neither is interpolated here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sfnet_core.model.network import SFNet
from sfnet_core.utils.errors import SFNetError

__all__ = ["contribution_maps", "occlusion"]


@torch.no_grad()
def contribution_maps(network: SFNet, images: Tensor, target: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Contributions of the kept features, cell by cell, on the feature map's own grid.

    ``images`` (B, 3, H, W), normalised. Returns ``indices`` (B, k) int16 (−1: empty slot) and ``maps`` (B, k, h, w)
    float64 in the target's unit: w_j · m_j / (h·w). Bias plus the sum over k, h and w is the prediction.
    """
    weight, _ = _head(network, target)
    device = next(network.parameters()).device
    kept, _, of_kept = network.eval().encode(images.to(device), runners_up=0)
    indices, maps = kept.cpu().numpy(), of_kept.double().cpu().numpy()
    cells = maps.shape[2] * maps.shape[3]
    return indices, np.append(weight, 0.0)[indices][:, :, None, None] * maps / cells


@torch.no_grad()
def occlusion(
    network: SFNet,
    image: Tensor,
    patch: int = 16,
    stride: int = 8,
    target: int = 0,
    fill: Tensor | None = None,
    batch: int = 64,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much the prediction falls when a square is covered.

    ``image`` (3, H, W), normalised; squares of ``patch`` px every ``stride`` px are painted with ``fill`` (3,), by
    default the median colour of the image's border (the sky). Returns ``drop`` (rows, columns) float64 = prediction −
    prediction with the square covered, in the target's unit, and the squares' upper edges (rows,) and left edges
    (columns,) in px. The last squares end at the image's edge. The gate chooses anew for each: this is a rerun, not
    the ablation of a feature.
    """
    _head(network, target)
    if image.ndim != 3 or image.shape[0] != 3:
        raise SFNetError(f"Occlusion takes one image (3, H, W), not {tuple(image.shape)}.")
    _, height, width = image.shape
    if not 1 <= patch <= min(height, width) or stride < 1:
        raise SFNetError(f"Squares of {patch} px every {stride} px do not fit an image of {height}×{width} px.")
    network.eval()
    image = image.to(next(network.parameters()).device)
    if fill is None:
        border = torch.cat([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], dim=1)  # (3, 2H + 2W)
        fill = border.median(dim=1).values
    fill = torch.as_tensor(fill, dtype=image.dtype, device=image.device)[:, None, None]
    top, left = _edges(height, patch, stride), _edges(width, patch, stride)
    places = [(y, x) for y in top for x in left]
    found = []
    for start in range(0, len(places), batch):
        covered = image.repeat(len(places[start : start + batch]), 1, 1, 1)
        for one, (y, x) in zip(covered, places[start : start + batch], strict=True):
            one[:, y : y + patch, x : x + patch] = fill
        found.append(network(covered)[:, target].double().cpu().numpy())
    whole = float(network(image[None])[0, target])
    return whole - np.concatenate(found).reshape(len(top), len(left)), np.array(top), np.array(left)


def _edges(length: int, patch: int, stride: int) -> list[int]:
    starts = list(range(0, length - patch + 1, stride))
    return starts if starts[-1] == length - patch else [*starts, length - patch]


def _head(network: SFNet, target: int) -> tuple[np.ndarray, float]:
    """(F,) weights and the bias of one target, float64."""
    if not 0 <= target < network.targets:
        raise SFNetError(f"The network has {network.targets} target(s); there is no target number {target}.")
    return network.head.weight[target].double().cpu().numpy(), float(network.head.bias[target])
