"""The benchmarks' plain implementation of the paper and the package are the same network, to 1e-4 and better."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.paper_peer import Jpegs, Packed, PaperSFNet, RAdamLookahead, encode, training_step
from benchmarks.plain_training import Turned, band_statistics, one_cycle, train_plainly
from sfnet_core.model.network import SFNet
from sfnet_core.model.preprocess import ORIENTATIONS, channel_statistics, orient, to_input
from sfnet_core.training import optimiser
from sfnet_core.training.optimiser import make_optimiser
from sfnet_core.training.recipes import RECIPES


def pair(k: int, targets: int) -> tuple[SFNet, PaperSFNet]:
    """The package's network and the peer with the same weights, and batch statistics that are not the trivial ones."""
    torch.manual_seed(0)
    ours, peer = SFNet(k, targets), PaperSFNet(k, targets)
    for name, buffer in ours.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    peer.load_state_dict(ours.state_dict())
    return ours, peer


@pytest.mark.parametrize(("k", "targets", "training"), [(4, 1, False), (4, 1, True), (8, 4, True)])
def test_gradients_agree(k, targets, training):
    """In float64: in float32 rounding puts one of 750,000 ReLU inputs on the other side of 0 in every second draw of
    images (in which one depends on the processor), and a gradient then differs by about one percent.
    """
    ours, peer = (network.double() for network in pair(k, targets))
    theirs = dict(peer.named_parameters())
    for _ in range(2):
        images, truth = torch.randn(4, 3, 64, 64).double(), torch.randn(4, targets).double()
        for network in (ours, peer):
            network.train(training)
            network.zero_grad()
            (network(images) - truth).square().mean().sqrt().backward()
        for name, parameter in ours.named_parameters():
            away, size = float((parameter.grad - theirs[name].grad).norm()), float(theirs[name].grad.norm())
            assert away <= 1e-9 * max(size, 1e-6), name
    assert float(peer.conv1.weight.grad.norm()) > 0 and not (peer.head.weight.grad == 0).all()
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(buffer, dict(peer.named_buffers())[name], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_predictions_in_float32_agree(training):
    ours, peer = (network.train(training) for network in pair(4, 2))
    for _ in range(3):
        images = torch.randn(4, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(ours(images), peer(images), atol=1e-4, rtol=1e-4)
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(buffer, dict(peer.named_buffers())[name], atol=1e-5, rtol=1e-5)


def test_the_papers_optimiser_takes_the_same_steps():
    """Thirteen steps: past RAdam's switch to the rectified rate and twice past Lookahead's pull."""
    torch.manual_seed(1)
    first = torch.randn(5, 3)
    goal = torch.randn(5, 3)
    ours, peer = torch.nn.Linear(3, 5), torch.nn.Linear(3, 5)
    peer.load_state_dict(ours.state_dict())
    recipe = RECIPES["paper"]
    one, two = make_optimiser(ours, recipe), RAdamLookahead(peer.parameters(), recipe.rate, recipe.weight_decay)
    start = peer.weight.detach().clone()
    for _ in range(13):
        one.zero_grad()
        (ours(first) - goal @ goal.T).square().mean().sqrt().backward()
        one.step()
        training_step(peer, two, first, goal @ goal.T)
    assert float((peer.weight - start).detach().abs().max()) > 0.01
    torch.testing.assert_close(ours.weight, peer.weight, atol=1e-4, rtol=1e-4)


def test_both_see_the_same_pixels(tmp_path):
    rng = np.random.default_rng(0)
    cutouts = rng.integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, cutout in zip(paths, cutouts, strict=True):
        Image.fromarray(cutout).save(path)
    mean, std = [0.1, 0.2, 0.3], [0.2, 0.25, 0.3]
    wanted = to_input(torch.from_numpy(cutouts), mean, std)
    for data in (Jpegs(paths, np.zeros(3), mean, std, augment=False), Packed(cutouts, mean, std)):
        torch.testing.assert_close(torch.stack([data[i][0] for i in range(3)]), wanted, atol=1e-5, rtol=1e-5)

    def whole(image: torch.Tensor) -> bytes:
        """An image (3, H, W) as the bytes of its pixels."""
        scale, shift = (torch.tensor(values)[:, None, None] for values in (std, mean))
        return ((image * scale + shift) * 255).round().to(torch.uint8).numpy().tobytes()

    views = {whole(to_input(orient(torch.from_numpy(cutouts[:1]), i), mean, std)[0]) for i in range(ORIENTATIONS)}
    torch.manual_seed(0)
    turned = Jpegs(paths, np.zeros(3), mean, std, augment=True)
    assert {whole(turned[0][0]) for _ in range(200)} == views and len(views) == 8


def test_codes_agree():
    ours, peer = pair(4, 1)
    cutouts = np.random.default_rng(3).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    indices, values, predictions = encode(peer, Packed(cutouts, [0.5] * 3, [0.3] * 3), batch=4, workers=0)
    with torch.no_grad():
        images = to_input(torch.from_numpy(cutouts), [0.5] * 3, [0.3] * 3)
        wanted, strengths, _ = ours.eval().encode(images)
        torch.testing.assert_close(torch.from_numpy(predictions), ours(images), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(values, strengths.numpy(), atol=1e-4, rtol=1e-4)
    clear = (np.diff(values, axis=1) < -1e-4).all(axis=1)
    assert clear.any()
    np.testing.assert_array_equal(indices[clear], wanted.numpy()[clear])


def test_the_plain_training_has_the_same_cycle_pixels_and_statistics():
    inner = torch.optim.RAdam([torch.nn.Parameter(torch.zeros(1))], 0.1)
    cycle = one_cycle(inner, 0.1, 40)
    for step in range(40):
        rate, momentum = optimiser.one_cycle(step, 40, 0.1)
        assert inner.param_groups[0]["lr"] == pytest.approx(rate, abs=1e-9)
        assert inner.param_groups[0]["betas"][0] == pytest.approx(momentum)
        inner.step()
        cycle.step()
    cutouts = np.random.default_rng(0).integers(0, 256, (3, 5, 5, 3), dtype=np.uint8)
    mean, std = band_statistics(cutouts)
    assert mean == pytest.approx(channel_statistics(cutouts, np.arange(3), 5)[0], abs=1e-5)
    assert std == pytest.approx(channel_statistics(cutouts, np.arange(3), 5)[1], abs=1e-5)
    views = [to_input(orient(torch.from_numpy(cutouts), i), mean, std) for i in range(ORIENTATIONS)]
    data, seen = Turned(Packed(cutouts, mean, std), np.array([1.0, 2.0, 3.0])), set()
    torch.manual_seed(0)
    for _ in range(60):
        image, truth = data[1]
        assert truth == 2
        seen.add(next(i for i, view in enumerate(views) if torch.allclose(view[1], image, atol=1e-6)))
    assert len(seen) == ORIENTATIONS


def test_the_plain_training_learns():
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1, 80)
    cutouts = np.clip(rng.normal(100 + 30 * truth[:, None, None, None], 5, (80, 32, 32, 3)), 0, 255).astype(np.uint8)
    heard = []
    found = train_plainly(
        cutouts[:64], truth[:64], cutouts[64:], epochs=12, width=4, batch=16, rate=0.03,
        after_epoch=lambda epoch, predicted: heard.append((epoch, predicted)),
    )  # fmt: skip
    assert [epoch for epoch, _ in heard] == list(range(1, 13)) and np.array_equal(heard[-1][1], found)
    rmse = [np.sqrt(np.mean((predicted - truth[64:]) ** 2)) for _, predicted in (heard[0], heard[-1])]
    assert rmse[1] < 0.6 * truth[64:].std() and rmse[1] < rmse[0]
