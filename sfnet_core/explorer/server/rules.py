"""What a browser may say to a kernel: the messages that widgets need, of moderate size, at the kernel's own pace.

Pure Python, one :class:`Guard` a kernel. A frame is a message in the protocol ``v1.kernel.websocket.jupyter.org``: its
number of offsets, the offsets, then channel, header, parent header, metadata, content and buffers, end to end.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

__all__ = ["Guard", "Refused", "split_frame"]

MESSAGES = {"comm_open", "comm_msg", "comm_close", "comm_info_request", "kernel_info_request"}
TARGETS = {"jupyter.widget.control"}  # what a page opens itself: one channel to ask for the widgets' states
METHODS = {"update", "custom", "request_state", "request_states"}
LATEST = {"k", "theme", "here"}  # actions of which only the last one counts
MOST_PARTS = 64
MOST_HEADER, MOST_TEXT = 16 << 10, 8 << 20  # bytes of a header, of a content; buffers: as long as a whole frame may be
MOST_WAITING, MOST_WAITING_BYTES = 1000, 64 << 20
WINDOW = 16  # messages given to the kernel and not answered yet
_HEADER = ("msg_id", "msg_type", "username", "session", "date")
PATIENCE = 15.0  # s after which an unanswered message no longer holds up the others
OPENS, OPEN_EVERY = 16, 5.0  # comms a page may open at once, and s until it may open one more


class Refused(ValueError):
    """A message that does not reach the kernel; the text says why."""


class _Waiting(NamedTuple):
    key: tuple | None  # two neighbours with the same key: only the later one counts
    identity: str
    parts: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))


def split_frame(frame: bytes) -> tuple[str, list[bytes]]:
    """Channel and parts of a frame; :class:`Refused` where its offsets are not those of a message.

    Jupyter's own reader believes the number of offsets, and a frame of 8 bytes that claims 10¹⁸ takes all memory.
    """
    n = int.from_bytes(frame[:8], "little")
    if not 6 <= n <= MOST_PARTS or len(frame) < 8 * (n + 1):
        raise Refused("a frame that is not a message")
    offsets = struct.unpack_from(f"<{n}Q", frame, 8)
    if offsets[0] < 8 * (n + 1) or list(offsets) != sorted(offsets) or offsets[-1] > len(frame):
        raise Refused("a frame that is not a message")
    pieces = [frame[start:stop] for start, stop in pairwise(offsets)]
    return pieces[0].decode("utf-8", "replace"), pieces[1:]


def _one_of(value: Any, words: set[str]) -> bool:
    return isinstance(value, str) and value in words


class Guard:
    """Between the browsers and one kernel. It outlives a connection, and with it what waits for the kernel.

    Parameters
    ----------
    unpack, pack
        What reads and writes a part; the kernel's session has them.
    """

    def __init__(self, unpack: Callable[[bytes], Any] = json.loads, pack: Callable[[Any], bytes] | None = None):
        self._unpack = unpack
        self._pack = pack or (lambda value: json.dumps(value).encode())
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._asked: dict[str, float] = {}  # identifier → when the kernel got it
        self._opens, self._opened = float(OPENS), 0.0

    @property
    def waiting(self) -> int:
        """Messages that wait for the kernel to answer earlier ones."""
        return len(self._waiting)

    def take(self, frame: bytes, now: float) -> None:
        """Take a frame from a browser at ``now`` (s, monotonic); :class:`Refused` where it goes no further."""
        channel, parts = split_frame(frame)
        if channel != "shell":
            raise Refused(f"a message on the channel {channel[:20]!r}")
        if len(parts[0]) > MOST_HEADER or len(parts[1]) + len(parts[2]) > MOST_HEADER or len(parts[3]) > MOST_TEXT:
            raise Refused("a message that is too long")
        header, content = self._read(parts[0]), self._read(parts[3])
        self._read(parts[1]), self._read(parts[2])
        kind, identity = header.get("msg_type"), header.get("msg_id")
        if not _one_of(kind, MESSAGES):
            raise Refused(f"a message of the kind {str(kind)[:40]!r}")
        if not isinstance(identity, str) or not 0 < len(identity) <= 100:
            raise Refused("a message without an identifier")
        key = self._judge(kind, content, now, len(parts) > 4)
        known = {name: header[name] for name in _HEADER if isinstance(header.get(name), str)} | {"version": "5.3"}
        self._queue(_Waiting(key, identity, [self._pack(known), *parts[1:]]))

    def due(self, now: float) -> Iterator[list[bytes]]:
        """The parts of the messages that the kernel may have now, in the order in which they came."""
        for identity in [identity for identity, since in self._asked.items() if now - since > PATIENCE]:
            del self._asked[identity]
        while self._waiting and len(self._asked) < WINDOW:
            message = self._waiting.popleft()
            self._bytes -= message.size
            self._asked[message.identity] = now
            yield message.parts

    def answered(self, identity: str) -> bool:
        """Note that the kernel is done with a message; whether it was one of ours."""
        return self._asked.pop(identity, None) is not None

    def _read(self, part: bytes) -> dict:
        try:
            value = self._unpack(part)
        except (ValueError, RecursionError) as error:
            raise Refused("a message that can't be read") from error
        if not isinstance(value, dict):
            raise Refused("a message that can't be read")
        return value

    def _judge(self, kind: str, content: dict, now: float, buffers: bool) -> tuple | None:
        """The message's key, ``None`` where each one counts; :class:`Refused` where widgets do not say such a thing."""
        if not kind.startswith("comm_") or kind == "comm_info_request":
            return (kind,)
        identity = content.get("comm_id")
        if not isinstance(identity, str) or not 0 < len(identity) <= 100:
            raise Refused("a message to no comm")
        if kind == "comm_open":
            if not _one_of(content.get("target_name"), TARGETS):
                raise Refused(f"a comm to {str(content.get('target_name'))[:40]!r}")
            self._opens = min(OPENS, self._opens + (now - self._opened) / OPEN_EVERY)
            self._opened = now
            if self._opens < 1:
                raise Refused("one comm too many")
            self._opens -= 1
        if kind != "comm_msg":
            return None
        data = content.get("data")
        if not isinstance(data, dict) or not _one_of(data.get("method"), METHODS):
            raise Refused("a message that no widget sends")
        inner, state = data.get("content"), data.get("state")
        if data["method"] == "custom" and isinstance(inner, dict) and not buffers:
            action = inner.get("do")
            return (identity, action) if _one_of(action, LATEST) else None
        if data["method"] == "update" and isinstance(state, dict) and not buffers:
            return (identity, "update", *sorted(state))
        return None

    def _queue(self, message: _Waiting) -> None:
        if message.key is not None and self._waiting and self._waiting[-1].key == message.key:
            self._bytes -= self._waiting.pop().size
        if len(self._waiting) >= MOST_WAITING or self._bytes + message.size > MOST_WAITING_BYTES:
            raise Refused("more messages than the kernel can answer")
        self._bytes += message.size
        self._waiting.append(message)
