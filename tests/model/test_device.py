"""What a GPU changes: tested on one where there is one, and its logic where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import sfnet_core.inference.encoding as encoding
import sfnet_core.training.loop as training
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.cutout_loader import CutoutLoader
from sfnet_core.model.device import (
    autocast,
    computes_bfloat16,
    has_bfloat16,
    pick_device,
    plain_float32,
    trains_in_bfloat16,
)  # fmt: skip
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.training.recipes import RECIPES
from sfnet_core.utils.errors import SFNetError


@pytest.fixture(scope="module")
def galaxies(tmp_path_factory) -> Dataset:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (40, 36, 36, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("data") / "galaxies"
    return Dataset.create(path, [f"g{i}" for i in range(40)], pixels, {"oh_p50": rng.normal(9, 0.2, 40)})


@pytest.fixture(scope="module")
def run(galaxies, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(galaxies, out, width=16, epochs=1, device="cpu", progress=False)


def test_r16_a_gpu_keeps_the_same_features_or_says_that_there_is_none(galaxies, run, tmp_path, cuda):
    exact = infer(run, galaxies, tmp_path / "cpu.parquet", device="cpu", progress=False)
    if not cuda:
        assert pick_device("auto").type in ("cpu", "mps")
        with pytest.raises(SFNetError, match="device 'cuda' cannot be used here"):
            infer(run, galaxies, tmp_path / "x.parquet", device="cuda", progress=False)
        return
    for precision in ("float32", "bfloat16"):
        out = tmp_path / f"{precision}.parquet"
        found = infer(run, galaxies, out, device="cuda", precision=precision, progress=False)
        clear = exact.margin > 1e-3 * exact.values[:, 0]
        same = (np.sort(found.indices[:, : exact.k]) == np.sort(exact.indices[:, : exact.k])).all(axis=1)
        assert clear.mean() > 0.5 and same[clear].all(), precision
    trained = train(galaxies, tmp_path / "run", width=16, epochs=2, device="cuda", progress=False)
    assert np.isfinite(trained.history[-1]["train_rmse"]) and trained.status == "finished"


def test_float32_means_cudnn_without_tf32_and_not_cudnn_switched_off(galaxies, run, tmp_path, monkeypatch):
    real, seen = encoding.to_input, []

    def noted(*arguments):
        cudnn = torch.backends.cudnn
        seen.append((cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark))
        return real(*arguments)

    before = torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(encoding, "to_input", noted)
    infer(run, galaxies, tmp_path / "codes.parquet", device="cpu", progress=False)
    assert set(seen) == {(True, False, True, False)}
    assert (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32) == before
    with plain_float32():
        assert torch.backends.cudnn.enabled


@pytest.mark.parametrize("asked", ["highest", "high", "medium"])
def test_float32_is_float32_where_torch_was_asked_for_less(galaxies, run, tmp_path, monkeypatch, asked):
    rooms = torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv
    real, seen = encoding.to_input, []

    def noted(*arguments):
        seen.append([room.fp32_precision for room in rooms])
        return real(*arguments)

    monkeypatch.setattr(encoding, "to_input", noted)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(asked)
        found = [room.fp32_precision for room in rooms]
        infer(run, galaxies, tmp_path / "codes.parquet", device="cpu", progress=False)
        assert seen and all(each == ["ieee", "ieee"] for each in seen)
        assert [room.fp32_precision for room in rooms] == found
        assert torch.get_float32_matmul_precision() == asked
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("last", [3, 5])
def test_r8_a_loss_looked_at_seldom_is_looked_at_before_anything_is_saved(galaxies, tmp_path, monkeypatch, last):
    """As on a GPU, where the loss is read every 50 steps: an epoch of 4 that goes wrong at its end or in the next."""
    monkeypatch.setattr(training, "_CHECK", {"cpu": 50})
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)
    real, steps = training.augment, []

    def poisoned(*arguments):
        steps.append(1)
        return real(*arguments) * (torch.nan if len(steps) > last else 1)

    monkeypatch.setattr(training, "augment", poisoned)
    recipe = replace(RECIPES["few hundred"], batch=8, epochs=4)
    with pytest.raises(SFNetError, match=rf"not finite at step 4 of epoch {1 + last // 4}"):
        train(galaxies, tmp_path / "run", recipe=recipe, width=4, device="cpu", progress=False)
    assert (tmp_path / "run" / "last.ckpt").exists() == (last > 4)
    if last > 4:
        assert Run.open(tmp_path / "run").network().head.weight.isfinite().all()


def test_pinned_batches_and_precision_follow_the_device(galaxies):
    device = pick_device("auto")
    rows = np.arange(10)
    read, kept = (CutoutLoader(galaxies.cutouts, rows, 32, device, in_memory) for in_memory in (False, True))
    for one, other in zip(read.batches([rows[:7], rows[7:]]), kept.batches([rows[:7], rows[7:]]), strict=True):
        assert one.device.type == device.type and one.dtype == torch.uint8 and torch.equal(one, other)
    with autocast(device, has_bfloat16(device)):
        product = torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)
    assert product.dtype == (torch.bfloat16 if has_bfloat16(device) else torch.float32)


@pytest.mark.parametrize(
    ("known", "tried", "has"),
    [
        ("avx512_bf16", True, True),
        ("amx_bf16", True, True),
        ("avx512_vnni", True, False),  # emulated
        ("amx_bf16", False, False),  # masked, or an operation that this torch lacks
    ],
)
def test_a_training_can_be_kept_in_float32_and_the_hardware_is_what_it_is(monkeypatch, known, tried, has):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {known: True})
    monkeypatch.setattr("sfnet_core.model.device.can_call", lambda dtype: tried)
    assert computes_bfloat16(cpu) is tried
    monkeypatch.delenv("SFNET_BF16", raising=False)
    assert has_bfloat16(cpu) is trains_in_bfloat16(cpu) is has
    monkeypatch.setenv("SFNET_BF16", "0")
    assert has_bfloat16(cpu) is has and not trains_in_bfloat16(cpu)


def test_a_large_file_read_in_pieces_does_not_stay_in_this_process(tmp_path):
    """By the kernel's count: 160 MB are read twice, and what is mapped in of files grows by less than half of that."""
    n, side = 3400, 128
    path = tmp_path / "cutouts.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, side, side, 3)).flush()
    cutouts = np.lib.format.open_memmap(path, mode="r")
    feed = CutoutLoader(cutouts, np.arange(n), 64, torch.device("cpu"), in_memory=False)
    batches = [np.arange(i, min(i + 64, n)) for i in range(0, n, 64)]
    before, most = mapped_megabytes(), 0.0
    for _ in feed.batches(batches):
        most = max(most, mapped_megabytes())
    assert cutouts.nbytes > 160e6 and most - before < 85


def mapped_megabytes() -> float:
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssFile"))
