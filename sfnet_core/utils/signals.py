"""Ctrl-C and SIGTERM as a request that is met at the end of a step, so that nothing is left half written."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, NoReturn

__all__ = ["Interrupts"]


class Interrupts:
    """A context in which the first SIGINT or SIGTERM only sets ``signal``; a second one acts at once.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}
        self._saved = time.monotonic()

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: object) -> None:
        self.signal = number
        self._restore()

    def leave(self) -> NoReturn:
        """End as the signal asked: exit status 130 for Ctrl-C (through KeyboardInterrupt), 143 for SIGTERM."""
        if self.signal == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt

    def leave_if_asked(self) -> None:
        """:meth:`leave` where a signal came: too late to stop this work, not to stop what follows it."""
        if self.signal:
            self.leave()

    def saved(self) -> None:
        """Start counting anew the seconds since the last save."""
        self._saved = time.monotonic()

    def seconds_since_save(self) -> float:
        """Since the last :meth:`saved`, or since the beginning."""
        return time.monotonic() - self._saved
