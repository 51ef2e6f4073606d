"""The flag in runs, codes files and tables: who sets the limit, what survives, what old files and runs do."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sfnet_core.analysis.evaluation import evaluate, report
from sfnet_core.analysis.tables import export
from sfnet_core.codes.novelty import COLUMNS, FILE, Typical, why_unlike
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference import novelty_fit
from sfnet_core.inference import recompute as certainty
from sfnet_core.inference.encoding import Encoder
from sfnet_core.inference.runner import infer
from sfnet_core.model.network import SFNet
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.utils.errors import SFNetError

N = 60


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Round blobs of several widths and colours, (n, 40, 40, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :40] - 19.5
    width, colour = rng.uniform(3, 8, (n, 1, 1, 1)), rng.uniform(0.5, 1, (n, 1, 1, 3))
    light = 220 * colour * np.exp(-(x**2 + y**2)[None, ..., None] / (2 * width**2))
    return np.clip(light + rng.normal(8, 3, (n, 40, 40, 3)), 0, 255).astype(np.uint8)


def make_dataset(path: Path, cutouts: np.ndarray, **more: np.ndarray) -> Dataset:
    columns = {"oh_p50": np.random.default_rng(1).normal(8.9, 0.2, len(cutouts)), **more}
    return Dataset.create(path, [f"g{i:03d}" for i in range(len(cutouts))], cutouts, columns)


def make_run(path: Path, dataset: Dataset) -> Run:
    """An untrained network with a split of 40 and 10 and 10 others, as a finished training leaves it."""
    torch.manual_seed(3)
    network = SFNet(k=3, width=4).eval()
    metadata = {
        "targets": ["oh_p50"], "units": ["dex"], "crop": 32, "cutout_size": [40, 40], "pixel_scale": None,
        "mean": [0.1] * 3, "std": [0.15] * 3, "data_fingerprint": dataset.fingerprint, "dataset": "blobs",
        "simulated": True, "weights_origin": "from scratch", "versions": {}, "schema": 1, "k": 3, "features": 32,
        "width": 4,
    }  # fmt: skip
    path.mkdir()
    split = {"train": dataset.ids[:40], "validation": dataset.ids[40:50]}
    Run(path, metadata, {}, split, [], {}, "finished").write(path, network)
    return Run.open(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Run, Dataset, SparseCodes]:
    """A run that says what its training galaxies are like, its dataset (galaxy 55 is inverted) and its codes."""
    folder = tmp_path_factory.mktemp("unlike")
    cutouts = pictures(N)
    cutouts[55] = 255 - cutouts[55]
    dataset = make_dataset(folder / "data", cutouts)
    run = make_run(folder / "run", dataset)
    novelty_fit.ensure(run, dataset, progress=False)
    return run, dataset, infer(run, dataset, folder / "codes.parquet", progress=False)


def activations(run: Run, dataset: Dataset) -> np.ndarray:
    """(N, F) one image at a time, through the network itself."""
    network, found = run.network(), []
    for cutout in dataset.cutouts:
        x = (cutout[4:36, 4:36].astype(np.float64) / 255 - run.metadata["mean"]) / run.metadata["std"]
        with torch.no_grad():
            found.append(network.features(torch.tensor(x.transpose(2, 0, 1)[None], dtype=torch.float32))[0].numpy())
    return np.array(found)


def test_infer_measures_all_activations_against_the_training_galaxies(made):
    run, dataset, codes = made
    a = activations(run, dataset).astype(float)
    typical = novelty_fit.stored(run)
    train_rows = a[:40]
    np.testing.assert_allclose(typical.mean, train_rows.mean(axis=0), atol=1e-5)
    shrunk = (1 - typical.shrinkage) * np.cov(train_rows.T, bias=True) + typical.floor * np.eye(32)
    u = a[40:] - train_rows.mean(axis=0)
    distance = np.sqrt(np.einsum("ni,ij,nj->n", u, np.linalg.inv(shrunk), u)) / typical.limits[0]
    np.testing.assert_allclose(codes.column("unlike_distance")[40:], distance, rtol=2e-3)
    assert codes.unlike[55] > 1 and codes.unlike[55] == codes.unlike.max()
    # each training galaxy against the others: with 40 of them the limit is the largest
    assert codes.unlike[:40].max() == pytest.approx(1) and typical.share == pytest.approx(1 / 41)
    said = why_unlike(codes, 55, lambda f: f"<f{f}>")
    assert said.startswith("Novel: ") and why_unlike(codes, int(np.argmin(codes.unlike))) == ""
    assert codes.provenance["unlike"] == typical.about()


def test_nothing_is_measured_between_the_networks_batches(made, monkeypatch):
    """The threads of numpy's BLAS would wait, busily, on the cores that the network needs."""
    run, dataset, codes = made
    network, order = run.network(), []
    encoder = Encoder(network, run.metadata, dataset, typical=novelty_fit.stored(run), places=np.full(N, -1))
    measure = Typical.measure
    monkeypatch.setattr(Typical, "measure", lambda *given: order.append("measured") or measure(*given))
    part = encoder.encode(np.arange(50, N), done=lambda n: order.append("batch"))
    encoder.encode(np.arange(N), done=lambda n: order.append("batch"))
    assert order == ["batch", "measured", "batch", "batch", "measured", "measured"]
    assert np.array_equal(part["unlike"], codes.unlike[50:])


def test_no_galaxy_outside_the_training_set_moves_the_limit(made, tmp_path):
    run, dataset, _ = made
    cutouts = np.array(dataset.cutouts)
    cutouts[40:] = np.random.default_rng(4).integers(0, 256, cutouts[40:].shape)
    truth = {"oh_p50": np.where(np.arange(N) < 40, dataset.column("oh_p50"), 7.0)}
    other = Dataset.create(tmp_path / "other", dataset.ids, cutouts, truth)
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    novelty_fit.fit(run, dataset).save(one)
    novelty_fit.fit(run, other).save(two)
    assert one.read_bytes() == two.read_bytes()


def test_the_columns_survive_saving_taking_and_every_table(made, tmp_path):
    _, _, codes = made
    codes.save(tmp_path / "again.parquet")
    again = SparseCodes.open(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == codes.path.read_bytes()
    rows = [55, 3, 41]
    part = again.take(rows)
    part.save(tmp_path / "part.parquet")
    for name in COLUMNS:
        np.testing.assert_array_equal(
            SparseCodes.open(tmp_path / "part.parquet").column(name), codes.column(name)[rows]
        )
        assert name not in codes.columns
    np.testing.assert_array_equal(SparseCodes.open(codes.path, shared=True).unlike, codes.unlike)
    np.testing.assert_array_equal(codes.at_k(2).unlike, codes.unlike)
    export(codes, tmp_path / "table.csv")
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    np.testing.assert_allclose([float(row["unlike"]) for row in table], codes.unlike, rtol=1e-6)
    for suffix in (".fits", ".vot", ".ecsv", ".parquet"):
        export(codes, tmp_path / f"table{suffix}")


def test_a_file_without_them_opens_and_says_nothing(made, tmp_path):
    _, _, codes = made
    plain = SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=3, features=32, weight=codes.weight,
        bias=codes.bias, targets=codes.targets, split=codes.split, truth=codes.truth(),
        columns={"unlike": np.arange(N) + 0.5},
    )  # fmt: skip
    assert plain.unlike is None and plain.columns == ["catalogue_unlike"]
    plain.save(tmp_path / "plain.parquet")
    again = SparseCodes.open(tmp_path / "plain.parquet")
    assert again.unlike is None and why_unlike(again, 0) == "" and again.fingerprint == codes.fingerprint
    assert "unlike" not in evaluate(again, intervals=0)["targets"]["oh_p50"]["splits"]["train"]
    with pytest.raises(SFNetError, match="unlike"):
        again.column("unlike")


def test_the_catalogues_own_column_of_that_name_is_kept_apart(made, tmp_path):
    run, dataset, codes = made
    more = make_dataset(tmp_path / "data", np.asarray(dataset.cutouts), unlike=np.arange(N) * 1.0)
    both = infer(run, more, tmp_path / "codes.parquet", progress=False)
    np.testing.assert_array_equal(both.column("catalogue_unlike"), np.arange(N))
    np.testing.assert_array_equal(both.unlike[40:], codes.unlike[40:])


def test_r6_a_run_that_does_not_say_is_asked_only_for_its_own_galaxies(made, tmp_path, monkeypatch):
    run, dataset, codes = made
    old = tmp_path / "old"
    shutil.copytree(run.path, old)
    (old / FILE).unlink()
    out, learnt = tmp_path / "codes.parquet", []
    real = novelty_fit.fit

    def counted(*arguments):
        learnt.append(1)
        return real(*arguments)

    monkeypatch.setattr(novelty_fit, "fit", counted)
    stop = Typical.measure

    def stopped(self, *arguments):
        if len(learnt) == 1:
            learnt.append(0)
            raise KeyboardInterrupt
        return stop(self, *arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Typical, "measure", stopped)
        infer(old, dataset, out, progress=False)
    again = infer(old, dataset, out, progress=False)
    assert learnt == [1, 0], "what was learnt before the stop was not used again"
    for name in COLUMNS:
        np.testing.assert_array_equal(again.column(name), codes.column(name))
    assert not (old / FILE).exists()
    fresh = make_dataset(tmp_path / "fresh", pictures(5, 9))
    found = infer(old, fresh, tmp_path / "fresh.parquet", progress=False)
    assert found.unlike is None and any("novel" in note for note in found.provenance["notes"])
    alone = infer(old / "model.safetensors", dataset, tmp_path / "alone.parquet", progress=False)
    assert alone.unlike is None


def test_what_is_kept_of_other_weights_is_not_used(made, tmp_path):
    run, dataset, _ = made
    copy = tmp_path / "copy"
    run.save(copy)
    assert novelty_fit.stored(Run.open(copy)) is not None
    changed = Run.open(copy)
    network = changed.network()
    network.head.bias.data += 1
    changed.write(copy, network)
    assert novelty_fit.stored(Run.open(copy)) is None
    novelty_fit.ensure(Run.open(copy), dataset, progress=False)
    assert novelty_fit.stored(Run.open(copy)).run == Run.open(copy).fingerprint
    (copy / FILE).write_bytes(b"PK")
    with pytest.raises(SFNetError, match=r"unlike\.npz.*delete it"):
        infer(copy, dataset, tmp_path / "codes.parquet", progress=False)


def test_a_training_keeps_it_and_a_finished_one_gets_it(tiny_dataset, tmp_path):
    run = train(tiny_dataset, tmp_path / "run", width=4, epochs=1, progress=False)
    first = (run.path / FILE).read_bytes()
    assert novelty_fit.stored(run).n == len(run.split["train"])
    (run.path / FILE).unlink()
    train(tiny_dataset, tmp_path / "run", width=4, epochs=1, resume=True, progress=False)
    assert (run.path / FILE).read_bytes() == first


def test_evaluate_says_how_many_and_how_well(made):
    _, _, codes = made
    found = evaluate(codes, intervals=200)["targets"]["oh_p50"]["splits"]["no split"]["unlike"]
    rows, error = np.arange(50, 60), codes.prediction() - codes.truth()
    beyond = codes.unlike[rows] > 1
    assert found["n"] == 10 and found["share"] == beyond.mean() and found["low"] < beyond.mean() < found["high"]
    assert found["not_flagged"]["rmse"] == pytest.approx(np.sqrt(np.mean(error[rows][~beyond] ** 2)))
    assert found["flagged"]["n"] == beyond.sum()
    assert "RMSE – (n " in report(evaluate(codes, intervals=0))


def test_r16_bfloat16_flags_whom_float32_flags(tmp_path, monkeypatch, bfloat16_anywhere, bfloat16):
    """Sample galaxies, half of them drawn past the limit little by little: each faded towards its inverse."""
    from sfnet_core.explorer.shared.sample import sample_dataset, sample_run

    sample, run, n = sample_dataset(), sample_run(), 160
    cutouts = np.asarray(sample.cutouts[:n]).astype(float)
    share = np.linspace(0, 0.4, n // 2)[:, None, None, None]
    cutouts[::2] = (1 - share) * cutouts[::2] + share * (255 - cutouts[::2])
    dataset = Dataset.create(
        tmp_path / "part", sample.ids[:n], np.clip(cutouts, 0, 255).astype(np.uint8), pixel_scale=sample.pixel_scale,
        simulated=True,
    )  # fmt: skip
    exact = infer(run, dataset, tmp_path / "32.parquet", progress=False)
    monkeypatch.setattr(certainty, "FLAG_SAFETY", 30)  # so that some galaxies are in doubt for their flag alone
    quick = infer(run, dataset, tmp_path / "16.parquet", precision="bfloat16", progress=False)
    beyond = exact.unlike > 1
    assert 4 < beyond.sum() < n // 2
    np.testing.assert_array_equal(quick.unlike > 1, beyond)
    np.testing.assert_allclose(quick.unlike, exact.unlike, rtol=0.05)
    again = (quick.values == exact.values).all(axis=1)
    doubtful = np.abs(np.log(quick.unlike)) < 0.9 * quick.provenance["computed"]["flag_tolerance"]
    assert again[doubtful].all() and doubtful.sum() > 5 and 32 <= again.sum() < n
