"""Probes find what was planted and nothing else; handedness is at chance for what a mirror does not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

import sfnet_core.reports.faithful.sparse_probing as faithful_probe
from sfnet_core.astro.spiral_winding import winding
from sfnet_core.reports.faithful.sparse_probing import FEWEST, Folds, auc, chosen, probe
from sfnet_core.utils.errors import SFNetError


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    """Draws enough for a test."""
    for name, n in (("RESAMPLES", 300), ("SHUFFLES", 300), ("REFITS", 4)):
        monkeypatch.setattr(faithful_probe, name, n)


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    """Noise, but for columns 7 and 21; column 3 never varies. A fifth of the galaxies are in the class."""
    rng = np.random.default_rng(0)
    inside = rng.random(300) < 0.2
    columns = np.maximum(rng.normal(size=(300, 30)), 0)
    columns[:, 7] += 1.2 * inside
    columns[:, 21] -= 0.8 * inside
    columns[:, 3] = 1.0
    return columns, inside


def test_the_planted_features_are_chosen_and_scored(planted):
    columns, inside = planted
    folds = Folds(inside)
    assert chosen(columns, inside, 2).tolist() == [7, 21]
    one, two, every = (probe(columns, folds, k) for k in (1, 2, None))
    assert one["chosen"] == {"7": 5} and two["chosen"] == {"7": 5, "21": 5} and every["chosen"] == {}
    assert one["auc"]["value"] < two["auc"]["value"] and one["auc"]["low"] > one["null_high"]
    assert two["chance"] == pytest.approx(1 / 301) and abs(two["refitted"] - 0.5) < 0.1
    scores, guessed = np.zeros(300), np.zeros(300)
    each = []
    for test in folds.each:  # by scikit-learn alone
        train = np.setdiff1d(np.arange(300), test)
        some = (columns[:, [7, 21]] - columns[train][:, [7, 21]].mean(0)) / columns[train][:, [7, 21]].std(0)
        model = LogisticRegression(class_weight="balanced", tol=1e-9, max_iter=500).fit(some[train], inside[train])
        scores[test], guessed[test] = model.decision_function(some[test]), model.predict(some[test])
        each.append(roc_auc_score(inside[test], scores[test]))
    assert two["auc"]["value"] == pytest.approx(np.mean(each), abs=1e-9)
    assert two["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(inside, guessed), abs=1e-9)
    for name in ("auc", "balanced_accuracy"):
        assert two[name]["low"] < two[name]["value"] < two[name]["high"]
    width = two["auc"]["high"] - two["auc"]["low"]
    ones, others = inside.sum(), (~inside).sum()
    a = two["auc"]["value"]  # Hanley & McNeil (1982): the standard error of an AUC
    spread = a * (1 - a) + (ones - 1) * (a / (2 - a) - a**2) + (others - 1) * (2 * a**2 / (1 + a) - a**2)
    assert width == pytest.approx(2 * 1.96 * np.sqrt(spread / (ones * others)), rel=0.35)


def test_noise_is_at_chance(planted):
    columns, inside = planted
    found = probe(np.delete(columns, [7, 21], axis=1), Folds(inside), 5)
    assert found["null_low"] < found["auc"]["value"] < found["null_high"] and found["chance"] > 0.05
    assert found["null_low"] < 0.5 < found["null_high"]


def test_a_score_below_one_half_is_no_knowledge():
    """A column that points the other way in the scored fold: anti-correlated folds, as chance choices give them."""
    inside = np.arange(200) % 2 == 0
    folds = Folds(inside)
    column = np.zeros((200, 1))
    for i, test in enumerate(folds.each):
        column[test, 0] = np.where(inside[test], 1.0, -1.0) * (4 if i == 0 else -1)
    found = probe(column, folds, 1)
    assert found["auc"]["value"] < 0.5 and found["chance"] > 0.95


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60).flatmap(lambda n: st.tuples(
    arrays(np.int8, n, elements=st.integers(0, 5)), arrays(bool, n))))  # fmt: skip
def test_auc_is_scikit_learns_with_ties(drawn):
    scores, inside = drawn
    expected = roc_auc_score(inside, scores) if 0 < inside.sum() < len(inside) else 0.5
    assert auc(scores, inside) == pytest.approx(expected, abs=1e-12)


def test_objects_stay_together_and_small_classes_are_refused():
    rng = np.random.default_rng(2)
    objects = rng.integers(0, 60, 200)
    folds = Folds(rng.random(200) < 0.5, objects)
    of = np.empty(200, int)
    for i, test in enumerate(folds.each):
        of[test] = i
    assert all(len(set(of[objects == one])) == 1 for one in np.unique(objects))
    assert np.sort(np.concatenate(folds.each)).tolist() == list(range(200))
    with pytest.raises(SFNetError, match=f"{FEWEST - 1} galaxies is too small"):
        Folds(np.arange(100) < FEWEST - 1)


def spiral(rng: np.random.Generator, side: int = 64, arms: int = 2) -> np.ndarray:
    """A galaxy (side, side, 3) uint8 whose θ, towards the lower edge, grows with r along its arms."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    r, theta = np.hypot(x, y) + 1e-3, np.arctan2(y, x)
    light = np.exp(-r / rng.uniform(8, 14))
    wave = 1 + 0.7 * np.cos(arms * (theta - rng.uniform(1.5, 3) * np.log(r) - rng.uniform(0, 2 * np.pi)))
    image = 150 * light * wave + rng.normal(5, 2, (side, side))
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@settings(max_examples=15, deadline=None)
@given(arrays(np.uint8, (1, 24, 30, 3)))
def test_a_mirror_changes_the_sign_of_the_winding_exactly(cutout):
    found = winding(cutout)
    np.testing.assert_allclose(winding(cutout[:, :, ::-1]), -found, atol=1e-6)
    np.testing.assert_allclose(winding(cutout[:, ::-1]), -found, atol=1e-6)
    np.testing.assert_allclose(winding(cutout[:, ::-1, ::-1]), found, atol=1e-6)


@pytest.mark.parametrize("arms", [2, 3, 4])
def test_winding_knows_which_way_arms_wind(arms):
    rng = np.random.default_rng(arms)
    assert (winding(np.stack([spiral(rng, arms=arms) for _ in range(10)]))[:, arms - 1] > 1).all()


def test_mirrored_pairs_are_at_chance_for_what_a_mirror_does_not_change_and_plain_for_winding():
    rng = np.random.default_rng(3)
    images = np.stack([spiral(rng) for _ in range(40)])
    both = np.concatenate([images, images[:, :, ::-1]])
    handed, pair = np.arange(80) < 40, np.tile(np.arange(40), 2)
    folds = Folds(handed, pair)
    blind = np.abs(winding(both)).round(6)  # what is left of it in a mirror
    assert probe(blind, folds, 2)["auc"]["value"] == 0.5  # every galaxy ties with its mirror image
    assert probe(winding(both), folds)["auc"]["low"] > 0.95
