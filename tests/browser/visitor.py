"""A visitor without a browser: gets the served page, opens its websocket, and says to the kernel whatever it likes."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import websocket

V1 = "v1.kernel.websocket.jupyter.org"


def frame(channel: str, header: Any, content: Any, buffers: tuple[bytes, ...] = (), metadata: Any = None) -> bytes:
    """A message as a browser writes it; parts that are bytes already go as they are."""
    parts = [channel.encode()]
    for part in (header, {}, metadata or {}, content):
        parts.append(part if isinstance(part, bytes) else json.dumps(part).encode())
    parts += buffers
    n = len(parts) + 1
    at, offsets = 8 * (n + 1), []
    for part in parts:
        offsets.append(at)
        at += len(part)
    return b"".join(number.to_bytes(8, "little") for number in (n, *offsets, at)) + b"".join(parts)


class Visitor:
    """One page of a server, from its address (as ``serving`` gives it); a context manager that closes the tab."""

    def __init__(self, address: str, query: str = ""):
        self.split = urlsplit(address)
        self.token = self.split.query
        self.root = f"http://{self.split.netloc}"
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        status, self.html = self.get(f"{self.split.path}?{self.token}{query}")
        assert status == 200, self.html
        config = re.search(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', self.html, re.DOTALL)
        self.kernel = json.loads(config[1])["kernelId"]
        self.cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)
        self.session = uuid4().hex
        self.widgets: dict[str, dict] = {}
        self.said: list[tuple[str, Any, list[bytes]]] = []  # the widgets' own messages
        self.replies: list[tuple[str, str]] = []  # (kind, parent) of everything that came
        self.line = self.connect()
        control = uuid4().hex
        self.wait(self.send("comm_open", {"comm_id": control, "target_name": "jupyter.widget.control", "data": {}}))
        self.wait(self.send("comm_msg", {"comm_id": control, "data": {"method": "request_states"}}))
        assert self.widgets

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()
        with contextlib.suppress(urllib.error.URLError):
            self.get(f"/sfnet/end/{self.kernel}", "POST")

    # -- HTTP --------------------------------------------------------------------------------------------------

    def get(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
        """Status and text of an answer; the path goes as it is written."""
        request = urllib.request.Request(self.root + path, method=method, data=body if body or method == "GET" else b"")
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")

    def connect(self, session: str = "", **how: Any) -> websocket.WebSocket:
        """A websocket to the page's kernel."""
        where = f"ws://{self.split.netloc}/api/kernels/{self.kernel}/channels?session_id={session or self.session}"
        return websocket.create_connection(
            where, **{"subprotocols": [V1], "cookie": self.cookie, "timeout": 60, "suppress_origin": True, **how}
        )

    # -- the kernel --------------------------------------------------------------------------------------------

    def header(self, kind: str) -> dict:
        """A message's header with an identifier of its own."""
        return {"msg_id": uuid4().hex, "msg_type": kind, "session": self.session, "username": "", "version": "5.2"}

    def send(self, kind: str, content: Any, channel: str = "shell", buffers: tuple[bytes, ...] = ()) -> str:
        """Send a message; gives its identifier."""
        header = self.header(kind)
        metadata = {"version": "1.0.0"} if kind == "comm_open" else {}
        self.line.send_binary(frame(channel, header, content, buffers, metadata))
        return header["msg_id"]

    def wait(self, identity: str, seconds: float = 60) -> None:
        """Until the kernel is done with a message."""
        deadline = time.monotonic() + seconds
        while ("idle", identity) not in self.replies:
            assert time.monotonic() < deadline, "the kernel did not answer"
            self.read()

    def read(self) -> None:
        """Take the next message of the kernel."""
        data = self.line.recv()
        if not isinstance(data, bytes):
            raise websocket.WebSocketConnectionClosedException("the server closed the line")
        n = int.from_bytes(data[:8], "little")
        at = [int.from_bytes(data[8 * i : 8 * i + 8], "little") for i in range(1, n + 1)]
        parts = [data[a:b] for a, b in pairwise(at)]
        header, parent, content = (json.loads(parts[i]) for i in (1, 2, 4))
        kind = header["msg_type"]
        self.replies.append((content.get("execution_state", kind) if kind == "status" else kind, parent.get("msg_id")))
        if kind != "comm_msg":
            return
        said = content["data"]
        if said.get("method") == "update_states":
            self.widgets |= {identity: widget["state"] for identity, widget in said["states"].items()}
        elif said.get("method") == "update" and content["comm_id"] in self.widgets:
            self.widgets[content["comm_id"]].update(said["state"])
        elif said.get("method") == "custom":
            self.said.append((content["comm_id"], said["content"], parts[5:]))

    # -- the page ----------------------------------------------------------------------------------------------

    def view(self, *keys: str) -> str:
        """The identifier of the view whose data have these keys."""
        found = [m for m, state in self.widgets.items() if set(keys) <= set(state.get("data") or ())]
        assert len(found) == 1, f"{len(found)} views have {keys}"
        return found[0]

    def data(self, *keys: str) -> dict:
        """What that view shows."""
        return self.widgets[self.view(*keys)]["data"]

    def act(self, identity: str, message: Any, buffers: tuple[bytes, ...] = ()) -> None:
        """Send a view's message and wait until the kernel is done with it."""
        content = {"comm_id": identity, "data": {"method": "custom", "content": message}}
        self.wait(self.send("comm_msg", content, buffers=buffers))

    def update(self, identity: str, **state: Any) -> None:
        """Set a widget's traits, as a browser's model does, and wait."""
        self.wait(self.send("comm_msg", {"comm_id": identity, "data": {"method": "update", "state": state}}))

    def seen(self) -> dict:
        """All that the page shows, by view; notices apart."""
        out = {}
        for identity, state in self.widgets.items():
            if isinstance(state.get("data"), dict):
                out[identity] = {key: value for key, value in state["data"].items() if key not in ("notices", "serial")}
        return out


def processes_of(server: int) -> list[int]:
    """The kernels of a server's process: its children, or those of the nursery that it keeps."""
    known = processes()
    kept = {
        server,
        *(pid for pid, (parent, command) in known.items() if parent == server and ".fork_server" in command),
    }
    return [pid for pid, (parent, command) in known.items() if parent in kept and "ipykernel" in command]


def kernel_of(kernel: str) -> int | None:
    """The process of one kernel, by its connection file."""
    return next((pid for pid, (_, command) in processes().items() if f"kernel-{kernel}" in command), None)


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of every living process."""
    out = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                out[int(path.name)] = int(fields[1]), (path / "cmdline").read_text()
    return out


def resident(pid: int) -> int:
    """Memory of a process in RAM, in bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) << 10
