"""Inference, from packed cutouts and from a folder of JPEGs: ours beside the plain implementation.

    python -m benchmarks.bench_infer [--images FOLDER] [--n 1024] [--repeats 5] [--quick]
    python -m benchmarks.bench_infer --device cuda --times 32 --out benchmarks/results/infer_gpu.json

Ours is :func:`sfnet_core.inference.runner.infer` to a codes file on disk, with runners-up and with the feature maps
that the page draws (and once without them); from a folder it is ``pack``, then ``infer``. The plain way ends with
arrays in memory. bfloat16 computes doubtful gates again in float32: how many is reported, and its time holds them. All
use the same weights, trained a little on these images; how far the codes agree is reported.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks import common
from benchmarks.paper_peer import Jpegs, Packed, PaperSFNet, encode
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.inference.runner import infer
from sfnet_core.model.device import computes_bfloat16
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.training.recipes import RECIPES


def trained_run(path: Path, dataset: Dataset, epochs: int, width: int = 64) -> Run:
    """A ResNet18 that has learnt a little: its activations compete for the gate as a real network's do.

    What it learns is the images' own colour, log10 of mean red over mean blue. Only the share of galaxies that bfloat16
    has to compute again depends on it.
    """
    some = np.arange(min(len(dataset), 256))
    cutouts = np.asarray(dataset.cutouts[some])
    light = cutouts.reshape(len(some), -1, 3).mean(axis=1) + 0.1
    colour = np.log10(light[:, 0] / light[:, 2])
    part = Dataset.create(path.with_name("learnt"), dataset.ids[some], cutouts, {"colour": colour})
    size = dataset.meta["height"]
    recipe = replace(RECIPES["few hundred"], crop=size, epochs=epochs)
    return train(part, path, target="colour", k=4, recipe=recipe, width=width, progress=False)


def agreement(codes: SparseCodes, plain: tuple[np.ndarray, np.ndarray, np.ndarray]) -> dict[str, float]:
    """How far two computations of the same codes are apart."""
    indices, values, predictions = plain
    k = codes.k
    kept = np.where(values[:, :k] > 0, indices[:, :k], -1)
    same = (np.sort(codes.indices[:, :k], axis=1) == np.sort(kept, axis=1)).all(axis=1)
    scale = np.abs(values).max()
    return {
        "share_with_the_same_features_kept": float(same.mean()),
        "largest_activation_difference_relative": float(np.abs(codes.values[same] - values[same]).max() / scale),
        "largest_prediction_difference": float(np.abs(codes.prediction() - predictions[:, 0])[same].max()),
    }


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--images", type=Path, help="a folder of ID.jpg of one size")
    parser.add_argument("--n", type=int, help="images")
    parser.add_argument("--side", type=int, help="pixels of made-up images; default 160, the paper's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-bfloat16", action="store_true", help="leave it out: where it is emulated it takes long")
    parser.add_argument("--times", type=int, default=1, help="every cutout so many times, packed alone: for a GPU")
    arguments = parser.parse_args()
    quick = arguments.quick
    n, side = arguments.n or (24 if quick else 1024), arguments.side or (64 if quick else 160)
    repeats, workers = arguments.repeats or (1 if quick else 5), len(os.sched_getaffinity(0))
    has = computes_bfloat16(torch.device(arguments.device))
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
        folder = Path(name)
        if arguments.images is None:
            images = common.made_up_jpegs(folder / "made", n, side)[0]
        else:  # a folder of links, so that both see exactly these
            images = folder / "images"
            images.mkdir()
            for path in sorted(arguments.images.rglob("*.jpg"))[:n]:
                shutil.copyfile(path, images / path.name)
        about = common.describe_images(arguments.images or images, n, arguments.images is None)
        dataset = pack(None, images, folder / "dataset", progress=False)
        if arguments.times > 1:
            some = (cutout for _ in range(arguments.times) for cutout in dataset.cutouts)
            names = [f"{name}-{i}" for i in range(arguments.times) for name in dataset.ids]
            dataset = Dataset.create(folder / "many", names, some, {})
        run = trained_run(folder / "run", dataset, epochs=1 if quick else 6)
        mean, std = run.metadata["mean"], run.metadata["std"]
        network = PaperSFNet(k=4)
        network.load_state_dict(run.network().state_dict())
        network.to(arguments.device)
        paths = sorted(images.glob("*.jpg"))
        files = Jpegs(paths, np.zeros(len(paths)), mean, std, augment=False)
        found: dict[str, object] = {}

        def ours(packed: Dataset, **options: object) -> SparseCodes:
            how = {"device": arguments.device, "precision": "float32", "progress": False, "resume": False, **options}
            return infer(run, packed, folder / "codes.parquet", **how)

        def ours_from_files(**options: object) -> None:
            shutil.rmtree(folder / "again", ignore_errors=True)
            ours(pack(None, images, folder / "again", progress=False), **options)

        ways = {
            "sfnet infer, packed": lambda: found.update(ours=ours(dataset)),
            "sfnet infer, packed, without maps": lambda: ours(dataset, maps=False),
            "sfnet infer, packed, bfloat16": lambda: found.update(quick=ours(dataset, precision="bfloat16")),
            "sfnet pack + infer, JPEGs": ours_from_files,
            "sfnet pack + infer, JPEGs, bfloat16": lambda: ours_from_files(precision="bfloat16"),
            "plain, packed": lambda: found.update(
                plain=encode(network, Packed(dataset.cutouts, mean, std), workers=workers, device=arguments.device)
            ),
            "plain, JPEGs": lambda: encode(network, files, workers=workers, device=arguments.device),
        }
        left_out = ["JPEGs"] * (arguments.times > 1) + ["bfloat16"] * (arguments.no_bfloat16 or not has)
        ways = {name: way for name, way in ways.items() if not any(word in name for word in left_out)}
        seconds = common.interleaved(ways, repeats, say=common.progress)
        kinds = [(name, key) for name, key in (("float32", "ours"), ("bfloat16", "quick")) if key in found]
        agreed = {name: agreement(found[key], found["plain"]) for name, key in kinds}
        computed = {"bfloat16": found["quick"].provenance["computed"]} if "quick" in found else {}
        count = len(dataset)
    common.write(
        "infer",
        arguments,
        {
            **about,
            "each_so_many_times": arguments.times,
            "k": 4,
            "runners_up": 8,
            "weights": "ResNet18, 6 epochs on 256 of these",
            "device": arguments.device,
        },
        {
            **{name: common.summary(each, count) for name, each in seconds.items()},
            "times_faster": {
                name: common.ratio(seconds[plain], seconds[ours_])
                for name, plain, ours_ in (
                    ("packed", "plain, packed", "sfnet infer, packed"),
                    ("packed, without maps", "plain, packed", "sfnet infer, packed, without maps"),
                    ("packed, bfloat16", "plain, packed", "sfnet infer, packed, bfloat16"),
                    ("bfloat16 beside float32", "sfnet infer, packed", "sfnet infer, packed, bfloat16"),
                    ("JPEGs", "plain, JPEGs", "sfnet pack + infer, JPEGs"),
                    ("JPEGs, bfloat16", "plain, JPEGs", "sfnet pack + infer, JPEGs, bfloat16"),
                )
                if plain in seconds and ours_ in seconds
            },
            **computed,
            "agreement": agreed,
        },
    )


if __name__ == "__main__":
    main()
