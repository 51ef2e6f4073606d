"""Starting from another run, and pretraining without labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sfnet_core.training.loop as training
from sfnet_core.astro.photometry import NAMES, photometry
from sfnet_core.cli import verbs as cli
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.network import gate
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.training.pretraining import PRETRAIN, Measured, pretrain
from sfnet_core.training.recipes import RECIPES
from sfnet_core.utils.errors import SFNetError

N, SIZE = 60, 40


def disks(path: Path, seed: int = 3, dim: float = 1.0, size: int = SIZE, **more) -> Dataset:
    """Tilted disks whose colour tells their metallicity."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    oh, angle = rng.normal(8.9, 0.2, N), rng.uniform(0, np.pi, N)[:, None, None]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wide, flat = rng.uniform(3, 7, N)[:, None, None], rng.uniform(0.3, 1, N)[:, None, None]
    light = 200 * np.exp(-((u / wide) ** 2 + (v / (wide * flat)) ** 2) / 2)
    red = np.clip(0.7 + (oh - 8.9), 0.1, 1.3)[:, None, None]
    cutouts = np.stack([light * red, light * 0.7, light * (1.4 - red)], 3) + rng.normal(6, 2, (N, size, size, 3))
    ids = [f"g{seed}-{i:03d}" for i in range(N)]
    pixels = np.clip(cutouts * dim, 0, 255).astype(np.uint8)
    return Dataset.create(path, ids, pixels, more.pop("columns", {"oh_p50": oh}), **more)


QUICK = {"progress": False, "device": "cpu"}
UNLABELLED = QUICK | {
    "width": 4, "validation": 0.3, "recipe": replace(PRETRAIN, batch=7, rate=0.01, gain=0.0, sky=0.0, epochs=12)
}  # fmt: skip
FEW = replace(RECIPES["few hundred"], epochs=2, batch=16)


@pytest.fixture(scope="module")
def survey(tmp_path_factory) -> Dataset:
    """A dataset without labels."""
    return disks(tmp_path_factory.mktemp("survey") / "disks", columns={}, pixel_scale=0.4, source="disks")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Dataset:
    return disks(tmp_path_factory.mktemp("labelled") / "disks", seed=4, pixel_scale=0.4)


@pytest.fixture(scope="module")
def trunk(survey, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "trunk"
    return pretrain(survey, out, **UNLABELLED)


def model(run: Path | Run) -> bytes:
    return (getattr(run, "path", run) / "model.safetensors").read_bytes()


# ---- without labels


def test_the_names_are_those_of_the_photometry(survey):
    measured = photometry(survey.cutouts)
    assert measured.shape == (N, len(NAMES)) and len(set(NAMES)) == len(NAMES)
    column = dict(zip(NAMES, measured.T, strict=True))
    radius = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, SIZE)] * 2))
    sky = np.array(
        [np.median(np.concatenate([c[:6].reshape(-1, 3), c[-6:].reshape(-1, 3)]), 0) for c in survey.cutouts]
    )
    ring = (radius >= 0.06) & (radius < 0.12)
    light = (survey.cutouts - sky[:, None, None])[:, ring].mean(axis=1)  # (N, 3)
    np.testing.assert_allclose(column["phot_rg_2"], np.log(light[:, 0] / light[:, 1]), rtol=1e-9)
    np.testing.assert_allclose(column["phot_gb_2"], np.log(light[:, 1] / light[:, 2]), rtol=1e-9)
    np.testing.assert_allclose(column["phot_light_2"], np.log(light.mean(axis=1)), rtol=1e-9)


def test_pretraining_reads_photometry_better_than_its_mean(trunk, survey):
    columns = dict(zip(NAMES, photometry(survey.cutouts).T, strict=True))
    held = np.isin(survey.ids, trunk.split["validation"])
    ratios = []
    for name in trunk.targets:
        values = np.clip(columns[name], *np.percentile(columns[name], [0.5, 99.5]))
        mean = np.sqrt(np.mean((values[held] - values[~held].mean()) ** 2))
        ratios.append(trunk.history[-1][f"validation_rmse_{name}"] / mean)
    assert np.median(ratios) < 0.8, np.round(ratios, 2)
    assert trunk.config["k"] == 32 == trunk.metadata["features"] and set(trunk.targets) <= set(NAMES)
    assert trunk.metadata["data_fingerprint"] == survey.fingerprint


def test_pretraining_reads_no_label(survey, trunk, tmp_path):
    """The same pixels with a table of labels give the same weights."""
    noise = {"oh_p50": np.random.default_rng(0).normal(8.9, 0.2, N)}
    again = disks(tmp_path / "with", columns=noise, pixel_scale=0.4, source="disks")
    run = pretrain(again, tmp_path / "run", **UNLABELLED)
    for (name, a), b in zip(run.network().state_dict().items(), trunk.network().state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_columns_in_memory_stand_beside_the_datasets_own(labelled):
    values = np.arange(N, dtype=float)
    measured = Measured(labelled, {"new": values, "oh_p50": -values})
    assert measured.columns == ["id", "new", "oh_p50"] and measured.fingerprint == labelled.fingerprint
    assert np.array_equal(measured.column("oh_p50"), -values) and np.array_equal(measured.ids, labelled.ids)
    with pytest.raises(SFNetError, match="no column 'z'"):
        measured.column("z")


# ---- from a run


def test_the_trunk_and_its_normalisation_are_taken_over_to_the_bit(trunk, labelled, tmp_path, monkeypatch):
    seen = {}

    def look(self, feed, interrupts):
        seen.update({name: tensor.clone() for name, tensor in self.network.state_dict().items()})
        seen["standard"] = self.lessons.wanted.clone()
        seen["images"] = training.to_input(next(feed.batches([np.arange(48)])), self.mean, self.std)
        seen["network"] = self.network
        with torch.no_grad():
            kept = gate(self.network.eval().features(seen["images"]), self.network.k).double().numpy()
        seen["kept"] = kept
        return real(self, feed, interrupts)

    real = training._Training._one_epoch
    monkeypatch.setattr(training._Training, "_one_epoch", look)
    run = train(labelled, tmp_path / "run", start=trunk.path, k=4, epochs=1, **QUICK)
    for name, tensor in trunk.network().state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(seen[name], tensor), name
    assert run.metadata["width"] == 4 and run.metadata["mean"] == trunk.metadata["mean"]
    assert run.metadata["std"] == trunk.metadata["std"]
    origin = run.metadata["weights_origin"]
    assert trunk.fingerprint in origin and "observed galaxies (disks)" in origin and "phot_rg_all" in origin
    # the head is the ridge regression that scikit-learn finds
    from sklearn.linear_model import Ridge

    x, y = seen["kept"], seen["standard"].double().numpy()
    plain = Ridge(0.01 * len(x) * x.var(axis=0).max()).fit(x, y)
    np.testing.assert_allclose(seen["head.weight"].numpy(), plain.coef_.reshape(1, -1), atol=1e-5)
    np.testing.assert_allclose(seen["head.bias"].numpy(), plain.intercept_, atol=1e-5)


@pytest.mark.parametrize("what", ["train", "pretrain"])
def test_r10_a_start_resumes_to_the_bit(trunk, labelled, tmp_path, what):
    def run(out, **more):
        if what == "train":
            return train(labelled, out, start=trunk.path, recipe=FEW, **QUICK, **more)
        return pretrain(labelled, out, start=trunk.path, recipe=FEW, **QUICK, **more)

    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", callback=lambda record: False)
    assert (tmp_path / "cut" / "last.ckpt").is_file()
    again = run(tmp_path / "cut", resume=True)
    assert model(again) == model(whole) and again.history == whole.history
    assert again.metadata["weights_origin"] == whole.metadata["weights_origin"]
    if what == "train":
        with pytest.raises(SFNetError, match=r"begun with start = .* now start = None"):
            train(labelled, tmp_path / "whole", width=4, recipe=FEW, resume=True, **QUICK)


def test_nothing_of_the_held_out_galaxies_labels_is_read(trunk, labelled, tmp_path):
    """Other labels on the held-out fold: the same weights to the bit."""
    held = {"fold": 1, "folds": 3, "recipe": FEW, "start": trunk.path} | QUICK
    first = train(labelled, tmp_path / "first", **held)
    oh = labelled.column("oh_p50")
    oh[np.isin(labelled.ids, first.split["validation"])] = np.random.default_rng(1).uniform(7, 10, 20)
    other = train(Measured(labelled, {"oh_p50": oh}), tmp_path / "other", **held)
    assert model(first) == model(other)
    assert first.history[-1]["validation_rmse"] != other.history[-1]["validation_rmse"]


def test_codes_of_a_started_run_say_where_its_weights_came_from(trunk, labelled, tmp_path):
    run = train(labelled, tmp_path / "run", start=trunk.path, epochs=1, **QUICK)
    codes = infer(run, labelled, tmp_path / "codes.parquet", progress=False)
    assert codes.provenance["weights"] == run.metadata["weights_origin"]


@pytest.mark.parametrize(
    ("change", "arguments", "said"),
    [
        ({}, {"width": 8}, "has width 4, not 8.*Leave --width out"),
        ({}, {"recipe": replace(FEW, crop=36)}, "a crop of 32 px, here it would see a crop of 36 px"),
        ({"size": 44}, {}, "cutouts of 40×40 px, here it would see cutouts of 44×44 px"),
        ({"pixel_scale": 0.8}, {}, "at 0.4 arcsec per pixel, these cutouts have 0.8"),
        ({"dim": 0.1}, {}, "band 1 has mean .*another stretch"),
        ({}, {"weights": "hub"}, "not from both"),
        ({}, {"start": "nowhere"}, "There is no run nowhere"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(trunk, tmp_path, change, arguments, said):
    dataset = disks(tmp_path / "data", **({"pixel_scale": 0.4} | change))
    with pytest.raises(SFNetError, match=said):
        train(dataset, tmp_path / "run", **({"start": trunk.path, "epochs": 1} | QUICK | arguments))
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_the_shells_verbs(survey, labelled, tmp_path, capsys):
    first = ("pretrain", survey.path, "--out", tmp_path / "trunk", "--width", 4, "--epochs", 1, "--quiet", "--json")
    assert cli.run([str(word) for word in first]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["recipe"]["name"] == "pretrain"
    then = ["train", labelled.path, "--out", tmp_path / "run", "--from-run", tmp_path / "trunk", "--quiet"]
    assert cli.run([str(word) for word in (*then, "--epochs", 1)]) == 0
    assert "Run finished" in capsys.readouterr().out and Run.open(tmp_path / "run").config["width"] == 4
    assert cli.run([str(word) for word in (*then, "--width", 8, "--overwrite")]) == 2
    assert "Leave --width out" in capsys.readouterr().err
