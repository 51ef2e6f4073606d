"""Kernels forked from the nursery: they answer, end, are reported, and go with their server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import waiting
from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from sfnet_core.explorer.server import forked
from sfnet_core.explorer.server.forked import ForkedProcess, Line, NurseryGone, _after_launcher


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


@pytest.fixture
def kernel(line, tmp_path) -> Iterator[Callable]:
    """``kernel(**env)`` starts one: its process and a client."""
    running = []

    def start(**env: str) -> tuple[ForkedProcess, BlockingKernelClient]:
        file, _ = write_connection_file(str(tmp_path / f"kernel-{len(running)}abcdefghijklmnop.json"))
        pid = line.start(["-f", file, "--log-level=ERROR"], {**os.environ, **env}, str(tmp_path))
        client = BlockingKernelClient()
        client.load_connection_file(file)
        client.start_channels()
        client.wait_for_ready(timeout=60)
        running.append((ForkedProcess(line, pid), client))
        return running[-1]

    yield start
    for process, client in running:
        client.stop_channels()
        process.kill()
        process.wait()


def ask(client: BlockingKernelClient, code: str):
    """What the code prints, read as JSON."""
    said: list[str] = []
    client.execute_interactive(code, timeout=60, output_hook=lambda m: said.append(m["content"].get("text", "")))
    return json.loads("".join(said))


until = partial(waiting.until, seconds=20)


def test_a_kernel_has_its_own_surroundings_and_the_pages_modules(kernel, tmp_path):
    (one, first), (two, second) = kernel(SFNET_CODES="a"), kernel(SFNET_CODES="b")
    code = (
        "import json, os, sys, random, numpy; print(json.dumps([os.environ['SFNET_CODES'], os.getcwd(), os.getpid(), "
        "random.random(), numpy.random.random(), [m for m in ('torch', 'pandas', 'astropy', 'debugpy') if "
        "sys.modules.get(m)], 'sfnet_core.explorer.explore.page' in sys.modules, os.getpgid(0)]))"
    )
    a, b = ask(first, code), ask(second, code)
    assert [a[0], b[0]] == ["a", "b"] and a[1] == b[1] == str(tmp_path.resolve())
    assert [a[2], b[2]] == [one.pid, two.pid] and a[3:5] != b[3:5] and a[3] != b[3] and a[4] != b[4]
    assert a[5] == [] and a[6] is True and [a[7], b[7]] == [one.pid, two.pid]
    if sys.platform == "linux":
        command = Path(f"/proc/{one.pid}/cmdline").read_text().rstrip("\0").split("\0")
        assert command[1:4] == ["-m", "ipykernel_launcher", "-f"] and "kernel-0abcdefghijklmnop.json" in command[4]
    assert one.poll() is None and two.poll() is None


def test_how_a_kernel_ends_is_known(kernel):
    (asked, client), (killed, _), (interrupted, other) = kernel(), kernel(), kernel()
    client.shutdown()
    assert asked.wait() == 0 and asked.poll() == 0
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    killed.kill()  # again, in vain
    other.execute("import time; print('here', flush=True); time.sleep(60)", stop_on_error=False)
    until(lambda: other.get_iopub_msg(timeout=20)["content"].get("text", "").strip() == "here")
    os.killpg(interrupted.pid, signal.SIGINT)
    assert other.get_shell_msg(timeout=20)["content"]["ename"] == "KeyboardInterrupt"
    assert ask(other, "print('[1]')") == [1] and interrupted.poll() is None
    interrupted.terminate()
    assert interrupted.wait() == -signal.SIGTERM


def test_a_kernel_that_cannot_start_is_reported(line, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    pid = line.start(["-f", str(tmp_path / "file" / "x.json"), "--log-level=50"], dict(os.environ), None)
    until(lambda: line.status(pid) is not None)
    assert line.status(pid) != 0
    other = line.start(["--version"], dict(os.environ), str(tmp_path))  # the next one is not held up
    until(lambda: line.status(other) == 0)


def test_a_process_number_that_comes_again_is_a_new_kernel(monkeypatch):
    ours, theirs = forked.socket.socketpair()
    nursery = theirs.dup()
    monkeypatch.setattr(forked.socket, "socketpair", lambda: (ours, theirs))
    monkeypatch.setattr(forked.subprocess, "Popen", lambda *_, **__: None)
    line = Line()
    nursery.sendall(b'{"pid": 7}\n')
    assert line.start([], {}, None) == 7 and line.status(7) is None
    nursery.sendall(b'{"pid": 7, "status": -9}\n')
    assert line.status(7) == -9
    nursery.sendall(b'{"pid": 7}\n')
    assert line.start([], {}, None) == 7 and line.status(7) is None
    ours.close()
    nursery.close()


HOLD = """
import os, sys
from jupyter_client.connect import write_connection_file
from sfnet_core.explorer.server.forked import Line
line = Line()
file, _ = write_connection_file(sys.argv[1])
print(line.process.pid, line.start(["-f", file, "--log-level=ERROR"], dict(os.environ), None), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["server killed", "nursery killed"])
def test_kernels_go_with_their_server(tmp_path, how):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "kernel-x.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        nursery, pid = map(int, server.stdout.readline().split())
        client = BlockingKernelClient()
        client.load_connection_file(str(tmp_path / "kernel-x.json"))
        client.start_channels()
        client.wait_for_ready(timeout=60)
        os.kill(server.pid if how == "server killed" else nursery, signal.SIGKILL)
        until(lambda: not lives(pid))
        client.stop_channels()
        server.kill()
    until(lambda: not lives(nursery))


def lives(pid: int) -> bool:
    try:
        return ")" in (stat := Path(f"/proc/{pid}/stat").read_text()) and stat.rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_without_the_nursery_a_kernel_can_still_be_had(line):
    gone = Line()
    gone.process.kill()
    gone.process.wait()
    with pytest.raises(NurseryGone):
        gone.start(["-f", "x"], {}, None)
    assert gone.status(1 << 22) == 1 and gone.status(os.getpid()) is None
    gone.close()


def test_only_our_own_pythons_kernels_are_forked():
    assert _after_launcher([sys.executable, "-m", "ipykernel_launcher", "-f", "x"]) == 3
    assert _after_launcher([sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "x"]) == 4
    for other in (["/usr/bin/R", "-m", "ipykernel_launcher"], [sys.executable, "-m", "xeus"], ["ipykernel_launcher"]):
        assert _after_launcher(other) is None
