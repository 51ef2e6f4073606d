"""The trunk as inference runs it: batch normalisation folded into the convolutions, and oneDNN's or cuDNN's fusions.

On a CPU in float32 the 3×3 convolutions of small maps are done as :mod:`sfnet_core.winograd` does them.

Shape letters: B batch, F features, h w feature-map cells.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sfnet_core.device import autocast
from sfnet_core.network import SFNet
from sfnet_core.winograd import Winograd, tile

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
    operations = ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
    return (
        kind == "cpu"
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in operations)
    )


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """W' = W γ/√(σ² + ε) and b' = β − μ γ/√(σ² + ε) in float64: a convolution and its normalisation in one."""
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = convolution.weight.double() * scale[:, None, None, None]
    return weight, norm.bias.double() - norm.running_mean.double() * scale


class _OneDnn:
    """On a CPU: one call of oneDNN, its weights laid out for inputs of ``shape``."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype, shape: tuple[int, ...]):
        weight, bias = _folded(convolution, norm)
        weight, self.bias = weight.to(dtype).contiguous(memory_format=torch.channels_last), bias.to(dtype)
        self.how = (list(convolution.padding), list(convolution.stride), [1, 1], 1)  # …, dilation, groups
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *self.how, list(shape))

    def __call__(self, x: Tensor, act: str = "relu") -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.how, act, [], "")

    def onto(self, shortcut: Tensor, x: Tensor) -> Tensor:
        """relu(shortcut + W' x + b'), written over ``shortcut``."""
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, x, self.weight, self.bias, *self.how, "add", 1.0, "relu", [], ""
        )


class _CuDnn:
    """On an NVIDIA GPU: one call of cuDNN."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype):
        weight, bias = _folded(convolution, norm)
        self.weight, self.bias = weight.to(dtype).contiguous(memory_format=torch.channels_last), bias.to(dtype)
        self.how = (list(convolution.stride), list(convolution.padding), [1, 1], 1)  # …, dilation, groups

    def __call__(self, x: Tensor, act: str = "relu") -> Tensor:
        if act == "none":
            return torch.conv2d(x, self.weight, self.bias, *self.how)
        return torch.cudnn_convolution_relu(x, self.weight, self.bias, *self.how)

    def onto(self, shortcut: Tensor, x: Tensor) -> Tensor:
        """relu(shortcut + W' x + b')."""
        return torch.cudnn_convolution_add_relu(x, self.weight, shortcut, 1.0, self.bias, *self.how)


def _fused(
    convolution: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype, shape: tuple[int, ...]
) -> _OneDnn | _CuDnn | Winograd:
    """The quickest of them for inputs of ``shape``; which one follows from the shapes alone, never from a clock."""
    if convolution.weight.is_cuda:
        return _CuDnn(convolution, norm, dtype)
    plain = convolution.kernel_size == (3, 3) and convolution.stride == (1, 1) and dtype == torch.float32
    m = tile(min(convolution.in_channels, convolution.out_channels), shape[-1]) if plain else 0
    return Winograd(*_folded(convolution, norm), m) if m else _OneDnn(convolution, norm, dtype, shape)


class FusedTrunk:
    """An SFNet's trunk for inference: 20 convolutions, each with its normalisation, ReLU and residual sum in one call.

    The same arithmetic as :meth:`SFNet.maps` in another order, so equal to rounding (float32: a few 1e-6 of the largest
    activation; bfloat16: about 1e-2, see :mod:`sfnet_core.certain`). Weights are copied when it is made; it is for
    gradient-free use in ``eval`` mode only. The operations are those that ``torch.compile`` puts in place of a frozen
    network's convolutions, without its compiler and without the time it takes.
    """

    def __init__(self, network: SFNet, side: int, batch: int, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        with torch.inference_mode():
            self._first = _fused(network.conv1, network.bn1, dtype, (min(batch, PIECE), 3, side, side))
            side = (side + 3) // 4  # two halvings, each rounded up
            self._blocks = []
            for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
                for block in layer:
                    outside = (batch, block.conv1.in_channels, side, side)
                    side = -(-side // block.conv1.stride[0])
                    inside = (batch, block.conv2.in_channels, side, side)
                    shortcut = block.downsample and _fused(*block.downsample, dtype, outside)
                    first = _fused(block.conv1, block.bn1, dtype, outside)
                    self._blocks.append((first, _fused(block.conv2, block.bn2, dtype, inside), shortcut))

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, side, side) → (B, F, h, w) of ``dtype``, ≥ 0."""
        x = images.to(self.dtype).contiguous(memory_format=torch.channels_last)
        pieces = x.split(len(x) if x.is_cuda else PIECE)
        pooled = [nn.functional.max_pool2d(self._first(piece), 3, 2, 1) for piece in pieces]
        x = torch.cat(pooled) if len(pooled) > 1 else pooled[0]
        for first, second, project in self._blocks:
            inner = first(x)
            x = second.onto(x if project is None else project(x, "none"), inner)
        return x
