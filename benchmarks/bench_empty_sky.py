"""Which empty sky to take off a contribution map: the galaxy's own, one for all, black, or none.

    python -m benchmarks.bench_empty_sky --metallicity FOLDER [--width 32] [--work DIR]

``--metallicity`` holds `galaxies.csv` and `images/`: 400 observed galaxies with O/H. A narrow network is trained on
each half and its maps are judged on the other half, by insertion and deletion of cells as in `sfnet faithful`; the
embedded sample's validation galaxies (simulated) stand beside them: 24 of those had been looked at before. Single
features' maps are set beside what covering a cell does to that feature's activation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from benchmarks import common
from benchmarks.bench_faithful import asked, options, packed, trained
from sfnet_core.codes.empty_sky import blank_map, typical_sky
from sfnet_core.data.dataset import Dataset
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_run
from sfnet_core.inference.encoding import Encoder
from sfnet_core.model.preprocess import crop_centre, to_input
from sfnet_core.model.run import Run
from sfnet_core.reports.faithful.insertion_deletion import Covering, areas, blocks, cover_of, curves
from sfnet_core.reports.faithful.wording import ORDERS
from sfnet_core.stats.bootstrap import bootstrap_interval
from sfnet_core.utils.array_cache import kept

KINDS = {"deletion": 1, "insertion": -1}  # the sign of what is better
ALSO = {
    "black": "less that of a black image",
    "mean colour": "less that of an image of the training's mean colour, which the padding has too",
    "same features": "less the galaxy's own features' map of the typical sky",
    "same features, own sky": "less the galaxy's own features' map of its own sky",
}
AGAINST = ("map", "map less cover", *ALSO, "occlusion", "centre", "random")
PIECE, DRAWS = 20, 2
PARTS = ("fold0", "fold1", "simulated")


def main() -> None:
    """Train, measure, write ``results/empty_sky.json``."""
    arguments = asked(options(__doc__, PARTS))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        data, found = {}, {}
        observed = packed(arguments.metallicity, work / "metallicity")
        for fold in (0, 1):
            if f"fold{fold}" not in arguments.parts:
                continue
            run = trained(arguments, work, fold)
            rows = np.flatnonzero(np.isin(observed.ids, run.split["validation"]))
            found[f"fold{fold}"] = measured(arguments, work / f"fold{fold}", run, observed, rows)
            data[f"fold{fold}"] = (
                f"{len(observed)} observed galaxies, 128 px: trained on one half, measured on the other"
            )
        if "simulated" in arguments.parts:
            rows = np.flatnonzero(sample_codes().in_split("validation"))
            found["simulated"] = measured(arguments, work / "simulated", sample_run(), sample_dataset(), rows)
        if arguments.renew:
            common.renew("empty_sky", arguments, found)
            return
        if set(found) < set(PARTS):
            common.progress(f"Only {', '.join(found)}: nothing is recorded.")
            return
        data["simulated"] = "the embedded sample's 240 validation galaxies and its network (data/README.md): simulated"
        data["network"] = f"width {arguments.width}, k = {arguments.k}, seed {arguments.seed}, one training a fold"
        common.write("empty_sky", arguments, data, found)


def measured(arguments: argparse.Namespace, work: Path, run: Run, dataset: Dataset, rows: np.ndarray) -> dict[str, Any]:
    """Areas of every order and what the sky of one blank image gains over the others, on ``rows`` of the dataset."""
    about, network = run.metadata, run.network()
    encoder = Encoder(network, about, dataset)
    train_rows = np.flatnonzero(np.isin(dataset.ids, run.split["train"]))
    level = typical_sky(dataset.cutouts[train_rows], about["crop"])
    colours = {"typical": level, "black": (0, 0, 0), "mean colour": tuple(round(255 * m) for m in about["mean"])}
    blank = {name: encoder.sky(colour).maps.astype(np.float64) for name, colour in colours.items()}
    if len(rows) > arguments.galaxies:
        rows = np.sort(np.random.default_rng(arguments.seed).choice(rows, arguments.galaxies, replace=False))
    weight = np.append(network.head.weight[0].detach().double().numpy(), 0.0)
    black, mean_colour = (blank_map(weight[:-1], blank[name], network.k) for name in ("black", "mean colour"))

    def one(row: int) -> dict[str, np.ndarray]:
        cutout = torch.from_numpy(np.array(crop_centre(dataset.cutouts[row : row + 1], about["crop"])))
        image = to_input(cutout, about["mean"], about["std"])[0].contiguous()
        with torch.no_grad():
            own = network.maps(cover_of(image, "sky")[None].contiguous())[0].double().numpy()
            indices, _, maps = network.encode(image[None], runners_up=0)
        index = indices[0].numpy().astype(np.int64)
        terms = weight[index][:, None, None] / maps[0, 0].numel()  # of an empty slot 0
        plain = (terms * maps[0].double().numpy()).sum(axis=0)
        also = {
            "black": plain - black,
            "mean colour": plain - mean_colour,
            "same features": plain - (terms * blank["typical"][index]).sum(axis=0),
            "same features, own sky": plain - (terms * own[index]).sum(axis=0),
        }
        found = curves(network, image, Covering(draws=DRAWS, seed=row), batch=32, sky=blank["typical"], also=also)
        return dict(zip(KINDS, areas(found), strict=True)) | {"rho": agreement(network, image, index, maps[0].numpy())}

    @torch.no_grad()
    def agreement(network: Any, image: torch.Tensor, index: np.ndarray, maps: np.ndarray) -> np.ndarray:
        """(2,) Spearman's ρ of a kept feature's cells, plain and less the empty sky's, with how much its activation
        falls where one cell is covered by the sky; mean over the kept features."""
        block, cover = blocks(image.shape[1:], maps.shape[1:]), cover_of(image, "sky")
        views = [image, *(torch.where((block == cell)[None], cover, image) for cell in range(maps[0].size))]
        a = network.features(torch.stack(views).contiguous()).double().numpy()  # (1 + C, F)
        found = []
        for feature, cells in zip(index.tolist(), maps.astype(np.float64), strict=True):
            if feature >= 0:
                drop = a[0, feature] - a[1:, feature]
                found.append([rho(one.ravel(), drop) for one in (cells, cells - blank["typical"][feature])])
        return np.mean(found, axis=0) if found else np.zeros(2)

    work.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(rows), PIECE):
        some = rows[start : start + PIECE]

        def make(some: np.ndarray = some) -> dict[str, np.ndarray]:
            found = [one(int(row)) for row in some]
            return {name: np.stack([each[name] for each in found]) for name in (*KINDS, "rho")}

        common.progress(f"{work.name}: {start} of {len(rows)} galaxies …")
        parts.append(kept(work / f"part-{start}.npz", f"{run.fingerprint} {rows.tolist()}", make))
    names = [*(name for name in ORDERS if name != "random"), *ALSO, "random"]
    out: dict[str, Any] = {"galaxies": len(rows), "sky": list(level), "areas": {}, "gain_of_map_less_sky": {}}

    def interval(values: np.ndarray) -> dict[str, float]:
        return bootstrap_interval(np.mean, values, resamples=2000)._asdict()

    for kind, sign in KINDS.items():
        area = np.concatenate([part[kind] for part in parts])  # (n, O)
        area = np.column_stack([area[:, : len(names) - 1], area[:, len(names) - 1 :].mean(axis=1)])
        of = dict(zip(names, area.T, strict=True))
        out["areas"][kind] = {name: interval(values) for name, values in of.items()}
        out["gain_of_map_less_sky"][kind] = {name: interval(sign * (of["map less sky"] - of[name])) for name in AGAINST}
    plain, less = np.concatenate([part["rho"] for part in parts]).T
    out["feature_rho"] = {"map": interval(plain), "map less sky": interval(less), "gain": interval(less - plain)}
    out["orders"] = {name: ORDERS.get(name) or ALSO[name] for name in names}
    return out


def rho(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one of the two has one value."""
    first, second = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    power = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / power) if power > 0 else 0.0


if __name__ == "__main__":
    main()
