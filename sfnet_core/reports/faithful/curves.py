"""Insertion and deletion over many galaxies: pieces kept in a folder, then means, curves and paired differences."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import rankdata
from tqdm import tqdm

from sfnet_core.codes.empty_sky import typical_sky
from sfnet_core.inference.encoding import Encoder, micro_batch
from sfnet_core.model.device import pick_device
from sfnet_core.model.preprocess import centre, to_input
from sfnet_core.model.run import Run
from sfnet_core.reports.faithful.ablation import RESAMPLES
from sfnet_core.reports.faithful.insertion_deletion import Covering, areas, curves
from sfnet_core.reports.faithful.wording import MAPS, ORDERS
from sfnet_core.stats.bootstrap import percentile_interval, resampled, resamples_for
from sfnet_core.utils.array_cache import kept
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.version import __version__

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["regions", "summary"]

PIECE = 10  # galaxies between two saves
KINDS = ("deletion", "insertion")


def regions(
    codes: SparseCodes,
    run: Run,
    dataset: Dataset,
    rows: np.ndarray,
    places: np.ndarray,
    work: Path,
    covering: Covering | None = None,
    *,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """:func:`summary` of the galaxies ``rows`` (n,) of the codes, at ``places`` (n,) in the dataset.

    ``run`` is the network behind the codes; finished pieces in the folder ``work`` are used again.
    """
    if codes.provenance.get("run_fingerprint") != run.fingerprint:
        raise SFNetError(
            f"The codes were not made by {run.name}: their run has fingerprint "
            f"{codes.provenance.get('run_fingerprint') or 'unknown'}, this one {run.fingerprint}; name theirs (--run)."
        )
    how, where = covering or Covering(), pick_device(device)
    network = run.network()
    network = network.to(where, memory_format=network.memory_format)
    about, batch = run.metadata, micro_batch(where)
    sky = codes.sky or Encoder(network, about, dataset).sky(typical_sky(dataset.cutouts, about["crop"]))
    maps = sky.maps.astype(np.float64)
    key = [codes.fingerprint, run.fingerprint, dataset.fingerprint, *astuple(how), batch, sky.level]
    mark = hashlib.blake2b(
        repr([*key, where.type, __version__, torch.__version__]).encode(), digest_size=12
    ).hexdigest()

    def one(row: int, place: int) -> dict[str, np.ndarray]:
        cutout = torch.from_numpy(np.array(centre(dataset.cutouts[place : place + 1], about["crop"]))).to(where)
        image = to_input(cutout, about["mean"], about["std"])[0].contiguous()
        mine = int.from_bytes(hashlib.blake2b(str(codes.ids[row]).encode(), digest_size=4).digest(), "little")
        return curves(network, image, replace(how, seed=how.seed + mine), batch=batch, sky=maps)

    parts = []
    desc = f"regions, {how.fill}"
    with tqdm(total=len(rows), unit=" galaxies", desc=desc, disable=not progress, file=sys.stderr) as bar:
        for start in range(0, len(rows), PIECE):
            some = slice(start, start + PIECE)
            chosen = hashlib.blake2b("\n".join(codes.ids[rows[some]].tolist()).encode(), digest_size=8).hexdigest()

            def make(some: slice = some) -> dict[str, np.ndarray]:
                found = [one(int(r), int(p)) for r, p in zip(rows[some], places[some], strict=True)]
                return {name: np.stack([each[name] for each in found]) for name in found[0]}

            parts.append(kept(work / f"regions-{how.fill}-{chosen}.npz", mark, make))
            bar.update(len(rows[some]))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = summary(whole, codes.truth(how.target)[rows], how.draws)
    gap = np.abs(whole["deletion"][:, 0, 0] - codes.prediction(how.target)[rows]).max()
    return {"fill": how.fill, "crop": about["crop"], "largest_gap_to_the_codes": float(gap)} | found


def summary(whole: dict[str, np.ndarray], truth: np.ndarray, draws: int, seed: int = 0) -> dict[str, Any]:
    """Areas by order with 95 % intervals over galaxies, paired differences, mean curves; as valid JSON.

    ``whole``: what :func:`~sfnet_core.reports.faithful.insertion_deletion.curves` returns, stacked: (n, …).
    ``advantage`` of a map over another order is positive where the map is better: more area in deletion, less in
    insertion. ``rmse`` curves are there where some of these galaxies have a truth (n,). ``map_against_occlusion``:
    Spearman's ρ of the sizes in map and occlusion over the cells, mean over galaxies.
    """
    names = list(ORDERS)
    n, orders, _ = whole["deletion"].shape
    if orders != len(names) - 1 + draws:
        raise SFNetError(f"There are {orders} orders, {len(names) - 1 + draws} were expected.")
    each = [areas({name: array[i] for name, array in whole.items() if name in (*KINDS, "share")} | {
        "share": whole["share"][i]}) for i in range(n)]  # fmt: skip

    def merged(values: np.ndarray) -> np.ndarray:
        """(n, O, …) → (n, orders by name, …): the random ones averaged."""
        return np.concatenate([values[:, : len(names) - 1], values[:, len(names) - 1 :].mean(1, keepdims=True)], axis=1)

    def interval(values: np.ndarray) -> dict[str, float]:
        means = resampled(lambda counts: counts @ values / n, n, resamples_for(n, RESAMPLES), seed)
        return percentile_interval(means)._asdict()

    out: dict[str, Any] = {
        "n": n,
        "cells": list(whole["map"].shape[1:]),
        "draws": draws,
        "share": whole["share"][0].tolist(),
        "areas": {},
        "advantage": {},
        "curves": {},
    }
    known = np.isfinite(truth)
    for kind, values in zip(KINDS, np.array(each).transpose(1, 0, 2), strict=True):
        area = merged(values)
        out["areas"][kind] = {name: interval(area[:, i]) for i, name in enumerate(names)}
        sign = 1 if kind == "deletion" else -1
        out["advantage"][kind] = {
            mine: {
                name: interval(sign * (area[:, names.index(mine)] - area[:, i]))
                | {"share_of_galaxies": float((sign * (area[:, names.index(mine)] - area[:, i]) > 0).mean())}
                for i, name in enumerate(names)
                if name not in MAPS or (name == "map" != mine)
            }
            for mine in MAPS
        }
        distance = merged(np.abs(whole[kind] - whole["deletion"][:, :1, :1])).mean(axis=0)
        out["curves"][kind] = {"change": {name: distance[i].tolist() for i, name in enumerate(names)}}
        if known.any():
            square = merged((whole[kind][known] - truth[known, None, None]) ** 2).mean(axis=0)
            out["curves"][kind]["rmse"] = {name: np.sqrt(square[i]).tolist() for i, name in enumerate(names)}
    out["n_with_truth"] = int(known.sum())
    flat = [rankdata(np.abs(whole[name]).reshape(n, -1), axis=1) for name in ("map", "occlusion")]
    flat = [one - one.mean(axis=1, keepdims=True) for one in flat]
    power = np.sqrt((flat[0] ** 2).sum(axis=1) * (flat[1] ** 2).sum(axis=1))
    rho = (flat[0] * flat[1]).sum(axis=1) / np.where(power > 0, power, 1.0)  # 0 where a map has one value
    out["map_against_occlusion"] = interval(rho)
    return out
