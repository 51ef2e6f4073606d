"""Work that takes seconds, off the thread that draws the page: one job at a time, only the newest one waits."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

from sfnet_core.utils.errors import SFNetError

__all__ = ["Worker"]

log = logging.getLogger(__name__)


class Worker:
    """Runs jobs on one background thread and hands their results to the thread that asked.

    A job that is still waiting is dropped when a newer one comes: a visitor who sends a thousand images keeps one
    thread busy and one image in memory. Where no event loop runs (plain Python, tests) jobs run at once, in place.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: tuple | None = None
        self._thread: threading.Thread | None = None

    def submit(
        self, job: Callable[[Callable[[str], None]], Any], done: Callable[[Any, str], None], tell: Callable[[str], None]
    ) -> None:
        """Run ``job(tell)``, then ``done(result, "")`` or, where it failed, ``done(None, sentence)``.

        ``tell`` takes a line about the progress; ``tell`` and ``done`` are called on the asking thread.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            done(*_run(job, tell))
            return
        with self._lock:
            self._waiting = (job, done, tell, loop)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="sfnet-yours", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._waiting is None:
                    self._thread = None
                    return
                job, done, tell, loop = self._waiting
                self._waiting = None
            result, trouble = _run(job, lambda line, loop=loop, tell=tell: loop.call_soon_threadsafe(tell, line))
            loop.call_soon_threadsafe(done, result, trouble)


def _run(job: Callable, tell: Callable[[str], None]) -> tuple[Any, str]:
    try:
        return job(tell), ""
    except SFNetError as error:
        return None, str(error)
    except MemoryError:
        return None, "There was not enough memory for this image."
    except Exception:  # a traceback is nothing for the page; the log has it
        log.exception("a job of the page failed")
        return None, "This failed because of an error in the page; the server's log has the details."
