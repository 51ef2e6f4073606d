"""A batch side by side is the same convolution, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sfnet_core.model.kernels.batched_conv import SIDE, Convolution, side_by_side, split_apart
from sfnet_core.model.network import SFNet

sides = st.integers(1, 6)


@settings(max_examples=50, deadline=None)
@given(batch=st.integers(1, 5), channels=st.integers(1, 20), height=sides, width=sides)
def test_apart_undoes_beside(batch, channels, height, width):
    x = torch.arange(batch * channels * height * width).view(batch, channels, height, width)
    wide = side_by_side(x)
    assert wide.shape == (1, channels, height, width * batch)
    assert wide.is_contiguous(memory_format=torch.channels_last)
    image, cell = batch - 1, width - 1
    assert torch.equal(wide[0, :, :, cell * batch + image], x[image, :, :, cell])
    assert torch.equal(split_apart(wide, batch), x)


def both(side: int, dtype: torch.dtype, wide: bool, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Maps, gradient of the images and of the weights of one convolution, side by side or not."""
    monkeypatch.setattr("sfnet_core.model.kernels.batched_conv.SIDE", SIDE if wide else 0)
    torch.manual_seed(0)
    convolution = Convolution(32, 48, 1).to(memory_format=torch.channels_last)
    x = torch.randn(6, 32, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        y = convolution(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.float().square().sum().backward()
    return [each.detach().float() for each in (y, x.grad, convolution.weight.grad)]


@pytest.mark.parametrize("side", [1, 3, 5, SIDE])
def test_maps_and_gradients_in_bfloat16_are_those_of_the_usual_convolution(side, monkeypatch):
    calls = []
    usual = nn.functional.conv2d
    monkeypatch.setattr(nn.functional, "conv2d", lambda *a: calls.append(a[0].shape) or usual(*a))
    found = both(side, torch.bfloat16, True, monkeypatch)
    assert calls == [(1, 32, side, 6 * side)]  # it was laid side by side
    for one, other in zip(found, both(side, torch.bfloat16, False, monkeypatch), strict=True):
        torch.testing.assert_close(one, other, atol=0.01 * float(other.abs().max()), rtol=0)


def test_in_float32_and_for_large_maps_and_for_narrow_networks_nothing_is_moved(monkeypatch):
    monkeypatch.setattr("sfnet_core.model.kernels.batched_conv.side_by_side", None)  # calling it would fail
    both(3, torch.float32, True, monkeypatch)
    both(SIDE + 1, torch.bfloat16, True, monkeypatch)
    network = SFNet(k=2, width=8)  # whose convolutions torch computes wrongly in channels_last
    network = network.to(memory_format=network.memory_format)
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(2, 3, 32, 32)).sum().backward()


def test_a_networks_step_uses_it(monkeypatch):
    seen = []
    usual = side_by_side
    monkeypatch.setattr(
        "sfnet_core.model.kernels.batched_conv.side_by_side", lambda x: seen.append(x.shape[-1]) or usual(x)
    )
    network = SFNet(k=2, width=16).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(2, 3, 160, 160)).sum().backward()
    assert seen == [10] * 3 + [5] * 3  # every 3×3 convolution of stride 1 in the last two stages
