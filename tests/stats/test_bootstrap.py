"""The bootstrap: the rows that are drawn, its textbook width, groups, strata, pairs, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sfnet_core.stats import bootstrap
from sfnet_core.stats.bootstrap import (
    bootstrap_interval,
    percentile_interval,
    resample_counts,
    resampled,
    resamples_for,
)
from sfnet_core.stats.metrics import rmse
from sfnet_core.utils.errors import SFNetError


def counts_of(*arguments, **named) -> np.ndarray:
    return np.concatenate(list(resample_counts(*arguments, **named)))


def test_counts_are_those_of_rows_drawn_with_replacement():
    rng = np.random.default_rng(7)
    plain = [np.bincount(rng.integers(0, 40, 40), minlength=40) for _ in range(25)]
    assert np.array_equal(counts_of(40, 25, 7), plain)
    assert not np.array_equal(counts_of(40, 25, 8), plain)


@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_draws_do_not_depend_on_how_many_are_held_at_once(monkeypatch, block):
    whole = counts_of(30, 11, 3)
    monkeypatch.setattr(bootstrap, "BLOCK", block)
    blocks = list(resample_counts(30, 11, 3))
    assert np.array_equal(np.concatenate(blocks), whole)
    assert max(part.size for part in blocks) <= max(block, 30)


def test_any_statistic_of_rows_and_one_of_counts_agree():
    rng = np.random.default_rng(1)
    x = rng.normal(3, 1, 50)
    by_rows = bootstrap_interval(np.mean, x, resamples=200, seed=5)
    by_counts = percentile_interval(resampled(lambda counts: counts @ x / 50, 50, 200, 5))
    assert by_rows == pytest.approx(by_counts)
    assert by_rows.value == x.mean() and by_rows.low < by_rows.value < by_rows.high
    spread = bootstrap_interval(np.mean, x, resamples=200, seed=5, level=0.5)
    assert by_rows.low < spread.low < spread.high < by_rows.high


def test_the_width_is_the_textbooks():
    rng = np.random.default_rng(0)
    truth, prediction = np.zeros(400), rng.normal(0, 0.1, 400)
    found = bootstrap_interval(rmse, truth, prediction, resamples=500, seed=3)
    assert found == bootstrap_interval(rmse, truth, prediction, resamples=500, seed=3)
    # The standard error of a normal sample's RMSE is σ/√(2N); a 95 % interval is 3.92 of them wide.
    assert found.high - found.low == pytest.approx(3.92 * 0.1 / math.sqrt(800), rel=0.2)


def test_whole_groups_are_drawn():
    residual = np.repeat(np.random.default_rng(5).normal(0, 0.1, 100), 4)
    groups = np.repeat([f"object-{i}" for i in range(100)], 4)
    counts = counts_of(400, 5, groups=groups).reshape(-1, 100, 4)
    assert (counts == counts[..., :1]).all() and (counts[..., 0].sum(axis=1) == 100).all()
    rows = bootstrap_interval(rmse, np.zeros(400), residual, resamples=400)
    whole = bootstrap_interval(rmse, np.zeros(400), residual, resamples=400, groups=groups)
    # Four copies of each object: rows drawn singly make the interval too narrow by √4.
    assert (whole.high - whole.low) / (rows.high - rows.low) == pytest.approx(2.0, rel=0.25)


def test_strata_keep_their_size():
    strata = np.array([0, 1, 1, 0, 2, 1, 1])
    counts = counts_of(7, 50, strata=strata)
    for one in range(3):
        assert (counts[:, strata == one].sum(axis=1) == (strata == one).sum()).all()
    assert (counts[:, 4] == 1).all() and counts[:, :4].std() > 0


def test_differences_of_the_same_galaxies_are_paired():
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 0.1, 300)
    squares = np.stack([noise**2, (1.1 * noise) ** 2], axis=1)
    drawn = np.sqrt(resampled(lambda counts: counts @ squares / 300, 300))
    each, apart = percentile_interval(drawn), percentile_interval(drawn[:, 1] - drawn[:, 0])
    assert apart.low > 0 and apart.high - apart.low < 0.2 * (each.high - each.low).min()


def test_resamples_without_a_value_are_left_out():
    values = np.column_stack([[1.0, np.nan, 2.0, np.inf, 4.0], np.full(5, np.nan)])
    found = percentile_interval(values)
    assert (found.low[0], found.high[0]) == tuple(np.percentile([2.0, 4.0], [2.5, 97.5]))
    assert np.isnan(found.low[1]) and np.isnan(found.value[1])
    assert np.isnan(percentile_interval(np.array([3.0])).low) and percentile_interval(np.array([3.0])).value == 3.0


def test_large_tables_have_fewer_resamples():
    assert [resamples_for(n) for n in (0, 10, 15_000, 30_000, 10**6)] == [1000, 1000, 1000, 500, 200]
    assert resamples_for(10, 2000) == 2000 and resamples_for(10, 50) == 50


def test_what_cannot_be_drawn_is_refused():
    assert np.isnan(bootstrap_interval(lambda x: x.sum(), np.empty(0)).low)
    with pytest.raises(SFNetError, match="0 galaxies"):
        counts_of(0, 5)
    with pytest.raises(SFNetError, match="n=-1"):
        counts_of(3, -1)
    with pytest.raises(SFNetError, match="group labels"):
        bootstrap_interval(np.mean, np.zeros(3), groups=np.zeros(2))
    with pytest.raises(SFNetError, match="level=1"):
        bootstrap_interval(np.mean, np.zeros(3), level=1)
