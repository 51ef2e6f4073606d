"""Rows of a dataset → their codes' arrays, in batches of one fixed size, in float32 or in bfloat16.

A convolution's last bits can depend on the shape of the batch. So the network always sees batches of one size, filled
up with black images: a row's neighbours never change its numbers.

Shape letters: B batch, F features, K kept, r runners-up, T targets, n rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from sfnet_core.augment import ORIENTATIONS, orient, to_input
from sfnet_core.certain import SAFETY, Tolerance, measure_tolerance
from sfnet_core.feed import CutoutFeed
from sfnet_core.fused import trunk_of
from sfnet_core.network import SFNet, code_of, pool, strongest
from sfnet_core.survey.dataset import Dataset
from sfnet_core.unlike import COLUMNS as UNLIKE
from sfnet_core.unlike import Typical

__all__ = ["Encoder", "apart", "micro_batch"]

_MICRO = {"cpu": 32, "cuda": 256, "mps": 64}  # rows per forward pass; part of the result's last bits, so not an option
_MEASURED = (128, 1024)  # fewest and most rows that tolerances are measured on

Part = dict[str, np.ndarray]


def micro_batch(device: torch.device) -> int:
    """Rows per forward pass on a device."""
    return _MICRO[device.type]


def apart(one: np.ndarray, other: np.ndarray | float) -> np.ndarray:
    """|ln(one / other)|, infinite where just one of them is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(np.log(np.asarray(one, dtype=np.float64)) - np.log(np.asarray(other, dtype=np.float64)))


class Encoder:
    """One network on one dataset, ready to encode rows of it.

    Args:
        network: in ``eval`` mode, on the device that computes.
        metadata: the checkpoint's fields: crop and normalisation.
        dataset: the galaxies.
        runners_up, maps, tta: as of :func:`sfnet_core.inference.infer`.
        typical: what the training galaxies are like, where each row is to be compared with them; ``places`` (N,): which
            of them a row is, −1 for none.
    """

    def __init__(
        self,
        network: SFNet,
        metadata: dict,
        dataset: Dataset,
        *,
        runners_up: int = 8,
        maps: bool = True,
        tta: bool = False,
        typical: Typical | None = None,
        places: np.ndarray | None = None,
    ) -> None:
        self.typical, self._places = typical, places
        self._network, self._dataset = network, dataset
        self._runners_up, self._maps, self._tta = runners_up, maps, tta
        self._mean, self._std, self._crop = metadata["mean"], metadata["std"], metadata["crop"]
        self.device = next(network.parameters()).device
        self.micro = micro_batch(self.device)
        self._trunks: dict[torch.dtype, Callable[[Tensor], Tensor]] = {}
        self.tolerance: Tolerance | None = None
        self.flag_tolerance = 0.0  # how far ``unlike`` may be from float32's, as a natural logarithm of their ratio

    def trunk(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Images → maps in a precision; made when first asked for."""
        if dtype not in self._trunks:
            self._trunks[dtype] = trunk_of(self._network, self._crop, self.micro, dtype)
        return self._trunks[dtype]

    def _batches(self, rows: np.ndarray) -> Iterator[tuple[int, Tensor]]:
        """(how many are galaxies, cutouts of ``micro`` rows)."""
        feed = CutoutFeed(self._dataset.cutouts, rows, self._crop, self.device, in_memory=False)
        positions = [np.arange(i, min(i + self.micro, len(rows))) for i in range(0, len(rows), self.micro)]
        for cutouts in feed.batches(positions):
            n = len(cutouts)
            if n < self.micro:
                cutouts = torch.cat([cutouts, cutouts.new_zeros(self.micro - n, *cutouts.shape[1:])])
            yield n, cutouts

    def _input(self, cutouts: Tensor) -> Tensor:
        return to_input(cutouts, self._mean, self._std)

    @torch.inference_mode()
    def encode(
        self, rows: np.ndarray, dtype: torch.dtype = torch.float32, done: Callable[[int], object] = lambda n: None
    ) -> Part:
        """``indices`` and ``values`` (n, K+r), ``maps`` (n, K, h, w), ``views`` (n, T), ``good`` (n,) of ``rows``.

        ``views`` is the sum of the predictions of the 7 turned views. ``good`` is False where a row is not finite. In
        bfloat16 also ``slack`` (n,), see :class:`~sfnet_core.certain.Tolerance`: that of the gate, or of the flag where
        it is less. With ``typical`` also :data:`sfnet_core.unlike.COLUMNS`. ``done`` counts rows.
        """
        names = ("indices", "values", "maps", "views", "slack", *UNLIKE)
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        trunk, k, at = self.trunk(dtype), self._network.k, 0
        with torch.backends.cudnn.flags(allow_tf32=False):
            for n, cutouts in self._batches(rows):
                cells = trunk(self._input(cutouts))
                indices, values, kept = code_of(cells, k, self._runners_up)
                if self.typical is not None:
                    for name, column in self._unlike(rows[at : at + n], pool(cells)).items():
                        found[name].append(column)
                at += n
                found["indices"].append(indices[:n].cpu().numpy())
                found["values"].append(values[:n].cpu().numpy())
                if self._maps:
                    found["maps"].append(kept[:n].cpu().numpy())
                if dtype != torch.float32:
                    slack = self.tolerance.slack(pool(cells[:n]), k).cpu().numpy()
                    if self.typical is not None:  # the flag is as certain as the gate
                        slack = np.minimum(slack, apart(found["unlike"][-1], 1.0) / self.flag_tolerance)
                    found["slack"].append(slack)
                if self._tta:
                    turned = (trunk(self._input(orient(cutouts, i))) for i in range(1, ORIENTATIONS))
                    views = torch.stack([self._network.read(pool(view))[:n] for view in turned])  # (7, n, T)
                    found["views"].append(views.cpu().double().sum(0).numpy())
                done(n)
        part = {name: np.concatenate(arrays) for name, arrays in found.items() if arrays}
        part["good"] = np.isfinite(part["values"]).all(axis=1)
        for name in ("maps", "views"):
            if name in part:
                part["good"] &= np.isfinite(part[name].reshape(len(rows), -1)).all(axis=1)
        return part

    def _unlike(self, rows: np.ndarray, a: Tensor) -> Part:
        """How unlike the training galaxies rows are, of a batch of activations (micro, F) that is filled up."""
        own = np.full(len(a), -1)
        own[: len(rows)] = -1 if self._places is None else self._places[rows]
        values, indices = strongest(a, self._network.k)
        with np.errstate(invalid="ignore"):  # a row that is not finite is set aside
            found = self.typical.measure(*(part.cpu().numpy() for part in (a, indices, values)), own)
        return {name: column[: len(rows)] for name, column in found.items()}

    @torch.inference_mode()
    def activations(self, rows: np.ndarray, done: Callable[[int], object] = lambda n: None) -> np.ndarray:
        """All activations of ``rows`` before the gate, (n, F) float32."""
        found, trunk = [], self.trunk(torch.float32)
        with torch.backends.cudnn.flags(allow_tf32=False):
            for n, cutouts in self._batches(rows):
                found.append(pool(trunk(self._input(cutouts)))[:n].cpu().numpy())
                done(n)
        return np.concatenate(found)

    @torch.inference_mode()
    def measure(self, dtype: torch.dtype) -> Tolerance:
        """Tolerances of ``dtype`` on evenly spaced galaxies of the dataset, and keep them for :meth:`encode`."""
        total = len(self._dataset)
        n = min(total, int(np.clip(total // 64, *_MEASURED)))
        rows = np.unique(np.linspace(0, total - 1, n).astype(np.int64))
        both: dict[torch.dtype, list[Tensor]] = {dtype: [], torch.float32: []}
        with torch.backends.cudnn.flags(allow_tf32=False):
            for n, cutouts in self._batches(rows):
                images = self._input(cutouts)
                for precision, activations in both.items():
                    activations.append(pool(self.trunk(precision)(images))[:n])
        low, high = (torch.cat(activations) for activations in both.values())
        self.tolerance = measure_tolerance(low, high)
        if self.typical is not None:
            errors = apart(*(self._unlike(rows, a)["unlike"] for a in (low, high)))
            errors = errors[np.isfinite(errors)]
            self.flag_tolerance = max(SAFETY * float(errors.max(initial=0.0)), torch.finfo(dtype).eps)
        return self.tolerance
