"""Which processor computes, and in which precision it trains."""

from __future__ import annotations

import contextlib
import os

import torch

from sfnet_core.errors import SFNetError

__all__ = ["autocast", "has_bfloat16", "pick_device", "plain_float32"]


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
    if device.type == "cpu" and os.environ.get("SFNET_BF16", "1") != "0":
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    return False


def autocast(device: torch.device, on: bool) -> contextlib.AbstractContextManager:
    """bfloat16 autocast where ``on``, else nothing."""
    return torch.autocast(device.type, torch.bfloat16) if on else contextlib.nullcontext()


def plain_float32() -> contextlib.AbstractContextManager:
    """On CUDA: cuDNN's convolutions with the full mantissa (no TF32) and the same algorithm every time.

    All is named, because what :func:`torch.backends.cudnn.flags` is not told it sets, and ``enabled`` to False.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
