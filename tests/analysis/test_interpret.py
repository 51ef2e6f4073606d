"""Contributions and counterfactuals against the same things done from dense activations, one galaxy at a time."""

from __future__ import annotations

import runpy
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.interpret import (
    Counterfactual,
    activations,
    contributions,
    feature_table,
    lost_without,
    predict,
    predict_by_k,
    refill_exact,
    round_to_sum,
    surviving_slots,
    top_galaxies,
)
from sfnet_core.codes.table import SparseCodes
from sfnet_core.stats.correlation import partial_correlation
from sfnet_core.utils.errors import SFNetError

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]


def plain_prediction(row, weight, bias, k, off, mode) -> float:
    """The last steps on one galaxy's (F,) activations: gate, switch off, add up; or switch off, gate, add up."""
    row = [0.0 if mode == "refill" and j in off else float(a) for j, a in enumerate(row)]
    kept = sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]
    return bias + sum(float(weight[j]) * row[j] for j in kept if j not in off)


@st.composite
def dense_and_codes(draw):
    features = draw(st.integers(1, 7))
    k = draw(st.integers(1, features))
    r = draw(st.integers(0, features - k))
    level = st.sampled_from([0.0, 0.0, 0.25, 0.5, 0.5, 1.0, 1.75])
    row = st.lists(level, min_size=features, max_size=features)
    dense = np.array(draw(st.lists(row, min_size=1, max_size=6)), dtype=np.float32)
    weight = np.array(draw(st.lists(st.floats(-4, 4, width=16), min_size=2 * features, max_size=2 * features)))
    order = np.argsort(-dense, axis=1, kind="stable")[:, : k + r]
    values = np.take_along_axis(dense, order, axis=1)
    codes = SparseCodes.from_arrays(
        ids=[f"g{i}" for i in range(len(dense))], indices=np.where(values > 0, order, -1), values=values, k=k,
        features=features, weight=weight.reshape(2, features), bias=[8.7, -1.0], targets=["a", "b"],
    )  # fmt: skip
    off = draw(st.frozensets(st.integers(0, features - 1)))
    return dense, codes, off


@settings(max_examples=200, deadline=None)
@given(case=dense_and_codes(), mode=st.sampled_from(["ablate", "refill"]), target=st.integers(0, 1))
def test_any_set_of_features_off(case, mode, target):
    dense, codes, off = case
    found = predict(codes, off=off, mode=mode, target=target)
    exact = refill_exact(codes, off) if mode == "refill" else np.ones(len(codes), dtype=bool)
    for i, row in enumerate(dense):
        plain = plain_prediction(row, codes.weight[target], codes.bias[target], codes.k, off, mode)
        slots = surviving_slots(codes, i, off, mode)
        again = codes.bias[target] + sum(codes.weight[target][codes.indices[i, slots]] * codes.values[i, slots])
        assert again == pytest.approx(found[i], abs=1e-12) and len(slots) <= codes.k
        if exact[i]:
            assert found[i] == pytest.approx(plain, abs=1e-12)
        else:  # only where stored activations ran out while more may follow
            on = [j for j in codes.indices[i] if j >= 0 and j not in off]
            assert len(on) < codes.k and (codes.indices[i] >= 0).all() and codes.indices.shape[1] < codes.features


@pytest.mark.parametrize("mode", ["ablate", "refill"])
def test_many_galaxies_at_once(mode):
    """Galaxies that need a runner-up beside galaxies that need none, all activations stored."""
    codes = simulated_codes(300, features=12, k=3, runners_up=9, seed=11)
    dense = np.zeros((300, 13))
    np.put_along_axis(dense, codes.indices % 13, codes.values, axis=1)  # -1 % 13: the thirteenth, cut off below
    for off in ({0}, {1, 5}, {2, 3, 4, 7, 8}, set(range(12))):
        plain = [plain_prediction(row, codes.weight[0], codes.bias[0], 3, off, mode) for row in dense[:, :12]]
        assert np.allclose(predict(codes, off=off, mode=mode), plain, atol=1e-12, rtol=0)
        assert refill_exact(codes, off).all()


@settings(max_examples=60, deadline=None)
@given(case=dense_and_codes(), steps=st.lists(st.tuples(st.frozensets(st.integers(0, 6)), st.booleans()), max_size=8))
def test_a_walk_of_toggles_leaves_no_trace(case, steps):
    _, codes, _ = case
    walk = Counterfactual(codes, "b")
    for off, refill in steps:
        off = frozenset(f for f in off if f < codes.features)
        mode = "refill" if refill else "ablate"
        found = walk.prediction(off, mode)
        assert np.array_equal(found, predict(codes, off=off, mode=mode, target="b"))
        found[:] = 0  # the caller's own array


def test_toggles_that_touch_few_galaxies_take_the_short_way():
    codes = simulated_codes(4000, seed=5)
    table = feature_table(codes)
    rare = [int(f) for f, rate in zip(table["feature"], table["rate"], strict=True) if 0 < rate < 0.1]
    walk = Counterfactual(codes)
    for off in ({rare[0]}, set(rare[:3]), {rare[0], int(table["feature"][0])}, set(range(codes.features)), set()):
        for mode in ("ablate", "refill"):
            assert np.array_equal(walk.prediction(off, mode), predict(codes, off=off, mode=mode))


def test_contributions_and_bias_are_the_prediction():
    codes = simulated_codes(2000, seed=1)
    assert np.allclose(codes.bias[0] + contributions(codes).sum(axis=1), codes.prediction(), atol=1e-12, rtol=0)
    assert np.array_equal(predict(codes), codes.prediction())
    assert np.array_equal(predict(codes, off=range(codes.features)), np.full(len(codes), codes.bias[0]))


def test_another_k_is_the_same_head_behind_another_gate():
    codes = simulated_codes(500, seed=2)
    for k in (1, 2, 6):
        plain = codes.bias[0] + (
            codes.weight[0][codes.indices[:, :k]] * np.where(codes.indices[:, :k] >= 0, codes.values[:, :k], 0)
        ).sum(axis=1)
        assert np.allclose(predict(codes, k=k), plain, atol=1e-12)
    with pytest.raises(SFNetError, match="k = 13"):
        predict(codes, k=13)


def test_user_mistakes_get_a_sentence():
    codes = simulated_codes(20)
    for call, words in (
        (lambda: predict(codes, off={512}), "no feature 512"),
        (lambda: predict(codes, off={-1}), "no feature -1"),
        (lambda: Counterfactual(codes).prediction({True}), "no feature True"),
        (lambda: predict(codes, mode="drop"), "`ablate` or `refill`"),
        (lambda: feature_table(codes, controls=["nope"]), "nope"),
        (lambda: predict(codes, target="nope"), "nope"),
    ):
        with pytest.raises(SFNetError, match=words):
            call()


def test_top_galaxies_and_activations():
    codes = simulated_codes(800, seed=4)
    for feature in feature_table(codes)["feature"]:
        dense = [
            max([0.0, *(v for j, v in zip(i[:4], a[:4], strict=True) if j == feature)])
            for i, a in zip(codes.indices, codes.values, strict=True)
        ]
        assert np.array_equal(activations(codes, feature), np.array(dense, dtype=np.float32))
        best = sorted((i for i in range(800) if dense[i] > 0), key=lambda i: (-dense[i], i))[:9]
        assert top_galaxies(codes, feature, 9).tolist() == best
    silent = next(j for j in range(512) if j not in codes.indices)
    assert len(top_galaxies(codes, silent, 5)) == 0 and not activations(codes, silent).any()


@pytest.mark.parametrize("part", [None, "some"])
def test_what_each_feature_is_worth(part):
    codes = simulated_codes(500, features=24, k=3, seed=4)
    truth = codes.truth().copy()
    truth[::7] = np.nan
    codes._flat["target_oh_p50"] = truth
    rows = np.arange(500) if part is None else np.flatnonzero(np.arange(500) % 5 < 2)
    known = rows[np.isfinite(truth[rows])]
    weight, kept = codes.weight[0], codes.indices[:, :3]

    def rmse(squares):
        return np.sqrt(np.mean(squares))

    residual = predict(codes) - truth
    on = residual[known] ** 2
    found = lost_without(codes, None if part is None else rows)
    for feature in range(24):
        assert found[0, feature] == pytest.approx(
            rmse((predict(codes, off={feature}) - truth)[known] ** 2) - rmse(on), abs=1e-12
        )
        drawn = on.copy()
        for place, row in enumerate(known):
            if feature in kept[row]:
                terms = [weight[j] * float(a) for j, a in zip(kept[row], codes.values[row], strict=False) if j >= 0]
                drawn[place] = np.mean([(residual[row] - c) ** 2 for c in terms])
        assert found[1, feature] == pytest.approx(rmse(drawn) - rmse(on), abs=1e-12)
    codes._flat["target_oh_p50"] = np.full(500, np.nan)
    assert np.isnan(lost_without(codes)).all()


@pytest.mark.parametrize("part", [None, "some"])
def test_feature_table_against_dense_arithmetic(part):
    codes = simulated_codes(600, seed=6)
    truth = codes.truth().copy()
    truth[::9] = np.nan
    mass = codes.column("lgm_tot_p50").copy()
    mass[5::11] = np.nan
    columns = {"mass": mass, "sfr": codes.column("sfr_tot_p50"), "one": np.ones(600), "word": np.array(["x"] * 600)}
    codes = SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=4, features=512, weight=codes.weight,
        bias=codes.bias, targets=["oh_p50"], truth=truth, columns=columns,
    )  # fmt: skip
    rows = np.arange(600) if part is None else np.flatnonzero(np.arange(600) % 5 < 2)
    table = feature_table(codes, None if part is None else rows, controls=["mass", "sfr", "one"])
    dense = np.stack([activations(codes, j)[rows] for j in range(512)], axis=1).astype(float)
    active = np.flatnonzero((dense > 0).any(axis=0))
    rank = sorted(active, key=lambda j: (-np.abs(codes.weight[0][j] * dense[:, j]).mean(), j))
    assert table["feature"].tolist() == rank
    everything = np.abs(codes.weight[0] * dense).sum()
    for position, j in enumerate(rank):
        a, c, on = dense[:, j], codes.weight[0][j] * dense[:, j], dense[:, j] > 0
        y = truth[rows]
        known = np.isfinite(y)
        expected = {
            "fires": on.sum(), "rate": on.mean(), "weight": codes.weight[0][j], "mean_abs": np.abs(c).mean(),
            "share": np.abs(c).sum() / everything, "mean": c.mean(), "std": c.std(), "mean_fires": c[on].mean(),
            "std_fires": c[on].std(), "partial": partial_correlation(a, y, [mass[rows], columns["sfr"][rows]]).value,
        }  # fmt: skip
        if on[known].any():
            expected["pearson"] = np.corrcoef(a[known], y[known])[0, 1]
        if (on & known).sum() >= 3:
            expected["pearson_fires"] = np.corrcoef(a[on & known], y[on & known])[0, 1]
        for name, value in expected.items():
            assert table[name][position] == pytest.approx(value, abs=1e-9), (name, j)
    assert table["share"].sum() == pytest.approx(1)
    assert np.isnan(feature_table(codes)["partial"]).all()
    with pytest.raises(SFNetError, match="word"):
        feature_table(codes, controls=["word"])


def test_feature_table_of_nothing():
    codes = simulated_codes(50, seed=1)
    assert all(len(array) == 0 for array in feature_table(codes, np.array([], dtype=int)).values())
    one = feature_table(codes, np.array([3]))
    assert len(one["feature"]) == 4 and np.isnan(one["pearson"]).all() and np.isnan(one["pearson_fires"]).all()


@settings(max_examples=300, deadline=None)
@given(
    terms=st.lists(
        st.floats(-50, 50) | st.sampled_from([0.0, -0.0, 0.005, -0.005, 0.125, 8.7157]), min_size=1, max_size=12
    ),
    digits=st.integers(0, 6),
)
def test_displayed_terms_add_up_to_the_displayed_total(terms, digits):
    total = float(sum(terms))
    texts = round_to_sum(terms, total, digits)
    unit = Decimal(1).scaleb(-digits)
    assert sum(map(Decimal, texts)) == Decimal(f"{total:.{digits}f}")
    for text, term in zip(texts, terms, strict=True):
        assert abs(Decimal(text) - Decimal(term)) <= unit
        assert text == "0" or len(text.partition(".")[2]) == digits
        assert not (text.startswith("-") and Decimal(text) == 0)


def test_round_to_sum_refuses_what_does_not_add_up():
    assert round_to_sum([8.7157, 0.3349, -0.0503], 9.0003, 2) == ["8.72", "0.33", "-0.05"]
    assert round_to_sum([1 / 3] * 3, 1.0, 2) == ["0.34", "0.33", "0.33"]
    assert round_to_sum([], 0.0, 3) == []
    for terms, total in (([1.0], 1.2), ([float("nan")], 1.0), ([1.0, 1.0], float("inf"))):
        with pytest.raises(SFNetError):
            round_to_sum(terms, total, 2)


@settings(max_examples=100, deadline=None)
@given(case=dense_and_codes(), mode=st.sampled_from(["ablate", "refill"]), target=st.integers(0, 1))
def test_predict_by_k_is_predict_at_each_k(case, mode, target):
    _dense, codes, off = case
    each = list(predict_by_k(codes, off=off, mode=mode, target=target))
    assert len(each) == codes.indices.shape[1]
    for k, prediction in enumerate(each, start=1):
        np.testing.assert_allclose(prediction, predict(codes, off=off, mode=mode, k=k, target=target), atol=1e-12)
