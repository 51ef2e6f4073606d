"""Matching the features of two trainings: against brute force, renumbered copies, noise, and shuffled galaxies."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from activations import codes_of, made
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.stability.matching import match_features
from sfnet_core.annotations.labels import LabelBook
from sfnet_core.cli.verbs import run
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_renumbered_training_with_its_galaxies_in_another_order_is_the_same(seed):
    a = made(seed=seed)
    rng = np.random.default_rng(seed)
    number, turn = rng.permutation(a.shape[1]), rng.permutation(len(a))
    other = np.zeros_like(a)
    other[:, number] = 3 * a  # feature j is called number[j], and its activations have another scale
    ids = [f"g{i:04d}" for i in turn]
    match = match_features(codes_of(a), codes_of(other[turn], ids=ids), permutations=3)
    assert {int(f): int(number[f]) for f in match.feature} == match.pairs()
    np.testing.assert_allclose(match.rho, 1, atol=1e-6)
    assert match.same == 1 and match.overlap == pytest.approx(1) and match.n == len(a) and match.split == "validation"
    np.testing.assert_allclose(match.rate, match.rate_counterpart)


def test_the_pairing_is_the_best_of_all_pairings():
    a, noise = made(n=60, features=5), made(n=60, features=5, seed=1)
    one, other = codes_of(a, k=2, r=3), codes_of(0.6 * a[:, ::-1] + 0.4 * noise, k=2, r=3)
    match = match_features(one, other, permutations=0)
    dense = []
    for codes in (one, other):
        full = np.zeros((60, 5))
        for i in range(60):
            for j, value in zip(codes.indices[i], codes.values[i], strict=True):
                if j >= 0:
                    full[i, j] = value
        dense.append(full)
    rho = np.corrcoef(*[d.T for d in dense])[:5, 5:]
    best = max(permutations(range(5)), key=lambda p: sum(rho[i, p[i]] for i in range(5)))
    assert dict(zip(match.feature.tolist(), match.counterpart.tolist(), strict=True)) == dict(enumerate(best))
    np.testing.assert_allclose(match.rho, sorted((rho[i, best[i]] for i in range(5)), reverse=True), atol=1e-6)
    assert (np.diff(match.rho) <= 0).all()


def test_unrelated_trainings_are_no_better_than_shuffled_galaxies():
    match = match_features(codes_of(made(n=200)), codes_of(made(n=200, seed=9)))
    low, high = match.null
    assert low - 0.1 < match.mean < high + 0.05 and match.same == 0
    assert abs(match.overlap - match.overlap_null) < 0.05 < 0.2


def test_features_without_a_counterpart_are_named_and_count_as_not_found():
    a = made(features=6)
    fewer = codes_of(a[:, :4], k=2)
    match = match_features(codes_of(a, k=2, r=4), fewer, permutations=0)
    assert len(match.feature) == 4 and set(match.unmatched) | set(match.feature) == set(range(6))
    assert match.same == pytest.approx(4 / 6)


def test_validation_galaxies_of_both_are_taken_where_there_are_enough():
    a = made(n=100)
    split = np.where(np.arange(100) < 40, "validation", "train")
    other = np.where(np.arange(100) < 30, "validation", "train")
    one, two = codes_of(a, split=split), codes_of(a, split=other)
    assert match_features(one, two, permutations=0).n == 30
    assert match_features(one, two, split="", permutations=0).n == 100
    few = codes_of(a, split=np.where(np.arange(100) < 10, "validation", "train"))
    assert match_features(one, few, permutations=0).split == ""


def test_mistakes_are_said():
    a = made(n=100)
    with pytest.raises(SFNetError, match="There are 0 galaxies in both; matching features needs at least 20"):
        match_features(codes_of(a), codes_of(a, ids=[f"x{i}" for i in range(100)]))
    with pytest.raises(SFNetError, match="0 test galaxies of both"):
        match_features(codes_of(a), codes_of(a), split="test")
    with pytest.raises(SFNetError, match="No feature is active"):
        match_features(codes_of(a), codes_of(np.zeros((100, 7))))


@pytest.fixture
def files(tmp_path):
    """Two codes files whose features are each other's in reverse."""
    a = made(n=100)
    for name, activations in (("new", a), ("old", 2 * a[:, ::-1])):
        codes_of(activations, k=4, r=3).save(tmp_path / f"{name}.parquet")
    return tmp_path / "new.parquet", tmp_path / "old.parquet"


def test_the_shell_says_what_python_finds(files, capsys):
    new, old = files
    assert run(["seeds", "match", str(new), str(old), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    found = match_features(SparseCodes.open(new), SparseCodes.open(old))
    assert {p["feature"]: p["counterpart"] for p in said["pairs"]} == {f: 6 - f for f in range(7)} == found.pairs()
    assert said["n"] == 100 and said["mean"] == found.mean and said["null_mean"] == found.null[0] < 0.5
    assert run(["seeds", "match", str(new), str(old)]) == 0
    words = capsys.readouterr().out
    assert "100 galaxies of both, validation split" in words and "100% of 7 active features" in words


def test_labels_go_along_with_their_features(files, capsys):
    new, old = files
    assert run(["seeds", "match", str(new), str(old), "--carry-labels"]) == 2
    assert "There are no labels beside old.parquet" in capsys.readouterr().err
    there = LabelBook.open(SparseCodes.open(old))
    there.set_feature(1, label="blue arms", note="seen on 12 galaxies")
    there.set_feature(6, label="theirs")
    here = LabelBook.open(SparseCodes.open(new))
    here.set_feature(0, label="ours")
    assert run(["seeds", "match", str(new), str(old), "--carry-labels"]) == 0
    assert "1 labels carried over" in capsys.readouterr().out
    here = LabelBook.open(SparseCodes.open(new))
    assert (here.feature(5).label, here.feature(5).note) == ("blue arms", "seen on 12 galaxies")
    assert here.feature(0).label == "ours"  # f6 of the old codes does not take its place
