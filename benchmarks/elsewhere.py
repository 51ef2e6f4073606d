"""Ways to be timed in a process of their own, so that nothing of what they are compared with touches them."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import torch

__all__ = ["Elsewhere"]


class Elsewhere:
    """A process that holds the ways which ``make(*arguments)`` gives, name → function, and times one when asked.

    ``make`` must be importable: it is called there. Leaving the ``with`` block ends the process.
    """

    def __init__(self, make: Callable[..., Mapping[str, Callable[[], Any]]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, torch.get_num_threads(), make, arguments))
        self._process.start()
        theirs.close()
        self._line.recv()  # it is ready

    def seconds(self, name: str) -> float:
        """Do it there; how long it took."""
        self._line.send(name)
        return self._line.recv()

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._process.join()


def _serve(line: Connection, threads: int, make: Callable[..., Mapping], arguments: tuple) -> None:
    torch.set_num_threads(threads)
    ways = make(*arguments)
    line.send(None)
    while True:
        try:
            name = line.recv()
        except EOFError:
            return
        start = time.perf_counter()
        ways[name]()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        line.send(time.perf_counter() - start)
