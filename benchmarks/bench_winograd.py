"""What Winograd's convolutions give: `infer` in float32 with them and without, turn by turn, on one thread.

    python -m benchmarks.bench_winograd [--sides 160 128 96 64] [--n 256] [--repeats 5] [--quick]
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python -m benchmarks.bench_winograd --out …/winograd_avx2.json

From packed made-up cutouts to a codes file, full width, a fresh network; the processor's time is kept, which a busy
machine disturbs less than the clock's. Only ratios within a round mean anything.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import torch

import sfnet_core.model.kernels.fused as fused
from benchmarks import common
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.network import SFNet
from sfnet_core.model.run import Run


def fresh_run(path: Path, dataset: Dataset, width: int) -> Run:
    """An untrained network on whole cutouts: what is computed does not depend on what it has learnt."""
    torch.manual_seed(0)
    network = SFNet(k=4, width=width).eval()
    side = dataset.meta["height"]
    metadata = {
        "schema": 1, "targets": ["y"], "units": [""], "crop": side, "cutout_size": [side, side], "pixel_scale": None,
        "mean": [0.1] * 3, "std": [0.15] * 3, "data_fingerprint": "", "dataset": "made up", "simulated": True,
        "weights_origin": "from scratch", "versions": {}, "k": 4, "features": network.n_features, "width": width,
    }  # fmt: skip
    path.mkdir()
    Run(path, metadata, {}, {}, [], {}, "finished").write(path, network)
    return Run.open(path)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=256, help="images")
    parser.add_argument("--sides", type=int, nargs="+", default=[160, 128, 96, 64], help="pixels")
    arguments = parser.parse_args()
    quick = arguments.quick
    n, width, sides = (32, 16, [64]) if quick else (arguments.n, 64, arguments.sides)
    repeats = arguments.repeats or (1 if quick else 5)
    torch.set_num_threads(1)
    known, found = fused.tile, {}
    tiles = {"with": known, "without": lambda channels, side: 0}
    for side in sides:
        with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
            folder = Path(name)
            names = [str(i) for i in range(n)]
            dataset = Dataset.create(folder / "dataset", names, common.made_up_cutouts(n, side), {})
            run, seconds = fresh_run(folder / "run", dataset, width), {way: [] for way in tiles}
            for turn in range(-1, repeats):
                for way in list(tiles)[:: 1 if turn % 2 else -1]:
                    fused.tile = tiles[way]
                    start = time.process_time()
                    infer(
                        run, dataset, folder / "codes.parquet", precision="float32", device="cpu", resume=False,
                        progress=False,
                    )  # fmt: skip
                    if turn >= 0:
                        seconds[way].append(time.process_time() - start)
            fused.tile = known
        found[f"{side} px"] = {
            **{way: common.summary(each, n) for way, each in seconds.items()},
            "times_faster": common.ratio(seconds["without"], seconds["with"]),
        }
        common.progress(f"{side} px: {found[f'{side} px']['times_faster']}")
    masks = {name: os.environ.get(name, "") for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")}
    common.write(
        "winograd", arguments,
        {"images": f"{n} made up", "width": width, "threads": 1, "precision": "float32", "masks": masks},
        found,
    )  # fmt: skip


if __name__ == "__main__":
    main()
