"""The page's numbers for very many galaxies (made small here) against the same for few."""

from __future__ import annotations

import numpy as np
import pytest

from sfnet_core.explorer.explore.k_slider import KSlider
from sfnet_core.explorer.shared import scene as scene_module
from sfnet_core.explorer.shared.scene import Scene, subsample
from sfnet_core.explorer.shared.state import State

NAN = float("nan")


@pytest.fixture
def codes(made_up):
    codes = made_up(900, features=20, k=3, runners_up=3)
    codes._flat["target_oh_p50"] = np.where(np.arange(900) % 11 == 0, NAN, codes.truth())
    return codes


@pytest.mark.parametrize("choices", [{}, {"split": "train"}, {"filter": "z > 0.05"}, {"split": "validation"}], ids=str)
@pytest.mark.parametrize("mode", ["ablate", "refill"])
def test_the_numbers_do_not_depend_on_how_many_are_many(codes, choices, mode, monkeypatch):
    few = Scene(codes)
    monkeypatch.setattr(scene_module, "MANY", 50)
    many = Scene(codes)
    features = few.features("", 0)["feature"].tolist()
    for off in ((), features[:1], features[:3], features[1::2], features):
        state = State(20, 900, few.splits, slots=6, off=frozenset(off), mode=mode, k=3, **choices)
        monkeypatch.setattr(scene_module, "MANY", 10**6)
        one = few.numbers(state)
        monkeypatch.setattr(scene_module, "MANY", 50)
        assert vars(many.numbers(state)) == pytest.approx(vars(one), rel=1e-9, abs=1e-12, nan_ok=True)
        truth, now = codes.truth()[few.view(state)], few.prediction(state)[few.view(state)]
        assert one.rmse == pytest.approx(np.sqrt(np.nanmean((now - truth) ** 2)), rel=1e-12)
        rows = many.drawn(state)
        assert np.array_equal(many.drawn_values("prediction", state), few.prediction(state)[rows])
        state.change(feature=int(features[0]))
        for key in ("prediction", "residual", "activation", "truth", "z", "margin"):
            some = np.array([3, 700, 44])
            assert np.array_equal(Scene(codes).at(key, state, some), few.values(key, state)[some], equal_nan=True), key
            assert np.array_equal(many.drawn_values(key, state), few.values(key, state)[rows], equal_nan=True), key
        assert many.prediction_of(state, 17) == few.prediction(state)[17]


def test_a_toggle_over_very_many_goes_through_none_of_them(codes, monkeypatch):
    monkeypatch.setattr(scene_module, "MANY", 50)
    scene = Scene(codes)
    feature = scene.default_feature("", 0)
    state = State(20, 900, scene.splits, slots=6, k=3)
    scene.numbers(state)
    monkeypatch.setattr(Scene, "prediction", lambda *_a, **_k: pytest.fail("all predictions were computed"))
    state.change(off=frozenset({feature}))
    assert scene.numbers(state).rmse > scene.numbers(state).rmse_all_on
    scene.drawn_values("prediction", state)
    scene.rmse_by_k(state)


def test_what_is_drawn_of_many_is_the_same_each_time_and_spread_evenly(codes, monkeypatch):
    monkeypatch.setattr(scene_module, "MANY", 300)
    rows = Scene(codes).drawn(State(20, 900))
    assert len(rows) == 300 == len(set(rows.tolist())) and (np.diff(rows) > 0).all()
    assert np.array_equal(rows, Scene(codes).drawn(State(20, 900)))
    assert abs(rows.mean() - 449.5) < 45  # 3 standard deviations of such a mean
    monkeypatch.setattr(scene_module, "MANY", 900)
    assert np.array_equal(Scene(codes).drawn(State(20, 900)), np.arange(900))
    assert subsample(900) == slice(None)


def test_the_error_by_k_of_many_is_near_that_of_all(codes, monkeypatch):
    state = State(20, 900, slots=6, k=3)
    whole = Scene(codes).rmse_by_k(state)
    truth, known = codes.truth(), np.isfinite(codes.truth())
    assert whole[2] == pytest.approx(np.sqrt(np.mean((codes.prediction() - truth)[known] ** 2)), rel=1e-12)
    monkeypatch.setattr(scene_module, "MANY", 450)
    assert Scene(codes).rmse_by_k(state) == pytest.approx(whole, rel=0.15)


@pytest.fixture
def slider(codes, context):
    def build() -> KSlider:
        state = State(20, 900, set(codes.split), slots=6, k=3)
        view = KSlider(context(codes, state))
        view.draw(state.query)
        return view

    return build


def test_the_curve_of_a_sample_says_so(slider, monkeypatch):
    gate = slider()
    assert "drawn at random" not in gate.data["note"] and "trained at k = 3" in gate.data["note"]
    monkeypatch.setattr(scene_module, "MANY", 300)
    gate = slider()
    assert gate.data["note"].endswith("The curve is of 300 of the 900 galaxies, drawn at random.")


@pytest.mark.parametrize(("multi_k", "said", "warned"), [
    (None, "trained at k = 3", True), (0, "trained at k = 3", True), ("6", "trained at k = 3", True),
    (2, "trained at k = 3", True), (5, "trained for k = 1 to 5", True), (6, "trained for k = 1 to 6", False),
    (9, "trained for k = 1 to 9", False),
])  # fmt: skip
def test_the_gate_says_which_k_the_weights_were_trained_for(codes, slider, monkeypatch, multi_k, said, warned):
    monkeypatch.setitem(codes.provenance, "multi_k", multi_k)
    gate = slider()
    assert gate.data["trained"] == said and gate.data["most"] == 6
    assert gate.data["note"] == (f"The weights were {said}: at another k they are not at their best." if warned else "")


def test_an_order_kept_beside_the_codes_is_the_same(codes, monkeypatch):
    monkeypatch.setattr("sfnet_core.explorer.shared.scene.KEPT_ORDER", 10)
    kept: dict[str, np.ndarray] = {}
    monkeypatch.setattr(type(codes), "derived", lambda self, name, make: kept.setdefault(name, make()))
    for _ in range(2):
        scene = Scene(codes)
        for k in (3, 2):
            for sort in ("z", "margin", "truth", "prediction"):
                for split in ("", "train", "validation"):
                    for down in (True, False):
                        state = State(20, 900, scene.splits, slots=6, k=k, split=split, sort=sort, descending=down)
                        rows = scene.rows(split)
                        values = scene.values(sort, state)[rows]
                        plain = rows[np.argsort(-values if down else values, kind="stable")]
                        assert scene.listed(state).tolist() == plain.tolist()
    assert len([name for name in kept if name.startswith("order-")]) == 2 * 3 * 3 * 2
