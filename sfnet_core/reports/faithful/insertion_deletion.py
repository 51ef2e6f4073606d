"""Do the regions that an explanation names move the prediction? Cells are covered and uncovered, the network run again.

*Deletion* (Petsiuk, Das & Saenko 2018, RISE): the cells of an image are covered one after another, the most important
first; an order that knows what matters moves the prediction early. *Insertion*: they are uncovered one after another on
an image that is all covered; an order that knows what matters comes near the prediction of the whole image early. A
covered cell shows the sky (the median of the image's border, band by band) or a blurred copy of the image.

A cell here is a block of pixels, one for each cell of the last feature map. What a map's cell has seen is much wider
than its block, and centred on pixel 32·u of a side, which is half a cell up and left of the block's middle. So beside
the plain contribution map stand four variants of it: *less sky*, from which the map of a blank image, one for all
galaxies (:mod:`sfnet_core.codes.empty_sky`), is taken, as the pages draw it; *moved*, read at the blocks' middles;
*less cover*, from which the map of the covered image is taken, so that it sums to what covering everything changes; and
the mean map
*of 8 views* of the image, turned and mirrored, each turned back.

Shape letters: s side of the crop in px, h w cells of a side, C = h·w cells, S steps, O orders, P masks.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from tqdm import tqdm

from sfnet_core.codes.empty_sky import blank_map, typical_sky
from sfnet_core.inference.attribution import contribution_maps
from sfnet_core.inference.encoding import Encoder, micro_batch
from sfnet_core.model.device import pick_device
from sfnet_core.model.preprocess import ORIENTATIONS, crop_centre, orient, to_input
from sfnet_core.model.run import Run
from sfnet_core.reports.faithful.ablation import RESAMPLES
from sfnet_core.reports.faithful.wording import FILLS, MAPS, ORDERS
from sfnet_core.stats.bootstrap import percentile_interval, resampled, resamples_for
from sfnet_core.utils.array_cache import kept
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.version import __version__

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["Covering", "areas", "blocks", "cover_of", "curves", "orders_of", "regions", "summary"]

STRIDE = 32  # px between the centres of neighbouring cells of the last map


@dataclass(frozen=True)
class Covering:
    """How cells are covered.

    ``target``: whose prediction is followed; ``fill``: what a covered cell shows, of ``faithful.wording.FILLS``;
    ``draws``: random orders, from ``seed``; ``steps``: how often more cells are covered, at most.
    """

    target: int = 0
    fill: str = "sky"
    draws: int = 5
    steps: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise SFNetError(f"A covered cell shows {' or '.join(FILLS)}, not {self.fill!r}.")


@torch.no_grad()
def curves(
    network: nn.Module,
    image: Tensor,
    covering: Covering | None = None,
    *,
    batch: int = 32,
    sky: np.ndarray | None = None,
    also: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """One galaxy's predictions while its cells are covered (``deletion``) and uncovered (``insertion``), by each order.

    Cells are taken one at a time where there are few enough, else several. Batches have one size: a galaxy's numbers
    depend on it alone.

    Parameters
    ----------
    network
        Gives (B, T) and has ``encode``, as :class:`~sfnet_core.model.network.SFNet`.
    image
        (3, s, s), normalised.
    covering
        How cells are covered.
    batch
        Images computed at once.
    sky
        (F, h, w) the features' maps of a blank image; by default of the image's own sky.
    also
        More maps, (h, w) each.

    Returns
    -------
    dict[str, np.ndarray]
        ``deletion`` and ``insertion`` (O, S + 1) float64 in the order of ``faithful.wording.ORDERS``, then those of
        ``also``, ``random`` last and as often as drawn; ``share`` (S + 1,), the share of cells covered or uncovered;
        ``map`` and ``occlusion`` (h, w).
    """
    how = covering or Covering()
    own = cover_of(image, "sky")
    cover = own if how.fill == "sky" else cover_of(image, how.fill)
    if sky is None:
        sky = network.maps(own[None].contiguous())[0].double().cpu().numpy()
    maps = _maps(network, image, cover, how.target, sky)
    shape, cells = maps["map"].shape, maps["map"].size
    block = blocks(image.shape[1:], shape).to(image.device)  # (s, s) number of each pixel's cell

    def predicted(shown: np.ndarray) -> np.ndarray:
        """(P, C) bool, the cells that show the galaxy → (P,)."""
        found = []
        for start in range(0, len(shown), batch):
            some = torch.from_numpy(shown[start : start + batch])
            count = len(some)
            if count < batch:
                some = torch.cat([some, some[:1].expand(batch - count, -1)])
            seen = some.to(image.device)[:, block][:, None]  # (batch, 1, s, s)
            found.append(network(torch.where(seen, image, cover))[:count, how.target].double().cpu().numpy())
        return np.concatenate(found)

    alone = predicted(np.vstack([np.ones((1, cells), bool), ~np.eye(cells, dtype=bool)]))
    occlusion = (alone[0] - alone[1:]).reshape(shape)
    light = torch.zeros(cells, dtype=torch.float64).index_add_(
        0, block.cpu().ravel(), (image - own).sum(dim=0).double().cpu().ravel()
    )
    scores = maps | {"occlusion": occlusion, "light": light.numpy()} | dict(also or {})
    orders = orders_of(scores, draws=how.draws, seed=how.seed)  # (O, C)
    taken = np.unique(np.linspace(0, cells, min(how.steps, cells) + 1).round().astype(int))
    place = np.argsort(orders, axis=1)  # (O, C): each cell's place in the order
    first = place[:, None, :] < taken[None, :, None]  # (O, S+1, C)
    masks, inverse = np.unique(np.concatenate([~first, first]).reshape(-1, cells), axis=0, return_inverse=True)
    values = predicted(masks)[inverse.ravel()].reshape(2, len(orders), len(taken))
    return {
        "deletion": values[0],
        "insertion": values[1],
        "share": taken / cells,
        "map": maps["map"],
        "occlusion": occlusion,
    }


def orders_of(scores: dict[str, np.ndarray], *, draws: int, seed: int) -> np.ndarray:
    """(O, C) cells from the first to the last by each of ``ORDERS`` and what else is scored; of equal cells a random
    one comes first.

    ``scores``: maps (h, w), of which the size counts and not the sign, ``occlusion`` likewise, and ``light``.
    """
    rng = np.random.default_rng(seed)
    y, x = ((np.arange(n) + 0.5) / n - 0.5 for n in scores["map"].shape)
    sizes = {name: np.abs(score) for name, score in scores.items()} | {"light": scores["light"]}
    sizes["centre"] = -np.hypot(y[:, None], x[None])
    names = [*(name for name in ORDERS if name != "random"), *(name for name in scores if name not in ORDERS)]
    listed = [np.asarray(sizes[name], dtype=np.float64).ravel() for name in names]
    listed += [np.zeros(scores["map"].size)] * draws
    return np.stack([np.lexsort((rng.random(score.size), -score.round(12))) for score in listed])


def areas(found: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(O,) deletion and insertion areas of one galaxy, in the target's unit.

    The mean, over the share of cells, of how far the prediction is from that of the whole image: a good order has a
    large one in deletion, a small one in insertion.
    """
    whole = found["deletion"][:, :1]
    return tuple(
        np.trapezoid(np.abs(found[kind] - whole), found["share"], axis=1) for kind in ("deletion", "insertion")
    )


def _maps(network: nn.Module, image: Tensor, cover: Tensor, target: int, sky: np.ndarray) -> dict[str, np.ndarray]:
    """(h, w) contribution maps, of all kept features together, in the target's unit; ``sky`` as of :func:`curves`."""
    views = torch.cat([orient(image.permute(1, 2, 0)[None], i) for i in range(ORIENTATIONS)])
    images = torch.cat([views.permute(0, 3, 1, 2), cover[None]]).contiguous()
    *maps, covered = contribution_maps(network, images, target)[1].sum(axis=1)  # 8 and 1 of (h, w)
    back = []
    for i, one in enumerate(maps):
        one = one.T if i & 4 else one
        one = one[:, ::-1] if i & 2 else one
        back.append(one[::-1] if i & 1 else one)
    return {
        "map": maps[0],
        "map moved": _moved(maps[0], image.shape[1:]),
        "map less sky": maps[0]
        - blank_map(network.head.weight[target].detach().double().cpu().numpy(), sky, network.k),
        "map less cover": maps[0] - covered,
        "map of views": np.mean(back, axis=0),
    }


def _moved(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The map read, between its cells' own centres at 32·u px, at the middles of the blocks; (h, w)."""
    for axis, (cells, length) in enumerate(zip(maps.shape, size, strict=True)):
        at = ((np.arange(cells) + 0.5) * length / cells - 0.5) / STRIDE
        low = np.clip(np.floor(at).astype(int), 0, cells - 1)
        high, part = np.minimum(low + 1, cells - 1), np.clip(at - low, 0.0, 1.0)
        part = part.reshape([-1 if a == axis else 1 for a in range(2)])
        maps = np.take(maps, low, axis) * (1 - part) + np.take(maps, high, axis) * part
    return maps


def blocks(size: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """(s, s) int64: which of the C cells each pixel is in, row by row."""
    rows, columns = (torch.arange(n) * cells // n for n, cells in zip(size, shape, strict=True))
    return rows[:, None] * shape[1] + columns[None]


def cover_of(image: Tensor, fill: str) -> Tensor:
    """(3, s, s) what a covered pixel shows."""
    if fill == "sky":
        border = torch.cat([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], dim=1)
        return border.median(dim=1).values[:, None, None].expand_as(image)
    width = max(3, min(image.shape[1:]) // 8 * 2 + 1)  # a quarter of the side
    blurred = image[None]
    for _ in range(3):  # three boxes are nearly a Gaussian
        blurred = nn.functional.avg_pool2d(
            nn.functional.pad(blurred, [width // 2] * 4, mode="replicate"), width, stride=1
        )
    return blurred[0]


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
    """:func:`summary` of some galaxies, computed piece by piece.

    Parameters
    ----------
    codes
        What inference gave.
    run
        The network behind the codes.
    dataset
        Its images.
    rows, places
        (n,) the galaxies' rows in the codes and in the dataset.
    work
        Folder whose finished pieces are used again.
    covering
        How cells are covered.
    device
        Where the network runs.
    progress
        Whether to show a bar.

    Returns
    -------
    dict[str, Any]
        Valid JSON.
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
        cutout = torch.from_numpy(np.array(crop_centre(dataset.cutouts[place : place + 1], about["crop"]))).to(where)
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
