"""Makes the embedded sample again: `python data/make_sample.py [codes]` (extras `torch` and `simulate`; two minutes).

1. simulate 1,200 galaxies (GalSim, seed 0) and write them as one Parquet file with JPEG cutouts,
2. train a narrow SFNet (k = 4, 16 channels, 128 features) on the unpacked sample by the recipe for its size,
3. infer its codes with runners-up, maps and D4-averaged predictions.

With the word `codes` only the third, from the galaxies and the run that are here: for a file format that has grown.
The same commands on the same versions and the same kind of processor give the same files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from sfnet_core.inference import infer
from sfnet_core.survey.sample import open_sample, write_sample
from sfnet_core.survey.simulate import simulate
from sfnet_core.training import train

HERE = Path(__file__).parent


def main(only_codes: bool = False) -> None:
    """Write `sample-galaxies.parquet`, `sample-run/` and `sample-codes.parquet` beside this file, or the last alone."""
    if only_codes:
        with tempfile.TemporaryDirectory() as folder:
            galaxies = open_sample(HERE / "sample-galaxies.parquet", Path(folder))
            infer(HERE / "sample-run", galaxies, HERE / "sample-codes.parquet", tta=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        survey = simulate(1200, seed=0, out=work / "survey")
        write_sample(survey, HERE / "sample-galaxies.parquet")
        galaxies = open_sample(HERE / "sample-galaxies.parquet", work / "cache")
        run = train(galaxies, work / "sample-run", target="oh_p50", k=4, width=16, seed=0)
        infer(run, galaxies, HERE / "sample-codes.parquet", tta=True)
        kept = HERE / "sample-run"
        kept.mkdir(exist_ok=True)
        for name in ("model.safetensors", "run.json", "history.csv", "unlike.npz"):
            shutil.copyfile(work / "sample-run" / name, kept / name)


if __name__ == "__main__":
    main(only_codes=sys.argv[1:] == ["codes"])
