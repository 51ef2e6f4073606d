"""Which processor computes, and in which precision it trains."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfnet_core.model.kernels.onednn import can_call
from sfnet_core.utils.errors import SFNetError

__all__ = [
    "AsyncCopy", "autocast", "computes_bfloat16", "has_bfloat16", "own_stream", "pick_device", "plain_float32",
    "to_device", "trains_in_bfloat16",
]  # fmt: skip


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes a GPU (CUDA, then Apple's), else the CPU; other names are torch's (``cpu``, ``cuda:1``)."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise SFNetError(f"The device {name!r} cannot be used here ({reason}); try --device auto or cpu.") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise SFNetError(f"The device {name!r} is not one of auto, cpu, cuda, mps.")
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware computes bfloat16, so that it is faster: AVX512-BF16 or AMX, an Ampere GPU or later."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16")) and computes_bfloat16(device)
    return False


def computes_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 can be computed at all; a CPU is not asked for its name, one is tried."""
    return device.type != "cpu" or can_call(torch.bfloat16)


def trains_in_bfloat16(device: torch.device) -> bool:
    """Whether a training computes in bfloat16: where the hardware does, but on a CPU not with ``SFNET_BF16=0``."""
    refused = device.type == "cpu" and os.environ.get("SFNET_BF16", "1") == "0"
    return has_bfloat16(device) and not refused


def autocast(device: torch.device, on: bool) -> contextlib.AbstractContextManager:
    """bfloat16 autocast where ``on``, else nothing."""
    return torch.autocast(device.type, torch.bfloat16) if on else contextlib.nullcontext()


@contextlib.contextmanager
def plain_float32() -> Iterator[None]:
    """float32 with its full mantissa, whatever precision was asked of torch for speed.

    On a CPU: oneDNN's products and convolutions not by way of bfloat16. On CUDA: cuDNN's convolutions without TF32, and
    the same algorithm every time; all is named there, because what :func:`torch.backends.cudnn.flags` is not told it
    sets, and ``enabled`` to False.
    """
    rooms: list[Any] = [getattr(torch.backends.mkldnn, name) for name in ("matmul", "conv")]
    before = [room.fp32_precision for room in rooms]
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        try:
            for room in rooms:
                room.fp32_precision = "ieee"
            yield
        finally:
            for room, precision in zip(rooms, before, strict=True):
                room.fp32_precision = precision


@contextlib.contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On CUDA: work on a stream of its own, after what was begun before and before what comes after."""
    if device.type != "cuda":
        yield
        return
    outside, stream = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    stream.wait_stream(outside)
    with torch.cuda.stream(stream):
        yield
    outside.wait_stream(stream)


def to_device(values: np.ndarray | Tensor | Sequence[float], device: torch.device) -> Tensor:
    """Host values on ``device``; to CUDA from pinned memory, so that nobody waits until they are there."""
    values = torch.as_tensor(values)
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


class AsyncCopy:
    """Tensors on their way from ``device`` to the host: from CUDA into pinned memory while both go on working."""

    def __init__(self, tensors: dict[str, Tensor], device: torch.device) -> None:
        self._arrived = None
        if device.type != "cuda":
            self._there = {name: tensor.cpu() for name, tensor in tensors.items()}
            return
        self._there = {}
        for name, tensor in tensors.items():
            self._there[name] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._there[name].copy_(tensor, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record(torch.cuda.current_stream(device))  # that of this device, which may not be the current one

    def arrays(self) -> dict[str, np.ndarray]:
        """Wait for them."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return {name: tensor.numpy() for name, tensor in self._there.items()}
