"""The atlas's numbers against plain numpy, and its views against hostile messages."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest

from sfnet_core.analysis.activation_index import ActivationIndex
from sfnet_core.analysis.examples import examples
from sfnet_core.analysis.feature_statistics import BINS, FeatureStatistics, clear, disagree, side_by_side
from sfnet_core.analysis.feature_tables import partial_correlations
from sfnet_core.analysis.interpret import predict, top_galaxies
from sfnet_core.codes.empty_sky import Sky
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.atlas.page import Atlas
from sfnet_core.figures.plot_data import cells, points
from sfnet_core.stats.correlation import partial_correlation

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
    dense, firing = dense_of(codes)[rows], ActivationIndex(codes, rows)
    assert np.array_equal(firing.fires, (dense > 0).sum(axis=0))
    for feature in range(F):
        position, activation = firing.of(feature)
        assert np.array_equal(position, np.flatnonzero(dense[:, feature]))
        assert np.array_equal(activation, dense[position, feature])
        assert np.array_equal(firing.dense(feature), dense[:, feature])


@pytest.mark.parametrize("count", [1, 3, 9, 1000])
def test_the_strongest_galaxies_come_first(codes, count):
    firing = ActivationIndex(codes, np.arange(N))
    for feature in range(F):
        assert np.array_equal(firing.top(feature, count), top_galaxies(codes, feature, count))


def test_a_histogram_counts_every_galaxy_once(codes):
    firing = ActivationIndex(codes, np.arange(N))
    for feature in range(F):
        _, activation = firing.of(feature)
        bars, largest = firing.histogram(feature, BINS)
        if len(activation):
            assert np.array_equal(bars, np.histogram(activation, BINS, (0, largest))[0])
        assert bars.sum() == len(activation)


def test_partial_correlations_are_those_of_residuals(codes):
    table = FeatureStatistics(codes).table("validation", 0)
    rows = np.flatnonzero(codes.split == "validation")
    dense, truth = dense_of(codes)[rows], codes.truth()[rows]
    mass = np.where(codes.column("lgm_tot_p50") > 0, codes.column("lgm_tot_p50"), np.nan)
    fixed = [c[rows] for c in (mass, codes.column("sfr_tot_p50"), codes.column("z"))]
    assert len(table["feature"]) > 10
    for feature, partial, pearson in zip(table["feature"], table["partial"], table["pearson"], strict=True):
        plain = partial_correlation(dense[:, feature], truth, fixed)
        assert partial == pytest.approx(plain.value, abs=1e-9)
        known = np.isfinite(truth)
        assert pearson == pytest.approx(np.corrcoef(dense[known, feature], truth[known])[0, 1], abs=1e-9)


def test_cards_say_what_plain_numpy_says(codes, page):
    rows = np.flatnonzero(codes.split == "validation")
    dense = dense_of(codes)[rows]
    cards = page.card_grid.data["cards"]
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
        wrong = [(predict(codes, off=off) - codes.truth())[rows] for off in ((), {card["feature"]})]
        with_all, without = (np.sqrt(np.nanmean(np.square(each))) for each in wrong)
        assert card["without"] == pytest.approx(without - with_all, abs=1e-12)
    assert "n = 100" in page.head.data["status"] and "validation" in page.head.data["status"]


def test_sorting_searching_and_the_lowest_rate(page):
    def shown() -> list[dict]:
        return page.card_grid.data["cards"]

    everything = len(shown())
    for sort in ("weight", "rate", "pearson", "partial", "mean", "without"):
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
    page.open_link("?feature=3&split=train&sort=weight&token=x&off=2&galaxy=g1")
    assert page.state.off == frozenset() and page.state.galaxy == -1  # the explorer's choices mean nothing here
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
    assert page.card_grid.data["cards"]


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
    for view in (page.head, page.card_grid):
        view._receive(view, message, [])
    assert page.state.values() == before


def test_without_a_catalogue_the_page_says_what_is_missing():
    page = Atlas(plain_codes(catalogue=False))
    assert {card["partial"] for card in page.card_grid.data["cards"]} == {None}
    assert page.card_grid.data["missing"] == ["lgm_tot_p50", "sfr_tot_p50", "z"]
    page = Atlas(plain_codes(truth=False))
    assert {card["pearson"] for card in page.card_grid.data["cards"]} == {None} and page.card_grid.data["known"] == 0


def test_features_that_fire_together_are_counted_once(codes):
    rows = np.flatnonzero(codes.split == "train")
    dense = dense_of(codes)[rows]
    both, product = ActivationIndex(codes, rows).pairs()
    on = (dense > 0).astype(int)
    assert np.array_equal(both, on.T @ on)
    assert np.allclose(product, dense.T @ dense, rtol=1e-9)


def test_few_galaxies_have_no_partial_correlation():
    few = plain_codes().take(np.arange(20, 30))  # ten, of which two have no SFR
    rows = np.arange(10)
    controls = [np.asarray(few.column(name), dtype=float) for name in ("lgm_tot_p50", "sfr_tot_p50", "z")]
    for keep in (10, 8, 7):
        y = np.where(rows < keep, few.truth(), np.nan)
        index = ActivationIndex(few, rows)
        found = partial_correlations(index.position, index.feature, index.activation, F, y, controls)
        for feature in range(F):
            plain = partial_correlation(dense_of(few)[:, feature], y, controls)
            assert found[feature] == pytest.approx(plain.value, abs=1e-9, nan_ok=True)
        assert np.isnan(found).all() == (keep == 7)  # 5 left, 3 controls: 6 are needed


def test_opposing_residuals_are_on_both_sides_or_left_out(codes):
    firing = ActivationIndex(codes, np.arange(N))
    feature = int(np.argmax(firing.fires))
    residual = np.full(N, np.nan)
    position, _ = firing.of(feature)
    residual[position[:6]] = [0.1, 0.3, 0.2, 0.5, 0.4, -0.1]
    group = examples(firing, feature, residual, 0)[-1]
    assert group.captions == ["\N{MINUS SIGN}0.10", "+0.20", "+0.30", "+0.40", "+0.50"]


def test_a_correlation_is_clear_beyond_chance():
    assert clear(np.array([0.195, -0.197, np.nan]), 100).tolist() == [False, True, False]


def test_another_feature_has_its_own_slow_part(opened):
    leaf = opened.feature
    leaf._receive(leaf, {"do": "slow"}, [])
    first = leaf.slow
    leaf._receive(leaf, {"do": "slow"}, [])
    assert leaf.slow is first  # computed once
    opened.state.change(feature=leaf.data["after"][0])
    assert leaf.slow == {}
    leaf._receive(leaf, {"do": "slow"}, [])
    assert leaf.slow["feature"] == opened.state.feature != first["feature"]


def test_signs_disagree_only_where_both_are_known():
    assert disagree(np.array([1.0, -1, 1, 0]), np.array([-0.5, -0.5, np.nan, 0.5])).tolist() == [
        True,
        False,
        False,
        False,
    ]


# -- a feature's page ------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(page) -> Atlas:
    """The page with a feature open that fires often and has runners-up."""
    page.state.change(feature=int(page.statistics.table("validation", 0)["feature"][0]))
    return page


def view_of(codes: SparseCodes, feature: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in view, the feature's gated activation there, and the residual there."""
    rows = np.flatnonzero(codes.split == "validation")
    return rows, dense_of(codes)[rows, feature], (codes.prediction() - codes.truth())[rows]


def test_examples_are_what_they_say(codes, opened):
    feature = opened.state.feature
    rows, a, residual = view_of(codes, feature)
    groups = {
        g["key"]: [(one["id"], one["activation"]) for one in g["galaxies"]] for g in opened.feature.galaxies["groups"]
    }
    of = {codes.ids[row]: i for i, row in enumerate(rows)}

    def positions(key: str) -> list[int]:
        return [of[name] for name, _ in groups[key]]

    for key in ("top", "quantile", "random", "residual"):
        assert all(a[of[name]] == activation > 0 for name, activation in groups[key]), key
        assert len({name for name, _ in groups[key]}) == 8
    assert [a[p] for p in positions("top")] == sorted(a, reverse=True)[:8]
    fires = (a > 0).sum()
    ranked = np.sort(a)[::-1]
    assert [a[p] for p in positions("quantile")] == [ranked[int((i + 0.5) / 8 * fires)] for i in range(8)]
    known = (a > 0) & np.isfinite(residual)
    worst = residual[positions("residual")]
    assert worst[0] == residual[known].min() and worst[-1] == residual[known].max()
    assert (worst[:4] < 0).all() and (worst[4:] > 0).all() and (np.diff(worst) >= 0).all()


def test_near_the_gate_is_the_last_in_and_the_first_out(codes, opened):
    feature = opened.state.feature
    group = next(g for g in opened.feature.galaxies["groups"] if g["key"] == "gate")
    rows = np.flatnonzero(codes.split == "validation")
    gap = {}
    for row in rows:
        for slot, word in ((K - 1, "in"), (K, "out")):
            if codes.indices[row, slot] == feature:
                gap[codes.ids[row], word] = float(codes.values[row, K - 1]) - float(codes.values[row, K])
    for word in ("in", "out"):
        told = [one for one in group["galaxies"] if one["caption"].startswith(word)]
        nearest = sorted(value for (_, w), value in gap.items() if w == word)[:4]
        assert [gap[one["id"], word] for one in told] == pytest.approx(nearest)
        assert [one["caption"] for one in told] == [f"{word} by {value:.3f}" for value in nearest]


def test_another_draw_is_another_and_comes_back(opened):
    def drawn() -> list[str]:
        return [one["id"] for g in opened.feature.galaxies["groups"] if g["key"] == "random" for one in g["galaxies"]]

    first = drawn()
    opened.feature._receive(opened.feature, {"do": "again"}, [])
    assert drawn() != first and "seed=1" in opened.query
    opened.state.undo()
    assert drawn() == first


def test_coefficients_state_their_own_galaxies(codes, opened):
    feature = opened.state.feature
    rows, a, _ = view_of(codes, feature)
    truth = codes.truth()[rows]
    columns = {name: codes.column(name)[rows] for name in ("lgm_tot_p50", "sfr_tot_p50", "z")}
    columns["lgm_tot_p50"] = np.where(columns["lgm_tot_p50"] > 0, columns["lgm_tot_p50"], np.nan)
    fixed = {"pearson": (), "fires": (), "mass": ("lgm_tot_p50",), "SFR": ("sfr_tot_p50",), "z": ("z",), "all": columns}
    opened.feature._receive(opened.feature, {"do": "slow"}, [])
    assert [c["key"] for c in opened.feature.data["coefficients"]] == list(fixed)
    for quick, slow in zip(opened.feature.data["coefficients"], opened.feature.slow["coefficients"], strict=True):
        only = a > 0 if quick["key"] == "fires" else np.ones(len(a), dtype=bool)
        controls = [columns[name][only] for name in fixed[quick["key"]]]
        plain = partial_correlation(a[only], truth[only], controls, n=1000, seed=0)
        assert (quick["value"], quick["n"], quick["low"]) == (pytest.approx(plain.value, abs=1e-9), plain.n, None)
        assert (slow["value"], slow["low"], slow["high"]) == pytest.approx(plain[:3], abs=1e-9)
        assert slow["resamples"] == 1000


def test_lift_and_correlations_of_companions(codes, opened):
    feature = opened.state.feature
    dense = dense_of(codes)[np.flatnonzero(codes.split == "validation")]
    on = dense > 0
    found = opened.feature.data["companions"]
    assert found and [c["lift"] for c in found] == sorted((c["lift"] for c in found), reverse=True)
    for c in found:
        both = (on[:, feature] & on[:, c["feature"]]).sum()
        assert c["both"] == both
        assert c["lift"] == pytest.approx(both / len(on) / (on[:, feature].mean() * on[:, c["feature"]].mean()))
        assert c["expected"] == pytest.approx(on[:, feature].mean() * on[:, c["feature"]].mean() * len(on))
        assert 0 <= c["low"] <= c["lift"] <= c["high"]
        assert c["pearson"] == pytest.approx(np.corrcoef(dense[:, feature], dense[:, c["feature"]])[0, 1], abs=1e-9)
    assert feature not in {c["feature"] for c in found}


def test_the_matrix_is_numpys(codes, page):
    page.state.change(view="matrix")
    data = page.tables.data
    dense = dense_of(codes)[np.flatnonzero(codes.split == "validation")][:, data["features"]]
    assert np.allclose(np.array(data["cells"]), np.corrcoef(dense.T), atol=1e-9)


def test_the_table_of_signs(codes, page):
    page.state.change(view="signs", sort="disagreement", descending=True)
    rows = page.tables.data["rows"]
    opposed = [-np.sign(r["weight"]) * r["pearson"] for r in rows]
    assert opposed == sorted(opposed, reverse=True)
    assert sum(row["disagree"] for row in page.tables.data["rows"]) == sum(value > 0 for value in opposed) > 0
    n = page.tables.data["known"]
    sure = sum(row["disagree"] and row["clear"] for row in page.tables.data["rows"])
    assert sure == sum(value > 1.96 / np.sqrt(n) for value in opposed)


@pytest.mark.parametrize("seed", range(5))
def test_alike_features_stand_side_by_side(seed):
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat([0, 1, 2], [5, 8, 6]))
    signal = rng.normal(size=(300, 3))
    matrix = np.corrcoef((signal[:, group] + 0.5 * rng.normal(size=(300, len(group)))).T)
    matrix[2, 3] = matrix[3, 2] = np.nan
    line = side_by_side(matrix)
    ordered = group[np.argsort(line)]
    assert (np.diff(ordered) != 0).sum() == 2  # three runs: no group is torn apart
    assert sorted(-line) == list(range(len(group))) and -line[0] <= len(group) // 2
    assert side_by_side(np.eye(2)).tolist() == [0, -1] and len(side_by_side(np.zeros((0, 0)))) == 0


def test_the_overview_sorts_alike_features_side_by_side(codes, page):
    page.state.change(sort="likeness", view="matrix")
    data = page.tables.data
    table = page.statistics.table("validation", 0)
    dense = dense_of(codes)[np.flatnonzero(codes.split == "validation")][:, table["feature"]]
    place = side_by_side(np.corrcoef(dense.T))
    assert data["features"] == table["feature"][np.argsort(-place, kind="stable")].tolist()
    page.state.change(sort="contribution")
    neighbours = [np.trace(np.array(one["cells"]), offset=1) for one in (data, page.tables.data)]
    assert neighbours[0] > neighbours[1]  # the sum of ρ of neighbours


def test_a_column_of_the_table_sorts_and_turns_round(page):
    page.state.change(view="signs")
    for key in ("weight", "rate", "partial"):
        for descending in (True, False):
            page.tables._receive(page.tables, {"do": "sort", "key": key}, [])
            data = page.tables.data
            assert (data["sort"], data["descending"]) == (key, descending) == (page.state.sort, page.state.descending)
            values = [row[key] for row in data["rows"]]
            assert values == sorted(values, reverse=descending)
    for nonsense in ("__class__", None, 7):
        page.tables._receive(page.tables, {"do": "sort", "key": nonsense}, [])
        assert page.state.sort == "partial"


def test_bpt_points_strongest_on_top_and_nine_of_its_galaxies(codes, opened):
    bpt, feature = opened.feature.data["bpt"], opened.state.feature
    rows, a, _ = view_of(codes, feature)
    shade = np.frombuffer(bpt["shade"], "<f4")
    at = np.frombuffer(bpt["rows"], "<i4")
    assert bpt["ranges"] == [[-1.55, 0.55], [-1.05, 1.3]] and bpt["n"] == len(at) == len(rows)
    assert (np.diff(shade) >= 0).all() and shade[-1] == 1
    assert shade == pytest.approx(dense_of(codes)[at, feature] / a.max(), abs=1e-6)
    x = np.log10(codes.column("nii_6584_flux") / codes.column("h_alpha_flux"))
    assert np.frombuffer(bpt["x"], "<f4") == pytest.approx(x[at], abs=1e-5)
    assert [one["activation"] for one in bpt["nine"]] == sorted(a, reverse=True)[:9]
    assert sum(n for _, n, _ in bpt["mix"]) == (a > 0).sum() and sum(n for *_, n in bpt["mix"]) == len(rows)
    assert bpt["nine"][0]["place"][0] == pytest.approx(x[codes.index_of(bpt["nine"][0]["id"])])


def test_activation_against_any_column(codes, opened):
    feature = opened.state.feature
    rows, a, _ = view_of(codes, feature)
    for key, values in (("truth", codes.truth()), ("z", codes.column("z")), ("prediction", codes.prediction())):
        opened.state.change(against=key)
        plot, y = opened.feature.plot, values[rows]
        use = (a > 0) & np.isfinite(y)
        assert plot["n"] == use.sum()
        assert np.frombuffer(plot["x"], "<f4") == pytest.approx(a[use], abs=1e-6)
        assert np.frombuffer(plot["y"], "<f4") == pytest.approx(y[use], abs=1e-5)
        assert plot["rho"] == pytest.approx(np.corrcoef(a[use], y[use])[0, 1])
        silent = y[(a == 0) & np.isfinite(y)]
        assert plot["silent"] == pytest.approx([*np.percentile(silent, [16, 50, 84]), len(silent)])


def test_many_points_become_cells_that_hold_them_all():
    rng = np.random.default_rng(0)
    x, y, shade = rng.normal(size=6000), rng.normal(size=6000), rng.uniform(0, 1, 6000)
    ranges = ((-5.0, 5.0), (-5.0, 5.0))
    drawn = points(x, y, np.arange(6000), shade, ranges)
    columns, lines = drawn["grid"]
    found = np.frombuffer(drawn["cells"], "<f4").reshape(lines, columns)
    assert "x" not in drawn and drawn["n"] == 6000
    for i in rng.integers(0, 6000, 50):
        column, line = int((x[i] + 5) / 10 * columns), int((y[i] + 5) / 10 * lines)
        assert found[line, column] >= np.float32(shade[i])
    grey = cells(x, y, None, ranges)
    counts, _, _ = np.histogram2d(y, x, (lines, columns), ranges[::-1])
    assert np.array_equal(np.isnan(grey), counts == 0)
    assert np.nan_to_num(grey) == pytest.approx(np.log1p(counts) / np.log1p(counts.max()))


def test_the_mean_map_sums_to_the_mean_contribution(monkeypatch):
    from sfnet_core.analysis import mean_maps as looking

    plain, rng = plain_codes(), np.random.default_rng(1)
    share = rng.uniform(0.5, 1.5, (N, K, 3, 3))
    maps = (share / share.mean(axis=(2, 3), keepdims=True) * plain.values[:, :K, None, None]).astype(np.float32)
    with_maps = SparseCodes.from_arrays(
        ids=plain.ids, indices=plain.indices, values=plain.values, k=K, features=F, weight=plain.weight,
        bias=plain.bias, targets=["oh_p50"], truth=plain.truth(), maps=maps,
    )  # fmt: skip
    dense = dense_of(plain)
    for block, whole in ((8192, True), (32, False)):
        monkeypatch.setattr(looking, "BLOCK", block)
        for feature in range(0, 20, 5):
            found = looking.mean_map(ActivationIndex(with_maps, np.arange(N)), feature, 0)
            on = np.flatnonzero(dense[:, feature])
            slot = (plain.indices[on, :K] == feature).argmax(axis=1)
            assert found.fires == len(on) and (found.used == len(on)) is whole
            if whole:
                expected = plain.weight[0, feature] * maps[on, slot].mean(axis=0, dtype=float) / 9
                assert np.allclose(found.cells, expected, atol=1e-9)
                assert found.cells.sum() == pytest.approx(
                    (plain.weight[0, feature] * dense[on, feature]).mean(), rel=1e-5
                )
    assert looking.mean_map(ActivationIndex(plain, np.arange(N)), 0, 0) is None
    assert looking.mean_map(ActivationIndex(with_maps, np.arange(N)), 21, 0) is None  # silent


def test_the_mean_map_less_the_empty_sky_is_a_choice_like_the_others():
    plain, rng = plain_codes(), np.random.default_rng(2)
    maps = np.broadcast_to(plain.values[:, :K, None, None], (N, K, 2, 2))
    sky = Sky((4, 3, 3), rng.uniform(0, 2, (F, 2, 2)).astype(np.float32))
    codes = SparseCodes.from_arrays(
        ids=plain.ids, indices=plain.indices, values=plain.values, k=K, features=F, weight=plain.weight,
        bias=plain.bias, targets=["oh_p50"], truth=plain.truth(), maps=maps, sky=sky,
    )  # fmt: skip
    page = Atlas(codes)
    feature = int(page.statistics.table("", 0)["feature"][0])
    page.state.change(feature=feature)
    leaf = page.feature
    leaf._receive(leaf, {"do": "slow"}, [])
    assert leaf.slow["less"] is True
    np.testing.assert_allclose(leaf.slow["sky"], plain.weight[0, feature] * sky.maps[feature] / 4, rtol=1e-6)
    before = page.query
    leaf._receive(leaf, {"do": "sky", "less": False}, [])
    assert leaf.slow["less"] is False and leaf.slow["map"] and "sky=0" in page.query and "sky" not in before
    page.open_link(before)
    assert leaf.slow == {} or leaf.slow["less"] is True
    other = Atlas(plain)
    other.state.change(feature=feature)
    other.feature._receive(other.feature, {"do": "slow"}, [])
    assert other.feature.slow["sky"] is None


def test_t10_identifiers_and_links_are_texts_and_addresses(codes):
    page = Atlas(codes)
    page.state.change(split="train", feature=int(codes.indices[5, 0]))
    page.feature._receive(page.feature, {"do": "peek", "row": 5}, [])
    one = page.feature._galaxy(5, 1.0)
    assert one["id"] == HOSTILE and "<" not in one["link"]
    link = urlsplit(one["link"])
    assert link.path == "explore.ipynb"
    assert dict(parse_qsl(link.query)) == {"galaxy": HOSTILE, "feature": str(page.state.feature), "split": "train"}


@pytest.mark.parametrize(
    "message",
    [
        {"do": "against", "against": "truth"},
        {"do": "against", "key": "__class__"},
        {"do": "against", "key": "activation"},
        {"do": "peek", "row": 10**12},
        {"do": "peek", "row": -1},
        {"do": "open", "feature": -7},
        {"do": "open", "feature": None},
    ],
)
def test_t3_nonsense_to_a_feature_page_changes_nothing(opened, message):
    before = opened.state.values()
    opened.feature._receive(opened.feature, message, [])
    opened.tables._receive(opened.tables, message, [])
    assert opened.state.values() == before


def test_what_is_missing_is_said_on_a_feature_page():
    page = Atlas(plain_codes(catalogue=False))
    page.state.change(feature=int(page.statistics.table("validation", 0)["feature"][0]))
    assert page.feature.data["bpt"]["missing"] == [
        "nii_6584_flux",
        "h_alpha_flux",
        "oiii_5007_flux",
        "h_beta_flux",
    ]
    assert len(page.feature.data["bpt"]["nine"]) == 9
    assert [c["key"] for c in page.feature.data["coefficients"]] == ["pearson", "fires"]
    page.feature._receive(page.feature, {"do": "slow"}, [])
    assert page.feature.slow["map"] is None and page.feature.slow["mean"] == b"" and page.feature.slow["why"]
    page = Atlas(plain_codes(truth=False))
    page.state.change(feature=int(page.statistics.table("validation", 0)["feature"][0]))
    assert {c["value"] for c in page.feature.data["coefficients"]} == {None}
    assert page.feature.plot["key"] == "prediction"
    page.state.change(feature=21)  # silent everywhere
    assert page.feature.data["fires"] == page.feature.data["elsewhere"] == 0


def test_several_targets_each_have_their_own_numbers(codes):
    rng = np.random.default_rng(2)
    weight = rng.normal(0, 0.1, (2, F))
    truth = np.column_stack([codes.truth(), rng.normal(0, 1, N)])
    both = SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=K, features=F, weight=weight, bias=[8.7, 0.1],
        targets=["oh_p50", "log_Ha"], units=["dex", "dex"], truth=truth,
    )  # fmt: skip
    page = Atlas(both)
    page.head._receive(page.head, {"do": "target", "target": 1}, [])
    page.state.change(view="signs")
    dense, data = dense_of(both), page.tables.data
    assert data["bias"] == 0.1 and data["target"] == "log F(Hα)" and len(data["targets"]) == 2
    for row in data["rows"]:
        f = row["feature"]
        assert row["weight"] == weight[1, f] == row["targets"][1][1] and row["targets"][0][1] == weight[0, f]
        for t, (pearson, _) in enumerate(row["targets"]):
            known = np.isfinite(truth[:, t])
            assert pearson == pytest.approx(np.corrcoef(dense[known, f], truth[known, t])[0, 1], abs=1e-9)
    page.state.change(feature=data["rows"][0]["feature"])
    assert page.feature.data["weight"] == weight[1, page.state.feature]
    assert Atlas(both).query == "" and "target=1" in page.query
