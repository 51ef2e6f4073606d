"""Features over several trainings: scores against plain numpy, the null, refusals, and the file that keeps them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from activations import codes_of, made
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from sfnet_core.analysis.stability.file import Stability, read_stability, stability_path, write_stability
from sfnet_core.analysis.stability.seeds import report, stability
from sfnet_core.cli.verbs import run
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError

N, F, K = 120, 7, 3  # galaxies, features and gate of `made` and `codes_of`


def dense_of(codes: SparseCodes) -> np.ndarray:
    """(n, F) stored activations, entry by entry."""
    out = np.zeros((len(codes), codes.features))
    for row in range(len(codes)):
        for j, value in zip(codes.indices[row], codes.values[row], strict=True):
            if j >= 0:
                out[row, j] = value
    return out


def paired(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(F,) correlation of each column with its counterpart in the best pairing, by numpy's own correlations."""
    rho = np.corrcoef(one.T, other.T)[: one.shape[1], one.shape[1] :]
    i, j = linear_sum_assignment(-rho)
    out = np.zeros(one.shape[1])
    out[i] = rho[i, j]
    return out


@pytest.fixture(scope="module")
def trained() -> list[SparseCodes]:
    """Three 'trainings': features 0 to 3 are shared, the others each one's own, all renumbered and rescaled."""
    shared, out = made(), []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        a = made(10 + seed)
        a[:, :4] = shared[:, :4] + 0.05 * made(20 + seed)[:, :4] * (shared[:, :4] > 0)
        out.append(codes_of(a[:, rng.permutation(F)] * rng.uniform(1, 3, F), weight=seed, seed=seed))
    return out


def test_scores_are_those_of_plain_numpy(trained):
    found = stability(trained[0], trained[1:], permutations=30)
    dense = [dense_of(codes) for codes in trained]
    each = np.array([paired(dense[0], other) for other in dense[1:]])  # (others, F)
    score = {one.feature: one for one in found.features}
    assert sorted(score) == list(range(F)) and found.n == N and found.split == "validation"
    for f in range(F):
        np.testing.assert_allclose(score[f].each, each[:, f], atol=1e-6)
        assert score[f].rho == pytest.approx(each[:, f].mean(), abs=1e-6)
        assert score[f].lowest == pytest.approx(each[:, f].min(), abs=1e-6)
        assert score[f].found == (each[:, f] > 0.9).mean()
        kept = (trained[0].indices[:, :K] == f) & (trained[0].values[:, :K] > 0)
        assert score[f].fires == kept.sum() and score[f].rate == pytest.approx(kept.sum() / N)
        for u, number in enumerate(score[f].counterpart):
            rho = np.corrcoef(dense[0][:, f], dense[u + 1][:, number])[0, 1]
            assert rho == pytest.approx(score[f].each[u], abs=1e-6)
    assert found.mean == pytest.approx(each.mean(), abs=1e-6) and found.same == (each > 0.9).mean()
    rho = [one.rho for one in found.features]
    assert rho == sorted(rho, reverse=True)
    assert [one.seed for one in (found.codes, *found.others)] == [1, 2, 3]


def agreement_of(dense: list[np.ndarray], kept: list[np.ndarray], pairing: list[np.ndarray]) -> np.ndarray:
    """(S,) for each training the mean ρ of its features over the others, each as often as it is kept, by np.corrcoef.

    ``pairing``: for each (s, u) in order of ``s != u`` the column of u that each column of s is paired with."""
    out, which = [], iter(pairing)
    for s in range(len(dense)):
        rho = np.zeros(dense[s].shape[1])
        for u in range(len(dense)):
            if u != s:
                j = next(which)
                rho += [np.corrcoef(dense[s][:, f], dense[u][:, j[f]])[0, 1] for f in range(len(j))]
        out.append(np.average(rho / (len(dense) - 1), weights=kept[s].sum(axis=0)))
    return np.array(out)


def test_every_training_has_its_agreement_with_the_rest_and_the_best_is_named(trained):
    found = stability(trained[0], trained[1:], permutations=5)
    dense, order = [dense_of(codes) for codes in trained], [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    kept = [dense_of(codes.take(np.arange(N))) > 0 for codes in trained]
    for codes, mask in zip(trained, kept, strict=True):
        for row in range(N):
            mask[row, codes.indices[row, K:][codes.indices[row, K:] >= 0]] = False
    pairing = []
    for s, u in order:
        rho = np.corrcoef(dense[s].T, dense[u].T)[:F, F:]
        pairing.append(linear_sum_assignment(-rho)[1])
    wanted = agreement_of(dense, kept, pairing)
    trainings = (found.codes, *found.others)
    np.testing.assert_allclose([one.agreement for one in trainings], wanted, atol=1e-6)
    assert all(one.active == F and one.low < one.agreement < one.high for one in trainings)
    best = max(trainings, key=lambda one: one.agreement)
    assert found.most_stable == best and best.tied and f"{best.name} agrees best with the rest" in report(found)
    assert stability(trained[0], trained[1:2], permutations=1).most_stable is None
    # the intervals against a plain bootstrap of the same statistic
    rng, drawn = np.random.default_rng(5), []
    for _ in range(200):
        rows = rng.integers(N, size=N)
        drawn.append(agreement_of([d[rows] for d in dense], [m[rows] for m in kept], pairing))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    np.testing.assert_allclose([one.low for one in trainings], low, atol=0.02)
    np.testing.assert_allclose([one.high for one in trainings], high, atol=0.02)


def test_trainings_that_agree_alike_are_a_tie_and_one_apart_is_not():
    shared = made(3, n=200)
    alike = [codes_of(shared + 0.3 * made(30 + u, n=200) * (shared > 0), weight=u) for u in range(4)]
    found = stability(alike[0], alike[1:], permutations=2)
    assert all(one.tied for one in (found.codes, *found.others)) and "a tie of all" in found.choice
    apart = codes_of(made(99, n=200), weight=9)
    found = stability(apart, alike, permutations=2)
    assert not found.codes.tied and all(one.tied for one in found.others)
    assert "not told apart from it" in found.choice and found.codes.agreement < 0.3 < found.codes.low + 0.3
    alone = [codes_of(0.25 * shared + made(40 + u, n=200), weight=u) for u in (1, 2, 3)]
    found = stability(codes_of(shared), alone, permutations=2)  # each of the three is a noisy copy of the first
    assert found.most_stable == found.codes and "agree less, by more than chance" in found.choice


def test_a_feature_that_fires_on_a_handful_of_galaxies_is_too_rare_to_say():
    a = made(4, n=150)
    a[:, 6] = 0
    a[:4, 6] = 50 + np.arange(4)
    found = stability(codes_of(a), [codes_of(a[:, ::-1], weight=1), codes_of(2 * a, weight=2)], permutations=20)
    score = {one.feature: one for one in found.features}
    assert score[6].rho > 0.99 and score[6].fires == 4 and score[6].rare and "fires on 4" in score[6].doubt
    assert not any(score[f].rare or score[f].doubt for f in range(6))
    assert "All 6 features that fire on at least 10 galaxies" in found.sentence
    assert "1 more fire on fewer than 10: too rare to judge" in found.sentence and "too rare to judge" in report(found)
    assert {one["feature"]: one["too_rare"] for one in found.as_dict()["features"]} == {f: f == 6 for f in range(7)}


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_renumbered_features_score_one_and_galaxies_out_of_order_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    a = made(seed)
    others = []
    for u in (1, 2):
        turn = rng.permutation(N)
        others.append(codes_of((2 * u * a[:, rng.permutation(F)])[turn], ids=[f"g{i:04d}" for i in turn], weight=u))
    found = stability(codes_of(a), others, permutations=20)
    for one in found.features:
        assert one.rho == pytest.approx(1, abs=1e-6) and one.found == 1 and not one.by_chance
        assert one.chance == pytest.approx(1 / 21)
    assert (
        found.same == 1
        and found.overlap == pytest.approx(1)
        and "All 7 features" in found.sentence
        and "too rare" not in found.sentence
    )


def test_shuffled_galaxies_score_as_the_null_says():
    a = made(5, n=200)
    others = [codes_of(a[np.random.default_rng(u).permutation(200)], weight=u) for u in (1, 2, 3)]
    found = stability(codes_of(a), others, permutations=200)
    assert abs(found.mean - found.null_mean) < 0.08 and found.same == 0
    assert abs(found.overlap - found.overlap_null) < 0.05
    assert all(one.rho < 0.4 and 0.0 < one.chance <= 1 for one in found.features)
    # 5 % above the 95th percentile is what is wanted of a null; of 7 features, 3 or more would be one in 260
    assert sum(not one.by_chance for one in found.features) <= 2
    assert "no better than with shuffled galaxies" in found.sentence and "not found above 0.9" in found.sentence


def test_the_null_tells_a_weak_but_real_likeness_from_chance():
    a, noise = made(1, n=300), made(2, n=300)
    found = stability(codes_of(a), [codes_of(0.5 * a + 0.5 * noise)], permutations=100)
    assert found.same == 0 and not any(one.by_chance for one in found.features)
    assert all(one.null_95 < one.rho < 0.9 for one in found.features)


def test_only_galaxies_held_out_by_all_are_taken_and_a_note_says_where_there_are_none():
    a = made()
    splits = [np.where((np.arange(N) >= low) & (np.arange(N) < low + 60), "validation", "train") for low in (0, 20, 30)]
    files = [codes_of(a[:, np.roll(np.arange(F), u)], split=split, weight=u) for u, split in enumerate(splits)]
    found = stability(files[0], files[1:], permutations=2)
    assert (found.n, found.split, found.notes) == (30, "validation", ())
    apart = codes_of(a[:, ::-1], split=np.where(np.arange(N) >= 60, "validation", "train"), weight=5)
    found = stability(files[0], [apart], permutations=2)
    assert (found.n, found.split) == (N, "") and "Only 0 galaxies were held out by all" in found.notes[0]
    with pytest.raises(SFNetError, match="There are 0 validation galaxies of all the trainings"):
        stability(files[0], [apart], split="validation")


def test_mistakes_are_said():
    one, other = codes_of(made()), codes_of(made(1))
    with pytest.raises(SFNetError, match="at least one other training"):
        stability(one, [])
    elsewhere = codes_of(made(1), ids=[f"x{i}" for i in range(N)])
    with pytest.raises(SFNetError, match="0 are in both: stability compares trainings on one dataset"):
        stability(one, [other, elsewhere])
    with pytest.raises(SFNetError, match="are of the same training, which always agrees with itself"):
        stability(one, [codes_of(made())])
    same = [codes_of(made(u), run_fingerprint="ab" * 12) for u in (1, 2)]
    with pytest.raises(SFNetError, match="are of the same training"):
        stability(one, same)


@pytest.fixture
def files(tmp_path, trained, monkeypatch):
    """The three trainings as files."""
    monkeypatch.delenv("SFNET_LABELS", raising=False)
    paths = [tmp_path / f"seed-{u}.parquet" for u in range(3)]
    for codes, path in zip(trained, paths, strict=True):
        codes.save(path)
    return paths


def test_one_command_measures_prints_and_writes_what_python_finds(files, capsys):
    assert run(["seeds", "stability", *map(str, files)]) == 0
    words = capsys.readouterr().out
    assert "against 2 other trainings: 120 galaxies of all, validation split" in words and "Not stable: " in words
    path = stability_path(files[0])
    assert path.name == "seed-0.stability.json" and str(path) in words
    found = read_stability(path)
    opened = [SparseCodes.open(file) for file in files]
    assert found == stability(opened[0], opened[1:])
    assert found.codes.fingerprint == opened[0].fingerprint and found.others[1].name == "seed-2.parquet"
    assert run(["seeds", "stability", *map(str, files), "--json", "--out", str(files[0].with_name("other.json"))]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["mean"] == found.mean and said["sentence"] == found.sentence and said["file"].endswith("other.json")
    assert [one["feature"] for one in said["features"]] == [one.feature for one in found.features]


def test_nothing_else_is_overwritten_and_a_folder_of_ones_own_serves(files, capsys, tmp_path, monkeypatch):
    labels = tmp_path / "seed-0.labels.json"
    labels.write_text('{"kind": "sfnet labels"}', encoding="utf-8")
    for out, words in ((labels, "holds no stability"), (files[0], "written to a .json file")):
        before = out.read_bytes()
        assert run(["seeds", "stability", *map(str, files), "--out", str(out)]) == 2
        assert words in capsys.readouterr().err and out.read_bytes() == before
    monkeypatch.setenv("SFNET_LABELS", str(tmp_path / "mine"))
    assert run(["seeds", "stability", *map(str, files)]) == 0
    assert (tmp_path / "mine" / "seed-0.stability.json").is_file() and not stability_path(files[0]).exists()


def document(trained) -> dict:
    return stability(trained[0], trained[1:], permutations=2).as_dict()


def test_what_is_written_is_read_again(trained, tmp_path):
    found = stability(trained[0], trained[1:], permutations=3)
    for _ in range(2):  # its own kind is replaced
        write_stability(tmp_path / "a.stability.json", found)
    assert read_stability(tmp_path / "a.stability.json") == found
    assert [p.name for p in tmp_path.iterdir()] == ["a.stability.json"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=6), some, max_size=3),
    max_leaves=8,
)


def places(value, path=()):
    """Paths to everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from places(one, (*path, key))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_with_anything_anywhere_is_read_or_refused_with_a_sentence(trained, tmp_path_factory, data):
    value = json.loads(json.dumps(document(trained)))
    path = data.draw(st.sampled_from(sorted(places(value), key=repr)))
    new = data.draw(JSON)
    if path:
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = new
    else:
        value = new
    file = tmp_path_factory.mktemp("hostile") / "x.stability.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    try:
        found = read_stability(file)
    except SFNetError as error:
        assert str(error).startswith("x.stability.json")
        return
    assert isinstance(found, Stability) and all(-1.01 <= one.rho <= 1.01 for one in found.features)
    assert len({one.feature for one in found.features}) == len(found.features) and found.sentence
    assert isinstance(found.choice, str) and all(one.tied in (True, False, None) for one in found.others)
    assert all(text.isprintable() for one in (found.codes, *found.others) for text in (one.name, one.fingerprint))
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"kind": "sfnet stability", "schema": NaN}', "not valid JSON"),
        (b'{"kind": "sfnet labels"}', "`kind`"),
        (b"[]", "not a JSON object"),
        (b'{"kind": "sfnet stability", "schema": 99}', "`schema` is 99"),
        (b'{"kind": "sfnet stability", "schema": 1}', "`schema` is 1; .*run `sfnet seeds stability` again"),
        (b'{"kind": "sfnet stability", "schema": 2}', "`codes` is missing"),
    ],
)
def test_garbage_is_refused(tmp_path, content, words):
    path = tmp_path / "x.stability.json"
    path.write_bytes(content)
    with pytest.raises(SFNetError, match=words):
        read_stability(path)


def test_what_is_no_plain_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.stability.json")
    (tmp_path / "folder.stability.json").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(SFNetError, match=r"is not a regular file|can't be read"):
            read_stability(tmp_path / f"{name}.stability.json")
