"""Every benchmark in turn, each in a process of its own.

    python -m benchmarks.run_all [--quick] [--images FOLDER] [--observed FOLDER] [--only pack,codes]

``--images`` goes to those that read pictures (pack, infer); those that need observed galaxies (lines) run where
``--observed`` names some. Results: ``benchmarks/results/NAME.json``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.common import ROOT

NAMES = tuple(sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py")))
WITH_IMAGES = ("pack", "infer")
OBSERVED = ("lines",)
BY_HAND = ("accuracy", "compare", "empty_sky", "few_labels")  # need folders of observed galaxies, and time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: do they run? Nothing is recorded")
    parser.add_argument("--images", type=Path, help="a folder of ID.jpg of one size, instead of made-up ones")
    parser.add_argument("--observed", type=Path, help="a folder with galaxies.csv (with line fluxes) and images/")
    parser.add_argument("--only", help="some of: " + ", ".join(NAMES))
    arguments = parser.parse_args()
    able = [name for name in NAMES if name not in BY_HAND and (name not in OBSERVED or arguments.observed is not None)]
    chosen = able if arguments.only is None else arguments.only.split(",")
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    failed = []
    for name in chosen:
        command = [sys.executable, "-m", f"benchmarks.bench_{name}"] + ["--quick"] * arguments.quick
        if arguments.images is not None and name in WITH_IMAGES:
            command += ["--images", str(arguments.images.resolve())]
        if arguments.observed is not None and name in OBSERVED:
            command += ["--observed", str(arguments.observed.resolve())]
        print(f"== {name}", file=sys.stderr, flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
