"""Contribution maps less the empty sky: what they sum to is what the sentence says and the page shows elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.codes.empty_sky import Sky
from sfnet_core.explorer.shared.contribution_map import map_of, no_sky
from sfnet_core.explorer.shared.inspector import Inspector, equation
from sfnet_core.explorer.shared.quantities import MINUS
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State

SAID = re.compile(rf"^(.+): the light gives ([+{MINUS}]\d+\.\d{{4}}) dex, an empty sky ([+{MINUS}]?\d+\.\d{{4}}) dex$")
F, K, R = 6, 3, 3
activation = st.integers(0, 60).map(lambda halves: halves / 2)  # equal ones too: the lowest index wins
SHAPE = (2, 3)


def number(text: str) -> Decimal:
    return Decimal(text.replace(MINUS, "-"))


def built(gated, dense, weight, bias, sky):
    """Codes whose maps are uneven, average to the activations, and stand beside those of an empty sky (F,)."""
    tilt = 1 + np.arange(6).reshape(SHAPE) / 10
    tilt /= tilt.mean()
    dense = np.asarray(dense, dtype=np.float32)
    order = np.argsort(-dense, axis=1, kind="stable")[:, :K]
    maps = np.take_along_axis(dense, order, axis=1)[:, :, None, None] * tilt
    codes = gated(dense, weight, bias, K, R, maps=maps.astype(np.float32))
    blank = np.asarray(sky, dtype=np.float32)[:, None, None] * tilt[::-1, ::-1]
    codes.header = replace(codes.header, sky=Sky((4, 3, 3), blank.astype(np.float32)))
    return codes


@settings(max_examples=60, deadline=None)
@given(
    dense=st.lists(st.lists(activation, min_size=F, max_size=F), min_size=2, max_size=2),
    sky=st.lists(activation, min_size=F, max_size=F),
    weight=st.lists(st.floats(-9, 9), min_size=F, max_size=F),
    bias=st.floats(-20, 20),
    off=st.frozensets(st.integers(0, F - 1), max_size=3),
    mode=st.sampled_from(["ablate", "refill"]),
)
def test_the_light_and_the_empty_sky_make_up_what_the_page_shows(
    gated, plain_prediction, dense, sky, weight, bias, off, mode
):
    scene = Scene(built(gated, dense, weight, bias, sky))
    state = State(F, 2, k=K, off=off, mode=mode)
    terms = equation(scene, state, 1)["terms"]
    found = map_of(scene, state, 1, terms, lambda f: f"f{f}")
    whole = all(term["slot"] < K for term in terms if term["state"] != "off")
    name, light, empty = SAID.match(found["mapnote"]).groups()
    scale = max(1.0, *np.abs(dense).ravel(), *np.abs(sky)) * max(1.0, *np.abs(weight)) * 1e-6
    assert float(np.sum(found["cells"])) == pytest.approx(float(number(light)), abs=1.01e-4 + 40 * scale)
    if whole:  # prediction less that of the empty sky, by an independent gate
        blank = plain_prediction(np.array([sky]), weight, bias, K, off, mode)[0]
        now = plain_prediction(np.array(dense), weight, bias, K, off, mode)[1]
        assert name == "all contributions"
        assert float(number(empty)) == pytest.approx(blank, abs=1.01e-4 + 40 * scale)
        assert number(empty) + number(light) == number(f"{scene.prediction_of(state, 1):.4f}")
        assert float(np.sum(found["cells"])) == pytest.approx(now - blank, abs=80 * scale)
    for term in terms:
        if term["state"] != "on":
            continue
        state.change(map=str(term["feature"]))
        found = map_of(scene, state, 1, terms, lambda f: f"f{f}")
        name, light, empty = SAID.match(found["mapnote"]).groups()
        given_by_sky = term["weight"] * float(np.float32(sky[term["feature"]]))
        assert name == f"f{term['feature']}"
        assert float(number(empty)) == pytest.approx(given_by_sky, abs=1.01e-4 + 40 * scale)
        assert float(number(empty) + number(light)) == pytest.approx(term["contribution"], abs=1e-4 + 40 * scale)
        assert float(np.sum(found["cells"])) == pytest.approx(term["contribution"] - given_by_sky, abs=80 * scale)


@pytest.mark.parametrize("k", range(1, F + 1))
def test_at_another_k_the_empty_sky_passes_the_same_gate(gated, plain_prediction, k):
    rng = np.random.default_rng(k)
    dense, sky, weight = rng.uniform(0.1, 3, (2, F)), rng.uniform(0, 3, F), rng.normal(size=F)
    scene = Scene(built(gated, dense, weight, 8.0, sky).at_k(k))
    state = State(F, 2, k=k)
    terms = scene.terms(state, 0)
    found = map_of(scene, state, 0, terms, str)
    name, light, empty = SAID.match(found["mapnote"]).groups()
    if k <= K:
        blank = plain_prediction(np.array([sky]), weight, 8.0, k, set(), "ablate")[0]
        assert name == "all contributions" and float(number(empty)) == pytest.approx(blank, abs=1.01e-4)
        assert float(number(light)) == pytest.approx(scene.prediction_of(state, 0) - blank, abs=1.01e-4)
    else:  # the later features have no map, so only what is mapped counts, on both sides
        mapped = [t for t in terms if t["slot"] < K]
        given_by_sky = sum(t["weight"] * sky[t["feature"]] for t in mapped)
        assert name.startswith(f"{K} of {k} contributions")
        assert float(number(empty)) == pytest.approx(given_by_sky, abs=1.01e-4)
        light_of = sum(t["contribution"] for t in mapped) - given_by_sky
        assert float(number(light)) == pytest.approx(light_of, abs=1.01e-4)
    assert np.sum(found["cells"]) == pytest.approx(float(number(light)), abs=1.01e-4)


@pytest.fixture
def shown(context):
    def show(codes, **choices):
        state = State(F, 2, k=K, galaxy=1, **choices)
        view = Inspector(context(codes, state))
        view.draw(state.query)
        return view, state

    return show


def test_the_control_is_a_choice_like_the_others(gated, shown):
    codes = built(gated, np.arange(1.0, 13).reshape(2, F), np.linspace(-0.2, 0.3, F), 8.0, [1.0, 0, 2, 0, 0.5, 3])
    view, state = shown(codes)
    assert view.data["sky"] == "on" and "an empty sky" in view.data["mapnote"]
    less = np.array(view.data["cells"])
    view._receive(view, {"do": "sky", "less": False}, [])
    view.draw(state.query)
    assert state.sky is False and view.data["sky"] == "off"
    assert view.data["mapnote"].startswith("all contributions: +") and "sky" not in view.data["mapnote"]
    plain = np.array(view.data["cells"])
    terms = view.data["terms"]
    assert plain.sum() == pytest.approx(sum(t["contribution"] for t in terms), abs=1e-5)
    assert np.abs(plain - less).max() > 1e-3
    defaults = State(F, 2, k=K).values()
    query = state.to_url(codes.ids, defaults)
    assert "sky=0" in query
    choices, troubles = State(F, 2).from_url(query, lambda name: 1)
    assert choices["sky"] is False and not troubles
    assert State(F, 2).from_url("sky=maybe", lambda name: 1)[1]
    state.undo()
    assert state.sky is True


def test_codes_without_it_say_so_and_show_the_plain_map(gated, shown):
    codes = built(gated, np.arange(1.0, 13).reshape(2, F), np.linspace(-0.2, 0.3, F), 8.0, np.zeros(F))
    plain = shown(codes, sky=False)[0].data
    codes.header = replace(codes.header, sky=None)
    data = shown(codes)[0].data
    assert data["sky"] == "" and "sfnet infer" in data["skywhy"]
    assert data["cells"] == plain["cells"] and data["mapnote"] == plain["mapnote"]
    assert shown(codes, map="none")[0].data["cells"] == []


def test_why_there_is_no_sky_to_take_off(gated):
    rng = np.random.default_rng(0)
    dense, weight = rng.uniform(0.1, 3, (3, F)), rng.normal(size=F)
    codes = gated(dense, weight, 8.0, K, R)
    assert no_sky(codes) == "These codes do not hold the map of an empty sky; sfnet infer of this version writes it."
    codes.provenance = {"consensus": {"trainings": ["a", "b"]}}
    assert "consensus" in no_sky(codes) and "sfnet infer" not in no_sky(codes)  # which could not write it
    assert no_sky(built(gated, dense, weight, 8.0, rng.uniform(0, 3, F))) == ""
