"""``sfnet explore --run --images``: what a visitor's own galaxies need is there, and reaches the page's kernels."""

from __future__ import annotations

import os
import subprocess

import pytest

from sfnet_core.explorer.server import serve
from sfnet_core.utils.errors import SFNetError


def test_what_is_missing_is_said_before_the_server_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "serving", lambda *a, **k: pytest.fail("the server was started"))
    monkeypatch.setattr(serve, "check", lambda *a: None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.jpg").write_bytes(b"x")
    for how, said in (
        ({"run": tmp_path / "empty"}, "empty is not a run"),
        ({"run": tmp_path / "gone"}, "gone is not a run"),
        ({"images": [tmp_path / "file.jpg"]}, "file.jpg is not a folder"),
        ({"images": [tmp_path, tmp_path / "gone"]}, "gone is not a folder"),
    ):
        with pytest.raises(SFNetError, match=said):
            serve.serve(None, **how)
    odd = tmp_path / f"a{os.pathsep}b"
    odd.mkdir()
    with pytest.raises(SFNetError, match="must have no"):
        serve.serve(None, images=[odd])


def test_a_run_is_a_folder_with_weights_or_a_file(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    serve.check_yours(tmp_path, [])
    serve.check_yours(tmp_path / "model.safetensors", [tmp_path])


def test_they_reach_the_kernels_as_the_environment(tmp_path, monkeypatch):
    seen = {}

    class Server:
        pid, returncode = 2**22 + 1, 0

        def __init__(self, command, env, **_how):
            seen.update(env)

        def poll(self):
            return 0

        def wait(self, timeout=None):
            return 0

    monkeypatch.setenv("SFNET_RUN", "before")
    monkeypatch.setattr(subprocess, "Popen", Server)
    monkeypatch.setattr(serve, "_wait_for", lambda *a: None)
    monkeypatch.setattr(serve, "_stop", lambda process: None)
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with serve.serving(run="run", images=["a", "b"], pool=0):
        assert seen["SFNET_RUN"] == str(tmp_path / "run")
        assert seen["SFNET_IMAGES"].split(os.pathsep) == [str(tmp_path / "a"), str(tmp_path / "b")]
    with serve.serving(pool=0):
        assert seen["SFNET_RUN"] == "before"  # what the environment names stays
