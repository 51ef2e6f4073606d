"""Convolutions of a frozen network by oneDNN on a CPU: bias, sum and ReLU in one call, weights laid out beforehand.

Shape letters: B batch, C O channels in and out, h w map.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from sfnet_core.model.kernels.batched_conv import dilated_geometry, side_by_side, split_apart

__all__ = ["OneDnn", "Wide", "can_call", "fits_wide"]

Pair = tuple[int, int]
How = tuple[list[int], list[int], list[int], int]  # padding, stride, dilation, groups
CHANNELS, SIDE = 256, 5  # the fewest channels and the largest map with which the batch side by side is quicker


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


@cache
def can_call(dtype: torch.dtype = torch.float32) -> bool:
    """Whether oneDNN convolves in ``dtype`` on this processor: one small convolution is tried, once.

    The operations are those that ``torch.compile`` uses, not a public interface, so a torch may lack them. In bfloat16
    processors refuse that have neither AVX512 nor another way to convert, and so does oneDNN where it is kept from it
    (``ONEDNN_MAX_CPU_ISA``).
    """
    x = torch.ones(1, 16, 4, 4, dtype=dtype).contiguous(memory_format=torch.channels_last)
    try:
        convolution = OneDnn(torch.ones(16, 16, 3, 3), torch.zeros(16), dtype, tuple(x.shape))
        convolution.onto(convolution(x), x)
    except (AttributeError, NotImplementedError, RuntimeError):  # AttributeError: there is no such operation
        return False
    return True


class Wide:
    """A 3×3 convolution with stride 1 of small maps side by side (:mod:`~sfnet_core.model.kernels.batched_conv`).

    Arguments as of :class:`OneDnn`.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        batch, channels, height, width = shape
        wide = (1, channels, height, width * batch)
        self._one = OneDnn(weight, bias, dtype, wide, *dilated_geometry(batch))

    def __call__(self, x: Tensor, act: str = "relu") -> Tensor:
        """relu(W x + b), or without the ReLU (``"none"``): (B, C, h, w) → (B, O, h, w)."""
        return split_apart(self._one(side_by_side(x), act, _how(*dilated_geometry(len(x)))), len(x))

    def onto(self, shortcut: Tensor, x: Tensor) -> Tensor:
        """relu(shortcut + W x + b)."""
        return split_apart(
            self._one.onto(side_by_side(shortcut), side_by_side(x), _how(*dilated_geometry(len(x)))), len(x)
        )


def _how(stride: Pair, padding: Pair, dilation: Pair) -> How:
    """These in oneDNN's order, and one group."""
    return list(padding), list(stride), list(dilation), 1
