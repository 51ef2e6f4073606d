"""A cable between browser and server that can be cut, or that swallows everything without a word."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from urllib.parse import urlsplit

REQUEST = re.compile(rb"(GET|HEAD|POST|OPTIONS) /\S* HTTP/1\.1\r\n")


class Cable:
    """Forwards a local port to the server of an address, until :meth:`cut` or :meth:`swallow`; :meth:`mend` mends it.

    A context manager; :attr:`address` is the server's address as seen through it. ``header`` is added to every request,
    as a reverse proxy does.
    """

    def __init__(self, address: str, header: str = ""):
        self._header = header.encode()
        split = urlsplit(address)
        self._server = (split.hostname, split.port)
        self._listener = self._listen(0)
        self._port = self._listener.getsockname()[1]
        self.address = address.replace(split.netloc, f"127.0.0.1:{self._port}")
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._through, self._answers = threading.Event(), threading.Event()
        self._through.set(), self._answers.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Cable:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._through.set(), self._answers.set()

    def cut(self) -> None:
        """End every connection and take no new one."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs = []

    def swallow(self) -> None:
        """Let nothing through and end nothing, as an unplugged cable does."""
        self._through.clear()

    def swallow_answers(self) -> None:
        """Let nothing through from the server to the browser."""
        self._answers.clear()

    def release(self) -> None:
        """Let through what was held: late, and whole."""
        self._through.set(), self._answers.set()

    def mend(self) -> None:
        """A new cable in the old place: what was under way on the old one is lost."""
        self.cut()
        self._through.set(), self._answers.set()
        self._listener = self._listen(self._port)
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def _listen(port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        return listener

    def _accept(self) -> None:
        listener = self._listener
        with contextlib.suppress(OSError):
            while True:
                browser, _ = listener.accept()
                server = socket.create_connection(self._server)
                self._pairs.append((browser, server))
                there, back = (browser, server, [self._through]), (server, browser, [self._through, self._answers])
                for ends in (there, back):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, open_ways: list[threading.Event]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._header and REQUEST.match(data):
                    data = data.replace(b"\r\n", b"\r\n" + self._header + b"\r\n", 1)
                for way in open_ways:
                    way.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
