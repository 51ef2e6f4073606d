"""The Sparse Feature Network: a ResNet18 trunk, a top-k gate, a linear head.

Shape letters: B batch, H W pixels, h w feature-map cells, F features, K kept, r runners-up, T targets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sfnet_core.codes.header import RUNNERS_UP
from sfnet_core.model.kernels.batched_conv import Convolution
from sfnet_core.utils.errors import SFNetError

__all__ = ["SFNet", "code_of", "gate", "pool", "strongest"]


def strongest(a: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The ``n`` largest activations of each row, falling; where two are equal the lowest index comes first.

    ``a`` (B, F) → values (B, n), indices (B, n) int64. A stable sort, because ``torch.topk`` promises nothing on ties.
    """
    values, indices = torch.sort(a, dim=1, descending=True, stable=True)
    return values[:, :n], indices[:, :n]


def gate(a: Tensor, k: int) -> Tensor:
    """Keep the ``k`` largest of the F activations of each row, set the others to zero (Wu 2025, section 2).

    ``a`` (B, F) ≥ 0 → (B, F) with at most ``k`` non-zeros: an activation of zero stays zero even where it is among the
    ``k``. Ties: the lowest index wins. ``k`` > F is refused. The gradient flows through the kept activations only.
    """
    if not 1 <= k <= a.shape[1]:
        raise SFNetError(f"The gate cannot keep k={k} of {a.shape[1]} features; choose k from 1 to {a.shape[1]}.")
    values, indices = strongest(a, k)
    return torch.zeros_like(a).scatter(1, indices, values)


class BasicBlock(nn.Module):
    """ResNet's two-convolution block: relu(x' + bn(conv(relu(bn(conv(x)))))), x' projected where the shape changes.

    ReLU and sum are written over what the normalisation gave, whose gradient needs its input alone.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels_in, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = Convolution(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.before_relu(x).relu_()

    def before_relu(self, x: Tensor) -> Tensor:
        """The block's sum, before its last ReLU."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        return self.bn2(self.conv2(x)).add_(shortcut)


class SFNet(nn.Module):
    r"""Images → at most k active features → a linear prediction (Wu 2025, ApJ 980, 183).

    .. math::
        m = \mathrm{ResNet18}(x), \quad a_j = \mathrm{ReLU}\Bigl(\tfrac{1}{hw}\sum_{uv} m_{juv}\Bigr), \quad
        y_t = b_t + \sum_{j \in \mathrm{top}_k(a)} w_{tj} a_j

    Args:
        k: features kept for each image, 1 ≤ k ≤ F; k = F is the dense network.
        targets: T, the number of outputs.
        width: channels of the first stage; F = 8 · width. 64 is ResNet18, and what public weights fit.

    Parameter names are torchvision's ResNet18 (``conv1``, ``bn1``, ``layer1`` … ``layer4``) plus ``head``. Images are
    (B, 3, H, W) float, already normalised; the last map has h = ⌈H/32⌉ cells.
    """

    def __init__(self, k: int = 4, targets: int = 1, width: int = 64) -> None:
        super().__init__()
        if width < 1 or targets < 1:
            raise SFNetError(f"A network needs width ≥ 1 and a target, not width={width}, targets={targets}.")
        features = 8 * width
        if not 1 <= k <= features:
            raise SFNetError(f"k={k} does not fit {features} features (width {width}); choose k from 1 to {features}.")
        self.k, self.targets, self.width, self.n_features = k, targets, width, features
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(width, width, 1), BasicBlock(width, width, 1))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2), BasicBlock(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(BasicBlock(2 * width, 4 * width, 2), BasicBlock(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(BasicBlock(4 * width, features, 2), BasicBlock(features, features, 1))
        self.head = nn.Linear(features, targets)
        for module in self.modules():  # as torchvision initialises its ResNets (He et al. 2015, eq. 10, fan-out)
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def memory_format(self) -> torch.memory_format:
        """How tensors lie in memory: channels last (faster), but for widths that are no multiple of 16.

        With fewer channels torch 2.13's CPU convolutions in channels last write outside their memory when gradients are
        taken (seen at widths 4 and 8: aborts and segmentation faults with batches of changing size).
        """
        return torch.contiguous_format if self.width % 16 else torch.channels_last

    def maps(self, x: Tensor) -> Tensor:
        """Feature maps before pooling: (B, 3, H, W) → (B, F, h, w), ≥ 0."""
        return self.before_relu(x).relu_()

    def before_relu(self, x: Tensor) -> Tensor:
        """Feature maps before the trunk's last ReLU, of either sign: (B, 3, H, W) → (B, F, h, w)."""
        x = x.contiguous(memory_format=self.memory_format)
        x = self.maxpool(self.bn1(self.conv1(x)).relu_())  # (B, width, H/4, W/4)
        first: Any
        last: Any
        first, last = self.layer4
        return last.before_relu(first(self.layer3(self.layer2(self.layer1(x)))))  # (B, F, h, w)

    def features(self, x: Tensor) -> Tensor:
        """All activations, before the gate: (B, 3, H, W) → (B, F) float32, ≥ 0."""
        return pool(self.maps(x))

    def forward(self, x: Tensor) -> Tensor:
        """Predictions (B, T), float32 also under autocast: the gate's choice and the sum are made in full precision."""
        return self.read(self.features(x))

    def read(self, a: Tensor, k: int | None = None) -> Tensor:
        """The head's reading of gated activations: (B, F) → (B, T); ``k`` instead of the network's own."""
        kept = gate(a, self.k if k is None else k)  # (B, F), at most k non-zeros
        with torch.autocast(a.device.type, enabled=False):
            return self.head(kept)

    def read_each(self, a: Tensor, most: int) -> Tensor:
        """The readings behind gates of 1…``most`` features: (B, F) → (B, most, T), float32."""
        with torch.autocast(a.device.type, enabled=False):
            values, indices = strongest(a, most)  # (B, most)
            contributions = values[:, :, None] * self.head.weight.T[indices]  # (B, most, T)
            return contributions.cumsum(1) + self.head.bias

    def encode(self, x: Tensor, runners_up: int = RUNNERS_UP) -> tuple[Tensor, Tensor, Tensor]:
        """The code of each image: its kept features, then the strongest it did not keep.

        Returns ``indices`` (B, k+r) int16, ``values`` (B, k+r) float32 falling, ``maps`` (B, k, h, w) float32 of the
        kept features, where ``maps.sum((2, 3)) / (h·w)`` is ``values[:, :k]``. A slot whose value is 0 is empty: index
        −1 and a map of zeros. With F < k+r the last slots are empty.
        """
        _check_slots(self.n_features, runners_up)
        return code_of(self.maps(x), self.k, runners_up)


def code_of(maps: Tensor, k: int, runners_up: int) -> tuple[Tensor, Tensor, Tensor]:
    """Feature maps (B, F, h, w) → what :meth:`SFNet.encode` returns, for a gate of ``k``."""
    _check_slots(maps.shape[1], runners_up)
    maps = maps.float()
    slots = k + runners_up
    values, indices = strongest(pool(maps), slots)  # (B, min(F, k+r))
    missing = slots - values.shape[1]
    if missing > 0:
        values = nn.functional.pad(values, (0, missing))
        indices = nn.functional.pad(indices, (0, missing), value=-1)
    empty = values <= 0  # False for NaN, so that a poisoned row stays visible to the caller
    kept = indices[:, :k].clamp_min(0)
    kept_maps = maps.gather(1, kept[:, :, None, None].expand(-1, -1, *maps.shape[2:]))  # (B, k, h, w)
    kept_maps = kept_maps.masked_fill(empty[:, :k, None, None], 0.0)
    return indices.masked_fill(empty, -1).to(torch.int16), values.masked_fill(empty, 0.0), kept_maps


def _check_slots(features: int, runners_up: int) -> None:
    if runners_up < 0:
        raise SFNetError(f"The number of runners-up is {runners_up}; it must be 0 or more.")
    if features > 32767:
        raise SFNetError(f"Codes hold feature numbers as int16; {features} features do not fit.")


def pool(maps: Tensor) -> Tensor:
    """Global average pooling and ReLU, at least in float32: (B, F, h, w) → (B, F).

    The ReLU changes nothing after a block that ends in one; it is the paper's, and states that activations are ≥ 0.
    """
    return torch.relu(maps.to(torch.promote_types(maps.dtype, torch.float32)).mean(dim=(2, 3)))
