"""Packing a folder of JPEGs: ours beside a plain loop with Pillow.

    python -m benchmarks.bench_pack [--images FOLDER --catalogue FILE] [--n 2000] [--quick]

Both read the catalogue, decode every image and write one .npy file and one Parquet table. Ours also checks every file,
sets bad ones aside and takes a fingerprint of all that it writes. Without ``--images`` made-up JPEGs are packed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import common
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack


def plain(catalogue: Path | None, images: Path, out: Path) -> None:
    """What one writes without thinking: a loop, a list, a stack."""
    import pandas
    from PIL import Image

    out.mkdir()
    if catalogue is None:
        table = pandas.DataFrame({"id": sorted(path.stem for path in images.glob("*.jpg"))})
    else:
        table = pandas.read_csv(catalogue, dtype={"objID": str})
        table = table[[(images / f"{name}.jpg").exists() for name in table["objID"]]]
    cutouts = [np.asarray(Image.open(images / f"{name}.jpg").convert("RGB")) for name in table.iloc[:, 0]]
    np.save(out / "cutouts.npy", np.stack(cutouts))
    table.to_parquet(out / "galaxies.parquet")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--images", type=Path, help="a folder of ID.jpg of one size")
    parser.add_argument("--catalogue", type=Path, help="a CSV file with objID first; without it ids are file names")
    parser.add_argument("--n", type=int, help="made-up images")
    parser.add_argument("--side", type=int, default=160, help="pixels of made-up images")
    arguments = parser.parse_args()
    n = arguments.n or (60 if arguments.quick else 2000)
    repeats = arguments.repeats or (2 if arguments.quick else 7)
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
        folder = Path(name)
        images, catalogue = arguments.images, arguments.catalogue
        if images is None:
            images, catalogue = common.made_up_jpegs(folder / "made", n, arguments.side)
        about = common.describe_images(images, 10**9, arguments.images is None)

        def ours() -> None:
            shutil.rmtree(folder / "ours", ignore_errors=True)
            pack(catalogue, images, folder / "ours", progress=False)

        def theirs() -> None:
            shutil.rmtree(folder / "plain", ignore_errors=True)
            plain(catalogue, images, folder / "plain")

        seconds = common.interleaved({"sfnet pack": ours, "plain Pillow loop": theirs}, repeats, say=common.progress)
        packed, stacked = Dataset.open(folder / "ours"), np.load(folder / "plain" / "cutouts.npy", mmap_mode="r")
        count = len(packed)
        same = packed.cutouts.shape == stacked.shape
        differing = float(np.mean(np.asarray(packed.cutouts) != np.asarray(stacked))) if same else None
    common.write(
        "pack",
        arguments,
        about,
        {
            **{name: common.summary(each, count) for name, each in seconds.items()},
            "times_faster": common.ratio(seconds["plain Pillow loop"], seconds["sfnet pack"]),
            "share_of_pixel_values_that_differ": differing,
        },
    )


if __name__ == "__main__":
    main()
