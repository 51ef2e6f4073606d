"""The kernels behind the pages: how many, how much memory each, and when one that nobody looks at ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any
from uuid import uuid4

from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado import web
from tornado.ioloop import PeriodicCallback
from traitlets import Integer

from sfnet_core.explorer.server.connection import ENDED, IDLE, MEMORY, GuardedConnection

__all__ = ["GuardedKernels", "private_bytes"]

LEFT_FOR = 60.0  # s since a page was closed after which its kernel may make room for another visitor
SWEEP = 2.0  # s between two looks at the kernels' memory and at the pool


class GuardedKernels(AsyncMappingKernelManager):
    """Jupyter's kernels with a cap on sessions and on each one's memory.

    A session is a kernel that a visitor's page has, or is about to have; those kept ready for the next page are none,
    but no more of them are started than there are free sessions. When all sessions are taken, one whose page was left
    makes room, or else one that was idle for ``cull_idle_timeout``; a page in use never does.
    """

    most_sessions = Integer(0, config=True, help="Sessions at once; 0: no limit.")
    most_memory = Integer(0, config=True, help="Private memory of one kernel in MB above which it is ended; 0: no cap.")
    unopened_timeout = Integer(150, config=True, help="Seconds for a page to connect before its kernel is ended.")

    def __init__(self, **kwargs: Any):
        self._sessions_starting: set[str] = set()
        self._heating: set[str] = set()
        self._ending: set[str] = set()
        self._left: dict[str, float] = {}  # kernel → when its last page left; when it started, before the first one
        self._opened: set[str] = set()
        self._cleaning: set[asyncio.Future] = set()
        self._pool_size: int | None = None
        self._sweeper = PeriodicCallback(self._sweep, 1000 * SWEEP)
        super().__init__(**kwargs)

    # -- sessions ----------------------------------------------------------------------------------------------

    def sessions(self) -> set[str]:
        """The kernels that visitors have, those being started among them."""
        return (set(self._kernels) | self._sessions_starting) - self._heating - self._ready() - self._ending

    def _ready(self) -> set[str]:
        """The kernels in Voilà's pool, that no page has yet."""
        tasks = [task for pool in getattr(self, "_pools", {}).values() for task in pool]
        done = [task for task in tasks if task.done() and not task.cancelled() and task.exception() is None]
        return {task.result()["kernel_id"] for task in done}

    async def room(self, patience: float = 3.0) -> bool:
        """Whether a visitor may have a session now; waits a little for one that is just ending (a reloaded page)."""
        deadline = time.monotonic() + patience
        while self.most_sessions and len(self.sessions()) >= self.most_sessions:
            if (kernel_id := self._who_can_go()) is not None:
                await self.end(kernel_id, IDLE, "idle")
            elif time.monotonic() > deadline:
                return False
            else:
                await asyncio.sleep(0.1)
        self._fit_pool(wanted=1)
        return True

    def _who_can_go(self) -> str | None:
        now, idle = time.monotonic(), []
        for kernel_id in self.sessions() & set(self._kernels):
            kernel = self._kernels[kernel_id]
            still = (utcnow() - kernel.last_activity).total_seconds() if kernel.last_activity else 0.0
            gone = now - self._left[kernel_id] if kernel_id in self._left and kernel_id in self._opened else 0.0
            if gone > LEFT_FOR:
                idle.append((1, gone, kernel_id))
            elif self.cull_idle_timeout and still > self.cull_idle_timeout and kernel.execution_state != "busy":
                idle.append((0, still, kernel_id))
        return max(idle)[2] if idle else None

    def _fit_pool(self, wanted: int = 0) -> None:
        """Keep no more kernels ready than sessions are free, and fill the pool again where they are."""
        if not getattr(self, "_pools", None):
            return
        default = self.kernel_pools_config.get("default", {})
        if self._pool_size is None:
            self._pool_size = default.get("pool_size", 0)
        free = self.most_sessions - len(self.sessions()) - wanted if self.most_sessions else self._pool_size
        size = max(0, min(self._pool_size, free))
        self.kernel_pools_config = {"default": {**default, "pool_size": size}}
        for notebook, pool in self._pools.items():
            pool[:] = [task for task in pool if not self._spoilt(task)]
            if not wanted and len(pool) < size:
                self.fill_if_needed(delay=0, notebook_name=notebook)

    def _spoilt(self, task: asyncio.Task) -> bool:
        if not task.done():
            return False
        return task.cancelled() or task.exception() is not None or task.result()["kernel_id"] not in self._kernels

    # -- from start to end -------------------------------------------------------------------------------------

    async def start_kernel(self, **kwargs: Any) -> str:
        """Start a kernel for a visitor or for the pool; HTTP 503 where all sessions are taken, 500 where it died."""
        kernel_id = kwargs.pop("kernel_id", None) or str(uuid4())
        heating = (kwargs.get("env") or {}).get("VOILA_PREHEAT") == "True"
        if not heating and self.most_sessions and len(self.sessions()) >= self.most_sessions:
            raise web.HTTPError(503, "all sessions are taken")
        if not self._sweeper.is_running():
            self._sweeper.start()
        (self._heating if heating else self._sessions_starting).add(kernel_id)
        self._left[kernel_id] = time.monotonic()
        try:
            return await super()._async_start_kernel(kernel_id=kernel_id, **kwargs)
        except KeyError as error:  # Jupyter looks for it once more
            if kernel_id in self._kernels:
                raise
            raise web.HTTPError(500, "the kernel died as it started") from error
        finally:
            self._heating.discard(kernel_id)
            self._sessions_starting.discard(kernel_id)

    async def shutdown_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> None:
        """End a kernel; its session is free at once.

        One whose page has not come up yet is in the middle of making it, and ends without being asked: a kernel that is
        told to leave closes its sockets while the interrupted cell still wants to answer through them.
        """
        self._check_kernel_id(kernel_id)
        if kernel_id in self._ending:
            return
        self._ending.add(kernel_id)
        self._kernels[kernel_id].sfnet_ended = True  # on purpose: see MakesPages
        if kernel_id not in self._opened:
            args, kwargs = (), {**kwargs, "now": True}
        try:
            await super()._async_shutdown_kernel(kernel_id, *args, **kwargs)
        finally:
            self._ending.discard(kernel_id)
            self._forget(kernel_id)

    async def shutdown_all(self, now: bool = False) -> None:
        """End all kernels there are as the server ends. One that is just being started is none yet (Jupyter raises 404
        for it, and leaves the others), and one that cannot be ended is no reason to leave the next.
        """
        ends = (self.shutdown_kernel(kernel_id, now=now) for kernel_id in list(self._kernels))
        await asyncio.gather(*ends, return_exceptions=True)

    async def end(self, kernel_id: str, code: int, why: str) -> None:
        """End a session with a word to its page (see :mod:`~sfnet_core.explorer.server.connection`)."""
        for connection in list(GuardedConnection._open_sockets):
            if connection.kernel_id == kernel_id:
                connection.end(code, why)
        with contextlib.suppress(web.HTTPError):
            await self.shutdown_kernel(kernel_id, now=True)

    def notify_connect(self, kernel_id: str) -> None:
        """A page has come."""
        super().notify_connect(kernel_id)
        self._opened.add(kernel_id)
        self._left.pop(kernel_id, None)

    def notify_disconnect(self, kernel_id: str) -> None:
        """A page has gone, for now or for good."""
        super().notify_disconnect(kernel_id)
        if kernel_id in self._kernels and not self._kernel_connections.get(kernel_id):
            self._left[kernel_id] = time.monotonic()

    async def left(self, kernel_id: str) -> None:
        """End the kernel of a page that was left, unless one of its websockets is back."""
        if kernel_id in self._kernels and not self._kernel_connections.get(kernel_id):
            with contextlib.suppress(web.HTTPError):
                await self.shutdown_kernel(kernel_id)

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """Jupyter's rule; and a kernel whose page never connected goes sooner."""
        if kernel_id not in self._kernels:
            return
        since = time.monotonic() - self._left.get(kernel_id, time.monotonic())
        if kernel_id not in self._opened and kernel_id not in self._ready() and since > self.unopened_timeout:
            await self.shutdown_kernel(kernel_id, now=True)
            return
        await super().cull_kernel_if_idle(kernel_id)

    def _handle_kernel_died(self, kernel_id: str) -> None:
        """A dead kernel is not started again (its page's widgets are gone): it leaves nothing behind."""
        kernel = self._kernels.get(kernel_id)
        if kernel is None:
            return
        self.stop_watching_activity(kernel_id)
        if kernel_id in self._kernel_buffers:
            self.stop_buffering(kernel_id)
        super()._handle_kernel_died(kernel_id)
        for connection in list(GuardedConnection._open_sockets):
            if connection.kernel_id == kernel_id:
                connection.end(ENDED, "the kernel died")
        self._forget(kernel_id)
        task = asyncio.ensure_future(kernel._async_cleanup_resources())
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    def _forget(self, kernel_id: str) -> None:
        for of in (self._opened, self._ending):
            of.discard(kernel_id)
        for by in (self._left, self._kernel_connections, self._kernel_ports):
            by.pop(kernel_id, None)

    async def _sweep(self) -> None:
        if self.most_memory:
            for kernel_id, kernel in list(self._kernels.items()):
                if private_bytes(getattr(kernel.provisioner, "pid", None)) > self.most_memory << 20:
                    self.log.error("A session needed more than %d MB and was ended.", self.most_memory)
                    await self.end(kernel_id, MEMORY, f"{self.most_memory}")
        self._fit_pool()


def private_bytes(pid: int | None) -> int:
    """Memory that a process shares with no file (Linux), or all it has in RAM (elsewhere), in bytes; 0 if unknown.

    Codes and cutouts are mapped from their files and shared by all kernels: they do not count.
    """
    if not pid:
        return 0
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) << 10
    except FileNotFoundError:
        pass
    except OSError:
        return 0
    import psutil  # comes with every Jupyter kernel

    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
