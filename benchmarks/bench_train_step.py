"""A training step at the paper's sizes: the package's own training beside the plain implementation.

    python -m benchmarks.bench_train_step [--images FOLDER --catalogue FILE] [--steps 8] [--repeats 5] [--quick]
    python -m benchmarks.bench_train_step --device cuda --steps 60 --out benchmarks/results/train_step_gpu.json

Ours is :func:`sfnet_core.training.loop.train` itself with the recipe ``paper``: the time between two calls of its
callback, with everything that happens there (the evaluation of the few held-out galaxies too). Between two such epochs
the plain implementation, in a process of its own, trains on as many images, once from JPEGs through a ``DataLoader``
and once with its batches ready in memory, so that the ratio of the bare step is known too. On CUDA, where our step is
one graph, the same training with its kernels launched one by one is timed afterwards, in the same process.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks import common
from benchmarks.elsewhere import Elsewhere
from benchmarks.paper_peer import Jpegs, PaperSFNet, RAdamLookahead, training_step
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.model.device import pick_device
from sfnet_core.training import cuda_graph as graphed
from sfnet_core.training.loop import Epoch, train
from sfnet_core.training.recipes import RECIPES, Recipe

MEAN, STD = [0.1, 0.1, 0.1], [0.15, 0.15, 0.15]
ONE_BY_ONE = "sfnet train, kernels launched one by one"
PEERS = ("plain, JPEGs through a DataLoader", "plain, batches ready in memory")


def plain_ways(packed: Path, images: Path, batch: int, steps: int, device: str) -> dict[str, Callable[[], None]]:
    """The two ways of the plain implementation, each training on ``steps`` batches when called."""
    dataset = Dataset.open(packed)
    paths = [next(images.rglob(f"{name}.jpg")) for name in dataset.ids]
    truth = np.asarray(dataset.column("oh_p50"), dtype=np.float32)[:, None]
    data = Jpegs(paths, truth, MEAN, STD, augment=True)

    def trainer() -> Callable[[Iterator], None]:
        network = PaperSFNet().to(device)
        optimiser = RAdamLookahead(list(network.parameters()), rate=1e-3)

        def run(batches: Iterator) -> None:
            for pictures, wanted in itertools.islice(batches, steps):
                training_step(network, optimiser, pictures.to(device), wanted.to(device))

        return run

    # the workers live on between epochs; starting them is not counted against the plain way
    loader = DataLoader(
        data, batch, shuffle=True, drop_last=True, num_workers=len(os.sched_getaffinity(0)), persistent_workers=True
    )
    few = min(steps, 4)
    ready = [next(iter(DataLoader(data, batch, shuffle=True))) for _ in range(few)]
    from_files, in_memory = trainer(), trainer()
    return {
        PEERS[0]: lambda: from_files(iter(loader)),
        PEERS[1]: lambda: in_memory(itertools.cycle(ready)),
    }


def one_by_one(dataset: Dataset, out: Path, recipe: Recipe, validation: float) -> list[float]:
    """Seconds of each epoch after the first of our training on CUDA without graphs."""
    stamps: list[float] = []

    def after_epoch(epoch: Epoch) -> None:
        torch.cuda.synchronize()
        stamps.append(time.perf_counter())

    with mock.patch.object(graphed, "GraphedStep", lambda step, kind, parameters: step):
        train(
            dataset, out, recipe=recipe, validation=validation, device="cuda", progress=False, on_epoch=after_epoch
        )  # fmt: skip
    return np.diff(stamps).tolist()


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--catalogue", type=Path, help="with the column oh_p50; goes with --images")
    parser.add_argument("--steps", type=int, help="per timed epoch")
    parser.add_argument("--batch", type=int, help="default 64, the paper's")
    parser.add_argument("--side", type=int, help="pixels of made-up images; default 160, the paper's")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    quick = arguments.quick
    steps, batch = arguments.steps or (3 if quick else 8), arguments.batch or (8 if quick else 64)
    repeats, side = arguments.repeats or (1 if quick else 5), arguments.side or (64 if quick else 160)
    count = steps * batch
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sfnet-bench-")))
        images, catalogue = arguments.images, arguments.catalogue
        n = count + max(2, count // 32)
        if images is None:
            images, catalogue = common.made_up_jpegs(folder / "made", n, side)
        about = common.describe_images(images, n, arguments.images is None)
        dataset = pack(catalogue, images, folder / "dataset", progress=False)
        if arguments.images is not None:
            if len(dataset) < n:
                raise SystemExit(f"{len(dataset)} images are too few for {steps} steps of {batch}; give fewer --steps.")
            rows = np.arange(n)
            columns = {"oh_p50": np.asarray(dataset.column("oh_p50"))[rows]}
            dataset = Dataset.create(folder / "part", dataset.ids[rows], dataset.cutouts[:n], columns)
        plain_ones = stack.enter_context(Elsewhere(plain_ways, dataset.path, images, batch, steps, arguments.device))
        seconds: dict[str, list[float]] = {"sfnet train": [], **{name: [] for name in PEERS}}
        used: list[int] = []
        clock = [time.perf_counter()]

        def after_epoch(epoch: Epoch) -> bool:
            spent = time.perf_counter() - clock[0]
            number = epoch.record["epoch"]
            warm = number > 1
            common.progress(f"{'round' if warm else 'warm-up'} {number - 1}: sfnet train {spent:.3f} s")
            for name in PEERS if number % 2 else PEERS[::-1]:
                took = plain_ones.seconds(name)
                common.progress(f"    {name} {took:.3f} s")
                if warm:
                    seconds[name].append(took)
            if warm:
                seconds["sfnet train"].append(spent)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            clock[0] = time.perf_counter()
            return True

        recipe = replace(RECIPES["paper"], epochs=repeats + 1, batch=batch)
        run = train(
            dataset, folder / "run", recipe=recipe, validation=1 - count / n, device=arguments.device,
            progress=False, on_epoch=after_epoch,
        )  # fmt: skip
        used.append(int(run.metrics["n_train"]))
        if pick_device(arguments.device).type == "cuda":
            seconds[ONE_BY_ONE] = one_by_one(dataset, folder / "slow", recipe, 1 - count / n)
    ours = [spent / used[0] for spent in seconds["sfnet train"]]  # seconds per image; the split may round
    slow = [spent / used[0] for spent in seconds.get(ONE_BY_ONE, [])]
    plain = {name: [spent / count for spent in seconds[name]] for name in PEERS}
    common.write(
        "train_step",
        arguments,
        {**about, "batch": batch, "steps_per_round": steps, "k": 4, "device": arguments.device},
        {
            "images_per_second": {
                "sfnet train": 1 / float(np.median(ours)),
                **({ONE_BY_ONE: 1 / float(np.median(slow))} if slow else {}),
                **{name: 1 / float(np.median(each)) for name, each in plain.items()},
            },
            "seconds_per_round": seconds,
            "images_per_round": {"sfnet train": used[0], "plain": count},
            "times_faster": {f"than {name}": common.ratio(each, ours) for name, each in plain.items()},
            "ours_counts": "loading, augmentation, step, loss check, and evaluation of the held-out galaxies per epoch",
        },
    )


if __name__ == "__main__":
    main()
