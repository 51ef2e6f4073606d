"""A function that is asked for many times in a moment and called once: for what follows a pan, a zoom, a pointer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

__all__ = ["Debounced"]

log = logging.getLogger(__name__)


class Debounced:
    """Calls ``function()`` a little after it is asked for, once for all that asked meanwhile.

    Up to ``wait`` seconds go by; of a function that takes longer than that, twice its time after the last one that
    asked, so that the page's other messages are not held up. Without an event loop (a script, a test) it is called at
    once. What it raises is logged: nobody waits for it.
    """

    def __init__(self, function: Callable[[], None], wait: float = 0.05):
        self._function, self._wait, self._took = function, wait, 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._run()
            return
        dear = self._took > self._wait
        if self._timer is not None:
            if not dear:
                return
            self._timer.cancel()
        self._timer = loop.call_later(2 * self._took if dear else self._wait, self._run)

    def cancel(self) -> None:
        """Forget what was asked for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        started = time.perf_counter()
        try:
            self._function()
        except Exception as error:
            log.warning("the figures could not follow: %s", error)
        self._took = time.perf_counter() - started
