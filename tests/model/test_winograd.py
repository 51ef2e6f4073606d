"""Winograd's convolution against torch's in float64, and what inference rests on: rows keep their numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from sfnet_core.model.kernels.winograd import CHANNELS, SIDE, Winograd, matrices, tile


@settings(max_examples=40, deadline=None)
@given(m=st.sampled_from([2, 3, 4]), seed=st.integers(0, 1000))
def test_the_matrices_correlate(m, seed):
    rng = np.random.default_rng(seed)
    data, kernel = rng.normal(size=m + 2), rng.normal(size=3)
    a, g, b = matrices(m)
    assert a @ ((g @ kernel) * (b @ data)) == pytest.approx(np.correlate(data, kernel, "valid"), abs=1e-12)


def made(channels: int, out: int, m: int, seed: int = 0) -> tuple[Winograd, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(out, channels, 3, 3, generator=generator, dtype=torch.float64) / (3 * channels**0.5)
    bias = torch.randn(out, generator=generator, dtype=torch.float64)
    return Winograd(weight, bias, m), weight, bias


def maps(*shape: int, seed: int = 1) -> torch.Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).relu()
    return x.contiguous(memory_format=torch.channels_last)


@settings(max_examples=60, deadline=None)
@given(
    m=st.sampled_from([2, 3, 4]), height=st.integers(1, 9), width=st.integers(1, 9),
    channels=st.sampled_from([1, 5, 32]), out=st.sampled_from([1, 7, 16]),
)  # fmt: skip
@torch.inference_mode()
def test_any_map_is_convolved_as_by_torch(m, height, width, channels, out):
    convolution, weight, bias = made(channels, out, m)
    x = maps(2, channels, height, width)
    exact = conv2d(x.double(), weight, bias, padding=1)
    found = convolution(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), exact.relu(), atol=2e-5, rtol=0)
    torch.testing.assert_close(convolution(x.contiguous()), found)  # another layout, the same numbers
    shortcut = maps(2, out, height, width, seed=2)
    before = shortcut.double()
    onto = convolution.onto(shortcut, x)
    assert onto.data_ptr() == shortcut.data_ptr()
    torch.testing.assert_close(onto.double(), (before + exact).relu(), atol=2e-5, rtol=0)


@pytest.mark.parametrize("side", [3, 4, 5, 8])
@torch.inference_mode()
def test_its_error_is_a_float32_sums(side):
    m = tile(512, side)
    convolution, weight, bias = made(512, 512, m)
    x = maps(4, 512, side, side)
    exact = conv2d(x.double(), weight, bias, padding=1).relu()
    off = (convolution(x).double() - exact).abs().max() / exact.max()
    direct = (conv2d(x, weight.float(), bias.float(), padding=1).relu().double() - exact).abs().max() / exact.max()
    assert off < max(6 * direct, 1e-6)


@pytest.mark.parametrize(("channels", "side"), [(512, 5), (512, 3), (256, 8)])
@torch.inference_mode()
def test_a_row_has_the_same_numbers_beside_others_and_at_another_place(channels, side):
    convolution, _, _ = made(channels, channels, tile(channels, side))
    x = maps(32, channels, side, side)
    turned = torch.randperm(32, generator=torch.Generator().manual_seed(3))
    found = convolution(x)
    assert torch.equal(convolution(x[turned].contiguous(memory_format=torch.channels_last)), found[turned])
    other = maps(32, channels, side, side, seed=4)
    other[7] = x[20]
    assert torch.equal(convolution(other)[7], found[20])


def test_where_it_is_used():
    assert tile(CHANNELS - 1, 4) == tile(512, SIDE + 1) == 0
    assert {side: tile(512, side) for side in range(1, SIDE + 1)} == {1: 2, 2: 2, 3: 3, 4: 4, 5: 3, 6: 3, 7: 4, 8: 4}
