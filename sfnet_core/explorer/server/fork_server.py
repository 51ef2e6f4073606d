"""A process that has imported what every page needs and forks a kernel for each: no import, and most of it shared.

Started beside the server with one end of a socket pair as its standard input: ``python -m
sfnet_core.explorer.server.fork_server``. Each line in is a kernel to start, as JSON: ``{"argv", "env", "cwd"}``; each
line out ``{"pid"}``, and once it has ended ``{"pid", "status"}``. It holds no thread, no event loop and no codes: what
is shared are modules. With the server's end of the socket it ends, and with it the kernels (they watch their parent).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import random
import select
import signal
import socket
import sys
from pathlib import Path

PAGES = (
    *("sfnet_core.explorer.explore.page", "sfnet_core.explorer.atlas.page", "sfnet_core.explorer.your_galaxy.page"),
    *("sfnet_core.explorer.train.page", "sfnet_core.data.dataset", "sfnet_core.data.cutouts"),
)
MORE = (  # what a kernel imports only as it starts or opens its page
    *("ipykernel.kernelapp", "ipykernel.comm", "IPython.core.completerlib", "IPython.core.oinspect", "psutil"),
    *(
        "IPython.extensions.storemagic",
        "tornado.platform.asyncio",
        "tornado.locks",
        "tornado.queues",
        "zmq.utils.garbage",
    ),
    *(
        "numpy.ma",
        "numpy.random",
        "simplejpeg",
        "sfnet_core.explorer.shared.sample",
        "pdb",
        "encodings.idna",
        "http.server",
    ),
)
POLL = 0.2  # s between two looks at kernels that may have ended


def load() -> None:
    """Import what a page's kernel would; all of it stays out of the garbage collector's way, or it would be copied."""
    import importlib

    sys.modules["debugpy"] = None  # type: ignore[assignment]  # no debugger: 12 MB that nobody may ask for
    for name in (*MORE, *PAGES):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def become_kernel(argv: list[str], env: dict[str, str], cwd: str | None) -> None:
    """In the new process: the kernel that ``argv`` (``python -m ipykernel_launcher -f FILE …``) asks for."""
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    name_process(argv)
    os.environ.clear()
    os.environ.update(env)
    if cwd:
        os.chdir(cwd)
    sys.argv = argv
    sys.path[0] = ""  # as `python -m` has it, for the notebook's own folder
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    from ipykernel.kernelapp import IPKernelApp

    # ipywidgets was imported when there was no kernel yet: what browsers open to ask for the widgets is registered now.
    widgets = "import ipywidgets; ipywidgets.register_comm_target()"
    argv = [*argv, "--HistoryManager.enabled=False", f"--IPKernelApp.exec_lines={widgets}"]
    IPKernelApp.launch_instance(argv=argv, parent_handle=os.getppid())  # without it, it would not end with its parent


def name_process(argv: list[str]) -> None:
    """Have ``ps`` show the kernel that this process is now (Linux), written over the nursery's own arguments."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, proc(5)
        title = "\0".join([sys.executable, "-m", "ipykernel_launcher", *argv]).encode("utf-8", "surrogateescape")
        if 0 < end - start < 1 << 16:
            ctypes.memmove(start, title[: end - start - 1].ljust(end - start, b"\0"), end - start)


class Nursery:
    """The loop: requests in, kernels out, their ends reported."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel, self.pending = channel, b""
        self.children: set[int] = set()

    def say(self, **message: int) -> None:
        """One line to the server."""
        self.channel.sendall(json.dumps(message).encode() + b"\n")

    def run(self) -> None:
        """Until the server closes its end."""
        while True:
            ready, _, _ = select.select([self.channel], [], [], POLL if self.children else None)
            if ready:
                data = self.channel.recv(1 << 20)
                if not data:
                    return
                *lines, self.pending = (self.pending + data).split(b"\n")
                for line in lines:
                    self.start(**json.loads(line))
            self.reap()

    def start(self, argv: list[str], env: dict[str, str], cwd: str | None) -> None:
        """Fork a kernel."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self.channel.close()
                become_kernel(argv, env, cwd)
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(status)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # also here: whoever comes first
        self.children.add(pid)
        self.say(pid=pid)

    def reap(self) -> None:
        """Report the kernels that have ended."""
        for pid in list(self.children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.children.discard(pid)
                self.say(pid=pid, status=os.waitstatus_to_exitcode(status))


def main() -> None:
    """Import, then fork until the server is gone."""
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's; it ends us by closing the socket
    load()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Nursery(channel).run()


if __name__ == "__main__":
    main()
