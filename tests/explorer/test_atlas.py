"""The atlas's numbers against plain numpy, and its views against hostile messages."""

from __future__ import annotations

import numpy as np
import pytest

from sfnet_core import astro
from sfnet_core.codes import SparseCodes
from sfnet_core.explorer.atlas.cards import BINS, Almanac, disagree
from sfnet_core.explorer.atlas.firing import Firing
from sfnet_core.explorer.atlas.page import Atlas
from sfnet_core.explorer.scene import Scene
from sfnet_core.interpret import top_galaxies

N, K, R, F = 400, 4, 3, 24
HOSTILE = "<img src=x onerror=alert(1)>"


def plain_codes(seed: int = 3, *, catalogue: bool = True, truth: bool = True) -> SparseCodes:
    """Codes of made-up galaxies: dense activations first, then the gate, as a reader would write it down."""
    rng = np.random.default_rng(seed)
    mass, sfr, z = rng.normal(10, 0.6, N), rng.normal(0, 0.5, N), rng.uniform(0.02, 0.2, N)
    dense = np.maximum(rng.normal(0.2, 1, (N, F)) + 0.5 * np.outer(mass - 10, np.linspace(-1, 1, F)), 0)
    dense[:, 20:] = 0  # silent features
    order = np.argsort(-dense, axis=1, kind="stable")[:, : K + R]
    values = np.take_along_axis(dense, order, axis=1)
    indices = np.where(values > 0, order, -1)
    weight = rng.normal(0, 0.1, (1, F))
    oh = 8.7 + 0.3 * (mass - 10) - 0.1 * sfr + rng.normal(0, 0.05, N)
    oh[:7] = np.nan
    mass[10:13], sfr[20:22] = -9999.0, np.nan  # MPA-JHU's mark of a missing value, and a plain one
    flux = 10 ** rng.normal(1, 0.3, (4, N))
    names = ("nii_6584_flux", "h_alpha_flux", "oiii_5007_flux", "h_beta_flux")
    columns = {"lgm_tot_p50": mass, "sfr_tot_p50": sfr, "z": z, **dict(zip(names, flux, strict=True))}
    ids = [f"g{i}" for i in range(N)]
    ids[5] = HOSTILE
    return SparseCodes.from_arrays(
        ids=ids,
        indices=indices,
        values=values,
        k=K,
        features=F,
        weight=weight,
        bias=[8.7],
        targets=["oh_p50"],
        units=["dex"],
        split=np.where(np.arange(N) % 4 == 0, "validation", "train"),
        truth=oh if truth else None,
        columns=columns if catalogue else None,
        simulated=True,
    )


@pytest.fixture(scope="module")
def codes() -> SparseCodes:
    return plain_codes()


@pytest.fixture
def page(codes) -> Atlas:
    return Atlas(codes)


def dense_of(codes: SparseCodes) -> np.ndarray:
    """(N, F) gated activations, entry by entry."""
    out = np.zeros((len(codes), codes.features))
    for row in range(len(codes)):
        for slot in range(codes.k):
            if codes.indices[row, slot] >= 0:
                out[row, codes.indices[row, slot]] = codes.values[row, slot]
    return out


def test_firing_is_the_gated_matrix_by_feature(codes):
    rows = np.flatnonzero(codes.split == "validation")
    dense, firing = dense_of(codes)[rows], Firing(codes, rows)
    assert np.array_equal(firing.fires, (dense > 0).sum(axis=0))
    for feature in range(F):
        position, activation = firing.of(feature)
        assert np.array_equal(position, np.flatnonzero(dense[:, feature]))
        assert np.array_equal(activation, dense[position, feature])
        assert np.array_equal(firing.dense(feature), dense[:, feature])


@pytest.mark.parametrize("count", [1, 3, 9, 1000])
def test_the_strongest_galaxies_come_first(codes, count):
    firing = Firing(codes, np.arange(N))
    for feature in range(F):
        assert np.array_equal(firing.top(feature, count), top_galaxies(codes, feature, count))


def test_a_histogram_counts_every_galaxy_once(codes):
    firing = Firing(codes, np.arange(N))
    for feature in range(F):
        _, activation = firing.of(feature)
        bars, largest = firing.histogram(feature, BINS)
        if len(activation):
            assert np.array_equal(bars, np.histogram(activation, BINS, (0, largest))[0])
        assert bars.sum() == len(activation)


def test_partial_correlations_are_those_of_residuals(codes):
    scene = Scene(codes)
    table = Almanac(scene).table("validation", 0)
    rows = np.flatnonzero(codes.split == "validation")
    dense, truth = dense_of(codes)[rows], codes.truth()[rows]
    mass = np.where(codes.column("lgm_tot_p50") > 0, codes.column("lgm_tot_p50"), np.nan)
    fixed = [c[rows] for c in (mass, codes.column("sfr_tot_p50"), codes.column("z"))]
    assert len(table["feature"]) > 10
    for feature, partial, pearson in zip(table["feature"], table["partial"], table["pearson"], strict=True):
        plain = astro.partial_correlation(dense[:, feature], truth, fixed)
        assert partial == pytest.approx(plain.value, abs=1e-9)
        known = np.isfinite(truth)
        assert pearson == pytest.approx(np.corrcoef(dense[known, feature], truth[known])[0, 1], abs=1e-9)


def test_cards_say_what_plain_numpy_says(codes, page):
    rows = np.flatnonzero(codes.split == "validation")
    dense = dense_of(codes)[rows]
    cards = page.deck.data["cards"]
    assert [c["feature"] for c in cards] == sorted(
        np.flatnonzero(dense.any(axis=0)), key=lambda f: -np.abs(codes.weight[0, f] * dense[:, f]).mean()
    )
    for card in cards:
        a = dense[:, card["feature"]]
        assert card["weight"] == codes.weight[0, card["feature"]]
        assert card["fires"] == (a > 0).sum() and card["rate"] == pytest.approx((a > 0).mean())
        assert card["mean"] == pytest.approx((codes.weight[0, card["feature"]] * a).mean(), abs=1e-12)
        assert card["largest"] == pytest.approx(a.max())
        assert card["disagree"] == (np.sign(card["weight"]) * np.sign(card["pearson"]) < 0)
    assert "n = 100" in page.head.data["status"] and "validation" in page.head.data["status"]


def test_sorting_searching_and_the_lowest_rate(page):
    def shown() -> list[dict]:
        return page.deck.data["cards"]

    everything = len(shown())
    for sort in ("weight", "rate", "pearson", "partial", "mean"):
        page.state.change(sort=sort, descending=True)
        values = [card[sort] for card in shown()]
        assert values == sorted(values, reverse=True) and len(values) == everything
        page.state.change(descending=False)
        assert [card[sort] for card in shown()] == sorted(values)
    page.state.change(find="F1")
    assert shown() and all("f1" in card["label"] for card in shown())
    page.state.change(find="", least="0.1")
    assert {card["rate"] >= 0.1 for card in shown()} == {True}
    page.state.change(find="no such label")
    assert shown() == []


def test_a_permalink_is_the_whole_state(page, codes):
    page.open_link("?feature=3&split=train&sort=weight&token=x")
    assert (page.state.feature, page.state.split, page.state.sort) == (3, "train", "weight")
    other = Atlas(codes)
    other.open_link(page.query)
    assert other.state.values() == page.state.values()
    other.open_link("")
    assert other.state.values() == Atlas(codes).state.values()


@pytest.mark.parametrize(
    "query", ["feature=999", "feature=x", "sort=nothing", "target=4", "least=7", "view=<b>", "split=?"]
)
def test_t11_a_link_that_does_not_hold_is_said_and_the_page_opens(page, query):
    page.open_link(query)
    assert len(page.head.data["notices"]) == 1 and page.state.feature == -1
    assert page.deck.data["cards"]


@pytest.mark.parametrize(
    "message",
    [
        {"do": "open", "feature": 1e9},
        {"do": "open", "feature": "3"},
        {"do": "pictures", "features": "all"},
        {"do": "pictures", "features": [10**9]},
        {"do": "pictures", "features": list(range(10_000))},
        {"do": "sort", "sort": "__class__"},
        {"do": "find", "find": "x" * 10_000},
        {"do": "target", "target": -1},
        {"do": "view", "view": ["cards"]},
        {"do": "nothing"},
        [],
        None,
    ],
)
def test_t3_nonsense_from_the_browser_changes_nothing(page, message):
    before = page.state.values()
    for view in (page.head, page.deck):
        view._receive(view, message, [])
    assert page.state.values() == before


def test_without_a_catalogue_the_page_says_what_is_missing():
    page = Atlas(plain_codes(catalogue=False))
    assert {card["partial"] for card in page.deck.data["cards"]} == {None}
    assert page.deck.data["missing"] == ["lgm_tot_p50", "sfr_tot_p50", "z"]
    page = Atlas(plain_codes(truth=False))
    assert {card["pearson"] for card in page.deck.data["cards"]} == {None} and page.deck.data["known"] == 0


def test_features_that_fire_together_are_counted_once(codes):
    rows = np.flatnonzero(codes.split == "train")
    dense = dense_of(codes)[rows]
    both, product = Firing(codes, rows).pairs()
    on = (dense > 0).astype(int)
    assert np.array_equal(both, on.T @ on)
    assert np.allclose(product, dense.T @ dense, rtol=1e-9)


def test_signs_disagree_only_where_both_are_known():
    assert disagree(np.array([1.0, -1, 1, 0]), np.array([-0.5, -0.5, np.nan, 0.5])).tolist() == [
        True,
        False,
        False,
        False,
    ]
