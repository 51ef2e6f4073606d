"""Further pictures of galaxies: turned by any angle, nearer or farther, two laid over each other, another calibration.

Not what a survey would have taken, but what a function of pictures can be asked about:
:mod:`sfnet_core.training.distillation` asks a teacher. Shape letters: B batch, s side in px.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sfnet_core.model.preprocess import crop_centre

__all__ = ["draw", "variant"]

ZOOM = 0.8, 1.25  # how much larger a galaxy is shown, at least and at most
BLENDED = 0.8  # share of the pictures in which another galaxy lies over the first, with at most half of the light
SOFTENED = 0.3, 1.2  # share of the pictures that are blurred, and the Gaussian's standard deviation in px at most
GAIN, COLOUR, SKY = 0.15, 0.04, 4.0  # log gain, log gain of each band by itself, background (of 255); one sigma
NOISE = 2.0  # pixel noise of 255 at most, one sigma
_PIECE = 64


def draw(cutouts: np.ndarray, rows: np.ndarray, times: int, seed: int) -> Iterator[np.ndarray]:
    """Further pictures of galaxies, batch by batch; the same for the same seed.

    Parameters
    ----------
    cutouts : (N, H, W, 3) uint8
    rows : of the galaxies to be drawn
    times : pictures of each. The first picture of all comes before the second of any, so picture j shows
        ``rows[j % len(rows)]`` above another
    seed : of all random numbers

    Yields
    ------
    (B, s, s, 3) uint8, where s is the cutouts' shorter side
    """
    side = min(cutouts.shape[1:3])
    shown = np.tile(rows, times)
    for start in range(0, len(shown), _PIECE):
        these = shown[start : start + _PIECE]
        rng = np.random.default_rng([seed, 3, start])
        others = rng.choice(rows, len(these))
        first, second = (
            torch.from_numpy(crop_centre(cutouts[which], side).astype(np.float32)).permute(0, 3, 1, 2)
            for which in (these, others)
        )
        made = variant(first, second, rng)
        yield made.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def variant(images: Tensor, others: Tensor, rng: np.random.Generator) -> Tensor:
    """One further picture of each of ``images`` (B, 3, s, s) float32 of 0…255, ``others`` laid over some of them."""
    n = len(images)

    def some(share: float, low: float, high: float, without: float) -> Tensor:
        drawn, there = rng.uniform(low, high, n), rng.random(n) < share
        return torch.from_numpy(np.where(there, drawn, without)).float()[:, None, None, None]

    def scattered(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape)).float()

    first = some(BLENDED, 0.5, 1.0, 1.0)
    made = first * _turned(images, rng) + (1 - first) * _turned(others, rng)
    made = made + some(SOFTENED[0], 0.0, 1.0, 0.0) * (_blurred(made) - made)
    gain = torch.exp(GAIN * scattered(n, 1, 1, 1) + COLOUR * scattered(n, 3, 1, 1))
    return made * gain + SKY * scattered(n, 3, 1, 1) + some(1.0, 0.0, NOISE, 0.0) * scattered(*made.shape)


def _turned(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Turned by any angle, mirrored or not, larger or smaller; what lies outside is mirrored in."""
    n = len(images)
    zoom = np.exp(rng.uniform(*np.log(ZOOM), n))
    angle, mirror = rng.uniform(0, 2 * np.pi, n), rng.choice([-1.0, 1.0], n)
    cos, sin, zero = np.cos(angle) / zoom, np.sin(angle) / zoom, np.zeros(n)
    turn = np.stack([np.stack([cos, -sin * mirror, zero], 1), np.stack([sin, cos * mirror, zero], 1)], 1)  # (B, 2, 3)
    grid = functional.affine_grid(torch.from_numpy(turn).float(), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)


def _blurred(images: Tensor) -> Tensor:
    """Convolved with a Gaussian of the largest width."""
    reach = np.arange(-4, 5)
    kernel = np.exp(-0.5 * (reach / SOFTENED[1]) ** 2)
    kernel = torch.from_numpy(kernel / kernel.sum()).float().expand(3, 1, -1)
    wide = functional.pad(images, (4, 4, 4, 4), "reflect")
    return functional.conv2d(functional.conv2d(wide, kernel[:, :, None], groups=3), kernel[..., None], groups=3)
