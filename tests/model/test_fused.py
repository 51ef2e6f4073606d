"""The fused trunk against the network's own layers; the sizes and widths that it must fit or leave alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfnet_core.model.kernels.fused import FusedTrunk, _pooled, can_fuse, trunk_of
from sfnet_core.model.network import SFNet


def trained(width: int = 16) -> SFNet:
    """A network whose normalisations are not the identity."""
    torch.manual_seed(1)
    network = SFNet(k=3, width=width)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.2)
    return network.to(memory_format=network.memory_format).eval()


@pytest.mark.parametrize("side", [32, 33, 47, 64, 96])
@torch.inference_mode()
def test_maps_are_the_networks(side):
    network = trained()
    assert can_fuse(network)
    images = torch.randn(5, 3, side, side)
    expected = network.maps(images)
    for batch in (5, 32):  # the batch it is made for is a hint, not a limit
        maps = trunk_of(network, side, batch)(images)
        assert maps.shape == expected.shape and maps.dtype == torch.float32
        torch.testing.assert_close(maps, expected, atol=2e-6 * float(expected.max()), rtol=1e-4)


@torch.inference_mode()
def test_bfloat16_is_near_and_its_maps_are_not_below_zero(bfloat16):
    network, images = trained(), torch.randn(4, 3, 64, 64)
    if not bfloat16:
        with pytest.raises(RuntimeError, match="bf16"):
            FusedTrunk(network, 64, 4, torch.bfloat16)
        return
    expected = network.maps(images)
    maps = FusedTrunk(network, 64, 4, torch.bfloat16)(images)
    assert maps.dtype == torch.bfloat16 and float(maps.min()) >= 0
    error = (maps.float() - expected).abs().max() / expected.max()
    assert 1e-5 < error < 0.05


@torch.inference_mode()
def test_the_images_and_the_network_are_left_as_they_were():
    network, images = trained(), torch.randn(2, 3, 40, 40).contiguous(memory_format=torch.channels_last)
    before, kept = images.clone(), {name: value.clone() for name, value in network.state_dict().items()}
    trunk = trunk_of(network, 40, 2)
    first = trunk(images)
    assert torch.equal(trunk(images), first) and torch.equal(images, before)
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


@torch.inference_mode()
def test_a_row_does_not_depend_on_its_neighbours():
    network, images = trained(), torch.randn(8, 3, 40, 40)
    trunk = trunk_of(network, 40, 8)
    other = torch.cat([images[:1], torch.randn(7, 3, 40, 40)])
    assert torch.equal(trunk(images)[0], trunk(other)[0])


@torch.inference_mode()
def test_widths_that_torch_computes_wrongly_in_channels_last_stay_plain():
    network, images = trained(width=8), torch.randn(2, 3, 40, 40)
    assert not can_fuse(network)
    assert torch.equal(trunk_of(network, 40, 2)(images), network.maps(images))


@pytest.mark.parametrize("shape", [(2, 16, 8, 8), (1, 32, 48, 6), (3, 16, 7, 8), (3, 16, 2, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_by_bits_is_torchs(shape, dtype):
    torch.manual_seed(0)
    x = (torch.randn(shape).relu() * 10.0 ** torch.randint(-38, 38, shape)).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    x[0, 0, 0, 0], x[-1, -1, -1, -1], x[-1, 0, 0, 1] = -0.0, torch.inf, torch.nan
    wanted = nn.functional.max_pool2d(x, 3, 2, 1)
    torch.testing.assert_close(_pooled(x), wanted, rtol=0, atol=0, equal_nan=True)
