"""Training: numbers in the target's unit, everything decided by the seed, cut anywhere and resumed to the bit."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sfnet_core.training.loop as training
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.targets import read_targets, target_names
from sfnet_core.inference.runner import infer
from sfnet_core.model.cutout_loader import CutoutLoader, prefetch
from sfnet_core.model.network import SFNet
from sfnet_core.model.preprocess import channel_statistics, orient, recalibrate, to_input
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.training.optimiser import Lookahead, make_optimiser, one_cycle
from sfnet_core.training.plan import make_plan
from sfnet_core.training.recipes import GONE, NEUTRAL, RECIPES, TAUGHT_WIDTH, choose
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import folder_lock


def blobs(path: Path, n: int = 48, size: int = 40, **columns) -> Dataset:
    """Round galaxies whose colour tells their metallicity."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:size, :size] - size / 2
    oh = rng.normal(8.9, 0.2, n)
    light = 200 * np.exp(-(x**2 + y**2) / (2 * rng.uniform(4, 8, n)[:, None, None] ** 2))
    red = np.clip(0.7 + (oh - 8.9), 0.1, 1.3)[:, None, None]
    cutouts = np.stack([light * red, light * 0.7, light * (1.4 - red)], axis=3) + rng.normal(6, 2, (n, size, size, 3))
    table = {"oh_p50": oh, "z": rng.uniform(0, 0.1, n)} | columns
    return Dataset.create(path, [f"g{i:03d}" for i in range(n)], np.clip(cutouts, 0, 255).astype(np.uint8), table)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return blobs(tmp_path_factory.mktemp("data") / "blobs")


def small(dataset, out, **more) -> Run:
    return train(dataset, out, **({"width": 4, "epochs": 3, "progress": False, "device": "cpu"} | more))


def model(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def unbroken(dataset, tmp_path_factory) -> Path:
    return small(dataset, tmp_path_factory.mktemp("runs") / "unbroken").path


# ---- the run


def test_the_run_says_what_was_done(dataset, unbroken):
    run = Run.open(unbroken)
    assert run.status == "finished" and not (unbroken / "last.ckpt").exists()
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    assert len(run.split["train"]) == 38 and len(run.split["validation"]) == 10
    assert not set(run.split["train"]) & set(run.split["validation"])
    assert run.config["recipe"]["name"] == "few hundred" and run.config["recipe"]["epochs"] == 3
    assert run.metadata["weights_origin"] == "from scratch" and run.metadata["units"] == ["dex"]
    assert run.metadata["crop"] == 32 and run.metadata["cutout_size"] == [40, 40]
    assert run.metadata["data_fingerprint"] == dataset.fingerprint
    assert run.metrics["n_left_out"] == 0 and run.metrics["active_features"]["any"] >= 1


def test_recorded_rmse_is_that_of_the_codes(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("SFNET_BF16", "0")
    run = small(dataset, tmp_path / "run")
    codes = infer(run, dataset, tmp_path / "codes.parquet", progress=False)
    held = codes.split == "validation"
    rmse = np.sqrt(np.mean((codes.prediction() - codes.truth())[held] ** 2))
    assert run.history[-1]["validation_rmse"] == pytest.approx(rmse, abs=1e-5)
    assert (np.count_nonzero(codes.values[:, :4], axis=1) <= 4).all()


def test_it_learns_colours(dataset, tmp_path):
    run = small(dataset, tmp_path / "run", epochs=30, width=8)
    assert run.history[-1]["validation_rmse"] < 0.75 * dataset.column("oh_p50").std()


def test_the_head_is_folded_back_into_dex(dataset, tmp_path):
    run = small(dataset, tmp_path / "run", epochs=1, refit_head=False)
    codes = infer(run, dataset, tmp_path / "codes.parquet", progress=False)
    assert 8.0 < codes.bias[0] < 10.0  # a head in standardised units has a bias near 0
    assert abs(np.mean(codes.prediction()) - 8.9) < 0.5


def test_the_seed_decides_everything(dataset, unbroken, tmp_path):
    assert model(small(dataset, tmp_path / "same").path) == model(unbroken)
    other = small(dataset, tmp_path / "other", seed=1)
    assert model(other.path) != model(unbroken)
    assert set(other.split["validation"]) != set(Run.open(unbroken).split["validation"])


def test_global_random_state_is_left_alone(dataset, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    small(dataset, tmp_path / "run", epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_folds_hold_out_everything_once(dataset, tmp_path):
    held = [small(dataset, tmp_path / str(i), epochs=1, fold=i, folds=3).split["validation"] for i in range(3)]
    assert sorted(np.concatenate(held)) == sorted(dataset.ids)


# ---- cut anywhere


def test_r9_r10_ctrl_c_leaves_a_usable_run_and_resume_is_equal_to_the_bit(dataset, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"

    begun, real = [], training.set_cycle

    def set_cycle(*arguments):
        begun.append(arguments)
        if len(begun) == 5:  # in the first of epoch 2's four steps
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "set_cycle", set_cycle)
        train_in_small_steps(dataset, out)
    assert signal.getsignal(signal.SIGINT) is before
    assert "--resume" in capsys.readouterr().err
    last = torch.load(out / "last.ckpt", weights_only=True)
    assert (last["epoch"], last["step"]) == (1, 1)
    assert Run.open(out).status == "interrupted"
    assert len(infer(Run.open(out), dataset, tmp_path / "codes.parquet", progress=False)) == len(dataset)
    resumed = train_in_small_steps(dataset, out, resume=True)
    whole = train_in_small_steps(dataset, tmp_path / "whole")
    assert model(out) == model(whole.path)
    assert resumed.history == whole.history
    assert (out / "history.csv").read_bytes() == (whole.path / "history.csv").read_bytes()
    assert not (out / "last.ckpt").exists()


def train_in_small_steps(dataset, out, **more) -> Run:
    return small(dataset, out, recipe=replace(RECIPES["few hundred"], batch=10), **more)


@pytest.mark.parametrize(("number", "ending"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_r9_a_signal_after_the_last_step_leaves_a_finished_run_and_still_ends_what_follows(
    dataset, tmp_path, number, ending
):
    with pytest.raises(ending):
        small(dataset, tmp_path / "run", epochs=1, on_epoch=lambda epoch: os.kill(os.getpid(), number))
    assert Run.open(tmp_path / "run").status == "finished" and not (tmp_path / "run" / "last.ckpt").exists()
    assert small(dataset, tmp_path / "run", epochs=1, resume=True).status == "finished"


def test_r9_sigterm_ends_with_143(dataset, tmp_path):
    with pytest.raises(SystemExit) as ended:
        small(dataset, tmp_path / "run", on_epoch=lambda epoch: os.kill(os.getpid(), signal.SIGTERM))
    assert ended.value.code == 143
    assert (tmp_path / "run" / "last.ckpt").is_file()


@pytest.mark.parametrize("recipe", ["few hundred", "paper"])
def test_r10_a_crash_after_a_saved_epoch(dataset, tmp_path, monkeypatch, recipe):
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)
    chosen = replace(RECIPES[recipe], batch=10, rate=1e-3)

    def crash(epoch):
        if epoch.record["epoch"] == 2:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        small(dataset, tmp_path / "run", recipe=chosen, on_epoch=crash)
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["epoch"] == 1
    small(dataset, tmp_path / "run", recipe=chosen, resume=True)
    small(dataset, tmp_path / "whole", recipe=chosen)
    assert model(tmp_path / "run") == model(tmp_path / "whole")


def test_after_an_epoch_a_hook_can_stop_and_resume_goes_on(dataset, unbroken, tmp_path):
    seen = []

    def after_epoch(epoch):
        seen.append(epoch.record)
        return len(seen) < 2

    run = small(dataset, tmp_path / "run", on_epoch=after_epoch)
    assert run.status == "stopped" and [r["epoch"] for r in seen] == [1, 2]
    assert {"rate", "train_rmse", "validation_rmse"} < seen[0].keys()
    small(dataset, tmp_path / "run", resume=True)
    assert model(tmp_path / "run") == model(unbroken)


def test_training_works_in_a_thread_where_no_signal_arrives(dataset, unbroken, tmp_path):
    thread = threading.Thread(target=small, args=(dataset, tmp_path / "run"))
    thread.start()
    thread.join()
    assert model(tmp_path / "run") == model(unbroken)


def test_resume_on_nothing_starts_and_on_a_finished_run_does_nothing(dataset, unbroken, tmp_path):
    run = small(dataset, tmp_path / "run", resume=True)
    assert model(run.path) == model(unbroken)
    again = small(dataset, tmp_path / "run", resume=True, on_epoch=lambda epoch: pytest.fail("trained again"))
    assert again.status == "finished"
    with pytest.raises(SFNetError, match="seed = 0, now seed = 4"):
        small(dataset, tmp_path / "run", resume=True, seed=4)
    with pytest.raises(SFNetError, match=r"holds a run.*--overwrite"):
        small(dataset, tmp_path / "run")
    assert small(dataset, tmp_path / "run", overwrite=True, seed=4).config["seed"] == 4


def forget(run: Path, *names: str) -> None:
    """Take fields out of the stored recipe, as if a version had begun it that did not have them yet."""
    record = json.loads((run / "run.json").read_text())
    last = torch.load(run / "last.ckpt", weights_only=True) if (run / "last.ckpt").is_file() else {}
    for config in filter(None, (record["config"], last.get("config"))):
        for name in names:
            (config if name in config else config["recipe"]).pop(name)
    (run / "run.json").write_text(json.dumps(record))
    if last:
        torch.save(last, run / "last.ckpt")


def note(run: Path, **fields: object) -> None:
    """Put fields into the stored recipe, as if a version had begun it that had them."""
    record = json.loads((run / "run.json").read_text())
    record["config"]["recipe"] |= fields
    (run / "run.json").write_text(json.dumps(record))
    if (run / "last.ckpt").is_file():
        last = torch.load(run / "last.ckpt", weights_only=True)
        last["config"]["recipe"] |= fields
        torch.save(last, run / "last.ckpt")


LATER = (
    "crop", "multi_k", "multi_k_power", "refit_head", "start_k", "balance", "start", "split_seed",
)  # fmt: skip


@pytest.mark.parametrize("status", ["stopped", "finished"])
def test_what_was_begun_before_there_were_some_fields_goes_on_as_it_was_begun(dataset, tmp_path, status):
    how = {} if status == "finished" else {"on_epoch": lambda epoch: False}
    assert small(dataset, tmp_path / "run", **how).status == status
    forget(tmp_path / "run", *LATER)
    again = small(dataset, tmp_path / "run", resume=True)
    as_begun = small(dataset, tmp_path / "whole", refit_head=status == "finished")  # no head was fitted once more then
    assert again.status == "finished" and model(again.path) == model(as_begun.path)


def test_every_field_without_which_a_recipe_can_be_is_neutral():
    assert {"crop", "multi_k", "start_k"} < NEUTRAL.keys() and not {"epochs", "batch", "gain"} & NEUTRAL.keys()
    for name, value in NEUTRAL.items():
        assert not value, name  # off: a training begun without it had none of it
        assert all(getattr(recipe, name) == value for recipe in RECIPES.values()), name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"multi_k": 4}, "recipe.multi_k = 0, now recipe.multi_k = 4"),
        ({"alive": True}, "recipe.start_k = 0, now recipe.start_k = 32"),
        ({"recipe": replace(RECIPES["few hundred"], crop=32)}, "recipe.crop = None, now recipe.crop = 32"),
        ({"epochs": 2}, "recipe.epochs = 3, now recipe.epochs = 2"),
        ({"split_seed": 3}, "split_seed = None, now split_seed = 3"),
    ],
    ids=str,
)
def test_a_field_that_was_not_there_and_is_asked_for_now_is_refused_by_its_name(dataset, tmp_path, options, said):
    small(dataset, tmp_path / "run", on_epoch=lambda epoch: False)
    forget(tmp_path / "run", *LATER)
    before = model(tmp_path / "run")
    with pytest.raises(SFNetError, match=said):
        small(dataset, tmp_path / "run", resume=True, **options)
    assert model(tmp_path / "run") == before


def test_what_no_argument_asks_for_is_as_it_was_when_the_training_was_begun(dataset, tmp_path):
    """Gates counted alike and the head left as it was, before there were other ways; what is asked for is refused."""
    alike = {"multi_k": 4, "multi_k_power": 0.0, "refit_head": False}
    small(dataset, tmp_path / "run", on_epoch=lambda epoch: False, **alike)
    forget(tmp_path / "run", "multi_k_power", "refit_head")
    with pytest.raises(SFNetError, match=r"recipe.multi_k_power = 0.0, now recipe.multi_k_power = 1.0"):
        small(dataset, tmp_path / "run", resume=True, multi_k=4, multi_k_power=1.0)
    again = small(dataset, tmp_path / "run", resume=True, multi_k=4)
    assert again.config["recipe"]["multi_k_power"] == 0.0 and not again.config["recipe"]["refit_head"]
    assert model(again.path) == model(small(dataset, tmp_path / "whole", **alike).path)
    assert (
        small(dataset, tmp_path / "run", overwrite=True, resume=True, multi_k=4).config["recipe"]["multi_k_power"] == 1
    )


@pytest.mark.parametrize("status", ["stopped", "finished"])
def test_fields_that_are_gone_are_ignored_where_they_did_nothing_and_refused_where_they_did(dataset, tmp_path, status):
    how = {} if status == "finished" else {"on_epoch": lambda epoch: False}
    whole = model(small(dataset, tmp_path / "whole").path)
    small(dataset, tmp_path / "run", **how)
    note(tmp_path / "run", **GONE)
    shutil.copytree(tmp_path / "run", tmp_path / "other")
    assert model(small(dataset, tmp_path / "run", resume=True).path) == whole
    note(tmp_path / "other", auxk=4)
    assert infer(tmp_path / "other", dataset, tmp_path / "codes.parquet", progress=False).k == 4
    with pytest.raises(SFNetError, match="begun with auxk = 4"):
        small(dataset, tmp_path / "other", resume=True)


def test_a_field_of_a_later_version_is_refused(dataset, tmp_path):
    small(dataset, tmp_path / "run", on_epoch=lambda epoch: False)
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    last["config"]["recipe"]["shaken"] = True
    torch.save(last, tmp_path / "run" / "last.ckpt")
    with pytest.raises(SFNetError, match=r"recipe.shaken = True, now recipe.shaken = None"):
        small(dataset, tmp_path / "run", resume=True)


def test_r3_two_trainings_in_one_folder(dataset, tmp_path):
    with folder_lock(tmp_path / "run", "training"), pytest.raises(SFNetError, match="Another process"):
        small(dataset, tmp_path / "run")


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("/tmp/sfnet-evil-last",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"abc", "cannot be read"),
        ({"schema": 9}, "`schema` is 9"),
        ({"schema": 1}, "`config`"),
        (Evil(), "cannot be read"),
    ],
)
def test_a_foreign_last_ckpt_is_refused_and_runs_no_code(dataset, tmp_path, content, said):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "last.ckpt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(SFNetError, match=said):
        small(dataset, tmp_path / "run", resume=True)
    assert not Path("/tmp/sfnet-evil-last").exists()


def test_r8_a_loss_that_is_not_finite_stops_and_the_last_good_state_stays(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)
    real, calls = training.augment, []

    def poisoned(*arguments):
        calls.append(1)
        return real(*arguments) * (torch.nan if len(calls) > 10 else 1)

    monkeypatch.setattr(training, "augment", poisoned)
    with pytest.raises(SFNetError, match=r"not finite at step \d+ of epoch 3"):
        small(dataset, tmp_path / "run", epochs=4, recipe=replace(RECIPES["few hundred"], batch=10))
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 2 and all(torch.isfinite(t).all() for t in last["network"].values())
    assert Run.open(tmp_path / "run").network().head.weight.isfinite().all()


# ---- targets


def test_rows_without_a_target_are_left_out_and_counted(tmp_path):
    oh = np.random.default_rng(0).normal(8.9, 0.2, 48)
    oh[[1, 5, 6, 7]] = [np.nan, np.inf, -9999.0, 0.0]
    run = small(blobs(tmp_path / "data", oh_p50=oh), tmp_path / "run", epochs=1)
    used = {*run.split["train"], *run.split["validation"]}
    assert run.metrics["n_left_out"] == 4 and not used & {"g001", "g005", "g006", "g007"}
    assert np.isfinite(run.history[0]["validation_rmse"])


def test_several_targets_and_logarithms_of_fluxes(tmp_path):
    flux = np.full(48, 10.0) * np.linspace(1, 3, 48)
    flux[:4] = [-1, 0, 1e6, 20]
    dataset = blobs(tmp_path / "data", h_alpha_flux=flux, h_alpha_flux_err=np.where(np.arange(48) == 3, 10.0, 1.0))
    run = small(dataset, tmp_path / "run", epochs=1, target="oh_p50,log_Ha")
    assert run.targets == ["oh_p50", "log_Ha"] and run.metrics["n_left_out"] == 4
    both = [run.history[0][f"validation_rmse_{name}"] for name in run.targets]
    assert run.history[0]["validation_rmse"] == pytest.approx(np.sqrt(np.mean(np.square(both))))
    targets = read_targets(dataset, "log_h_alpha")
    values, unit = targets.values[:, 0], targets.units[0]
    assert np.isnan(values[:4]).all() and values[10] == pytest.approx(np.log10(flux[10])) and unit == "dex"
    assert target_names("lines") == ["log_N2", "log_Ha", "log_O3", "log_Hb"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"target": "mass"}, "no column 'mass'.*oh_p50, z"),
        ({"target": "kind"}, "holds text"),
        ({"target": "same"}, "nothing to learn"),
        ({"target": "few"}, "Only 3 of 48"),
        ({"target": ""}, "one or more"),
        ({"k": 33}, "k=33 does not fit 32"),
        ({"validation": "half"}, "give a number"),
        ({"recipe": "magic"}, "no recipe 'magic'.*few hundred, thousands, tens of thousands, paper"),
        ({"epochs": 0}, "at least one epoch"),
        ({"validation": 0.95}, "leaves 2 galaxies for training"),
        ({"weights": "hub"}, "fit width 64 only"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, said):
    few = np.full(48, np.nan)
    few[:3] = 1.0
    columns = {"kind": np.array(["spiral"] * 48), "same": np.ones(48), "few": few}
    dataset = blobs(tmp_path / "data", **columns)
    with pytest.raises(SFNetError, match=said):
        small(dataset, tmp_path / "run", **arguments)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_starting_weights_are_used_and_said(dataset, tmp_path):
    torch.manual_seed(1)
    torch.save(SFNet().state_dict(), tmp_path / "resnet18.pth")
    run = small(dataset, tmp_path / "run", epochs=1, width=64, weights=str(tmp_path / "resnet18.pth"))
    assert "resnet18.pth" in run.metadata["weights_origin"]


def test_recipes_go_by_the_size_of_the_data():
    sizes = [100, 799, 800, 9_999, 10_000, 29_999, 30_000, 1_000_000]
    assert [choose(n).name for n in sizes] == [name for name in RECIPES for _ in range(2)]
    assert choose(100, epochs=7).epochs == 7 and choose(100, "paper").optimiser == "ranger"
    assert RECIPES["few hundred"].side(128, 128) == 96 and RECIPES["paper"].side(160, 170) == 160
    sides = [RECIPES["few hundred"].side(size, size) for size in (20, 48, 64, 95, 96, 160)]
    assert sides == [20, 32, 48, 64, 64, 96]
    with pytest.raises(SFNetError, match="crop of 99 px"):
        replace(RECIPES["paper"], crop=99).side(64, 64)
    for recipe in RECIPES.values():
        assert recipe.name in recipe.sentence()


# ---- pixels


def test_the_eight_orientations_are_the_symmetries_of_the_square():
    square = np.random.default_rng(0).integers(0, 255, (1, 5, 5, 3), dtype=np.uint8)
    found = {orient(torch.from_numpy(square), i).numpy().tobytes() for i in range(8)}
    turned = [np.rot90(s, turn, (1, 2)) for s in (square, square[:, :, ::-1]) for turn in range(4)]
    assert found == {np.ascontiguousarray(t).tobytes() for t in turned} and len(found) == 8
    batch = torch.from_numpy(np.repeat(square, 8, axis=0))
    mixed = orient(batch, torch.arange(8))
    assert all(torch.equal(mixed[i], orient(batch[:1], i)[0]) for i in range(8))
    assert torch.equal(orient(batch, 0), batch)


def test_crops_normalisation_and_recalibration_are_numpys(dataset):
    rows = np.arange(3, 40)
    mean, std = channel_statistics(dataset.cutouts, rows, 32)
    square = dataset.cutouts[3:40, 4:36, 4:36] / 255
    np.testing.assert_allclose(mean, square.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(std, square.std((0, 1, 2)), atol=1e-6)
    x = to_input(torch.from_numpy(dataset.cutouts[3:40, 4:36, 4:36].copy()), mean, std)
    assert x.is_contiguous(memory_format=torch.channels_last) and x.shape == (37, 3, 32, 32)
    assert float(x.mean()) == pytest.approx(0, abs=1e-3) and float(x[:, 1].std()) == pytest.approx(1, abs=1e-3)
    gain, sky = np.linspace(0.9, 1.1, 37), np.random.default_rng(0).normal(0, 0.02, (37, 3))
    found = recalibrate(x, mean, std, torch.tensor(gain).float(), torch.tensor(sky).float())
    expected = (square * gain[:, None, None, None] + sky[:, None, None] - mean) / std
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_cutouts_from_memory_and_read_ahead_are_the_same(dataset):
    rows = np.array([5, 3, 40, 11, 12, 13, 2])
    batches = [np.array([6, 0, 1]), np.array([2]), np.array([3, 5, 4])]
    kept, read = (
        list(CutoutLoader(dataset.cutouts, rows, 32, torch.device("cpu"), in_memory).batches(batches))
        for in_memory in (True, False)
    )
    assert all(torch.equal(a, b) for a, b in zip(kept, read, strict=True))
    assert np.array_equal(kept[0][0].numpy(), dataset.cutouts[2, 4:36, 4:36])


def test_reading_ahead_hands_on_errors_and_ends_its_thread():
    def numbers():
        yield from range(5)
        raise ValueError("bad sector")

    got = []
    with pytest.raises(ValueError, match="bad sector"):
        got.extend(prefetch(numbers()))
    ahead = prefetch(iter(range(10**9)))
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    ahead.close()
    assert not [t for t in threading.enumerate() if t.name == "sfnet-reader"]


# ---- the optimiser


@pytest.mark.parametrize(("total", "share"), [(100, 0.25), (7, 0.3), (1000, 0.05)])
def test_one_cycle_is_torchs(total, share):
    optimiser = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=total, pct_start=share)
    for step in range(total):
        rate, momentum = one_cycle(step, total, 0.1, share)
        assert rate == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        assert momentum == pytest.approx(optimiser.param_groups[0]["betas"][0], rel=1e-9)
        optimiser.step()
        if step < total - 1:
            schedule.step()


def test_lookahead_is_its_two_lines():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    ahead = Lookahead(torch.optim.SGD([weight], lr=0.1), every=3, alpha=0.5)
    theta, phi = weight.detach().clone(), weight.detach().clone()
    for step in range(1, 11):
        ahead.zero_grad()
        (weight**2).sum().backward()
        ahead.step()
        theta = theta - 0.1 * 2 * theta
        if step % 3 == 0:
            phi = phi + 0.5 * (theta - phi)
            theta = phi.clone()
        torch.testing.assert_close(weight.detach(), theta)


def test_optimisers_go_on_from_their_state():
    for name in ("few hundred", "paper"):
        recipe = replace(RECIPES[name], rate=0.01)
        nets = [torch.nn.Linear(3, 2) for _ in range(2)]
        nets[1].load_state_dict(nets[0].state_dict())
        first = make_optimiser(nets[0], recipe)
        steps(nets[0], first, 4)
        second = make_optimiser(nets[1], recipe)
        nets[1].load_state_dict(nets[0].state_dict())
        second.load_state_dict(copy.deepcopy(first.state_dict()))  # a state that came from a file shares no memory
        steps(nets[0], first, 9)
        steps(nets[1], second, 9)
        assert torch.equal(nets[0].weight, nets[1].weight)


def steps(net, optimiser, n):
    for _ in range(n):
        optimiser.zero_grad()
        net(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
        optimiser.step()


# ---- every k at once


def test_multi_k_trains_every_gate_and_its_codes_say_so(dataset, tmp_path):
    run = small(dataset, tmp_path / "run", k=2, multi_k=6)
    assert run.config["recipe"]["multi_k"] == 6 and "every k from 1 to 6" in choose(40, None, None, 6).sentence()
    codes = infer(run, dataset, tmp_path / "codes.parquet", progress=False)
    assert codes.k == 2 and codes.provenance["multi_k"] == 6
    assert (
        infer(small(dataset, tmp_path / "one", epochs=1), dataset, tmp_path / "one.parquet", progress=False).provenance[
            "multi_k"
        ]
        == 0
    )


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_the_loss_of_multi_k_is_the_mean_over_the_gates(dataset, tmp_path, monkeypatch, power):
    """One step from the same weights: the gradient of the mean of six networks' losses, each with its own gate."""
    seen = {}
    real = training._Training._one_epoch

    def watch(self, feed, interrupts):
        network, taken = copy.deepcopy(self.network), []
        keep = network.__class__.features
        monkeypatch.setattr(SFNet, "features", lambda net, x: taken.append(x.detach().clone()) or keep(net, x))
        step = self.optimiser.step

        def stop(*args):
            seen["gradient"] = [p.grad.clone() for p in self.network.parameters()]
            seen["case"] = network, taken[0], self.examples.targets[torch.from_numpy(order)]
            return step(*args)

        order = np.random.default_rng([self.plan.config["seed"], 1, 0]).permutation(len(self.plan.train))
        self.optimiser.step = stop
        return real(self, feed, interrupts)

    monkeypatch.setattr(training._Training, "_one_epoch", watch)
    monkeypatch.setenv("SFNET_BF16", "0")
    recipe = replace(RECIPES["few hundred"], epochs=1, batch=64, multi_k=6, multi_k_power=power)
    small(dataset, tmp_path / "run", epochs=None, k=2, recipe=recipe)
    network, images, wanted = seen["case"]
    network.train()
    a = network.features(images)
    losses = []
    for k in range(1, 7):
        network.k = k
        losses.append(((network.read(a) - wanted) ** 2).mean() / k**power)
    (torch.stack(losses).sum() / sum(1 / k**power for k in range(1, 7))).backward()
    for ours, parameter in zip(seen["gradient"], network.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, atol=1e-5, rtol=1e-3)


def test_with_multi_k_the_gate_of_k_features_counts_as_1_over_k():
    recipe = choose(40, None, None, 4)
    np.testing.assert_allclose(recipe.gate_shares(), np.array([12, 6, 4, 3]) / 25)
    assert "counted as 1/k^1" in recipe.sentence() and "counted" not in choose(40).sentence()
    np.testing.assert_allclose(replace(recipe, multi_k_power=0.0).gate_shares(), 0.25)


def test_multi_k_must_reach_from_the_networks_k_to_its_features(dataset, tmp_path):
    for k, multi_k in ((4, 3), (4, 33)):
        with pytest.raises(SFNetError, match=f"multi_k={multi_k} are trained together"):
            small(dataset, tmp_path / "run", k=k, multi_k=multi_k)
    with pytest.raises(SFNetError, match="or 0, not -1"):
        choose(40, None, None, -1)


# ---- what is decided without being asked


@pytest.mark.parametrize("every", [0, 16])
def test_every_k_is_trained_at_once_unless_told_otherwise(dataset, tmp_path, monkeypatch, every):
    monkeypatch.setattr("sfnet_core.training.plan.EVERY_K", every)
    options = {"target": "oh_p50", "seed": 0, "fold": None, "folds": None, "validation": 0.2, "group": None}
    options |= {"epochs": None, "weights": None, "recipe": None, "k": 4, "width": 4}

    def multi_k(**more: object) -> int:
        return make_plan(dataset, **options | more).recipe.multi_k

    assert multi_k() == every and multi_k(k=20) == (20 if every else 0) and multi_k(width=1) == min(every, 8)
    assert multi_k(multi_k=0) == 0 and multi_k(multi_k=5) == 5 and multi_k(start_k=9) == 0
    assert multi_k(recipe="paper") == 0 and multi_k(recipe=RECIPES["thousands"]) == 0
    assert multi_k(alive=True) == every and multi_k(recipe="thousands") == every


def test_a_training_goes_on_as_it_was_begun_where_nothing_is_told(dataset, tmp_path, monkeypatch):
    stop = {"on_epoch": lambda epoch: False}
    small(dataset, tmp_path / "run", **stop, multi_k=0)
    monkeypatch.setattr("sfnet_core.training.plan.EVERY_K", 16)
    again = train(dataset, tmp_path / "run", epochs=3, resume=True, progress=False, device="cpu")
    assert again.status == "finished" and (again.config["width"], again.config["recipe"]["multi_k"]) == (4, 0)
    small(dataset, tmp_path / "every", **stop)
    monkeypatch.setattr("sfnet_core.training.plan.EVERY_K", 0)
    assert small(dataset, tmp_path / "every", resume=True).config["recipe"]["multi_k"] == 16
    with pytest.raises(SFNetError, match=r"recipe.multi_k = 16, now recipe.multi_k = 0"):
        small(dataset, tmp_path / "every", resume=True, multi_k=0)


def test_few_labels_are_taught_by_photometry_unless_told_otherwise(dataset, tmp_path, monkeypatch):
    options = {"target": "oh_p50", "seed": 0, "fold": None, "folds": None, "validation": 0.2, "group": None}
    options |= {"epochs": None, "weights": None, "recipe": None, "k": 4}

    def taught(**more: object) -> bool:
        plan = make_plan(dataset, **options | more)
        assert (plan.config["width"] == TAUGHT_WIDTH) == bool(plan.recipe.variants) or "taught" in more
        return bool(plan.recipe.variants)

    monkeypatch.setattr("sfnet_core.training.plan.TAUGHT_BELOW", 1000)
    assert taught() and taught(epochs=3) and taught(alive=True, multi_k=8)
    assert not taught(width=64) and not taught(recipe="few hundred") and not taught(taught=False)
    assert taught(taught=True, width=4)
    monkeypatch.setattr("sfnet_core.training.plan.TAUGHT_BELOW", len(dataset))
    assert not taught()
    monkeypatch.setattr("sfnet_core.training.plan.TAUGHT_BELOW", 1000)
    monkeypatch.setattr("sfnet_core.training.plan.PICTURES_LIMIT", 10_000)
    assert not taught()


def test_a_training_says_what_it_will_cost_before_it_starts(dataset, tmp_path, capsys):
    seen = []
    small(dataset, tmp_path / "run", progress=True, on_plan=lambda plan: seen.append(capsys.readouterr().err))
    assert "Expect less than a minute." in seen[0]
