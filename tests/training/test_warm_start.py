"""Starting from another run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sfnet_core.training.loop as training
from sfnet_core.cli import verbs as cli
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.network import gate
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
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
FEW = replace(RECIPES["few hundred"], epochs=2, batch=16)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Dataset:
    return disks(tmp_path_factory.mktemp("labelled") / "disks", seed=4, pixel_scale=0.4)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory) -> Run:
    """A dense network of other galaxies."""
    survey = disks(tmp_path_factory.mktemp("survey") / "disks", pixel_scale=0.4, source="disks")
    out = tmp_path_factory.mktemp("runs") / "trunk"
    return train(survey, out, k=32, width=4, recipe=replace(FEW, epochs=4), **QUICK)


def model(run: Path | Run) -> bytes:
    return (getattr(run, "path", run) / "model.safetensors").read_bytes()


def test_the_trunk_and_its_normalisation_are_taken_over_to_the_bit(trunk, labelled, tmp_path, monkeypatch):
    seen = {}

    def look(self, feed, interrupts):
        seen.update({name: tensor.clone() for name, tensor in self.network.state_dict().items()})
        seen["standard"] = self.examples.targets.clone()
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
    assert trunk.fingerprint in origin and "observed galaxies (disks)" in origin and "oh_p50 of observed" in origin
    # the head is the ridge regression that scikit-learn finds
    from sklearn.linear_model import Ridge

    x, y = seen["kept"], seen["standard"].double().numpy()
    plain = Ridge(0.01 * len(x) * x.var(axis=0).max()).fit(x, y)
    np.testing.assert_allclose(seen["head.weight"].numpy(), plain.coef_.reshape(1, -1), atol=1e-5)
    np.testing.assert_allclose(seen["head.bias"].numpy(), plain.intercept_, atol=1e-5)


def test_r10_a_start_resumes_to_the_bit(trunk, labelled, tmp_path):
    def run(out, **more):
        return train(labelled, out, start=trunk.path, recipe=FEW, **QUICK, **more)

    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", on_epoch=lambda epoch: False)
    assert (tmp_path / "cut" / "last.ckpt").is_file()
    again = run(tmp_path / "cut", resume=True)
    assert model(again) == model(whole) and again.history == whole.history
    assert again.metadata["weights_origin"] == whole.metadata["weights_origin"]
    with pytest.raises(SFNetError, match=r"start = .* now start = None"):
        train(labelled, tmp_path / "whole", width=4, recipe=FEW, resume=True, **QUICK)


def test_nothing_of_the_held_out_galaxies_labels_is_read(trunk, labelled, tmp_path):
    """Other labels on the held-out fold: the same weights to the bit."""
    held = {"fold": 1, "folds": 3, "recipe": FEW, "start": trunk.path} | QUICK
    first = train(labelled, tmp_path / "first", **held)
    oh = labelled.column("oh_p50")
    oh[np.isin(labelled.ids, first.split["validation"])] = np.random.default_rng(1).uniform(7, 10, 20)
    others = disks(tmp_path / "disks", seed=4, pixel_scale=0.4, columns={"oh_p50": oh})
    other = train(others, tmp_path / "other", **held)
    for (name, a), b in zip(first.network().state_dict().items(), other.network().state_dict().values(), strict=True):
        assert torch.equal(a, b), name
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


def test_the_shell_starts_from_a_run(trunk, labelled, tmp_path, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"[start]\nfrom_run = '{trunk.path}'\n", encoding="utf-8")
    then = ["train", labelled.path, "--out", tmp_path / "run", "--recipe", recipe, "--quiet"]
    assert cli.run([str(word) for word in (*then, "--epochs", 1)]) == 0
    assert "Run finished" in capsys.readouterr().out and Run.open(tmp_path / "run").config["width"] == 4
    assert cli.run([str(word) for word in (*then, "--width", 8, "--overwrite")]) == 2
    assert "Leave --width out" in capsys.readouterr().err
