"""A selection against the rest: counted galaxy by galaxy, in exact fractions, by the definitions of the statistics."""

from __future__ import annotations

import math
import runpy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.contribution_differences import compare
from sfnet_core.analysis.enrichment import bpt_mix, enrichment, medians, positions
from sfnet_core.analysis.interpret import predict
from sfnet_core.astro.galaxy_classes import CLASSES, galaxy_classes, line_ratio
from sfnet_core.codes.table import SparseCodes
from sfnet_core.stats.proportions import Z95, benjamini_hochberg, fisher_exact, wilson
from sfnet_core.utils.errors import SFNetError

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]


@pytest.fixture(scope="module")
def codes() -> SparseCodes:
    return simulated_codes(600, features=40, k=3, runners_up=4)


def with_columns(codes: SparseCodes, **columns) -> SparseCodes:
    """The same codes with another catalogue."""
    return SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=codes.k, features=codes.features,
        weight=codes.weight, bias=codes.bias, targets=codes.targets, columns=columns, units=codes.units,
    )  # fmt: skip


# ---- features


def test_enrichment_counts_every_feature_galaxy_by_galaxy(codes):
    rng = np.random.default_rng(1)
    within = np.sort(rng.permutation(600)[:450])
    selection = np.flatnonzero(codes.column("oh_p50") < 8.7)
    table = enrichment(codes, selection, within=within)
    inside = set(selection.tolist()) & set(within.tolist())
    outside = set(within.tolist()) - inside
    dense = np.zeros((600, 40))
    for row in range(600):
        for j, a in zip(codes.indices[row, :3], codes.values[row, :3], strict=True):
            if j >= 0:
                dense[row, j] = a
    chosen, rest = dense[sorted(inside)], dense[sorted(outside)]
    assert set(table["feature"].tolist()) == set(np.flatnonzero((dense[within] > 0).any(axis=0)).tolist())
    for i, j in enumerate(table["feature"].tolist()):
        a, c = sum(row[j] > 0 for row in chosen), sum(row[j] > 0 for row in rest)
        b, d = len(chosen) - a, len(rest) - c
        assert (table["fires"][i], table["fires_rest"][i]) == (a, c)
        assert table["rate"][i] == a / len(chosen) and table["rate_rest"][i] == c / len(rest)
        odds = (a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5))
        error = math.sqrt(1 / (a + 0.5) + 1 / (b + 0.5) + 1 / (c + 0.5) + 1 / (d + 0.5))
        assert table["odds"][i] == pytest.approx(odds)
        assert table["low"][i] == pytest.approx(odds * math.exp(-Z95 * error))
        assert table["high"][i] == pytest.approx(odds * math.exp(Z95 * error))
        difference = chosen[:, j].mean() - rest[:, j].mean()
        assert table["difference"][i] == pytest.approx(difference, abs=1e-12)
        assert table["contribution"][i] == pytest.approx(codes.weight[0, j] * difference, abs=1e-12)
        expected = min(
            row * column / 450 for row in (a + b, c + d) for column in (a + c, b + d)
        )  # fmt: skip
        assert table["exact"][i] == (expected < 5)
        if not table["exact"][i]:  # p and interval tell the same story
            assert (table["p"][i] < 0.05) == (table["low"][i] > 1 or table["high"][i] < 1)
    strength = np.abs(np.log(table["odds"])) / (np.log(table["high"] / table["low"]) / 2)
    assert (np.diff(strength) <= 1e-9).all(), "the clearest come first"


def test_the_contributions_differences_add_up_to_that_of_the_mean_predictions(codes):
    selection = np.arange(0, 90)
    table = enrichment(codes, selection)
    gap = codes.prediction()[:90].mean() - codes.prediction()[90:].mean()
    assert table["contribution"].sum() == pytest.approx(gap, abs=1e-12)


def test_the_odds_of_the_rest_are_the_inverse(codes):
    chosen = codes.column("oh_p50") < 8.7
    one, other = enrichment(codes, chosen), enrichment(codes, ~chosen)
    flip = {int(j): i for i, j in enumerate(other["feature"])}
    at = [flip[int(j)] for j in one["feature"]]
    np.testing.assert_allclose(one["odds"], 1 / other["odds"][at])
    np.testing.assert_allclose(one["low"], 1 / other["high"][at])
    np.testing.assert_allclose(one["p"], other["p"][at])


def test_a_selection_that_means_nothing_finds_nothing(codes):
    """Where nothing is special, about one random selection in twenty has a find at a false discovery rate of 5 %."""
    found = 0
    for seed in range(40):
        rows = np.random.default_rng(seed).permutation(600)[:100]
        found += bool((enrichment(codes, rows)["q"] < 0.05).any())
    assert found <= 6


def test_empty_cells_are_finite(gated_by_hand):
    table = enrichment(gated_by_hand, [0, 1])
    assert np.isfinite(table["odds"]).all() and np.isfinite(table["high"]).all() and (table["low"] > 0).all()
    always = table["feature"].tolist().index(0)
    assert table["odds"][always] == pytest.approx(2.5 * 2.5 / (0.5 * 0.5))  # fires on both, on neither of the rest
    assert table["p"][always] == pytest.approx(1 / 3)  # 2 of the 6 ways to choose 2 of 4 are as extreme


@pytest.fixture
def gated_by_hand() -> SparseCodes:
    """Four galaxies: feature 0 on the first two, feature 1 on the last two."""
    return SparseCodes.from_arrays(
        ids=list("abcd"), indices=[[0], [0], [1], [1]], values=[[1.0], [2.0], [1.0], [3.0]], k=1, features=3,
        weight=[[0.5, -0.5, 9.0]], bias=[8.7], targets=["oh_p50"], units=["dex"],
    )  # fmt: skip


def test_a_feature_that_is_silent_on_a_few_only_is_tested_exactly():
    """Expected counts of silence are small too: 3 silent of 200, 50 selected."""
    indices = np.where(np.arange(200)[:, None] < 3, 1, 0)
    codes = SparseCodes.from_arrays(
        ids=np.arange(200).astype(str), indices=indices, values=np.ones((200, 1)), k=1, features=2,
        weight=np.ones((1, 2)), bias=[0.0], targets=["y"],
    )  # fmt: skip
    table = enrichment(codes, np.arange(50))
    assert table["exact"].all() and table["p"] == pytest.approx([math.comb(50, 3) / math.comb(200, 3)] * 2)


@pytest.mark.parametrize("rows", [[], np.zeros(600, bool)])
def test_an_empty_selection_is_refused(codes, rows):
    with pytest.raises(SFNetError, match="No galaxy in view is selected"):
        enrichment(codes, np.array(rows, dtype=bool if len(rows) else int))


def test_a_selection_of_everything_is_refused(codes):
    with pytest.raises(SFNetError, match="no rest"):
        bpt_mix(codes, np.arange(600))
    with pytest.raises(SFNetError, match="no rest"):
        medians(codes, [1, 2], within=[1, 2])


@pytest.mark.parametrize("rows", [[600], [-1]])
def test_rows_outside_the_table_are_refused(codes, rows):
    with pytest.raises(SFNetError, match="600 galaxies"):
        enrichment(codes, rows)


def test_a_mask_of_another_length_is_refused(codes):
    with pytest.raises(SFNetError, match="mask of 3"):
        positions(codes, np.ones(3, dtype=bool))


def test_rows_named_twice_count_once(codes):
    assert positions(codes, [5, 2, 5]).tolist() == [2, 5]
    np.testing.assert_array_equal(enrichment(codes, [5, 2, 5])["fires"], enrichment(codes, [2, 5])["fires"])


# ---- rates


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(0, 12)] * 4))
def test_fisher_against_whole_numbers(cells):
    """The hypergeometric sum in exact fractions."""
    a, b, c, d = cells
    row, column, n = a + b, a + c, a + b + c + d
    chance = {
        x: Fraction(math.comb(column, x) * math.comb(n - column, row - x), math.comb(n, row))
        for x in range(max(0, row + column - n), min(row, column) + 1)
    }
    expected = sum(p for p in chance.values() if p <= chance[a])
    assert fisher_exact(*([x] for x in cells))[0] == pytest.approx(float(expected), rel=1e-9)


def test_fisher_of_large_tables_with_a_small_expectation():
    """250,000 galaxies, a feature on a handful: the sum in exact fractions again."""
    a, b, c, d = 4, 996, 250, 248_750
    row, column, n = a + b, a + c, a + b + c + d
    ways = [math.comb(column, x) * math.comb(n - column, row - x) for x in range(column + 1)]
    expected = Fraction(sum(way for way in ways if way <= ways[a]), math.comb(n, row))
    assert fisher_exact([a], [b], [c], [d])[0] == pytest.approx(float(expected), rel=1e-6)


def test_fisher_of_nothing():
    assert fisher_exact([], [], [], []).size == 0
    assert fisher_exact([0], [0], [0], [0])[0] == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.5))
def test_q_values_reject_what_the_step_up_procedure_rejects(p, rate):
    p = np.array(p)
    ordered = np.sort(p)
    # as q does: p · M / i ≤ rate, in the same arithmetic, so that a tie is no matter of rounding
    passing = [i for i in range(len(p)) if ordered[i] * len(p) / (i + 1) <= rate]
    limit = ordered[passing[-1]] if passing else -1.0
    np.testing.assert_array_equal(benjamini_hochberg(p) <= rate, p <= limit)


def test_q_values_of_nothing():
    assert benjamini_hochberg(np.array([])).size == 0


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_ends_solve_the_score_equation(pair):
    """|share − p| = z √(p (1 − p)/n) at both ends: the definition, not the formula."""
    count, n = pair
    low, high = (float(end) for end in wilson(count, n))
    assert 0 <= low <= count / n <= high <= 1
    for end, open_end in ((low, count > 0), (high, count < n)):
        if open_end:
            assert abs(count / n - end) == pytest.approx(Z95 * math.sqrt(end * (1 - end) / n), rel=1e-7)


def test_wilson_of_none_is_unknown():
    assert np.isnan(wilson(np.array([0]), 0)).all()


# ---- kinds and medians


def test_the_mix_counts_classes(codes):
    selection = np.arange(0, 200)
    mine, rest = bpt_mix(codes, selection)
    number = codes.column("bptclass")
    for mix, part in ((mine, number[:200]), (rest, number[200:])):
        expected = [np.isin(part, [1, 2]).sum(), (part == 3).sum(), (part == 4).sum(), (part == 5).sum()]
        assert mix.counts.tolist() == expected and mix.classified == sum(expected) and mix.unclassified == 0
        assert mix.share.sum() == pytest.approx(1)
        assert (mix.low <= mix.share).all() and (mix.share <= mix.high).all()


def test_classes_from_the_catalogues_numbers(codes):
    number = np.tile([1.0, 2.0, 3.0, 4.0, 5.0, -1.0, np.nan, 9.0], 75)
    kind = galaxy_classes(with_columns(codes, bptclass=number))
    assert [CLASSES[i] if i >= 0 else None for i in kind[:8]] == [
        "SF", "SF", "composite", "AGN", "LINER", None, None, None,
    ]  # fmt: skip
    mine, _ = bpt_mix(with_columns(codes, bptclass=number), np.arange(8))
    assert mine.classified == 5 and mine.unclassified == 3


def test_classes_from_fluxes_where_the_catalogue_has_no_classes(codes):
    from sfnet_core.astro.bpt import bpt_class_from_fluxes

    lines = ("nii_6584", "h_alpha", "oiii_5007", "h_beta")
    flux = {f"{line}_flux": codes.column(f"{line}_flux") for line in lines}
    error = {f"{line}_flux_err": codes.column(f"{line}_flux_err") for line in lines}
    for columns in (flux, flux | error, flux | error | {"bptclass": np.full(600, "4")}):
        number = bpt_class_from_fluxes(*(columns[name] for name in [*flux, *(error if len(columns) > 4 else [])]))
        kind = galaxy_classes(with_columns(codes, **columns))
        expected = [{1: 0, 2: 0, 3: 1, 4: 2, 5: 3}.get(int(x), -1) for x in number]
        assert kind.tolist() == expected and len(set(expected)) > 2
    assert galaxy_classes(with_columns(codes, z=np.ones(600))) is None
    assert bpt_mix(with_columns(codes, z=np.ones(600)), [1]) is None


def test_line_ratios(codes):
    n2, o3 = line_ratio(codes, "n2_ha"), line_ratio(codes, "o3_hb")
    np.testing.assert_allclose(n2, np.log10(codes.column("nii_6584_flux") / codes.column("h_alpha_flux")))
    np.testing.assert_allclose(o3, np.log10(codes.column("oiii_5007_flux") / codes.column("h_beta_flux")))
    assert line_ratio(with_columns(codes, z=np.ones(600)), "n2_ha") is None


def test_medians_of_both_groups(codes):
    selection = np.arange(0, 101)
    table = medians(codes, selection)
    assert table["column"] == [name for name in codes.columns if name != "bptclass"]
    for i, name in enumerate(table["column"]):
        values = codes.column(name)
        assert table["n"][i] == 101 and table["n_rest"][i] == 499
        assert table["median"][i] == np.median(values[:101]) and table["median_rest"][i] == np.median(values[101:])
        assert table["low"][i] <= table["median"][i] <= table["high"][i]
        assert table["unit"][i] == codes.column_units.get(name, "")


def test_what_was_not_measured_is_in_no_median(codes):
    values = np.ones(600)
    values[:5] = [np.nan, -9999, -999, -99, np.inf]
    table = medians(with_columns(codes, sfr=values), np.arange(10))
    assert (table["n"], table["median"], table["n_rest"]) == ([5], [1.0], [590])
    assert math.isnan(table["low"][0]), "five galaxies have no 95 % interval"


def test_a_median_of_nothing_is_unknown(codes):
    table = medians(with_columns(codes, z=np.full(600, np.nan)), [3])
    assert table["n"] == [0] and math.isnan(table["median"][0])


def test_a_median_of_texts_is_refused(codes):
    with pytest.raises(SFNetError, match="holds text"):
        medians(with_columns(codes, kind=np.full(600, "spiral")), [3], columns=["kind"])


@pytest.mark.parametrize("n", [*range(6, 60), 99, 100, 101, 250, 1000])
def test_the_medians_interval_covers_95_percent(n):
    """Exact coverage of the order statistics by the binomial, whatever the distribution."""
    from sfnet_core.analysis.enrichment import _median

    _, _, low, high = _median(np.arange(n, dtype=float))
    below = int(low)  # order statistic from 0: the median lies under it when at most that many values do
    assert high == n - 1 - below
    missed = 2 * sum(math.comb(n, i) for i in range(below + 1)) / 2**n
    assert 0.949 <= 1 - missed < 0.995


# ---- two groups


@pytest.mark.parametrize("mode", ["ablate", "refill"])
@pytest.mark.parametrize("off", [frozenset(), frozenset({0, 1, 2, 5, 7, 11})])
def test_comparison_sums_to_the_difference_of_mean_predictions(codes, mode, off):
    a, b = np.flatnonzero(codes.column("oh_p50") < 8.7), np.flatnonzero(codes.column("oh_p50") > 8.9)
    found = compare(codes, a, b, off=off, mode=mode)
    prediction = predict(codes, off=off, mode=mode)
    assert found.prediction_a == pytest.approx(prediction[a].mean(), abs=1e-12)
    assert found.prediction_b == pytest.approx(prediction[b].mean(), abs=1e-12)
    assert math.fsum(found.difference) == pytest.approx(found.total, abs=1e-12)
    assert not set(found.feature.tolist()) & off and found.unit == "dex"
    np.testing.assert_allclose(found.difference, found.a - found.b)
    assert (np.diff(np.abs(found.difference)) <= 0).all()
    assert sum(map(Fraction, found.texts(4))) == Fraction(f"{found.total:.4f}")


def test_comparison_of_two_galaxies(gated_by_hand):
    found = compare(gated_by_hand, [1], [3])
    assert found.feature.tolist() == [1, 0] and found.a.tolist() == [0, 1] and found.b.tolist() == [-1.5, 0]
    assert found.difference.tolist() == [1.5, 1] and found.total == 2.5 and found.texts(1) == ["1.5", "1.0"]
    assert (found.rate_a.tolist(), found.rate_b.tolist(), found.n_a) == ([0, 1], [1, 0], 1)
    assert found.prediction_a == gated_by_hand.prediction()[1] and found.bias == 8.7


def test_comparison_with_itself_is_nothing(codes):
    found = compare(codes, [3, 4], [3, 4])
    assert not found.difference.any() and found.total == 0


def test_comparison_refuses_what_it_cannot_do(codes):
    with pytest.raises(SFNetError, match="no galaxy"):
        compare(codes, [], [1])
    with pytest.raises(SFNetError, match="ablate"):
        compare(codes, [1], [2], mode="drop")
