"""Makes ``written_by_0_1_0/`` and ``recorded.json``: run once, by the code of version 0.1.0 (commit 036afc6).

    python tests/compat/make_fixtures.py             # files and numbers (extras torch and simulate; a minute)
    python tests/compat/make_fixtures.py record      # the numbers alone, from the files that are there

Later code must not run it: the point of the files is that 0.1.0 wrote them. What a later version adds to the record
is recorded with the commit named above checked out.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from readers import RECORDED, WRITTEN, everything

from sfnet_core.annotations.labels import LabelBook
from sfnet_core.cli.verbs import run as sfnet
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.training.loop import train

GALAXIES, UNKNOWN, DAMAGED = 41, 5, 17  # rows: one without oh_p50 and without Hα, one whose image can't be read
TARGETS = "oh_p50,log_N2,log_Ha,log_O3,log_Hb"


def shell(*words: object, status: int = 0) -> None:
    """One verb, as in a shell."""
    assert sfnet([str(word) for word in words]) == status, words


def as_brought(sky: Dataset, folder: Path) -> tuple[Path, Path]:
    """The simulated galaxies as a user would bring them: an ECSV catalogue with units, and PNG images."""
    from astropy.table import Table
    from PIL import Image

    images = folder / "images"
    images.mkdir()
    table = Table({"objID": sky.ids, **{name: sky.column(name) for name in sky.columns}})
    for name, unit in sky.units.items():
        table[name].unit = unit
    for row, name in enumerate(sky.ids):
        Image.fromarray(np.asarray(sky.cutouts[row])).save(images / f"{name}.png")
    for name in ("oh_p50", "h_alpha_flux"):
        table[name][UNKNOWN] = np.nan
    (images / f"{sky.ids[DAMAGED]}.png").write_bytes(b"no picture")
    path = folder / "galaxies.ecsv"
    table.write(path, format="ascii.ecsv")
    return path, images


def write_files() -> None:
    """Dataset, runs, codes, stability and labels."""
    WRITTEN.mkdir()
    dataset, run, auxk, codes = (WRITTEN / name for name in ("dataset", "run", "run-auxk", "codes.parquet"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shell("simulate", "--n", GALAXIES, "--out", folder / "sky", "--size", 48, "--seed", 11, "--workers", 1)
        catalogue, images = as_brought(Dataset.open(folder / "sky"), folder)
        words = ("--pixel-scale", 0.528, "--source", "simulated for the compatibility test", "--simulated")
        shell("pack", catalogue, images, "--out", dataset, *words, status=3)
        # the crop of the whole cutout, so that the feature maps have 2×2 cells
        train(dataset, run, target=TARGETS, k=3, multi_k=7, epochs=4, width=4, crop=48, device="cpu")
        options = {"auxk": 4, "normalise": True, "start_k": 8, "balance": 0.03}
        train(dataset, auxk, k=2, epochs=3, width=4, crop=48, device="cpu", **options)
        others = []
        for seed in (1, 2):
            one = folder / f"seed-{seed}"
            train(dataset, one, target=TARGETS, k=3, multi_k=7, epochs=4, width=4, crop=48, seed=seed, split_seed=0,
                  device="cpu")  # fmt: skip
            shell("infer", one, dataset, "--out", folder / f"codes-{seed}.parquet", "--runners-up", 4)
            others.append(folder / f"codes-{seed}.parquet")
        shell("infer", run, dataset, "--out", codes, "--runners-up", 4, "--tta", "--device", "cpu")
        shell("infer", auxk, dataset, "--out", WRITTEN / "codes-auxk.parquet", "--runners-up", 4, "--device", "cpu")
        shell("stability", codes, *others, "--split", "all")
    write_labels(codes)
    for lock in WRITTEN.rglob(".*lock*"):
        lock.unlink()


def write_labels(path: Path) -> None:
    """``codes.labels.json``: labels, notes, stars and lists of features and galaxies."""
    codes = SparseCodes.open(path)
    book = LabelBook.open(codes)
    features = sorted({int(f) for f in codes.indices[:, : codes.k].ravel() if f >= 0})
    book.set_feature(features[0], label="bright bulge", note="seen in red discs\nand in the “blue” ones", star=True)
    book.set_feature(features[1], label="spiral arm µ")
    book.set_feature(features[2], star=True)
    ids = [str(name) for name in codes.ids]
    book.set_galaxy(ids[0], label="merger", note="two nuclei", star=True)
    book.set_galaxy(ids[7], label="merger?")
    book.set_galaxy(ids[11], star=True)
    book.set_galaxy(ids[12], note="look again")
    book.add("features", "colours", features[:3])
    book.add("galaxies", "to observe", [ids[3], ids[1], ids[9]])
    book.add("galaxies", "mergers", [ids[0], ids[7]])
    book.add("galaxies", "dropped", [ids[2]])
    book.drop("galaxies", "dropped")
    assert not book.trouble


def main(what: str = "all") -> None:
    """Write the files where asked, then read everything as the test does and record it."""
    if what == "all":
        write_files()
    with tempfile.TemporaryDirectory() as folder:
        found = everything(Path(folder))
    text = json.dumps(found, indent=None, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    RECORDED.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
