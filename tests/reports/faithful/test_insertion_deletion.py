"""Covered regions: networks whose maps are right by construction, by hand, and pieces that are kept."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import sfnet_core.reports.faithful.insertion_deletion as faithful_work
from sfnet_core.model.network import SFNet, code_of, gate, pool
from sfnet_core.model.preprocess import orient
from sfnet_core.reports.faithful.insertion_deletion import Covering, _maps, areas, curves, regions, summary
from sfnet_core.reports.faithful.wording import MAPS, ORDERS
from sfnet_core.utils.errors import SFNetError

NAMES = [*(name for name in ORDERS if name != "random"), *["random"] * 2]


class Blocks(nn.Module):
    """A network in which a map's cell sees its own 32 px block and nothing else: a linear reading of bands' means."""

    def __init__(self, k: int = 3):
        super().__init__()
        self.k, self.targets, self.n_features = k, 1, 3
        self.head = nn.Linear(3, 1)
        self.head.weight.data[:] = torch.tensor([[0.4, 0.2, 0.1]])
        self.head.bias.data[:] = 8.0

    def maps(self, x):
        return torch.relu(nn.functional.avg_pool2d(x, 32))

    def encode(self, x, runners_up=8):
        return code_of(self.maps(x), self.k, runners_up)

    def forward(self, x):
        return self.head(gate(pool(self.maps(x)), self.k))


def bright(side: int = 64, seed: int = 0) -> torch.Tensor:
    """A picture on a sky of zeros, without light at its border."""
    image = torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))
    image[:, [0, -1]] = 0
    image[:, :, [0, -1]] = 0
    for i, (y, x) in enumerate(itertools.product(range(0, side, 32), repeat=2)):
        image[:, y : y + 32, x : x + 32] *= (3 * i + 1) % 7 + 1
    return image


def test_where_a_cell_sees_its_block_alone_the_map_is_the_best_order_of_all():
    network, image = Blocks(), bright()
    found = curves(network, image, Covering(draws=2, seed=3))
    np.testing.assert_allclose(found["map"], found["occlusion"], atol=1e-6)  # the sky gives nothing
    contribution = found["map"].ravel()
    value = {}
    for order in itertools.permutations(range(4)):  # by hand: what is covered is lost
        lost = np.concatenate([[0], np.cumsum(contribution[list(order)])])
        value[order] = np.trapezoid(lost, found["share"]), np.trapezoid(lost[-1] - lost, found["share"])
    deletion, insertion = areas(found)
    for i, name in enumerate(NAMES):
        if name in ("map", "map less sky", "map less cover", "occlusion"):
            assert deletion[i] == pytest.approx(max(v[0] for v in value.values()), abs=1e-5), name
            assert insertion[i] == pytest.approx(min(v[1] for v in value.values()), abs=1e-5), name
        assert deletion[i] <= max(v[0] for v in value.values()) + 1e-5
        assert insertion[i] >= min(v[1] for v in value.values()) - 1e-5
    assert deletion[0] > max(deletion[-2:])  # and better than the random ones here


@pytest.fixture(scope="module")
def network() -> SFNet:
    torch.manual_seed(4)
    return SFNet(k=4, width=4).eval()


@pytest.mark.parametrize("fill", ["sky", "blur"])
def test_predictions_are_those_of_covering_by_hand(network, fill):
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(1))
    found = curves(network, image, Covering(draws=2, fill=fill, seed=9), batch=16)
    assert found["share"].tolist() == pytest.approx(np.arange(5) / 4)
    assert found["deletion"].shape == found["insertion"].shape == (len(NAMES), 5)
    border = torch.cat([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], dim=1).median(dim=1).values
    if fill == "sky":
        cover = border[:, None, None].expand_as(image)
        order = np.argsort(-np.abs(found["map"]).ravel())
        for t in range(5):
            covered, uncovered = image.clone(), cover.clone()
            for cell in order[:t]:
                y, x = 32 * (cell // 2), 32 * (cell % 2)
                covered[:, y : y + 32, x : x + 32] = border[:, None, None]
                uncovered[:, y : y + 32, x : x + 32] = image[:, y : y + 32, x : x + 32]
            with torch.no_grad():
                assert found["deletion"][0, t] == pytest.approx(float(network(covered[None])), abs=1e-4)
                assert found["insertion"][0, t] == pytest.approx(float(network(uncovered[None])), abs=1e-4)
    whole = float(network(image[None]).detach())
    for kind, other in (("deletion", "insertion"), ("insertion", "deletion")):
        np.testing.assert_array_equal(found[kind][:, 0], found[other][:, -1])
    assert found["deletion"][:, 0] == pytest.approx(whole, abs=1e-5)
    assert np.ptp(found["deletion"][:, -1]) == 0


def test_a_map_less_the_cover_sums_to_what_covering_everything_changes(network):
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(2))
    cover = torch.zeros_like(image)
    with torch.no_grad():
        sky = network.maps(cover[None])[0].double().numpy()
    maps = _maps(network, image, cover, 0, sky)
    with torch.no_grad():
        change = float(network(image[None]) - network(cover[None]))
        bias = float(network.head.bias[0])
        assert maps["map less cover"].sum() == pytest.approx(change, abs=1e-5)
        np.testing.assert_allclose(maps["map less sky"], maps["map less cover"], atol=1e-5)  # here the same image's
        assert maps["map"].sum() == pytest.approx(float(network(image[None])) - bias, abs=1e-5)
        views = torch.cat([orient(image.permute(1, 2, 0)[None], i) for i in range(8)]).permute(0, 3, 1, 2)
        assert maps["map of views"].sum() == pytest.approx(float(network(views).mean()) - bias, abs=1e-5)


@pytest.mark.parametrize("orientation", [1, 4, 6])
def test_the_map_of_8_views_turns_with_the_image(network, orientation):
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(5))
    turned = orient(image.permute(1, 2, 0)[None], orientation)[0].permute(2, 0, 1)
    first, other = (
        _maps(network, one, torch.zeros_like(one), 0, np.zeros((32, 2, 2)))["map of views"] for one in (image, turned)
    )
    expected = orient(torch.from_numpy(first.copy())[None, :, :, None], orientation)[0, :, :, 0].numpy()
    np.testing.assert_allclose(other, expected, atol=1e-5)


def test_a_map_is_moved_to_where_its_cells_are_centred():
    """A point of light at a cell's own centre, 32·u, lies half in its block and half in the one before."""
    from sfnet_core.reports.faithful.insertion_deletion import _moved

    drawn = np.zeros((3, 3))
    drawn[1, 1] = 1.0
    moved = _moved(drawn, (96, 96))  # blocks' middles at 15.5, 47.5, 79.5 px; cells at 0, 32, 64
    near = 1 - np.array([16.5, 15.5]) / 32
    np.testing.assert_allclose(moved[:2, :2], near[:, None] * near, atol=1e-12)
    assert np.abs(moved[2]).max() == np.abs(moved[:, 2]).max() == 0


def test_summaries_are_means_and_paired_differences():
    rng = np.random.default_rng(0)
    n, orders, steps = 40, len(NAMES), 10
    kinds = {kind: 9 + rng.normal(0, 0.1, (n, orders, steps)) for kind in ("deletion", "insertion")}
    kinds["deletion"][:, :, 0] = 9.0
    whole = kinds | {"share": np.tile(np.arange(steps) / 9, (n, 1))}
    whole |= {"map": rng.normal(size=(n, 3, 3)), "occlusion": rng.normal(size=(n, 3, 3))}
    whole["occlusion"][:20] = 2 * whole["map"][:20]  # the same order of cells
    truth = np.full(n, 9.0)
    truth[0] = np.nan
    found = summary(whole, truth, draws=2)
    hand = np.trapezoid(np.abs(whole["deletion"] - 9.0), whole["share"][0], axis=2)
    random = hand[:, -2:].mean(axis=1)
    assert found["areas"]["deletion"]["random"]["value"] == pytest.approx(random.mean())
    one = found["advantage"]["deletion"]["map"]["random"]
    assert one["value"] == pytest.approx((hand[:, 0] - random).mean()) and one["low"] < one["value"] < one["high"]
    assert one["share_of_galaxies"] == (hand[:, 0] > random).mean()
    late = np.trapezoid(np.abs(whole["insertion"] - 9.0), whole["share"][0], axis=2)
    gain = found["advantage"]["insertion"]["map"]["occlusion"]["value"]  # less area is better
    assert gain == pytest.approx((late[:, NAMES.index("occlusion")] - late[:, 0]).mean())
    rmse = np.sqrt(((whole["insertion"][1:, 0, 4] - 9.0) ** 2).mean())
    assert found["curves"]["insertion"]["rmse"]["map"][4] == pytest.approx(rmse) and found["n_with_truth"] == n - 1
    assert found["map_against_occlusion"]["value"] > 0.4
    assert set(found["advantage"]["deletion"]) == set(MAPS)
    over_plain = found["advantage"]["deletion"]["map less sky"]["map"]["value"]
    assert over_plain == pytest.approx((hand[:, NAMES.index("map less sky")] - hand[:, 0]).mean())
    assert "map" not in found["advantage"]["deletion"]["map"]


@pytest.fixture
def matter(tmp_path):
    """Three galaxies, their codes' head and a run, as far as covering them asks for."""
    torch.manual_seed(6)
    network = SFNet(k=2, width=4).eval()
    cutouts = np.random.default_rng(1).integers(0, 255, (3, 70, 70, 3), dtype=np.uint8)
    metadata = {"crop": 64, "mean": [0.4] * 3, "std": [0.2] * 3}
    run = SimpleNamespace(fingerprint="abc", name="run", metadata=metadata, network=lambda: network)
    codes = SimpleNamespace(
        provenance={"run_fingerprint": "abc"}, fingerprint="c", ids=np.array(["a", "b", "c"]),
        truth=lambda t: np.full(3, 9.0), prediction=lambda t: np.zeros(3), sky=None,
    )  # fmt: skip
    return codes, run, SimpleNamespace(cutouts=cutouts, fingerprint="d"), tmp_path


def test_finished_pieces_are_kept_and_pieces_of_another_question_are_not(matter, monkeypatch):
    codes, run, dataset, work = matter
    monkeypatch.setattr(faithful_work, "PIECE", 1)
    monkeypatch.setattr(faithful_work, "micro_batch", lambda device: 8)
    rows = np.arange(3)

    def measure(**more):
        return regions(codes, run, dataset, rows, rows, work, Covering(draws=2, **more), progress=False)

    calls, real = [], faithful_work.curves

    def counting(*arguments, **more):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    monkeypatch.setattr(faithful_work, "curves", counting)
    with pytest.raises(KeyboardInterrupt):
        measure()
    again = measure()  # two of the three are kept
    assert len(calls) == 4
    assert measure() == again and len(calls) == 4
    assert measure(seed=1) != again and len(calls) == 7
    monkeypatch.setattr(faithful_work, "curves", real)
    for path in work.glob("*.npz"):
        path.unlink()
    assert measure() == again  # however it was interrupted


def test_the_wrong_network_and_the_wrong_cover_are_named(matter):
    codes, run, dataset, work = matter
    run.fingerprint = "other"
    with pytest.raises(SFNetError, match="not made by run"):
        regions(codes, run, dataset, np.arange(3), np.arange(3), work)
    with pytest.raises(SFNetError, match="sky or blur"):
        Covering(fill="black")
