"""Makes the embedded sample: `python data/make_sample.py [run|codes]` (extras `torch` and `simulate`; some minutes).

1. simulate 1,200 galaxies (GalSim, seed 0) and write them as one Parquet file with JPEG cutouts,
2. train a narrow SFNet (k = 4, 16 channels, 128 features) on the unpacked sample by the recipe for its size, for every
   k that the explorer's slider reaches,
3. infer its codes with runners-up, maps and D4-averaged predictions.

With the word `run` only the last two, from the galaxies that are here, with `codes` the third alone: for a recipe or a
file format that has grown. The same commands on the same versions and the same kind of processor give the same files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from sfnet_core.codes.header import RUNNERS_UP
from sfnet_core.data.sample_file import open_sample, write_sample
from sfnet_core.data.simulate.survey import simulate
from sfnet_core.inference.runner import infer
from sfnet_core.training.loop import train

HERE = Path(__file__).parent
GALAXIES, RUN, CODES = HERE / "sample-galaxies.parquet", HERE / "sample-run", HERE / "sample-codes.parquet"
FROM = ("galaxies", "run", "codes")
K = 4


def main(first: str = FROM[0]) -> None:
    """Write `sample-galaxies.parquet`, `sample-run/` and `sample-codes.parquet` beside this file, from ``first`` on."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if first == "galaxies":
            write_sample(simulate(1200, seed=0, out=work / "survey"), GALAXIES)
        galaxies = open_sample(GALAXIES, work / "cache")
        if first != "codes":
            train(galaxies, work / "sample-run", target="oh_p50", k=K, multi_k=K + RUNNERS_UP, width=16, seed=0)
            RUN.mkdir(exist_ok=True)
            for name in ("model.safetensors", "run.json", "history.csv", "unlike.npz"):
                shutil.copyfile(work / "sample-run" / name, RUN / name)
        infer(RUN, galaxies, CODES, tta=True, precision="float32")


if __name__ == "__main__":
    if sys.argv[1:] and (len(sys.argv) > 2 or sys.argv[1] not in FROM):
        sys.exit(f"What to begin with is one of: {', '.join(FROM)}.")
    main(*sys.argv[1:])
