"""What forked kernels give: memory of ten sessions and time to a page, beside kernels that Voilà starts itself.

    python -m benchmarks.bench_sessions [--repeats 3] [--sessions 10] [--at-once 6]

Both are the server that ``sfnet explore`` starts, with two kernels kept ready; one of them finds no ``os.fork`` and
starts each kernel as a process of its own, as Voilà does. A visitor here gets the page and its widgets without a
browser. Memory is the PSS of the server and all its descendants, which counts a shared page once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import common
from sfnet_core.explorer.server.serve import serving

PLAIN = """import os, sys
words = " ".join(sys.orig_argv)
if "sfnet_core.explorer.server" in words and "fork_server" not in words:
    del os.fork
"""


def pss(server: int) -> float:
    """MB of a process and its descendants, shared pages counted once."""
    whole, process = 0, psutil.Process(server)
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            whole += one.memory_full_info().pss
    return whole / 1e6


def visit(address: str) -> tuple[float, Any]:
    """Seconds until a visitor has the page and its widgets, and the visitor."""
    from visitor import Visitor

    start = time.perf_counter()
    visitor = Visitor(address)
    return time.perf_counter() - start, visitor


def measure(plain: bool, sessions: int, at_once: int, pause: float) -> dict[str, Any]:
    """One server: PSS after the first and the last session, seconds to a page from the pool, and to pages at once."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as after:
        if plain:
            Path(folder, "sitecustomize.py").write_text(PLAIN, encoding="utf-8")
            before = os.environ.get("PYTHONPATH")
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, before]))
            after.callback(lambda: os.environ.update(PYTHONPATH=before) if before else os.environ.pop("PYTHONPATH"))
        with serving(pool=2, sessions=sessions + at_once) as (address, process):
            visitors, seconds, memory = [], [], []
            for _ in range(sessions):
                time.sleep(pause)  # the pool is full again
                spent, visitor = visit(address)
                seconds.append(spent)
                visitors.append(visitor)
                time.sleep(pause)
                memory.append(pss(process.pid))
            together: list[float] = []

            def one_of_many() -> None:
                spent, visitor = visit(address)
                together.append(spent)
                visitors.append(visitor)

            threads = [threading.Thread(target=one_of_many) for _ in range(at_once)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for visitor in visitors:
                visitor.line.close()
    return {
        "pss_mb": memory,
        "pss_mb_a_session": (memory[-1] - memory[0]) / max(sessions - 1, 1),
        "page_from_pool_s": float(np.median(seconds)),
        "pages_at_once_s": sorted(together),
    }


def main() -> None:
    """Run, print, and write ``results/sessions.json``."""
    parser = common.parser(__doc__)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=6, help="pages asked for in the same moment, afterwards")
    given: argparse.Namespace = parser.parse_args()
    sessions, at_once, repeats, pause = given.sessions, given.at_once, given.repeats or 3, 6.0
    if given.quick:
        sessions, at_once, repeats, pause = 2, 1, 1, 3.0
    rounds: dict[str, list[dict[str, Any]]] = {"forked": [], "started": []}
    for turn in range(repeats):
        for name in ("forked", "started") if turn % 2 == 0 else ("started", "forked"):
            rounds[name].append(measure(name == "started", sessions, at_once, pause))
            print(name, rounds[name][-1], flush=True)
    share = [f["pss_mb_a_session"] / s["pss_mb_a_session"] for f, s in zip(*rounds.values(), strict=True)]
    common.write(
        "sessions", given, {"codes": "the embedded sample"}, {**rounds, "pss_a_session_forked_over_started": share}
    )


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(common.ROOT / "tests" / "browser"))  # the visitor without a browser
    main()
