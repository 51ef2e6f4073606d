"""Sums over blocks of codes, and errors from sums made once, against going through the galaxies."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.interpret import Counterfactual, feature_table, predict, predict_by_k
from sfnet_core.codes import sums as code_sums
from sfnet_core.codes.feature_index import FeatureIndex
from sfnet_core.codes.sums import ResidualSums, mean_contributions, predictions, residual_sums, squares_by_k

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]
CODES = simulated_codes(400, features=24, k=3, runners_up=4, seed=8)
TRUTH = np.where(np.arange(400) % 9 == 0, np.nan, CODES.truth())
CODES._flat["target_oh_p50"] = TRUTH
OFF = st.frozensets(st.integers(0, 23))
ROWS = st.none() | st.lists(st.integers(0, 399), unique=True).map(lambda rows: np.array(sorted(rows), dtype=np.int64))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(code_sums, "BLOCK", 57)


@settings(max_examples=60, deadline=None)
@given(off=OFF, mode=st.sampled_from(["ablate", "refill"]), rows=ROWS, k=st.integers(1, 7))
def test_some_galaxies_get_what_all_get(off, mode, rows, k):
    whole = predictions(CODES, 0, off, mode, k)
    assert np.array_equal(predictions(CODES, 0, off, mode, k, rows=rows), whole if rows is None else whole[rows])
    for row in range(0, 400, 80):
        on = [(f, a) for f, a in zip(CODES.indices[row], CODES.values[row], strict=True) if f >= 0]
        kept = [(f, a) for f, a in (on[:k] if mode == "ablate" else on) if f not in off][:k]
        assert whole[row] == pytest.approx(
            CODES.bias[0] + sum(CODES.weight[0, f] * float(a) for f, a in kept), abs=1e-12
        )


@given(rows=ROWS)
def test_the_mean_of_what_a_gate_keeps(rows):
    found = mean_contributions(CODES, 0, rows)
    for place, row in enumerate(range(400) if rows is None else rows):
        kept = [
            CODES.weight[0, f] * float(CODES.values[row, s]) for s, f in enumerate(CODES.indices[row, :3]) if f >= 0
        ]
        expected = (np.mean(kept), np.mean(np.square(kept))) if kept else (0, 0)
        assert found[:, place] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(off=OFF, mode=st.sampled_from(["ablate", "refill"]), rows=ROWS)
def test_the_error_of_every_k_at_once(off, mode, rows):
    rows = np.flatnonzero(np.isfinite(TRUTH)) if rows is None else rows[np.isfinite(TRUTH[rows])]
    found = squares_by_k(CODES, TRUTH[rows], rows, off, mode, 0)
    plain = [((p[rows] - TRUTH[rows]) ** 2).sum() for p in predict_by_k(CODES, off=off, mode=mode)]
    assert found == pytest.approx(plain, rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(off=OFF, rows=ROWS)
def test_the_error_without_features_from_sums(off, rows):
    sums = ResidualSums.unpack(residual_sums(CODES, 0, rows).pack())
    rows = np.arange(400) if rows is None else rows
    known = rows[np.isfinite(TRUTH[rows])]
    now, before = predict(CODES, off=off), predict(CODES)
    assert (sums.n, sums.in_view) == (len(known), len(rows))
    plain = ((now[known] - TRUTH[known]) ** 2).sum()
    found = sums.ablate(off)
    if found is None:  # nothing but rounding would be left
        assert plain <= 1e-5 * (sums.squares + abs(sums.gram).sum() + 1e-300) or not len(known)
        return
    assert found[0] == pytest.approx(plain, rel=1e-9)
    assert found[1] == pytest.approx(np.mean(now[rows] - before[rows]) if len(rows) else 0, abs=1e-12)
    assert sums.spread == pytest.approx(
        ((TRUTH[known] - TRUTH[known].mean()) ** 2).sum() if len(known) else 0, abs=1e-9
    )
    assert sums.squares == pytest.approx(((before[known] - TRUTH[known]) ** 2).sum(), rel=1e-9)


def test_a_residual_that_cancels_is_not_taken_from_sums():
    """The truth is the prediction without a feature: the error is nothing, and the sums say that they can't tell."""
    codes = simulated_codes(200, features=12, k=2, runners_up=2, seed=1)
    off = frozenset({int(codes.indices[0, 0])})
    codes._flat["target_oh_p50"] = predict(codes, off=off)
    assert residual_sums(codes, 0).ablate(off) is None
    assert residual_sums(codes, 0).ablate(frozenset())[0] > 0


@settings(max_examples=40, deadline=None)
@given(feature=st.integers(0, 23), slots=st.integers(0, 7))
def test_the_index_names_each_galaxy_once(feature, slots):
    index = FeatureIndex(CODES)
    plain = np.flatnonzero((CODES.indices[:, :slots] == feature).any(axis=1))
    assert sorted(index.rows(feature, slots).tolist()) == plain.tolist()
    assert index.count(feature, slots) == len(plain)


@settings(max_examples=60, deadline=None)
@given(walk=st.lists(st.tuples(OFF, st.sampled_from(["ablate", "refill"])), max_size=6), rows=ROWS)
def test_a_walk_is_exact_for_all_and_for_some(walk, rows):
    exact = Counterfactual(CODES)
    for off, mode in walk:
        plain = predict(CODES, off=off, mode=mode)
        some = np.arange(400) if rows is None else rows
        assert np.array_equal(exact.at(some, off, mode), plain[some])
        assert np.array_equal(exact.prediction(off, mode), plain)
    assert np.array_equal(exact.all_on, predict(CODES)) and not exact.all_on.flags.writeable


def test_blocks_make_no_difference_to_the_table(monkeypatch):
    small = feature_table(CODES, rows=np.arange(350))
    monkeypatch.setattr(code_sums, "BLOCK", 1 << 15)
    whole = feature_table(CODES, rows=np.arange(350))
    assert np.array_equal(small["feature"], whole["feature"])
    for name in small:
        assert small[name] == pytest.approx(whole[name], rel=1e-9, abs=1e-12, nan_ok=True), name
