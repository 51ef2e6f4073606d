"""Convolutions of a frozen network by oneDNN, the batch side by side or not, against torch's own in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from sfnet_core.model.kernels.onednn import CHANNELS, SIDE, OneDnn, Wide, fits_wide


def numbers(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rounded(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def dtype(request) -> torch.dtype:
    """Both; where oneDNN has no bfloat16 on this processor it refuses it, and float32 takes its place."""
    if request.param == torch.float32 or request.getfixturevalue("bfloat16"):
        return request.param
    with pytest.raises(RuntimeError, match="bf16"):
        OneDnn(torch.ones(16, 16, 3, 3), torch.zeros(16), torch.bfloat16, (1, 16, 4, 4))
    return torch.float32


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch=st.integers(1, 7), height=st.integers(1, 6), width=st.integers(1, 6),
    channels=st.sampled_from([16, 48]), out=st.sampled_from([16, 32]), made_for=st.sampled_from([None, 32]),
)  # fmt: skip
@torch.inference_mode()
def test_side_by_side_is_the_same_convolution(dtype, batch, height, width, channels, out, made_for):
    weight, bias = numbers(out, channels, 3, 3, seed=0) / channels**0.5, numbers(out, seed=1)
    convolution = Wide(weight, bias, dtype, (made_for or batch, channels, height, width))
    x, shortcut = (rounded(numbers(batch, n, height, width, seed=2), dtype) for n in (channels, out))
    exact = conv2d(x.double(), weight.to(dtype).double(), bias.to(dtype).double(), padding=1)
    near = {"atol": 2e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 1e-2, "rtol": 1e-2}
    for found, wanted in (
        (convolution(x), exact.relu()),
        (convolution(x, "none"), exact),
        (convolution.onto(shortcut.clone(), x), (shortcut.double() + exact).relu()),
    ):
        assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found.double(), wanted, **near)


@torch.inference_mode()
def test_a_map_does_not_depend_on_its_neighbours(dtype):
    weight, bias = numbers(256, 256, 3, 3, seed=0) / 48, numbers(256, seed=1)
    convolution = Wide(weight, bias, dtype, (32, 256, 5, 5))
    x, other = (rounded(numbers(32, 256, 5, 5, seed=seed), dtype) for seed in (2, 3))
    other[7] = x[7]
    assert torch.equal(convolution(x)[7], convolution(other)[7])


@torch.inference_mode()
def test_stride_and_padding_are_torchs(dtype):
    weight, bias = numbers(32, 3, 7, 7, seed=0) / 12, numbers(32, seed=1)
    x = rounded(numbers(2, 3, 33, 33, seed=2), dtype)
    found = OneDnn(weight, bias, dtype, tuple(x.shape), (2, 2), (3, 3))(x)
    exact = conv2d(x.double(), weight.to(dtype).double(), bias.to(dtype).double(), 2, 3).relu()
    torch.testing.assert_close(found.double(), exact, atol=2e-2, rtol=1e-2)


def test_it_is_for_many_channels_and_small_maps():
    assert fits_wide(CHANNELS, SIDE) and fits_wide(512, 1)
    assert not fits_wide(CHANNELS - 16, SIDE) and not fits_wide(512, SIDE + 1)
