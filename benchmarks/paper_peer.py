"""The paper's network, data and training step written plainly, as the yardstick of the benchmarks.

From Wu (2025), ApJ 980, 183, section 3, with PyTorch's own pieces and no trick: float32, contiguous tensors, JPEGs
decoded by Pillow in a ``DataLoader``'s workers on every epoch, RAdam with Lookahead on one cycle. It shares no code
with the package; a test says that the two agree in the forward pass, the gradient and the optimiser's steps.

Shape letters: B batch, H W pixels, F features, K kept, T targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

__all__ = ["Jpegs", "Packed", "PaperSFNet", "RAdamLookahead", "encode", "training_step"]


class Block(nn.Module):
    """The basic block of ResNet18 (He et al. 2016)."""

    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        if stride > 1 or inside != outside:
            projection = nn.Conv2d(inside, outside, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outside))
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.downsample(x))


class PaperSFNet(nn.Module):
    """ResNet18 → global average pool → ReLU → keep the k largest of 512 → linear (B, 3, H, W) → (B, T).

    Names are torchvision's, with ``head`` for ``fc``, so that weights go from one implementation to the other. The
    paper's ``width`` is 64; a narrower one has 8 · ``width`` features.
    """

    def __init__(self, k: int = 4, targets: int = 1, width: int = 64):
        super().__init__()
        self.k = k
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        sizes = [width, width, 2 * width, 4 * width, 8 * width]
        for number in range(1, 5):
            inside, outside = sizes[number - 1], sizes[number]
            blocks = [Block(inside, outside, 1 if number == 1 else 2), Block(outside, outside, 1)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.head = nn.Linear(8 * width, targets)

    def activations(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, F) before the gate."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), kernel_size=3, stride=2, padding=1)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return F.relu(F.adaptive_avg_pool2d(x, 1).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        a = self.activations(x)
        values, indices = torch.topk(a, self.k, dim=1)
        return self.head(torch.zeros_like(a).scatter(1, indices, values))


class Jpegs(Dataset):
    """Files → normalised images (3, H, W) and targets; with ``augment`` turned and mirrored at random by Pillow."""

    TURNS = (
        *(Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270),
        *(Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM),
        *(Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE),
    )

    def __init__(
        self, paths: Sequence[Path], truth: np.ndarray, mean: Sequence[float], std: Sequence[float], augment: bool
    ):
        self.paths, self.augment = list(paths), augment
        self.truth = torch.as_tensor(np.asarray(truth), dtype=torch.float32)
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.paths[i]) as file:
            image = file.convert("RGB")
        if self.augment:
            turn = int(torch.randint(8, ()))
            image = image.transpose(self.TURNS[turn - 1]) if turn else image
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (pixels - self.mean) / self.std, self.truth[i]


class Packed(Dataset):
    """The same for cutouts (N, H, W, 3) uint8 that are decoded already."""

    def __init__(self, cutouts: np.ndarray, mean: Sequence[float], std: Sequence[float]):
        self.cutouts = cutouts
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def __len__(self) -> int:
        return len(self.cutouts)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(np.array(self.cutouts[i])).permute(2, 0, 1).float() / 255
        return (pixels - self.mean) / self.std, torch.tensor(0.0)


class RAdamLookahead:
    """RAdam, and every 6 steps half-way back to the slow weights (Zhang et al. 2019)."""

    def __init__(self, parameters: Sequence[Tensor], rate: float = 0.1, weight_decay: float = 0.01):
        self.parameters = list(parameters)
        self.fast = torch.optim.RAdam(
            self.parameters, lr=rate, weight_decay=weight_decay, eps=1e-6, decoupled_weight_decay=True
        )
        self.slow = [p.detach().clone() for p in self.parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self) -> None:
        self.fast.step()
        self.steps += 1
        if self.steps % 6 == 0:
            for slow, p in zip(self.slow, self.parameters, strict=True):
                slow += 0.5 * (p - slow)
                p.copy_(slow)


def training_step(network: nn.Module, optimiser: RAdamLookahead, images: Tensor, truth: Tensor) -> float:
    """One step on the root of the batch's mean squared error, images (B, 3, H, W), truth (B, T) → the loss."""
    network.train()
    optimiser.fast.zero_grad()
    loss = F.mse_loss(network(images), truth).sqrt()
    loss.backward()
    optimiser.step()
    return loss.item()


@torch.no_grad()
def encode(
    network: PaperSFNet, data: Dataset, runners_up: int = 8, batch: int = 64, workers: int = 2, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices (N, k+r), values (N, k+r) and predictions (N, T) of all images, in order."""
    network.eval()
    found: list[tuple[np.ndarray, ...]] = []
    for images, _ in DataLoader(data, batch_size=batch, num_workers=workers):
        a = network.activations(images.to(device))
        values, indices = torch.topk(a, network.k + runners_up, dim=1)
        kept = torch.zeros_like(a).scatter(1, indices[:, : network.k], values[:, : network.k])
        found.append(tuple(part.cpu().numpy() for part in (indices, values, network.head(kept))))
    indices, values, predictions = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return indices, values, predictions
