"""Sparse codes on disk: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import runpy
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sfnet_core.codes.table import SparseCodes, check_dataset
from sfnet_core.data.packing import pack
from sfnet_core.utils.errors import SetAside, SFNetError

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]


def from_dense(activations: np.ndarray, k: int, r: int, weight: np.ndarray, bias: np.ndarray, **more) -> SparseCodes:
    """Codes from (N, F) activations, row by row in plain Python: the k + r largest, ties to the lowest feature."""
    n, features = activations.shape
    indices = np.full((n, k + r), -1)
    values = np.zeros((n, k + r), dtype=np.float32)
    for i, row in enumerate(activations):
        best = sorted(range(features), key=lambda j: (-row[j], j))[: k + r]
        for slot, j in enumerate(best):
            if row[j] > 0:
                indices[i, slot], values[i, slot] = j, row[j]
    more.setdefault("targets", [f"t{t}" for t in range(len(weight))])
    more.setdefault("ids", [f"g{i}" for i in range(n)])
    return SparseCodes.from_arrays(
        indices=indices, values=values, k=k, features=features, weight=weight, bias=bias, **more
    )


@pytest.fixture
def codes() -> SparseCodes:
    return simulated_codes(300, features=40, k=3, runners_up=5, seed=3, map_shape=(2, 3))


@pytest.fixture
def saved(codes, tmp_path) -> Path:
    codes.save(tmp_path / "codes.parquet")
    return tmp_path / "codes.parquet"


def rewrite(path: Path, *, columns: dict | None = None, drop: tuple = (), header: dict | None = None) -> Path:
    """The same file with some columns replaced or dropped and some header fields changed, as another tool might."""
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    if header is not None:
        metadata[b"sfnet"] = json.dumps(json.loads(metadata[b"sfnet"]) | header).encode()
    for name, array in (columns or {}).items():
        table = table.set_column(table.column_names.index(name), name, array)
    table = table.drop_columns(list(drop)).replace_schema_metadata(metadata)
    pq.write_table(table, path)
    return path


def lists(array: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1), kind), array.shape[1])


# ---- what goes in comes out


def test_everything_survives_the_file(tmp_path):
    rng = np.random.default_rng(0)
    n = 9000  # more than a row group
    activations = np.maximum(rng.normal(0, 1, (n, 6)), 0).astype(np.float32)
    maps = rng.random((n, 2, 1, 2), dtype=np.float32)
    weight, bias = rng.normal(size=(2, 6)), rng.normal(size=2)
    truth = {"oh_p50": np.where(np.arange(n) % 7 == 0, np.nan, rng.normal(size=n))}
    columns = {
        "ra": rng.uniform(0, 360, n),
        "dec": rng.uniform(-90, 90, n),
        "z": rng.random(n).astype(np.float32),
        "plate": rng.integers(0, 2**62, n),
        "ok": rng.random(n) < 0.5,
        "note": np.array(["", "spiral ✓", '<img src=x onerror="x">', "=1+1\x00\n"] * (n // 4), dtype=object),
        "gap": np.where(np.arange(n) % 3 == 0, np.nan, 1.5),
        "margin": np.arange(n),  # a name that the format needs
    }
    codes = from_dense(
        activations,
        2,
        3,
        weight,
        bias,
        ids=[f"12376575878911{i:05d}" for i in range(n)],
        targets=["oh_p50", "log_ha"],
        units={"oh_p50": "dex"},
        split=np.array(["train", "validation", "test"] * (n // 3)),
        truth=truth,
        prediction_d4=rng.normal(size=(n, 2)),
        columns=columns,
        column_units={"z": "1", "margin": "mm"},
        maps=maps,
        simulated=True,
        provenance={"dataset_fingerprint": "abc", "crop": np.int64(96), "notes": ["The pixel scale is unknown."]},
        set_aside=[SetAside("corrupt image", row=7, id="g7")],
    )
    codes.save(tmp_path / "a.parquet")
    read = SparseCodes.open(tmp_path / "a.parquet")
    for name in ("ids", "indices", "values", "weight", "bias", "split", "margin", "ra", "dec", "feature_ids"):
        assert np.array_equal(getattr(codes, name), getattr(read, name)), name
        assert getattr(read, name).dtype.kind == getattr(codes, name).dtype.kind, name
    assert read.indices.dtype == np.int16 and read.values.dtype == np.float32 and read.margin.dtype == np.float32
    for target in ("oh_p50", 1):
        assert np.array_equal(codes.truth(target), read.truth(target), equal_nan=True)
        assert np.array_equal(codes.prediction(target), read.prediction(target))
        assert np.array_equal(codes.prediction_d4(target), read.prediction_d4(target))
    assert np.isnan(read.truth("log_ha")).all()
    assert read.columns == ["z", "plate", "ok", "note", "gap", "catalogue_margin"]
    for name in read.columns:
        before, after = columns[name.removeprefix("catalogue_")], read.column(name)
        assert np.array_equal(np.asarray(before, dtype=after.dtype), after, equal_nan=after.dtype.kind == "f"), name
    assert read.column("note").dtype.kind == "U" and read.column("plate").dtype == np.int64
    assert read.column_units == {"z": "1", "catalogue_margin": "mm"}
    rows = [8999, 0, 8191, 8192, 5]
    assert np.array_equal(read.maps(rows), maps[rows]) and read.map_shape == (1, 2)
    assert (read.k, read.runners_up, read.features, read.targets) == (2, 3, 6, ["oh_p50", "log_ha"])
    assert read.units == {"oh_p50": "dex", "log_ha": ""} and read.simulated
    assert read.provenance == {"dataset_fingerprint": "abc", "crop": 96, "notes": ["The pixel scale is unknown."]}
    assert read.set_aside == codes.set_aside and read.fingerprint == codes.fingerprint
    read.save(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_activations_survive(tmp_path, data):
    features = data.draw(st.integers(1, 6))
    k = data.draw(st.integers(1, features))
    r = data.draw(st.integers(0, features - k))
    rows = st.lists(st.sampled_from([0.0, 0.5, 0.5, 1.0, 3e-39, 2e30]), min_size=features, max_size=features)
    dense = np.array(data.draw(st.lists(rows, min_size=0, max_size=5)), dtype=np.float32).reshape(-1, features)
    weight = np.array([data.draw(st.lists(st.floats(-9, 9), min_size=features, max_size=features))])
    codes = from_dense(dense, k, r, weight, np.array([0.25]))
    codes.save(tmp_path / "c.parquet")
    read = SparseCodes.open(tmp_path / "c.parquet")
    assert np.array_equal(read.indices, codes.indices) and np.array_equal(read.values, codes.values)
    assert ((read.indices[:, :k] >= 0).sum(axis=1) <= k).all()
    for i in range(len(dense)):  # the identity, in plain Python
        kept = sorted(range(features), key=lambda j: (-dense[i, j], j))[:k]
        plain = 0.25 + sum(float(weight[0, j]) * float(dense[i, j]) for j in kept)
        assert read.prediction()[i] == pytest.approx(plain, rel=1e-12, abs=1e-12)
        if r:
            ordered = sorted(dense[i], reverse=True)
            assert read.margin[i] == np.float32(ordered[k - 1]) - np.float32(ordered[k])


def test_take_follows_the_rows(codes, saved):
    for whole in (codes, SparseCodes.open(saved)):
        rows = np.array([7, 299, 7 + 1, 0])
        for part in (
            whole.take(rows),
            whole.take(whole.take(np.arange(len(whole))[::-1]).index_of("made-up-0000299") + rows),
        ):
            assert part.ids.tolist() == [whole.ids[i] for i in rows]
            assert np.array_equal(part.column("z"), whole.column("z")[rows])
            assert np.array_equal(part.maps([3, 1]), whole.maps(rows[[3, 1]]))
            assert np.array_equal(part.prediction(), whole.prediction()[rows])
        assert len(whole.take(whole.split == "validation")) == (whole.split == "validation").sum()
        with pytest.raises(SFNetError, match="300 galaxies"):
            whole.take([300])
    codes.take(rows).save(saved)
    assert SparseCodes.open(saved).ids.tolist() == codes.ids[rows].tolist()


def test_weights_of_some_features_only():
    full = from_dense(np.eye(5, dtype=np.float32), 1, 1, np.array([[0.0, 2, 0, 3, 0]]), np.array([1.0]))
    part = SparseCodes.from_arrays(
        ids=full.ids, indices=full.indices, values=full.values, k=1, features=5, targets="t0",
        weight=np.array([[3.0, 2.0]]), feature_ids=[3, 1], bias=1.0,
    )  # fmt: skip
    assert np.array_equal(part.weight, full.weight) and np.array_equal(part.prediction(), full.prediction())


def test_maps_average_to_the_activations(codes, saved):
    read = SparseCodes.open(saved)
    assert np.allclose(read.maps(slice(None)).mean(axis=(2, 3)), read.values[:, : read.k], atol=1e-6)


def test_unknown_names_get_a_sentence(codes):
    for call in (lambda: codes.column("nope"), lambda: codes.truth("nope"), lambda: codes.index_of("nope")):
        with pytest.raises(SFNetError, match="nope"):
            call()
    with pytest.raises(SFNetError, match="target number 1"):
        codes.prediction(1)


def test_other_readers_need_nothing_of_ours(saved, codes):
    import pandas
    from astropy.io.votable import parse

    frame = pandas.read_parquet(saved)
    assert frame["id"].tolist() == codes.ids.tolist()
    again = [
        codes.bias[0] + codes.weight[0][i[:3]] @ v[:3] for i, v in zip(frame["indices"], frame["values"], strict=True)
    ]
    assert np.allclose(again, frame["prediction_oh_p50"], atol=1e-12)
    text = pq.read_schema(saved).metadata[b"IVOA.VOTable-Parquet.content"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = parse(io.BytesIO(text), verify="exception").get_first_table()
    assert [field.name for field in table.fields] == list(frame.columns)
    assert "[dex]" in {f.name: f for f in table.fields}["prediction_oh_p50"].description


def test_opening_imports_neither_pandas_nor_astropy_nor_torch(saved):
    program = (
        "import sys; from sfnet_core.codes.table import SparseCodes; c = SparseCodes.open(sys.argv[1]);"
        "c.column('bptclass'); c.maps([0]); c.fingerprint;"
        "sys.exit(', '.join(m for m in ('pandas', 'astropy', 'torch', 'scipy') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(saved)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- T20: hostile and broken files


def test_t20_not_a_whole_parquet_file(saved, tmp_path):
    whole = saved.read_bytes()
    cases = {
        "no codes file": None,
        "another kind of file": b"id,x\n1,2\n" * 10,
        "not a whole Parquet": b"",
        "cut short": whole[: len(whole) // 2],
        "footer": whole[:-8] + (2**31).to_bytes(4, "little") + b"PAR1",
        "footer is damaged": whole[:-400] + b"\xff" * 392 + whole[-8:],
    }
    for words, content in cases.items():
        path = tmp_path / "broken.parquet"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SFNetError, match=words):
            SparseCodes.open(path)
    with pytest.raises(SFNetError, match="not a file"):
        SparseCodes.open(tmp_path)


def test_t20_damaged_pages_are_a_sentence(saved):
    whole = bytearray(saved.read_bytes())
    whole[200:1500] = b"\x00" * 1300
    saved.write_bytes(whole)
    with pytest.raises(SFNetError, match=r"codes\.parquet"):
        SparseCodes.open(saved)


def test_t20_a_parquet_file_that_is_no_codes_file(tmp_path):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(SFNetError, match="no key `sfnet`"):
        SparseCodes.open(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    "name", ["id", "split", "margin", "target_oh_p50", "prediction_oh_p50", "indices", "values", "maps", "z"]
)
def test_t20_missing_column(saved, name):
    with pytest.raises(SFNetError, match=f"`{name}`.* is missing"):
        SparseCodes.open(rewrite(saved, drop=(name,)))


def test_t20_wrong_types(saved, codes):
    n = len(codes)
    wrong = {
        "id": pa.array(range(n)),
        "split": pa.array([1.0] * n),
        "prediction_oh_p50": pa.array(["8.7"] * n),
        "indices": lists(codes.indices.astype(float), pa.float32()),
        "values": pa.array([1.0] * n),
        "maps": pa.array([b"x"] * n),
        "ra": pa.array(["12:00"] * n),
        "z": pa.array([[1.0]] * n),
    }
    whole = saved.read_bytes()
    for name, column in wrong.items():
        saved.write_bytes(whole)
        with pytest.raises(SFNetError, match=f"`{name}`"):
            SparseCodes.open(rewrite(saved, columns={name: column}))


def test_t20_lists_of_other_lengths(saved, codes):
    ragged = [row.tolist() for row in codes.indices]
    ragged[3], ragged[4] = ragged[3] + [1], ragged[4][:-1]
    missing = [None, *(row.tolist() for row in codes.values[1:])]
    whole = saved.read_bytes()
    for name, column, words in (
        ("indices", pa.array(ragged, pa.list_(pa.int16())), "different lengths"),
        ("values", pa.array(missing, pa.list_(pa.float32())), "different lengths|empty"),
        ("values", lists(codes.values[:, :4].copy(), pa.float32()), "entries a row"),
        ("maps", lists(np.zeros((len(codes), 4), np.float32), pa.float32()), "cells a row"),
    ):
        saved.write_bytes(whole)
        with pytest.raises(SFNetError, match=words):
            SparseCodes.open(rewrite(saved, columns={name: column}))


def test_rewritten_as_plain_lists_still_opens(saved, codes):
    """As a database writes them: lists without a fixed length, large texts, wider integers."""
    plain = {
        "indices": pa.array([row.tolist() for row in codes.indices], pa.large_list(pa.int64())),
        "values": pa.array([row.tolist() for row in codes.values], pa.list_(pa.float64())),
        "id": pa.array(codes.ids, pa.large_string()),
    }
    read = SparseCodes.open(rewrite(saved, columns=plain))
    assert read.fingerprint == codes.fingerprint


def refused_without_unpacking(path: Path, words: str) -> None:
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    with pytest.raises(SFNetError, match=words):
        SparseCodes.open(path)
    assert pool.bytes_allocated() - before < 50e6 and path.stat().st_size < 5e6


def test_t20_a_small_file_that_unpacks_to_gigabytes(tmp_path, codes):
    header = json.loads(codes.header.to_json()) | {"map_shape": None, "columns": []}
    n, per = 40_000_000, 1_000_000
    block = pa.table(
        {
            "id": pa.array(["a"] * per),
            "split": pa.array([""] * per),
            "margin": pa.array(np.zeros(per, np.float32)),
            "target_oh_p50": pa.array(np.zeros(per)),
            "prediction_oh_p50": pa.array(np.zeros(per)),
            "indices": lists(np.full((per, 3), -1), pa.int16()),
            "values": lists(np.zeros((per, 3), np.float32), pa.float32()),
        }
    )
    schema = block.schema.with_metadata({"sfnet": json.dumps(header)})
    with pq.ParquetWriter(tmp_path / "bomb.parquet", schema, compression="zstd") as writer:
        for _ in range(n // per):
            writer.write_table(block.cast(schema))
    refused_without_unpacking(tmp_path / "bomb.parquet", "decompression bomb")


def test_t20_one_long_text_named_in_every_row(saved, codes):
    n = len(codes)
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["x" * 4_000_000]))
    with_ids = rewrite(saved, columns={"id": pa.array([f"{'y' * 2000}{i}" for i in range(n)])})
    with pytest.raises(SFNetError, match="identifiers of more than"):
        SparseCodes.open(with_ids)
    codes.save(saved)
    table = pq.read_table(saved)
    table = table.set_column(table.column_names.index("split"), "split", long.cast(pa.string()))
    pq.write_table(table, saved, compression="zstd")
    with pytest.raises(SFNetError):  # a split that is none, in bounded memory
        SparseCodes.open(saved)


def test_t20_texts_larger_than_the_limit(saved, monkeypatch):
    monkeypatch.setattr("sfnet_core.codes.file.COLUMN_LIMIT", 300 * 4 * 15 - 1)  # identifiers of 15 characters
    with pytest.raises(SFNetError, match=r"texts of column `id` would take 18,000 bytes"):
        SparseCodes.open(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "`schema` is 2; this version reads 1"),
        ({"k": 0}, "`k` must be"),
        ({"k": 41}, "`k` must be"),
        ({"k": True}, "`k`"),
        ({"k": "3"}, "`k` must be int"),
        ({"features": 10**9}, "`features`"),
        ({"features": 39}, "`weight` has shape"),
        ({"targets": []}, "`targets`"),
        ({"targets": ["oh_p50", "oh_p50"]}, "`targets`"),
        ({"targets": [{}]}, "`targets.*must be str"),
        ({"bias": [1.0, 2.0]}, "`bias` has 2"),
        ({"bias": [float("nan")]}, "not valid JSON.*bias"),
        ({"weight": [[float("inf")] * 40]}, "not valid JSON.*weight"),
        ({"weight": [["x"] * 40]}, "`weight.* must be float"),
        ({"weight": 3}, "`weight` must be array"),
        ({"weight": [[1.0] * 40, [1.0]]}, "`weight`"),
        ({"feature_ids": [0] * 40}, "`feature_ids`"),
        ({"feature_ids": [0.5] * 40}, "`feature_ids.* must be int"),
        ({"map_shape": [0, 2]}, "`map_shape`"),
        ({"map_shape": ["a", "b"]}, "`map_shape.* must be int"),
        ({"columns": ["gone"]}, "`gone` is missing"),
        ({"provenance": []}, "`provenance`"),
        ({"set_aside": [{"reason": 3}]}, "`set_aside.*reason` must be str"),
        ({"set_aside": [{"reason": "fine", "surplus": 1}]}, None),
    ],
)
def test_t20_header_fields(saved, change, words):
    path = rewrite(saved, header=change)
    if words is None:
        assert SparseCodes.open(path).set_aside == [SetAside("fine")]
    else:
        with pytest.raises(SFNetError, match=words):
            SparseCodes.open(path)


def test_t20_header_that_is_not_json(saved):
    table = pq.read_table(saved)
    for text in (b"{", b"[]", b"[" * 100_000, b"null", b"\xff\xfe"):
        pq.write_table(table.replace_schema_metadata({b"sfnet": text}), saved)
        with pytest.raises(SFNetError, match="`sfnet`"):
            SparseCodes.open(saved)


def test_t20_values_that_are_no_sparse_code(saved, codes):
    def changed(name, row, slot, value):
        array = getattr(codes, name).copy()
        array[row, slot] = value
        return {name: lists(array, pa.int16() if name == "indices" else pa.float32())}

    prediction = codes.prediction().copy()
    prediction[11] += 0.01
    cases = [
        (changed("values", 5, 1, np.nan), "not finite.*row 6"),
        (changed("values", 5, 7, -1.0), "below 0"),
        (changed("values", 5, 2, 99.0), "not sorted"),
        (changed("indices", 5, 0, 40), "outside 0 to 39"),
        (changed("indices", 5, 0, -2), "outside|-1 exactly"),
        (changed("indices", 5, 0, -1), "-1 exactly"),
        (changed("indices", 5, 0, codes.indices[5, 1]), "twice.*row 6, galaxy made-up-0000005"),
        ({"split": pa.array(["x"] + ["train"] * 299)}, "`split` must be"),
        ({"id": pa.array(["a", "a"] + [str(i) for i in range(298)])}, "`id` names a galaxy twice.*row 2"),
        ({"prediction_oh_p50": pa.array(prediction)}, "do not belong together"),
        ({"maps": lists(np.full((300, 18), np.nan, np.float32), pa.float32())}, None),
    ]
    whole = saved.read_bytes()
    for columns, words in cases:
        saved.write_bytes(whole)
        if words is None:
            with pytest.raises(SFNetError, match="`maps`"):
                SparseCodes.open(rewrite(saved, columns=columns)).maps([0])
        else:
            with pytest.raises(SFNetError, match=words):
                SparseCodes.open(rewrite(saved, columns=columns))


def test_r17_from_arrays_refuses_what_open_would(codes):
    good = {"ids": codes.ids, "indices": codes.indices, "values": codes.values, "k": 3, "features": 40}
    good |= {"weight": codes.weight, "bias": codes.bias, "targets": ["oh_p50"]}
    SparseCodes.from_arrays(**good)
    for change, words in (
        ({"k": 41}, "`k`"),
        ({"weight": codes.weight[:, :3]}, "`weight` has shape"),
        ({"values": codes.values[:, :5]}, "`indices`"),
        ({"split": ["train"]}, "`split` has 1 rows"),
        ({"maps": np.zeros((300, 2, 1, 1))}, "`maps` has shape"),
        ({"columns": {"z": [1, 2]}}, "`z` has shape"),
        ({"truth": np.zeros((300, 2))}, "2 column"),
    ):
        with pytest.raises(SFNetError, match=words):
            SparseCodes.from_arrays(**(good | change))


# ---- T23, R3, R4, R5


def test_t23_codes_of_another_dataset(codes):
    codes.provenance["dataset_fingerprint"] = "aaaa"
    assert check_dataset(codes, SimpleNamespace(fingerprint="aaaa")) is None
    other = SimpleNamespace(fingerprint="bbbb")
    with pytest.raises(SFNetError, match=r"aaaa.*bbbb"):
        check_dataset(codes, other)
    assert "aaaa" in (said := check_dataset(codes, other, allow=True)) and "bbbb" in said
    del codes.provenance["dataset_fingerprint"]
    with pytest.raises(SFNetError, match=r"unknown.*bbbb"):
        check_dataset(codes, other)


def test_t23_codes_of_the_same_pixels_packed_at_another_scale(codes, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    packed = [
        pack(None, tmp_path / "images", tmp_path / f"at-{scale}", pixel_scale=scale, progress=False)
        for scale in (0.396, 0.262, 0.398, None)
    ]
    assert len({one.fingerprint for one in packed}) == 1
    codes.provenance |= {"dataset_fingerprint": packed[0].fingerprint, "pixel_scale": 0.396}
    assert check_dataset(codes, packed[0]) is check_dataset(codes, packed[2]) is check_dataset(codes, packed[3]) is None
    with pytest.raises(SFNetError, match=r"cutouts of 0\.396 arcsec per pixel, this dataset has 0\.262"):
        check_dataset(codes, packed[1])
    assert "0.262; shown together because" in check_dataset(codes, packed[1], allow=True)
    for unknown in (None, "0.2", float("nan"), True):
        codes.provenance["pixel_scale"] = unknown
        assert check_dataset(codes, packed[1]) is None


def test_r3_two_writers_one_path(tmp_path):
    both = [simulated_codes(400, seed=s) for s in (1, 2)]
    path = tmp_path / "codes.parquet"
    failures: list[BaseException] = []

    def write(codes):
        try:
            for _ in range(5):
                codes.save(path)
                assert SparseCodes.open(path).fingerprint in {c.fingerprint for c in both}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(codes,)) for codes in both]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert not failures and [p.name for p in tmp_path.iterdir()] == ["codes.parquet"]


def test_r4_disk_full(saved, codes, monkeypatch):
    before = hashlib.sha256(saved.read_bytes()).digest()
    with pytest.raises(OSError) as real, pa.OSFile("/dev/full", "wb") as full:
        full.write(b"x" * 100_000)
    assert real.value.errno == errno.ENOSPC  # this is how Arrow reports it; the same is raised below

    def fail(self, *args, **kwargs):
        raise real.value

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with pytest.raises(SFNetError, match=r"No space left.*codes\.parquet.*bytes"):
        codes.save(saved)
    assert hashlib.sha256(saved.read_bytes()).digest() == before
    assert [p.name for p in saved.parent.iterdir()] == ["codes.parquet"]


SLOW_WRITER = """
import sys, time
import pyarrow.parquet as pq
from sfnet_core.codes.table import SparseCodes
codes = SparseCodes.open(sys.argv[1]).take(slice(0, 100))
write = pq.ParquetWriter.write_table
def slow(self, *args, **kwargs):
    write(self, *args, **kwargs)
    print("half", flush=True)
    time.sleep(60)
pq.ParquetWriter.write_table = slow
codes.save(sys.argv[1])
"""


def test_r5_killed_while_writing(saved, codes):
    with subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(saved)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "half\n"
        assert len(list(saved.parent.glob(".*.part"))) == 1
        writer.send_signal(signal.SIGKILL)
    assert SparseCodes.open(saved).fingerprint == codes.fingerprint
    codes.take(slice(0, 50)).save(saved)
    assert len(SparseCodes.open(saved)) == 50


def test_a_reader_keeps_the_file_it_opened(saved, codes):
    reader = SparseCodes.open(saved)
    codes.take(slice(0, 10)).save(saved)
    assert np.array_equal(reader.column("z"), codes.column("z"))
    assert np.array_equal(reader.maps([299]), codes.maps([299]))
