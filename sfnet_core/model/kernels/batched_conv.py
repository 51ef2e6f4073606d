"""Small maps in bfloat16 on a CPU: the images of a batch laid side by side, and convolved as one wide map.

oneDNN takes a row of a map at a time, and a processor's matrix unit (AMX) multiplies 16 rows of a matrix at once: with
maps a few cells wide most of it stands still. Here a row holds a cell of every image, then the next cell of every
image: (1, C, h, w B), in which an image's neighbouring cells are B apart, so the convolution is dilated by B. The sums
are the same.

Shape letters: B batch, C O channels in and out, h w map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Convolution", "dilated_geometry", "side_by_side", "split_apart"]

SIDE = 10  # the largest map with which a training step is quicker so, from 64 channels on


def side_by_side(x: Tensor) -> Tensor:
    """(B, C, h, w) → (1, C, h, w B), in channels_last."""
    batch, channels, height, width = x.shape
    return x.permute(2, 3, 0, 1).contiguous().view(1, height, width * batch, channels).permute(0, 3, 1, 2)


def split_apart(y: Tensor, batch: int) -> Tensor:
    """(1, O, h, w B) → (B, O, h, w), in channels_last: :func:`beside` undone."""
    cells = y.permute(0, 2, 3, 1).unflatten(2, (-1, batch))[0]  # (h, w, B, O)
    return cells.permute(2, 0, 1, 3).contiguous().permute(0, 3, 1, 2)


def dilated_geometry(batch: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Stride, padding and dilation with which a batch side by side is convolved 3×3 as apart with a border of 1."""
    return (1, 1), (1, batch), (1, batch)


class Convolution(nn.Conv2d):
    """A 3×3 convolution without bias and with a border of 1, as a training in bfloat16 does it fastest."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__(channels_in, channels, 3, stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, O, h, w), or half as wide."""
        if self.stride != (1, 1) or max(x.shape[2:]) > SIDE or not self._by_matrix_unit(x):
            return super().forward(x)
        return split_apart(nn.functional.conv2d(side_by_side(x), self.weight, None, *dilated_geometry(len(x))), len(x))

    def _by_matrix_unit(self, x: Tensor) -> bool:
        """Whether this is computed in bfloat16 on a CPU and in channels_last."""
        if x.device.type != "cpu" or not self.weight.is_contiguous(memory_format=torch.channels_last):
            return False
        to = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        return to == torch.bfloat16
