"""Splits by object: nothing leaks, folds cover every row once, the seed decides, and the paper's own split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.data.splits import objects, paper_split, validation_mask
from sfnet_core.utils.errors import SFNetError


def names(n: int) -> np.ndarray:
    return np.array([f"g{i}" for i in range(n)])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 5))
def test_folds_hold_out_every_row_once_and_keep_groups_together(seed, folds):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 30, 120)
    masks = [validation_mask(names(120), seed=seed, fold=i, folds=folds, group=group) for i in range(folds)]
    assert (np.sum(masks, axis=0) == 1).all()
    for mask in masks:
        assert not set(group[mask]) & set(group[~mask])
        assert abs(mask.sum() - 120 / folds) < 25


def test_the_share_is_met_and_the_seed_decides():
    one, again, other = (validation_mask(names(1000), seed=seed, validation=0.2) for seed in (1, 1, 2))
    assert one.sum() == 200 and (one == again).all() and (one != other).any()
    assert not validation_mask(names(10), validation=0.0).any()


def brute_objects(ids, ra, dec, group) -> np.ndarray:
    """Joined pair by pair, positions by the angle between unit vectors, then walked: the plain way."""
    n = len(ids)
    lon, lat = np.radians(ra), np.radians(dec)
    v = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
    joined = np.linalg.norm(v[:, None] - v[None], axis=2) < np.radians(1 / 3600)
    joined |= (ids[:, None] == ids[None]) | ((group[:, None] == group[None]) & (group != "")[:, None])
    label = np.full(n, -1)
    for start in range(n):
        todo = [start] if label[start] < 0 else []
        while todo:
            i = todo.pop()
            if label[i] < 0:
                label[i] = start
                todo += np.flatnonzero(joined[i] & (label < 0)).tolist()
    return np.unique(label, return_inverse=True)[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(180.0, 0.0), (0.0, 89.9999), (359.99999, -45.0)]))
def test_objects_join_what_a_plain_search_joins(seed, place):
    rng = np.random.default_rng(seed)
    n = 40
    # places 20" apart, with up to 0.3" of scatter: no pair lies between 1" and 3.5", where joining is free
    at = rng.integers(0, 25, n)
    stretch = max(np.cos(np.radians(place[1])), 1e-6)
    ra = (place[0] + ((at % 5) * 20 + rng.uniform(-0.3, 0.3, n)) / 3600 / stretch) % 360
    dec = place[1] + ((at // 5) * 20 * np.sign(-place[1] or 1) + rng.uniform(-0.3, 0.3, n)) / 3600
    if abs(place[1]) > 89:
        ra, dec = np.full(n, place[0]), np.minimum(90, place[1] - at * 20 / 3600)
    ids = np.array([f"i{i}" for i in rng.integers(0, 60, n)])
    group = np.array(["" if g > 3 else f"c{g}" for g in rng.integers(0, 40, n)])
    assert (objects(ids, ra, dec, group) == brute_objects(ids, ra, dec, group)).all()


def test_missing_positions_and_groups_join_nothing():
    nan = np.full(4, np.nan)
    assert len(set(objects(names(4), nan, nan, nan))) == 4
    assert len(set(objects(names(4), None, None, np.array(["", "", "a", "a"])))) == 3
    assert objects(np.array(["x", "y", "x"])).tolist() == [0, 1, 0]


def test_a_long_chain_is_one_object():
    group = np.repeat(np.arange(2000), 2)[1:-1]
    ids = np.repeat(np.arange(1999), 2)
    assert len(set(objects(ids, group=group))) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fold": 0}, "both fold and folds"),
        ({"fold": 2, "folds": 2}, "no fold 2 of 2"),
        ({"fold": 0, "folds": 1}, "at least 2"),
        ({"validation": 1.0}, "below 1"),
        ({"group": np.zeros(10)}, "belong to 1 object"),
        ({"ra": np.zeros(10), "dec": np.zeros(10)}, "positions or the group column"),
        ({"validation": 0.001}, "empty"),
    ],
)
def test_mistakes_are_named(arguments, said):
    with pytest.raises(SFNetError, match=said):
        validation_mask(names(10), **arguments)


def test_the_papers_split():
    for n, first in ((117223, [56933, 114073, 48282, 43648, 95858]), (250207, [227409, 7297, 56752])):
        mask = paper_split(n)
        assert mask.sum() == int(0.2 * n) and mask[first].all()


@pytest.mark.parametrize("n", [0, 1, 2, 5, 1000, 117222])
def test_the_papers_split_is_torch_s(n):
    first = torch.randperm(n, generator=torch.Generator().manual_seed(256))[: int(0.2 * n)]
    np.testing.assert_array_equal(np.flatnonzero(paper_split(n)), np.sort(first.numpy()))
