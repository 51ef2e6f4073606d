"""The page's arithmetic against plain numpy on the dense activations that the codes were made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.explorer.shared.quantities import format_value
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State, pack_rows

LEVELS = st.sampled_from([0.0, 0.0, 0.25, 0.5, 0.5, 1.0, 1.75])
NAN = float("nan")


@st.composite
def surveys(draw):
    """Dense activations and all that brute force needs; every activation is stored, so refill is exact."""
    n, features = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    dense = draw(st.lists(st.lists(LEVELS, min_size=features, max_size=features), min_size=n, max_size=n))
    k = draw(st.integers(1, features))
    return {
        "dense": np.array(dense),
        "weight": draw(st.lists(st.floats(-4, 4, width=16), min_size=features, max_size=features)),
        "bias": draw(st.floats(-2, 9, width=16)),
        "k": k,
        "truth": draw(st.lists(st.floats(7, 10, width=16) | st.just(NAN), min_size=n, max_size=n)),
        "split": draw(st.lists(st.sampled_from(["train", "validation", ""]), min_size=n, max_size=n)),
        "off": draw(st.frozensets(st.integers(0, features - 1))),
        "mode": draw(st.sampled_from(["ablate", "refill"])),
    }


def opened(gated, case) -> tuple[Scene, State]:
    r = case["dense"].shape[1] - case["k"]
    codes = gated(
        case["dense"], case["weight"], case["bias"], case["k"], r, truth=np.array(case["truth"]), split=case["split"]
    )
    scene = Scene(codes)
    return scene, State(codes.features, len(codes), scene.splits, k=case["k"], off=case["off"], mode=case["mode"])


def nearly(value: float):
    return pytest.approx(value, abs=1e-9, nan_ok=True)


@settings(max_examples=80, deadline=None)
@given(case=surveys(), split=st.sampled_from(["", "train", "validation"]))
def test_the_numbers_of_a_toggle(gated, plain_prediction, case, split):
    scene, state = opened(gated, case)
    head = case["dense"], case["weight"], case["bias"], case["k"]
    before, now = plain_prediction(*head, frozenset(), "ablate"), plain_prediction(*head, case["off"], case["mode"])
    assert scene.prediction(state) == nearly(now)
    assert scene.all_on(state) == nearly(before)

    view = np.array([not split or name == split for name in case["split"]])
    if split in scene.splits or not split:
        state.change(split=split)
    else:
        assert not view.any()
        view[:] = True
    assert scene.rows(state.split).tolist() == np.flatnonzero(view).tolist()
    truth = np.array(case["truth"])
    use = view & ~np.isnan(truth)
    found = scene.numbers(state)
    assert (found.n, found.in_view) == (use.sum(), view.sum())
    error, error_before, y = now[use] - truth[use], before[use] - truth[use], truth[use]
    assert found.rmse == nearly((sum(error**2) / len(error)) ** 0.5 if len(error) else NAN)
    assert found.rmse_all_on == nearly((sum(error_before**2) / len(error)) ** 0.5 if len(error) else NAN)
    spread = sum((y - y.mean()) ** 2) if len(y) else 0.0
    assert found.r2 == nearly(1 - sum(error**2) / spread if spread > 0 else NAN)
    assert found.mean_change == nearly(np.mean((now - before)[view]) if view.any() else NAN)
    assert scene.residual(state) == nearly(now - truth)

    other = "ablate" if case["mode"] == "refill" else "refill"
    state.change(mode=other)
    again = plain_prediction(*head, case["off"], other)
    assert scene.numbers(state).mean_change == nearly(np.mean((again - before)[view]) if view.any() else NAN)


@settings(max_examples=80, deadline=None)
@given(case=surveys(), toggles=st.lists(st.integers(0, 5), max_size=6))
def test_a_walk_of_toggles_is_each_time_the_plain_prediction(gated, plain_prediction, case, toggles):
    scene, state = opened(gated, case)
    head = case["dense"], case["weight"], case["bias"], case["k"]
    for feature in toggles:
        if feature < state._features:
            state.change(off=state.off ^ {feature}, mode=("refill", "ablate")[feature % 2])
            assert scene.prediction(state) == nearly(plain_prediction(*head, state.off, state.mode))


@settings(max_examples=80, deadline=None)
@given(case=surveys(), row=st.integers(0, 6))
def test_terms_are_the_code_of_the_galaxy(gated, plain_prediction, case, row):
    scene, state = opened(gated, case)
    row %= scene.n
    terms = scene.terms(state, row)
    off, k, mode, dense = case["off"], case["k"], case["mode"], case["dense"][row]
    ranked = [j for j in sorted(range(len(dense)), key=lambda j: (-dense[j], j)) if dense[j] > 0]
    kept, runners = ranked[:k], ranked[k:]
    filled = [j for j in runners if j not in off][: sum(j in off for j in kept)] if mode == "refill" else []
    expected = {j: "off" if j in off else "on" for j in kept} | dict.fromkeys(filled, "refill")
    assert {t["feature"]: t["state"] for t in terms} == expected
    for term in terms:
        assert term["activation"] == dense[term["feature"]] and term["weight"] == case["weight"][term["feature"]]
        assert term["contribution"] == term["weight"] * term["activation"]
        assert ranked[term["slot"]] == term["feature"]
    sizes = [abs(t["contribution"]) for t in terms]
    assert sizes == sorted(sizes, reverse=True)
    counted = sum(t["contribution"] for t in terms if t["state"] != "off")
    plain = plain_prediction(case["dense"], case["weight"], case["bias"], k, off, mode)
    assert case["bias"] + counted == nearly(plain[row])
    assert scene.runners_up(state, row) == [(j, dense[j]) for j in runners]


# -- the gallery ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue(gated) -> Scene:
    dense = np.array([[1, 0, 0.5], [0, 2, 0], [0.5, 1, 0], [0, 0, 0], [1, 0, 0]])
    columns = {
        "z": np.array([0.2, NAN, 0.1, 0.2, 0.3]),
        "plate": np.array([3, 1, 2, 1, 1]),
        "kind": np.array(["a", "b", "c", "d", "e"]),
        "ra": np.arange(5.0),
        "dec": -np.arange(5.0),
    }
    return Scene(gated(dense, [1, -1, 2], 8, 2, 1, truth=np.array([8.0, 9, NAN, 7, 8]), columns=columns))


def order(scene: Scene, rows=range(5), **choices) -> list[int]:
    state = State(3, 5, k=scene.codes.k, **choices)
    if not list(rows):
        return scene.listed(state).tolist()
    return scene.listed(replace(state.query, selection=pack_rows(rows))).tolist()


def test_the_gallery_is_sorted_with_the_unknown_last_and_ties_in_the_tables_order(catalogue):
    assert order(catalogue, sort="z", descending=False) == [2, 0, 3, 4, 1]
    assert order(catalogue, sort="z", descending=True) == [4, 0, 3, 2, 1]
    assert order(catalogue, sort="plate", descending=False) == [1, 3, 4, 2, 0]
    assert order(catalogue, sort="plate", descending=True) == [0, 2, 1, 3, 4]
    assert order(catalogue, sort="truth", descending=True) == [1, 0, 4, 3, 2]
    assert order(catalogue, [0, 1, 3], sort="plate", descending=False) == [1, 3, 0]
    assert order(catalogue, sort="kind") == order(catalogue, sort="") == [0, 1, 2, 3, 4]
    assert order(catalogue, [], sort="z") == order(catalogue, sort="z")  # of no selection: the galaxies in view


def test_an_order_follows_the_choices_it_depends_on(catalogue):
    assert order(catalogue, sort="activation", feature=0) == [0, 4, 2, 1, 3]
    assert order(catalogue, sort="activation", feature=1) == [1, 2, 0, 3, 4]
    assert order(catalogue, sort="activation", feature=-1) == [0, 1, 2, 3, 4]
    # predictions 10, 6, 7.5, 8, 9; without feature 1: 10, 8, 8.5, 8, 9
    assert order(catalogue, sort="prediction") == [0, 4, 3, 2, 1]
    assert order(catalogue, sort="prediction", off=frozenset({1})) == [0, 4, 2, 1, 3]
    assert order(catalogue, sort="prediction") == [0, 4, 3, 2, 1]


def test_a_galaxy_is_found_by_its_identifier_or_a_part_of_it(gated):
    scene = Scene(gated(np.ones((4, 1)), [1], 0, 1, 0, ids=["12", "112", "2112", "x"]))
    assert [scene.find(part) for part in ("112", " 12 ", "2", "11", "x", "y", "", "   ")] == [
        1, 0, 2, 1, 3, None, None, None,
    ]  # fmt: skip
    assert scene.row_of("2") is None and scene.row_of("2112") == 2


# -- what there is to plot -----------------------------------------------------------------------------------------

FLUXES = ("nii_6584_flux", "h_alpha_flux", "oiii_5007_flux", "h_beta_flux")
ALWAYS = {"activation_prediction"}
BY_COLUMNS = [
    ({}, False, set()),
    ({}, True, {"residual_truth", "residual_margin"}),
    ({"z"}, False, set()),
    ({"z"}, True, {"residual_truth", "residual_margin", "residual_z"}),
    ({"lgm_tot_p50"}, True, {"residual_truth", "residual_margin", "mass", "residual_mass"}),
    ({"lgm_tot_p50"}, False, set()),
    ({"ra", "dec"}, False, {"sky"}),
    ({"ra"}, False, set()),
    (set(FLUXES), False, {"bpt"}),
    (set(FLUXES[:3]), False, set()),
]


@pytest.mark.parametrize(("columns", "truth", "plots"), BY_COLUMNS, ids=range(len(BY_COLUMNS)))
def test_only_plots_that_the_table_can_fill_are_offered(gated, columns, truth, plots):
    more = {"truth": np.array([8.0, NAN])} if truth else {}
    scene = Scene(gated([[1.0], [2.0]], [1], 8, 1, 0, columns={name: np.ones(2) for name in columns}, **more))
    assert set(scene.plots) == plots | ALWAYS
    state = State(1, 2, feature=0)
    for plot in scene.plots.values():
        assert scene.values(plot.x, state).shape == scene.values(plot.y, state).shape == (2,)


def test_a_column_of_text_is_no_quantity_and_truth_that_is_all_unknown_no_truth(gated):
    columns = {"z": np.array(["0.1", "0.2"]), "lgm_tot_p50": np.ones(2)}
    scene = Scene(gated([[1.0], [2.0]], [1], 8, 1, 0, columns=columns, truth=np.array([NAN, NAN])))
    assert "z" not in scene.quantities and not {"truth", "residual"} & set(scene.quantities)
    assert set(scene.plots) == ALWAYS


def test_line_ratios_are_unknown_where_a_flux_is_not_positive(gated):
    top, bottom = np.array([10.0, 0, -1, 5, NAN]), np.array([1.0, 1, 1, 0, 1])
    columns = dict(zip(FLUXES, (top, bottom, bottom, top), strict=True))
    scene = Scene(gated(np.ones((5, 1)), [1], 8, 1, 0, columns=columns))
    state = State(1, 5)
    assert scene.values("n2_ha", state).tolist() == pytest.approx([1, NAN, NAN, NAN, NAN], nan_ok=True)
    assert scene.values("o3_hb", state).tolist() == pytest.approx([-1, NAN, NAN, NAN, NAN], nan_ok=True)


def test_every_axis_says_its_unit(made_up):
    scene = Scene(made_up(20, features=8))
    assert scene.quantities["truth"].axis == "true 12+log(O/H) [dex]"
    assert scene.quantities["lgm_tot_p50"].axis == "log stellar mass [M☉]"
    assert scene.quantities["margin"].axis == "margin of the gate"


# -- small things --------------------------------------------------------------------------------------------------


def test_the_strongest_feature_comes_first(gated):
    dense = np.array([[1, 0, 3], [1, 0, 0], [1, 0, 0]])
    scene = Scene(gated(dense, [-2, 9, 1], 0, 2, 0, split=["train", "train", "validation"]))
    assert scene.default_feature("", 0) == 0  # mean |contribution| 2; the third feature has 1, the second never fires
    assert scene.features("", 0)["feature"].tolist() == [0, 2]
    assert scene.features("validation", 0)["feature"].tolist() == [0]
    assert scene.activation(2).tolist() == [3, 0, 0] and scene.activation(-1).tolist() == [0, 0, 0]
    assert Scene(gated(np.zeros((2, 3)), [1, 1, 1], 0, 2, 0)).default_feature("", 0) == -1


def test_the_memory_is_bounded(made_up):
    scene = Scene(made_up(50, features=64))
    state = State(64, 50, scene.splits, sort="prediction", k=scene.codes.k)
    for feature in range(64):
        state.change(off=frozenset({feature}), feature=feature)
        scene.numbers(state), scene.activation(feature), scene.listed(state)
    assert sum(map(len, scene.memory.values())) < 40


def test_values_for_people():
    assert format_value(8.123456, "dex") == "8.1235 dex"
    assert format_value(3.0) == "3" and format_value(NAN, "dex") == "–" and format_value(float("-inf")) == "–"
