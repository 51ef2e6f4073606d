"""The one-file form of a dataset: faithful, small, unpacked once, and closed to damaged or hostile files."""

from __future__ import annotations

import io
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfnet_core.data import sample_file as sample
from sfnet_core.data.dataset import Dataset
from sfnet_core.utils.errors import SFNetError


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    blob = np.exp(-0.5 * ((x - 16) ** 2 + (y - 14) ** 2) / 20)[None, :, :, None] * rng.uniform(60, 240, (12, 1, 1, 3))
    return Dataset.create(
        tmp_path / "dataset",
        [f"1237648704043942{i:03d}" for i in range(12)],
        blob.astype(np.uint8),
        {
            "ra": rng.uniform(0, 360, 12),
            "oh_p50": rng.normal(8.9, 0.2, 12),
            "bptclass": np.arange(12) % 5,
            "kind": np.array(["spiral", "<b>odd</b>"] * 6),
        },
        pixel_scale=0.2,
        source="a test",
        simulated=True,
        units={"oh_p50": "dex"},
        notes=["made up"],
        extra={"seed": 3},
    )


def test_a_sample_gives_the_dataset_back(dataset, tmp_path):
    path = sample.write_sample(dataset, tmp_path / "s.parquet")
    back = sample.open_sample(path, tmp_path / "cache")
    assert back.ids.tolist() == dataset.ids.tolist() and back.columns == dataset.columns
    for name in dataset.columns[1:]:
        assert back.column(name).tolist() == dataset.column(name).tolist()
        assert back.column(name).dtype.kind == dataset.column(name).dtype.kind
    difference = np.asarray(back.cutouts).astype(int) - np.asarray(dataset.cutouts)
    assert np.sqrt(np.mean(difference**2)) < 2.5
    for key in ("pixel_scale", "source", "simulated", "units", "notes", "seed", "bands"):
        assert back.meta[key] == dataset.meta[key]


def test_images_in_the_file_are_jpegs_anyone_can_read(dataset, tmp_path):
    from PIL import Image

    table = pq.read_table(sample.write_sample(dataset, tmp_path / "s.parquet"))
    picture = Image.open(io.BytesIO(table.column("image")[4].as_py()))
    assert picture.format == "JPEG" and picture.size == (32, 32)


def test_bytes_and_fingerprint_are_repeatable(dataset, tmp_path):
    one = sample.write_sample(dataset, tmp_path / "a.parquet")
    two = sample.write_sample(dataset, tmp_path / "b.parquet")
    assert one.read_bytes() == two.read_bytes()
    first = sample.open_sample(one, tmp_path / "cache-1").fingerprint
    assert first == sample.open_sample(two, tmp_path / "cache-2").fingerprint


def test_it_is_unpacked_once(dataset, tmp_path, monkeypatch):
    path = sample.write_sample(dataset, tmp_path / "s.parquet")
    first = sample.open_sample(path, tmp_path / "cache")
    monkeypatch.setattr(sample, "_unpack", lambda *_: pytest.fail("unpacked again"))
    assert sample.open_sample(path, tmp_path / "cache").path == first.path


def test_another_content_gets_another_folder(dataset, tmp_path):
    path = tmp_path / "s.parquet"
    sample.write_sample(dataset, path, quality=90)
    first = sample.open_sample(path, tmp_path / "cache")
    sample.write_sample(dataset, path, quality=60)
    second = sample.open_sample(path, tmp_path / "cache")
    assert first.path != second.path and first.fingerprint != second.fingerprint


def test_a_broken_cache_is_made_anew(dataset, tmp_path):
    path = sample.write_sample(dataset, tmp_path / "s.parquet")
    first = sample.open_sample(path, tmp_path / "cache")
    fingerprint = first.fingerprint
    (first.path / "dataset.json").write_text("{")
    assert sample.open_sample(path, tmp_path / "cache").fingerprint == fingerprint


def test_r3_two_readers_at_once_unpack_once(dataset, tmp_path, monkeypatch):
    path = sample.write_sample(dataset, tmp_path / "s.parquet")
    unpack, count = sample._unpack, []

    def counted(*arguments):
        count.append(1)
        return unpack(*arguments)

    monkeypatch.setattr(sample, "_unpack", counted)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(sample.open_sample(path, tmp_path / "cache").fingerprint))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4 and len(set(answers)) == 1 and len(count) == 1


def test_a_stopped_unpacking_leaves_nothing_under_the_final_name(dataset, tmp_path):
    path = sample.write_sample(dataset, tmp_path / "s.parquet")
    table = pq.read_table(path)
    pictures = table.column("image").to_pylist()
    pictures[7] = pictures[7][:60]
    place = table.schema.get_field_index("image")
    damaged = table.set_column(place, "image", pa.array(pictures, pa.binary()))
    pq.write_table(damaged, tmp_path / "bad.parquet")
    with pytest.raises(SFNetError, match="row 8"):
        sample.open_sample(tmp_path / "bad.parquet", tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache").iterdir() if p.name.startswith("bad-")]


def test_t20_what_is_not_a_sample_is_refused_by_name(dataset, tmp_path):
    with pytest.raises(SFNetError, match="Cannot read"):
        sample.open_sample(tmp_path / "missing.parquet", tmp_path / "cache")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(SFNetError, match="not a whole Parquet file"):
        sample.open_sample(tmp_path / "text.parquet", tmp_path / "cache")
    with pytest.raises(SFNetError, match="not a sample"):
        sample.open_sample(dataset.path / "galaxies.parquet", tmp_path / "cache")


def test_t20_a_sample_that_would_unpack_too_large_is_refused(dataset, tmp_path, monkeypatch):
    path = sample.write_sample(dataset, tmp_path / "s.parquet")
    monkeypatch.setattr(sample, "MAX_GALAXIES", 5)
    with pytest.raises(SFNetError, match="too large"):
        sample.open_sample(path, tmp_path / "cache")
    with pytest.raises(SFNetError, match="at most 5"):
        sample.write_sample(dataset, tmp_path / "t.parquet")
    monkeypatch.setattr(sample, "MAX_FILE_BYTES", 10)
    with pytest.raises(SFNetError, match="at most 10"):
        sample.open_sample(path, tmp_path / "cache")


def test_a_picture_of_another_size_is_refused(dataset, tmp_path):
    table = pq.read_table(sample.write_sample(dataset, tmp_path / "s.parquet"))
    pictures = table.column("image").to_pylist()
    pictures[2] = sample.encode_jpeg(np.zeros((64, 32, 3), np.uint8))
    place = table.schema.get_field_index("image")
    pq.write_table(table.set_column(place, "image", pa.array(pictures, pa.binary())), tmp_path / "bad.parquet")
    with pytest.raises(SFNetError, match="row 3 is"):
        sample.open_sample(tmp_path / "bad.parquet", tmp_path / "cache")


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SFNET_CACHE", str(tmp_path / "mine"))
    assert sample.default_cache() == tmp_path / "mine"
    monkeypatch.delenv("SFNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert sample.default_cache() == tmp_path / "xdg" / "sfnet"


def test_a_missing_value_stays_missing(tmp_path):
    cutouts = np.zeros((3, 16, 16, 3), np.uint8)
    made = Dataset.create(tmp_path / "d", ["a", "b", "c"], cutouts, {"oh_p50": np.array([8.9, np.nan, 9.0])})
    back = sample.open_sample(sample.write_sample(made, tmp_path / "s.parquet"), tmp_path / "cache")
    assert np.array_equal(back.column("oh_p50"), made.column("oh_p50"), equal_nan=True)
