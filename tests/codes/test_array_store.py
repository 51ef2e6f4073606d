"""Codes unpacked once for all sessions: the same arrays, mapped; never another file's, never half of them."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfnet_core.codes import array_store as codes_shelf
from sfnet_core.codes import file as codes_file
from sfnet_core.codes.array_store import Shelf, shelf_of, tidy
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]


@pytest.fixture(autouse=True)
def shelves(tmp_path, monkeypatch) -> Path:
    """An empty cache; files of any size and age have a shelf."""
    monkeypatch.setenv("SFNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(codes_shelf, "SMALL", 0)
    monkeypatch.setattr(codes_shelf, "SETTLED", -1.0)
    return tmp_path / "cache" / "codes"


@pytest.fixture
def saved(tmp_path) -> Path:
    simulated_codes(300, features=40, k=3, runners_up=5, seed=3, map_shape=(2, 3)).save(tmp_path / "codes.parquet")
    return tmp_path / "codes.parquet"


def is_mapped(array: np.ndarray) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def same(a: SparseCodes, b: SparseCodes) -> None:
    for name in ("ids", "split", "indices", "values", "margin", "ra", "dec", "weight", "bias"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=name in ("ra", "dec", "margin")), name
        assert getattr(a, name).dtype.kind == getattr(b, name).dtype.kind, name
    for name in a.columns:
        one, other = a.column(name), b.column(name)
        assert one.dtype.kind == other.dtype.kind and a.is_numeric(name) == b.is_numeric(name)
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), name
    for target in a.targets:
        assert np.array_equal(a.truth(target), b.truth(target), equal_nan=True)
        assert np.array_equal(a.prediction(target), b.prediction(target))
    assert a.fingerprint == b.fingerprint and a.splits == b.splits


def no_unpacking(*_arguments):
    raise AssertionError("the file was unpacked again")


def test_a_shelf_gives_what_the_file_does(saved, shelves, monkeypatch):
    plain = SparseCodes.open(saved)
    assert not shelves.exists()  # only who asks for it writes there
    same(SparseCodes.open(saved, shared=True), plain)
    monkeypatch.setattr(codes_file.CodesFile, "batches", no_unpacking)
    monkeypatch.setattr(codes_file.CodesFile, "column", no_unpacking)
    again = SparseCodes.open(saved, shared=True)
    same(again, plain)
    for array in (again.ids, again.indices, again.values, again.prediction(), again.truth(), again.column("z")):
        assert is_mapped(array) and not array.flags.writeable
    assert len(list(shelves.iterdir())) == 1
    assert np.array_equal(again.maps([7]), plain.maps([7]))
    same(again.take(slice(5, 90)), plain.take(slice(5, 90)))
    same(again.at_k(2), plain.at_k(2))
    assert [again.index_of(name) for name in plain.ids] == list(range(300))
    with pytest.raises(SFNetError, match="made-up-9"):
        again.index_of("made-up-9")


def test_a_small_file_and_one_just_written_have_no_shelf(saved, monkeypatch):
    assert shelf_of(saved) is not None
    monkeypatch.setattr(codes_shelf, "SETTLED", 2.0)
    assert shelf_of(saved) is None
    old = time.time() - 100
    os.utime(saved, (old, old))
    assert shelf_of(saved) is None  # the time of the last change of any kind can't be set back
    monkeypatch.setattr(codes_shelf, "SETTLED", -1.0)
    monkeypatch.setattr(codes_shelf, "SMALL", 1 << 30)
    assert shelf_of(saved) is None
    assert shelf_of(saved.with_name("none")) is None


def test_another_file_of_the_same_name_and_size_has_another_shelf(saved):
    first = SparseCodes.open(saved, shared=True)
    about, whole = saved.stat(), bytearray(saved.read_bytes())
    assert shelf_of(saved).folder == shelf_of(saved).folder
    places = {shelf_of(saved).folder}
    for how in ("in place", "renamed"):
        if how == "in place":
            saved.write_bytes(whole)
        else:
            with atomic_path(saved) as part:
                part.write_bytes(whole)
        os.utime(saved, ns=(about.st_atime_ns, about.st_mtime_ns))
        assert saved.stat().st_size == about.st_size and saved.stat().st_mtime_ns == about.st_mtime_ns
        places.add(shelf_of(saved).folder)
    assert len(places) == 3
    simulated_codes(300, features=40, k=3, runners_up=5, seed=4, map_shape=(2, 3)).save(saved)
    other = SparseCodes.open(saved, shared=True)
    assert other.fingerprint == SparseCodes.open(saved).fingerprint != first.fingerprint
    assert first.ids[0] == "made-up-0000000" and np.array_equal(first.column("z"), first.column("z"))


@pytest.mark.parametrize("wrong", ["missing", "cut", "other type", "other shape", "objects", "unchecked"])
def test_a_damaged_shelf_is_filled_anew(saved, wrong):
    plain = SparseCodes.open(saved)
    SparseCodes.open(saved, shared=True)
    folder = shelf_of(saved).folder
    names = sorted(file.name for file in folder.glob("core-*.npy"))
    for name in names:
        file = folder / name
        if wrong == "missing":
            file.unlink()
        elif wrong == "cut":
            file.write_bytes(file.read_bytes()[:-1])
        elif wrong == "other type":
            np.save(file, np.zeros(300, np.complex64))
        elif wrong == "other shape":
            np.save(file, np.load(file)[:-1])
        elif wrong == "objects":
            file.write_bytes(file.read_bytes().replace(b"'<f8'", b"'|O' "))
        else:
            (folder / "checked.npy").unlink(missing_ok=True)
        same(SparseCodes.open(saved, shared=True), plain)
    assert is_mapped(SparseCodes.open(saved, shared=True).values)


def test_where_nothing_can_be_written_the_arrays_are_in_memory(saved, shelves, monkeypatch):
    plain = SparseCodes.open(saved)
    shelves.parent.mkdir(parents=True)
    shelves.write_text("a file where the folder should be")
    found = SparseCodes.open(saved, shared=True)
    same(found, plain)
    assert not is_mapped(found.values)
    shelves.unlink()

    def full(*_arguments, **_more):
        raise SFNetError("No space left while writing.")

    monkeypatch.setattr(codes_shelf, "atomic_path", full)
    same(SparseCodes.open(saved, shared=True), plain)
    assert np.array_equal(SparseCodes.open(saved, shared=True).derived("x", lambda: np.arange(3)), [0, 1, 2])


def test_a_disk_that_fills_while_columns_are_added_leaves_the_rest_mapped(saved, monkeypatch):
    found, plain = SparseCodes.open(saved, shared=True), SparseCodes.open(saved)

    def broken(self, *_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Shelf, "writer", broken)
    assert np.array_equal(found.column("z"), plain.column("z")) and is_mapped(found.values)


def test_a_shelf_that_others_can_write_in_is_not_read(saved, tmp_path):
    plain = SparseCodes.open(saved)
    SparseCodes.open(saved, shared=True)
    shelf = shelf_of(saved)
    poisoned = np.load(shelf.folder / "core-0.npy")
    poisoned[0] = "poisoned"
    np.save(shelf.folder / "core-0.npy", poisoned)
    assert SparseCodes.open(saved, shared=True).ids[0] == "poisoned"  # the arrays are what is read
    shelf.folder.chmod(0o777)
    same(SparseCodes.open(saved, shared=True), plain)
    shelf.folder.chmod(0o700)
    shelf.folder.rename(tmp_path / "elsewhere")
    shelf.folder.symlink_to(tmp_path / "elsewhere")
    same(SparseCodes.open(saved, shared=True), plain)
    somebody = Shelf(tmp_path / "elsewhere")
    somebody._owners = {os.geteuid() + 1}
    assert somebody.get("core-0") is None


def test_who_may_read_the_codes_may_read_the_shelf(saved):
    for mode, folder in ((0o600, 0o700), (0o640, 0o750), (0o644, 0o755)):
        saved.chmod(mode)
        SparseCodes.open(saved, shared=True)
        shelf = shelf_of(saved).folder
        assert shelf.stat().st_mode & 0o777 == folder
        assert {file.stat().st_mode & 0o777 for file in shelf.iterdir()} == {mode}


def test_t20_codes_that_are_none_never_reach_a_shelf(saved):
    table = pq.read_table(saved)
    values = SparseCodes.open(saved).values.copy()
    values[200, 1] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    pq.write_table(table.set_column(table.column_names.index("values"), "values", column), saved)
    for _ in range(2):
        with pytest.raises(SFNetError, match=r"not finite.*row 201"):
            SparseCodes.open(saved, shared=True)
    twice = table.set_column(table.column_names.index("id"), "id", pa.array(["a", "b", "a", *map(str, range(297))]))
    pq.write_table(twice, saved)
    for _ in range(2):
        with pytest.raises(SFNetError, match=r"twice \(row 3, galaxy a"):
            SparseCodes.open(saved, shared=True)


@pytest.mark.parametrize("shared", [False, True])
def test_batches_are_the_whole_file(saved, monkeypatch, shared):
    plain = SparseCodes.open(saved)
    table = pq.read_table(saved)
    ids = [f"{'é' * (i // 100)}g{i}" for i in range(300)]  # each batch's texts have another width
    table = table.set_column(table.column_names.index("id"), "id", pa.array(ids))
    pq.write_table(table, saved, row_group_size=32)
    monkeypatch.setattr(codes_file, "BATCH", 64)
    found = SparseCodes.open(saved, shared=shared)
    assert found.ids.tolist() == ids
    assert np.array_equal(found.values, plain.values) and np.array_equal(found.indices, plain.indices)
    assert np.array_equal(found.prediction(), plain.prediction()) and np.array_equal(found.split, plain.split)
    wrong = table.set_column(table.column_names.index("split"), "split", pa.array(["train"] * 299 + ["x"]))
    pq.write_table(wrong, saved, row_group_size=32)
    with pytest.raises(SFNetError, match=r"`split` must be.*row 300"):
        SparseCodes.open(saved, shared=shared)


OPEN = """
import sys
from sfnet_core.codes import array_store as codes_shelf
from sfnet_core.codes.table import SparseCodes
codes_shelf.SMALL, codes_shelf.SETTLED = 0, -1.0
codes = SparseCodes.open(sys.argv[1], shared=True)
print(codes.fingerprint, codes.column("z").sum(), codes.index_of("made-up-0000123"))
"""


def test_r3_several_sessions_at_once(saved, shelves):
    command = [sys.executable, "-c", OPEN, str(saved)]
    sessions = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {session.communicate(timeout=60)[0] for session in sessions}
    plain = SparseCodes.open(saved)
    assert said == {f"{plain.fingerprint} {plain.column('z').sum()} 123\n"}
    (shelf,) = shelves.iterdir()
    assert not list(shelf.glob(".*")) and (shelf / "checked.npy").is_file()


def test_shelves_are_bounded_and_forgotten(tmp_path):
    root = tmp_path / "shelves"
    shelves = []
    for i in range(4):
        shelf = Shelf(root / f"{i}")
        shelf.keep("a", lambda i=i: np.full(1000, i))
        os.utime(shelf.folder, (time.time() - 1000 + i, time.time() - 1000 + i))
        shelves.append(shelf)
    held = shelves[0].get("a")
    tidy(root, most_bytes=3 * 8200)
    assert [shelf.folder.exists() for shelf in shelves] == [False, True, True, True]
    assert (held == 0).all()  # a session keeps what it has mapped
    shelves[1].touch()
    tidy(root, most_bytes=8200)
    assert [shelf.folder.exists() for shelf in shelves] == [False, True, False, False]
    (shelves[1].folder / ".left.part").write_bytes(b"x")
    os.utime(shelves[1].folder / ".left.part", (0, 0))
    long_ago = time.time() - codes_shelf.FORGOTTEN - 10
    tidy(root)
    assert [file.name for file in shelves[1].folder.iterdir()] == ["a.npy"]
    os.utime(shelves[1].folder, (long_ago, long_ago))
    tidy(root)
    assert not list(root.iterdir())


def test_an_array_cut_short_while_written_is_not_there(tmp_path):
    shelf = Shelf(tmp_path / "s")
    with pytest.raises(OSError, match="2 rows"), shelf.writer("a", np.dtype(float), (3,)) as append:
        append(np.zeros(2))
    assert shelf.get("a") is None and not list(shelf.folder.iterdir())
    with shelf.writer("a", np.dtype("U3"), (3,)) as append:
        append(np.array(["x"]))
        append(np.array(["yy", "zzz"]))
    assert shelf.get("a").tolist() == ["x", "yy", "zzz"] and shelf.get("a", np.dtype("U4")) is None
    assert shelf.keep("none", lambda: np.empty(0)).shape == (0,)
    objects = np.array([{}, []], dtype=object)
    assert shelf.keep("objects", lambda: objects) is objects
