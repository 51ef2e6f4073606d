"""How many galaxies bfloat16 leaves in doubt, and whether a flip of the gate was ever missed. Shares only, no times.

    python -m benchmarks.bench_certain [--real ../shared/data] [--work DIR] [--cases sample w16 w64] [--quick]

Every galaxy of a case is computed in both precisions, so that every flip is known. Then the choice of rows to compute
again is replayed, by :func:`sfnet_core.inference.recompute.recompute_doubtful` itself and by the earlier rule, with the
galaxies in several random orders (which decide the rows that errors are measured on). bfloat16 gives the same numbers,
up to the order of sums, on processors that have it and on those that emulate it; how much faster it is cannot be seen
from here.

The earlier rule: an ε for each feature, 1.5 times the largest error on 128 evenly spaced galaxies as a share of a
galaxy's largest activation; certain where a kept feature leads a dropped one by more than ε_i + ε_j; widened by the
errors of what was computed again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from benchmarks import common
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.explorer.shared.sample import sample_dataset, sample_run
from sfnet_core.inference.encoding import Encoder
from sfnet_core.inference.recompute import recompute_doubtful
from sfnet_core.inference.tolerance import NEAR
from sfnet_core.model.network import pool
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train

MICRO = 32
CASES = {  # what the networks are, and how many galaxies are computed both ways
    "sample": ("the embedded run (width 16, simulated) on the embedded simulated sample", 1200),
    "w16": ("width 16, 60 epochs on 320 observed galaxies, on 6,000 other observed ones", 6000),
    "w64": ("width 64, 10 epochs on 320 observed galaxies, on 1,000 other observed ones", 1000),
}


def both_ways(name: str, arguments: argparse.Namespace, work: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Activations (N, F) in bfloat16 and in float32, and k; kept in ``work``."""
    path = work / f"{name}.npz"
    if not path.is_file():
        n = 96 if arguments.quick else CASES[name][1]
        run, dataset = network_and_galaxies(name, arguments, work)
        network = run.network()
        encoder = Encoder(network.to(memory_format=network.memory_format), run.metadata, dataset)
        rows = np.unique(np.linspace(0, len(dataset) - 1, min(n, len(dataset))).astype(int))
        found = {torch.bfloat16: [], torch.float32: []}
        with torch.inference_mode():
            for count, cutouts in encoder.batches(rows):
                for dtype, parts in found.items():
                    parts.append(pool(encoder.cells(cutouts, dtype))[:count].numpy())
        low, high = (np.concatenate(parts) for parts in found.values())
        np.savez(path, lo=low, hi=high, k=run.metadata["k"])
    with np.load(path) as stored:
        return stored["lo"], stored["hi"], int(stored["k"])


def network_and_galaxies(name: str, arguments: argparse.Namespace, work: Path) -> tuple[Run, Dataset]:
    if name == "sample":
        return sample_run(), sample_dataset()
    sets = []
    for folder, of in (("d400", "sdss-metallicity-400"), ("d6000", "sdss-gz1-6000")):
        if not (work / folder).is_dir():
            pack(arguments.real / of / "galaxies.csv", arguments.real / of / "images", work / folder, progress=False)
        sets.append(Dataset.open(work / folder))
    how = {"w16": {"width": 16}, "w64": {"width": 64, "epochs": 10}}[name] | ({"epochs": 1} if arguments.quick else {})
    return train(sets[0], work / f"run-{name}", resume=True, progress=False, **how), sets[1]


def kept(a: np.ndarray, k: int) -> np.ndarray:
    """Which features a gate keeps, (N, F)."""
    found = np.zeros(a.shape, dtype=bool)
    np.put_along_axis(found, np.argsort(-a, axis=1, kind="stable")[:, :k], True, axis=1)
    return found & (a > 0)


def now(low: np.ndarray, high: np.ndarray, k: int) -> tuple[np.ndarray, dict]:
    """Rows that end in float32, by the package's own choice."""
    order = np.argsort(-low, axis=1, kind="stable")[:, : k + NEAR]
    near = np.take_along_axis(low, order, axis=1)
    whole = {"slots": np.where(near > 0, order, -1).astype(np.int16), "near": near, "again": np.zeros(len(low), bool)}

    def encode(rows: np.ndarray, done: object, at: np.ndarray) -> dict[str, np.ndarray]:
        exact = np.take_along_axis(high[rows], at.clip(0).astype(int), axis=1)
        return {"exact": np.where(at >= 0, exact, 0), "again": np.ones(len(rows), dtype=bool)}

    encoder = SimpleNamespace(k=k, n_features=low.shape[1], micro=MICRO, encode=encode)
    said = recompute_doubtful(encoder, whole, lambda name, rows, make, done: make(), 2048, lambda n: None)
    return whole["again"], said


def earlier(low: np.ndarray, high: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """Rows that the earlier rule computed again, and how many it measured (both ways, beside them)."""
    total = len(low)
    measured = np.unique(np.linspace(0, total - 1, min(total, int(np.clip(total // 64, 128, 1024)))).astype(int))
    share = np.abs(low - high)[measured] / low[measured].max(axis=1, keepdims=True)
    epsilon = 1.5 * share.max(axis=0)
    epsilon = np.maximum(epsilon, np.median(epsilon[epsilon > 0]))
    order = np.argsort(-low, axis=1, kind="stable")
    a, room = np.take_along_axis(low, order, axis=1), epsilon[order] * low.max(axis=1, keepdims=True)
    slack = np.full(total, np.inf)
    for i in range(k):
        slack = np.minimum(slack, ((a[:, i : i + 1] - a[:, k:]) / (room[:, i : i + 1] + room[:, k:])).min(axis=1))
    stored = order[:, : k + 8]
    error = np.abs(np.take_along_axis(low - high, stored, axis=1)) / room[:, : k + 8]
    wide, widest, again = max(1.0, float(np.sort(slack)[:MICRO][-1])), 0.0, np.zeros(total, dtype=bool)
    while len(rows := np.flatnonzero((slack <= wide) & ~again)):
        widest = max(widest, float(error[rows].max()))
        again[rows] = True
        wide = max(wide, 1.5 * widest)
    return again, len(measured)


def case(low: np.ndarray, high: np.ndarray, k: int, orders: int) -> dict:
    """Both rules on the same activations, in several orders."""
    full = (low > 0).sum(axis=1) >= k
    flipped = (kept(low, k) != kept(high, k)).any(axis=1)
    found: dict[str, list] = {"now": [], "earlier": [], "limits": []}
    missed = {"now": 0, "earlier": 0}
    for seed in range(orders):
        rows = np.random.default_rng(seed).permutation(len(low))
        again, said = now(low[rows], high[rows], k)
        before, measured = earlier(low[rows].astype(float), high[rows].astype(float), k)
        found["now"].append(float(again.mean()))
        found["earlier"].append(float(before.mean()) + measured / len(low))
        found["limits"].append(said["limit"])
        missed["now"] += int((flipped[rows] & ~again).sum())
        missed["earlier"] += int((flipped[rows] & ~before).sum())
    return {
        "galaxies": len(low),
        "features": low.shape[1],
        "k": k,
        "share_flipped_by_bfloat16": float(flipped.mean()),
        "share_with_fewer_than_k_active": float(1 - full.mean()),
        "float32_passes_per_galaxy": {
            rule: {"median": float(np.median(found[rule])), "range": [min(found[rule]), max(found[rule])]}
            for rule in ("earlier", "now")
        },
        "flips_missed": missed | {"of": int(flipped.sum()) * orders},
        "limits_first_and_last": found["limits"],
    }


def main() -> None:
    parser = common.parser(__doc__)
    data = common.ROOT.parent / "shared" / "data"
    parser.add_argument("--real", type=Path, default=data, help="the folder of the observed galaxies")
    parser.add_argument("--work", type=Path, help="keeps runs and activations; what is there is used")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--renew", action="store_true", help="put these cases into the recorded result")
    parser.add_argument("--orders", type=int, default=10, help="random orders of the galaxies")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cases, measured = ["sample"] if arguments.quick else arguments.cases, {}
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        for name in cases:
            measured[name] = {"what": CASES[name][0]} | case(*both_ways(name, arguments, work), arguments.orders)
            common.progress(f"{name}: {measured[name]}")
    if arguments.renew:
        common.renew("certain", arguments, measured)
        return
    flags = common.machine()["bf16"]
    arguments.work = arguments.real = None  # a place on somebody's disk is no result
    common.write(
        "certain",
        arguments,
        {
            "observed": "SDSS cutouts of 128 px (400 with metallicities to train on, 6,000 others), crop 96",
            "split": "20 % of the 400 held out; the galaxies counted here are none of the 400",
            "seed": 0,
            "orders": arguments.orders,
            "micro_batch": MICRO,
        },
        measured | {"bfloat16": "by the processor" if flags else "emulated: the same numbers, no times"},
    )


if __name__ == "__main__":
    main()
