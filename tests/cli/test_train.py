"""`sfnet train`: a help text on one screen, and all else in a recipe file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sfnet_core.data.dataset import Dataset
from sfnet_core.data.simulate.survey import simulate
from sfnet_core.training.recipes import RECIPES


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return simulate(20, seed=3, out=tmp_path_factory.mktemp("data") / "sky", size=32, workers=1, progress=False)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_help_of_train_fits_one_screen(sfnet_here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = sfnet_here("train", "--help")
    assert status == 0 and out.count("\n") <= 40 and max(map(len, out.splitlines())) <= 80


def test_a_recipe_file_says_what_no_option_does(sfnet_here, dataset, tmp_path):
    text = """
        [recipe]
        base = "thousands"
        epochs = 3
        gain = 0
        balance = 0.1
        [split]
        fold = 1
        folds = 4
        seed = 5
    """
    recipe = written(tmp_path / "mine.toml", text)
    options = ("--width", 2, "--recipe", recipe, "--epochs", 1, "--quiet", "--json")
    status, out, err = sfnet_here("train", dataset.path, "--out", tmp_path / "run", *options)
    assert status == 0, err
    config = json.loads(out)["config"]
    assert (config["fold"], config["folds"], config["split_seed"], config["seed"]) == (1, 4, 5, 0)
    used = config["recipe"]
    assert (used["name"], used["batch"]) == ("thousands", RECIPES["thousands"].batch)
    assert (used["gain"], used["balance"], used["epochs"]) == (0, 0.1, 1)  # an option goes before the file
    begun = written(tmp_path / "begun.toml", f"[start]\nfrom_run = '{tmp_path / 'run'}'\n[split]\nvalidation = 0.5")
    options = ("--recipe", begun, "--epochs", 1, "--quiet", "--json")
    status, out, err = sfnet_here("train", dataset.path, "--out", tmp_path / "second", *options)
    assert status == 0, err
    config = json.loads(out)["config"]
    assert (config["start"], config["width"], config["validation"]) == (str(tmp_path / "run"), 2, 0.5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[recipe]\nepoch = 3", ("[recipe]", "'epoch'", "epochs", "base")),
        ("[recipe]\nepochs = 'ten'", ("[recipe] epochs", "must be int, not str")),
        ("[recipe]\nepochs = 0", ("[recipe]", "epoch", "not 0")),
        ("[recipe]\nrate = -1", ("[recipe]", "rate", "-1")),
        ("[recipe]\noptimiser = 'sgd'", ("[recipe]", "optimiser", "adamw", "'sgd'")),
        ("[recipe]\nrefit_head = 1", ("[recipe] refit_head", "must be bool")),
        ("[recipe]\nbase = 'magic'", ("[recipe]", "'magic'", "few hundred")),
        ("[split]\nsplit_seed = 0", ("[split]", "'split_seed'", "seed")),
        ("[split]\nvalidation = true", ("[split] validation", "must be float | str")),
        ("[starts]\nweights = 'hub'", ("'starts'", "[recipe], [split], [start]")),
        ("epochs = 3", ("'epochs'", "[recipe], [split], [start]")),
        ("[recipe", ("TOML",)),
        (None, ("No such file",)),
    ],
    ids=str,
)
def test_a_mistake_in_a_recipe_file_is_named_with_the_file_and_the_key(sfnet_here, tmp_path, text, named):
    recipe = tmp_path / "mine.toml"
    if text is not None:
        written(recipe, text)
    status, out, err = sfnet_here("train", tmp_path / "none", "--out", tmp_path / "run", "--recipe", recipe)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert str(recipe) in err and all(word in err for word in named), err


def test_a_recipe_that_is_neither_a_name_nor_a_file_is_refused(sfnet_here, tmp_path):
    status, _, err = sfnet_here("train", tmp_path / "none", "--out", tmp_path / "run", "--recipe", "magic")
    assert status == 2 and "'magic'" in err and all(name in err for name in RECIPES)
