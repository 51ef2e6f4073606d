"""Do the explanations explain? Ablation, covered regions, sparse probing, partial correlation on observed galaxies.

    python -m benchmarks.bench_faithful --metallicity FOLDER --zoo FOLDER [--width 32] [--work DIR]

``--metallicity`` and ``--zoo`` hold `galaxies.csv` and `images/`: 400 galaxies with O/H, and galaxies with Galaxy Zoo
classes. A narrow network is trained on each half of the first and measured on the other half; both then encode the
second, whose classes are probed. The embedded sample, of simulated galaxies, stands beside them. Nothing is chosen on
the galaxies that report.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import common
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_folder
from sfnet_core.inference.runner import infer
from sfnet_core.model.run import Run
from sfnet_core.reports.faithful.page import NUMBERS, write
from sfnet_core.reports.faithful.runner import faithful
from sfnet_core.reports.faithful.wording import FILLS, sentences
from sfnet_core.training.loop import train

CLASSES, MIRRORED = "gz1_class", ("spiral_cw", "spiral_acw")
PARTS = ("fold0", "zoo-fold0", "simulated", "fold1", "zoo-fold1")


def options(description: str, parts: Sequence[str]) -> argparse.ArgumentParser:
    """What a benchmark that judges explanations on two halves of the observed galaxies can be asked."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metallicity", type=Path, required=True, help="folder of galaxies with oh_p50")
    parser.add_argument("--width", type=int, default=32, help="channels of the first stage")
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's number")
    parser.add_argument("--galaxies", type=int, default=200, help="whose regions are covered")
    parser.add_argument(
        "--parts", nargs="+", choices=parts, default=list(parts), help="only make these, record nothing"
    )
    parser.add_argument("--renew", action="store_true", help="put these parts into the recorded result")
    parser.add_argument("--work", type=Path, help="keep what is made here; what is finished is used again")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is recorded")
    parser.add_argument("--out", type=Path)
    return parser


def asked(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments; tiny sizes for ``--quick``."""
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.width, arguments.epochs, arguments.galaxies = 4, 1, 4
    return arguments


def main() -> None:
    """Train, measure, write ``results/faithful.json``."""
    parser = options(__doc__, PARTS)
    parser.add_argument("--zoo", type=Path, required=True, help="folder of galaxies with gz1_class")
    parser.add_argument("--cover", nargs="+", choices=tuple(FILLS), default=["sky"], help="what a covered cell shows")
    parser.add_argument("--threads", type=int, default=1)
    arguments = asked(parser)
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, arguments.work or Path(folder))


def packed(source: Path, out: Path) -> Dataset:
    """The galaxies of a folder, packed once."""
    if (out / "dataset.json").is_file():
        return Dataset.open(out)
    return pack(source / "galaxies.csv", source / "images", out, progress=False)


def trained(arguments: argparse.Namespace, work: Path, fold: int) -> Run:
    """The network that has not seen this half of ``work/metallicity``, trained once."""
    path = work / f"run-fold{fold}"
    if path.is_dir() and (run := Run.open(path)).status == "finished":
        return run
    return train(
        work / "metallicity", path, target="oh_p50", k=arguments.k, width=arguments.width, epochs=arguments.epochs,
        folds=2, fold=fold, seed=arguments.seed, resume=True, progress=False,
    )  # fmt: skip


def coded(
    arguments: argparse.Namespace, work: Path, fold: int, dataset: Dataset, name: str
) -> tuple[SparseCodes, Path]:
    """Codes of ``dataset`` by the network that has not seen this half of the first one, and its run."""
    run = trained(arguments, work, fold).path
    path = work / f"{name}.parquet"
    if not path.is_file():
        infer(run, dataset, path, maps=False, progress=False)
    return SparseCodes.open(path), run


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """Every part, each with a page in the work folder."""
    observed, zoo = packed(arguments.metallicity, work / "metallicity"), packed(arguments.zoo, work / "zoo")
    shared = {
        "galaxies": arguments.galaxies,
        "fills": tuple(arguments.cover),
        "seed": arguments.seed,
        "progress": False,
    }
    found: dict[str, Any] = {}
    for part in arguments.parts:
        common.progress(f"{part} …")
        out = work / "pages" / part
        if (out / NUMBERS).is_file():
            result = json.loads((out / NUMBERS).read_text(encoding="utf-8"))
        elif part == "simulated":
            result = faithful(
                sample_codes(), dataset=sample_dataset(), run=sample_folder() / "sample-run",
                classes=["kind", "winding"], mirrored=("-1", "1"), work=out / "parts", **shared,
            )  # fmt: skip
        else:
            fold = int(part[-1])
            if part.startswith("zoo"):
                codes, _ = coded(arguments, work, fold, zoo, part)
                more = {"dataset": zoo, "classes": [CLASSES], "mirrored": MIRRORED, "work": work}
            else:
                codes, run = coded(arguments, work, fold, observed, part)
                more = {"dataset": observed, "run": run, "work": out / "parts"}
            result = faithful(codes, **more, **shared)
        write(result, out)
        found[part] = shortened(result)
    if arguments.renew:
        common.renew("faithful", arguments, found)
        return
    if set(arguments.parts) < set(PARTS[:3]):
        common.progress(f"Only {', '.join(arguments.parts)}: nothing is recorded.")
        return
    half = f"{len(observed)} observed galaxies with oh_p50, 128 px: trained on one half, measured on the other"
    other = f"{len(zoo):,} observed galaxies with Galaxy Zoo 1 classes, no O/H, encoded by the network of"
    data = {
        "fold0": half,
        "fold1": f"{half}; the halves changed over",
        "zoo-fold0": f"{other} fold0; another pixel scale than it was trained on",
        "zoo-fold1": f"{other} fold1; another pixel scale than it was trained on",
        "simulated": "the embedded sample's 240 validation galaxies and its network (data/README.md): simulated",
    }
    data = {part: data[part] for part in arguments.parts}
    data["network"] = f"width {arguments.width}, k = {arguments.k}, seed {arguments.seed}, one training a fold"
    common.write("faithful", arguments, data, found)


def shortened(result: dict[str, Any]) -> dict[str, Any]:
    """What is recorded: all but the rows of single features and the curves, which are on the pages."""
    about = {name: result["about"][name] for name in ("galaxies", "split", "simulated", "k", "features", "notes")}
    out: dict[str, Any] = {"about": about, "sentences": [words for _, words in sentences(result)]}
    ablated, regions, partial = (dict(result[name]) for name in ("ablation", "regions", "partial"))
    if "missing" not in ablated:
        features = ablated.pop("features")
        ablated["features"] = len(features)
        ablated["interval_above_0"] = sum(one["delta_low"] > 0 for one in features)
        ablated["interval_below_0"] = sum(one["delta_high"] < 0 for one in features)
        ablated["beyond_95_percent_of_random_ablations"] = sum(one["chance"] <= 0.05 for one in features)
        ablated["more_than_random_on_its_galaxies"] = sum(one["over_same_galaxies_low"] > 0 for one in features)
        ablated["less_than_random_on_its_galaxies"] = sum(one["over_same_galaxies_high"] < 0 for one in features)
        ablated["largest"] = features[:3]
    if "missing" not in regions:
        regions = {fill: {name: one[name] for name in one if name != "curves"} for fill, one in regions.items()}
    if "missing" not in partial:
        features = partial.pop("features")
        partial["features"] = len(features)
        partial["interval_without_0"] = {
            name: sum(one[name]["low"] is not None and one[name]["low"] * one[name]["high"] > 0 for one in features)
            for name in ("plain", *partial["controls"])
        }
    probing = result["probing"]
    for one in [*probing.get("classes", []), probing.get("handedness") or {}]:
        for probe in one.get("probes", []):
            probe["chosen"] = dict(list(probe["chosen"].items())[:3])
    return out | {"ablation": ablated, "regions": regions, "probing": probing, "partial": partial}


if __name__ == "__main__":
    main()
