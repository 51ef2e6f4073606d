"""The page's server ends with the process that started it: by real processes, killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest
import waiting

SERVES = """
import time
from sfnet_core.explorer.server.serve import serving
with serving(pool=1) as (address, process):
    print(address, process.pid, flush=True)
    time.sleep(600)
"""

WATCHES = """
import sys, time
from sfnet_core.explorer.server import parent_watch as parent
parent.GRACE = 0.5
if sys.argv[1] == "deaf":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
parent.end_with(0)
print("ready", flush=True)
time.sleep(600)
"""


until = partial(waiting.until, seconds=60)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_whose_parent_was_killed_ends_with_its_kernels():
    with subprocess.Popen([sys.executable, "-c", SERVES], stdout=subprocess.PIPE, text=True) as parent:
        try:
            address, pid = parent.stdout.readline().split()
            server = psutil.Process(int(pid))
            until(lambda: len(server.children(recursive=True)) >= 2)  # the nursery and a kernel
            family = [server, *server.children(recursive=True)]
            assert all(map(alive, family))
        finally:
            os.kill(parent.pid, signal.SIGKILL)
    try:
        until(lambda: not any(map(alive, family)))
    finally:
        for process in filter(alive, family):
            process.kill()
    port = int(address.rsplit(":", 1)[1].split("/")[0])
    until(lambda: not listens(port))  # a killed process may be a zombie while its last thread still holds the socket


@pytest.mark.parametrize("how", ["orderly", "deaf"])
def test_a_process_ends_when_the_pipe_does_even_if_it_does_not_listen(how):
    command = [sys.executable, "-c", WATCHES, how]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("x" * 5000)  # something is read: the pipe is still there
        child.stdin.flush()
        time.sleep(0.2)
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(30) == (-signal.SIGTERM if how == "orderly" else -signal.SIGKILL)
