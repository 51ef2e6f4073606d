"""Which precision `infer` computes in: what the processor has, what was asked for, and what was begun."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference import runner as inference
from sfnet_core.inference.encoding import Encoder
from sfnet_core.inference.runner import infer
from sfnet_core.model.device import computes_bfloat16, has_bfloat16, trains_in_bfloat16
from sfnet_core.model.kernels import onednn
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.utils.errors import SFNetError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def galaxies(tmp_path_factory) -> Dataset:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (100, 36, 36, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("data") / "galaxies"
    return Dataset.create(path, [f"g{i}" for i in range(100)], pixels, {"oh_p50": rng.normal(9, 0.2, 100)})


@pytest.fixture(scope="module")
def run(galaxies, tmp_path_factory) -> Run:
    return train(galaxies, tmp_path_factory.mktemp("runs") / "run", width=16, epochs=1, device="cpu", progress=False)


@pytest.fixture
def quick(monkeypatch, bfloat16_anywhere) -> None:
    """A processor with bfloat16, on which even these few galaxies and this narrow network are quicker with it."""
    monkeypatch.setattr(inference, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(inference, "MANY", 1)
    monkeypatch.setattr(inference, "WIDE", 1)


@pytest.fixture
def without_onednn(monkeypatch) -> Iterator[None]:
    """As a torch without oneDNN, on a processor that is no x86: neither its operations nor its layers."""
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "aarch64", "neon": True, "bf16": True})
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    onednn.can_call.cache_clear()
    yield
    onednn.can_call.cache_clear()


def computed(codes: SparseCodes) -> str:
    return codes.provenance["computed"]["precision"]


def test_another_precision_is_refused(run, galaxies, tmp_path):
    with pytest.raises(SFNetError, match=r"'float16'.* auto, float32 or bfloat16"):
        infer(run, galaxies, tmp_path / "x.parquet", precision="float16")


@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_a_processor_without_bfloat16_computes_in_float32(run, galaxies, tmp_path, monkeypatch, capsys, asked):
    """As a processor with AVX2 alone: oneDNN refuses bfloat16, whatever the processor is called."""
    real = torch.ops.mkldnn._reorder_convolution_weight

    def refused(weight, *how):
        if weight.dtype == torch.bfloat16:
            raise RuntimeError("mkldnn_reorder_conv2d_weight: bf16 path needs the cpu support avx_ne_convert")
        return real(weight, *how)

    infer(run, galaxies, tmp_path / "exact.parquet", precision="float32", device="cpu", progress=False)
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", refused)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": True})
    onednn.can_call.cache_clear()
    try:
        assert not computes_bfloat16(CPU) and not has_bfloat16(CPU) and not trains_in_bfloat16(CPU)
        capsys.readouterr()
        found = infer(run, galaxies, tmp_path / "found.parquet", precision=asked, device="cpu")
    finally:
        onednn.can_call.cache_clear()
    assert (tmp_path / "found.parquet").read_bytes() == (tmp_path / "exact.parquet").read_bytes()
    assert computed(found) == "float32"
    assert ("bfloat16" in capsys.readouterr().err) == (asked == "bfloat16")


def test_a_torch_without_onednn_trains_and_infers(run, galaxies, tmp_path, without_onednn):
    exact = SparseCodes.open(infer(run, galaxies, tmp_path / "plain.parquet", device="cpu", progress=False).path)
    assert not computes_bfloat16(CPU) and not has_bfloat16(CPU) and not onednn.can_call()
    found = infer(run, galaxies, tmp_path / "bf.parquet", precision="bfloat16", device="cpu", progress=False)
    assert computed(found) == computed(exact) == "float32"
    np.testing.assert_array_equal(found.values, exact.values)
    made = train(galaxies, tmp_path / "run", width=16, epochs=1, device="cpu", progress=False)
    assert made.status == "finished" and np.isfinite(made.history[-1]["train_rmse"])
    network = run.network()
    with torch.no_grad():
        images = torch.from_numpy(galaxies.cutouts[:4].copy()).float() / 255 - torch.tensor(run.metadata["mean"])
        images = (images / torch.tensor(run.metadata["std"])).permute(0, 3, 1, 2)
        side = run.metadata["crop"]
        at = (36 - side) // 2
        expected = network(images[:, :, at : at + side, at : at + side])[:, 0]
    np.testing.assert_allclose(found.prediction()[:4], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "bfloat16"),
        ({"has_bfloat16": lambda device: False}, "float32"),
        ({"MANY": 101}, "float32"),
        ({"WIDE": 17}, "float32"),
    ],
    ids=["quick", "emulated", "few galaxies", "narrow"],
)
def test_auto_takes_bfloat16_where_it_is_quicker(
    run, galaxies, tmp_path, monkeypatch, capsys, quick, changed, expected
):
    for name, value in changed.items():
        monkeypatch.setattr(inference, name, value)
    codes = infer(run, galaxies, tmp_path / "codes.parquet", device="cpu")
    assert computed(codes) == expected and "bfloat16" not in capsys.readouterr().err
    exact = infer(run, galaxies, tmp_path / "exact.parquet", device="cpu", precision="float32", progress=False)
    np.testing.assert_array_equal(np.sort(codes.indices[:, : codes.k]), np.sort(exact.indices[:, : exact.k]))


def test_emulated_bfloat16_is_computed_where_it_is_asked_for_and_said(
    run, galaxies, tmp_path, monkeypatch, capsys, quick
):
    monkeypatch.setattr(inference, "has_bfloat16", lambda device: False)
    codes = infer(run, galaxies, tmp_path / "codes.parquet", precision="bfloat16", device="cpu")
    assert computed(codes) == "bfloat16" and "float32" in capsys.readouterr().err


def stop_after(pieces: int, monkeypatch: pytest.MonkeyPatch, *given: object, **how: object) -> None:
    """Interrupt `infer` (given pieces of 32 galaxies) when so many are kept."""
    real, calls = Encoder.encode, []

    def stopped(self, *arguments, **more):
        calls.append(1)
        if len(calls) > pieces:
            raise KeyboardInterrupt
        return real(self, *arguments, **more)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Encoder, "encode", stopped)
        infer(*given, batch=32, device="cpu", progress=False, **how)


def pieces(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(out.parent.glob(f".{out.name}.work/part-*.npz"))]


@pytest.mark.parametrize(("begun", "else_it_took"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_r6_auto_goes_on_in_the_precision_begun(run, galaxies, tmp_path, monkeypatch, quick, begun, else_it_took):
    out, whole = tmp_path / "codes.parquet", tmp_path / "whole.parquet"
    infer(run, galaxies, whole, precision=begun, batch=32, device="cpu", progress=False)
    stop_after(2, monkeypatch, run, galaxies, out, precision=begun)
    assert len(pieces(out)) == 2
    monkeypatch.setattr(inference, "MANY", 1 if else_it_took == "bfloat16" else 10**6)
    assert computed(infer(run, galaxies, tmp_path / "new.parquet", device="cpu", progress=False)) == else_it_took
    kept = pieces(out)
    stop_after(1, monkeypatch, run, galaxies, out)
    assert pieces(out)[:2] == kept and len(pieces(out)) == 3
    assert computed(infer(run, galaxies, out, batch=32, device="cpu", progress=False)) == begun
    assert out.read_bytes() == whole.read_bytes()


def test_r6_what_was_begun_in_bfloat16_starts_anew_where_there_is_none(run, galaxies, tmp_path, monkeypatch, quick):
    out = tmp_path / "codes.parquet"
    stop_after(2, monkeypatch, run, galaxies, out, precision="bfloat16")
    monkeypatch.setattr(inference, "computes_bfloat16", lambda device: False)
    monkeypatch.setattr(inference, "has_bfloat16", lambda device: False)
    found = infer(run, galaxies, out, device="cpu", progress=False)
    exact = infer(run, galaxies, tmp_path / "exact.parquet", precision="float32", device="cpu", progress=False)
    assert computed(found) == "float32" and out.read_bytes() == exact.path.read_bytes()
