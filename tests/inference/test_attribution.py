"""Contribution maps add up to the prediction; occlusion is what covering by hand gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfnet_core.inference.attribution import contribution_maps, occlusion
from sfnet_core.model.network import SFNet
from sfnet_core.utils.errors import SFNetError


@pytest.fixture
def network() -> SFNet:
    torch.manual_seed(2)
    return SFNet(k=4, targets=2, width=4).eval()


@pytest.mark.parametrize("target", [0, 1])
def test_maps_sum_to_the_prediction(network, target):
    images = torch.randn(3, 3, 96, 64)
    indices, maps = contribution_maps(network, images, target)
    assert maps.shape == (3, 4, 3, 2) and maps.dtype == np.float64 and indices.shape == (3, 4)
    with torch.no_grad():
        a, y = network.features(images), network(images)[:, target]
    total = maps.sum((1, 2, 3)) + float(network.head.bias[target].detach())
    np.testing.assert_allclose(total, y.numpy(), atol=1e-5)
    for b in range(3):
        for slot, j in enumerate(indices[b]):
            np.testing.assert_allclose(
                maps[b, slot].sum(), float(network.head.weight[target, j].detach() * a[b, j]), atol=1e-6
            )


def test_empty_slots_have_empty_maps(network):
    network.layer4[1].bn2.bias.data.fill_(-1e6)
    indices, maps = contribution_maps(network, torch.randn(2, 3, 64, 64))
    assert (indices == -1).all() and (maps == 0).all()


def test_occlusion_is_covering_by_hand(network):
    image = torch.randn(3, 64, 70)
    drop, top, left = occlusion(
        network, image, patch=20, stride=16, target=1, fill=torch.tensor([1.0, 2.0, 3.0]), batch=5
    )
    assert top.tolist() == [0, 16, 32, 44] and left.tolist() == [0, 16, 32, 48, 50]
    assert drop.shape == (4, 5)
    covered = image.clone()
    for band in range(3):
        covered[band, 32:52, 16:36] = band + 1.0
    with torch.no_grad():
        expected = float(network(image[None])[0, 1] - network(covered[None])[0, 1])
    assert drop[2, 1] == pytest.approx(expected, abs=1e-5)


def test_covering_sky_with_sky_changes_nothing(network):
    image = torch.zeros(3, 64, 64)
    image[:, 28:36, 28:36] = 5.0
    drop, top, left = occlusion(network, image, patch=16, stride=16)
    corner = drop[top == 0][:, left == 0]
    assert corner == pytest.approx(0.0, abs=1e-6)
    assert np.abs(drop).max() > 1e-3


def test_mistakes_are_named(network):
    with pytest.raises(SFNetError, match="no target number 2"):
        contribution_maps(network, torch.zeros(1, 3, 32, 32), 2)
    with pytest.raises(SFNetError, match="do not fit"):
        occlusion(network, torch.zeros(3, 32, 32), patch=33)
    with pytest.raises(SFNetError, match="one image"):
        occlusion(network, torch.zeros(1, 3, 32, 32))
