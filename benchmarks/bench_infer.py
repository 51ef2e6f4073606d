"""Inference, from packed cutouts and from a folder of JPEGs: ours beside the plain implementation.

    python -m benchmarks.bench_infer [--images FOLDER] [--n 1024] [--repeats 5] [--quick]

Ours is :func:`sfnet_core.inference.infer` to a codes file on disk, with runners-up and with the feature maps that the
page draws (and once without them); from a folder it is ``pack``, then ``infer``. The plain way ends with arrays in
memory. Both use the same weights (random: the time does not depend on them); how far the codes agree is reported.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import common
from benchmarks.paper_peer import Jpegs, Packed, PaperSFNet, encode
from sfnet_core import checkpoint
from sfnet_core.augment import channel_statistics
from sfnet_core.codes import SparseCodes
from sfnet_core.inference import infer
from sfnet_core.network import SFNet
from sfnet_core.run import Run
from sfnet_core.survey.dataset import Dataset
from sfnet_core.survey.pack import pack


def random_run(path: Path, dataset: Dataset) -> Run:
    """A checkpoint of ResNet18's size with random weights, and batch statistics that let activations differ."""
    torch.manual_seed(0)
    network = SFNet(k=4).eval()
    mean, std = channel_statistics(dataset.cutouts, np.arange(len(dataset)), dataset.meta["height"])
    with torch.no_grad():  # a few passes in training mode set the batch statistics
        network.train()
        for start in range(0, min(len(dataset), 64), 16):
            cutouts = torch.from_numpy(np.array(dataset.cutouts[start : start + 16])).permute(0, 3, 1, 2).float()
            if len(cutouts) > 1:
                shape = (1, 3, 1, 1)
                network((cutouts / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape))
    metadata = {
        "targets": ["oh_p50"], "units": ["dex"], "crop": dataset.meta["height"],
        "cutout_size": [dataset.meta["height"], dataset.meta["width"]], "pixel_scale": dataset.pixel_scale,
        "mean": mean, "std": std, "data_fingerprint": dataset.fingerprint, "dataset": "benchmark",
        "simulated": dataset.simulated, "weights_origin": "random", "versions": {"torch": torch.__version__},
    }  # fmt: skip
    checkpoint.save(path, network.eval(), metadata)
    return Run.open(path)


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
    arguments = parser.parse_args()
    quick = arguments.quick
    n, side = arguments.n or (24 if quick else 1024), arguments.side or (64 if quick else 160)
    repeats, workers = arguments.repeats or (1 if quick else 5), os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
        folder = Path(name)
        if arguments.images is None:
            images = common.made_up_jpegs(folder / "made", n, side)[0]
        else:  # a folder of links, so that both see exactly these
            images = folder / "images"
            images.mkdir()
            for path in sorted(arguments.images.rglob("*.jpg"))[:n]:
                shutil.copyfile(path, images / path.name)
        about = common.describe_images(images, n, arguments.images is None)
        dataset = pack(None, images, folder / "dataset", progress=False)
        run = random_run(folder / "model.safetensors", dataset)
        mean, std = run.metadata["mean"], run.metadata["std"]
        network = PaperSFNet(k=4)
        network.load_state_dict(run.network().state_dict())
        network.to(arguments.device)
        files = Jpegs([images / f"{i}.jpg" for i in dataset.ids], np.zeros(len(dataset)), mean, std, augment=False)
        found: dict[str, object] = {}

        def ours(packed: Dataset, **options: object) -> SparseCodes:
            how = {"device": arguments.device, "progress": False, "resume": False, **options}
            return infer(run, packed, folder / "codes.parquet", **how)

        def ours_from_files() -> None:
            shutil.rmtree(folder / "again", ignore_errors=True)
            ours(pack(None, images, folder / "again", progress=False))

        ways = {
            "sfnet infer, packed": lambda: found.update(ours=ours(dataset)),
            "sfnet infer, packed, without maps": lambda: ours(dataset, maps=False),
            "sfnet pack + infer, JPEGs": ours_from_files,
            "plain, packed": lambda: found.update(
                plain=encode(network, Packed(dataset.cutouts, mean, std), workers=workers, device=arguments.device)
            ),
            "plain, JPEGs": lambda: encode(network, files, workers=workers, device=arguments.device),
        }
        seconds = common.interleaved(ways, repeats, say=common.progress)
        agreed = agreement(found["ours"], found["plain"])
        count = len(dataset)
    common.write(
        "infer",
        arguments,
        {**about, "k": 4, "runners_up": 8, "weights": "random, ResNet18", "device": arguments.device},
        {
            **{name: common.summary(each, count) for name, each in seconds.items()},
            "times_faster": {
                "packed": common.ratio(seconds["plain, packed"], seconds["sfnet infer, packed"]),
                "packed, without maps": common.ratio(
                    seconds["plain, packed"], seconds["sfnet infer, packed, without maps"]
                ),
                "JPEGs": common.ratio(seconds["plain, JPEGs"], seconds["sfnet pack + infer, JPEGs"]),
            },
            "agreement": agreed,
        },
    )


if __name__ == "__main__":
    main()
