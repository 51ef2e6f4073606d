"""Kernels forked from the nursery: the provisioner that Jupyter asks for a kernel's process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

__all__ = ["ForkedProvisioner", "use_nursery"]

NAME = "sfnet-forked"
ROOM = "-" * 400  # for the kernels' own command lines
PATIENCE = 60  # s for the nursery to have imported everything


class NurseryGone(Exception):
    """It can't be started, or it ended."""


class Line:
    """The server's end of the socket to the nursery."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "sfnet_core.explorer.server.fork_server", ROOM]
        with theirs:
            self.process = subprocess.Popen(command, stdin=theirs.fileno())
        self._socket, self._lock = ours, threading.Lock()
        self._pending, self._started = b"", []
        self.ended: dict[int, int] = {}

    def start(self, argv: list[str], env: dict[str, str], cwd: str | None) -> int:
        """The process number of a new kernel."""
        with self._lock:
            try:
                self._socket.sendall(json.dumps({"argv": argv, "env": env, "cwd": cwd}).encode() + b"\n")
                deadline = time.monotonic() + PATIENCE
                while not self._started:
                    self._receive(deadline - time.monotonic())
            except (OSError, ValueError) as error:
                raise NurseryGone(str(error)) from error
            return self._started.pop(0)

    def status(self, pid: int) -> int | None:
        """How a kernel ended, or ``None`` while it lives."""
        if self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(BlockingIOError):
                    while pid not in self.ended:
                        self._receive(0)
            except OSError:  # the nursery is gone, and soon its kernels
                if pid not in self.ended and not _lives(pid):
                    self.ended[pid] = 1
            finally:
                self._lock.release()
        return self.ended.get(pid)

    def _receive(self, patience: float) -> None:
        self._socket.settimeout(max(patience, 0))
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the nursery ended")
        *lines, self._pending = (self._pending + data).split(b"\n")
        for message in map(json.loads, lines):
            if "status" in message:
                self.ended[message["pid"]] = message["status"]
            else:
                self.ended.pop(message["pid"], None)  # of an earlier kernel: numbers come again
                self._started.append(message["pid"])

    def close(self) -> None:
        """End the nursery."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class ForkedProcess:
    """What :class:`subprocess.Popen` is to a process of our own, for one that the nursery started."""

    stdin = stdout = stderr = None

    def __init__(self, line: Line, pid: int) -> None:
        self._line, self.pid = line, pid

    def poll(self) -> int | None:
        """The exit status, or ``None``."""
        return self._line.status(self.pid)

    def wait(self) -> int:
        """Until it has ended; the exit status."""
        while (status := self.poll()) is None:
            time.sleep(0.02)
        return status

    def send_signal(self, number: int) -> None:
        """To the process itself, where it has not ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkedProvisioner(LocalProvisioner):
    """A kernel from the nursery where it can be had, else one started in the usual way."""

    line: ClassVar[Line | None] = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel; gives how to talk to it."""
        line, at = type(self).line, _after_launcher(cmd)
        if line is None or at is None:
            return await super().launch_kernel(cmd, **kwargs)
        cwd, env = kwargs.get("cwd") or str(Path.cwd()), dict(kwargs.get("env") or os.environ)
        try:
            pid = await asyncio.to_thread(line.start, cmd[at:], env, str(cwd))
        except NurseryGone as error:
            self.log.error("The fork server of kernels has ended (%s); pages open more slowly.", error)
            type(self).line = None
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid, self.cwd = ForkedProcess(line, pid), pid, pid, cwd
        return self.connection_info


def _after_launcher(cmd: list[str]) -> int | None:
    """Where a kernel's own arguments begin in ``python … -m ipykernel_launcher …``; ``None`` for another program."""
    with contextlib.suppress(ValueError):
        at = cmd.index("ipykernel_launcher")
        same = os.path.realpath(cmd[0]) == os.path.realpath(sys.executable) or cmd[0] in ("python", "python3")
        if at > 0 and cmd[at - 1] == "-m" and same:
            return at + 1
    return None


def use_nursery() -> Line | None:
    """Start the nursery and have Jupyter ask it for kernels; ``None`` where there is no ``fork``."""
    if not hasattr(os, "fork") or sys.platform == "darwin":  # macOS: forked processes may not use its frameworks
        return None
    ForkedProvisioner.line = Line()
    KernelProvisionerFactory.provisioners[NAME] = EntryPoint(
        NAME, f"{__name__}:ForkedProvisioner", KernelProvisionerFactory.GROUP_NAME
    )
    os.environ[KernelProvisionerFactory.default_provisioner_name_env] = NAME
    return ForkedProvisioner.line
