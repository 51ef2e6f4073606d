"""A consensus of trainings: its sum against plain loops, its groups against brute force, its file, its page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.consensus_codes import LOWERS, consensus
from sfnet_core.analysis.consensus_report import as_dict, errors
from sfnet_core.analysis.interpret import contributions, predict
from sfnet_core.analysis.stability.groups import grouped
from sfnet_core.annotations.labels import LabelBook
from sfnet_core.cli.verbs import run
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.atlas.page import Atlas
from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.reports.paper.accuracy import by_k
from sfnet_core.reports.paper.basis import Basis
from sfnet_core.utils.errors import SFNetError

N, F, K, R, S, SHARED = 160, 8, 4, 2, 3, 4
CELLS = (2, 3)
SIGN = np.array([1, -1, 1, -1])


def codes_of(a: np.ndarray, weight: np.ndarray, seed: int, *, ids=None, split=None, **more) -> SparseCodes:
    """Codes with activations ``a`` (n, F), cut to the k + r strongest, with maps, a truth and a D4 mean."""
    order = np.argsort(-a, axis=1, kind="stable")[:, : K + R]
    values = np.take_along_axis(a, order, 1).astype(np.float32)
    rng = np.random.default_rng(seed)
    shape = rng.dirichlet(np.ones(np.prod(CELLS)), size=values[:, :K].shape).reshape(-1, K, *CELLS)
    given = {
        "ids": [f"g{i:04d}" for i in range(len(a))] if ids is None else ids,
        "split": np.where(np.arange(len(a)) < 100, "validation", "train") if split is None else split,
        "truth": np.random.default_rng(99).normal(8.7, 0.2, len(a)),
        "maps": (shape * values[:, :K, None, None] * np.prod(CELLS)).astype(np.float32),
        "prediction_d4": rng.normal(8.7, 0.2, len(a)),
        "provenance": {"seed": seed, "dataset_fingerprint": "ab" * 12, "crop": 96, "run": f"run-{seed}"},
    } | more
    return SparseCodes.from_arrays(
        indices=np.where(values > 0, order, -1).astype(np.int16), values=values, k=K, features=a.shape[1],
        weight=weight[None], bias=np.array([8.6 + seed / 100]), targets=["oh_p50"], units={"oh_p50": "dex"},
        simulated=True, **given,
    )  # fmt: skip


def made(seed: int, n: int = N, features: int = F) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(n, features)) * (rng.uniform(size=(n, features)) < 0.6)


def trainings(signs: np.ndarray = SIGN, **more) -> tuple[list[SparseCodes], list[np.ndarray]]:
    """Three 'trainings' and, for each, where the four shared features are; the others are each one's own."""
    shared, files, where = made(0), [], []
    for seed in range(1, S + 1):
        rng = np.random.default_rng(seed)
        a, number = made(10 + seed), rng.permutation(F)
        a[:, :SHARED] = 3 * (shared[:, :SHARED] + 0.03 * made(20 + seed)[:, :SHARED] * (shared[:, :SHARED] > 0))
        weight = rng.normal(size=F)
        weight[:SHARED] = signs * rng.uniform(0.1, 0.3, SHARED)
        out, w = np.zeros_like(a), np.zeros(F)
        scale = rng.uniform(1, 2, F)
        out[:, number], w[number] = a * scale, weight / scale
        files.append(codes_of(out, w, seed, **more))
        where.append(number[:SHARED])
    return files, where


@pytest.fixture(scope="module")
def three():
    files, where = trainings()
    return files, where, consensus(files)


def test_the_features_that_were_shared_are_found_and_no_others(three):
    _, where, found = three
    members = {group.members for group in found.groups}
    assert members == {tuple((s, int(where[s][j])) for s in range(S)) for j in range(SHARED)}
    for group in found.groups:
        j = next(j for j in range(SHARED) if group.members[0][1] == where[0][j])
        assert group.sign == SIGN[j] == found.codes.weight[0, group.feature] and group.rho > 0.9
    assert found.n == 100 and found.split == "validation" and found.names[0].startswith("codes ")
    size = [np.abs(contributions(found.codes))[found.codes.indices == group.feature].sum() for group in found.groups]
    assert size == sorted(size, reverse=True)


def test_bias_and_terms_and_what_is_not_shared_are_the_mean_prediction(three):
    files, _, found = three
    codes = found.codes
    number = {member: group.feature for group in found.groups for member in group.members}
    for row in range(N):
        wanted = np.zeros(SHARED + 2)
        for s, one in enumerate(files):
            for slot in range(K):
                feature, value = int(one.indices[row, slot]), float(one.values[row, slot])
                if feature < 0:
                    continue
                term = one.weight[0, feature] * value / S
                wanted[number.get((s, feature), SHARED if term > 0 else SHARED + 1)] += term
        got = np.zeros(SHARED + 2)
        for slot in range(codes.k):
            if codes.indices[row, slot] >= 0:
                got[codes.indices[row, slot]] = codes.weight[0, codes.indices[row, slot]] * codes.values[row, slot]
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        mean = np.mean([one.prediction()[row] for one in files])
        assert codes.bias[0] + got.sum() == pytest.approx(mean, abs=2e-6)
    np.testing.assert_allclose(codes.prediction(), np.mean([one.prediction() for one in files], axis=0), atol=2e-6)
    np.testing.assert_allclose(codes.prediction_d4(), np.mean([one.prediction_d4() for one in files], axis=0))
    assert set(np.abs(codes.weight[0])) == {1.0} and codes.runners_up == 0 and np.isnan(codes.margin).all()


def test_the_maps_of_a_term_are_its_members_maps(three):
    files, _, found = three
    codes = found.codes
    rows = np.array([0, 3, 7, 150])
    maps = codes.maps(rows)
    np.testing.assert_allclose(maps.mean(axis=(2, 3)), codes.values[rows, : codes.k], atol=1e-5)
    total = (maps * codes.weight[0][codes.indices[rows, : codes.k]][:, :, None, None]).sum(axis=1)  # (4, h, w)
    wanted = [
        (one.maps(rows) * (one.weight[0][one.indices[rows, :K]] / S)[:, :, None, None]).sum(axis=1) for one in files
    ]
    np.testing.assert_allclose(total, np.sum(wanted, axis=0), atol=1e-5)


def test_galaxies_in_another_order_or_missing_change_nothing_for_the_rest(three):
    files, _, found = three
    turn = np.random.default_rng(4).permutation(N)[: N - 5]
    again = consensus([files[0], files[1].take(turn), files[2]])
    assert set(again.codes.ids) == set(files[1].ids[turn]) and len(again.codes) == N - 5
    at = [found.codes.index_of(name) for name in again.codes.ids]
    np.testing.assert_allclose(again.codes.prediction(), found.codes.prediction()[at], atol=1e-6)
    np.testing.assert_array_equal(again.codes.truth(), found.codes.truth()[at])


def test_features_whose_weights_differ_in_sign_are_not_put_together():
    files, where = trainings()
    weight = files[2].weight[0].copy()
    weight[where[2][0]] *= -1
    flipped = SparseCodes.from_arrays(
        ids=files[2].ids, indices=files[2].indices, values=files[2].values, k=K, features=F, weight=weight[None],
        bias=files[2].bias, targets=["oh_p50"], split=files[2].split, truth=files[2].truth(), simulated=True,
        provenance=files[2].provenance,
    )  # fmt: skip
    found = consensus([*files[:2], flipped])
    group = next(group for group in found.groups if (0, int(where[0][0])) in group.members)
    assert [s for s, _ in group.members] == [0, 1] and found.codes.map_shape is None  # one file has no maps
    with pytest.raises(SFNetError, match="no consensus") as error:
        consensus([files[0], flipped], above=0.9999)
    assert "found above 0.9999 in 2 of the 2" in str(error.value)
    assert not any(len(group.members) < 3 for group in consensus([*files[:2], flipped], least=3).groups)


def test_a_feature_on_a_handful_of_galaxies_joins_no_group():
    files, _ = trainings()
    rare = []
    for one in files:
        a = np.zeros((N, F + 1))
        row, slot = np.nonzero(one.indices >= 0)
        a[row, one.indices[row, slot]] = one.values[row, slot]
        a[:9, F] = 50  # on 9 of the galaxies compared, the same in all trainings: ρ = 1
        rare.append(codes_of(a, np.append(one.weight[0], 0.1), int(one.provenance["seed"])))
    assert all((s, F) not in group.members for s in range(S) for group in consensus(rare).groups)


def test_a_galaxy_that_one_training_learned_from_counts_as_trained_on():
    files, _ = trainings()
    other = np.where(np.arange(N) < 90, "validation", np.where(np.arange(N) < 120, "test", "train"))
    shifted = SparseCodes.from_arrays(
        ids=files[1].ids, indices=files[1].indices, values=files[1].values, k=K, features=F, weight=files[1].weight,
        bias=files[1].bias, targets=["oh_p50"], split=other, truth=files[1].truth(), simulated=True,
        provenance=files[1].provenance,
    )  # fmt: skip
    split = consensus([files[0], shifted, files[2]]).codes.split
    assert (split[:90] == "validation").all() and (split[90:100] == "").all() and (split[100:] == "train").all()


def naive(units, signs, above) -> set[frozenset]:
    """Average linkage with features that may not meet, by looking at all pairs of groups each time."""
    groups = [[(s, c)] for s in range(len(units)) for c in range(units[s].shape[1])]
    while True:
        best = (above, None)
        for x in range(len(groups)):
            for y in range(x):
                if {s for s, _ in groups[x]} & {s for s, _ in groups[y]}:
                    continue
                if len({signs[s][c] >= 0 for s, c in groups[x] + groups[y]}) > 1:
                    continue
                rho = np.mean([units[s][:, c] @ units[u][:, d] for s, c in groups[x] for u, d in groups[y]])
                if rho > best[0]:
                    best = (rho, (x, y))
        if best[1] is None:
            return {frozenset(group) for group in groups}
        x, y = best[1]
        groups[x] += groups[y]
        del groups[y]


@given(st.integers(0, 10_000), st.floats(0.05, 0.9))
@settings(max_examples=15, deadline=None)
def test_groups_are_those_of_plain_average_linkage(seed, above):
    rng = np.random.default_rng(seed)
    base, units = rng.normal(size=(30, 3)), []
    for _ in range(4):
        a = np.concatenate([base + rng.normal(size=(30, 3)), rng.normal(size=(30, 2))], axis=1)[:, rng.permutation(5)]
        a -= a.mean(axis=0)
        units.append(a / np.linalg.norm(a, axis=0))
    signs = [rng.choice([-1.0, 1.0], 5, p=[0.2, 0.8]) for _ in range(4)]
    found = {frozenset(group): rho for group, rho in grouped(units, signs, above, 1)}
    assert set(found) == naive(units, signs, above)
    for group, rho in found.items():
        members = sorted(group)
        pairs = [units[s][:, c] @ units[u][:, d] for i, (s, c) in enumerate(members) for u, d in members[:i]]
        assert not pairs or rho == pytest.approx(np.mean(pairs))
    least = {frozenset(group) for group, _ in grouped(units, signs, above, 3)}
    assert least == {group for group in found if len(group) >= 3}


def test_errors_are_those_of_plain_numpy(three):
    files, _, found = three
    got = errors(found, files)
    truth, use = files[0].truth(), np.arange(N) < 100

    def rmse(prediction):
        return float(np.sqrt(np.mean((prediction - truth)[use] ** 2)))

    np.testing.assert_allclose(got["each"], [rmse(one.prediction()) for one in files])
    assert got["consensus"] == pytest.approx(rmse(np.mean([one.prediction() for one in files], axis=0)), abs=1e-6)
    rest = found.codes.prediction() - predict(found.codes, off={SHARED, SHARED + 1})
    shared = found.codes.prediction() - rest + rest[~use].mean()
    assert got["shared_part"] == pytest.approx(rmse(shared), abs=1e-6) and got["n"] == 100
    assert got["consensus_over_mean"]["ratio"] == pytest.approx(got["consensus"] / np.mean(got["each"]))
    assert got["consensus_over_mean"]["low"] < got["consensus_over_mean"]["ratio"] < got["consensus_over_mean"]["high"]
    about = as_dict(found, files)
    terms = contributions(found.codes)
    each = [np.abs(terms)[found.codes.indices == f].sum() for f in range(SHARED + 2)]
    assert about["shared"] == pytest.approx(sum(each[:SHARED]) / sum(each))
    assert about["not_shared"]["lowers"] == pytest.approx(-each[-1] / N) and about["not_shared"]["raises"] > 0


def test_mistakes_are_said(three):
    files, _, _ = three
    for some, target, words in (
        (files[:1], 0, "at least one other training"),
        ([*files[:2], files[0]], 0, "of the same training"),
        (files[:2], "oh", "no target 'oh'"),
    ):
        with pytest.raises(SFNetError, match=words):
            consensus(some, target=target)
    for how in ({"above": 0.0}, {"least": 1}, {"least": 4}):
        with pytest.raises(SFNetError, match="A consensus needs ρ above 0"):
            consensus(files, **how)
    apart, _ = trainings(provenance={"dataset_fingerprint": "cd" * 12})
    with pytest.raises(SFNetError, match="different datasets"):
        consensus([files[0], apart[1]])


def test_the_command_writes_codes_that_the_pages_open_with_their_features_named(three, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("SFNET_LABELS", raising=False)
    files, _, found = three
    paths = [tmp_path / f"seed-{s}.parquet" for s in range(S)]
    for one, path in zip(files, paths, strict=True):
        one.save(path)
    out = tmp_path / "shared.parquet"
    assert run(["seeds", "consensus", *map(str, paths), "--out", str(out)]) == 0
    words = capsys.readouterr().out
    assert "4 features are found above 0.9 in 2 or more of 3 trainings" in words and "seed-1.parquet f" in words
    assert "consensus, the mean of their predictions" in words
    codes = SparseCodes.open(out)  # every check of a codes file is passed
    np.testing.assert_array_equal(codes.indices, found.codes.indices)
    np.testing.assert_allclose(codes.maps(np.arange(5)), found.codes.maps(np.arange(5)))
    book = LabelBook.open(codes)
    assert book.feature(0).label == "in 3 of 3 trainings" and "seed-0.parquet f" in book.feature(0).note
    assert book.feature(SHARED + 1).label == LOWERS
    book.set_feature(0, label="mine")
    assert run(["seeds", "consensus", *map(str, paths), "--out", str(out), "--json"]) == 0
    said = capsys.readouterr()
    about = json.loads(said.out)
    assert LabelBook.open(codes).feature(0).label == "mine" and "not written as labels" in said.err
    assert about["rmse"]["consensus"] == pytest.approx(errors(found, files)["consensus"]) and len(about["groups"]) == 4
    assert run(["seeds", "consensus", *map(str, paths), "--out", str(paths[1])]) == 2
    assert "is one of the trainings' codes" in capsys.readouterr().err

    page = Explorer(codes)
    assert page.state.fourth != "residual_margin"  # there is no gate, so no margin
    assert "Consensus of 3 trainings" in " ".join(page.header.data["facts"])
    assert "no gate: below" in page.k_slider.data["note"]
    page.state.change(off=frozenset({SHARED, SHARED + 1}), split="validation")
    wanted = np.sqrt(np.mean((predict(codes, off={SHARED, SHARED + 1}) - codes.truth())[:100] ** 2))
    assert f"{wanted:.4f}" in json.dumps(page.header.data)
    for k in (1, codes.k):
        page.state.change(k=k)
    page.state.change(mode="refill", feature=0)
    names = {row["feature"]: row["label"] for row in page.toggles.data["rows"]}
    assert LOWERS in names[SHARED + 1]
    atlas = Atlas(codes)
    assert len(atlas.card_grid.data["cards"]) == SHARED + 2
    said = " ".join(by_k(Basis(atlas.statistics, "validation", 0, str, None)).said)
    assert "has no gate" in said and "were trained at k" not in said
