"""The dataset on disk: what is written is what is read, by numpy and pandas too; broken folders get a sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.data.dataset import Dataset
from sfnet_core.utils.errors import SetAside, SFNetError

N, SIZE = 7, 16
IDS = [f"12376487040439421{i:02d}" for i in range(N)]


def cutouts(seed=0, n=N, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def columns():
    return {
        "z": np.linspace(0, 0.1, N),
        "oh_p50": np.array([8.5, np.nan, *np.full(N - 2, 9.0)], np.float32),
        "plate": np.arange(N, dtype=np.int64) + 2**60,
        "kind": np.array(["<b>spiral</b>", "", *["é"] * (N - 2)], dtype=object),
        "barred": np.arange(N) % 2 == 0,
        "dec": np.linspace(-1, 1, N),
        "ra": np.linspace(0, 359, N),
    }


def make(path, **options):
    options = {"pixel_scale": 0.396, "source": "a test", "units": {"ra": "deg", "z": ""}} | options
    return Dataset.create(path, IDS, cutouts(), columns(), **options)


# What is written is what is read


def test_create_open_and_read_by_others(tmp_path):
    made = make(tmp_path / "d", set_aside=[SetAside("no image", row=3, id="x")], notes=["a note"], extra={"seed": 5})
    for dataset in (made, Dataset.open(tmp_path / "d"), made.save(tmp_path / "copy")):
        assert len(dataset) == N
        np.testing.assert_array_equal(dataset.cutouts, cutouts())
        assert isinstance(dataset.cutouts, np.memmap)
        assert not dataset.cutouts.flags.writeable
        assert dataset.ids.tolist() == IDS
        assert dataset.ids.dtype.kind == "U"
        assert dataset.columns == ["id", "ra", "dec", "z", "oh_p50", "plate", "kind", "barred"]
        for name, values in columns().items():
            read = dataset.column(name)
            np.testing.assert_array_equal(read, values.astype(read.dtype))
            assert read.dtype == values.dtype or read.dtype.kind == "U"
        assert dataset.pixel_scale == 0.396
        assert dataset.simulated is False
        assert dataset.set_aside == [SetAside("no image", row=3, id="x")]
        assert dataset.meta["notes"] == ["a note"]
        assert dataset.meta["seed"] == 5
        assert dataset.units == {"ra": "deg", "z": ""}
        assert dataset.galaxies["id"].tolist() == IDS
        assert dataset.index_of(IDS[3]) == 3
        assert dataset.fingerprint == made.fingerprint
        dataset.verify()
    np.testing.assert_array_equal(np.load(tmp_path / "d/cutouts.npy"), cutouts())
    assert pd.read_parquet(tmp_path / "d/galaxies.parquet")["id"].tolist() == IDS
    assert pq.read_schema(tmp_path / "d/galaxies.parquet").field("ra").metadata == {b"unit": b"deg"}
    assert json.loads((tmp_path / "d/dataset.json").read_text())["fingerprint"] == made.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "d"]
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "cutouts.npy",
        "dataset.json",
        "galaxies.parquet",
    ]


def test_a_generator_is_streamed(tmp_path):
    dataset = Dataset.create(tmp_path / "d", IDS, (cutout for cutout in cutouts()), {})
    np.testing.assert_array_equal(dataset.cutouts, cutouts())
    assert dataset.columns == ["id"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1).filter(
            lambda name: name not in (".", "..") and len(name.encode()) < 250
        ),
        min_size=1,
        max_size=5,
        unique=True,
    ),
    st.data(),
)
def test_any_values_come_back(tmp_path_factory, ids, data):
    n = len(ids)
    numbers = data.draw(st.lists(st.floats(width=64), min_size=n, max_size=n))
    texts = data.draw(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=n, max_size=n))
    path = tmp_path_factory.mktemp("any") / "d"
    dataset = Dataset.create(path, ids, cutouts(0, n), {"x": np.array(numbers), "t": np.array(texts, object)})
    assert dataset.ids.tolist() == ids
    np.testing.assert_array_equal(dataset.column("x"), numbers)
    assert dataset.column("t").tolist() == texts
    dataset.verify()


def test_the_fingerprint_is_of_the_contents(tmp_path):
    one = make(tmp_path / "1").fingerprint
    assert len(one) == 32
    assert make(tmp_path / "2", source="elsewhere", notes=["later"]).fingerprint == one
    changed = cutouts()
    changed[3, 2, 1, 0] ^= 1
    others = [
        Dataset.create(tmp_path / "3", IDS, changed, columns()),
        Dataset.create(tmp_path / "4", IDS[::-1], cutouts(), columns()),
        Dataset.create(tmp_path / "5", IDS, cutouts(), columns() | {"z": np.linspace(0, 0.2, N)}),
        Dataset.create(tmp_path / "6", IDS, cutouts(), {k: v for k, v in columns().items() if k != "z"}),
        Dataset.create(tmp_path / "7", IDS, cutouts(size=8).repeat(2, 1).repeat(2, 2), columns()),
        Dataset.create(tmp_path / "8", IDS, cutouts().reshape(N, 8, 32, 3), columns()),
    ]
    assert len({one, *(dataset.fingerprint for dataset in others)}) == 7


def test_one_galaxy_and_odd_shapes(tmp_path):
    dataset = Dataset.create(tmp_path / "d", ["a"], cutouts(0, 1, 9)[:, :, :5], {})
    assert dataset.cutouts.shape == (1, 9, 5, 3)
    assert "5×9 px" in repr(dataset)


def test_questions_that_have_no_answer_get_a_sentence(tiny_dataset):
    with pytest.raises(SFNetError, match=r"no column 'mass'; it has id, ra, dec"):
        tiny_dataset.column("mass")
    with pytest.raises(SFNetError, match="no galaxy '99'"):
        tiny_dataset.index_of("99")


# What create refuses


@pytest.mark.parametrize(
    ("ids", "pixels", "table", "says"),
    [
        (IDS[:-1], cutouts(), {}, "6 identifiers but 7 cutouts"),
        (IDS, cutouts()[:-1], {}, "7 identifiers but 6 cutouts"),
        (IDS, cutouts().astype(float), {}, "Cutout 1 is float64"),
        (IDS, cutouts()[..., 0], {}, "shape"),
        (IDS, [*cutouts()[:6], cutouts(0, 1, 8)[0]], {}, "Cutout 7 has"),
        (IDS, cutouts(), {"z": np.zeros(3)}, "Column z has shape"),
        (["a", "a", *IDS[2:]], cutouts(), {}, "Galaxy 2 .*twice"),
        (["../x", *IDS[1:]], cutouts(), {}, "Galaxy 1 .*separator"),
        (["", *IDS[1:]], cutouts(), {}, "empty"),
        ([], [], {}, "No galaxy"),
    ],
)
def test_create_refuses_what_does_not_fit_and_leaves_nothing(tmp_path, ids, pixels, table, says):
    with pytest.raises(SFNetError, match=says):
        Dataset.create(tmp_path / "d", ids, pixels, table)
    assert list(tmp_path.iterdir()) == []


def test_only_a_dataset_is_replaced_and_only_when_asked(tmp_path):
    make(tmp_path / "d")
    with pytest.raises(SFNetError, match="--overwrite"):
        make(tmp_path / "d")
    assert make(tmp_path / "d", overwrite=True, pixel_scale=1).pixel_scale == 1
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("years")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(SFNetError, match=name):
            make(tmp_path / name, overwrite=True)
    assert (tmp_path / "thesis/chapter.tex").read_text() == "years"
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "empty", "file", "thesis"]


# What open refuses


def rewrite_meta(path, **changes):
    meta = json.loads((path / "dataset.json").read_text())
    (path / "dataset.json").write_text(json.dumps(meta | changes))


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pickled(path):
    np.save(path / "cutouts.npy", np.array([{"code": "runs"}], dtype=object), allow_pickle=True)


def bomb(path):
    """A table whose ten columns of nothing would unpack to 800 times the file."""
    ids, nothing = [f"g{i}" for i in range(N)], np.zeros(N)
    many = pa.schema([("id", pa.string()), *((f"x{j}", pa.float64()) for j in range(10))])
    with pq.ParquetWriter(path / "galaxies.parquet", many, compression="zstd") as writer:
        writer.write_table(pa.table([ids, *[nothing] * 10], schema=many))
        for _ in range(2):
            writer.write_table(pa.table([[""] * 1_000_000, *[np.zeros(1_000_000)] * 10], schema=many))


BROKEN = {
    "a bomb for a table": (bomb, "refused as a decompression bomb"),
    "no table": (lambda d: (d / "galaxies.parquet").unlink(), "galaxies.parquet is missing"),
    "no cutouts": (lambda d: (d / "cutouts.npy").unlink(), "cutouts.npy is missing"),
    "no description": (lambda d: (d / "dataset.json").unlink(), "dataset.json is missing"),
    "half a description": (lambda d: half(d / "dataset.json"), "not valid JSON"),
    "half the cutouts": (lambda d: half(d / "cutouts.npy"), "cutouts.npy cannot be read"),
    "half the table": (lambda d: half(d / "galaxies.parquet"), "galaxies.parquet is not a whole Parquet file"),
    "pickled cutouts": (pickled, "cutouts.npy cannot be read"),
    "a list": (lambda d: (d / "dataset.json").write_text("[1]"), "not a JSON object"),
    "deep JSON": (lambda d: (d / "dataset.json").write_text("[" * 100_000), "not valid JSON"),
    "a later schema": (lambda d: rewrite_meta(d, schema=2), "`schema` is 2"),
    "n as text": (lambda d: rewrite_meta(d, n="7"), "`n` must be int"),
    "another n": (lambda d: rewrite_meta(d, n=6), "not of one dataset"),
    "a negative scale": (lambda d: rewrite_meta(d, pixel_scale=-1), "`pixel_scale` must be"),
    "float cutouts": (lambda d: np.save(d / "cutouts.npy", np.zeros((N, SIZE, SIZE, 3))), "holds float64"),
    "another table": (
        lambda d: pd.DataFrame({"id": ["a"]}).to_parquet(d / "galaxies.parquet", index=False),
        "galaxies.parquet has 1 rows",
    ),
    "a table without id": (
        lambda d: pd.DataFrame({"x": range(N)}).to_parquet(d / "galaxies.parquet", index=False),
        "text column 'id'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_dataset_gets_a_sentence(tmp_path, case):
    change, says = BROKEN[case]
    make(tmp_path / "d")
    change(tmp_path / "d")
    with pytest.raises(SFNetError, match=says):
        Dataset.open(tmp_path / "d")


def test_a_missing_or_foreign_folder_gets_a_sentence(tmp_path):
    with pytest.raises(SFNetError, match="sfnet pack"):
        Dataset.open(tmp_path / "absent")
    with pytest.raises(SFNetError, match=r"dataset.json is missing"):
        Dataset.open(tmp_path)


def test_verify_sees_a_changed_pixel(tmp_path):
    dataset = make(tmp_path / "d")
    with open(tmp_path / "d/cutouts.npy", "r+b") as handle:
        handle.seek(5000)
        byte = handle.read(1)
        handle.seek(5000)
        handle.write(bytes([byte[0] ^ 1]))
    with pytest.raises(SFNetError, match="has changed since"):
        dataset.verify()


def test_opening_a_dataset_needs_neither_torch_nor_pandas_nor_astropy(tmp_path):
    make(tmp_path / "d")
    code = (
        "import sys\nfrom sfnet_core.data.dataset import Dataset\n"
        "d = Dataset.open(sys.argv[1])\nd.ids, d.column('z'), d.column('barred'), d.column('kind')\n"
        "print([m for m in ('torch', 'pandas', 'astropy', 'PIL') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "d")], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
