"""The trunk as inference runs it: batch normalisation folded into the convolutions, and oneDNN's or cuDNN's fusions.

On a CPU the 3×3 convolutions of small maps are done as :class:`sfnet_core.model.kernels.onednn.Wide` in bfloat16.

Shape letters: B batch, F features, h w feature-map cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sfnet_core.model.device import autocast
from sfnet_core.model.kernels.onednn import OneDnn, Wide, can_call, fits_wide
from sfnet_core.model.network import SFNet

__all__ = ["FusedTrunk", "can_fuse", "trunk_of"]

Trunk = Callable[[Tensor], Tensor]
PIECE = 8  # images whose first maps, four times the others' size, are made and pooled at once: they stay in the cache


def trunk_of(network: SFNet, side: int, batch: int, dtype: torch.dtype = torch.float32) -> Trunk:
    """The quickest way there is here from normalised images (B, 3, side, side) to maps (B, F, h, w).

    Its answer is :meth:`SFNet.maps`', to rounding. ``batch`` is what most batches will have.
    """
    device = next(network.parameters()).device
    if can_fuse(network):
        return FusedTrunk(network, side, batch, dtype)

    def plain(images: Tensor) -> Tensor:
        with autocast(device, dtype == torch.bfloat16):
            return network.maps(images)

    return plain


def can_fuse(network: SFNet) -> bool:
    """Whether this torch, on this processor, has what :class:`FusedTrunk` needs (widths as in ``memory_format``)."""
    kind = next(network.parameters()).device.type
    if network.memory_format != torch.channels_last:
        return False
    if kind == "cuda":
        return torch.backends.cudnn.is_available() and hasattr(torch, "cudnn_convolution_add_relu")
    return kind == "cpu" and can_call()


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """W' = W γ/√(σ² + ε) and b' = β − μ γ/√(σ² + ε) in float64: a convolution and its normalisation in one."""
    assert norm.running_mean is not None and norm.running_var is not None  # an SFNet's are always tracked
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = convolution.weight.double() * scale[:, None, None, None]
    return weight, norm.bias.double() - norm.running_mean.double() * scale


class _CuDnn:
    """On an NVIDIA GPU: one call of cuDNN."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype):
        weight, bias = _folded(convolution, norm)
        self.weight, self.bias = weight.to(dtype).contiguous(memory_format=torch.channels_last), bias.to(dtype)
        self.how: Any = (list(convolution.stride), list(convolution.padding), [1, 1], 1)  # …, dilation, groups

    def __call__(self, x: Tensor, act: str = "relu") -> Tensor:
        if act == "none":
            return torch.conv2d(x, self.weight, self.bias, *self.how)
        return torch.cudnn_convolution_relu(x, self.weight, self.bias, *self.how)

    def onto(self, shortcut: Tensor, x: Tensor) -> Tensor:
        """relu(shortcut + W' x + b')."""
        return torch.cudnn_convolution_add_relu(x, self.weight, shortcut, 1.0, self.bias, *self.how)


def _pair(both: Any) -> tuple[int, int]:
    first, second = both
    return int(first), int(second)


def _fused(
    convolution: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype, shape: tuple[int, ...]
) -> OneDnn | Wide | _CuDnn:
    """The quickest of them for inputs of ``shape``; which one follows from the shapes alone, never from a clock."""
    if convolution.weight.is_cuda:
        return _CuDnn(convolution, norm, dtype)
    weight, bias = _folded(convolution, norm)
    plain = convolution.kernel_size == (3, 3) and convolution.stride == (1, 1)
    if plain and dtype == torch.bfloat16 and fits_wide(min(weight.shape[:2]), shape[-1]):
        return Wide(weight, bias, dtype, shape)
    return OneDnn(weight, bias, dtype, shape, _pair(convolution.stride), _pair(convolution.padding))


def _pooled(x: Tensor) -> Tensor:
    """``max_pool2d(x, 3, 2, 1)`` of a ReLU's output (B, C, H, W).

    Numbers ≥ 0 in bfloat16 have the order of their bits, and whole numbers are compared several times as fast.
    """
    if x.dtype != torch.bfloat16 or x.is_cuda or x.shape[2] % 2 or x.shape[3] % 2:
        return nn.functional.max_pool2d(x, 3, 2, 1)
    bits = x.permute(0, 2, 3, 1).view(torch.int16)  # (B, H, W, C)
    for dim in (1, 2):
        halves = bits.unflatten(dim, (-1, 2))
        even, odd = halves.unbind(dim + 1)
        bits = torch.maximum(even, odd)
        count = bits.shape[dim] - 1
        later = bits.narrow(dim, 1, count)
        torch.maximum(later, odd.narrow(dim, 0, count), out=later)
    return bits.view(torch.bfloat16).permute(0, 3, 1, 2)


class FusedTrunk:
    """An SFNet's trunk for inference: 20 convolutions, each with its normalisation, ReLU and residual sum in one call.

    The same arithmetic as :meth:`SFNet.maps` in another order, so equal to rounding (float32: a few 1e-6 of the largest
    activation; bfloat16: about 1e-2, see :mod:`sfnet_core.inference.tolerance`). Weights are copied when it is made; it
    is for gradient-free use in ``eval`` mode only. The operations are those that ``torch.compile`` puts in place of a
    frozen network's convolutions, without its compiler and without the time it takes.
    """

    def __init__(self, network: SFNet, side: int, batch: int, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        with torch.inference_mode():
            self._first = _fused(network.conv1, network.bn1, dtype, (min(batch, PIECE), 3, side, side))
            side = (side + 3) // 4  # two halvings, each rounded up
            self._blocks: list[tuple[Any, Any, Any]] = []
            block: Any  # torch's modules have attributes of any kind
            for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
                for block in layer:
                    outside = (batch, block.conv1.in_channels, side, side)
                    side = -(-side // block.conv1.stride[0])
                    inside = (batch, block.conv2.in_channels, side, side)
                    project: Any = block.downsample
                    shortcut = None if project is None else _fused(project[0], project[1], dtype, outside)
                    first = _fused(block.conv1, block.bn1, dtype, outside)
                    self._blocks.append((first, _fused(block.conv2, block.bn2, dtype, inside), shortcut))

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, side, side) → (B, F, h, w) of ``dtype``, ≥ 0."""
        x = images.to(self.dtype).contiguous(memory_format=torch.channels_last)
        pieces = x.split(len(x) if x.is_cuda else PIECE)
        pooled = [_pooled(self._first(piece)) for piece in pieces]
        x = torch.cat(pooled) if len(pooled) > 1 else pooled[0]
        for first, second, project in self._blocks:
            inner = first(x)
            x = second.onto(x if project is None else project(x, "none"), inner)
        return x
