"""The head by least squares: beside a plain regression that stacks what passes each gate, and after a training."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

import sfnet_core.training.head as head
import sfnet_core.training.loop as training
from sfnet_core.analysis.interpret import predict
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.cutout_loader import CutoutLoader
from sfnet_core.model.network import SFNet
from sfnet_core.model.preprocess import to_input
from sfnet_core.model.run import Run
from sfnet_core.training.head import FRESH, NEAR, fit_head, refit_head
from sfnet_core.training.loop import train
from sfnet_core.training.objective import Objective
from sfnet_core.training.recipes import RECIPES, choose

N, SIDE, MEAN, STD = 150, 32, [0.2, 0.25, 0.3], [0.2, 0.2, 0.25]
FEW = RECIPES["few hundred"]
BITS = "model.safetensors"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    rng = np.random.default_rng(5)
    cutouts = rng.integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)
    truth = {"oh_p50": 8.8 + cutouts[..., 0].mean((1, 2)) / 200 + rng.normal(0, 0.02, N), "mass": rng.normal(10, 1, N)}
    return Dataset.create(tmp_path_factory.mktemp("head") / "noise", [f"g{i}" for i in range(N)], cutouts, truth)


@pytest.fixture
def feed(dataset) -> CutoutLoader:
    return CutoutLoader(dataset.cutouts, np.arange(N), SIDE, torch.device("cpu"))


def a_network(targets: int = 1, k: int = 3) -> SFNet:
    torch.manual_seed(2)
    return SFNet(k, targets, width=4)


def plainly(a: np.ndarray, y: np.ndarray, shares: np.ndarray, drawn_to: np.ndarray | None) -> np.ndarray:
    """(1 + F, T): a row for each galaxy and gate, weighted by the root of its gate's share; then ridge by lstsq."""
    n, features = a.shape
    order = np.argsort(-a, axis=1, kind="stable")
    rows, targets = [], []
    for k, share in enumerate(shares, 1):
        kept = np.zeros_like(a)
        np.put_along_axis(kept, order[:, :k], np.take_along_axis(a, order[:, :k], 1), 1)
        rows.append(np.sqrt(share / n) * np.c_[np.ones(n), kept])
        targets.append(np.sqrt(share / n) * y)
    x = np.concatenate(rows)
    spread = (x[:, 1:] ** 2).sum(0) - ((x[:, 1:] * x[:, :1]).sum(0)) ** 2
    ridge = np.sqrt((FRESH if drawn_to is None else NEAR) * spread.max()) * np.eye(features + 1)[1:]
    drawn_to = np.zeros((y.shape[1], features)) if drawn_to is None else drawn_to
    return np.linalg.lstsq(np.r_[x, ridge], np.r_[np.concatenate(targets), ridge[:, 1:] @ drawn_to.T], rcond=None)[0]


@pytest.mark.parametrize("recipe", [FEW, replace(FEW, multi_k=5, multi_k_power=1.0)], ids=["one gate", "five gates"])
@pytest.mark.parametrize(("targets", "near"), [(1, True), (2, True), (2, False)])
def test_the_head_is_the_regression_on_what_passes_the_gates(feed, recipe, targets, near):
    network = a_network(targets)
    wanted = torch.from_numpy(np.random.default_rng(1).normal(size=(N, targets))).float()
    drawn_to = network.head.weight.detach().clone() if near else None
    with torch.no_grad():
        a = network.eval().features(to_input(next(feed.batches([np.arange(N)])), MEAN, STD)).double().numpy()
    assert ((a > 0).sum(1) >= 5).all()
    shares = np.array([60, 30, 20, 15, 12]) / 137 if recipe.multi_k else np.array([0.0, 0, 1])
    plain = plainly(a, wanted.double().numpy(), shares, drawn_to.double().numpy() if near else None)
    fit_head(network, feed, MEAN, STD, wanted, recipe, drawn_to)
    np.testing.assert_allclose(network.head.weight.detach().numpy(), plain[1:].T, atol=2e-5)
    np.testing.assert_allclose(network.head.bias.detach().numpy(), plain[0], atol=2e-5)


def test_a_feature_that_is_never_kept_keeps_its_weight(feed):
    network = a_network()
    with torch.no_grad():
        network.layer4[1].bn2.bias[7] = -1e4
    network.layer4[1].bn2.weight.data[7] = 0
    before = network.head.weight[0, 7].item()
    recipe = replace(FEW, multi_k=4, refit_head=True)
    wanted = torch.linspace(-1, 1, N)[:, None]
    refit_head(Objective(network, recipe, 10), feed, MEAN, STD, wanted)
    assert network.head.weight[0, 7].item() == pytest.approx(before, abs=1e-7)
    untouched = a_network()
    refit_head(Objective(untouched, FEW, 10), feed, MEAN, STD, wanted)
    assert all(torch.equal(a, b) for a, b in zip(untouched.parameters(), a_network().parameters(), strict=True))


def small(dataset, out, **more) -> Run:
    usual = {"width": 4, "k": 2, "epochs": 2, "progress": False, "device": "cpu", "multi_k": 4, "recipe": "few hundred"}
    return train(dataset, out, **(usual | more))


def test_a_training_fits_its_head_once_more_and_says_so(dataset, tmp_path):
    for n, k in ((100, None), (100, 4), (5000, None), (20_000, None), (100_000, 4)):
        assert choose(n, multi_k=k).refit_head and "fitted once more" in choose(n, multi_k=k).sentence()
    assert not choose(100_000).refit_head and not choose(100, "paper").refit_head  # the paper's has its own head
    assert not choose(100, FEW).refit_head and "once more" not in choose(100, FEW).sentence()
    fitted = small(dataset, tmp_path / "fitted", alive=True)
    left = small(dataset, tmp_path / "left", alive=True, refit_head=False)
    ours, theirs = fitted.network().state_dict(), left.network().state_dict()
    assert {name for name in ours if not torch.equal(ours[name], theirs[name])} == {"head.weight", "head.bias"}
    assert fitted.history[0] == left.history[0] and fitted.history[1] != left.history[1]
    codes = infer(fitted, dataset, tmp_path / "codes.parquet", progress=False)
    held = codes.in_split("validation")
    error = np.sqrt(((predict(codes) - codes.truth())[held] ** 2).mean())
    assert fitted.metrics["validation_rmse"] == pytest.approx(error, abs=2e-3)  # the training's may be in bfloat16

    # over the training galaxies and all gates it is no worse than the head the last step left
    def loss(run: Run, name: str) -> float:
        codes = infer(run, dataset, tmp_path / name, progress=False)
        known = codes.in_split("train")
        each = [((predict(codes, k=k) - codes.truth())[known] ** 2).mean() for k in range(1, 5)]
        return float(np.average(each, weights=1 / np.arange(1.0, 5)))

    assert loss(fitted, "a.parquet") < loss(left, "b.parquet")


def test_r10_a_training_whose_head_is_fitted_once_more_resumes_to_the_bit(dataset, tmp_path):
    whole = small(dataset, tmp_path / "whole")
    small(dataset, tmp_path / "cut", on_epoch=lambda epoch: False)
    again = small(dataset, tmp_path / "cut", resume=True)
    assert (again.path / BITS).read_bytes() == (whole.path / BITS).read_bytes() and again.history == whole.history


def test_r9_r10_a_signal_while_the_head_is_fitted_leaves_a_checkpoint_and_resume_is_equal_to_the_bit(
    dataset, tmp_path, monkeypatch
):
    whole = small(dataset, tmp_path / "whole")
    real, seen = head.to_input, []

    def signalled(*given):
        seen.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(head, "to_input", signalled)
        with pytest.raises(KeyboardInterrupt):
            small(dataset, tmp_path / "cut")
    assert len(seen) == 1 and Run.open(tmp_path / "cut").status == "interrupted"
    again = small(dataset, tmp_path / "cut", resume=True)
    assert again.status == "finished"
    assert (again.path / BITS).read_bytes() == (whole.path / BITS).read_bytes() and again.history == whole.history


def test_a_start_with_several_gates_fits_its_head_to_all_of_them(dataset, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "fit_head", lambda *given: seen.append(given[-1].gate_shares()))
    trunk = small(dataset, tmp_path / "trunk", multi_k=None, epochs=1)
    small(dataset, tmp_path / "run", start=trunk.path, width=None, epochs=1)
    np.testing.assert_allclose(seen, [np.array([12, 6, 4, 3]) / 25])
