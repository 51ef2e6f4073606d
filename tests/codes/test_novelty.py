"""How unlike the training galaxies: against a plain implementation, by identities, and false flags on made-up data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from sfnet_core.codes.novelty import COLUMNS, LEAST, Typical, ledoit_wolf
from sfnet_core.utils.errors import SFNetError

K = 3


def galaxies(n: int, features: int, seed: int, dead: int = 0) -> np.ndarray:
    """(n, F) activations ≥ 0, correlated and skew as a network's are; the last ``dead`` features fire on none."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(6, features))
    a = np.maximum(rng.gamma(2.0, 0.5, (n, 6)) @ mix * 0.3 + rng.normal(0.2, 0.1, (n, features)), 0)
    a[:, features - dead :] = 0
    return a.astype(np.float32)


def code(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices and values (n, K) of the strongest, −1 and 0 where nothing fires."""
    order = np.argsort(-a, axis=1, kind="stable")[:, :K]
    values = np.take_along_axis(a, order, axis=1)
    return np.where(values > 0, order, -1), values


def plain_distance(x: np.ndarray, others: np.ndarray, shrinkage: float, floor: float) -> float:
    """Mahalanobis' distance of one galaxy from others, with the inverse of the whole shrunk matrix."""
    mean = others.mean(axis=0)
    covariance = np.cov(others.T, bias=True) * (1 - shrinkage) + floor * np.eye(len(mean))
    return float(np.sqrt((x - mean) @ np.linalg.inv(covariance) @ (x - mean)))


@pytest.mark.parametrize(("n", "features", "dead"), [(200, 12, 0), (40, 64, 20), (25, 9, 3)])
def test_distances_are_those_of_a_plain_implementation(n, features, dead):
    a, new = galaxies(n, features, 0, dead).astype(float), galaxies(7, features, 1).astype(float)
    typical = Typical.fit(a, K)
    theirs = LedoitWolf().fit(a)
    shrinkage = max(theirs.shrinkage_, LEAST)
    assert typical.shrinkage == pytest.approx(shrinkage, rel=1e-9)
    floor = shrinkage * np.trace(np.cov(a.T, bias=True)) / features
    expected = [plain_distance(x, a, shrinkage, floor) for x in new]
    np.testing.assert_allclose(typical.distance(new), expected, rtol=1e-7)
    # a training galaxy against the others: they alone, by the same ρ and m
    left_out = [plain_distance(a[i], np.delete(a, i, axis=0), shrinkage, floor) for i in range(n)]
    np.testing.assert_allclose(typical.distance(a, np.arange(n)), left_out, rtol=1e-6)
    assert typical.distance(a.mean(axis=0)[None])[0] == pytest.approx(0, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_the_distance_knows_no_unit_no_origin_and_no_axes(seed, scale):
    rng = np.random.default_rng(seed)
    a, new = rng.gamma(2.0, 1.0, (30, 8)), rng.gamma(2.0, 2.0, (5, 8))
    turned = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    shift = rng.normal(size=8)
    once = Typical.fit(a, K).distance(new)
    again = Typical.fit(scale * (a @ turned) + shift, K).distance(scale * (new @ turned) + shift)
    np.testing.assert_allclose(again, once, rtol=1e-6)


def test_the_range_is_the_largest_ratio_of_the_code():
    a = galaxies(60, 16, 0, dead=4)
    a[7, 15] = 9.0  # one training galaxy alone has it
    typical, new = Typical.fit(a, K), galaxies(9, 16, 5)
    indices, values = code(new)
    times, feature = typical.range(indices, values)
    for i in range(9):
        ratios = {j: v / max(a[:, j].max(), 0.01 * a.max()) for j, v in zip(indices[i], values[i], strict=True)}
        assert times[i] == pytest.approx(max(ratios.values()), rel=1e-6) and ratios[feature[i]] == max(ratios.values())
    own = np.arange(60)
    left_out, which = typical.range(*code(a), own)
    assert left_out[7] == pytest.approx(9.0 / (0.01 * 9.0), rel=1e-6) and which[7] == 15
    others = np.delete(a, 3, axis=0).max(axis=0)
    mine = code(a[3:4])
    expected = max(v / max(others[j], 0.01 * a.max()) for j, v in zip(mine[0][0], mine[1][0], strict=True))
    assert left_out[3] == pytest.approx(expected, rel=1e-6)
    empty, none = typical.range(np.full((1, K), -1), np.zeros((1, K)))
    assert empty[0] == 0 and none[0] == -1


def test_false_flags_are_about_the_nominal_share_on_galaxies_drawn_alike():
    flagged = []
    for seed in range(12):
        a, new = galaxies(300, 40, 2 * seed, 10), galaxies(2000, 40, 2 * seed + 1, 10)
        typical = Typical.fit(a, K)
        assert typical.share == pytest.approx(1 - 298 / 301)  # ⌈301 × 0.99⌉ = 298
        flagged.append((typical.measure(new, *code(new))["unlike"] > 1).mean())
        own = typical.measure(a, *code(a), np.arange(300))["unlike"]
        assert (own > 1).sum() <= 2 and (own > 1 - 1e-6).sum() >= 3  # one is the limit itself
    # the standard error of the mean over 12 fits of some 3 galaxies each beyond the limit is about 0.0017
    assert 0.005 < np.mean(flagged) < 0.016


def test_few_galaxies_give_their_largest_as_limit():
    a = galaxies(20, 30, 3)
    typical = Typical.fit(a, K)
    assert typical.share == pytest.approx(1 / 21)
    assert typical.measure(a, *code(a), np.arange(20))["unlike"].max() == pytest.approx(1)


def test_what_is_unlike_is_flagged_and_by_what():
    a = galaxies(300, 24, 0, dead=6)
    typical = Typical.fit(a, K)
    new = galaxies(4, 24, 1, dead=6)
    new[1, 2] = 3 * a[:, 2].max()  # far above the largest
    new[2, 23] = 0.9 * a.max()  # a feature that fired on none
    new[3] = 0  # nothing fires
    found = typical.measure(new, *code(new))
    assert set(found) == set(COLUMNS)
    assert found["unlike"][0] < 1 < min(found["unlike"][1:3])
    assert found["unlike_feature"][1] == 2 and found["unlike_feature"][2] == 23 and found["unlike_feature"][3] == -1
    assert found["unlike_range"][1] == pytest.approx(3) and found["unlike_range"][3] == 0
    expected = np.maximum(found["unlike_distance"], found["unlike_range"] / typical.limits[1])
    np.testing.assert_allclose(found["unlike"], expected, rtol=1e-6)


@pytest.mark.parametrize("a", [np.zeros((9, 5)), np.ones((9, 5)), np.eye(9)[:, :5]])
def test_dead_or_constant_features_break_nothing(a):
    typical = Typical.fit(a, K)
    new = np.vstack([a[:1], a[:1] + 0.5])
    found = typical.measure(new, *code(new))
    assert all(np.isfinite(column).all() for column in found.values())
    assert found["unlike"][1] > 1


def test_rows_that_are_not_finite_are_left_out_and_keep_their_number():
    a = galaxies(50, 10, 0)
    poisoned = a.copy()
    poisoned[4] = np.nan
    typical, without = Typical.fit(poisoned, K), Typical.fit(np.delete(a, 4, axis=0), K)
    assert typical.limits == without.limits and typical.n == 49
    np.testing.assert_array_equal(typical.holder, np.where(without.holder >= 4, without.holder + 1, without.holder))
    with pytest.raises(SFNetError, match="at least 2"):
        Typical.fit(poisoned[3:5], K)


def test_on_disk_it_is_the_same_and_a_damaged_file_is_named(tmp_path):
    typical = Typical.fit(galaxies(50, 10, 0, 3), K, run="abc")
    path = tmp_path / "unlike.npz"
    typical.save(path)
    first = path.read_bytes()
    again = Typical.open(path)
    again.save(path)
    assert path.read_bytes() == first and again.run == "abc" and again.about() == typical.about()
    new = galaxies(5, 10, 8)
    for one, two in zip(
        again.measure(new, *code(new)).values(), typical.measure(new, *code(new)).values(), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    path.write_bytes(first[:-40])
    with pytest.raises(SFNetError, match=r"unlike\.npz.*delete it"):
        Typical.open(path)
    broken = {**vars(typical), "axes": typical.axes[:, 1:]}
    Typical(**broken).save(path)
    with pytest.raises(SFNetError, match="axes"):
        Typical.open(path)


def test_shrinkage_is_whole_where_the_spread_is_the_same_in_all_directions():
    a = np.vstack([np.eye(4), -np.eye(4)])
    covariance, m, shrinkage = ledoit_wolf(a)
    np.testing.assert_allclose(covariance, np.eye(4) / 4)
    assert m == pytest.approx(0.25) and shrinkage == 1
