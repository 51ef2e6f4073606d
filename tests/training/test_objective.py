"""Features kept alive: each option does what it says, folds into the paper's network, and resumes to the bit."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import sfnet_core.training.loop as training
import sfnet_core.training.objective as alive
from sfnet_core.analysis.interpret import contributions
from sfnet_core.cli.verbs import run as sfnet
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.network import SFNet, gate, pool
from sfnet_core.model.preprocess import augment, channel_statistics, to_input
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.training.objective import Objective, activity, fold
from sfnet_core.training.optimiser import one_cycle
from sfnet_core.training.recipes import ALIVE, RECIPES, choose
from sfnet_core.utils.errors import SFNetError

OPTIONS = [{"alive": True}, {"start_k": 9}, {"balance": 0.1}, {"alive": True, "multi_k": 8}]
NAMES = ["alive", "start_k", "balance", "alive, every k"]
BASE = replace(RECIPES["few hundred"], batch=10)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    """48 round blobs of 32 px whose colour tells their metallicity."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:32, :32] - 15.5
    oh = rng.normal(8.9, 0.2, 48)
    light = 200 * np.exp(-(x**2 + y**2) / (2 * rng.uniform(3, 7, 48)[:, None, None] ** 2))
    red = np.clip(0.7 + (oh - 8.9), 0.1, 1.3)[:, None, None]
    cutouts = np.stack([light * red, light * 0.7, light * (1.4 - red)], axis=3) + rng.normal(6, 2, (48, 32, 32, 3))
    cutouts = np.clip(cutouts, 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("alive") / "blobs"
    return Dataset.create(path, [f"g{i:02d}" for i in range(48)], cutouts, {"oh_p50": oh})


def small(dataset, out, **more) -> Run:
    return train(dataset, out, **({"width": 4, "epochs": 3, "progress": False, "device": "cpu"} | more))


def network_of(seed: int = 0, **more) -> SFNet:
    """A network whose normalisations have seen something, so that nothing is 0 or 1 by chance."""
    torch.manual_seed(seed)
    network = SFNet(width=4, **more)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


# ---- what is saved is the paper's network


@pytest.mark.parametrize("seed", range(3))
def test_folding_shifts_the_last_sum_and_nothing_else(seed):
    network = network_of(seed).double()
    images = torch.randn(5, 3, 64, 64, dtype=torch.float64)
    offset = torch.randn(32).double()
    expected = torch.relu(network.before_relu(images) + offset[:, None, None])
    folded = copy.deepcopy(network)
    fold(folded, offset)
    torch.testing.assert_close(folded.maps(images), expected, rtol=1e-9, atol=1e-9)
    assert [*folded.state_dict()] == [*network.state_dict()]
    early = [name for name in network.state_dict() if name != "layer4.1.bn2.bias"]
    assert all(torch.equal(folded.state_dict()[name], network.state_dict()[name]) for name in early)


@pytest.mark.parametrize("options", OPTIONS, ids=NAMES)
def test_the_saved_network_is_the_trained_one(dataset, tmp_path, options, monkeypatch):
    monkeypatch.setenv("SFNET_BF16", "0")
    kept, real = [], Objective.written
    monkeypatch.setattr(Objective, "written", lambda self, *sigma: kept.append((self, sigma)) or real(self, *sigma))
    run = small(dataset, tmp_path / "run", recipe=BASE, epochs=4, **options)
    trained, (mu, sigma) = kept[-1]
    network = trained.network.eval()
    images = to_input(torch.from_numpy(dataset.cutouts[:].copy()), run.metadata["mean"], run.metadata["std"])
    with torch.no_grad():
        offset = trained.state.get("offset", torch.zeros(32))
        a = pool(torch.relu(network.before_relu(images) + offset[:, None, None]))  # no folding
        expected = network.read(a).double().numpy() * sigma + mu
        np.testing.assert_allclose(run.network()(images).numpy(), expected, rtol=2e-6)
        torch.testing.assert_close(run.network().features(images), a, rtol=1e-4, atol=1e-5)
    if {"alive", "balance"} & options.keys():
        assert not np.allclose(network(images).detach().numpy() * sigma + mu, expected, rtol=1e-4)  # so it matters
    codes = infer(run, dataset, tmp_path / "codes.parquet", progress=False)
    np.testing.assert_allclose(codes.prediction(), expected[:, 0], rtol=3e-6)
    np.testing.assert_allclose(codes.bias[0] + contributions(codes).sum(axis=1), codes.prediction(), rtol=1e-6)
    held = codes.split == "validation"
    rmse = np.sqrt(np.mean((codes.prediction() - codes.truth())[held] ** 2))
    assert run.history[-1]["validation_rmse"] == pytest.approx(rmse, abs=1e-5)
    fires = np.bincount(codes.indices[held, : codes.k][codes.indices[held, : codes.k] >= 0], minlength=32)
    assert run.history[-1]["active_any"] == np.count_nonzero(fires)
    assert run.history[-1]["active_10%"] == np.count_nonzero(fires >= 0.1 * held.sum())


# ---- the default is what it was


def test_without_an_option_training_is_the_plain_loop_to_the_bit(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("SFNET_BF16", "0")
    run = small(dataset, tmp_path / "run", recipe=BASE, seed=5)
    ids = dataset.ids.tolist()
    rows = np.array(sorted(ids.index(name) for name in run.split["train"]))
    truth = dataset.column("oh_p50")
    mean, std = channel_statistics(dataset.cutouts, rows, 32)
    wanted = torch.from_numpy((truth - truth[rows].mean()) / truth[rows].std()).float()[:, None]
    torch.manual_seed(5)
    network = SFNet(4, 1, 4).train()
    optimiser = torch.optim.AdamW(network.parameters(), BASE.rate, weight_decay=BASE.weight_decay, fused=True)
    steps = round(len(rows) / 10)
    cutouts = torch.from_numpy(dataset.cutouts[:].copy())
    for epoch in range(3):
        order = np.random.default_rng([5, 1, epoch]).permutation(len(rows))
        for step, chosen in enumerate(np.array_split(order, steps)):
            group = optimiser.param_groups[0]
            group["lr"], momentum = one_cycle(epoch * steps + step, 3 * steps, BASE.rate, BASE.warm_up)
            group["betas"] = (momentum, 0.999)
            rng = np.random.default_rng([5, 2, epoch, step])
            images = augment(cutouts[rows[chosen]], mean, std, rng, BASE.gain, BASE.sky)
            loss = (network.head(gate(network.features(images), 4)) - wanted[rows[chosen]]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    saved = run.network().state_dict()
    for name, tensor in network.state_dict().items():
        if not name.startswith("head"):  # which was folded into dex
            assert torch.equal(tensor, saved[name]), name
    bias = network.head.bias.double().item() * truth[rows].std() + truth[rows].mean()
    assert float(saved["head.bias"]) == np.float32(bias)


# ---- cut anywhere


@pytest.mark.parametrize("options", OPTIONS, ids=NAMES)
def test_resume_is_equal_to_the_bit_with_every_option(dataset, tmp_path, monkeypatch, options):
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)

    def crash(epoch):
        if epoch.record["epoch"] == 3:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        small(dataset, tmp_path / "run", recipe=BASE, epochs=4, on_epoch=crash, **options)
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 2
    assert any(tensor.any() for tensor in last["objective"].values()) == bool({"alive", "balance"} & options.keys())
    resumed = small(dataset, tmp_path / "run", recipe=BASE, epochs=4, resume=True, **options)
    whole = small(dataset, tmp_path / "whole", recipe=BASE, epochs=4, **options)
    assert resumed.model_path.read_bytes() == whole.model_path.read_bytes() and resumed.history == whole.history
    with pytest.raises(SFNetError, match="recipe"):
        small(dataset, tmp_path / "run", recipe=BASE, epochs=4, resume=True)


def test_a_last_ckpt_without_the_state_of_its_features_is_refused(dataset, tmp_path):
    small(dataset, tmp_path / "run", on_epoch=lambda epoch: False, balance=0.1)
    path = tmp_path / "run" / "last.ckpt"
    last = torch.load(path, weights_only=True)
    torch.save(last | {"objective": {}}, path)
    with pytest.raises(SFNetError, match=r"state of its features holds \[\], not \['offset'"):
        small(dataset, tmp_path / "run", balance=0.1, resume=True)


# ---- a feature that began dead


def planted(steps: int, **options) -> torch.Tensor:
    """Activations (48,) of a feature that began dead before the gate, after some training."""
    network = network_of(1)
    network.layer4[1].bn2.weight.data[0] = 0.2
    network.layer4[1].bn2.bias.data[0] = -5
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(48, 1, generator=generator)
    images = torch.randn(48, 3, 32, 32, generator=generator) * 0.3 + wanted[:, :, None, None]
    with torch.no_grad():
        network.train()
        assert not network.features(images)[:, 0].any()
    objective = Objective(network, replace(BASE, **options), steps)
    trained = [*network.layer4[1].parameters(), *network.head.parameters()]
    network.requires_grad_(False)
    optimiser = torch.optim.Adam([p.requires_grad_() for p in trained], 0.2)
    for step in range(steps):
        a = objective.features(images)
        loss = objective.loss(a, wanted, step)[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        objective.observe(a, step)
    with torch.no_grad():
        return objective.features(images)[:, 0]


@pytest.mark.parametrize("options", [{}, {"balance": 0.5}], ids=str)
def test_a_feature_planted_dead_comes_back_with_balance_and_not_without(monkeypatch, options):
    monkeypatch.setattr(alive, "TARGET_USAGE", 0.06)  # so that its absence is noticed within these few steps
    assert bool(planted(80, **options).any()) == bool(options)


# ---- the gate, the offsets


@pytest.mark.parametrize(("steps", "narrow"), [(100, 50), (300, 180), (2000, 1600)])
@pytest.mark.parametrize(("first", "last"), [(32, 4), (512, 4), (9, 8), (2, 4), (0, 4)])
def test_the_gate_narrows_to_k_and_stays(first, last, steps, narrow):
    network = SFNet(last, width=4)
    objective = Objective(network, replace(BASE, start_k=first), steps)
    found = [objective.k(step) for step in range(steps)]
    assert found == sorted(found, reverse=True) and found[narrow:] == [last] * (steps - narrow)
    assert first <= last + 1 or found[narrow // 2] > last
    assert found[0] == max(last, min(first, 32))
    images = torch.randn(3, 3, 32, 32)
    a = objective.features(images)
    loss = objective.loss(a, torch.zeros(3, 1), 0)[0]
    torch.testing.assert_close(loss, network.head(gate(a, found[0])).square().mean())


def test_offsets_rise_where_a_feature_is_rare_and_settle_at_the_end(monkeypatch):
    monkeypatch.setattr(alive, "TARGET_USAGE", 0.1)
    monkeypatch.setattr(alive, "FEW", (1000, 6))
    network = SFNet(2, width=1)  # 8 features, even usage 1/4
    objective = Objective(network, replace(BASE, balance=0.1), 1000)
    a = torch.tensor([[9.0, 8.0, 1.0, 0, 0, 0, 0, 0]]).repeat(4, 1)  # always the first two
    usage, offset = np.full(8, 0.25), np.zeros(8)
    kept = np.array([1.0, 1, 0, 0, 0, 0, 0, 0])
    for step in range(300):
        objective.observe(a, step)
        usage = 0.95 * usage + 0.05 * kept
        offset[:6] += 0.1 * np.clip(1 - usage[:6] / 0.1, -0.2, 1)  # of equally rare ones the first are looked after
    np.testing.assert_allclose(objective.state["usage"], usage, atol=1e-5)
    np.testing.assert_allclose(objective.state["offset"], offset, rtol=1e-4)
    assert offset[0] < 0 < offset[2] and offset[2] > 4 * -offset[0]
    assert not objective.state["offset"][6:].any()
    before = objective.state["offset"].clone()
    objective.observe(a, 999)
    assert float((objective.state["offset"] - before).abs().max()) < 0.1 / 500


def test_only_the_features_kept_most_often_are_looked_after(monkeypatch):
    monkeypatch.setattr(alive, "BALANCED", 3)
    objective = Objective(SFNet(2, width=1), replace(BASE, balance=0.1), 10_000)
    first, then = (torch.tensor([row]).repeat(4, 1) for row in ([9.0, 8, 7, 0, 0, 0, 0, 0], [9.0, 0, 0, 0, 0, 0, 0, 8]))
    for step in range(50):
        objective.observe(first, step)  # keeps 0 and 1; 2 is the first of the rest
    assert objective.state["offset"].nonzero().flatten().tolist() == [0, 1, 2]
    for step in range(50, 800):
        objective.observe(then, step)  # keeps 0 and 7; 1 was kept once
    before = objective.state["offset"].clone()
    objective.observe(then, 800)
    assert (objective.state["offset"] - before).nonzero().flatten().tolist() == [0, 1, 7]


@pytest.mark.parametrize(("steps", "faster"), [(100, 4.0), (300, 3.2), (960, 1.0), (5000, 1.0)])
def test_offsets_move_further_in_a_short_training(steps, faster):
    objective = Objective(SFNet(2, width=1), replace(BASE, balance=0.1), steps)
    objective.observe(torch.tensor([[9.0, 8, 0, 0, 0, 0, 0, 0]]), 0)  # every usage is far above what is wanted
    assert objective.state["offset"].tolist() == pytest.approx([-0.1 * faster * alive.LOWERED] * 8)


@pytest.mark.parametrize(
    ("k", "width", "galaxies", "share"),
    [
        (4, 64, 5000, 0.0135), (2, 64, 5000, 0.0125), (1, 64, 5000, 0.5 / 80), (1, 4, 5000, 0.0135),
        (4, 64, 1200, 0.0135), (4, 64, 200, 0.02), (4, 64, 50, 2 / 96), (4, 4, 50, 0.0625),
    ],
)  # fmt: skip
def test_what_is_wanted_of_a_feature_leaves_half_of_the_places(k, width, galaxies, share):
    recipe = replace(BASE, balance=0.1)
    objective = Objective(SFNet(k, width=width), recipe, recipe.epochs * galaxies // recipe.batch)
    assert objective.target_usage == pytest.approx(share)
    assert objective.balanced == min(96 if galaxies < 1000 else 80, 8 * width)
    assert objective.target_usage * objective.balanced <= k / 2 + 1e-12


def test_activity_counts_shares():
    fires = np.array([0, 1, 9, 10, 99, 100, 1000])
    assert activity(fires, 1000) == {"any": 6, "1%": 4, "10%": 2}


# ---- as it is asked for


def test_recipes_take_the_options_and_say_so():
    recipe = choose(100, alive=True)
    assert (recipe.start_k, recipe.balance) == (ALIVE["start_k"], ALIVE["balance"])
    assert "narrowed from 32" in recipe.sentence() and "raised by 0.03" in recipe.sentence()
    assert choose(100, alive=True, balance=0.2, start_k=None).balance == 0.2
    assert choose(100, alive=True, multi_k=8).start_k == 0
    assert choose(100) == replace(RECIPES["few hundred"], refit_head=True) and not choose(100).start_k
    for wrong, said in (
        ({"start_k": -1}, "start_k is 0"), ({"balance": float("nan")}, "balance is 0"),
        ({"auxk": 4}, "no auxk; it has"),
        ({"start_k": 8, "multi_k": 4}, "choose one of the two"), ({"aux": 3}, "no aux; it has: name, epochs"),
    ):  # fmt: skip
        with pytest.raises(SFNetError, match=said):
            choose(100, **wrong)


def test_the_shell_passes_alive_on(dataset, tmp_path):
    common = ["--width", "4", "--epochs", "1", "--quiet"]
    assert sfnet(["train", str(dataset.path), "--out", str(tmp_path / "a"), "--alive", *common]) == 0
    recipe = Run.open(tmp_path / "a").config["recipe"]
    assert (recipe["start_k"], recipe["balance"]) == (32, 0.03)
