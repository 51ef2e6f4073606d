"""What a run's training galaxies are like, learnt from their activations and kept beside its weights."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from sfnet_core.codes.novelty import FILE, Typical
from sfnet_core.inference.encoding import Encoder
from sfnet_core.model.device import pick_device
from sfnet_core.utils.subsample import evenly

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfnet_core.data.dataset import Dataset
    from sfnet_core.model.run import Run

__all__ = ["MOST", "ensure", "fit", "places", "stored"]

MOST = 5000  # training galaxies that are looked at, spread evenly over the split's list


def fitted_ids(run: Run) -> np.ndarray:
    """Identifiers of the training galaxies that :func:`learn` looks at, in its order."""
    ids = run.split.get("train", np.empty(0, dtype=str))
    return ids[evenly(len(ids), MOST)]


def places(run: Run, ids: np.ndarray) -> np.ndarray:
    """(N,) which of :func:`fitted_ids` each identifier is; −1 for none."""
    place = {name: i for i, name in enumerate(fitted_ids(run).tolist())}
    return np.array([place.get(name, -1) for name in ids.tolist()], dtype=np.int64)


def fit(run: Run, dataset: Dataset, device: str = "auto", done: Callable[[int], object] = lambda n: None) -> Typical:
    """From the run's training galaxies, which ``dataset`` must hold; no other galaxy plays a part."""
    row = {name: i for i, name in enumerate(dataset.ids.tolist())}
    rows = np.array([row[name] for name in fitted_ids(run).tolist()])
    network = run.network()
    network = network.to(pick_device(device), memory_format=network.memory_format)  # type: ignore[call-overload]
    activations = Encoder(network, run.metadata, dataset).activations(rows, done)
    return Typical.fit(activations, run.metadata["k"], run=run.fingerprint)


def stored(run: Run) -> Typical | None:
    """What is kept beside the run's weights; ``None`` where nothing is, or it is of other weights."""
    path = run.path / FILE
    if not path.is_file():
        return None
    typical = Typical.open(path)
    same = typical.run == run.fingerprint and len(typical.mean) == run.metadata["features"]
    return typical if same else None


def ensure(run: Run, dataset: Dataset, device: str = "auto", progress: bool = True) -> Run:
    """Learn it and write it into a finished run's folder, unless it is there; gives the run."""
    total = len(fitted_ids(run))
    if run.status == "finished" and total > 1 and stored(run) is None:
        with tqdm(total=total, unit=" galaxies", desc="typical", disable=not progress, file=sys.stderr) as bar:
            fit(run, dataset, device, bar.update).save(run.path / FILE)
    return run
