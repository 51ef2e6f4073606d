"""Taught by photometry or trained on the labels: RMSE on simulated galaxies, for several numbers of labels.

    python -m benchmarks.bench_taught [--labels 100 320 1000] [--draws 3] [--held 2000] [--first 10000] [--work DIR]

    python -m benchmarks.bench_taught --cost $SDSS [--rounds 2]

Simulated cutouts are halved to 64 px. Each draw has other labelled galaxies and one seed; the galaxies held out are the
same for all. Nothing of `--taught` was chosen on these galaxies. Simulated galaxies say nothing about real ones.
``--cost`` asks how long a training takes instead, on observed galaxies: taught at width 16, and from the labels alone
at full width. It times all before the first step and the second epoch, and adds up; the ways take turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common, seeds
from sfnet_core.astro.photometry import NAMES, Process, forest, photometry
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.inference.runner import infer
from sfnet_core.stats.metrics import rmse
from sfnet_core.training.loop import train


def main() -> None:
    """Train, measure, write ``results/taught.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 320, 1000])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--held", type=int, default=2000, help="galaxies that every RMSE is of")
    parser.add_argument("--first", type=int, default=10_000, help="index of the first simulated galaxy that is taken")
    parser.add_argument("--survey-seed", type=int, default=0, help="seed of the simulated survey")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--epochs", type=int, help="of a taught training, instead of its own number")
    parser.add_argument("--cost", type=Path, help="a folder with galaxies.csv and images/: time, not accuracy")
    parser.add_argument("--rounds", type=int, default=2, help="of --cost, each of both ways")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw simulated galaxies")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="keep the dataset and runs here; finished ones are used again")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is recorded")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.labels, arguments.draws, arguments.held, arguments.width, arguments.epochs = [40], 2, 40, 4, 1
    arguments.galaxies = arguments.held + arguments.draws * max(arguments.labels)
    arguments.half, arguments.real, arguments.folds = True, None, None
    with tempfile.TemporaryDirectory() as folder:
        (measure if arguments.cost is None else cost)(arguments, arguments.work or Path(folder))


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """All trainings; then each way's RMSE, and taught over the others."""
    about = seeds.survey(arguments, work)
    survey = Dataset.open(work / "survey")
    truth = np.asarray(survey.column("oh_p50"), dtype=float)
    by_hand = photometry(survey.cutouts, scatter=True)
    held = np.arange(arguments.held)
    test = part(survey, work / "held", held)
    measured: dict[str, Any] = {}
    for n in arguments.labels:
        found: dict[str, list[np.ndarray]] = {}
        seconds: dict[str, list[float]] = {}
        for draw in range(arguments.draws):
            start = arguments.held + draw * max(arguments.labels)
            labelled = np.arange(start, start + n)
            data = part(survey, work / f"labelled-{n}-{draw}", labelled)
            for way, options in (("untaught", {}), ("taught", {"taught": True, "epochs": arguments.epochs})):
                started, name = time.process_time(), f"{way}-{n}-{draw}"
                run = train(
                    data, work / f"run-{name}", k=4, width=arguments.width, seed=draw, validation=0.0, resume=True,
                    progress=False, **options,
                )  # fmt: skip
                seconds.setdefault(way, []).append(time.process_time() - started)
                codes = infer(run, test, work / f"{name}.parquet", tta=True, progress=False, resume=True)
                found.setdefault(way, []).append(codes.prediction_d4() - truth[held])
                common.progress(f"{name}: {rmse(truth[held], codes.prediction_d4()):.4f} dex")
            for way, make, count in (
                ("process", Process, None),
                ("forest", lambda: forest(0, arguments.threads), len(NAMES)),
            ):
                fitted = make().fit(by_hand[labelled, :count], truth[labelled])
                found.setdefault(way, []).append(fitted.predict(by_hand[held, :count]) - truth[held])
        measured[f"{n} labels"] = scored({way: np.array(each) for way, each in found.items()}, seconds)
    data = about | {
        "split": f"{arguments.held} galaxies held out; {arguments.draws} draws of other labelled ones, a seed each",
        "cutouts": "128 px halved to 64 px, the central 48 px seen; mean of 8 orientations",
        "spread": "truth of the galaxies held out has a standard deviation of "
        f"{truth[held].std():.4f} dex; processor seconds are of a run made in this call, near 0 of one found",
    }
    common.write("taught", arguments, data, measured)


def cost(arguments: argparse.Namespace, work: Path) -> None:
    """Seconds of both ways; ``results/taught_cost.json``."""
    torch.set_num_threads(arguments.threads)
    work.mkdir(parents=True, exist_ok=True)
    source, place = arguments.cost, work / "observed"
    data = Dataset.open(place) if place.is_dir() else pack(source / "galaxies.csv", source / "images", place)
    ways = {
        "taught, width 16": {"taught": True, "width": 16},
        "from the labels, width 64": {"taught": False, "width": 64},
    }
    whole: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for turn in range(arguments.rounds):
        for name in list(ways) if turn % 2 == 0 else list(ways)[::-1]:
            stamps = [(time.perf_counter(), time.process_time())]

            def stamp(_: object, stamps: list = stamps) -> bool:
                stamps.append((time.perf_counter(), time.process_time()))
                return len(stamps) < 4  # the plan, two epochs

            run = train(
                data, work / "run", k=4, multi_k=0, overwrite=True, progress=False, on_plan=stamp, on_epoch=stamp,
                **ways[name],
            )  # fmt: skip
            epochs = run.config["recipe"]["epochs"]
            before, second = np.subtract(stamps[1], stamps[0]), np.subtract(stamps[3], stamps[2])
            seconds, processor = before + epochs * second
            whole[name].append({"seconds": seconds, "processor_seconds": processor, "epochs": epochs})
            common.progress(f"{name}: {seconds:.0f} s, {processor:.0f} s of processor time")
    taught, labels = ([one["processor_seconds"] for one in each] for each in whole.values())
    about = {"galaxies": f"{len(data)} observed ({source.name}), 20 % held out", "simulated": False}
    common.write("taught_cost", arguments, about, whole | {"labels over taught": common.ratio(labels, taught)})


def part(survey: Dataset, place: Path, rows: np.ndarray) -> Dataset:
    """These galaxies of the survey as a dataset of their own."""
    if place.is_dir():
        return Dataset.open(place)
    truth = {"oh_p50": np.asarray(survey.column("oh_p50"))[rows]}
    return Dataset.create(place, survey.ids[rows].tolist(), survey.cutouts[rows], truth, simulated=True)


def scored(errors: dict[str, np.ndarray], seconds: dict[str, list[float]]) -> dict[str, Any]:
    """RMSE of each way, (draws, n) errors, and taught over it with its interval."""
    found: dict[str, Any] = {}
    for way, each in errors.items():
        squares = each**2
        found[way] = {"rmse_dex": seeds.rmse(squares), "rmse_dex_each_draw": np.sqrt(squares.mean(axis=1)).tolist()}
        if way in seconds:
            found[way]["processor_seconds"] = float(np.median(seconds[way]))
        if way != "taught":
            over, span = seeds.ratio(errors["taught"] ** 2, squares)
            found[way] |= {"taught_over_this": over, "taught_over_this_95": span}
    return found


if __name__ == "__main__":
    main()
