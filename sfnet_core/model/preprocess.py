"""From packed pixels to what the network sees: crop, orientation, normalisation. All of it on the device, in batches.

Shape letters: B batch, H W pixels, s side of the crop.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sfnet_core.model.device import to_device
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.subsample import evenly

__all__ = ["augment", "channel_statistics", "crop_centre", "drop_page_cache", "orient", "recalibrate", "to_input"]

ORIENTATIONS = 8  # the symmetries of the square (D4): four quarter turns, each also mirrored


def crop_centre(cutouts, side: int):
    """The central square: (B, H, W, 3) → (B, side, side, 3), a view; for arrays and tensors alike."""
    height, width = cutouts.shape[1:3]
    if not 1 <= side <= min(height, width):
        raise SFNetError(f"A crop of {side} px does not fit cutouts of {height}×{width} px; choose a smaller crop.")
    top, left = (height - side) // 2, (width - side) // 2
    return cutouts[:, top : top + side, left : left + side]


def orient(cutouts: Tensor, orientation: Tensor | int) -> Tensor:
    """Turn and mirror squares: (B, s, s, C) with one of 8 numbers each (or one for all) → (B, s, s, C).

    Bit 0 mirrors rows, bit 1 mirrors columns, bit 2 swaps the axes: together the 8 symmetries of the square, without
    any interpolation. 0 leaves the image as it is.
    """
    turns = ((1, lambda x: x.flip(1)), (2, lambda x: x.flip(2)), (4, lambda x: x.transpose(1, 2)))
    if isinstance(orientation, int):
        for bit, turned in turns:
            cutouts = turned(cutouts) if orientation & bit else cutouts
        return cutouts.contiguous()
    if cutouts.device.type != "cpu":  # which ones turn is not asked there: it would wait for the device
        bits = orientation[:, None, None, None]
        for bit, turned in turns:
            cutouts = torch.where((bits & bit).bool(), turned(cutouts), cutouts)
        return cutouts
    cutouts = cutouts.clone()
    for bit, turned in turns:
        rows = (orientation & bit).nonzero()[:, 0]
        cutouts[rows] = turned(cutouts[rows])
    return cutouts


def to_input(cutouts: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(B, s, s, 3) uint8 → (B, 3, s, s) float32, (value / 255 − mean) / std per band; channels last in memory."""
    scale = to_device(torch.tensor([1.0 / (255.0 * s) for s in std]), cutouts.device)
    shift = to_device(torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]), cutouts.device)
    wide = cutouts.flatten(2).to(torch.float32, copy=True)  # (B, s, 3 s): long runs, many numbers at once
    side = cutouts.shape[2]
    return wide.mul_(scale.repeat(side)).add_(shift.repeat(side)).view(cutouts.shape).permute(0, 3, 1, 2)


def recalibrate(images: Tensor, mean: Sequence[float], std: Sequence[float], gain: Tensor, sky: Tensor) -> Tensor:
    """As if calibrated otherwise: value · gain + sky on the 0…1 scale, applied to normalised images (B, 3, s, s).

    ``gain`` (B,), one for all bands so that colours stay; ``sky`` (B, 3), a residual background per band.
    """
    offset = to_device(torch.tensor(mean), images.device) * (gain[:, None] - 1) + sky  # (B, 3)
    offset = offset / to_device(torch.tensor(std), images.device)
    return images * gain[:, None, None, None] + offset[:, :, None, None]


def augment(
    cutouts: Tensor, mean: Sequence[float], std: Sequence[float], rng: np.random.Generator, gain: float, sky: float
) -> Tensor:
    """Cutouts (B, s, s, 3) uint8 as a training step sees them: turned or mirrored, normalised, gain and sky varied.

    → (B, 3, s, s). ``gain`` and ``sky`` are standard deviations, see :class:`sfnet_core.training.recipes.Recipe`; every
    random number comes from ``rng``.
    """
    n, device = len(cutouts), cutouts.device
    images = to_input(orient(cutouts, to_device(rng.integers(ORIENTATIONS, size=n), device)), mean, std)
    if gain or sky:
        factor = to_device(torch.from_numpy(np.exp(rng.normal(0, gain, n))).float(), device)
        background = to_device(torch.from_numpy(rng.normal(0, sky, (n, 3))).float(), device)
        images = recalibrate(images, mean, std, factor, background)
    return images


def drop_page_cache(cutouts: np.ndarray) -> None:
    """Take a memory-mapped file's pages out of this process; they are read again, mostly from the page cache, on need.

    Without it all that was ever read of a large file counts as this process's memory. Other arrays are left alone.
    """
    mapped = getattr(cutouts, "_mmap", None)
    if mapped is not None and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


def channel_statistics(
    cutouts: np.ndarray, rows: np.ndarray, side: int, device: torch.device | str = "cpu"
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per band of the cropped cutouts of ``rows``, scaled to 0…1.

    Exact (from integer histograms, so the same on every ``device``) over all rows up to 20,000, then over 20,000 evenly
    spaced ones; read in slices.
    """
    rows = rows[evenly(len(rows), 20_000)]
    counts = np.zeros((3, 256), dtype=np.int64)
    for start in range(0, len(rows), 512):
        block = crop_centre(cutouts[np.sort(rows[start : start + 512])], side)
        for band in range(3):
            counts[band] += _levels(block[..., band], torch.device(device))
        drop_page_cache(cutouts)
    levels = np.arange(256) / 255.0
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    std = np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1))
    return mean.round(6).tolist(), np.maximum(std, 1 / 255).round(6).tolist()


def _levels(values: np.ndarray, device: torch.device) -> np.ndarray:
    """(256,) how often each value occurs among uint8 ones; a GPU counts many times faster."""
    if device.type == "cuda":
        return torch.bincount(torch.from_numpy(values.ravel()).to(device), minlength=256).cpu().numpy()
    return np.bincount(values.ravel(), minlength=256)
