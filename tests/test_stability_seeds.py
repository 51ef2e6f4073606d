"""Features over several trainings: scores against plain numpy, the null, refusals, and the file that keeps them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from sfnet_core.cli import run
from sfnet_core.codes import SparseCodes
from sfnet_core.errors import SFNetError
from sfnet_core.stability_file import Stability, read_stability, stability_path, write_stability
from sfnet_core.stability_seeds import report, stability

N, F, K, R = 120, 7, 3, 2


def made(seed: int = 0, n: int = N, features: int = F) -> np.ndarray:
    """(n, F) activations, each present on six galaxies of ten."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(n, features)) * (rng.uniform(size=(n, features)) < 0.6)


def codes_of(a: np.ndarray, *, ids=None, split=None, weight: int = 0, **provenance) -> SparseCodes:
    """Codes whose activations are ``a`` (n, F), cut to the k + r strongest."""
    order = np.argsort(-a, axis=1, kind="stable")[:, : K + R]
    values = np.take_along_axis(a, order, 1).astype(np.float32)
    return SparseCodes.from_arrays(
        ids=ids or [f"g{i:04d}" for i in range(len(a))],
        indices=np.where(values > 0, order, -1).astype(np.int16),
        values=values,
        k=K,
        features=a.shape[1],
        weight=np.random.default_rng(weight).normal(size=(1, a.shape[1])),
        bias=np.zeros(1),
        targets=["oh_p50"],
        units={"oh_p50": "dex"},
        split=np.full(len(a), "validation") if split is None else split,
        truth={},
        simulated=True,
        provenance=provenance,
    )


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


def test_every_training_has_its_agreement_with_the_rest_and_the_best_is_named(trained):
    found = stability(trained[0], trained[1:], permutations=5)
    dense = [dense_of(codes) for codes in trained]
    for t, one in enumerate((found.codes, *found.others)):
        wanted = np.mean([paired(dense[t], dense[u]) for u in range(3) if u != t])
        assert one.agreement == pytest.approx(wanted, abs=1e-6) and one.active == F
    best = max((found.codes, *found.others), key=lambda one: one.agreement)
    assert found.most_stable == best and best.name in report(found).split("agrees best with the rest: ")[1]
    assert stability(trained[0], trained[1:2], permutations=1).most_stable is None


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
    assert found.same == 1 and found.overlap == pytest.approx(1) and "All 7 features" in found.sentence


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
    assert run(["stability", *map(str, files)]) == 0
    words = capsys.readouterr().out
    assert "against 2 other trainings: 120 galaxies of all, validation split" in words and "Not stable: " in words
    path = stability_path(files[0])
    assert path.name == "seed-0.stability.json" and str(path) in words
    found = read_stability(path)
    opened = [SparseCodes.open(file) for file in files]
    assert found == stability(opened[0], opened[1:])
    assert found.codes.fingerprint == opened[0].fingerprint and found.others[1].name == "seed-2.parquet"
    assert run(["stability", *map(str, files), "--json", "--out", str(files[0].with_name("other.json"))]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["mean"] == found.mean and said["sentence"] == found.sentence and said["file"].endswith("other.json")
    assert [one["feature"] for one in said["features"]] == [one.feature for one in found.features]


def test_nothing_else_is_overwritten_and_a_folder_of_ones_own_serves(files, capsys, tmp_path, monkeypatch):
    labels = tmp_path / "seed-0.labels.json"
    labels.write_text('{"kind": "sfnet labels"}', encoding="utf-8")
    for out, words in ((labels, "holds no stability"), (files[0], "written to a .json file")):
        before = out.read_bytes()
        assert run(["stability", *map(str, files), "--out", str(out)]) == 2
        assert words in capsys.readouterr().err and out.read_bytes() == before
    monkeypatch.setenv("SFNET_LABELS", str(tmp_path / "mine"))
    assert run(["stability", *map(str, files)]) == 0
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
    assert all(text.isprintable() for one in (found.codes, *found.others) for text in (one.name, one.fingerprint))
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not readable as JSON"),
        (b"\xff\xfe{}", "not readable as JSON"),
        (b"[" * 100_000, "not readable as JSON"),
        (b'{"kind": "sfnet stability", "schema": NaN}', "not readable as JSON"),
        (b'{"kind": "sfnet labels"}', "no file of `sfnet stability`"),
        (b"[]", "no file of `sfnet stability`"),
        (b'{"kind": "sfnet stability", "schema": 99}', "has schema 99"),
        (b'{"kind": "sfnet stability", "schema": 1}', "`others` is missing"),
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
        with pytest.raises(SFNetError, match=r"no plain file|can't be read"):
            read_stability(tmp_path / f"{name}.stability.json")
