"""A child process that speaks in lines, read in a thread, answered in the page's own thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import IPython

__all__ = ["Process"]

LONGEST = 8 << 20


class Process:
    """Starts ``python -m MODULE ARGUMENT`` and hands each JSON line of its output to ``hear``; then ``ended``.

    In a kernel both are called in the kernel's own thread, by its event loop; without one in the reader's thread.
    ``ended(status, words)`` gets the exit status (negative: the signal that killed it) and the last line of standard
    error. The child's standard input is a pipe that closes with this process: a child may take that as its end.
    """

    def __init__(
        self, module: str, argument: str, hear: Callable[[dict[str, Any]], None], ended: Callable[[int, str], None]
    ) -> None:
        self._hear, self._ended = hear, ended
        self._loop = _kernels_loop()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (the reader closes it)
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        self._child = subprocess.Popen(
            [sys.executable, "-m", module, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,  # Ctrl-C in the server's terminal is not for the training
        )
        self._reader = threading.Thread(target=self._read, daemon=True, name=f"reads {module}")
        self._reader.start()

    def interrupt(self) -> None:
        """Send SIGINT: the child ends its step, writes what it has, and leaves."""
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Close its standard input, then end it."""
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()

    def wait(self, timeout: float | None = None) -> None:
        """Until it has ended and everything it said was handed on."""
        self._reader.join(timeout)
        if self._reader.is_alive():
            raise TimeoutError(f"the process did not end within {timeout} s")

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._loop is None:
            function(*arguments)
            return
        with contextlib.suppress(RuntimeError):  # the kernel is ending, and so are its pages
            self._loop.call_soon_threadsafe(function, *arguments)

    def _read(self) -> None:
        with self._child.stdout as lines:
            while line := lines.readline(LONGEST):
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    self._call(self._hear, event)
        status = self._child.wait()
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        with self._errors:
            self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4000))
            words = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self._call(self._ended, status, words[-1] if words else "")


def _kernels_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of the kernel that this runs in; ``None`` outside a kernel (a loop there is somebody else's)."""
    shell = IPython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
