"""A pack that is cut off goes on to the same bytes; what is not the same pack is refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfnet_core.cli import verbs as cli
from sfnet_core.data import packing as pack_module
from sfnet_core.data.packing import pack
from sfnet_core.utils.errors import SFNetError

N, BROKEN = 40, (0, 7, 8, 23, 39)


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """Forty galaxies, five of whose images are broken: the first, the last, two that follow one another."""
    (tmp_path / "images").mkdir()
    for i in range(N):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"g{i:02d}.png")
    for i in BROKEN:
        (tmp_path / "images" / f"g{i:02d}.png").write_bytes(b"<html>404</html>")
    rows = [f"g{i:02d},{8 + i / 100}" for i in range(N)]
    (tmp_path / "galaxies.csv").write_text("\n".join(["name,oh_p50", *rows]))
    return tmp_path


def run(survey: Path, out: str = "out", **options):
    return pack(survey / "galaxies.csv", survey / "images", survey / out, **{"progress": False, "size": 8} | options)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stopped(survey: Path, monkeypatch, after: int, how: int = signal.SIGTERM, save: float = -1) -> None:
    """A pack that gets a signal as image ``after`` was packed."""
    add = pack_module.UnfinishedWriter.add

    def signalled(self, cutout, row):
        add(self, cutout, row)
        if row["index"] >= after:
            os.kill(os.getpid(), how)

    with monkeypatch.context() as patched:
        patched.setattr(pack_module, "SAVE_SECONDS", save)
        patched.setattr(pack_module.UnfinishedWriter, "add", signalled)
        with pytest.raises(SystemExit if how == signal.SIGTERM else KeyboardInterrupt):
            run(survey, resume=True)


@pytest.mark.parametrize("after", [1, 6, 9, 22, 38])
def test_r6_a_pack_that_was_stopped_goes_on_to_the_same_bytes(survey, monkeypatch, after):
    whole = run(survey, "whole")
    stopped(survey, monkeypatch, after)
    assert not (survey / "out").exists() and (survey / ".out.part" / "unfinished.json").is_file()
    opened, real = [], pack_module.read_source
    monkeypatch.setattr(pack_module, "read_source", lambda s, **how: (opened.append(s.name), real(s, **how))[1])
    done = run(survey, resume=True)
    done.verify()
    assert files(done.path) == files(whole.path)
    assert len(done.set_aside) == len(BROKEN) and len(done) == N - len(BROKEN)
    assert f"g{after:02d}.png" not in opened and sorted(opened) == [f"g{i:02d}.png" for i in range(after + 1, N)]
    assert sorted(path.name for path in survey.glob(".*")) == []


def test_stopped_three_times_it_is_still_the_same(survey, monkeypatch):
    whole = run(survey, "whole")
    for after, how in ((5, signal.SIGINT), (12, signal.SIGTERM), (30, signal.SIGINT)):
        stopped(survey, monkeypatch, after, how)
    assert files(run(survey, resume=True).path) == files(whole.path)


def test_what_took_less_than_a_minute_leaves_nothing(survey, monkeypatch):
    stopped(survey, monkeypatch, 9, signal.SIGINT, save=60)
    assert sorted(path.name for path in survey.iterdir()) == ["galaxies.csv", "images"]


def test_another_pack_is_not_gone_on_with(survey, monkeypatch):
    stopped(survey, monkeypatch, 9)
    with pytest.raises(SFNetError, match="size = 8, now size = 12"):
        run(survey, resume=True, size=12)
    with pytest.raises(SFNetError, match="--resume"):
        run(survey)
    (survey / "images" / "g30.png").touch()
    with pytest.raises(SFNetError, match=r"rows and images \(names, sizes, times\)"):
        run(survey, resume=True)
    assert len(run(survey, overwrite=True)) == N - len(BROKEN)


def test_what_is_finished_is_not_made_again_and_another_one_is_refused(survey, capsys):
    first = files(run(survey).path)
    assert cli.run([*map(str, ("pack", survey / "galaxies.csv", survey / "images")), "--out", str(survey / "out"),
                    "--size", "8", "--resume"]) == 3  # fmt: skip
    assert "finished" in capsys.readouterr().err
    assert files(survey / "out") == first
    text = (survey / "galaxies.csv").read_text()
    (survey / "galaxies.csv").write_text(text.replace("g05,8.05", "g05,8.06"))
    with pytest.raises(SFNetError, match="holds a dataset already"):
        run(survey, resume=True)
    assert run(survey, overwrite=True, resume=True).column("oh_p50")[1 + 3] == 8.06
