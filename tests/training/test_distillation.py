"""Trainings that are taught by photometry: the further pictures, the teacher, and who takes part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import sfnet_core.astro.photometry as by_hand
from sfnet_core.astro.photometry import Process, photometry, scatter_features
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.run import Run
from sfnet_core.training import synthetic_views as variants
from sfnet_core.training.distillation import training_set
from sfnet_core.training.loop import train
from sfnet_core.training.plan import make_plan
from sfnet_core.training.recipes import PICTURES, RECIPES, TAUGHT, choose
from sfnet_core.utils.errors import SFNetError

N, SIDE = 40, 48
QUICK = {"width": 4, "epochs": 2, "variants": 3, "progress": False, "device": "cpu"}


def disks(path: Path, n: int = N, spoiled: np.ndarray | None = None, unknown: int = 0) -> Dataset:
    """Disks whose colour and size tell their metallicity; of the rows ``spoiled`` everything is noise."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    oh, wide = rng.normal(8.9, 0.2, n), rng.uniform(4, 7, n)[:, None, None]
    light = 180 * np.exp(-((x / wide) ** 2 + (y / wide) ** 2) / 2)
    red = np.clip(0.7 + (oh - 8.9), 0.2, 1.2)[:, None, None]
    pixels = np.stack([light * red, light * 0.7, light * (1.4 - red)], 3) + rng.normal(8, 2, (n, SIDE, SIDE, 3))
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    if spoiled is not None:
        pixels[spoiled] = rng.integers(0, 255, (len(spoiled), SIDE, SIDE, 3))
        oh[spoiled] = rng.uniform(5, 12, len(spoiled))
    oh[n - unknown :] = np.nan
    return Dataset.create(path, [f"g{i:03d}" for i in range(n)], pixels, {"oh_p50": oh})


@pytest.fixture(scope="module")
def galaxies(tmp_path_factory) -> Dataset:
    return disks(tmp_path_factory.mktemp("galaxies") / "disks")


@pytest.fixture(scope="module")
def run(galaxies, tmp_path_factory) -> Run:
    return train(galaxies, tmp_path_factory.mktemp("runs") / "run", **QUICK)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return run.network().state_dict()


def same(one: Run, other: Run) -> bool:
    mine, theirs = weights(one), weights(other)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


# ---- the pictures


def pictures(cutouts: np.ndarray, rows: list[int], times: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(variants.draw(cutouts, np.array(rows), times, seed)))


def test_pictures_are_drawn_from_the_galaxies_asked_for_and_from_no_others(galaxies):
    rows = [3, 5, 8]
    made = pictures(galaxies.cutouts, rows, 50)
    assert made.shape == (150, SIDE, SIDE, 3) and made.dtype == np.uint8
    np.testing.assert_array_equal(made, pictures(galaxies.cutouts, rows, 50))
    assert (made != pictures(galaxies.cutouts, rows, 50, seed=1)).any(axis=(1, 2, 3)).all()
    others = galaxies.cutouts.copy()
    others[np.setdiff1d(np.arange(N), rows)] = 255
    np.testing.assert_array_equal(made, pictures(others, rows, 50))
    assert len(np.unique(made.reshape(150, -1), axis=0)) == 150


def test_of_wide_cutouts_the_central_square_is_shown(galaxies):
    wide = np.pad(galaxies.cutouts, ((0, 0), (0, 0), (7, 7), (0, 0)), constant_values=255)
    np.testing.assert_array_equal(pictures(wide, [0, 1], 2), pictures(galaxies.cutouts, [0, 1], 2))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), zoom=st.floats(0.7, 1.4), far=st.floats(4, 9))
def test_a_turned_picture_keeps_distances_to_the_centre_times_the_zoom(seed, zoom, far):
    side = 61
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    spot = np.exp(-((x - far) ** 2 + y**2) / (2 * 2.5**2))
    image = torch.from_numpy(np.stack([spot] * 3)[None]).float()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants, "ZOOM", (zoom, zoom))
        made = variants._turned(image, np.random.default_rng(seed))[0, 0].double().numpy()
    made *= np.hypot(x, y) < 28  # in the corners stands what was mirrored in
    u, v = (x * made).sum() / made.sum(), (y * made).sum() / made.sum()
    assert np.hypot(u, v) == pytest.approx(far * zoom, abs=0.05)
    assert made.sum() == pytest.approx(spot.sum() * zoom**2, rel=0.02)


def test_blurring_is_a_gaussian_filter():
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 30, 30)).astype(np.float32)
    found = variants._blurred(torch.from_numpy(image)).numpy()
    sigma = variants.SOFTENED[1]
    expected = gaussian_filter(image, (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, 4, 4))
    np.testing.assert_allclose(found, expected, atol=1e-3)


# ---- the teacher


def test_scatter_is_the_spread_of_a_ring_s_pixels(galaxies):
    found = photometry(galaxies.cutouts, scatter=True)
    assert found.shape == (N, 40)
    np.testing.assert_array_equal(found[:, :25], photometry(galaxies.cutouts))
    np.testing.assert_array_equal(found[:, 25:], scatter_features(galaxies.cutouts))
    axis = np.linspace(-1, 1, SIDE)
    second = (np.hypot(*np.meshgrid(axis, axis)) >= 0.06) & (np.hypot(*np.meshgrid(axis, axis)) < 0.12)
    blue = galaxies.cutouts[7][second][:, 2].astype(float)
    spread = np.sqrt(np.mean((blue - blue.mean()) ** 2))
    assert found[7, 25 + 3 * 1 + 2] == pytest.approx(np.log(1 + spread), rel=1e-12)


def test_the_process_says_what_its_formula_says():
    """Rasmussen & Williams 2006, equation 2.25, with the parameters that were found."""
    rng = np.random.default_rng(1)
    x, others = rng.normal(3, 2, (60, 4)), rng.normal(3, 2, (7, 4))
    truth = np.sin(x[:, 0]) + rng.normal(0, 0.1, 60)
    process = Process().fit(x, truth)
    kernel = process._made[-1].kernel_
    scale, length, noise = np.exp(kernel.theta)

    def covariance(a, b):
        a, b = ((m - x.mean(axis=0)) / x.std(axis=0) for m in (a, b))
        return scale * np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * length**2))

    y = (truth - truth.mean()) / truth.std()
    solved = np.linalg.solve(covariance(x, x) + noise * np.eye(60), y)
    expected = covariance(others, x) @ solved * truth.std() + truth.mean()
    np.testing.assert_allclose(process.predict(others), expected, rtol=1e-6)
    assert process.predict(np.full((1, 4), 1e3)) == pytest.approx(truth.mean())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_hand, "_ASKED", 3)
        np.testing.assert_allclose(process.predict(others), expected, rtol=1e-6)


def test_of_many_galaxies_the_process_is_fitted_to_some_spread_evenly(monkeypatch):
    rng = np.random.default_rng(2)
    x, truth = rng.normal(size=(101, 3)), rng.normal(size=(101, 2))
    monkeypatch.setattr(by_hand, "MOST", 51)
    found = Process().fit(x, truth).predict(x)
    np.testing.assert_array_equal(found, Process().fit(x[::2], truth[::2]).predict(x))
    assert found.shape == (101, 2)


# ---- what the network learns


def test_the_network_is_told_what_the_teacher_says_of_what_it_is_shown(galaxies):
    plan = make_plan(
        galaxies, target="oh_p50", k=4, epochs=2, seed=5, fold=None, folds=None, validation=0.25, group=None, width=4,
        weights=None, recipe=None, variants=3,
    )  # fmt: skip
    made = training_set(galaxies, plan, np.array([8.9]), np.array([0.2]), torch.device("cpu"), False)
    shown = pictures(galaxies.cutouts, plan.train.tolist(), 3, seed=5)
    assert len(made) == len(shown) == 3 * len(plan.train)
    side, edge = plan.side, (SIDE - plan.side) // 2
    (batch,) = made.feed.batches([np.arange(len(shown))])
    np.testing.assert_array_equal(batch.numpy(), shown[:, edge : edge + side, edge : edge + side])
    known = plan.truth[:, 0]
    teacher = Process().fit(photometry(galaxies.cutouts[plan.train], scatter=True), known[plan.train])
    expected = (teacher.predict(photometry(shown, scatter=True)) - 8.9) / 0.2
    np.testing.assert_allclose(made.targets[:, 0], expected, atol=1e-5)
    told = teacher.predict(photometry(galaxies.cutouts[plan.validation], scatter=True)) - known[plan.validation]
    assert made.metrics["teacher_validation_rmse"] == pytest.approx(np.sqrt(np.mean(told**2)), rel=1e-6)


def test_held_out_galaxies_take_no_part(galaxies, run, tmp_path):
    held = np.flatnonzero(np.isin(galaxies.ids, run.split["validation"]))
    assert len(held) == 8
    spoiled = disks(tmp_path / "spoiled", spoiled=held)
    assert same(run, train(spoiled, tmp_path / "run", **QUICK))


def test_galaxies_without_a_target_take_part_as_pictures(galaxies, run, tmp_path):
    more = disks(tmp_path / "more", n=N + 10, unknown=10)
    taught = train(more, tmp_path / "taught", **QUICK)
    assert taught.metrics["n_without_target"] == 10 and run.metrics["n_without_target"] == 0
    assert taught.metrics["n_pictures"] == 3 * taught.metrics["n_train"] + 10
    shuffled = disks(tmp_path / "other", n=N + 10, unknown=10, spoiled=np.arange(N, N + 10))
    assert not same(taught, train(shuffled, tmp_path / "otherwise", **QUICK))


def test_a_taught_training_goes_on_to_the_bit(galaxies, run, tmp_path):
    stopped = train(galaxies, tmp_path / "run", on_epoch=lambda epoch: False, **QUICK)
    assert stopped.status == "stopped"
    went_on = train(galaxies, tmp_path / "run", resume=True, **QUICK)
    assert went_on.status == "finished" and same(run, went_on) and went_on.history == run.history
    with pytest.raises(SFNetError, match="variants"):
        train(galaxies, tmp_path / "run", resume=True, **QUICK | {"variants": 2})


def test_its_codes_are_codes_like_any_other(galaxies, run, tmp_path):
    codes = infer(run, galaxies, tmp_path / "codes.parquet", tta=True, progress=False)
    assert codes.in_split("validation").sum() == 8 and codes.in_split("train").sum() == 32
    assert run.metrics["n_train"] == 32 and run.metrics["active_features"]["any"] >= 1


def test_more_pictures_than_memory_holds_are_refused(galaxies, tmp_path, monkeypatch):
    monkeypatch.setattr("sfnet_core.training.distillation.PICTURES_LIMIT", 32 * 3 * 48**2 * 3 - 1)
    with pytest.raises(SFNetError, match=r"96 images of 48 px.*sfnet pack --size"):
        train(galaxies, tmp_path / "run", crop=48, **QUICK)


def test_several_targets_are_taught_at_once(galaxies, tmp_path):
    two = Dataset.create(
        tmp_path / "two", galaxies.ids, galaxies.cutouts,
        {"oh_p50": galaxies.column("oh_p50"), "mass": 10 + 3 * (galaxies.column("oh_p50") - 8.9)},
    )  # fmt: skip
    made = train(two, tmp_path / "run", target="oh_p50,mass", **QUICK)
    assert made.targets == ["oh_p50", "mass"] and np.isfinite(made.metrics["teacher_validation_rmse"])


def test_what_taught_chooses():
    few = RECIPES["few hundred"]
    chosen = choose(320, taught=True)
    assert chosen.variants == PICTURES / 320 and (chosen.gain, chosen.sky) == (0, 0) and chosen.rate == few.rate
    assert chosen.epochs == TAUGHT["epochs"] and choose(320, taught=True, epochs=3).epochs == 3
    assert choose(50_000, taught=True).variants == 1 and choose(320).variants == 0
    assert "taught by photometry on 25 pictures" in chosen.sentence() and "taught" not in few.sentence()
    with pytest.raises(SFNetError, match="variants is 0"):
        choose(320, variants=-1)


def test_the_shell_says_how_good_the_teacher_is(galaxies, tmp_path, monkeypatch, sfnet_here):
    monkeypatch.setattr("sfnet_core.training.recipes.PICTURES", 64)
    command = ("train", galaxies.path, "--out", tmp_path / "run", "--taught", "--width", 4, "--epochs", 1, "--json")
    status, out, err = sfnet_here(*command)
    metrics = json.loads(out)["metrics"]
    assert status == 0 and metrics["n_pictures"] == 64
    assert f"{metrics['teacher_validation_rmse']:.4f} on those held out" in err and "64 images" in err
