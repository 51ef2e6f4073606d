"""Convolutions of a frozen network by oneDNN on a CPU: bias, sum and ReLU in one call, weights laid out beforehand.

Shape letters: B batch, C O channels in and out, h w map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sfnet_core.beside import apart, beside, dilated

__all__ = ["OneDnn", "Wide", "can_call", "fits_wide"]

Pair = tuple[int, int]
How = tuple[list[int], list[int], list[int], int]  # padding, stride, dilation, groups
CHANNELS, SIDE = 256, 5  # the fewest channels and the largest map with which the batch side by side is quicker


def can_call() -> bool:
    """Whether this torch has the operations, which are those that ``torch.compile`` uses and no public interface."""
    operations = ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in operations)


def fits_wide(channels: int, side: int) -> bool:
    """Whether a 3×3 convolution in bfloat16 is to be a :class:`Wide` one."""
    return channels >= CHANNELS and side <= SIDE


class OneDnn:
    """y = W x + b for maps in channels_last.

    Args:
        weight: (O, C, kernel, kernel) float64.
        bias: (O,) float64.
        dtype: float32 or bfloat16.
        shape: (B, C, h, w) of most inputs, for which the weights are laid out; others are computed as well.
        stride, padding, dilation: as of ``torch.nn.Conv2d``.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        dtype: torch.dtype,
        shape: tuple[int, ...],
        stride: Pair = (1, 1),
        padding: Pair = (1, 1),
        dilation: Pair = (1, 1),
    ) -> None:
        weight, self.bias = weight.to(dtype).contiguous(memory_format=torch.channels_last), bias.to(dtype)
        self.how = _how(stride, padding, dilation)
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *self.how, list(shape))

    def __call__(self, x: Tensor, act: str = "relu", how: How | None = None) -> Tensor:
        """relu(W x + b), or without the ReLU (``"none"``): (B, C, h, w) → (B, O, h, w); ``how`` instead of its own."""
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *(how or self.how), act, [], "")

    def onto(self, shortcut: Tensor, x: Tensor, how: How | None = None) -> Tensor:
        """relu(shortcut + W x + b), written over ``shortcut``."""
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, x, self.weight, self.bias, *(how or self.how), "add", 1.0, "relu", [], ""
        )


class Wide:
    """A 3×3 convolution with stride 1 of a batch of small maps side by side (:mod:`sfnet_core.beside`).

    Arguments as of :class:`OneDnn`.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        batch, channels, height, width = shape
        wide = (1, channels, height, width * batch)
        self._one = OneDnn(weight, bias, dtype, wide, *dilated(batch))

    def __call__(self, x: Tensor, act: str = "relu") -> Tensor:
        """relu(W x + b), or without the ReLU (``"none"``): (B, C, h, w) → (B, O, h, w)."""
        return apart(self._one(beside(x), act, _how(*dilated(len(x)))), len(x))

    def onto(self, shortcut: Tensor, x: Tensor) -> Tensor:
        """relu(shortcut + W x + b)."""
        return apart(self._one.onto(beside(shortcut), beside(x), _how(*dilated(len(x)))), len(x))


def _how(stride: Pair, padding: Pair, dilation: Pair) -> How:
    """These in oneDNN's order, and one group."""
    return list(padding), list(stride), list(dilation), 1
