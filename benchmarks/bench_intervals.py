"""Does the spread of seeds or of the eight orientations tell which predictions are bad? Intervals scaled by it.

    python -m benchmarks.bench_intervals [--galaxies 1500] [--seeds 0 1 2] [--work DIR]

One split of simulated galaxies, one narrow network per seed. Of the first seed's network: intervals of one width, of
one width per quarter by prediction (what the library gives), and of widths proportional to a floor plus the spread of
its predictions over orientations, or of the seeds' predictions (locally weighted conformal intervals: Lei et al. 2018,
J. Am. Stat. Assoc. 113, 1094, section 5.2). All on parts of the validation galaxies that set no width. Says nothing
about real galaxies.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks import common, seeds
from sfnet_core.analysis.intervals import FOLDS, LEVEL, conformal_radius
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.encoding import Encoder
from sfnet_core.model.network import pool
from sfnet_core.model.preprocess import ORIENTATIONS, orient
from sfnet_core.model.run import Run

REPEATS = 20  # random divisions into parts


def main() -> None:
    """Train, measure, write ``results/intervals.json``."""
    parser = seeds.options(__doc__, [0, 1, 2])
    parser.add_argument("--k", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.seeds, arguments.epochs = 200, [0, 1], 1
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """Train, look at each validation galaxy from eight sides, try each kind of width."""
    data = seeds.survey(arguments, work)
    k = arguments.k
    files = [seeds.trained(arguments, work, f"k{k}-seed{seed}", seed, k) for seed in arguments.seeds]
    codes = files[0]
    rows = np.flatnonzero(codes.in_split("validation") & np.isfinite(codes.truth()))
    prediction = codes.prediction()[rows]
    residual = prediction - codes.truth()[rows]
    views = eight_views(Run.open(work / f"run-k{k}-seed{arguments.seeds[0]}"), Dataset.open(work / "survey"), rows)
    spreads = {
        "eight orientations": views.std(axis=1),
        "seeds": np.std([one.prediction()[rows] for one in files], axis=0),
    }
    quarter = np.digitize(prediction, np.quantile(np.delete(codes.prediction(), rows), [0.25, 0.5, 0.75]))
    one, same = np.ones(len(rows)), np.zeros(len(rows), dtype=int)
    measured: dict[str, Any] = {"n_validation": len(rows), "level": LEVEL, "seeds": len(files)}
    measured["one width"] = tried(residual, one, same, quarter)
    measured["a width for each quarter by prediction"] = tried(residual, one, quarter, quarter)
    for name, spread in spreads.items():
        floor = np.median(np.abs(residual)) / 2
        measured[f"spread of {name}"] = {
            "median_dex": float(np.median(spread)),
            "rank correlation with |error|": float(spearmanr(spread, np.abs(residual)).statistic),
            "width ∝ floor + spread": tried(residual, floor + spread, same, quarter),
            "the same, for each quarter": tried(residual, floor + spread, quarter, quarter),
        }
    common.write("intervals", arguments, data, measured)


@torch.inference_mode()
def eight_views(run: Run, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """(n, 8) predictions of the eight orientations."""
    network = run.network()
    encoder = Encoder(network.to(memory_format=network.memory_format), run.metadata, dataset)
    found = []
    for n, cutouts in encoder.batches(rows):
        turned = (encoder.cells(orient(cutouts, i)) for i in range(ORIENTATIONS))
        found.append(torch.stack([network.read(pool(maps))[:n, 0] for maps in turned], 1))
    return torch.cat(found).double().numpy()


def tried(residual: np.ndarray, scale: np.ndarray, group: np.ndarray, quarter: np.ndarray) -> dict[str, Any]:
    """Coverage in all and in quarters by prediction, and the mean half-width, over random divisions into parts."""
    inside, width = [], []
    for seed in range(REPEATS):
        part = np.random.default_rng(seed).permutation(len(residual)) % FOLDS
        radius = np.empty(len(residual))
        for fold in range(FOLDS):
            for g in np.unique(group):
                set_by, used = (part != fold) & (group == g), (part == fold) & (group == g)
                radius[used] = conformal_radius(residual[set_by] / scale[set_by]) * scale[used]
        inside.append(np.abs(residual) <= radius)
        width.append(radius.mean())
    share = np.mean(inside, axis=0)
    return {
        "inside": float(share.mean()),
        "inside_by_quarter": [float(share[quarter == q].mean()) for q in range(4)],
        "mean_half_width_dex": float(np.mean(width)),
    }


if __name__ == "__main__":
    main()
