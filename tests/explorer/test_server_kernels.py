"""Who may have a session, who makes room, and what a kernel's own memory is, without a kernel."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from jupyter_server._tz import utcnow
from tornado import web

from sfnet_core.explorer.server.kernels import LEFT_FOR, GuardedKernels, private_bytes


class Kernels(GuardedKernels):
    """Kernels that are only names."""

    def __init__(self, **how):
        super().__init__(**how)
        self.ended: list[str] = []
        self.filled: list[str] = []

    def has(self, kernel_id: str, idle: float = 0.0, left: float | None = None, state: str = "idle") -> None:
        """A kernel that was last used ``idle`` s ago, its page open or left ``left`` s ago."""
        self._kernels[kernel_id] = SimpleNamespace(
            execution_state=state, last_activity=utcnow() - timedelta(seconds=idle), provisioner=None
        )
        self._opened.add(kernel_id)
        self._kernel_connections[kernel_id] = 1 if left is None else 0
        if left is not None:
            self._left[kernel_id] = time.monotonic() - left

    async def shutdown_kernel(self, kernel_id, *_, **__):
        self._kernels.pop(kernel_id)
        self.ended.append(kernel_id)

    def fill_if_needed(self, delay=None, notebook_name=None):
        self.filled.append(notebook_name)


def room(kernels: Kernels) -> bool:
    return asyncio.run(kernels.room(patience=0.0))


@pytest.fixture
def kernels(tmp_path) -> Kernels:
    return Kernels(root_dir=str(tmp_path), most_sessions=2, cull_idle_timeout=1800)


def test_pages_in_use_never_make_room(kernels):
    kernels.has("a", idle=1700)
    assert room(kernels)
    kernels.has("b", idle=5000, state="busy")
    assert not room(kernels) and kernels.ended == []
    with pytest.raises(web.HTTPError) as refusal:
        asyncio.run(kernels.start_kernel(env={"VOILA_PREHEAT": "False"}))
    assert refusal.value.status_code == 503


def test_a_page_that_was_left_makes_room_before_one_that_is_open_and_idle(kernels):
    kernels.has("open", idle=5000)
    kernels.has("left", idle=100, left=LEFT_FOR + 1)
    assert room(kernels) and kernels.ended == ["left"]
    kernels.has("just left", left=LEFT_FOR - 30)
    assert room(kernels) and kernels.ended == ["left", "open"]
    kernels.has("in use")
    assert not room(kernels)


def test_a_session_that_is_ending_is_free_and_one_that_is_starting_is_not(kernels):
    kernels.has("a")
    kernels.has("b")
    kernels._ending.add("a")
    assert room(kernels)
    kernels._sessions_starting.add("c")
    assert not room(kernels)


def test_without_a_cap_there_is_always_room(tmp_path):
    kernels = Kernels(root_dir=str(tmp_path))
    for i in range(50):
        kernels.has(str(i))
    assert room(kernels)


def ready(kernel_id: str | None) -> asyncio.Future:
    """A place in Voilà's pool with this kernel; ``None``: one that failed."""
    future = asyncio.get_running_loop().create_future()
    future.set_result({"kernel_id": kernel_id}) if kernel_id else future.set_exception(RuntimeError("no kernel"))
    return future


def test_the_pool_is_no_session_and_keeps_no_more_kernels_than_sessions_are_free(tmp_path):
    async def story() -> None:
        kernels = Kernels(root_dir=str(tmp_path), most_sessions=3)
        kernels.kernel_pools_config = {"default": {"pool_size": 2, "kernel_env_variables": {"A": "1"}}}
        kernels._pools = {"explore.ipynb": [ready("p"), ready("q")]}
        for kernel_id in "pq":
            kernels.has(kernel_id)
        assert kernels.sessions() == set()
        sizes = []
        for visitor in "abc":
            assert await kernels.room(patience=0.0)
            sizes.append(kernels.kernel_pools_config["default"]["pool_size"])
            kernels.has(visitor)
        assert sizes == [2, 1, 0] and not await kernels.room(patience=0.0)
        assert kernels.kernel_pools_config["default"]["kernel_env_variables"] == {"A": "1"}
        for kernel_id in "apq":  # a visitor goes; those kept ready die
            await kernels.shutdown_kernel(kernel_id)
        kernels._pools["explore.ipynb"] = [ready(None), ready("dead")]
        kernels._fit_pool()  # what failed or died is not offered, and the pool is filled for the free place
        assert kernels._pools["explore.ipynb"] == [] and kernels.filled == ["explore.ipynb"]
        assert kernels.kernel_pools_config["default"]["pool_size"] == 1

    asyncio.run(story())


def test_a_kernel_whose_page_never_came_goes_and_one_that_is_awaited_stays(kernels):
    async def story() -> None:
        for kernel_id, since in (("never", 151), ("soon", 10)):
            kernels.has(kernel_id, left=since)
            kernels._opened.discard(kernel_id)
            kernels._kernels[kernel_id].kernel_spec = SimpleNamespace(metadata={})
            kernels._kernels[kernel_id].kernel_name = "python3"
            await kernels.cull_kernel_if_idle(kernel_id)
        await kernels.cull_kernel_if_idle("unknown")

    asyncio.run(story())
    assert kernels.ended == ["never"]


def test_a_server_that_ends_ends_all_its_kernels_whatever_one_of_them_does(kernels):
    """A kernel that is just being started, as those kept ready are at first, is not there yet; another one is stuck."""

    async def story() -> None:
        for name in ("a", "stuck", "b"):
            kernels.has(name)
        kernels._pending_kernels["being started"] = asyncio.get_running_loop().create_future()
        end = kernels.shutdown_kernel

        async def ends(kernel_id, *how, **more):
            if kernel_id == "stuck":
                raise RuntimeError("it does not answer")
            await end(kernel_id)

        kernels.shutdown_kernel = ends
        await kernels.shutdown_all()
        assert kernels.ended == ["a", "b"]

    asyncio.run(story())


def test_memory_of_its_own_is_what_a_process_wrote_not_what_it_maps(tmp_path):
    big = tmp_path / "big"
    with open(big, "wb") as handle:
        handle.truncate(200 << 20)
    program = """if True:
        import mmap, sys
        handle = open(sys.argv[1], "rb")
        mapped = mmap.mmap(handle.fileno(), 0, prot=mmap.PROT_READ)
        sum(mapped[i] for i in range(0, len(mapped), mmap.PAGESIZE))
        print("mapped", flush=True); sys.stdin.readline()
        own = bytearray(b"1" * (100 << 20))
        print("own", flush=True); sys.stdin.readline()
    """
    with subprocess.Popen(
        [sys.executable, "-c", program, str(big)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "mapped\n"
        before = private_bytes(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "own\n"
        after = private_bytes(child.pid)
        child.communicate("\n")
    assert 0 < before < 60 << 20 and 95 << 20 < after - before < 140 << 20
    assert private_bytes(None) == private_bytes(2**22 + 1) == 0
