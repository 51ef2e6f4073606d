"""Tolerances and slack against plain loops; bfloat16's codes keep float32's features, with few computed again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.certain import SAFETY, Tolerance, measure_tolerance
from sfnet_core.codes import SparseCodes
from sfnet_core.encoding import Encoder
from sfnet_core.errors import SFNetError
from sfnet_core.inference import infer
from sfnet_core.run import Run
from sfnet_core.survey.dataset import Dataset


def slack_by_hand(a: np.ndarray, epsilon: np.ndarray, k: int) -> float:
    order = sorted(range(len(a)), key=lambda j: (-a[j], j))
    pairs = [(a[i] - a[j]) / (a.max() * (epsilon[i] + epsilon[j])) for i in order[:k] for j in order[k:]]
    return min(pairs, default=np.inf)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_no_errors_within_the_tolerance_change_a_certain_gate(seed, k):
    rng = np.random.default_rng(seed)
    a = rng.exponential(size=(20, 6)).astype(np.float32)
    epsilon = rng.uniform(0.001, 0.2, 6).astype(np.float32)
    slack = Tolerance(torch.from_numpy(epsilon)).slack(torch.from_numpy(a), k).numpy()
    np.testing.assert_allclose(slack, [slack_by_hand(row, epsilon, k) for row in a], rtol=1e-4)
    certain = slack > 1.001
    for _ in range(20):
        other = a + rng.choice([-1, 1], a.shape) * epsilon * a.max(1, keepdims=True)
        kept, now = (np.sort(np.argsort(-x, 1, kind="stable")[:, :k]) for x in (a, other))
        assert (kept == now)[certain].all()


def test_tolerances_are_wider_than_the_errors_seen_and_never_zero():
    rng = np.random.default_rng(0)
    high = rng.exponential(size=(50, 8)).astype(np.float32)
    low = high * (1 + rng.normal(0, 0.01, high.shape).astype(np.float32))
    high[:, 3] = low[:, 3] = 0  # a dead feature has no error here, and might elsewhere
    found = measure_tolerance(torch.from_numpy(low), torch.from_numpy(high)).epsilon.numpy()
    seen = (np.abs(low - high) / low.max(1, keepdims=True)).max(0)
    assert (found >= SAFETY * seen * 0.9999).all() and found[3] > 0
    assert found[3] == np.median((SAFETY * seen)[seen > 0]) or found[3] in SAFETY * seen


def test_rows_that_are_zero_or_not_finite_are_never_certain():
    tolerance = Tolerance(torch.full((4,), 0.01))
    slack = tolerance.slack(torch.tensor([[0.0, 0, 0, 0], [torch.nan, 1, 2, 3], [4, 3, 0.1, 0]]), 2)
    assert slack[0] == 0 and slack[1] == 0 and slack[2] > 1
    assert torch.isinf(tolerance.slack(torch.ones(1, 4), 4)).all()  # nothing is dropped


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> dict[str, SparseCodes]:
    """The embedded run on 160 galaxies of the embedded sample, in both precisions."""
    from sfnet_core.explorer.sample import sample_dataset

    folder = tmp_path_factory.mktemp("certain")
    sample, rows = sample_dataset(), np.arange(160)
    dataset = Dataset.create(
        folder / "part", sample.ids[rows], np.asarray(sample.cutouts[rows]), {"oh_p50": sample.column("oh_p50")[rows]},
        pixel_scale=sample.pixel_scale, simulated=True,
    )  # fmt: skip
    run = Run.open("data/sample-run")
    names = ("float32", "bfloat16")
    out = {name: infer(run, dataset, folder / f"{name}.parquet", precision=name, progress=False) for name in names}
    return out | {"run": run, "dataset": dataset, "folder": folder}


def test_r16_bfloat16_keeps_the_features_that_float32_keeps(both):
    exact, quick = both["float32"], both["bfloat16"]
    k = exact.k
    np.testing.assert_array_equal(np.sort(exact.indices[:, :k]), np.sort(quick.indices[:, :k]))
    said = quick.provenance["computed"]
    assert said["precision"] == "bfloat16" and 32 <= said["computed_again"] < 120
    assert exact.provenance["computed"] == {"precision": "float32"}
    largest = exact.values.max(1)
    assert (np.abs(exact.prediction() - quick.prediction()) < 0.05 * np.abs(exact.prediction() - exact.bias[0])).all()
    rows = np.flatnonzero((exact.values == quick.values).all(1))  # those that were computed again
    assert len(rows) == said["computed_again"] and (largest > 0).all()


def test_r16_r6_bfloat16_codes_do_not_depend_on_the_pieces_or_on_a_stop(both, monkeypatch):
    whole, out, real, calls = both["folder"] / "bfloat16.parquet", both["folder"] / "again.parquet", Encoder.encode, []

    def stop(self, *args, **more):
        calls.append(args)
        if len(calls) == 7:  # five pieces in bfloat16, then in the second of float32
            raise KeyboardInterrupt
        return real(self, *args, **more)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Encoder, "encode", stop)
        infer(both["run"], both["dataset"], out, precision="bfloat16", batch=32, progress=False)
    infer(both["run"], both["dataset"], out, precision="bfloat16", batch=32, progress=False)
    assert out.read_bytes() == whole.read_bytes()


def test_a_tolerance_that_proves_too_small_is_widened(both, monkeypatch):
    """Measured a thousand times too small, the errors of what is computed again give it away."""
    real = Encoder.measure

    def careless(self, dtype):
        self.tolerance = Tolerance(real(self, dtype).epsilon / 1000)
        return self.tolerance

    monkeypatch.setattr(Encoder, "measure", careless)
    out = both["folder"] / "careless.parquet"
    codes = infer(both["run"], both["dataset"], out, precision="bfloat16", progress=False)
    k, exact = codes.k, both["float32"]
    assert codes.provenance["computed"]["largest_error_in_tolerances"] > 10
    np.testing.assert_array_equal(np.sort(exact.indices[:, :k]), np.sort(codes.indices[:, :k]))


def test_another_precision_is_refused(both):
    with pytest.raises(SFNetError, match="no precision 'float16' here; choose float32 or bfloat16"):
        infer(both["run"], both["dataset"], both["folder"] / "x.parquet", precision="float16")
