"""Memory of training and inference on a large packed dataset: resident, and how much of it is pages of the file.

    python -m benchmarks.bench_memory [--galaxies 250000] [--width 64] [--seconds 60] [--quick]

Trains with the recipe for so many galaxies, in float32, until SIGTERM after ``--seconds`` of steps; lets the network it
left infer, for as long; then infers all galaxies with another, trained on a hundred of them at 32 px to keep the work
small. Reads /proc/PID/status all the time. RssAnon is what the process has for itself, RssFile what is mapped in of
files (of libraries and of the cutouts; the system takes it back when it needs room); resident (VmRSS) is their sum. The
cutouts are a sparse file: galaxies after the first hundred are black, and are read through the same pages. Times are
not reported.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import common
from sfnet_core.data.dataset import Dataset
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.training.recipes import RECIPES

SIDE, SMALL_CROP = 128, 32
FIELDS = ("VmRSS", "RssAnon", "RssFile", "RssShmem")


def large_dataset(path: Path, n: int) -> Dataset:
    """``n`` galaxies of 128 px with a made-up target; only the first hundred take place on the disk."""
    import pandas

    rng = np.random.default_rng(0)
    few = common.made_up_cutouts(min(n, 100), SIDE)
    Dataset.create(path, [f"g{i}" for i in range(len(few))], few, {"oh_p50": rng.normal(9, 0.2, len(few))})
    cutouts = np.lib.format.open_memmap(path / "cutouts.npy", mode="w+", dtype=np.uint8, shape=(n, SIDE, SIDE, 3))
    cutouts[: len(few)] = few
    cutouts.flush()
    table = pandas.DataFrame({"id": [f"g{i}" for i in range(n)], "oh_p50": rng.normal(9, 0.2, n)})
    table.to_parquet(path / "galaxies.parquet", index=False)
    meta = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
    (path / "dataset.json").write_text(json.dumps(meta | {"n": n}), encoding="utf-8")
    return Dataset.open(path)


def watched(code: str, words: list[str], stop_after: float | None = None) -> dict:
    """Run Python code in a process of its own → the peak of each field [MB]; SIGTERM so long after it touches a file.

    The file's name is handed to it as the last of its words.
    """
    begun = Path(words[0]).parent / "begun"
    begun.unlink(missing_ok=True)
    words = [*words, str(begun)]
    child = subprocess.Popen([sys.executable, "-c", code, *words], cwd=common.ROOT)
    peak, since, sent = dict.fromkeys(FIELDS, 0), None, False
    while child.poll() is None:
        try:
            lines = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            break
        for line in lines:
            name, _, value = line.partition(":")
            if name in peak:
                peak[name] = max(peak[name], int(value.split()[0]) / 1024)
        since = since or (time.monotonic() if begun.exists() else None)
        if stop_after is not None and since and not sent and time.monotonic() - since > stop_after:
            child.send_signal(signal.SIGTERM)
            sent = True
        time.sleep(0.02)
    status = child.wait()
    if status not in ((0, 143, -signal.SIGTERM) if sent else (0,)):
        raise SystemExit(f"a child ended with status {status}")
    return {"peak_mb": {name: round(value) for name, value in peak.items()}}


TRAIN = """
import sys
from pathlib import Path
import sfnet_core.training.loop as training

real, steps = training.set_cycle, []
def noted(*more):
    steps.append(1)
    if len(steps) == 20:
        Path(sys.argv[4]).touch()
    return real(*more)
training.set_cycle = noted
training.train(sys.argv[1], sys.argv[2], width=int(sys.argv[3]), device="cpu", progress=False)
"""
INFER = """
import sys
from pathlib import Path
from sfnet_core.inference.runner import infer

Path(sys.argv[4]).touch()
infer(sys.argv[2], sys.argv[1], sys.argv[3], progress=False, device="cpu", precision="float32")
"""


def main() -> None:
    """Train, infer, write ``results/memory.json``."""
    parser = common.parser(__doc__)
    parser.add_argument("--galaxies", type=int)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--seconds", type=float, default=60, help="of training steps, and of inference")
    arguments = parser.parse_args()
    n = arguments.galaxies or (2000 if arguments.quick else 250_000)
    width, seconds = (8, 1.0) if arguments.quick else (arguments.width, arguments.seconds)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["SFNET_BF16"] = "0"  # float32 keeps more than bfloat16 does
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
        folder = Path(name)
        dataset = large_dataset(folder / "dataset", n)
        size = dataset.cutouts.nbytes
        common.progress(f"{n:,} galaxies, {size / 1e9:.1f} GB of cutouts")
        places = [str(folder / "dataset"), str(folder / "run")]
        trained = watched(TRAIN, [*places, str(width)], seconds)
        run = Run.open(folder / "run")
        recipe, side = run.config["recipe"], run.metadata["crop"]
        trained |= {"recipe": recipe["name"], "batch": recipe["batch"], "crop": side, "precision": "float32"}
        trained |= {"n_train": run.metrics["n_train"], "seconds_of_steps": seconds}
        common.progress(f"train: {trained}")
        so_long = watched(INFER, [*places, str(folder / "begun.parquet")], seconds)
        so_long |= {"crop": side, "seconds": seconds}
        common.progress(f"infer, so long: {so_long}")
        rows = np.arange(min(n, 100))
        columns = {"oh_p50": dataset.column("oh_p50")[rows]}
        few = Dataset.create(folder / "few", dataset.ids[rows], np.asarray(dataset.cutouts[rows]), columns)
        small = replace(RECIPES["few hundred"], crop=SMALL_CROP, epochs=1)
        train(few, folder / "small-run", recipe=small, width=width, device="cpu", progress=False)
        inferred = watched(INFER, [places[0], str(folder / "small-run"), str(folder / "codes.parquet")])
        codes = (folder / "codes.parquet").stat().st_size
        inferred |= {"crop": SMALL_CROP, "codes_mb": codes / 1e6, "galaxies": n}
        common.progress(f"infer, all: {inferred}")
    common.write(
        "memory",
        arguments,
        {"galaxies": n, "size_px": [SIDE, SIDE], "cutouts_gb": size / 1e9, "width": width,
         "cutouts": "a sparse file, all but 100 galaxies black"},
        {"train": trained, "infer, so long": so_long, "infer, all": inferred, "limit_mb": 3000},
    )  # fmt: skip


if __name__ == "__main__":
    main()
