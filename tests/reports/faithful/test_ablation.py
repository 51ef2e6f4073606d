"""Ablation beside random ablation: planted truths, and the same numbers from plain loops over galaxies."""

from __future__ import annotations

import numpy as np
import pytest

from sfnet_core.analysis.interpret import lost_without, predict
from sfnet_core.codes.table import SparseCodes
from sfnet_core.reports.faithful.ablation import ablation
from sfnet_core.stats.metrics import rmse
from sfnet_core.utils.errors import SFNetError

K, F, BIAS = 3, 12, 8.9


def made_up(n: int = 160, seed: int = 0, runners_up: int = 2, k: int = K, weight: np.ndarray | None = None):
    """Codes with empty slots, some training galaxies, a truth near the prediction."""
    rng = np.random.default_rng(seed)
    a = np.maximum(rng.normal(0.2, 1.0, (n, F)), 0) * rng.uniform(0.3, 2.0, F)
    a[:5] = 0
    a[2:5, 3] = 1.0  # one feature alone
    order = np.argsort(-a, axis=1, kind="stable")[:, : k + runners_up]
    values = np.take_along_axis(a, order, axis=1).astype(np.float32)
    weight = rng.normal(0, 0.1, F) if weight is None else weight
    parts = {"ids": [f"g{i}" for i in range(n)], "indices": np.where(values > 0, order, -1), "values": values}
    parts |= {"k": k, "features": F, "weight": weight[None], "bias": [BIAS], "targets": ["oh"], "units": ["dex"]}
    parts["split"] = np.where(np.arange(n) % 2, "train", "validation")
    codes = SparseCodes.from_arrays(**parts)
    truth = codes.prediction() + rng.normal(0, 0.05, n)
    truth[7] = np.nan
    return SparseCodes.from_arrays(**parts, truth=truth)


@pytest.fixture(scope="module")
def found() -> tuple[SparseCodes, np.ndarray, dict]:
    codes = made_up()
    rows = codes.in_split("validation") | (np.arange(len(codes)) == 7)
    return codes, rows, ablation(codes, rows, draws=300)


def test_every_change_of_rmse_is_that_of_a_plain_loop(found):
    codes, rows, result = found
    rows = np.flatnonzero(rows & np.isfinite(codes.truth()))
    truth, before = codes.truth()[rows], rmse(codes.truth()[rows], codes.prediction()[rows])
    assert result["n"] == len(rows) and result["rmse"] == pytest.approx(before, abs=1e-12)
    weight, train = codes.weight[0], np.flatnonzero(codes.split == "train")
    kept = {row: [int(j) for j in codes.indices[row, :K] if j >= 0] for row in range(len(codes))}
    value = {
        row: {int(j): float(v) for j, v in zip(codes.indices[row], codes.values[row], strict=True)} for row in kept
    }
    assert {one["feature"] for one in result["features"]} == {j for row in rows for j in kept[row]}
    for one in result["features"]:
        f = one["feature"]
        for name, mode in (("delta", "ablate"), ("refill", "refill")):
            assert one[name] == pytest.approx(rmse(truth, predict(codes, off={f}, mode=mode)[rows]) - before, abs=1e-9)
        level = np.mean([weight[f] * value[row][f] for row in train if f in kept[row]])
        with_level = [
            codes.prediction()[row] + (level - weight[f] * value[row][f] if f in kept[row] else 0.0) for row in rows
        ]
        assert one["level"] == pytest.approx(rmse(truth, np.array(with_level)) - before, abs=1e-9)
        squares = []  # the mean over which of its own kept features a galaxy loses
        for row, y in zip(rows, truth, strict=True):
            off = [weight[j] * value[row][j] for j in kept[row]] if f in kept[row] else [0.0]
            squares.append(np.mean([(codes.prediction()[row] - term - y) ** 2 for term in off]))
        assert one["same_galaxies"] == pytest.approx(np.sqrt(np.mean(squares)) - before, abs=1e-9)
        assert one["fires"] == sum(f in kept[row] for row in rows)


def test_intervals_are_those_of_drawing_the_galaxies(found):
    codes, rows, result = found
    rows = np.flatnonzero(rows & np.isfinite(codes.truth()))
    truth, n = codes.truth()[rows], len(rows)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, n, n) for _ in range(result["resamples"])]
    one = result["features"][0]
    without, whole = predict(codes, off={one["feature"]})[rows], codes.prediction()[rows]
    drawn = [rmse(truth[d], without[d]) - rmse(truth[d], whole[d]) for d in draws]
    assert [one["delta_low"], one["delta_high"]] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=1e-7)


def test_what_drives_everything_and_what_does_nothing_are_told_apart():
    """Feature 0 carries the target, feature 1 has no weight, the others carry noise."""
    weight = np.full(F, 0.002)
    weight[:2] = 0.3, 0.0
    codes = made_up(400, weight=weight)
    result = ablation(codes, codes.in_split("validation"), draws=500)
    of = {one["feature"]: one for one in result["features"]}
    assert result["features"][0]["feature"] == 0  # by mean |contribution|
    assert of[0]["delta_low"] > 0 and of[0]["over_same_galaxies_low"] > 0 and of[0]["chance"] < 0.01
    assert of[0]["level_low"] > 0  # its strength says something
    assert of[1]["delta"] == 0 and of[1]["delta_low"] == of[1]["delta_high"] == 0
    assert of[1]["over_same_galaxies_high"] < 0 and of[1]["chance"] > 0.5


def test_with_one_feature_a_galaxy_a_random_one_is_the_feature_itself():
    """k = 1 and one feature for all: the random ablations of the same frequency have nothing to choose."""
    codes = made_up(60, k=1)
    indices = np.where(codes.indices >= 0, np.array([[4, 5, 6]]), -1)[:, : codes.indices.shape[1]]
    alone = SparseCodes.from_arrays(
        ids=codes.ids, indices=indices, values=codes.values, k=1, features=F, weight=codes.weight, bias=[BIAS],
        targets=["oh"], truth=codes.prediction() + 0.1,
    )  # fmt: skip
    result = ablation(alone, np.arange(60), draws=50)
    (one,) = result["features"]
    assert one["feature"] == 4
    assert one["same_frequency_low"] == pytest.approx(one["delta"], abs=1e-12) == one["same_frequency_high"]
    assert one["same_galaxies"] == pytest.approx(one["delta"], abs=1e-12)
    assert result["agreement"] is None


def test_random_ablations_are_drawn_from_the_galaxies(found):
    """Their mean is what leaving a random kept feature of a random galaxy out costs, for any frequency."""
    codes, rows, _ = found
    rows = np.flatnonzero(rows & np.isfinite(codes.truth()))
    result = ablation(codes, rows, draws=500)
    residual = (codes.prediction() - codes.truth())[rows]
    rng = np.random.default_rng(77)
    for one in result["features"][:4]:
        drawn = []
        for _ in range(400):  # by hand, with other random numbers
            without = residual.copy()
            fired = np.flatnonzero(codes.indices[rows, 0] >= 0)
            for i in rng.choice(fired, one["fires"], replace=False):
                index = codes.indices[rows[i], :K]
                slot = rng.choice(np.flatnonzero(index >= 0))
                without[i] -= codes.weight[0, index[slot]] * codes.values[rows[i], slot]
            drawn.append(np.sqrt(np.mean(without**2)) - result["rmse"])
        error = np.std(drawn) * np.sqrt(1 / 400 + 1 / 500)
        assert one["same_frequency"] == pytest.approx(np.mean(drawn), abs=4 * error)
        ends = [one["same_frequency_low"], one["same_frequency_high"]]
        assert ends == pytest.approx(np.percentile(drawn, [2.5, 97.5]), rel=0.2)


def test_the_same_seed_gives_the_same_and_too_few_truths_are_refused(found):
    codes, rows, result = found
    assert ablation(codes, rows, draws=300) == result
    assert ablation(codes, rows, draws=300, seed=1)["features"][0]["chance"] > 0
    with pytest.raises(SFNetError, match="2 of these galaxies have a true oh"):
        ablation(codes, np.array([7, 8, 10]))


def test_the_atlas_has_the_same_numbers_without_their_intervals(found):
    codes, rows, said = found
    short = lost_without(codes, np.flatnonzero(rows))
    for one in said["features"]:
        assert short[:, one["feature"]] == pytest.approx([one["delta"], one["same_galaxies"]], abs=1e-9)
