"""The paper's Table 2 on observed galaxies: `sfnet compare` as it is, its table kept with the other results.

    python -m benchmarks.bench_compare --real FOLDER [--width 64] [--seeds 0 1 2] [--methods forest …] [--work DIR]

``--real`` holds ``galaxies.csv`` and ``images`` (sdss-metallicity-400). Eighteen full-width trainings take minutes on a
GPU and hours on two cores; ``--work`` goes on where it stopped. 20 % are held out once, so intervals are wide.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks import common
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.data.simulate.survey import simulate
from sfnet_core.reports.compare.runner import compare


def main() -> None:
    """Compare, write ``results/compare_observed.json``."""
    parser = common.parser(__doc__)
    parser.add_argument("--real", type=Path, help="a folder with galaxies.csv and images/; --quick can do without")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", help="of these alone; all of them by default")
    parser.add_argument("--work", type=Path, help="keep the dataset and the comparison here and go on from there")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    if arguments.real is None and not arguments.quick:
        parser.error("give the observed galaxies: --real FOLDER")
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as folder:
        work = arguments.work or Path(folder)
        dataset = work / "galaxies"
        how = {"seeds": arguments.seeds, "width": arguments.width, "methods": arguments.methods}
        if arguments.quick:
            simulate(60, seed=0, out=dataset, workers=1, progress=False)
            how = {"seeds": [0], "width": 4, "k": [1, 4], "epochs": 1}
        elif not dataset.is_dir():
            pack(arguments.real / "galaxies.csv", arguments.real / "images", dataset, progress=False)
        compare(
            Dataset.open(dataset), work / "comparison", device=arguments.device, progress=not arguments.quick, **how
        )
        found = json.loads((work / "comparison" / "compare.json").read_text(encoding="utf-8"))
    about = found["about"]
    common.write("compare_observed", arguments, about, {"rows": found["rows"], "paired": found["paired"]})


if __name__ == "__main__":
    main()
