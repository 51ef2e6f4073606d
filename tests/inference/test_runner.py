"""Inference: codes against a direct forward pass; the same bytes however the work was cut; faults stay in their row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import sfnet_core.inference.encoding as encoding
import sfnet_core.inference.runner as inference
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference import novelty_fit
from sfnet_core.inference.encoding import Encoder
from sfnet_core.inference.runner import check_fit, infer
from sfnet_core.model.network import SFNet
from sfnet_core.model.run import Run
from sfnet_core.utils.errors import SFNetError

N = 70


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data") / "blobs")


def make_dataset(
    path: Path, n: int = N, size: tuple[int, int] = (40, 44), scale: float | None = None, **more
) -> Dataset:
    rng = np.random.default_rng(0)
    cutouts = rng.integers(0, 256, (n, *size, 3), dtype=np.uint8)
    ids = [f"12376487040439{i:05d}" for i in range(n)]
    columns = {"ra": rng.uniform(0, 360, n), "dec": rng.uniform(-5, 5, n), "oh_p50": rng.normal(8.9, 0.2, n)}
    columns["oh_p50"][3] = np.nan
    return Dataset.create(path, ids, cutouts, columns | {"z": rng.uniform(0, 0.2, n)}, pixel_scale=scale, **more)


def make_run(path: Path, dataset: Dataset, targets: tuple[str, ...] = ("oh_p50",), **changes) -> Run:
    torch.manual_seed(5)
    network = SFNet(k=3, targets=len(targets), width=4).eval()
    metadata = {
        "schema": 1, "k": 3, "features": 32, "width": 4, "targets": list(targets), "units": ["dex"] * len(targets),
        "crop": 32, "cutout_size": [40, 44], "pixel_scale": dataset.pixel_scale, "mean": [0.4, 0.5, 0.6],
        "std": [0.3, 0.29, 0.28], "data_fingerprint": dataset.fingerprint, "dataset": "blobs", "simulated": False,
        "weights_origin": "from scratch", "versions": {},
    } | changes  # fmt: skip
    split = {"train": dataset.ids[:50], "validation": dataset.ids[50:60]}
    path.mkdir()
    Run(path, metadata, {}, split, [], {}, "finished").write(path, network)
    novelty_fit.ensure(Run.open(path), dataset, progress=False)
    return Run.open(path)


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "run", dataset)


def by_hand(run: Run, cutouts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(predictions (N, T), activations (N, F)) one image at a time, cropped and normalised in numpy."""
    network, found, activations = run.network(), [], []
    for cutout in cutouts:
        top, left = (cutout.shape[0] - 32) // 2, (cutout.shape[1] - 32) // 2
        x = cutout[top : top + 32, left : left + 32].astype(np.float64) / 255
        x = (x - run.metadata["mean"]) / run.metadata["std"]
        with torch.no_grad():
            image = torch.tensor(x.transpose(2, 0, 1)[None], dtype=torch.float32)
            found.append(network(image)[0].numpy())
            activations.append(network.features(image)[0].numpy())
    return np.array(found), np.array(activations)


def test_codes_are_what_a_direct_forward_pass_gives(run, dataset, tmp_path):
    codes = infer(run, dataset, tmp_path / "codes.parquet", progress=False)
    y, a = by_hand(run, dataset.cutouts)
    np.testing.assert_allclose(codes.prediction(), y[:, 0], atol=1e-5)
    for i in range(len(codes)):
        kept = codes.indices[i] >= 0
        np.testing.assert_allclose(codes.values[i][kept], a[i][codes.indices[i][kept]], atol=1e-5)
        assert sorted(a[i])[-11] == pytest.approx(codes.values[i][-1], abs=1e-5)
    assert codes.ids.tolist() == dataset.ids.tolist() and codes.features == 32 and codes.k == 3
    np.testing.assert_array_equal(codes.truth(), dataset.column("oh_p50"))
    assert codes.split[[0, 49, 50, 59, 60]].tolist() == ["train", "train", "validation", "validation", ""]
    maps = codes.maps(np.arange(len(codes)))
    np.testing.assert_allclose(maps.mean((2, 3)), codes.values[:, :3], atol=1e-6)
    np.testing.assert_array_equal(codes.column("z"), dataset.column("z"))
    assert codes.provenance["dataset_fingerprint"] == dataset.fingerprint
    assert codes.provenance["run_fingerprint"] == run.fingerprint and codes.provenance["notes"] == []
    assert not (tmp_path / ".codes.parquet.work").exists()


def test_rebatched_runs_are_the_same_bytes(run, dataset, tmp_path):
    files = []
    for i, batch in enumerate((1, 7, 64, 2048)):
        infer(run, dataset, tmp_path / f"{i}.parquet", batch=batch, tta=True, progress=False)
        files.append((tmp_path / f"{i}.parquet").read_bytes())
    assert all(file == files[0] for file in files)


def test_r6_a_stopped_run_goes_on_with_the_rest_and_gives_the_same_bytes(run, dataset, tmp_path, monkeypatch):
    infer(run, dataset, tmp_path / "whole.parquet", progress=False)
    out, done, real = tmp_path / "codes.parquet", [], Encoder.encode

    def encode(self, rows, *args):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(rows[0])
        return real(self, rows, *args)

    monkeypatch.setattr(Encoder, "encode", encode)
    with pytest.raises(KeyboardInterrupt):
        infer(run, dataset, out, batch=32, progress=False)
    assert not out.exists()
    parts = sorted((tmp_path / ".codes.parquet.work").glob("*.npz"))
    assert len(parts) == 2
    parts[0].write_bytes(parts[0].read_bytes()[:1000])  # cut off: made again, not trusted
    done[:] = [None] * 3
    infer(run, dataset, out, batch=32, progress=False)
    assert done[3:] == [0, 64]
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_pieces_of_another_run_are_not_taken(run, dataset, tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    other = make_run(tmp_path / "other", dataset, mean=[0.1, 0.1, 0.1])
    for name, network in (("a", other), ("b", run)):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(inference, "_assemble", fail)
            infer(network, dataset, tmp_path / "codes.parquet", progress=False)
        assert len(list((tmp_path / ".codes.parquet.work").glob("*.npz"))) == 1, name
    infer(run, dataset, tmp_path / "codes.parquet", progress=False)
    infer(run, dataset, tmp_path / "fresh.parquet", progress=False, resume=False)
    assert (tmp_path / "codes.parquet").read_bytes() == (tmp_path / "fresh.parquet").read_bytes()


def test_batches_and_cells_are_what_the_network_sees(run, dataset):
    network = run.network()
    encoder = Encoder(network.to(memory_format=network.memory_format), run.metadata, dataset)
    rows, at = np.arange(5, 5 + encoder.micro + 3), 0
    for n, cutouts in encoder.batches(rows):
        assert len(cutouts) == encoder.micro and not cutouts[n:].any()
        inner = dataset.cutouts[rows[at : at + n]][:, 4:36, 6:38]
        assert np.array_equal(cutouts[:n], inner)
        x = (inner.astype(np.float64) / 255 - run.metadata["mean"]) / run.metadata["std"]
        with torch.inference_mode():
            seen, plain = encoder.cells(cutouts)[:n], network.maps(torch.tensor(x.transpose(0, 3, 1, 2)).float())
            turned = encoder.cells(cutouts.flip(1))[:n]  # upside down
            other = network.maps(torch.tensor(x[:, ::-1].copy().transpose(0, 3, 1, 2)).float())
        torch.testing.assert_close(seen, plain, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(turned, other, atol=1e-5, rtol=1e-4)
        at += n
    assert at == len(rows)


def test_r5_r6_kill_9_leaves_the_old_file_and_the_rerun_the_same_bytes(run, dataset, tmp_path):
    out = tmp_path / "codes.parquet"
    infer(run, dataset, tmp_path / "whole.parquet", progress=False)
    out.write_bytes(b"the previous file")
    script = (
        "import time, sfnet_core.inference.runner as m; real, seen = m.Encoder.encode, []\n"
        "def slow(*a):\n    seen.append(a)\n    time.sleep(600 * (len(seen) == 2))  # the first piece is kept by then\n"
        "    return real(*a)\n"
        "m.Encoder.encode = slow\n"
        f"m.infer({str(run.path)!r}, {str(dataset.path)!r}, {str(out)!r}, batch=32, progress=False)"
    )
    child = subprocess.Popen([sys.executable, "-c", script])
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".codes.parquet.work/part-*.npz")) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert out.read_bytes() == b"the previous file"
    assert list(tmp_path.glob(".codes.parquet.work/part-*.npz"))
    infer(run, dataset, out, batch=32, progress=False)
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_r7_a_row_that_is_not_finite_is_set_aside_and_the_others_are_unchanged(run, dataset, tmp_path, monkeypatch):
    whole, real, seen = infer(run, dataset, tmp_path / "whole.parquet", progress=False), encoding.to_input, []

    def poisoned(cutouts, mean, std):
        images = real(cutouts, mean, std)
        if not seen:
            images[5, :, 10, 10] = torch.nan
        seen.append(1)
        return images

    monkeypatch.setattr(encoding, "to_input", poisoned)
    codes = infer(run, dataset, tmp_path / "codes.parquet", progress=False)
    assert len(codes) == N - 1 and dataset.ids[5] not in codes.ids
    assert [(item.row, item.id) for item in codes.set_aside] == [(6, dataset.ids[5])]
    others = np.delete(np.arange(N), 5)
    np.testing.assert_array_equal(codes.values, whole.values[others])
    np.testing.assert_array_equal(codes.indices, whole.indices[others])
    assert np.isfinite(codes.prediction()).all()


def test_d4_is_the_mean_over_the_eight_turned_and_mirrored_images(run, dataset, tmp_path):
    codes = infer(run, dataset, tmp_path / "codes.parquet", tta=True, progress=False)
    square = dataset.cutouts[:20, 4:36, 6:38]
    views = [np.rot90(s, turn, (1, 2)) for s in (square, square[:, :, ::-1]) for turn in range(4)]
    expected = np.mean([by_hand(run, view)[0][:, 0] for view in views], axis=0)
    np.testing.assert_allclose(codes.prediction_d4()[:20], expected, atol=1e-5)
    assert infer(run, dataset, tmp_path / "plain.parquet", progress=False).prediction_d4() is None


def test_several_targets_and_no_maps(dataset, tmp_path):
    run = make_run(tmp_path / "run", dataset, ("oh_p50", "z"))
    codes = infer(run, dataset, tmp_path / "codes.parquet", runners_up=0, maps=False, tta=True, progress=False)
    y = by_hand(run, dataset.cutouts)[0]
    np.testing.assert_allclose(np.stack([codes.prediction(0), codes.prediction(1)], 1), y, atol=1e-5)
    assert codes.maps([0]) is None and codes.indices.shape == (N, 3)
    np.testing.assert_array_equal(codes.truth("z"), dataset.column("z"))


def test_galaxies_without_the_target_are_predicted(run, dataset, tmp_path):
    fresh = Dataset.create(tmp_path / "fresh", ["a", "b"], dataset.cutouts[:2], {"z": np.zeros(2)})
    codes = infer(run, fresh, tmp_path / "codes.parquet", progress=False)
    assert np.isnan(codes.truth()).all() and np.isfinite(codes.prediction()).all() and (codes.split == "").all()
    notes = " ".join(codes.provenance["notes"])
    assert "no truth" in notes and "another dataset" in notes and "unknown" in notes


def test_t23_cutout_size_and_pixel_scale_are_refused_with_both_values(tmp_path, dataset):
    run = make_run(tmp_path / "run", dataset, pixel_scale=0.262)
    large = make_dataset(tmp_path / "large", 4, (64, 64), 0.262)
    with pytest.raises(SFNetError, match=r"40×44 px, these have 64×64 px.*--allow-mismatch"):
        infer(run, large, tmp_path / "codes.parquet", progress=False)
    coarse = make_dataset(tmp_path / "coarse", 4, scale=0.396)
    with pytest.raises(SFNetError, match=r"0\.262 arcsec per pixel, these cutouts have 0\.396"):
        infer(run, coarse, tmp_path / "codes.parquet", progress=False)
    codes = infer(run, coarse, tmp_path / "codes.parquet", progress=False, allow_mismatch=True)
    assert "Mismatch allowed: the weights were trained at 0.262" in " ".join(codes.provenance["notes"])
    small = make_dataset(tmp_path / "small", 4, (24, 24), 0.262)
    with pytest.raises(SFNetError, match=r"crop of 32 px does not fit.*--size 40"):
        infer(run, small, tmp_path / "codes.parquet", progress=False, allow_mismatch=True)
    assert check_fit(run, make_dataset(tmp_path / "same", 4, scale=0.2621), allow_mismatch=False) == [
        "The weights were trained on another dataset (blobs)."
    ]


def test_simulated_weights_on_observed_galaxies_are_said(tmp_path, dataset):
    run = make_run(tmp_path / "run", dataset, simulated=True)
    assert any("simulated" in note for note in check_fit(run, dataset))


def test_two_writers_of_one_codes_file(run, dataset, tmp_path):
    with (
        inference._work_folder(tmp_path / "codes.parquet", {}, True),
        pytest.raises(SFNetError, match="Another process"),
    ):
        infer(run, dataset, tmp_path / "codes.parquet", progress=False)


def test_mistakes_are_named(run, dataset, tmp_path):
    with pytest.raises(SFNetError, match="is a folder"):
        infer(run, dataset, tmp_path)
    with pytest.raises(SFNetError, match="batch=0"):
        infer(run, dataset, tmp_path / "c.parquet", batch=0)
    with pytest.raises(SFNetError, match="device 'gpu9'"):
        infer(run, dataset, tmp_path / "c.parquet", device="gpu9")
    with pytest.raises(SFNetError, match="no run"):
        infer(tmp_path / "none", dataset, tmp_path / "c.parquet")
    assert isinstance(infer(run.path, dataset.path, tmp_path / "c.parquet", progress=False), SparseCodes)
