"""The comparison: every method on one split, fitted on training galaxies only, done once, and counted rightly."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch

import sfnet_core.training.loop as training
from sfnet_core.astro.photometry import colour_features, photometry, shape_features
from sfnet_core.data.dataset import Dataset
from sfnet_core.figures.plot import Bars, Curve, render
from sfnet_core.model.network import gate
from sfnet_core.model.preprocess import to_input
from sfnet_core.model.run import Run
from sfnet_core.reports.compare.estimators import component_fits, elastic_net, principal_components
from sfnet_core.reports.compare.page import caption, drawings, page_html
from sfnet_core.reports.compare.runner import compare
from sfnet_core.reports.compare.table import LABELS, Key, csv_text, digits, summarise
from sfnet_core.utils.errors import SFNetError

OPTIONS = {"k": (2, 3), "seeds": (0, 1), "width": 8, "epochs": 2, "device": "cpu", "progress": False}
N = 48


def blobs(path: Path, size: int = 40, **columns) -> Dataset:
    """Round galaxies whose colour tells their metallicity."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:size, :size] - size / 2
    oh = rng.normal(8.9, 0.2, N)
    light = 200 * np.exp(-(x**2 + y**2) / (2 * rng.uniform(4, 8, N)[:, None, None] ** 2))
    red = np.clip(0.7 + (oh - 8.9), 0.1, 1.3)[:, None, None]
    cutouts = np.stack([light * red, light * 0.7, light * (1.4 - red)], axis=3) + rng.normal(6, 2, (N, size, size, 3))
    table = {"oh_p50": oh, "z": rng.uniform(0, 0.1, N)} | columns
    return Dataset.create(path, [f"g{i:03d}" for i in range(N)], np.clip(cutouts, 0, 255).astype(np.uint8), table)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return blobs(tmp_path_factory.mktemp("data") / "blobs")


@pytest.fixture(scope="module")
def done(dataset, tmp_path_factory) -> Path:
    """A finished comparison of every method."""
    out = tmp_path_factory.mktemp("compared") / "all"
    compare(dataset, out, **OPTIONS)
    return out


def table_of(folder: Path) -> dict[str, np.ndarray]:
    table = parquet.read_table(folder / "predictions.parquet")
    return {name: table[name].to_numpy() for name in table.column_names}


def answer(folder: Path) -> dict:
    return json.loads((folder / "compare.json").read_text(encoding="utf-8"))


# ---- what is fitted


def test_component_fits_are_those_of_a_singular_value_decomposition():
    rng = np.random.default_rng(0)
    train, others = rng.normal(3, 1, (60, 12)) @ rng.normal(0, 1, (12, 12)), rng.normal(3, 1, (9, 12))
    truth = rng.normal(8.9, 0.2, (60, 2))
    found = component_fits(train, truth, others, (1, 4, 12))
    centred = train - train.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    for k, predicted in found.items():
        # orthogonal scores: each slope stands alone, the intercept is the mean
        slopes = (u[:, :k].T @ truth) / s[:k, None]
        expected = truth.mean(axis=0) + (others - train.mean(axis=0)) @ vt[:k].T @ slopes
        np.testing.assert_allclose(predicted, expected, rtol=1e-9)
    mean, directions = principal_components(train)
    np.testing.assert_allclose(mean, train.mean(axis=0))
    np.testing.assert_allclose(np.abs(np.sum(directions * vt, axis=1)), 1, atol=1e-9)


def test_directions_that_do_not_vary_take_no_part():
    rng = np.random.default_rng(1)
    plane = rng.normal(0, 1, (50, 2)) @ rng.normal(0, 1, (2, 20))  # most features of a sparse network are dead
    truth, others = rng.normal(0, 1, (50, 1)), rng.normal(0, 1, (5, 20))
    found = component_fits(plane, truth, others, (2, 8))
    np.testing.assert_allclose(found[8], found[2], rtol=1e-6)


def test_a_prediction_does_not_depend_on_the_others():
    rng = np.random.default_rng(2)
    train, truth, others = rng.normal(0, 1, (40, 6)), rng.normal(0, 1, (40, 1)), rng.normal(0, 1, (7, 6))
    alone = component_fits(train, truth, others[:1], (3,))[3]
    np.testing.assert_allclose(component_fits(train, truth, others, (3,))[3][:1], alone, rtol=1e-12)
    groups = np.arange(40) // 2
    np.testing.assert_allclose(
        elastic_net(train, truth, others, groups, 0)[0][:1], elastic_net(train, truth, others[:1], groups, 0)[0]
    )


def test_the_elastic_net_finds_what_is_linear():
    rng = np.random.default_rng(3)
    x = rng.normal(5, 2, (120, 30))
    truth = np.stack([x[:, 3] - 0.5 * x[:, 7], 10 + x[:, 1]], axis=1) + rng.normal(0, 0.05, (120, 2))
    predicted, remarks = elastic_net(x[:100], truth[:100], x[100:], np.arange(100), 0)
    assert np.abs(predicted - truth[100:]).max() < 0.3 and remarks == []


def test_photometry_measures_colours_and_shapes():
    y, x = np.mgrid[:64, :64] - 31.5
    disc = (np.hypot(x, y) < 16)[..., None] * np.array([200, 100, 50])
    cutouts = np.stack([disc, disc.transpose(1, 0, 2), np.roll(disc, 3, axis=0)]).astype(np.uint8)
    found = photometry(cutouts)
    assert found.shape == (3, 25)
    np.testing.assert_allclose(found[0, :12], np.log(2), rtol=1e-12)  # the mean and five rings, two colours each
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)  # a turned disc is the same disc
    np.testing.assert_array_equal(photometry(cutouts, np.array([2, 0])), found[[2, 0]])
    np.testing.assert_array_equal(found, np.hstack([colour_features(cutouts), shape_features(cutouts)]))
    wide = np.pad(cutouts, ((0, 0), (0, 0), (5, 5), (0, 0)), mode="edge")
    np.testing.assert_array_equal(photometry(wide), found)
    with pytest.raises(SFNetError, match="24×24 px"):
        photometry(np.zeros((1, 24, 24, 3), np.uint8))


# ---- the networks


def test_the_dense_network_is_the_gate_that_keeps_all(dataset, done):
    a = torch.relu(torch.randn(20, 64, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(gate(a, 64), a)
    run = Run.open(done / "runs" / "dense-seed0")
    assert run.metadata["k"] == run.metadata["features"] == 64
    network, crop = run.network(), run.metadata["crop"]
    rows = np.flatnonzero(np.isin(dataset.ids, run.split["validation"]))
    low = (dataset.cutouts.shape[1] - crop) // 2
    cutouts = torch.from_numpy(np.array(dataset.cutouts[rows, low : low + crop, low : low + crop]))
    with torch.inference_mode():  # no gate at all
        plain = network.head(network.features(to_input(cutouts, run.metadata["mean"], run.metadata["std"])))[:, 0]
    table = table_of(done)
    assert table["id"].tolist() == dataset.ids[rows].tolist()
    np.testing.assert_allclose(table["dense_seed0_oh_p50"], plain.numpy(), atol=2e-5)


def test_one_split_and_one_recipe_for_all(dataset, done):
    runs = [Run.open(path) for path in sorted((done / "runs").iterdir())]
    names = {"dense-seed0", "dense-seed1", *(f"sfnet-k{k}-seed{s}" for k in (2, 3) for s in (0, 1))}
    assert {run.name for run in runs} == names and {run.status for run in runs} == {"finished"}
    assert len({tuple(sorted(run.split["validation"])) for run in runs}) == 1
    assert len({json.dumps(run.config["recipe"]) for run in runs}) == 1
    assert len({run.fingerprint for run in runs}) == len(runs)  # the seeds differ
    for run in runs:
        held = table_of(done)[f"{run.name.replace('-', '_')}_oh_p50"] - table_of(done)["truth_oh_p50"]
        assert run.history[-1]["validation_rmse"] == pytest.approx(
            np.sqrt(np.mean(held**2)), rel=0.05
        )  # it may be bfloat16's


def test_nothing_of_the_validation_galaxies_is_learnt(dataset, done, tmp_path):
    """Other true values for them: the predictions of every method are the same to the bit, the errors are not."""
    before = table_of(done)
    held = np.isin(dataset.ids, before["id"])
    truth = dataset.column("oh_p50").copy()
    truth[held] = np.roll(truth[held], 1)
    compare(blobs(tmp_path / "rolled", oh_p50=truth), tmp_path / "out", **OPTIONS)
    after = table_of(tmp_path / "out")
    assert list(after) == list(before) and len(before) == 2 + 4 + 4 + 2 + 2 + 1 + 2 + 1 + 1
    for name, values in before.items():
        assert np.array_equal(values, after[name]) == (name != "truth_oh_p50"), name
    both = zip(answer(done)["rows"], answer(tmp_path / "out")["rows"], strict=True)
    changed = [a["rmse_mean"] != b["rmse_mean"] for a, b in both]
    assert all(changed[:-1])
    means = [answer(folder)["rows"][-1]["rmse_mean"] for folder in (done, tmp_path / "out")]
    assert means[0] == pytest.approx(means[1])  # one prediction for all: their order is nothing to it


# ---- done once


def without_date(result: dict) -> dict:
    return result | {"about": {name: value for name, value in result["about"].items() if name != "date"}}


def test_what_is_finished_is_not_done_again(dataset, done, tmp_path, monkeypatch):
    out = tmp_path / "copy"
    shutil.copytree(done, out)
    trained, real = [], training._Training.run
    monkeypatch.setattr(training._Training, "run", lambda self: trained.append(self.out.name) or real(self))
    monkeypatch.setattr("sfnet_core.reports.compare.networks.fit_each", lambda *_: pytest.fail("fitted again"))
    monkeypatch.setattr("sfnet_core.reports.compare.networks.elastic_net", lambda *_: pytest.fail("fitted again"))
    monkeypatch.setattr("sfnet_core.reports.compare.networks.Encoder", lambda *_, **__: pytest.fail("read again"))
    job = json.loads((out / "job.json").read_text(encoding="utf-8"))
    (out / "job.json").write_text(json.dumps(job | {"recipe auxk": 0}), encoding="utf-8")  # as 0.1.0 wrote it
    again = compare(dataset, out, **OPTIONS)
    assert trained == []
    again["about"]["command"] = again["about"]["command"].replace("--out copy", "--out all")
    assert without_date(again) == without_date(answer(done))
    monkeypatch.undo()
    monkeypatch.setattr(training._Training, "run", lambda self: trained.append(self.out.name) or real(self))
    shutil.rmtree(out / "runs" / "sfnet-k3-seed1")
    (out / "parts" / "ridge.npz").write_bytes(b"cut off")
    compare(dataset, out, **OPTIONS)
    assert trained == ["sfnet-k3-seed1"]
    for name, values in table_of(done).items():
        np.testing.assert_array_equal(values, table_of(out)[name], err_msg=name)


def test_k_and_methods_may_grow(dataset, done, tmp_path, monkeypatch):
    out, trained, real = tmp_path / "out", [], training._Training.run
    few = OPTIONS | {"k": (2,), "methods": ("sfnet", "mean")}
    monkeypatch.setattr(training._Training, "run", lambda self: trained.append(self.out.name) or real(self))
    result = compare(dataset, out, **few)
    assert trained == ["sfnet-k2-seed0", "sfnet-k2-seed1"] and result["paired"] == []
    assert [(row["method"], row["k"]) for row in result["rows"]] == [("sfnet", 2), ("mean", None)]
    trained.clear()
    compare(dataset, out, **few | {"k": (3, 2)})
    assert trained == ["sfnet-k3-seed0", "sfnet-k3-seed1"]
    for name in ("sfnet_k2_seed0_oh_p50", "sfnet_k3_seed1_oh_p50"):
        np.testing.assert_array_equal(table_of(out)[name], table_of(done)[name])


def test_ctrl_c_says_how_to_go_on_and_the_result_is_that_of_an_unbroken_run(
    dataset, done, tmp_path, capsys, monkeypatch
):
    begun, real = [], training.set_cycle

    def set_cycle(*arguments):
        begun.append(arguments)
        if len(begun) == 3:  # in the second network's first epoch
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "set_cycle", set_cycle)
        compare(dataset, out, **OPTIONS)
    said = capsys.readouterr().err
    assert "1 of 6 trainings are" in said and "The same command" in said and str(out) in said
    assert not (out / "compare.json").exists()
    compare(dataset, out, **OPTIONS)
    for name, values in table_of(done).items():
        np.testing.assert_array_equal(values, table_of(out)[name], err_msg=name)


def test_ctrl_c_in_the_last_step_of_a_training_lets_no_other_begin(dataset, tmp_path, capsys, monkeypatch):
    trained, real = [], training._Training._active

    def last(self, *arguments):  # what a training does after its last step
        trained.append(self.out.name)
        os.kill(os.getpid(), signal.SIGINT)
        return real(self, *arguments)

    monkeypatch.setattr(training._Training, "_active", last)
    with pytest.raises(KeyboardInterrupt):
        compare(dataset, tmp_path / "out", **OPTIONS)
    assert len(trained) == 1 and "1 of 6 trainings are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": (0, 1, 2)}, r"seeds = \[0, 1\], now seeds = \[0, 1, 2\]"),
        ({"epochs": 3}, "recipe epochs = 2, now recipe epochs = 3"),
        ({"width": 4}, "width = 8, now width = 4"),
        ({"split_seed": 5}, "split seed = 0, now split seed = 5"),
        ({"target": "z"}, "target = "),
        ({"k": (2, 65)}, "k=65 does not fit 64 features"),
        ({"k": ()}, "one or more different values of k"),
        ({"seeds": (1, 1)}, "one or more different values of seed"),
        ({"methods": ("sfnet", "magic")}, "no method 'magic'.*elastic-net"),
        ({"validation": 0.0}, "needs galaxies held out"),
        ({"device": "abacus"}, "'abacus' cannot be used"),
    ],
)
def test_another_comparison_s_folder_is_refused(dataset, done, changes, said):
    before = {path: path.read_bytes() for path in done.glob("*.*")}
    with pytest.raises(SFNetError, match=said):
        compare(dataset, done, **OPTIONS | changes)
    assert {path: path.read_bytes() for path in done.glob("*.*")} == before


def test_foreign_folders_are_refused(dataset, done, tmp_path):
    rng = np.random.default_rng(0)
    with pytest.raises(SFNetError, match="dataset fingerprint"):
        compare(blobs(tmp_path / "other", oh_p50=rng.normal(8.9, 0.2, N)), done, **OPTIONS)
    with pytest.raises(SFNetError, match="not empty and holds no comparison"):
        compare(dataset, dataset.path, **OPTIONS)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(SFNetError, match="is a file"):
        compare(dataset, tmp_path / "file", **OPTIONS)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "job.json").write_text("[", encoding="utf-8")
    with pytest.raises(SFNetError, match=r"job\.json is not valid JSON"):
        compare(dataset, tmp_path / "bad", **OPTIONS)


# ---- the numbers


def test_the_table_is_what_the_predictions_say(dataset, done):
    table, result = table_of(done), answer(done)
    truth = table.pop("truth_oh_p50")
    assert np.array_equal(truth, dataset.column("oh_p50")[np.isin(dataset.ids, table["id"])])
    rows = list(csv.DictReader(io.StringIO((done / "compare.csv").read_text(encoding="utf-8"))))
    assert [(row["method"], row["k"]) for row in rows] == [
        *(("sfnet", "2"), ("sfnet", "3"), ("pca", "2"), ("pca", "3"), ("dense", "")),
        *(("elastic-net", ""), ("process", ""), ("forest", ""), ("ridge", ""), ("mean", "")),
    ]
    for row, said in zip(rows, result["rows"], strict=True):
        stem = row["method"] + (f"_k{row['k']}" if row["k"] else "")
        names = [name for name in table if name in {f"{stem}_oh_p50", *(f"{stem}_seed{s}_oh_p50" for s in (0, 1))}]
        errors = [table[name] - truth for name in names]
        rmse = [np.sqrt(np.mean(error**2)) for error in errors]
        nmad = [1.482602218505602 * np.median(np.abs(error - np.median(error))) for error in errors]
        r2 = [1 - np.mean(error**2) / np.var(truth) for error in errors]
        without_seed = row["method"] in ("process", "ridge", "mean")
        assert len(names) == (1 if without_seed else 2)
        assert int(row["seeds"]) == (0 if without_seed else 2)
        assert (row["unit"], row["target"], int(row["n_validation"])) == ("dex", "oh_p50", len(truth))
        for name, expected in (("rmse_mean", rmse), ("nmad", nmad), ("r2", r2)):
            assert float(row[name]) == pytest.approx(np.mean(expected), rel=1e-9), (row, name)
        if len(names) == 2:
            assert float(row["rmse_se"]) == pytest.approx(abs(rmse[0] - rmse[1]) / 2, rel=1e-6, abs=1e-12)
        else:
            assert row["rmse_se"] == ""
        assert float(row["rmse_low"]) <= float(row["rmse_mean"]) <= float(row["rmse_high"])
        assert [one["rmse"] for one in said["per_seed"]] == pytest.approx(rmse)
    of = {(row["method"], row["k"]): row["rmse_mean"] for row in result["rows"]}
    assert [one["k"] for one in result["paired"]] == [2, 3]
    for one in result["paired"]:
        assert one["difference"] == pytest.approx(of["sfnet", one["k"]] - of["pca", one["k"]])
        assert one["low"] < one["high"]
    assert of["mean", None] == pytest.approx(
        np.sqrt(np.mean((truth - dataset.column("oh_p50")[~np.isin(dataset.ids, table["id"])].mean()) ** 2))
    )


def test_intervals_over_galaxies_are_of_the_right_width():
    rng = np.random.default_rng(0)
    n = 4000
    truth = rng.normal(0, 1, (n, 1))
    a, b = truth + rng.normal(0, 0.5, (n, 1)), truth + rng.normal(0, 0.6, (n, 1))
    found = {Key("sfnet", 2, 0): a, Key("pca", 2, 0): b, Key("sfnet", 3, 0): a, Key("pca", 3, 0): a.copy()}
    rows, paired = summarise(truth, found, ["t"], ["dex"])
    sfnet = rows[0]
    # normal residuals: the RMSE's standard error is σ/√(2n)
    assert sfnet["rmse_high"] - sfnet["rmse_low"] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(2 * n), rel=0.15)
    assert paired[0]["low"] < paired[0]["difference"] < paired[0]["high"] < 0
    expected = 2 * 1.96 * np.hypot(0.5, 0.6) / np.sqrt(2 * n)
    assert paired[0]["high"] - paired[0]["low"] == pytest.approx(expected, rel=0.15)
    same = [paired[1][name] for name in ("difference", "low", "high")]
    np.testing.assert_allclose(same, 0, atol=1e-12)  # paired: the same galaxies for both
    many = {key: np.repeat(values, 4, axis=0) for key, values in found.items()}
    grouped = summarise(np.repeat(truth, 4, axis=0), many, ["t"], ["dex"], groups=np.repeat(np.arange(n), 4))[0][0]
    assert grouped["rmse_high"] - grouped["rmse_low"] == pytest.approx(sfnet["rmse_high"] - sfnet["rmse_low"], rel=1e-9)


def test_several_targets_have_a_row_each(dataset, tmp_path):
    options = OPTIONS | {"target": "oh_p50,z", "methods": ("mean", "ridge")}
    result = compare(dataset, tmp_path / "out", **options)
    assert [(row["target"], row["method"], row["unit"]) for row in result["rows"]] == [
        *(("oh_p50", "ridge", "dex"), ("oh_p50", "mean", "dex")),
        *(("z", "ridge", ""), ("z", "mean", "")),
    ]
    assert not (tmp_path / "out" / "runs").exists()
    oh, z = (row["rmse_mean"] for row in result["rows"] if row["method"] == "mean")
    assert z < 0.05 < oh
    svg = (tmp_path / "out" / "compare.svg").read_text(encoding="utf-8")
    assert "RMSE of oh_p50 against k" in svg and "RMSE of z against k" in svg


# ---- the page


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_holds_table_figure_and_provenance(dataset, done):
    text, about = (done / "compare.html").read_text(encoding="utf-8"), answer(done)["about"]
    reader = Reader()
    reader.feed(text)
    words = " ".join(reader.words)
    for label in LABELS.values():
        assert label in words
    for fact in (
        dataset.fingerprint,
        "split seed 0",
        "few hundred",
        about["date"],
        f"torch {about['versions']['torch']}",
    ):
        assert fact in words
    assert "sfnet compare blobs --out all --target oh_p50 --k 2,3 --seeds 0,1" in words and "--epochs 2" in words
    beside = {"compare.csv", "compare.json", "compare.svg", "compare.pdf", "predictions.parquet"}
    assert {a for a in reader.addresses if not a.startswith(("data:", "#"))} == beside
    assert all((done / name).is_file() for name in beside)
    assert not {"script", "iframe", "object"} & set(reader.tags) and reader.tags.count("img") == 1
    assert "Only 10 validation galaxies" in words
    rows = answer(done)["rows"]
    for row in rows:
        assert f"{row['rmse_mean']:.{digits(rows)}f}" in words


def test_the_figure_says_units_n_and_split(done):
    root = ET.fromstring((done / "compare.svg").read_bytes())
    words = [node.text for node in root.iter() if node.text]
    assert "RMSE [dex]" in words and "k: features kept, or principal components" in words
    assert any("n = 10 validation galaxies" in w and "20 % of the objects held out" in w for w in words)
    assert any(w.startswith("RMSE against k: oh_p50") for w in words)
    result = answer(done)
    (figure,) = drawings(result)
    curves = {layer.name: layer for layer in figure.layers if isinstance(layer, Curve) and layer.marker}
    assert set(curves) == {"SFNet", "CNN + PCA"}
    for name, method in (("SFNet", "sfnet"), ("CNN + PCA", "pca")):
        rows = [row for row in result["rows"] if row["method"] == method]
        assert curves[name].x.tolist() == [row["k"] for row in rows] == [2, 3]
        assert curves[name].y.tolist() == [row["rmse_mean"] for row in rows]
    assert sum(isinstance(layer, Bars) for layer in figure.layers) == 2
    others = [layer.name for layer in figure.layers if isinstance(layer, Curve) and not layer.marker]
    assert len(others) == len(LABELS) - 2 and all(
        any(n.startswith(label) for n in others) for label in list(LABELS.values())[2:]
    )


def test_names_from_a_catalogue_are_shown_as_they_are(done):
    evil = "<img src=x onerror=alert(1)>"
    result = answer(done)
    result["about"] |= {"targets": [evil], "dataset": evil, "notes": [evil], "command": evil}
    for one in [*result["rows"], *result["paired"]]:
        one |= {"target": evil, "unit": evil}
    reader = Reader()
    reader.feed(page_html(result))
    assert reader.tags.count("img") == 1 and "x" not in reader.addresses and evil in " ".join(reader.words)
    root = ET.fromstring(render(drawings(result), "svg", caption(result["about"])))
    assert not any(node.tag.endswith("img") for node in root.iter())
    result["rows"][0]["target"] = "=1+1"
    assert "'=1+1" in csv_text(result["rows"])


# ---- the shell


def test_from_the_shell(sfnet_here, dataset, tmp_path):
    command = ("compare", dataset.path, "--out", tmp_path / "out", "--methods", "mean,ridge", "--seeds", "0", "-q")
    status, out, err = sfnet_here(*command)
    assert status == 0, err
    assert "ridge on photometry" in out and "oh_p50 [dex]" in out and "10 validation observed galaxies" in out
    status, out, _ = sfnet_here(*command, "--json")
    result = json.loads(out)
    assert status == 0 and out.count("\n") == 1 and [row["method"] for row in result["rows"]] == ["ridge", "mean"]
    for wrong, said in (
        (("--k", "2,x"), "--k is a list of whole numbers"),
        (("--methods", "magic"), "no method 'magic'"),
        (("--validation", "most"), "`paper`"),
        (("--recipe", "magic"), "no recipe 'magic'"),
        (("--split-seed", "3"), "split seed = 0, now split seed = 3"),
    ):
        status, out, err = sfnet_here(*command, *wrong)
        assert status == 2 and out == "" and said in err and err.count("\n") == 1
