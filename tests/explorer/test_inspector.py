"""The picture equation adds up as it stands on the page, and what a catalogue holds stays text."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.explorer.shared.inspector import DIGITS, Inspector, equation
from sfnet_core.explorer.shared.quantities import MINUS
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State

NAN = float("nan")
HTML = "<img src=x onerror=alert(1)>"
activation = st.just(0.0) | st.floats(0, 30, width=32)
UNIT = Decimal(1).scaleb(-DIGITS)


def number(text: str) -> Decimal:
    assert re.fullmatch(rf"[+{MINUS}]?\d+\.\d{{{DIGITS}}}", text), text  # no ASCII hyphen, no exponent
    return Decimal(text.replace(MINUS, "-"))


@st.composite
def cases(draw):
    features, n = draw(st.integers(1, 7)), 2
    k = draw(st.integers(1, features))
    dense = draw(st.lists(st.lists(activation, min_size=features, max_size=features), min_size=n, max_size=n))
    weight = draw(
        st.lists(st.floats(-9, 9) | st.sampled_from([0.0, -1e-9, 0.00005]), min_size=features, max_size=features)
    )
    bias = draw(st.floats(-20, 20) | st.sampled_from([0.0, 8.69, 0.00005, -0.00005]))
    off = draw(st.frozensets(st.integers(0, features - 1)))
    return np.array(dense), weight, bias, k, draw(st.integers(0, features - k)), off


@settings(max_examples=120, deadline=None)
@given(case=cases(), mode=st.sampled_from(["ablate", "refill"]), row=st.integers(0, 1))
def test_the_displayed_decimals_add_up_exactly(gated, case, mode, row):
    *head, off = case
    scene = Scene(gated(*head))
    state = State(scene.codes.features, 2, k=scene.codes.k, off=off, mode=mode)
    shown = equation(scene, state, row)
    counted = [t for t in shown["terms"] if t["state"] != "off"]
    texts = [shown["bias"], *(t["text"] for t in counted)]
    assert sum(map(number, texts)) == number(shown["prediction"])
    exact = [head[2], *(t["contribution"] for t in counted)]
    for text, value in zip(texts, exact, strict=True):
        assert abs(number(text) - Decimal(value)) < UNIT
    assert abs(number(shown["prediction"]) - Decimal(float(scene.prediction(state)[row]))) <= UNIT / 2
    assert f"{float(scene.prediction(state)[row]):.{DIGITS}f}".replace("-", MINUS) == shown["prediction"]

    # the one line that is read out: the same numbers again, as a sum
    left, right = shown["sum"].split(" = ")
    assert right == f"{shown['prediction']} dex"
    pieces = left.split(" ")
    signs, values = pieces[1::2], pieces[2::2]
    assert set(signs) <= {"+", MINUS} and len(values) == len(counted)
    total = number(pieces[0]) + sum(number(v) * (1 if s == "+" else -1) for s, v in zip(signs, values, strict=True))
    assert total == number(right.split(" ")[0])


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_switched_off_terms_are_shown_and_not_counted(gated, case):
    *head, off = case
    scene = Scene(gated(*head))
    state = State(scene.codes.features, 2, k=scene.codes.k, off=off)
    for row in range(2):
        for term in equation(scene, state, row)["terms"]:
            assert (term["state"] == "off") == (term["feature"] in off)
            assert abs(number(term["text"]) - Decimal(term["contribution"])) < UNIT


# -- what it sends -------------------------------------------------------------------------------------------------

COLUMNS = {
    "name": np.array([HTML, "b"]),
    "plate": np.array([1237648704043942146, 2]),
    "z": np.array([0.0123456789, NAN]),
    HTML: np.array([1.0, 2.0]),
    "ra": np.array([150.25, NAN]),
    "dec": np.array([-2.5, 0.0]),
}


@pytest.fixture
def inspector(gated, context):
    """``inspector(**more)``: a view of the first of two galaxies, and its state; every feature has a label."""

    def build(**more) -> tuple[Inspector, State]:
        given = {"ids": [HTML, "../../etc/passwd"], "columns": COLUMNS, "truth": np.array([8.5, NAN]), **more}
        codes = gated([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]], [0.5, -0.25, 1], 8, 2, 1, **given)
        state = State(3, 2, galaxy=0, k=2)
        shared = context(codes, state)
        for feature in range(3):
            shared.labels.set("features", feature, label="<b>")
        view = Inspector(shared)
        view.draw(state.query)
        return view, state

    return build


def test_t10_identifiers_labels_and_columns_stay_the_text_they_are(inspector):
    view, _state = inspector()
    assert view.data["id"] == HTML
    assert [HTML, "1"] in view.data["catalogue"] and ["name", HTML] in view.data["catalogue"]
    assert [t["label"] for t in view.data["terms"]] == ["f1 · <b>", "f0 · <b>"]
    assert view.data["runners"] == [["f2 · <b>", "0.5000"]]
    assert json.loads(json.dumps({k: v for k, v in view.data.items() if k != "jpeg"})) == {
        k: v for k, v in view.data.items() if k != "jpeg"
    }  # plain data only; the browser makes text nodes of it


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
)
def test_t10_no_script_of_ours_makes_markup_from_data(word):
    from sfnet_core.explorer.shared.view import PAGES

    scripts = sorted(PAGES.rglob("*.js"))
    assert len(scripts) >= 40
    assert [script.name for script in scripts if word in script.read_text(encoding="utf-8")] == []


def test_t22_whole_numbers_of_the_catalogue_keep_every_digit(inspector):
    catalogue = dict(inspector()[0].data["catalogue"])
    assert catalogue["plate"] == "1237648704043942146" and catalogue["z"] == "0.012346"


def test_a_galaxy_without_truth_position_or_activations(inspector):
    view, state = inspector()
    state.change(galaxy=1)
    view.draw(state.query)
    assert view.data["terms"] == [] and view.data["sum"] == "8.0000 = 8.0000 dex" and view.data["links"] == []
    assert "true value" not in dict(view.data["facts"]) and dict(view.data["catalogue"])["z"] == "–"
    state.change(galaxy=-1)
    view.draw(state.query)
    assert view.data == {"shown": True, "id": "", "empty": view.empty} and "gallery" in view.empty


def test_only_observed_galaxies_link_to_the_sky(inspector):
    links = {name: url for name, url, _title in inspector()[0].data["links"]}
    assert (
        all(url.startswith("https://") and "150.25" in url and "-2.5" in url for url in links.values())
        and len(links) == 3
    )
    assert inspector(simulated=True)[0].data["links"] == []


def test_facts_say_what_the_toggles_changed(inspector):
    view, state = inspector()
    facts = dict(view.data["facts"])
    assert facts["prediction"] == "8.0000 dex" and facts["predicted − true"] == f"{MINUS}0.5000 dex"
    assert "change by toggles" not in facts
    state.change(off={1})
    view.draw(state.query)
    assert dict(view.data["facts"])["change by toggles"] == "+0.5000 dex"
    assert {t["feature"]: t["state"] for t in view.data["terms"]} == {0: "on", 1: "off"}
    state.change(mode="refill")
    view.draw(state.query)
    assert {t["feature"]: t["state"] for t in view.data["terms"]} == {0: "on", 1: "off", 2: "refill"}


# -- maps ----------------------------------------------------------------------------------------------------------


def test_a_map_sums_to_its_contribution(made_up, context):
    codes = made_up(6, features=12, map_shape=(3, 4))
    state = State(12, 6, galaxy=2, k=codes.k)
    shared = context(codes, state)
    scene, view = shared.scene, Inspector(shared)
    terms = scene.terms(state, 2)
    for choice in ("sum", *(str(t["feature"]) for t in terms)):
        state.change(map=choice)
        view.draw(state.query)
        cells = np.array(view.data["cells"])
        expected = sum(t["contribution"] for t in terms if choice in ("sum", str(t["feature"])))
        assert cells.shape == (3, 4) and cells.sum() == pytest.approx(expected, abs=1e-5)
    state.change(map="sum", off={terms[0]["feature"]})
    view.draw(state.query)
    assert np.sum(view.data["cells"]) == pytest.approx(sum(t["contribution"] for t in terms[1:]), abs=1e-5)
    state.change(map=str(terms[0]["feature"]))
    view.draw(state.query)
    assert not np.any(view.data["cells"]) and "off" in view.data["mapnote"]
    state.change(map="none")
    view.draw(state.query)
    assert view.data["cells"] == []


def test_codes_without_maps_say_so(inspector):
    view, _state = inspector()
    assert view.data["cells"] == [] and "no maps" in view.data["mapnote"]


def test_the_interval_stands_beside_the_networks_own_predictions_only(context):
    from sfnet_core.codes.table import SparseCodes

    codes = SparseCodes.open("data/sample-codes.parquet")
    state = State(codes.features, len(codes), ("train", "validation"), slots=codes.indices.shape[1], k=codes.k)
    view = Inspector(context(codes, state))

    def fact() -> list[list[str]]:
        view.draw(state.query)
        return [fact for fact in view.data["facts"] if "±" in fact[1]]

    state.change(galaxy=5)
    rows = codes.split == "validation"
    limits = np.quantile(codes.prediction()[~rows], [0.25, 0.5, 0.75])
    quarter = np.digitize(codes.prediction(), limits)
    rows &= quarter == quarter[5]  # those with about the same prediction
    errors = np.sort(np.abs(codes.prediction() - codes.truth())[rows])
    radius = errors[int(np.ceil((rows.sum() + 1) * 0.9)) - 1]
    assert f"{radius:.3f} dex" in fact()[0][1] and f"{codes.prediction()[5]:.4f}" in fact()[0][1]
    state.change(off={int(codes.indices[5, 0])})
    assert not fact()
    state.change(off=frozenset(), k=codes.k + 1)
    assert not fact()
