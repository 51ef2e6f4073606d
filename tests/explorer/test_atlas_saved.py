"""The atlas saved as one HTML file: nothing in it can act, its numbers are numpy's, and it is whole or not there."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfnet_core.analysis import mean_maps as looking
from sfnet_core.analysis.activation_index import ActivationIndex
from sfnet_core.analysis.coefficients import ResampledCoefficients, coefficients
from sfnet_core.analysis.evaluation import evaluate
from sfnet_core.analysis.feature_statistics import FeatureStatistics
from sfnet_core.annotations.labels import LabelBook
from sfnet_core.codes.empty_sky import Sky
from sfnet_core.codes.novelty import COLUMNS, why_unlike
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.explorer.atlas import saved_data
from sfnet_core.explorer.atlas.page import Atlas
from sfnet_core.explorer.atlas.saved import Choices, as_json, save_page, write_page
from sfnet_core.explorer.atlas.sending import PART, Saving, file_name
from sfnet_core.figures.plot_data import Ranks
from sfnet_core.stats.correlation import partial_correlation
from sfnet_core.utils.errors import SFNetError

N, K, R, F = 300, 3, 2, 14
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\u2028\u2029 & &lt; \\",
    "<img src=x onerror=alert(1)>",
    "]]></style><svg onload=alert(1)>",
]


class Elements(html.parser.HTMLParser):
    """What a browser would build: elements with their attributes, comments, and the text of scripts and styles."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.comments: list[str] = []
        self.texts: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        self._inside = True

    def handle_endtag(self, tag):
        self._inside = False

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        if self._inside:
            self.texts[-1] += data


def read(text: str) -> dict:
    """The data blocks of a page by name."""
    page = Elements(text)
    blocks = zip(page.elements, page.texts, strict=True)
    return {
        attrs["id"].removeprefix("sf-"): json.loads(words)
        for (tag, attrs), words in blocks
        if tag == "script" and attrs.get("type") == "application/json"
    }


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[SparseCodes, Dataset]:
    """Codes in a file, with maps, cutouts, a full catalogue, and identifiers, columns and labels that would act."""
    folder = tmp_path_factory.mktemp("saved")
    rng = np.random.default_rng(8)
    ids = np.array([*HOSTILE, *(f"g{i}" for i in range(N - len(HOSTILE)))])
    mass, sfr, z = rng.normal(10, 0.6, N), rng.normal(0, 0.5, N), rng.uniform(0.02, 0.2, N)
    oh = 8.7 + 0.2 * (mass - 10) + rng.normal(0, 0.05, N)
    oh[7:11] = np.nan
    mass[20:24] = -9999
    columns = {"lgm_tot_p50": mass, "sfr_tot_p50": sfr, "z": z, "</script>x": rng.normal(size=N)}
    for name in ("nii_6584_flux", "h_alpha_flux", "oiii_5007_flux", "h_beta_flux"):
        columns[name] = 10 ** rng.normal(1, 0.3, N)
    cutouts = rng.integers(0, 255, (N, 40, 40, 3), dtype=np.uint8)
    pictured = slice(len(HOSTILE), None)  # a dataset takes no identifier that could be a path
    dataset = Dataset.create(folder / "dataset", ids[pictured], cutouts[pictured], {"z": z[pictured]}, simulated=True)
    dense = np.maximum(rng.normal(0.3, 1, (N, F)) + np.outer(np.clip(mass, 8, 12) - 10, np.linspace(-1, 1, F)), 0)
    dense[:, -2:] = 0
    dense[: len(HOSTILE), 0] = 6 + np.arange(len(HOSTILE))  # they are examples of feature 0
    order = np.argsort(-dense, axis=1, kind="stable")[:, : K + R]
    values = np.take_along_axis(dense, order, axis=1).astype(np.float32)
    share = rng.uniform(0.5, 1.5, (N, K, 2, 2))
    maps = (share / share.mean(axis=(2, 3), keepdims=True) * values[:, :K, None, None]).astype(np.float32)
    unlike = np.where(np.arange(N) % 9 == 2, 1.5, 0.5)
    unlike = dict(zip(COLUMNS, (unlike, unlike, np.ones(N), np.zeros(N, int)), strict=True))
    codes = SparseCodes.from_arrays(
        ids=ids, indices=np.where(values > 0, order, -1), values=values, k=K, features=F, unlike=unlike,
        sky=Sky((4, 3, 3), rng.uniform(0, 1, (F, 2, 2)).astype(np.float32)),
        weight=rng.normal(0, 0.1, (1, F)), bias=[8.7], targets=["oh_p50"], units=["dex"],
        split=np.where(np.arange(N) % 2, "train", "validation"), truth=oh, columns=columns, maps=maps, simulated=True,
        provenance={"dataset_fingerprint": dataset.fingerprint, "crop": 40, "dataset": HOSTILE[0]},
    )  # fmt: skip
    codes.save(folder / "codes.parquet")
    codes = SparseCodes.open(folder / "codes.parquet")
    book = LabelBook.open(codes)
    book.set_feature(0, label=HOSTILE[0], note=HOSTILE[3], star=True)
    book.add("features", "blue </script>", [0])
    book.set_galaxy(HOSTILE[1], label="</script>", note="odd")
    return codes, dataset


def page_of(codes: SparseCodes, dataset: Dataset | None = None, **how) -> str:
    handle = io.StringIO()
    choices = Choices(**how.pop("choices", {}))
    write_page(codes, handle, dataset, choices=choices, **{"date": "2026-11-24", **how})
    return handle.getvalue()


@pytest.fixture(scope="module")
def text(made) -> str:
    return page_of(*made, choices={"split": ""}, title=HOSTILE[1])


@pytest.fixture(scope="module")
def blocks(text) -> dict:
    return read(text)


def dense_of(codes: SparseCodes, rows=slice(None)) -> np.ndarray:
    """(n, F) gated activations, entry by entry."""
    out = np.zeros((len(codes), codes.features))
    for row in range(len(codes)):
        for slot in range(codes.k):
            if codes.indices[row, slot] >= 0:
                out[row, codes.indices[row, slot]] = codes.values[row, slot]
    return out[rows]


# -- nothing acts --------------------------------------------------------------------------------------------------


def test_t10_hostile_texts_are_data_and_nothing_else(made, text, blocks):
    page = Elements(text)
    tags = [tag for tag, _ in page.elements]
    assert not page.comments
    assert set(tags) == {"html", "head", "meta", "title", "link", "style", "body", "main", "noscript", "p", "script"}
    assert not [a for _, attrs in page.elements for a in attrs if a.startswith("on") or a == "style"]
    assert [attrs.get("src") for tag, attrs in page.elements if tag == "script"] == [None] * tags.count("script")
    assert [attrs["href"] for tag, attrs in page.elements if tag == "link"] == ["data:,"]
    for word in HOSTILE:
        assert word in blocks["index"]["ids"]
    assert blocks["index"]["cards"][[c["feature"] for c in blocks["index"]["cards"]].index(0)]["label"].endswith(
        HOSTILE[0]
    )
    assert (
        blocks["f0"]["said"] == {"note": HOSTILE[3], "lists": ["blue </script>"], "star": True}
        and 0 in blocks["index"]["starred"]
    )
    assert "</script>x" in [q["key"] for q in blocks["index"]["quantities"]]
    assert f"<title>{html.escape(HOSTILE[1])}</title>" in text


@given(
    st.recursive(
        st.text() | st.sampled_from(HOSTILE), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_a_script_holds_no_markup_and_reads_back(value):
    written = as_json(value)
    assert not set(written) & set("<>&\u2028\u2029") and json.loads(written) == value


def test_the_policy_lets_this_program_alone_run_and_fetch_nothing(text):
    page = Elements(text)
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data: blob:" and "unsafe" not in policy
    programs = [words for (t, a), words in zip(page.elements, page.texts, strict=True) if t == "script" and not a]
    styles = [words for (t, _), words in zip(page.elements, page.texts, strict=True) if t == "style"]
    for name, found in (("script-src", programs), ("style-src", styles)):
        digest = base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode()
        assert len(found) == 1 and rules[name] == f"'sha256-{digest}'"
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<script")
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?\s*(https?:|//)""", text.replace("http://www.w3.org/", ""))


# -- the numbers ---------------------------------------------------------------------------------------------------


def test_cards_and_pages_say_what_plain_numpy_says(made, blocks):
    codes, _ = made
    dense, truth, known = dense_of(codes), codes.truth(), np.isfinite(codes.truth())
    mass = np.where(codes.column("lgm_tot_p50") > 0, codes.column("lgm_tot_p50"), np.nan)
    fixed = [mass, codes.column("sfr_tot_p50"), codes.column("z")]
    cards = blocks["index"]["cards"]
    assert sorted(c["feature"] for c in cards) == np.flatnonzero(dense.any(axis=0)).tolist()
    for card in cards:
        a, weight = dense[:, card["feature"]], codes.weight[0, card["feature"]]
        assert card["weight"] == weight and card["fires"] == (a > 0).sum()
        assert card["rate"] == pytest.approx((a > 0).mean()) and card["mean"] == pytest.approx((weight * a).mean())
        assert card["pearson"] == pytest.approx(np.corrcoef(a[known], truth[known])[0, 1])
        assert card["partial"] == pytest.approx(partial_correlation(a, truth, fixed).value, abs=1e-9)
        assert card["bars"] == np.histogram(a[a > 0], len(card["bars"]), (0, a.max()))[0].tolist()
        top = np.argsort(-a, kind="stable")[:6]
        assert [blocks["index"]["ids"][g] for g, _ in card["strip"]] == codes.ids[top].tolist()
        page = blocks[f"f{card['feature']}"]
        assert page["looks"]["used"] == card["fires"]
        assert np.sum(page["looks"]["sky"]) == pytest.approx(
            weight * made[0].sky.maps[card["feature"]].mean(), rel=1e-5
        )
        assert np.sum(page["looks"]["map"]) == pytest.approx((weight * a[a > 0]).mean(), rel=1e-5)
        drawn = numbers(page["drawn"]["galaxies"], "<i4")
        rows = [codes.index_of(blocks["index"]["ids"][g]) for g in drawn]
        assert rows == np.flatnonzero(a).tolist()
        assert numbers(page["drawn"]["activations"], "<f4") == pytest.approx(a[rows], abs=0)
        plot = page["plots"]["truth"]
        use = (a > 0) & known
        assert plot["n"] == use.sum() and plot["rho"] == pytest.approx(np.corrcoef(a[use], truth[use])[0, 1], rel=1e-6)
        rest = truth[(a == 0) & known]
        assert plot["silent"] == pytest.approx([*np.percentile(rest, [16, 50, 84]), len(rest)], rel=1e-6)


def test_the_equation_of_every_galaxy_is_there(made, blocks):
    codes, _ = made
    index = blocks["index"]
    k, found = index["codes"]["k"], index["codes"]
    rows = [codes.index_of(index["ids"][g]) for g in numbers(found["galaxies"], "<i4")]
    assert sorted(rows) == list(range(N)) and k == K
    features = numbers(found["features"], "<i4").reshape(-1, k)
    activations = numbers(found["activations"], "<f4").reshape(-1, k)
    weights = numbers(found["weights"], "<f8")
    terms = np.where(features >= 0, weights[features] * activations.astype(float), 0)
    assert index["bias"] + terms.sum(axis=1) == pytest.approx(codes.prediction()[rows], abs=1e-12)
    assert index["said"] == {str(index["ids"].index(HOSTILE[1])): ["</script>", "odd"]}


def test_galaxies_unlike_the_training_galaxies_are_marked_and_say_why(made, blocks):
    codes, index = made[0], blocks["index"]
    expected = {name: why_unlike(codes, codes.index_of(name), lambda f: f"f{f}") for name in index["ids"]}
    assert {index["ids"][int(g)]: words for g, words in index["unlike"].items()} == {
        name: words for name, words in expected.items() if words
    }
    assert len(index["unlike"]) > 5


def test_every_quantity_matrix_and_table_is_numpys(made, blocks):
    codes, _ = made
    index, dense = blocks["index"], dense_of(codes)
    rows = [codes.index_of(name) for name in index["ids"]]
    values = {q["key"]: numbers(q["values"], "<f4") for q in index["quantities"]}
    assert values["truth"] == pytest.approx(codes.truth()[rows].astype("f4"), abs=0, nan_ok=True)
    assert values["prediction"] == pytest.approx(codes.prediction()[rows], abs=1e-5)
    assert values["z"] == pytest.approx(codes.column("z")[rows], abs=1e-6)
    features = [card["feature"] for card in index["cards"]]
    upper = np.triu_indices(len(features), 1)
    assert numbers(index["matrix"], "<f4") == pytest.approx(np.corrcoef(dense[:, features].T)[upper], abs=1e-6)
    on = (dense[:, features] > 0).astype(int)
    assert numbers(index["both"], "<i4").tolist() == (on.T @ on)[upper].tolist()
    assert [row["feature"] for row in index["rows"]["rows"]] == features
    weight = codes.weight[0, features]
    assert index["orders"]["weight"] == [np.argsort(w, kind="stable").tolist() for w in (-weight, weight)]
    found = evaluate(codes)["targets"]["oh_p50"]["splits"]
    whole = read(page_of(codes, choices={"split": "validation"}))["index"]
    low, high = found["validation"]["intervals"]["rmse"]
    assert f"RMSE {found['validation']['rmse']:.4f} dex (95 %: {low:.4f} to {high:.4f})" in whole["head"]["status"]


@pytest.mark.parametrize("split", ["", "validation"])
def test_intervals_of_all_features_are_those_of_each_alone(made, split):
    codes, _ = made
    statistics = FeatureStatistics(codes)
    resampled = ResampledCoefficients(statistics, split, 0)
    for feature in range(F):
        alone = coefficients(statistics, split, 0, feature, intervals=True)
        for one, other in zip(alone, resampled.coefficients(feature), strict=True):
            assert (one.key, one.name, one.n, one.resamples) == (other.key, other.name, other.n, other.resamples)
            found = [other.value, other.low, other.high]
            assert found == pytest.approx([one.value, one.low, one.high], abs=1e-9, nan_ok=True), (feature, one.key)


def test_mean_maps_of_all_features_are_those_of_each_alone(made, monkeypatch):
    codes, _ = made
    firing = ActivationIndex(codes, np.arange(0, N, 2))
    for block in (8192, 30):  # 30: more blocks than are read
        monkeypatch.setattr(looking, "BLOCK", block)
        together = looking.mean_maps(firing, range(F), 0)
        assert sorted(together) == np.flatnonzero(firing.fires).tolist()
        for feature, found in together.items():
            alone = looking.mean_map(firing, feature, 0)
            assert np.array_equal(found.cells, alone.cells) and (found.used, found.fires) == (alone.used, alone.fires)


@given(st.data())
def test_percentiles_of_the_rest_are_numpys(data):
    y = np.array(data.draw(st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=60)))
    gone = np.array(sorted(data.draw(st.sets(st.integers(0, len(y) - 1)))), dtype=int)
    rest = np.delete(y, gone)
    rest = rest[np.isfinite(rest)]
    found = Ranks(y).rest(gone, (16, 50, 84))
    if not len(rest):
        assert found is None
    else:
        assert found == pytest.approx([*np.percentile(rest, [16, 50, 84]), len(rest)], abs=1e-6)


def small(n: int, features: int, k: int, runners_up: int, targets: int = 1, **how) -> SparseCodes:
    """Codes with little in them: what is not in ``how`` is not there."""
    rng = np.random.default_rng(1)
    dense = np.maximum(rng.normal(0.3, 1, (n, features)), 0) * how.pop("strength", 1.0)
    order = np.argsort(-dense, axis=1, kind="stable")[:, : k + runners_up]
    values = np.take_along_axis(dense, order, axis=1)
    names = [f"t{i}" for i in range(targets)]
    return SparseCodes.from_arrays(
        ids=[f"g{i}" for i in range(n)], indices=np.where(values > 0, order, -1), values=values, k=k, features=features,
        weight=rng.normal(0, 0.1, (targets, features)), bias=[8.7] * targets, targets=names, units=["dex"] * targets,
        **how,
    )  # fmt: skip


def test_an_observed_galaxy_has_its_place_in_the_sky_a_simulated_one_has_not(blocks):
    assert blocks["index"]["sky"] is None
    place = {"ra": np.full(6, 150.0), "dec": np.linspace(-5, 5, 6)}
    codes = small(6, 4, 2, 1, columns=place, provenance={"pixel_scale": 0.396})
    index = read(page_of(codes))["index"]
    assert 5 <= int(index["sky"]["zoom"]) <= 16 and 0 < float(index["sky"]["scale"]) < 60
    assert {"ra", "dec"} <= {q["key"] for q in index["quantities"]}


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        (small(20, 6, 3, 2), "n = 20 · no true values"),
        (small(20, 6, 1, 0, truth=np.linspace(8, 9, 20)), "n = 20 · RMSE"),
        (small(1, 4, 2, 1, truth=np.array([8.5])), "n = 1 · RMSE"),
        (small(2, 4, 2, 1, truth=np.array([8.5, np.nan])), "n = 2 · 1 with a true value · RMSE"),
        (small(9, 4, 2, 1, strength=0.0, truth=np.linspace(8, 9, 9)), "0 of 4 features fire"),
    ],
    ids=["no truth, no catalogue", "no runners-up", "one galaxy", "one true value", "nothing fires"],
)
def test_little_in_the_codes_makes_a_page_that_says_so(codes, status):
    blocks = read(page_of(codes))
    assert status in blocks["index"]["head"]["status"]
    assert len(blocks["index"]["cards"]) == int(blocks["index"]["head"]["status"].split(" of ")[0])
    statistics = FeatureStatistics(codes)
    for card in blocks["index"]["cards"]:
        for one, other in zip(
            blocks[f"f{card['feature']}"]["numbers"]["coefficients"],
            coefficients(statistics, "", 0, card["feature"], intervals=True),
            strict=True,
        ):
            alone = other.value if np.isfinite(other.value) else None
            assert one["n"] == other.n and one["value"] == pytest.approx(alone)


def test_another_target_has_its_own_numbers_and_names():
    truth = np.column_stack([np.linspace(8, 9, 40), np.linspace(1, -1, 40) ** 2])
    codes = small(40, 6, 3, 2, targets=2, truth=truth)
    blocks = read(page_of(codes, choices={"target": "t1"}))
    index = blocks["index"]
    assert [c["weight"] for c in index["cards"]] == codes.weight[1, [c["feature"] for c in index["cards"]]].tolist()
    named = {q["key"]: (q["name"], q["axis"]) for q in index["quantities"]}
    assert named["truth"] == ("true t1", "true t1 [dex]") and named["prediction"][0] == "predicted t1"
    found = {q["key"]: numbers(q["values"], "<f4") for q in index["quantities"]}
    assert found["truth"] == pytest.approx(truth[[codes.index_of(i) for i in index["ids"]], 1].astype("f4"))
    assert index["rows"]["targets"] == ["t0", "t1"] and "--target t1" in dict(map(tuple, index["about"]))["Made with"]


# -- pictures and size ---------------------------------------------------------------------------------------------


def test_each_picture_is_there_once_and_as_small_as_asked_for(made):
    from PIL import Image

    codes, dataset = made
    blocks = read(page_of(codes, dataset, choices={"pixels": 20, "split": "validation"}))
    homes = numbers(blocks["index"]["homes"], "<i4")
    pictured = [g for g, name in enumerate(blocks["index"]["ids"]) if name not in HOSTILE]
    albums = {name: album for name, album in blocks.items() if re.fullmatch(r"p-?\d+", name)}
    all_of_them = [int(galaxy) for album in albums.values() for galaxy in album]
    assert sorted(all_of_them) == pictured and len(set(all_of_them)) == len(all_of_them) > 100
    assert {g for g, home in enumerate(homes) if home == -2} == set(range(len(homes))) - set(pictured)
    for name, album in albums.items():
        assert {homes[int(galaxy)] for galaxy in album} == {int(name[1:])}
    first = next(iter(next(iter(albums.values())).values()))
    assert Image.open(io.BytesIO(base64.b64decode(first))).size == (20, 20)
    without = read(page_of(codes, choices={"split": "validation"}))
    assert not [name for name in without if name.startswith("p")] and (without["index"]["homes"] != "")
    assert "without its dataset" in without["index"]["why"]


def test_fewer_features_and_examples_where_asked_for(made):
    blocks = read(page_of(*made, choices={"features": 3, "examples": 2}))
    index = blocks["index"]
    assert len(index["cards"]) == 3 and [n for n in blocks if re.fullmatch(r"f\d+", n)] == [
        f"f{card['feature']}" for card in index["cards"]
    ]
    assert index["overview"]["active"] > 3 and len(numbers(index["matrix"], "<f4")) == 3
    assert all(sorted(order) == [0, 1, 2] for both in index["orders"].values() for order in both)
    assert max(len(g["galaxies"]) for n in blocks if n[0] == "f" for g in blocks[n]["groups"]) == 2
    assert any(term == "On this page" and words.startswith("The 3 features") for term, words in index["about"])


def test_of_a_large_table_an_even_draw_is_shown_and_said(made_up, monkeypatch):
    monkeypatch.setattr(saved_data, "POINTS", 100)
    monkeypatch.setattr(saved_data, "BACKGROUND", 200)
    codes = made_up(6000, features=24, k=3)
    blocks = read(page_of(codes, choices={"split": ""}))
    index, dense = blocks["index"], dense_of(codes)
    rows = np.array([codes.index_of(name) for name in index["ids"]])
    background = set(rows[numbers(index["background"], "<i4")].tolist())
    assert index["sampled"] and len(background) == 200
    for card in index["cards"]:
        page, a = blocks[f"f{card['feature']}"], dense[:, card["feature"]]
        drawn = rows[numbers(page["drawn"]["galaxies"], "<i4")]
        assert (a[drawn] > 0).all() and len(set(drawn.tolist())) == len(drawn)
        assert len(drawn) >= min(100, card["fires"])
        assert numbers(page["drawn"]["activations"], "<f4") == pytest.approx(a[drawn])
        assert background & set(np.flatnonzero(a).tolist()) <= set(
            drawn.tolist()
        )  # no firing galaxy is drawn as silent
        fires = a[a > 0]  # an even draw: its mean is off by chance only
        assert abs(a[drawn].mean() - fires.mean()) < 4.5 * fires.std() / np.sqrt(len(drawn)) + 1e-12
        assert page["plots"]["truth"]["n"] == card["fires"]
    assert any("even draw" in words for _, words in index["about"])


# -- the file ------------------------------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_bytes_but_for_the_date(made, monkeypatch):
    once, again = page_of(*made), page_of(*made)
    assert once == again
    other = page_of(*made, date="2027-01-02T03:04")
    assert other != once and other.replace("2027-01-02 03:04 UTC", "2026-11-24 00:00 UTC") == once
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert "1970-01-01 00:00 UTC" in page_of(*made, date=None)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(SFNetError, match="SOURCE_DATE_EPOCH"):
        page_of(*made, date=None)
    with pytest.raises(SFNetError, match="2026-11-24"):
        page_of(*made, date="yesterday")


def test_a_page_is_whole_or_not_there(made, tmp_path, monkeypatch):
    codes, dataset = made
    out = tmp_path / "atlas.html"
    out.write_text("the old page")

    def fail(self):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saved_data.Contents, "index", fail)
        with pytest.raises(SFNetError, match=r"No space left.*atlas\.html"):
            save_page(codes, out, dataset)
    assert out.read_text() == "the old page" and list(tmp_path.iterdir()) == [out]
    save_page(codes, out, dataset)
    assert read(out.read_text(encoding="utf-8"))["index"]["cards"] and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"split": "test"}, "no split 'test'; they have: "),
        ({"features": 0}, "--features is a number from 1"),
        ({"pixels": 10_000}, "--pixels is a number from 16 to 512"),
        ({"examples": 65}, "--examples"),
        ({"target": "mass"}, "no target 'mass'"),
    ],
)
def test_what_makes_no_page_is_refused(made, choices, words):
    with pytest.raises(SFNetError, match=words):
        page_of(*made, choices=choices)


def test_the_codes_are_never_written_over(made):
    with pytest.raises(SFNetError, match="codes file itself"):
        save_page(made[0], made[0].path)


def test_the_shell_writes_the_page_and_says_its_size(made, sfnet, tmp_path):
    codes, dataset = made
    out = tmp_path / "atlas.html"
    status, said, _ = sfnet("export", codes.path, out, "--dataset", dataset.path, "--split", "all", "--json", "-q")
    about = json.loads(said)
    assert status == 0 and about["bytes"] == out.stat().st_size and about["pictures"] == N - len(HOSTILE)
    index = read(out.read_text(encoding="utf-8"))["index"]
    assert index["overview"]["n"] == N and len(index["cards"]) == about["features"]
    made_with = dict(map(tuple, index["about"]))["Made with"]
    assert made_with == "sfnet export codes.parquet atlas.html --dataset dataset --split all"
    codes.save(tmp_path / "other.parquet")
    (tmp_path / "other.labels.json").write_text("{ damaged")
    status, _, err = sfnet("export", tmp_path / "other.parquet", tmp_path / "other.html", "-q")
    assert status == 0 and "Note: other.labels.json" in err and (tmp_path / "other.html").exists()
    status, _, err = sfnet("export", codes.path, tmp_path / "table.csv", "--pixels", "64")
    assert status == 2 and "--pixels is for an atlas" in err and not (tmp_path / "table.csv").exists()
    black = np.zeros((len(dataset), 8, 8, 3), np.uint8)
    other = Dataset.create(tmp_path / "other", dataset.ids, black, {}, simulated=True)
    status, _, err = sfnet("export", codes.path, tmp_path / "x.html", "--dataset", other.path)
    assert status == 2 and other.fingerprint in err and not (tmp_path / "x.html").exists()
    status, _, err = sfnet("export", codes.path, tmp_path / "x.html", "--dataset", other.path, "--allow-mismatch", "-q")
    index = read((tmp_path / "x.html").read_text(encoding="utf-8"))["index"]
    assert status == 0 and other.fingerprint in err and other.fingerprint in index["head"]["notices"][0]


# -- from the served page ------------------------------------------------------------------------------------------


def test_the_page_hands_its_own_atlas_to_the_browser_in_pieces(made):
    page = Atlas(*made, title="a sample · atlas")
    page.state.change(split="train")
    sent = []
    page.head.send = lambda message, buffers=(): sent.append((message, list(buffers)))
    page.head._receive(page.head, {"do": "save-piece", "from": 0}, [])
    assert not sent  # nothing was made yet
    page = Atlas(*made, title="a sample · atlas")
    page.state.change(split="train")
    saving = Saving(page._page, lambda message, buffers: sent.append((message, buffers)), file_name("a sample · atlas"))
    saving.begin()
    steps = [message["saving"] for message, _ in sent if "saving" in message]
    assert steps[-1][0] == steps[-1][1] == len(steps)
    whole = b"".join(sent[-1][1])
    while len(whole) < sent[-1][0]["of"]:
        assert len(whole) == sent[-1][0]["piece"] + PART
        saving.piece(len(whole))
        whole += b"".join(sent[-1][1])
    assert sent[-1][0]["name"] == "a-sample-atlas.html"
    blocks = read(whole.decode("utf-8"))
    assert blocks["index"]["overview"]["split"] == "train"
    page.state.change(feature=blocks["index"]["cards"][0]["feature"])
    shown = page.feature.data
    there = blocks[f"f{shown['feature']}"]["numbers"]
    assert {name: there[name] for name in ("weight", "rate", "mean", "rank", "fires", "share", "label")} == {
        name: shown[name] for name in ("weight", "rate", "mean", "rank", "fires", "share", "label")
    }
    with pytest.raises(ValueError):
        saving.piece(0)  # the last piece freed it


def test_a_page_too_large_for_the_browser_is_refused_at_once_with_the_command(made, monkeypatch):
    from sfnet_core.explorer.atlas import sending

    sent = []
    page = Atlas(*made)
    monkeypatch.setattr(sending, "MOST_SENT", 200_000)  # the frame and the first features
    one = Saving(page._page, lambda message, buffers: sent.append(message), "a.html")
    with pytest.raises(SFNetError, match="sfnet export"):
        one.begin()
    done, of = sent[-2]["saving"]
    assert sent[-1] == {"saving": None} and done < of
    with pytest.raises(ValueError):
        one.piece(0)
    assert file_name("../etc/passwd \x00") == "etc-passwd.html" and file_name("…") == "atlas.html"


def test_the_saved_matrix_is_the_page_own(made):
    statistics = FeatureStatistics(made[0])
    blocks = read(page_of(made[0]))
    features = [card["feature"] for card in blocks["index"]["cards"]]
    cells = statistics.matrix("validation")[np.ix_(features, features)]
    assert numbers(blocks["index"]["matrix"], "<f4") == pytest.approx(
        cells[np.triu_indices(len(features), 1)], abs=1e-7
    )
