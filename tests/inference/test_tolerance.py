"""Tolerances and slack against plain loops; bfloat16's codes keep float32's features, with few computed again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sfnet_core.inference.recompute as certainty
from sfnet_core.analysis.interpret import contributions
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.encoding import Encoder
from sfnet_core.inference.runner import infer
from sfnet_core.inference.tolerance import NEAR, Tolerance, measure_tolerance
from sfnet_core.model.device import pick_device
from sfnet_core.model.run import Run


def nearest(a: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Slots and values of the ``n`` strongest features of each row, as the encoder stores them."""
    order = np.argsort(-a, axis=1, kind="stable")[:, :n]
    values = np.take_along_axis(a, order, axis=1)
    return np.where(values > 0, order, -1), values


def slack_by_hand(a: np.ndarray, tolerance: Tolerance, k: int) -> float:
    """Over all features, one pair at a time."""
    order = sorted(range(len(a)), key=lambda j: (-a[j], j))
    s, typical = a.max(), tolerance.typical
    room = max(typical, np.sqrt(s * typical))
    right = a - tolerance.bias * s
    pairs = [
        (right[i] - right[j]) / (tolerance.limit * room * np.hypot(tolerance.spread[i], tolerance.spread[j]))
        for i in order[:k]
        for j in order[k:]
    ]
    return max(min(pairs, default=np.inf), 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(6, 24))
@settings(max_examples=60, deadline=None)
def test_no_errors_within_the_tolerance_change_a_certain_gate(seed, k, features):
    """Every feature its bias, all of a row one common shift, each up to the limit in its own direction."""
    rng = np.random.default_rng(seed)
    a = rng.exponential(size=(30, features)).astype(np.float32)
    spread, bias = rng.uniform(0.001, 0.02, features), rng.normal(0, 0.01, features)
    tolerance = Tolerance(bias, spread, float(rng.uniform(0.5, 3)), float(rng.uniform(1, 4)))
    slots, values = nearest(a, k + NEAR)
    slack = tolerance.slack(slots, values, k)
    by_hand = np.array([slack_by_hand(row, tolerance, k) for row in a.astype(float)])
    if features <= k + NEAR:
        np.testing.assert_allclose(slack, by_hand, rtol=1e-6, atol=1e-9)
    assert (slack <= by_hand * (1 + 1e-6) + 1e-9).all()  # what is in no slot is given the worst it could have
    certain, largest = slack > 1.0001, a.max(1, keepdims=True).astype(float)
    room = np.maximum(tolerance.typical, np.sqrt(largest * tolerance.typical))
    for sign in (rng.choice([-1, 1], a.shape) for _ in range(20)):
        shift = rng.normal(0, 1, (len(a), 1)) * largest
        exact = a - bias * largest - shift - sign * tolerance.limit * room * spread / np.sqrt(2)
        kept, now = (np.sort(np.argsort(-x, 1, kind="stable")[:, :k]) for x in (a, exact))
        assert (kept == now)[certain].all()


def planted(rng: np.random.Generator, n: int, features: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """Activations in both precisions whose errors are as the model has them."""
    low = rng.exponential(size=(n, features)) * rng.uniform(0.5, 2, features)
    true = {"bias": rng.normal(0, 0.01, features), "spread": rng.uniform(0.001, 0.004, features)}
    s = low.max(1, keepdims=True)
    room = np.maximum(np.median(s), np.sqrt(s * np.median(s)))
    noise = rng.normal(0, 0.005, (n, 1)) + rng.normal(0, 1, low.shape) * true["spread"]
    return low, low - true["bias"] * s - room * noise, true


def test_planted_errors_are_found_and_change_no_certain_gate():
    rng, k = np.random.default_rng(4), 3
    low, high, true = planted(rng, 4000, 16)
    slots, near = nearest(low, k + NEAR)
    exact = np.take_along_axis(high, slots.clip(0), axis=1)
    found = measure_tolerance(slots[:500], near[:500], exact[:500], k, 16)
    assert np.abs(found.bias - true["bias"]).max() < 0.002
    assert np.corrcoef(found.spread, true["spread"])[0, 1] > 0.9
    kept, now = (np.sort(np.argsort(-x, 1, kind="stable")[:, :k]) for x in (low, high))
    flipped, certain = (kept != now).any(1), found.slack(slots, near, k) > 1
    assert flipped.sum() > 20 and not (flipped & certain).any()
    assert certain.mean() > 0.8
    largest = found.errors(slots[:500], near[:500], exact[:500], k).max()
    assert found.limit == pytest.approx(largest) and 3 < found.limit < 7


def test_the_limit_follows_the_errors_at_the_gate_of_doubtful_rows():
    rng, k = np.random.default_rng(5), 3
    low, high, _ = planted(rng, 300, 16)
    slots, near = nearest(low, k + NEAR)
    exact = np.take_along_axis(high, slots.clip(0), axis=1)
    chosen = np.zeros(300, dtype=bool)
    chosen[-1] = True
    before = measure_tolerance(slots, near, exact, k, 16, chosen)
    exact[-1, k] -= 20 * before.typical * before.spread.max()
    after = measure_tolerance(slots, near, exact, k, 16, chosen)
    assert after.limit > 1.5 * before.limit
    exact[-1, k] += 20 * before.typical * before.spread.max()
    exact[-1, -1] -= 20 * before.typical * before.spread.max()  # far from the gate: it changes nothing there
    assert measure_tolerance(slots, near, exact, k, 16, chosen).limit < 1.2 * before.limit


def test_rows_that_are_zero_short_or_not_finite_are_never_certain():
    tolerance = Tolerance(np.zeros(4), np.full(4, 0.01), 1.0, 3.0)
    a = np.array([[0.0, 0, 0, 0], [np.nan, 1, 2, 3], [4, 3, 0.1, 0], [4, 0, 0, 0]], dtype=np.float32)
    slots, values = nearest(a, 4)
    slack = tolerance.slack(slots, values, 2)
    assert slack[0] == slack[1] == slack[3] == 0 and slack[2] > 1
    assert np.isinf(tolerance.slack(*nearest(np.ones((1, 4)), 4), 4)).all()  # nothing is dropped
    nothing = measure_tolerance(slots[:2], values[:2], values[:2], 2, 4)
    assert (nothing.slack(slots, values, 2) == 0).all()


@pytest.fixture(scope="module")
def both(tmp_path_factory, bfloat16_anywhere) -> dict[str, SparseCodes]:
    """The embedded run on 160 galaxies of the embedded sample, in both precisions."""
    from sfnet_core.explorer.shared.sample import sample_dataset

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


def test_r16_bfloat16_keeps_the_features_that_float32_keeps(both, bfloat16):
    exact, quick = both["float32"], both["bfloat16"]
    k = exact.k
    np.testing.assert_array_equal(np.sort(exact.indices[:, :k]), np.sort(quick.indices[:, :k]))
    said = quick.provenance["computed"]
    assert said["precision"] == "bfloat16" and said["measured"] == 32 < said["computed_again"] < 100
    assert exact.provenance["computed"] == {"precision": "float32"}
    largest = exact.values.max(1)
    size = np.abs(contributions(exact)).sum(axis=1)  # not of the sum: terms of both signs may cancel
    assert (np.abs(exact.prediction() - quick.prediction()) < 0.02 * size).all()
    rows = np.flatnonzero((exact.values == quick.values).all(1))  # those that were computed again
    assert len(rows) == said["computed_again"] and (largest > 0).all()
    np.testing.assert_array_equal(exact.unlike > 1, quick.unlike > 1)


def test_r16_r6_bfloat16_codes_do_not_depend_on_the_pieces_or_on_a_stop(both, monkeypatch, bfloat16):
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


def test_r16_pieces_threads_and_device_keep_the_features_wherever_the_margin_is_no_rounding(both):
    """Float32 has room for differences of rounding alone: they are looked for at margins below 1e-4 of the largest."""
    exact, k, dataset = both["float32"], both["float32"].k, both["dataset"]
    part = Dataset.create(both["folder"] / "few", dataset.ids[:70], np.asarray(dataset.cutouts[:70]))
    before, ways = torch.get_num_threads(), [(1, "cpu"), (7, "cpu"), (64, "cpu"), (64, "auto")]
    for threads, (batch, device) in zip((1, 2, 1, 2), ways, strict=True):
        torch.set_num_threads(threads)
        try:
            out = both["folder"] / f"{batch}-{device}.parquet"
            found = infer(both["run"], part, out, batch=batch, device=device, progress=False)
        finally:
            torch.set_num_threads(before)
        margin = found.values[:, k - 1] - found.values[:, k]
        clear = margin > 1e-4 * found.values[:, 0]
        same = (np.sort(found.indices[:, :k]) == np.sort(exact.indices[:70, :k])).all(axis=1)
        assert clear.mean() > 0.9 and same[clear].all()
        np.testing.assert_allclose(found.margin, margin, rtol=1e-6)  # the others can be listed from the file
        np.testing.assert_allclose(found.values, exact.values[:70], atol=1e-4 * exact.values.max())
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")  # which of the two was tested


def test_a_tolerance_that_proves_too_small_is_widened(both, monkeypatch):
    """Where the first galaxies say that bfloat16 is exact, the errors of the doubtful ones give it away."""
    real, calls = certainty.measure_tolerance, []

    def careless(slots, low, high, *more):
        calls.append(len(low))
        if len(calls) == 1:  # as if it had no errors: a limit a hundred times too small
            found = real(slots, low, high, *more)
            found.limit /= 100
            return found
        return real(slots, low, high, *more)

    monkeypatch.setattr(certainty, "measure_tolerance", careless)
    out = both["folder"] / "careless.parquet"
    codes = infer(both["run"], both["dataset"], out, precision="bfloat16", progress=False)
    k, exact = codes.k, both["float32"]
    assert len(calls) >= 2 and calls == sorted(calls)
    first, last = codes.provenance["computed"]["limit"]
    assert last > 50 * first
    np.testing.assert_array_equal(np.sort(exact.indices[:, :k]), np.sort(codes.indices[:, :k]))


class Halved:
    """Stands in for an encoder: 40 galaxies of 3 features, whose float32 is as given."""

    micro, k, n_features = 4, 1, 3

    def __init__(self, a: np.ndarray, unlike: np.ndarray) -> None:
        self.a, self.unlike = a, unlike

    def encode(self, rows, done, at):
        order = np.argsort(-self.a[rows], axis=1, kind="stable").astype(np.int16)
        values = np.take_along_axis(self.a[rows], order, axis=1)
        exact = np.take_along_axis(self.a[rows], at.astype(int), axis=1)
        return {"indices": order, "values": values, "unlike": self.unlike[rows], "exact": exact}


def test_a_jump_of_unlike_where_the_gate_changes_makes_no_other_galaxy_doubtful():
    """How unlike a galaxy is counts its kept feature: at a tie bfloat16 may keep another one, and it doubles."""
    n, rng = 40, np.random.default_rng(0)
    exact = np.sort(rng.uniform(1, 2, (n, 3)), axis=1)[:, ::-1] * np.array([3.0, 2.0, 1.0])
    low = exact * (1 + 1e-3 * rng.normal(size=(n, 3)))
    exact[0, 1], low[0, 1] = exact[0, 0] * 0.9999, exact[0, 0] * 1.001  # the first is among those that are measured
    truth = np.linspace(0.2, 2.0, n)
    unlike = truth * (1 + 2e-3 * rng.normal(size=n))
    unlike[0] = 2 * truth[0]
    order = np.argsort(-low, axis=1, kind="stable")
    near = np.take_along_axis(low, order, axis=1)
    whole = {"slots": order.astype(np.int16), "near": near, "unlike": unlike.copy(), "indices": order.copy(),
             "values": near.copy()}  # fmt: skip
    said = certainty.recompute_doubtful(
        Halved(exact, truth), whole, lambda name, rows, make, done: make(), 8, lambda n: None
    )  # fmt: skip
    assert order[0, 0] != whole["indices"][0, 0] == 0 and whole["unlike"][0] == truth[0]
    assert said["flag_tolerance"] < 0.02 and said["computed_again"] < n / 2
    assert ((whole["unlike"] > 1) == (truth > 1)).all()
