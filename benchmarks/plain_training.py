"""The paper's training written plainly: 20 epochs over a ``DataLoader`` with the plain implementation of the network.

As Wu (2025), section 3: RAdam with Lookahead on one cycle to 0.1, batches of 64, root of each batch's MSE on the target
as it is, turned and mirrored at random. From PyTorch's own pieces, with no code of the package.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.paper_peer import Packed, PaperSFNet, RAdamLookahead, encode, training_step

__all__ = ["Turned", "band_statistics", "one_cycle", "train_plainly"]


class Turned(Dataset):
    """Cutouts (N, H, W, 3) uint8 and targets (N,) → one of the 8 orientations at random (3, H, W), and its target."""

    def __init__(self, images: Packed, truth: np.ndarray):
        self.images, self.truth = images, torch.as_tensor(truth, dtype=torch.float32)[:, None]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        pixels, turn = self.images[i][0], int(torch.randint(8, ()))
        pixels = torch.rot90(pixels, turn % 4, (1, 2))
        return pixels.flip(2) if turn >= 4 else pixels, self.truth[i]


def band_statistics(cutouts: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each band of cutouts (N, H, W, 3) uint8, on the scale 0…1."""
    values = cutouts.reshape(-1, 3).astype(np.float32) / 255
    return values.mean(0, dtype=np.float64).tolist(), values.std(0, dtype=np.float64).tolist()


def one_cycle(optimiser: torch.optim.Optimizer, rate: float, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The rate up from rate/25 in a quarter of the steps, then down to next to nothing; momentum against it."""
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.25, div_factor=25, final_div_factor=1e4
    )


def train_plainly(
    cutouts: np.ndarray,
    truth: np.ndarray,
    held: np.ndarray,
    *,
    epochs: int = 20,
    k: int = 4,
    width: int = 64,
    batch: int = 64,
    rate: float = 0.1,
    seed: int = 0,
    workers: int = 0,
    after_epoch: Callable[[int, np.ndarray], None] = lambda epoch, predicted: None,
) -> np.ndarray:
    """Train on ``cutouts`` (N, H, W, 3) and ``truth`` (N,) → predictions of the ``held`` cutouts, (n,).

    The held-out galaxies are predicted after each epoch, as the paper's library does; ``after_epoch`` is given the
    number of the epoch, from 1, and these.
    """
    torch.manual_seed(seed)
    mean, std = band_statistics(cutouts)
    loader = DataLoader(
        Turned(Packed(cutouts, mean, std), truth), batch, shuffle=True, drop_last=True, num_workers=workers
    )
    network = PaperSFNet(k, 1, width)
    optimiser = RAdamLookahead(list(network.parameters()), rate)
    cycle = one_cycle(optimiser.fast, rate, epochs * len(loader))
    predicted = np.empty(0)
    for epoch in range(1, epochs + 1):
        for images, wanted in loader:
            training_step(network, optimiser, images, wanted)
            cycle.step()
        predicted = encode(network, Packed(held, mean, std), runners_up=0, batch=batch, workers=workers)[2][:, 0]
        after_epoch(epoch, predicted)
    return predicted
