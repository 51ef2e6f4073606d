"""The package as it is built from a working checkout, a virtual environment inside it included."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = {".py", ".js", ".css", ".html", ".j2", ".json", ".typed"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder with wheel and source distribution."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def tracked(*where: str) -> set[str]:
    """The files that git knows below some folders."""
    done = subprocess.run(["git", "ls-files", "-z", *where], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split("\0") if name}


def test_the_wheel_is_whole_and_small(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.stat().st_size <= 9_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    code = {name for name in tracked("sfnet_core") if Path(name).suffix in CODE}
    assert len(code) > 100 and code <= names
    assert {f"sfnet_core/explorer/{name}" for name in tracked("notebooks")} <= names
    assert {name.replace("data/", "sfnet_core/sample/") for name in tracked("data/sample*")} <= names
    (entry,) = [name for name in names if name.endswith("entry_points.txt")]
    with zipfile.ZipFile(wheel) as archive:
        assert b"sfnet = sfnet_core.cli" in archive.read(entry)


def test_the_source_distribution_is_what_git_knows_and_nothing_else(built):
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()} - {"PKG-INFO", "pyproject.toml", ".gitignore"}
    known = tracked()
    assert names <= known, sorted(names - known)[:5]
    assert {name for name in known if name.startswith(("sfnet_core/", "tests/", "notebooks/", "data/"))} <= names
