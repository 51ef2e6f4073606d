"""Where bfloat16 is quicker: `infer` in float32 and in bfloat16, turn by turn, by width and number of galaxies.

    python -m benchmarks.bench_precision [--widths 16 32 64] [--ns 256 512 1024] [--side 96] [--repeats 3] [--quick]

One thread, from packed synthetic cutouts to a codes file, with a network that has learnt a little from them. The time
is the processor's, which a busy machine disturbs less than the clock's. bfloat16's holds what is computed again.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from benchmarks import common
from benchmarks.bench_infer import trained_run
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.device import has_bfloat16


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--ns", type=int, nargs="+", default=[256, 512, 1024], help="galaxies")
    parser.add_argument("--side", type=int, default=96, help="pixels")
    arguments = parser.parse_args()
    if not has_bfloat16(torch.device("cpu")):
        raise SystemExit("This processor has no bfloat16; there is nothing to compare.")
    quick = arguments.quick
    widths, ns, side = ([16], [64], 32) if quick else (arguments.widths, arguments.ns, arguments.side)
    repeats, found = arguments.repeats or (1 if quick else 3), {}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
        folder = Path(name)
        cutouts = common.made_up_cutouts(max(ns), side)
        datasets = {n: Dataset.create(folder / f"{n}", [str(i) for i in range(n)], cutouts[:n], {}) for n in ns}
        for width in widths:
            (folder / f"w{width}").mkdir()
            run = trained_run(folder / f"w{width}" / "run", datasets[max(ns)], 1 if quick else 6, width)
            for n, dataset in datasets.items():
                again = 0
                seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
                for turn in range(-1, repeats):
                    for precision in list(seconds)[:: 1 if turn % 2 else -1]:
                        start = time.process_time()
                        codes = infer(
                            run, dataset, folder / "codes.parquet", precision=precision, device="cpu", resume=False,
                            progress=False,
                        )  # fmt: skip
                        if turn >= 0:
                            seconds[precision].append(time.process_time() - start)
                        again = codes.provenance["computed"].get("computed_again", again)
                case = f"width {width}, {n} galaxies"
                found[case] = {
                    "times_faster": common.ratio(seconds["float32"], seconds["bfloat16"]),
                    "computed_again": again,
                    **{precision: common.summary(each, n) for precision, each in seconds.items()},
                }
                common.progress(f"{case}: {found[case]['times_faster']}, {again} again")
    common.write("precision", arguments, {"images": "synthetic", "size_px": side, "threads": 1}, found)


if __name__ == "__main__":
    main()
