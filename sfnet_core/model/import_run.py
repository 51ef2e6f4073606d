"""Weights of others as a run: ``sfnet import``, the one door through which a foreign network comes in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sfnet_core.data.dataset import Dataset
from sfnet_core.data.targets import read_targets, target_names
from sfnet_core.model import checkpoint
from sfnet_core.model.foreign_weights import read_foreign
from sfnet_core.model.network import SFNet
from sfnet_core.model.preprocess import channel_statistics
from sfnet_core.model.run import MODEL, Run
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import folder_lock
from sfnet_core.utils.version import __version__

__all__ = ["import_run"]


def import_run(
    source: str | os.PathLike,
    out: str | os.PathLike,
    like: Dataset | str | os.PathLike,
    *,
    target: str = "oh_p50",
    k: int | None = None,
    crop: int | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    overwrite: bool = False,
) -> Run:
    """Foreign SFNet weights, the author's published ones say, as a run that ``infer`` takes.

    Args:
        source: a state table or a whole module pickled by the public code, or a ``.safetensors`` file.
        out: the run's folder.
        like: a dataset of the galaxies the network was made for. What the file does not say comes from here: cutout
            size, pixel scale, and the normalisation (mean and standard deviation per band over all of its cutouts)
            unless ``mean`` and ``std`` are given, on the scale 0…1.
        target: what the head's outputs are, in its order; names as for :func:`sfnet_core.training.loop.train`.
        k: features kept; needed where the file does not say it.
        crop: px of the central square the network was trained on; by default the whole cutout.

    The paper's training normalised with the statistics of one random batch and did not keep them (see the notes of the
    public code), so predictions are the author's only up to that. Where ``like`` has the target, compare.
    """
    like = like if isinstance(like, Dataset) else Dataset.open(like)
    out, source = Path(out), Path(source)
    names = target_names(target)
    if (out / MODEL).is_file() and not overwrite:
        raise SFNetError(f"{out} holds a run. Choose another folder, or replace it with --overwrite.")
    if (mean is None) != (std is None) or any(v is not None and len(v) != 3 for v in (mean, std)):
        raise SFNetError("--mean and --std go together, three numbers each (one per band, on the scale 0…1).")
    weights = read_foreign(source)
    stored = weights.pop("k", None)
    said = None if stored is None else int(stored)
    if "fc.weight" not in weights:
        raise SFNetError(
            f"{source} has no linear head (fc); it can start a training (`weights` of a recipe file), not be imported."
        )
    if k is None and said is None:
        raise SFNetError(f"{source} does not state how many features its gate keeps; give --k.")
    if k is not None and said is not None and said != k:
        raise SFNetError(f"{source} says k={said}, and --k says {k}; leave --k out, or give that one.")
    if len(names) != len(weights["fc.weight"]):
        raise SFNetError(
            f"{source} has {len(weights['fc.weight'])} outputs, but {len(names)} targets are named "
            f"({', '.join(names)}); name them all with --target, in the head's order."
        )
    network = SFNet(k or said or 0, len(names), weights["conv1.weight"].shape[0])
    network.load_state_dict({name.replace("fc.", "head."): tensor for name, tensor in weights.items()})
    height, width = like.meta["height"], like.meta["width"]
    side = min(height, width) if crop is None else crop
    given = mean is not None
    if mean is None:
        mean, std = channel_statistics(like.cutouts, np.arange(len(like)), side)
    metadata: dict[str, Any] = {
        "schema": checkpoint.SCHEMA, "k": network.k, "features": network.n_features, "width": network.width,
        "targets": names, "units": _units(like, names), "crop": side, "cutout_size": [height, width],
        "pixel_scale": like.pixel_scale, "mean": mean, "std": std, "data_fingerprint": "",
        "dataset": f"unknown; imported for galaxies like {like.meta['source'] or like.path.name}",
        "simulated": False, "weights_origin": f"imported from {source.name} ({checkpoint.fingerprint(source)})",
        "versions": {"sfnet-core": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }  # fmt: skip
    config = {
        "imported": str(source),
        "like": like.fingerprint,
        "normalisation": "given" if given else "of that dataset",
    }
    with folder_lock(out, "importing"):
        Run(out, metadata, config, {}, [], {}, "imported").write(out, network)
    return Run.open(out)


def _units(like: Dataset, names: list[str]) -> list[str]:
    """The targets' units as the dataset has them; dex where it lacks the column (metallicities and logarithms)."""
    try:
        return read_targets(like, names).units
    except SFNetError:
        return ["dex"] * len(names)
