"""The page at scale: the memory of ten sessions on the same galaxies, and the same clicks over forty times as many.

    python -m benchmarks.bench_scale [--few 250000] [--many 10000000] [--sessions 10] [--toggles 40] [--quick]

Memory is each kernel's proportional share (PSS: a page that ten processes have mapped counts a tenth in each), after
a visitor has looked at all galaxies and silenced two features. The clicks are ``bench_page``'s, each checked against
numpy on all galaxies. ``--many`` needs about 6 GB of memory to make the codes and 4 GB of disk; nothing else does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import common
from benchmarks.bench_page import SPLIT, interactions, make_data
from benchmarks.browser import Visitor, chromium, settle
from sfnet_core.explorer.server.serve import serving
from sfnet_core.explorer.shared.scene import MANY

OPEN = """
import json, resource, sys, time
from sfnet_core.codes.table import SparseCodes
cpu, wall = time.process_time(), time.perf_counter()
codes = SparseCodes.open(sys.argv[1], shared=True)
found = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
print(json.dumps(found | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
IMPORT = """
import json, sys, time
cpu, wall = time.process_time(), time.perf_counter()
import sfnet_core.explorer.explore.page
heavy = [name for name in ("torch", "pandas", "astropy", "scipy", "matplotlib") if name in sys.modules]
print(json.dumps({"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "heavy_modules": heavy}))
"""


def in_new_process(program: str, *arguments: object) -> dict[str, Any]:
    """What a program prints as JSON."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=common.ROOT).stdout)


def shares(pid: int) -> dict[str, float]:
    """Proportional (PSS), private and resident memory of a process in MB; Linux only."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, value = line.split()[:2]
        found[name.rstrip(":")] = int(value) / 1024
    return {
        "pss": found["Pss"],
        "private": found["Private_Dirty"] + found["Private_Clean"],
        "resident": found["Rss"],
    }


def kernels(server: int) -> list[int]:
    """Process numbers of the server's kernels, the oldest first."""
    found = []
    for process in psutil.Process(server).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "ipykernel_launcher" in " ".join(process.cmdline()):
                found.append((process.create_time(), process.pid))
    return [pid for _, pid in sorted(found)]


def sessions(codes: Path, dataset: Path | None, count: int) -> dict[str, Any]:
    """Open ``count`` pages on the same codes, one after another, and weigh the kernels with all of them open."""
    with serving(codes, dataset, pool=0) as (address, process), chromium() as browser:
        settle(process)
        visitors, opened = [], []
        for number in range(count):
            visitor = Visitor(browser)
            visitors.append(visitor)
            opened.append(visitor.open(address))
            page = visitor.page
            before = page.inner_text(".sf-status")
            page.select_option(SPLIT, "")
            page.wait_for_function("t => document.querySelector('.sf-status').textContent !== t", arg=before)
            first = page.eval_on_selector_all(".sf-toggle", "all => all.slice(0, 2).map(e => e.dataset.feature)")
            for feature in first:
                visitor.click(f".sf-toggle[data-feature='{feature}']", ".sf-status")
            settle(process)
            common.progress(f"    session {number + 1} is open")
        each = [shares(pid) for pid in kernels(process.pid)]
        found = {
            "kernels": each,
            "last_session_mb": each[-1],
            "server_mb": shares(process.pid),
            "without_kernel_ready_ms": common.percentiles([visit["ready"] for visit in opened]),
        }
        for visitor in visitors:
            visitor.close()
    if len(each) != count:
        raise SystemExit(f"{count} pages have {len(each)} kernels: nothing was weighed.")
    return found


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--few", type=int, help="galaxies")
    parser.add_argument("--many", type=int, help="galaxies of the large table; 0 leaves it out")
    parser.add_argument("--sessions", type=int, help="pages open at once")
    parser.add_argument("--toggles", type=int, help="timed clicks")
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.few = arguments.few or (30_000 if quick else 250_000)
    arguments.many = (MANY + 100_000 if quick else 10_000_000) if arguments.many is None else arguments.many
    arguments.sessions = arguments.sessions or (2 if quick else 10)
    arguments.toggles = arguments.toggles or arguments.repeats or (4 if quick else 40)
    measured: dict[str, Any] = {"import of the page": in_new_process(IMPORT)}
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
        os.environ["SFNET_CACHE"] = str(Path(name, "cache"))
        codes, dataset, about = make_data(Path(name), arguments.few)
        time.sleep(2.5)  # a file just written has no shelf yet
        few: dict[str, Any] = {"data": about, "opened first": in_new_process(OPEN, codes)}
        few["opened again"] = in_new_process(OPEN, codes)
        few["sessions"] = sessions(codes, dataset, arguments.sessions)
        few["whole table in view"] = interactions(codes, dataset, arguments.toggles)
        measured[f"{arguments.few} galaxies"] = few
        if arguments.many:
            measured[f"{arguments.many} galaxies"] = many = large(Path(name), arguments)
            measured["toggle_times_slower_p50"] = {
                key: many["whole table in view"]["toggle"][key]["p50_ms"]
                / few["whole table in view"]["toggle"][key]["p50_ms"]
                for key in ("painted", "done")
            }
    common.write("scale", arguments, {"codes": about_data(arguments)}, measured)


def large(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Opening and interactions of the large table, without pictures."""
    path = folder / "many.parquet"
    program = (
        "import sys; from benchmarks.simulated_codes import many_codes as m; m(int(sys.argv[1])).save(sys.argv[2])"
    )
    command = [sys.executable, "-c", program, str(arguments.many), str(path)]
    subprocess.run(command, check=True, cwd=common.ROOT)  # its memory goes with it
    time.sleep(2.5)
    found: dict[str, Any] = {"codes_mb": path.stat().st_size / 1e6, "opened first": in_new_process(OPEN, path)}
    found["opened again"] = in_new_process(OPEN, path)
    common.progress(f"{arguments.many:,} galaxies are saved")
    return found | {"whole table in view": interactions(path, None, arguments.toggles)}


def about_data(arguments: argparse.Namespace) -> str:
    """What the numbers are of, and what is exact."""
    return (
        f"made up (benchmarks/simulated_codes.py), F = 512, k = 4, 8 runners-up, seed 0; {arguments.many:,} galaxies "
        f"are 250,000 over and over in another order. Of more than {MANY:,} in view RMSE, R² and the change are exact "
        f"(from sums); figures and the error against k are of {MANY:,} drawn at random, and the page says so. Unpacked "
        f"arrays, the index of features, tables and orders are shared by all sessions."
    )


if __name__ == "__main__":
    main()
