"""The four-line network: trained on simulated galaxies, then read on observed ones that have line fluxes.

    python -m benchmarks.bench_lines --observed ../shared/data/sdss-gz1-6000 [--galaxies 3000] [--seeds 0 1 2] [--k 4]

On the simulated validation galaxies: RMSE of lines and ratios and the BPT class, beside answering the training mean and
the most frequent class. On the observed: the same, and what is left once each line's mean offset is taken out (the zero
points of a simulated survey need not be the sky's; the offsets are those of the same galaxies, so that number is a
little flattered, like that of their own mean beside it). The network never saw an observed galaxy.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common, seeds
from sfnet_core.analysis.emission_line_metrics import score_lines
from sfnet_core.astro.emission_lines import LINES
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.packing import pack
from sfnet_core.inference.runner import infer
from sfnet_core.model.run import Run
from sfnet_core.stats.bootstrap import percentile_interval, resampled

RESAMPLES = 2000
FLUXES = tuple(LINES.values())


def main() -> None:
    """Train, read, write ``results/lines.json``."""
    parser = seeds.options(__doc__, [0, 1, 2])
    parser.set_defaults(galaxies=3000)
    parser.add_argument("--observed", type=Path, required=True, help="folder with galaxies.csv and images/")
    parser.add_argument("--k", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.galaxies, arguments.seeds, arguments.epochs = 160, [0], 1
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """All trainings, their codes of both surveys, the numbers."""
    data = seeds.survey(arguments, work)
    data |= {
        "target": "lines: log_N2, log_Ha, log_O3, log_Hb",
        "observed": "those of the 6,000 that have four fluxes > 0",
    }
    observed = with_fluxes(arguments.observed, work)
    on_simulated, on_observed = [], []
    for seed in arguments.seeds:
        name = f"lines-k{arguments.k}-seed{seed}"
        on_simulated.append(seeds.trained(arguments, work, name, seed, arguments.k, target="lines"))
        path = work / f"{name}-observed.parquet"
        if not path.is_file():
            run = Run.open(work / f"run-{name}")
            infer(run, observed, path, maps=False, tta=True, progress=False, allow_mismatch=True)
        on_observed.append(SparseCodes.open(path))
    one = on_observed[0]
    measured = {
        "simulated, held out": scores(on_simulated, on_simulated[0].in_split("validation"), on_simulated[0]),
        "observed": scores(on_observed, np.ones(len(one), dtype=bool), on_simulated[0]),
        "notes of the observed codes": one.provenance["notes"],
    }
    common.write("lines", arguments, data, measured)


def with_fluxes(source: Path, work: Path) -> Path:
    """A dataset of the galaxies whose four fluxes are given, made once."""
    out = work / "observed"
    if not out.is_dir():
        with open(source / "galaxies.csv", newline="", encoding="utf-8") as handle:
            header, *rows = csv.reader(handle)
        columns = [header.index(name) for name in FLUXES]
        chosen = work / "observed.csv"
        with open(chosen, "w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([header, *[row for row in rows if all(row[i] for i in columns)]])
        pack(chosen, source / "images", out, progress=False)
    return out


def scores(each: list[SparseCodes], rows: np.ndarray, trained: SparseCodes) -> dict[str, Any]:
    """One seed after the other, and what answering the simulated training galaxies' mean would give."""
    train = trained.in_split("train")
    mean = np.array([np.nanmean(trained.truth(line)[train]) for line in LINES])
    truth = np.stack([each[0].truth(line) for line in LINES], axis=1)
    rows = rows & np.isfinite(truth).all(axis=1)
    truth = truth[rows]
    found: dict[str, Any] = {"n": int(rows.sum()), "each seed": []}
    squares, level = [], []
    for codes in each:
        score = score_lines(codes, rows, intervals=RESAMPLES)
        prediction = np.stack([codes.prediction(line)[rows] for line in LINES], axis=1)
        squares.append(((prediction - truth) ** 2).mean(axis=1))
        offset = (prediction - truth).mean(axis=0)
        level.append(((prediction - truth - offset) ** 2).mean(axis=1))
        bpt = {name: score["bpt"][name] for name in ("right", "low", "high", "most_frequent", "classes", "confusion")}
        kept = {name: part["rmse"] for group in ("lines", "ratios") for name, part in score[group].items()}
        found["each seed"].append(
            {"rmse_dex": score["all"]["rmse"], "rmse_dex_of": kept, "mean_offset_dex": offset.tolist(), "bpt": bpt}
        )
    found["rmse_dex, mean of seeds"] = interval(np.array(squares))
    found["rmse_dex without each line's mean offset"] = interval(np.array(level))
    found["rmse_dex of the training mean"] = interval(((truth - mean) ** 2).mean(axis=1)[None])
    own = ((truth - truth.mean(axis=0)) ** 2).mean(axis=1)[None]
    found["rmse_dex of these galaxies' own mean"] = interval(own)
    return found


def interval(squared: np.ndarray) -> dict[str, Any]:
    """RMSE of (seeds, n) squared residuals, mean over the seeds, with a 95 % bootstrap over galaxies."""
    n = squared.shape[1]
    value, *ends = percentile_interval(resampled(lambda c: np.sqrt(c @ squared.T / n).mean(axis=1), n, RESAMPLES))
    return {"rmse": value, "interval_95": ends}


if __name__ == "__main__":
    main()
