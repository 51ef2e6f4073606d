"""The atlas as a file, handed from the kernel to the browser in pieces that a server lets through."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from sfnet_core.utils.errors import SFNetError

__all__ = ["MOST_SENT", "PART", "PageBuffer", "Saving", "file_name"]

# Jupyter's server drops what a kernel sends beyond 1 MB/s over 3 s; the browser asks for the next piece after 0.3 s.
PART = 256 * 1024
MOST_SENT = 64 * 1024 * 1024


def file_name(title: str) -> str:
    """A name for the file: the title's letters and digits, 'embedded-sample-atlas.html'."""
    return f"{re.sub(r'[^a-zA-Z0-9]+', '-', title).strip('-')[:80] or 'atlas'}.html"


class PageBuffer(io.StringIO):
    """A page in memory; :class:`SFNetError` as soon as it is larger than a browser is sent."""

    def write(self, text: str) -> int:
        if self.tell() + len(text) > MOST_SENT:
            raise SFNetError(
                f"This atlas is a page of more than {MOST_SENT / 1e6:.0f} MB, too large to go through the browser; "
                "write it in the shell: sfnet export CODES.parquet atlas.html --dataset DATASET"
            )
        return super().write(text)


class Saving:
    """One page of an atlas on its way: ``make(progress)`` gives its bytes, ``send(message, buffers)`` takes a piece."""

    def __init__(
        self,
        make: Callable[[Callable[[int, int], None]], bytes],
        send: Callable[[dict, list[bytes]], None],
        name: str,
    ):
        self._make, self._send, self._name = make, send, name
        self._page = b""

    def begin(self) -> None:
        """Make the page, saying how far it is, and send its first piece."""
        try:
            self._page = self._make(lambda done, of: self._send({"saving": [done, of]}, []))
        except BaseException:
            self._send({"saving": None}, [])
            raise
        self.piece(0)

    def piece(self, start: int) -> None:
        """Send the piece that begins at byte ``start``; the last one frees the page."""
        if not 0 <= start < len(self._page):
            raise ValueError("there is no such piece")
        part, size = self._page[start : start + PART], len(self._page)
        if start + len(part) == size:
            self._page = b""
        self._send({"piece": start, "of": size, "name": self._name}, [part])
