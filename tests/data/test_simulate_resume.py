"""A simulation that is cut off goes on to the same bytes, and says so where it cannot."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sfnet_core.cli import verbs as cli
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.simulate import survey as module
from sfnet_core.data.simulate.survey import simulate
from sfnet_core.utils.errors import SFNetError

N, SIZE, SEED = 8, 32, 3
ARGUMENTS = {"seed": SEED, "size": SIZE, "workers": 1, "progress": False}


def everything(folder: Path) -> dict[str, bytes]:
    """Every file under a folder and its bytes, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def drawn():
    """The galaxies, drawn once."""
    return [module._draw(SEED, SIZE, index) for index in range(N)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    return everything(simulate(N, out=tmp_path_factory.mktemp("whole") / "d", **ARGUMENTS).path)


@pytest.fixture
def draws(monkeypatch, drawn):
    """What was drawn, in order; ``stop`` maps an index to what happens before it is drawn, once."""

    class Draws(list):
        stop: dict = {}  # noqa: RUF012

        def __call__(self, seed, size, index):
            assert (seed, size) == (SEED, SIZE)
            if index in self.stop:
                self.stop.pop(index)()
            self.append(index)
            return drawn[index]

    draws = Draws()
    draws.stop = {}
    monkeypatch.setattr(module, "_draw", draws)
    return draws


def interrupt(number=signal.SIGINT):
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture
def cut(draws, tmp_path):
    """A folder whose simulation was cut off after galaxy 4."""
    draws.stop = {4: interrupt()}
    with pytest.raises(KeyboardInterrupt):
        simulate(N, out=tmp_path / "d", **ARGUMENTS)
    return tmp_path / "d"


@pytest.mark.parametrize("points", [[0], [1], [N - 1], [2, 5], list(range(N))], ids=str)
def test_interrupted_at_any_points_it_ends_with_the_same_bytes_and_draws_nothing_twice(draws, tmp_path, whole, points):
    draws.stop = {index: interrupt() for index in points}
    before = signal.getsignal(signal.SIGINT)
    for _ in points:
        with pytest.raises(KeyboardInterrupt):
            simulate(N, out=tmp_path / "d", resume=True, **ARGUMENTS)
        assert not (tmp_path / "d").exists() and signal.getsignal(signal.SIGINT) is before
    simulate(N, out=tmp_path / "d", resume=True, **ARGUMENTS).verify()
    assert draws == list(range(N))
    assert everything(tmp_path / "d") == whole and [path.name for path in tmp_path.iterdir()] == ["d"]


def test_ctrl_c_and_sigterm_say_how_to_go_on_and_the_bar_begins_where_it_stopped(draws, tmp_path, capsys, whole):
    draws.stop = {2: interrupt(), 5: interrupt(signal.SIGTERM)}
    words = ["simulate", "--n", str(N), "--out", str(tmp_path / "d"), "--seed", str(SEED), "--size", str(SIZE)]
    words += ["--workers", "1"]
    assert cli.run(words) == 130
    assert f"Stopped after 3 of {N} galaxies; --resume continues." in capsys.readouterr().err
    with pytest.raises(SystemExit, match="143"):
        cli.run([*words, "--resume"])
    said = capsys.readouterr().err
    assert f"3/{N}" in said and f"0/{N}" not in said and "Stopped after 6" in said
    assert cli.run([*words, "--resume", "--quiet"]) == 0
    assert everything(tmp_path / "d") == whole


KILLED = """
import os, signal, sys
from sfnet_core.data.simulate import survey as simulate
real, simulate.SAVE_SECONDS = simulate._draw, -1
def draw(seed, size, index):
    if index == 5:
        simulate.SAVE_SECONDS = 1e9  # what comes now is written, and not kept
    if index == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(seed, size, index)
simulate._draw = draw
simulate.simulate(8, seed=3, size=32, workers=1, progress=False, out=sys.argv[1])
"""


def test_a_kill_loses_what_was_not_kept_and_no_more(draws, tmp_path, whole):
    root = str(Path(__file__).parents[2])
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "d")], env=os.environ | {"PYTHONPATH": root}, check=False
    )
    assert child.returncode == -signal.SIGKILL
    work = tmp_path / ".d.part"
    assert json.loads((work / "unfinished.json").read_text())["n"] == 5
    for name in ("cutouts.npy", "rows.jsonl"):  # as if a part of what came after had reached the disk
        with open(work / name, "ab") as handle:
            handle.write(b"{half a galaxy")
    (work / ".dataset.json.1-ab.part").write_text("{")
    simulate(N, out=tmp_path / "d", resume=True, **ARGUMENTS)
    assert draws == [5, 6, 7] and everything(tmp_path / "d") == whole


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 4}, "seed = 3, now seed = 4"),
        ({"size": 64}, "size = 32, now size = 64"),
        ({"n": 9}, "n = 8, now n = 9"),
        ({"software": 1}, "software = 'sfnet-core .*, galsim .*, now software = 'another'"),
    ],
    ids=str,
)
def test_other_arguments_are_refused_by_name_and_what_was_kept_stays(cut, draws, whole, monkeypatch, other, said):
    other = dict(other)
    with monkeypatch.context() as patch, pytest.raises(SFNetError, match=said):
        if other.pop("software", None):
            patch.setattr(module, "_libraries", lambda: "another")
        simulate(other.pop("n", N), out=cut, resume=True, **ARGUMENTS | other)
    simulate(N, out=cut, resume=True, **ARGUMENTS)
    assert draws == list(range(N)) and everything(cut) == whole


def test_without_resume_an_unfinished_one_is_left_alone_unless_overwritten(cut, draws, whole):
    with pytest.raises(SFNetError, match=r"unfinished dataset.*--resume.*--overwrite"):
        simulate(N, out=cut, **ARGUMENTS)
    with pytest.raises(SFNetError, match="unfinished dataset"):
        Dataset.create(cut, ["a"], np.zeros((1, 8, 8, 3), np.uint8))
    draws.clear()
    simulate(N, out=cut, overwrite=True, **ARGUMENTS)
    assert draws == list(range(N)) and everything(cut) == whole


def test_a_finished_one_is_not_drawn_again_and_another_dataset_is_left_alone(draws, tmp_path, capsys):
    simulate(N, out=tmp_path / "d", resume=True, **ARGUMENTS)
    before = everything(tmp_path)
    draws.clear()
    simulate(N, out=tmp_path / "d", resume=True, **ARGUMENTS | {"progress": True})
    assert draws == [] and "finished" in capsys.readouterr().err
    with pytest.raises(SFNetError, match="holds a dataset already"):
        simulate(N - 1, out=tmp_path / "d", resume=True, **ARGUMENTS)
    assert everything(tmp_path) == before


def test_a_replacement_that_was_cut_off_goes_on_and_the_former_one_stays_till_then(draws, tmp_path, whole):
    Dataset.create(tmp_path / "d", ["a"], np.zeros((1, 8, 8, 3), np.uint8))
    draws.stop = {4: interrupt()}
    with pytest.raises(KeyboardInterrupt):
        simulate(N, out=tmp_path / "d", overwrite=True, **ARGUMENTS)
    assert len(Dataset.open(tmp_path / "d")) == 1
    simulate(N, out=tmp_path / "d", overwrite=True, resume=True, **ARGUMENTS)
    assert draws == list(range(N)) and everything(tmp_path / "d") == whole


@pytest.mark.parametrize("damage", ["cutouts", "short", "rows", "mark", "shape"])
def test_a_kept_part_that_is_not_as_it_was_written_is_refused(cut, damage):
    work = cut.with_name(".d.part")
    files = {"cutouts": "cutouts.npy", "short": "cutouts.npy", "rows": "rows.jsonl"}
    path = work / files.get(damage, "unfinished.json")
    data = path.read_bytes()
    if damage == "short":
        path.write_bytes(data[:-1])
    elif damage == "mark":
        path.write_bytes(data[:-9])
    elif damage == "shape":
        path.write_text(json.dumps(json.loads(data) | {"shape": [32, -32]}))
    else:
        path.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
    with pytest.raises(SFNetError, match=r"(has changed|unfinished\.json.*not be used).*--overwrite"):
        simulate(N, out=cut, resume=True, **ARGUMENTS)
    assert simulate(N, out=cut, overwrite=True, **ARGUMENTS).path == cut


def test_a_full_disk_keeps_what_was_kept(draws, tmp_path, whole, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "SAVE_SECONDS", -1)
    draws.stop = {6: full}
    with pytest.raises(SFNetError, match=r"No space left .* some are kept\).* run the same command with --resume"):
        simulate(N, out=tmp_path / "d", **ARGUMENTS)
    simulate(N, out=tmp_path / "d", resume=True, **ARGUMENTS)
    assert draws == list(range(N)) and everything(tmp_path / "d") == whole
