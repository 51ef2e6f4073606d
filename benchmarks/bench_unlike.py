"""Does the flag for galaxies unlike the training data find them? On observed galaxies, and on spoilt pictures of them.

    python -m benchmarks.bench_unlike [--width 16] [--folds 3] [--work DIR] [--prepare FOLD]

Networks are trained on the 400 SDSS galaxies with metallicities, each part held out once. Everything is scored by
`sfnet infer`: the held-out galaxies, the 6,000 of Galaxy Zoo (another pixel scale, other processing), the embedded
simulated sample, and the held-out galaxies' pictures spoilt in known ways. The limit comes from each run's training
galaxies alone. ``--prepare`` does one fold's training and inference and stops.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata, spearmanr

from benchmarks import common
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.explorer.shared.sample import sample_dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model.run import Run
from sfnet_core.stats.bootstrap import bootstrap_interval
from sfnet_core.stats.proportions import wilson
from sfnet_core.training.loop import train

SHARED = common.ROOT.parent / "shared" / "data"
SCORES = ("unlike", "unlike_distance", "unlike_range")
RESAMPLES = 1000
FEW = 5  # flagged galaxies below which no RMSE of theirs is given


def main() -> None:
    """Train, infer, measure, write ``results/unlike.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="keep datasets, runs and codes here; finished ones are used again")
    parser.add_argument("--measure", type=int, nargs="+", help="these folds only; by default all")
    parser.add_argument("--prepare", type=int, help="only this fold's training and inference")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is recorded")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.width, arguments.folds, arguments.epochs, arguments.measure = 16, 3, 1, [0]
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        labelled = packed(work, "sdss-metallicity-400", None)
        others = packed(work, "sdss-gz1-6000", 200 if arguments.quick else None)
        if arguments.prepare is not None:
            fold(arguments, work, labelled, others, arguments.prepare)
            return
        numbers = arguments.measure or range(arguments.folds)
        folds = [fold(arguments, work, labelled, others, number) for number in numbers]
        data = {
            "trained on": "400 SDSS gri cutouts of 128 px with 12+log(O/H), each fold's training part; σ = 0.200 dex",
            "others": f"{len(others):,} SDSS gri cutouts of Galaxy Zoo 1: the centre of another rendering at 128 px",
            "split": f"{len(folds)} of {arguments.folds} folds, split and training seed {arguments.seed}",
            "limit": "from the training galaxies alone, each against the others; nominal share of false flags 1 %",
            "intervals": "95 %, bootstrap over galaxies of both sets, the networks fixed; shares: Wilson",
        }
        common.write("unlike", arguments, data, measure(folds, others))


def packed(work: Path, name: str, most: int | None) -> Dataset:
    """One of the two observed sets, packed once."""
    if (work / name).is_dir():
        return Dataset.open(work / name)
    catalogue, images = SHARED / name / "galaxies.csv", SHARED / name / "images"
    if most:
        lines = catalogue.read_text(encoding="utf-8").splitlines(keepends=True)
        catalogue = work / f"{name}.csv"
        catalogue.write_text("".join(lines[: most + 1]), encoding="utf-8")
    return pack(catalogue, images, work / name, progress=False)


# ---- spoilt pictures


def point_source(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A saturated star with a Gaussian core and wide wings on a dark sky, (H, W, 3) uint8."""
    y, x = np.indices(shape[:2])
    r2 = (x - shape[1] / 2) ** 2 + (y - shape[0] / 2) ** 2
    light = 900 * np.exp(-r2 / 18) + 60 / (1 + r2 / 60)
    return np.clip(light[..., None] * [1.0, 0.95, 0.9] + rng.normal(8, 4, shape), 0, 255).astype(np.uint8)


def spoilt(pictures: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """What was done → pictures (n, H, W, 3) uint8. The first is a control: a network that knows no orientation."""
    rng = np.random.default_rng(seed)
    side = pictures.shape[1]
    pil = [Image.fromarray(picture) for picture in pictures]
    third = [im.resize((side // 3, side // 3), Image.Resampling.BOX).resize((side, side)) for im in pil]
    quarter = (side // 4, side // 4, side - side // 4, side - side // 4)
    closer = [im.crop(quarter).resize((side, side), Image.Resampling.BICUBIC) for im in pil]
    sky = np.median(pictures[:, :8, :8], axis=(1, 2), keepdims=True)
    brighter = np.clip(pictures.astype(float) * 1.5, 0, 255).astype(np.uint8)
    return {
        "turned by 90° (control: nothing wrong)": np.rot90(pictures, 1, (1, 2)).copy(),
        "blue and red bands swapped": pictures[..., ::-1].copy(),
        "inverted (255 − value)": 255 - pictures,
        "blurred: shrunk to a third and enlarged again": np.stack([np.asarray(im) for im in third]),
        "blurred: Gaussian of 3 px": gaussian_filter(pictures.astype(float), (0, 3, 3, 0)).astype(np.uint8),
        "twice as close: central half enlarged": np.stack([np.asarray(im) for im in closer]),
        "1.5 times as bright": brighter,
        "blank sky: the corner's level with noise of 4": np.clip(sky + rng.normal(0, 4, pictures.shape), 0, 255).astype(
            np.uint8
        ),
        "a saturated star": np.stack([point_source(picture.shape, rng) for picture in pictures]),
        "noise: every value alike": rng.integers(0, 256, pictures.shape, dtype=np.uint8),
    }


# ---- one fold


def fold(
    arguments: argparse.Namespace, work: Path, labelled: Dataset, others: Dataset, number: int
) -> dict[str, SparseCodes]:
    """Codes of every set by the network that has not seen part ``number``."""
    name = f"w{arguments.width}-fold{number}"
    path = work / f"run-{name}"
    run = Run.open(path) if (path / "model.safetensors").is_file() else None
    if run is None or run.status != "finished":
        run = train(
            labelled, path, target="oh_p50", k=4, width=arguments.width, epochs=arguments.epochs,
            seed=arguments.seed, fold=number, folds=arguments.folds, resume=True, progress=False,
        )  # fmt: skip
    rows = np.flatnonzero(run.split_of(labelled.ids) == "validation")
    sets = {"the 400": labelled, "the 6,000": others}
    simulated = sample_dataset()
    sets["simulated galaxies"] = Dataset.create(
        fresh(work, name, "simulated"), simulated.ids, np.asarray(simulated.cutouts), simulated=True
    )
    truth = {"oh_p50": labelled.column("oh_p50")[rows]}
    for what, pictures in spoilt(np.asarray(labelled.cutouts[rows]), arguments.seed).items():
        path = fresh(work, name, f"spoilt-{len(sets)}")
        sets[what] = Dataset.create(path, labelled.ids[rows], pictures, truth)
    codes = {}
    for what, dataset in sets.items():
        path = work / f"codes-{name}-{len(codes)}.parquet"
        done = path.is_file()
        codes[what] = (
            SparseCodes.open(path)
            if done
            else infer(run, dataset, path, maps=False, progress=False, allow_mismatch=True)
        )
    common.progress(f"{name}: done")
    return codes


def fresh(work: Path, name: str, what: str) -> Path:
    """A new folder for a dataset that is made again each time."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-{what}-", dir=work)) / "dataset"


# ---- measuring


def auc(low: np.ndarray, high: np.ndarray) -> float:
    """Share of pairs in which the second set's score is the larger; ties count half (Mann & Whitney 1947)."""
    ranks = rankdata(np.concatenate([low, high]))
    return float((ranks[len(low) :].sum() - len(high) * (len(high) + 1) / 2) / (len(low) * len(high)))


def separation(inside: list[np.ndarray], outside: list[np.ndarray], same: bool) -> dict[str, Any]:
    """Mean AUC over folds of held-out against other galaxies, with a bootstrap; ``same``: the others are the same in
    every fold, so one draw of them serves all folds."""
    folds = [auc(low, high) for low, high in zip(inside, outside, strict=True)]
    sets = [*inside, *(outside[:1] if same else outside)]  # each resampled on its own
    of = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
    first = np.cumsum([0, *(len(one) for one in sets)])

    def mean(rows: np.ndarray) -> float:
        drawn = [one[rows[of[rows] == i] - first[i]] for i, one in enumerate(sets)]
        lows, highs = drawn[: len(inside)], drawn[len(inside) :]
        return float(np.mean([auc(low, highs[0 if same else i]) for i, low in enumerate(lows)]))

    value, *ends = bootstrap_interval(mean, np.arange(len(of)), resamples=RESAMPLES, strata=of)
    return {"auc": value, "auc_95": ends, "auc_each_fold": folds}


def flagged(scores: list[np.ndarray], limits: list[float] | None = None) -> dict[str, Any]:
    """Share above the limit over all folds. The same galaxies in several folds count once each: no more precise."""
    limits = [1.0] * len(scores) if limits is None else limits
    each = [s > limit for s, limit in zip(scores, limits, strict=True)]
    beyond, n = int(sum(map(np.sum, each))), sum(map(len, scores))
    low, high = wilson(beyond, n)
    share = beyond / n if n else math.nan
    return {"share": share, "share_95": [float(low), float(high)], "each_fold": [float(e.mean()) for e in each], "n": n}


def limit_of(scores: np.ndarray, share: float) -> float:
    """The limit that a share of the training galaxies, each against the others, passes."""
    return float(np.sort(scores)[min(math.ceil((len(scores) + 1) * (1 - share) - 1e-9), len(scores)) - 1])


def measure(folds: list[dict[str, SparseCodes]], others: Dataset) -> dict[str, Any]:
    """Everything, by score and set."""
    held = [codes["the 400"].in_split("validation") for codes in folds]
    limits = [codes["the 400"].provenance["unlike"] for codes in folds]

    def score(codes: SparseCodes, name: str, about: dict[str, Any]) -> np.ndarray:
        return codes.column(name) / (about["limit_range"] if name == "unlike_range" else 1.0)

    def scores(what: str, name: str) -> list[np.ndarray]:
        return [score(codes[what], name, about) for codes, about in zip(folds, limits, strict=True)]

    inside, wide = {}, {}
    trained = [codes["the 400"].in_split("train") for codes in folds]
    for name in SCORES:
        each = scores("the 400", name)
        inside[name] = [found[rows] for found, rows in zip(each, held, strict=True)]
        wide[name] = [limit_of(found[rows], 0.05) for found, rows in zip(each, trained, strict=True)]

    def shares(name: str, each: list[np.ndarray]) -> dict[str, Any]:
        return {"flagged": flagged(each), "flagged where 5 % are nominal": flagged(each, wide[name])}

    found: dict[str, Any] = {
        "fits": limits,
        "held-out galaxies of the 400": {name: shares(name, each) for name, each in inside.items()},
        "flag and error on held-out galaxies": errors(folds, held),
    }
    for what in folds[0]:
        if what == "the 400":
            continue
        same = what in ("the 6,000", "simulated galaxies")
        found[what] = {
            name: separation(inside[name], scores(what, name), same) | shares(name, scores(what, name))
            for name in SCORES
        }
        if np.isfinite(folds[0][what].truth()).any():
            found[what]["prediction"] = spoilt_errors([codes[what] for codes in folds])
    classes = others.column("gz1_class")
    found["the 6,000"]["flagged by Galaxy Zoo class"] = {
        str(kind): flagged([s[classes == kind] for s in scores("the 6,000", "unlike")]) for kind in np.unique(classes)
    }
    return found


def rmse(error: np.ndarray) -> dict[str, Any]:
    """RMSE in dex with a bootstrap over galaxies; only n where they are few."""
    if len(error) < FEW:
        return {"n": len(error)}
    value, *ends = bootstrap_interval(lambda e: np.sqrt(np.mean(e**2)), error, resamples=RESAMPLES)
    return {"n": len(error), "rmse_dex": value, "rmse_dex_95": ends}


def errors(folds: list[dict[str, SparseCodes]], held: list[np.ndarray]) -> dict[str, Any]:
    """Are flagged galaxies predicted worse? Each galaxy once, by the network that has not seen it."""
    codes = [c["the 400"] for c in folds]
    error = np.concatenate([(c.prediction() - c.truth())[rows] for c, rows in zip(codes, held, strict=True)])
    unlike = np.concatenate([c.unlike[rows] for c, rows in zip(codes, held, strict=True)])
    edges = np.quantile(unlike, [0, 0.25, 0.5, 0.75, 1])
    place = np.clip(np.searchsorted(edges, unlike, side="right") - 1, 0, 3)
    found, *ends = bootstrap_interval(lambda u, e: spearmanr(u, e)[0], unlike, np.abs(error), resamples=RESAMPLES)
    return {
        "flagged": rmse(error[unlike > 1]),
        "not flagged": rmse(error[unlike <= 1]),
        "quarters by unlike": [rmse(error[place == quarter]) for quarter in range(4)],
        "rank correlation of unlike with |error|": found,
        "rank correlation 95 %": ends,
    }


def spoilt_errors(codes: list[SparseCodes]) -> dict[str, Any]:
    """How far off the predictions from spoilt pictures are, flagged or not."""
    error = np.concatenate([c.prediction() - c.truth() for c in codes])
    unlike = np.concatenate([c.unlike for c in codes])
    return {"all": rmse(error), "flagged": rmse(error[unlike > 1]), "not flagged": rmse(error[unlike <= 1])}


if __name__ == "__main__":
    main()
