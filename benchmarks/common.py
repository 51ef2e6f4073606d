"""What the benchmarks share: interleaved timing, the machine's description, made-up images, a JSON file each."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
OURS = {"out", "work"}  # arguments that say where this machine keeps things
PACKAGES = (
    *("numpy", "torch", "pillow", "simplejpeg", "pyarrow", "pandas"),
    *("bokeh", "jupyter_bokeh", "voila", "ipywidgets", "anywidget", "playwright"),
)


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Numbers are not recorded")
    made.add_argument("--out", type=Path, help="where the JSON goes (default: benchmarks/results/NAME.json)")
    made.add_argument("--repeats", type=int, help="timed rounds, each of every way in turn")
    return made


def interleaved(
    ways: Mapping[str, Callable[[], Any]], repeats: int, warm_up: int = 1, say: Callable[[str], None] | None = None
) -> dict[str, list[float]]:
    """Seconds of each way in each round, name → (repeats,).

    All ways take their turn within a round, so that a busy minute of the machine meets all of them, and every other
    round goes backwards, so that none always comes second. ``warm_up`` rounds are not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(-warm_up, repeats):
        for name in names if turn % 2 == 0 else names[::-1]:
            start = time.perf_counter()
            ways[name]()
            spent = time.perf_counter() - start
            if say is not None:
                say(f"{'warm-up' if turn < 0 else f'round {turn + 1}'}: {name} {spent:.3f} s")
            if turn >= 0:
                seconds[name].append(spent)
    return seconds


def summary(seconds: list[float], count: int | None = None) -> dict[str, Any]:
    """Median, quartiles and all values [s]; with ``count`` also how many a second (the median's)."""
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    found = {"median_s": middle, "quartiles_s": [low, high], "all_s": list(seconds)}
    return found | ({"per_second": count / middle} if count else {})


def ratio(slow: list[float], fast: list[float]) -> dict[str, Any]:
    """How many times longer ``slow`` took than ``fast``: the median of the rounds' own ratios, and their range."""
    each = [a / b for a, b in zip(slow, fast, strict=True)]
    return {"median": statistics.median(each), "range": [min(each), max(each)]}


def percentiles(milliseconds: list[float]) -> dict[str, Any]:
    """p50, p95 and the largest of many waits [ms]."""
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"n": len(milliseconds), "p50_ms": p50, "p95_ms": p95, "max_ms": max(milliseconds)}


def write(name: str, arguments: argparse.Namespace, data: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """Print the result and write it to the results folder (with ``--quick`` only where ``--out`` names a file)."""
    result = {
        "benchmark": name,
        "quick": arguments.quick,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "arguments": {k: v.name if isinstance(v, Path) else v for k, v in vars(arguments).items() if k not in OURS},
        "data": dict(data),
        "measured": _rounded(dict(measured)),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    print(text, end="")
    path = arguments.out or (None if arguments.quick else RESULTS / f"{name}.json")
    if path is None:
        print("Not recorded: --quick shows only that it runs.", file=sys.stderr)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"Written to {path}", file=sys.stderr)


def renew(name: str, arguments: argparse.Namespace, measured: Mapping[str, Any]) -> None:
    """Put parts measured anew into a recorded result, which then says when; its other parts stay as they were."""
    path = arguments.out or RESULTS / f"{name}.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    if unknown := sorted(measured.keys() - result["measured"].keys()):
        raise SystemExit(f"{path} has no {', '.join(unknown)} to renew.")
    about = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "versions": versions()}
    result["measured"] |= _rounded(dict(measured))
    result["renewed"] = result.get("renewed", {}) | dict.fromkeys(measured, about)
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    progress(f"{', '.join(measured)} renewed in {path}")


def machine() -> dict[str, Any]:
    """Processor, cores we may use, memory and how busy the machine is now (other work makes every number worse)."""
    found: dict[str, Any] = {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count()}
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found["cpu"] = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
        flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
        found["bf16"] = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]
        kilobytes = Path("/proc/meminfo").read_text(encoding="utf-8").split("MemTotal:")[1].split()[0]
        found["memory_gb"] = round(int(kilobytes) / 2**20, 1)
    with contextlib.suppress(AttributeError, OSError):
        found["cores"] = len(os.sched_getaffinity(0))
        found["load_average_1_min"] = round(os.getloadavg()[0], 2)
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch_threads"] = torch.get_num_threads()
        found["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return found


def versions() -> dict[str, str]:
    """Of Python, of what is timed, and of this checkout."""
    found = {"python": platform.python_version()}
    for package in ("sfnet-core", *PACKAGES):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
        found["commit"] = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    return found


def made_up_cutouts(n: int, side: int, seed: int = 0) -> np.ndarray:
    """(n, side, side, 3) uint8: tilted exponential disks on a noisy sky. Pixels to be busy with, not galaxies."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float32) - np.float32((side - 1) / 2)
    out = np.empty((n, side, side, 3), dtype=np.uint8)
    for i in range(n):
        angle, flat, scale = rng.uniform(0, np.pi), rng.uniform(0.3, 1), side * rng.uniform(0.04, 0.12)
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        light = np.exp(-np.hypot(u, v / flat) / scale)[..., None] * rng.uniform(120, 230, 3)
        out[i] = np.clip(light + rng.normal(5, 3, (side, side, 3)), 0, 255)
    return out


def shrunk(cutout: np.ndarray, factor: int = 2) -> np.ndarray:
    """A cutout (H, W, 3) uint8 so many times smaller: means of factor × factor pixels."""
    height, width = cutout.shape[0] // factor, cutout.shape[1] // factor
    return cutout.reshape(height, factor, width, factor, 3).mean((1, 3)).round().astype(np.uint8)


def made_up_jpegs(folder: Path, n: int, side: int, seed: int = 0) -> tuple[Path, Path]:
    """``n`` JPEGs of :func:`made_up_cutouts` in ``folder/images`` and a catalogue with a made-up target beside them."""
    from PIL import Image

    images = folder / "images"
    images.mkdir(parents=True)
    rng = np.random.default_rng([seed, 1])
    lines = ["objID,oh_p50"]
    for start in range(0, n, 256):
        for i, cutout in enumerate(made_up_cutouts(min(256, n - start), side, seed + start), start):
            Image.fromarray(cutout).save(images / f"made-up-{i:06d}.jpg", quality=90)
            lines.append(f"made-up-{i:06d},{rng.normal(8.9, 0.2):.4f}")
    (folder / "galaxies.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return images, folder / "galaxies.csv"


def describe_images(images: Path, n: int, made_up: bool) -> dict[str, Any]:
    """What the images are, for the result."""
    from PIL import Image

    paths = sorted(images.rglob("*.jpg"))[:n]
    with Image.open(paths[0]) as first:
        size = list(first.size)
    name = "made-up disks, JPEG quality 90" if made_up else f"{images.parent.name}/{images.name}"
    return {
        "images": name,
        "n": len(paths),
        "size_px": size,
        "mean_bytes": round(sum(path.stat().st_size for path in paths) / len(paths)),
        "page_cache": "warm",
    }


def progress(line: str) -> None:
    """A line for the person who waits."""
    print(line, file=sys.stderr, flush=True)


def _rounded(value: Any) -> Any:
    """Numbers to 5 significant digits, all the way down: more would be noise."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.5g}")
    return value.item() if isinstance(value, np.generic) else value
