"""What may break while a dataset is written: two writers, a full disk, Ctrl-C, kill -9."""

from __future__ import annotations

import builtins
import errno
import shutil
import subprocess
import sys

import numpy as np
import pytest

from sfnet_core.data.dataset import Dataset
from sfnet_core.data.store import DatasetWriter
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import folder_lock

N, SIZE = 7, 16
IDS = [f"12376487040439421{i:02d}" for i in range(N)]


def cutouts(seed=0, n=N, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def columns():
    return {"z": np.linspace(0, 0.1, N), "kind": np.array(["é"] * N, dtype=object)}


def make(path, **options):
    options = {"pixel_scale": 0.396, "source": "a test", "units": {"ra": "deg", "z": ""}} | options
    return Dataset.create(path, IDS, cutouts(), columns(), **options)


def everything(folder):
    """Every file under a folder and its bytes, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What may break while it is written


def test_r3_a_second_writer_is_refused_and_the_first_one_finishes(tmp_path):
    with DatasetWriter(tmp_path / "d") as writer:
        for cutout in cutouts():
            writer.append(cutout)
        with pytest.raises(SFNetError, match="Another process is writing"):
            make(tmp_path / "d")
        writer.finish(IDS, columns(), units={}, meta=make(tmp_path / "other").meta)
    Dataset.open(tmp_path / "d").verify()


def test_r3_two_processes_one_folder(tmp_path):
    """Started together, one or both say they are done and the folder is valid; who is refused is told why."""
    code = (
        "import sys, numpy as np\n"
        "from sfnet_core.data.dataset import Dataset\nfrom sfnet_core.utils.errors import SFNetError\n"
        "try:\n    d = Dataset.create(sys.argv[1], [str(i) for i in range(50)], np.zeros((50, 32, 32, 3), np.uint8),"
        " overwrite=True)\n    print('done', d.fingerprint)\nexcept SFNetError as e:\n    print('refused', e)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "d")], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert any(line.startswith("done") for line in said)
    assert all(line.startswith("done") or "Another process is writing" in line for line in said)
    Dataset.open(tmp_path / "d").verify()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize("stage", ["first bytes", "cutouts", "table", "description", "rename"])
def test_r4_a_full_disk_leaves_the_old_dataset_and_names_path_and_bytes(tmp_path, monkeypatch, stage):
    make(tmp_path / "d")
    before = everything(tmp_path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {
        "table": "sfnet_core.data.store.write_table",
        "description": "sfnet_core.data.store.write_json",
        "rename": "sfnet_core.data.store.replace_folder",
    }.get(stage)
    if target:
        monkeypatch.setattr(target, full)
    else:
        limit = {"first bytes": 0, "cutouts": 3 * SIZE * SIZE * 3}[stage]
        fill_disk(monkeypatch, limit)
    with pytest.raises(SFNetError, match=r"No space left while writing .*/d \([\d,]+ bytes were written") as caught:
        make(tmp_path / "d", overwrite=True, pixel_scale=2)
    if stage != "first bytes":
        assert "(0 bytes" not in str(caught.value)
    monkeypatch.undo()
    assert everything(tmp_path) == before
    Dataset.open(tmp_path / "d").verify()


def fill_disk(monkeypatch, limit):
    """A file that takes ``limit`` bytes of cutouts and then says that the disk is full."""
    real = builtins.open

    def opens(path, mode="r", *args, **kwargs):
        handle = real(path, mode, *args, **kwargs)
        return Full(handle, limit) if str(path).endswith("cutouts.npy") and "w" in mode else handle

    monkeypatch.setattr("builtins.open", opens)


class Full:
    def __init__(self, handle, limit):
        self.handle, self.left = handle, limit

    def write(self, data):
        if len(bytes(data)) > self.left + 128:
            self.handle.flush()
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= len(bytes(data))
        return self.handle.write(data)

    def __getattr__(self, name):
        return getattr(self.handle, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.handle.close()


def test_r4_too_little_room_is_said_before_the_work(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(SFNetError, match=r"needs 5,376 bytes .* has 1,000 free"):
        make(tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_interrupted_writer_leaves_nothing_or_the_old_dataset(tmp_path, error):
    def stops():
        yield from cutouts()[:4]
        raise error

    with pytest.raises(error):
        Dataset.create(tmp_path / "d", IDS, stops(), {})
    assert list(tmp_path.iterdir()) == []
    make(tmp_path / "d")
    before = everything(tmp_path)
    with pytest.raises(error):
        Dataset.create(tmp_path / "d", IDS, stops(), {}, overwrite=True)
    assert everything(tmp_path) == before


def test_what_a_killed_writer_left_is_cleared_by_the_next_one(tmp_path):
    code = (
        "import os, sys, numpy as np\nfrom sfnet_core.data.store import DatasetWriter\n"
        "with DatasetWriter(sys.argv[1]) as w:\n"
        "    w.append(np.zeros((8, 8, 3), np.uint8))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "d")], check=False).returncode == -9
    assert [path.name for path in tmp_path.iterdir()] == [".d.part"]
    make(tmp_path / "d").verify()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_replacement_killed_between_its_renames_is_undone(tmp_path):
    make(tmp_path / "d")
    before = everything(tmp_path / "d")
    code = (
        "import os, sys, pathlib, numpy as np\nfrom sfnet_core.data import store\n"
        "from sfnet_core.data.dataset import Dataset\n"
        "rename = pathlib.Path.rename\n"
        "def once(self, to):\n    rename(self, to)\n    os.kill(os.getpid(), 9)\n"
        "pathlib.Path.rename = once\n"
        "Dataset.create(sys.argv[1], ['a'], np.zeros((1, 8, 8, 3), np.uint8), overwrite=True)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "d")], check=False).returncode == -9
    with pytest.raises(SFNetError, match="the former one is whole"):
        Dataset.open(tmp_path / "d")
    with pytest.raises(SFNetError, match="--overwrite"):  # it is there again, so the next writer is told
        make(tmp_path / "d")
    assert everything(tmp_path / "d") == before
    make(tmp_path / "d", overwrite=True).verify()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_the_lock_is_the_hidden_folders(tmp_path):
    with folder_lock(tmp_path / ".d.part", "another"), pytest.raises(SFNetError, match="Another process"):
        make(tmp_path / "d")
    make(tmp_path / "d")
