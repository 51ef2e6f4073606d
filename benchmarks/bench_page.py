"""The page in a real browser: first paint, a toggle's round trip, a lasso, a turn of the gallery's page.

    python -m benchmarks.bench_page [--sizes 1000,250000] [--toggles 40] [--visits 5] [--quick]

Headless Chromium on the server that ``sfnet explore`` starts, over made-up codes and pictures. Beside it in the same
run: a page that draws every galaxy as a point (its predictions recomputed by numpy, and by torch from a dense matrix),
and what running the network again on every toggle would take. Times are the browser's own, see ``browser.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import common
from benchmarks.browser import Visitor, any_of, chromium, profile, settle
from benchmarks.simulated_codes import simulated_codes
from sfnet_core.analysis.interpret import feature_table, predict
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.explorer.server.serve import serving

POOLS = (0, 1, 2)  # kernels kept ready
KNOWN = 2  # visits after which a browser has a page's scripts compiled: Chromium keeps them from the second on
LASSO = [(0.05, 0.95), (0.05, 0.05), (0.5, 0.05), (0.5, 0.95)]  # the left half of a figure
SPLIT = "select[aria-label='Galaxies in view, by split']"
NAIVE = {"all points, numpy": "numpy", "all points, torch on a dense matrix": "torch"}


def make_data(folder: Path, n: int) -> tuple[Path, Path, dict[str, Any]]:
    """A codes file and the dataset behind it: pictures of 128 px up to 10,000 galaxies, 32 px above."""
    side = 128 if n <= 10_000 else 32
    codes = simulated_codes(n, map_shape=(4, 4) if n <= 10_000 else None)
    few = common.made_up_cutouts(min(n, 500), side)

    def cutouts() -> Iterator[np.ndarray]:
        for i in range(n):
            yield few[i % len(few)]

    columns = {name: codes.column(name) for name in codes.columns if name not in ("id", "ra", "dec")}
    dataset = Dataset.create(folder / f"dataset-{n}", codes.ids, cutouts(), columns, simulated=True)
    codes.provenance.update(dataset_fingerprint=dataset.fingerprint, crop=side, cutout_size=[side, side])
    path = folder / f"codes-{n}.parquet"
    codes.save(path)
    return path, dataset.path, {"pictures_px": side, "codes_mb": round(path.stat().st_size / 1e6, 1)}


def spread(visits: list[dict[str, float | None]]) -> dict[str, Any]:
    """Percentiles of each of the times of several visits or clicks."""
    keys = [key for key in dict.fromkeys(key for visit in visits for key in visit) if key not in ("said", "stayed")]
    return {key: common.percentiles(any_of(visits, key)) for key in keys if any_of(visits, key)}


def first_paint(codes: Path, dataset: Path, visits: int) -> dict[str, Any]:
    """ms from the start of the navigation, for servers with 0, 1 and 2 kernels kept ready."""
    found: dict[str, Any] = {}
    for pool in POOLS:
        start = time.perf_counter()
        with serving(codes, dataset, pool=pool) as (address, process):
            found[f"server answers, pool {pool}"] = {"s": time.perf_counter() - start}
            new, again, daily = [], [], []
            with chromium() as browser:
                for visit in range(visits):
                    visitor = Visitor(browser)
                    for kept in (new, again):
                        settle(process)
                        kept.append(visitor.open(address))
                    visitor.close()
                    common.progress(
                        f"    pool {pool}, visit {visit + 1}: {new[-1]['ready']:.0f}, {again[-1]['ready']:.0f} ms"
                    )
            with profile() as window:
                visitor = Visitor(window)
                for visit in range(visits + KNOWN):
                    settle(process)
                    opened = visitor.open(address)
                    common.progress(f"    pool {pool}, profile's visit {visit + 1}: {opened['ready']:.0f} ms")
                    if visit >= KNOWN:
                        daily.append(opened)
                visitor.leave()
            kind = f"pool {pool}, kernels ready" if pool else "no kernel ready (cold)"
            found[f"{kind}, empty cache"] = spread(new)
            found[f"{kind}, private window's second visit"] = spread(again)
            found[f"{kind}, a profile's visit after {KNOWN}"] = spread(daily)
    return found


def clicks(
    visitor: Visitor, switches: dict[int, str], count: int, codes: SparseCodes, what: str
) -> list[dict[str, float | None]]:
    """``count`` clicks, on one switch (feature → selector) after another; the first four warm up and are not kept.

    A time counts only where the number on the page is the one that numpy gives, and was the page's last word.
    """
    truth, off, found = codes.truth(), set(), []
    for feature in itertools.islice(itertools.cycle(switches), count + 4):
        timed = visitor.click(switches[feature], ".sf-status", quiet=500)
        off ^= {feature}
        said, stayed = timed.pop("said"), timed.pop("stayed")
        rmse = float(np.sqrt(np.mean((predict(codes, off=off) - truth) ** 2)))
        shown = re.search(r"RMSE ([0-9.]+)", said)
        if not stayed or shown is None or abs(float(shown[1]) - rmse) > 6e-5:
            raise SystemExit(
                f"{what}: the page said {said!r} with {sorted(off)} off, numpy {rmse:.6f}: nothing is timed."
            )
        found.append(timed)
    found = found[4:]
    common.progress(f"    {what}: a toggle is done after {np.median(any_of(found, 'done')):.0f} ms")
    return found


def interactions(codes: Path, dataset: Path | None, toggles: int) -> dict[str, Any]:
    """What a user does, on the whole table (all splits in view)."""
    with serving(codes, dataset, pool=1) as (address, process), chromium() as browser:
        settle(process)
        visitor = Visitor(browser)
        visitor.open(address)
        page = visitor.page
        before = page.inner_text(".sf-status")
        page.select_option(SPLIT, "")
        page.wait_for_function("t => document.querySelector('.sf-status').textContent !== t", arg=before)
        settle(process)
        features = page.eval_on_selector_all(
            ".sf-toggle", "all => all.slice(0, 12).map(e => Number(e.dataset.feature))"
        )
        switches = {feature: f".sf-toggle[data-feature='{feature}']" for feature in features}
        found = {"toggle": spread(clicks(visitor, switches, toggles, SparseCodes.open(codes, shared=True), "ours"))}
        rounds = max(2, toggles // 4)
        turned, focused, selected = [], [], []
        for i in range(rounds):
            turned.append(visitor.click("button[aria-label='Next page']", ".sf-gallery", ".sf-galaxy"))
            focused.append(visitor.click(f".sf-galaxy:nth-child({2 + i % 8})", ".sf-inspector h2"))
        for _ in range(rounds):
            selected.append(visitor.lasso(1, LASSO))
            settle(process, 5)
            visitor.click("button:not([hidden]):is(.sf-clear, .sf-selected + button)", ".sf-total")
            settle(process, 5)
        found["gallery's next page"] = spread(turned)
        found["focus a galaxy"] = spread(focused)
        found["lasso to gallery"] = spread(selected)
        found["memory_mb"] = memory(process.pid)
        visitor.close()
    return found


def memory(pid: int) -> dict[str, float]:
    """Resident memory of the server and of its largest kernel."""
    server = psutil.Process(pid)
    kernels = []
    for child in server.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            kernels.append(child.memory_info().rss / 1e6)
    return {"server": server.memory_info().rss / 1e6, "largest kernel": max(kernels, default=float("nan"))}


@contextlib.contextmanager
def naive_notebook(kind: str) -> Iterator[Path]:
    """A folder with a notebook that calls :mod:`benchmarks.naive_page`, and the environment that its kernel needs."""
    source = {"cell_type": "code", "execution_count": None, "id": "page", "metadata": {}, "outputs": []}
    source["source"] = ["from benchmarks.naive_page import show\n", "\n", "show()"]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    wanted = {"PYTHONPATH": str(common.ROOT), "SFNET_NAIVE": kind}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with tempfile.TemporaryDirectory(prefix="sfnet-naive-") as folder:
            notebook = {"cells": [source], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
            Path(folder, "explore.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
            yield Path(folder)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def naive(codes: Path, kind: str, toggles: int, visits: int) -> dict[str, Any]:
    """First paint and toggle of the naive page."""
    opened_codes = SparseCodes.open(codes)
    features = feature_table(opened_codes)["feature"][:12].tolist()
    with (
        naive_notebook(kind) as folder,
        serving(codes, pool=1, notebooks=folder) as (address, process),
        chromium() as browser,
    ):
        visitor = Visitor(browser)
        opened = []
        for _ in range(visits):
            settle(process)
            opened.append(visitor.open(address, quiet=1000))
        settle(process)
        switches = {feature: f".sf-switch-{feature}" for feature in features}
        found = {
            "1 kernel ready": spread(opened),
            "toggle": spread(clicks(visitor, switches, toggles, opened_codes, f"naive, {kind}")),
            "memory_mb": memory(process.pid),
        }
        visitor.close()
    return found


def network_again(images: int, side: int) -> dict[str, Any]:
    """The plain float32 network on pictures that are in memory already; the rate is the median batch's."""
    import torch

    from benchmarks.paper_peer import PaperSFNet

    network = PaperSFNet().eval()
    batch = torch.randn(min(images, 64), 3, side, side)
    with torch.inference_mode():
        rounds = max(3, -(-images // len(batch)))
        seconds = common.interleaved({"batch": lambda: network(batch)}, rounds, warm_up=2)["batch"]
    done = rounds * len(batch)
    return {"images": done, "size_px": side, "batch": len(batch)} | common.summary(seconds, len(batch))


def measure(n: int, folder: Path, arguments: argparse.Namespace, network: dict[str, Any]) -> dict[str, Any]:
    codes, dataset, about = make_data(folder, n)
    common.progress(f"{n:,} galaxies")
    found: dict[str, Any] = {"data": about, "first paint": first_paint(codes, dataset, arguments.visits)}
    found["whole table in view"] = interactions(codes, dataset, arguments.toggles)
    few = max(2, arguments.toggles if n <= 10_000 else arguments.toggles // 4)
    found["naive"] = {name: naive(codes, kind, few, max(1, arguments.visits // 2)) for name, kind in NAIVE.items()}
    seconds = n / network["per_second"]
    found["naive"]["the network run again on every image"] = {
        "toggle_s": seconds,
        "scaled_from_images": network["images"],
        "size_px": network["size_px"],
    }
    ours = found["whole table in view"]["toggle"]
    # "done" only: our numbers are sent before the figures, the naive page's after them
    found["toggle_times_faster_p50_done"] = {
        **{f"than {name}": found["naive"][name]["toggle"]["done"]["p50_ms"] / ours["done"]["p50_ms"] for name in NAIVE},
        "than the network run again": 1000 * seconds / ours["done"]["p50_ms"],
    }
    return found


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--sizes", help="numbers of galaxies, with commas between")
    parser.add_argument("--toggles", type=int, help="timed clicks")
    parser.add_argument("--visits", type=int, help="timed visits of each kind")
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.sizes = arguments.sizes or ("300,20000" if quick else "1000,250000")
    arguments.toggles = arguments.toggles or arguments.repeats or (4 if quick else 40)
    arguments.visits = arguments.visits or (1 if quick else 5)
    network = network_again(16 if quick else 1024, 64 if quick else 160)
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
        measured = {
            f"{n} galaxies": measure(n, Path(name), arguments, network) for n in map(int, arguments.sizes.split(","))
        }
    with chromium() as browser:
        version = browser.version
    common.write(
        "page",
        arguments,
        {
            "codes": "made up (benchmarks/simulated_codes.py), F = 512, k = 4, 8 runners-up, seed 0",
            "browser": f"Chromium {version}, headless, software rendering, 1440×900",
            "times": {
                "text": "from the click until the numbers have changed",
                "painted": "until the next frame after that is painted",
                "figures": "until the last stroke on a canvas",
                "done": "until both",
                "ready": "from the start of the navigation until .sf-page with a canvas is painted",
                "still": "until its figures are still",
            },
        },
        {**measured, "plain network": network},
    )


if __name__ == "__main__":
    main()
