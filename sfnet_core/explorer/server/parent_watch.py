"""The server ends with the process that started it, however that one ended."""

from __future__ import annotations

import os
import signal
import threading
import time

__all__ = ["end_with"]

GRACE = 10.0  # s for an orderly end


def end_with(descriptor: int = 0) -> None:
    """End this process, and what it started, once nobody holds the other end of a pipe any more.

    The parent keeps that end open and never writes to it; the system closes it with the parent, SIGKILL or not. Unlike
    Linux's PR_SET_PDEATHSIG this does not depend on the thread that started us, and it holds on other systems too.
    """
    threading.Thread(target=_watch, args=(descriptor,), daemon=True, name="ends with the parent").start()


def _watch(descriptor: int) -> None:
    try:
        while os.read(descriptor, 1024):
            pass
    except OSError:
        return  # there is no pipe: nothing to end with
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
