"""A single feature silenced, for one galaxy and for all: against the whole prediction made anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.interpret import predict
from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.ablation import everywhere, one_galaxy
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State
from sfnet_core.reports.faithful.ablation import ablation


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5), r=st.integers(0, 3), split=st.sampled_from(["", "validation"]))
def test_as_predicting_anew_has_it(gated, seed, k, r, split):
    rng = np.random.default_rng(seed)
    dense = np.maximum(rng.normal(0, 1, (30, 8)), 0) * (rng.random((30, 8)) < 0.6)
    truth = np.where(rng.random(30) < 0.2, np.nan, rng.normal(8.5, 0.3, 30))
    splits = np.where(np.arange(30) % 3, "validation", "train")
    codes = gated(dense, rng.normal(0, 1, 8), 8.5, k=k, r=r, truth=truth, split=splits)
    scene, state = Scene(codes), State(8, 30, scene_splits(codes), k=k)
    state.change(split=split)
    view = np.flatnonzero(codes.split == split) if split else np.arange(30)
    known = view[np.isfinite(truth[view])]
    before = predict(codes)
    without = {j: predict(codes, off={j}) for j in range(8)}
    for feature in range(8):
        found = everywhere(scene, state, feature)
        fires = (codes.indices[view, :k] == feature).any(axis=1).sum()
        assert (found is None) == (fires == 0)
        for mode in ("ablate", "refill") if found else ():
            now = predict(codes, off={feature}, mode=mode)
            rmse = [np.sqrt(np.mean((p[known] - truth[known]) ** 2)) for p in (now, before)]
            assert found[mode].n == len(known) and found[mode].fires == fires
            assert found[mode].rmse == pytest.approx(rmse[0] - rmse[1], abs=1e-9)
            assert found[mode].bias == pytest.approx(np.mean(now[known] - before[known]), abs=1e-9)
        if found:
            square, bias = (before[known] - truth[known]) ** 2, np.zeros(len(known))
            for i, row in enumerate(known):
                kept = [j for j in codes.indices[row, :k] if j >= 0]
                if feature in kept:
                    square[i] = np.mean([(without[j][row] - truth[row]) ** 2 for j in kept])
                    bias[i] = np.mean([without[j][row] - before[row] for j in kept])
            rmse = [np.sqrt(np.mean(part)) for part in (square, (before[known] - truth[known]) ** 2)]
            assert found["chance"].rmse == pytest.approx(rmse[0] - rmse[1], abs=1e-9)
            assert found["chance"].bias == pytest.approx(np.mean(bias), abs=1e-9)
    for row in range(30):
        each = one_galaxy(scene, state, row)
        assert sorted(f for f, *_ in each["rows"]) == sorted(f for f in codes.indices[row, :k] if f >= 0)
        for feature, ablate, refill in each["rows"]:
            assert ablate == pytest.approx(predict(codes, off={feature})[row] - before[row], abs=1e-9)
            assert refill == pytest.approx(predict(codes, off={feature}, mode="refill")[row] - before[row], abs=1e-9)


def scene_splits(codes) -> set[str]:
    return set(codes.split.tolist())


def test_without_true_values_there_is_no_error_but_no_crash(gated):
    codes = gated(np.eye(3) + 0.5, np.ones(3), 0.0, k=2, r=1)
    found = everywhere(Scene(codes), State(3, 3, k=2), 0)
    assert found["ablate"].n == 0 and np.isnan(found["ablate"].rmse) and np.isnan(found["ablate"].bias)


def test_the_inspector_says_it_in_the_targets_unit(made_up):
    page = Explorer(made_up(200, features=16))
    data = page.inspector.data["without"]
    row, feature = page.state.galaxy, page.state.feature
    codes = page.codes
    before = predict(codes)
    for name, ablate, refill in data["rows"]:
        one = int(name[1:])
        for text, mode in ((ablate, "ablate"), (refill, "refill")):
            change = predict(codes, off={one}, mode=mode)[row] - before[row]
            assert text == f"{change:+.4f}".replace("-", "\N{MINUS SIGN}")
    rows = codes.split == "validation"
    now = predict(codes, off={feature}, mode="refill")[rows]
    assert data["all"][1][0] == "refill" and data["where"].startswith(
        f"f{feature} off in all {rows.sum()}, validation ("
    )
    alone = ablation(codes, rows, draws=1)["features"]
    chance = next(found["same_galaxies"] for found in alone if found["feature"] == feature)
    assert data["all"][2][:2] == ["one at random", f"{chance:+.4f}".replace("-", "\N{MINUS SIGN}")]
    assert data["all"][1][2] == f"{np.mean(now - before[rows]):+.4f}".replace("-", "\N{MINUS SIGN}")
