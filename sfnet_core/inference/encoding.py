"""Rows of a dataset → their codes' arrays, in batches of one fixed size, in float32 or in bfloat16.

A convolution's last bits can depend on the shape of the batch. So the network always sees batches of one size, filled
up with black images: a row's neighbours never change its numbers.

Shape letters: B batch, F features, K kept, r runners-up, T targets, n rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfnet_core.codes.empty_sky import Sky
from sfnet_core.codes.header import RUNNERS_UP
from sfnet_core.codes.novelty import COLUMNS as UNLIKE
from sfnet_core.codes.novelty import Typical
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.tolerance import NEAR
from sfnet_core.model.cutout_loader import CutoutLoader
from sfnet_core.model.device import AsyncCopy, plain_float32
from sfnet_core.model.kernels.fused import trunk_of
from sfnet_core.model.network import SFNet, code_of, pool, strongest
from sfnet_core.model.preprocess import ORIENTATIONS, orient, to_input

__all__ = ["Encoder", "micro_batch"]

_MICRO = {"cpu": 32, "cuda": 256, "mps": 64}  # rows per forward pass; part of the result's last bits, so not an option

Part = dict[str, np.ndarray]


def micro_batch(device: torch.device) -> int:
    """Rows per forward pass on a device."""
    return _MICRO[device.type]


class Encoder:
    """One network on one dataset, ready to encode rows of it.

    Args:
        network: in ``eval`` mode, on the device that computes.
        metadata: the checkpoint's fields: crop and normalisation.
        dataset: the galaxies.
        runners_up, maps, tta: as of :func:`sfnet_core.inference.runner.infer`.
        typical: what the training galaxies are like, where each row is to be compared with them; ``places`` (N,): which
            of them a row is, −1 for none.
    """

    def __init__(
        self,
        network: SFNet,
        metadata: dict,
        dataset: Dataset,
        *,
        runners_up: int = RUNNERS_UP,
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
        self.k, self.n_features = network.k, network.n_features
        self.micro = micro_batch(self.device)
        self._trunks: dict[torch.dtype, Callable[[Tensor], Tensor]] = {}

    def trunk(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Images → maps in a precision; made when first asked for."""
        if dtype not in self._trunks:
            self._trunks[dtype] = trunk_of(self._network, self._crop, self.micro, dtype)
        return self._trunks[dtype]

    def batches(self, rows: np.ndarray) -> Iterator[tuple[int, Tensor]]:
        """(how many are galaxies, cutouts (micro, s, s, 3) uint8 filled up with black ones)."""
        feed = CutoutLoader(self._dataset.cutouts, rows, self._crop, self.device, in_memory=False)
        positions = [np.arange(i, min(i + self.micro, len(rows))) for i in range(0, len(rows), self.micro)]
        for cutouts in feed.batches(positions):
            n = len(cutouts)
            if n < self.micro:
                cutouts = torch.cat([cutouts, cutouts.new_zeros(self.micro - n, *cutouts.shape[1:])])
            yield n, cutouts

    def cells(self, cutouts: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Maps (micro, F, h, w) of cutouts as :meth:`batches` gives them, turned or not."""
        return self.trunk(dtype)(to_input(cutouts, self._mean, self._std))

    @torch.inference_mode()
    def encode(
        self,
        rows: np.ndarray,
        dtype: torch.dtype = torch.float32,
        done: Callable[[int], object] = lambda n: None,
        at: np.ndarray | None = None,
    ) -> Part:
        """``indices`` and ``values`` (n, K+r), ``maps`` (n, K, h, w), ``views`` (n, T), ``good`` (n,) of ``rows``.

        ``views`` is the sum of the predictions of the 7 turned views. ``good`` is False where a row is not finite. With
        ``typical`` also :data:`sfnet_core.codes.novelty.COLUMNS`. ``done`` counts rows. In bfloat16 also ``slots`` and
        ``near`` (n, min(F, K + NEAR)), the strongest features and their activations, for
        :mod:`sfnet_core.inference.tolerance`; with ``at`` (such slots) also ``exact``, the activations of those
        features.
        """
        names = ("indices", "values", "maps", "views", "slots", "near", "exact", *UNLIKE)
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        waiting: deque[tuple[Any, ...]] = deque()  # rows and their filled up batch, for what is measured of it
        begun = 0
        with plain_float32():
            for n, arrays in _behind(self._launched(rows, dtype, at is not None), self.device):
                a: Any = arrays.pop("a", None)  # (micro, F)
                if self.typical is not None:
                    waiting.append((rows[begun : begun + n], a, arrays["indices"], arrays["values"]))
                if at is not None:
                    wanted = at[begun : begun + n]
                    taken = np.take_along_axis(a[:n], wanted.clip(0).astype(np.int64), axis=1)
                    arrays["exact"] = np.where(wanted >= 0, taken, 0)
                if self._tta:
                    arrays["views"] = torch.from_numpy(arrays["views"]).double().sum(1).numpy()
                for name, array in arrays.items():
                    found[name].append(array[:n])
                begun += n
                done(n)
                if self.device.type != "cpu":
                    self._measure(waiting, found)
        # on a CPU not between the batches: numpy's BLAS has threads that wait for more work, busily, on its cores
        self._measure(waiting, found)
        part = {name: np.concatenate(arrays) for name, arrays in found.items() if arrays}
        part["good"] = np.isfinite(part["values"]).all(axis=1)
        for name in ("maps", "views"):
            if name in part:
                part["good"] &= np.isfinite(part[name].reshape(len(rows), -1)).all(axis=1)
        return part

    def _launched(self, rows: np.ndarray, dtype: torch.dtype, dense: bool) -> Iterator[tuple[int, AsyncCopy]]:
        """Batch by batch, how many of it are galaxies, and what the device makes of it (micro, …), as it is begun."""
        k = self._network.k
        for n, cutouts in self.batches(rows):
            cells = self.cells(cutouts, dtype)
            made = dict(zip(("indices", "values", "maps"), code_of(cells, k, self._runners_up), strict=True))
            if not self._maps:
                del made["maps"]
            if self.typical is not None or dtype != torch.float32 or dense:
                a = pool(cells)  # (micro, F)
                if self.typical is not None or dense:
                    made["a"] = a
                if dtype != torch.float32:
                    near, slots = strongest(a, k + NEAR)
                    made["slots"], made["near"] = slots.masked_fill(near <= 0, -1).to(torch.int16), near
            if self._tta:
                turned = (self.cells(orient(cutouts, i), dtype) for i in range(1, ORIENTATIONS))
                made["views"] = torch.stack([self._network.read(pool(view)) for view in turned], 1)  # (micro, 7, T)
            yield n, AsyncCopy(made, self.device)

    def _measure(self, waiting: deque[tuple[Any, ...]], found: dict[str, list[np.ndarray]]) -> None:
        """How unlike the training galaxies rows are, of filled up batches' activations (micro, F) and codes."""
        while waiting and self.typical is not None:
            rows, a, indices, values = waiting.popleft()
            own = np.full(self.micro, -1)
            own[: len(rows)] = -1 if self._places is None else self._places[rows]
            with np.errstate(invalid="ignore"):  # a row that is not finite is set aside
                columns = self.typical.measure(a, indices, values, own)
            for name, array in columns.items():
                found[name].append(array[: len(rows)])

    @torch.inference_mode()
    def sky(self, level: tuple[int, ...]) -> Sky:
        """Every feature's map of a blank image of this colour (3,), in float32, from a batch of the usual size."""
        blank = torch.tensor(level, dtype=torch.uint8, device=self.device).expand(self.micro, self._crop, self._crop, 3)
        with plain_float32():
            cells = self.cells(blank)  # (micro, F, h, w)
        return Sky(tuple(level), cells[0].float().cpu().numpy())

    @torch.inference_mode()
    def activations(self, rows: np.ndarray, done: Callable[[int], object] = lambda n: None) -> np.ndarray:
        """All activations of ``rows`` before the gate, (n, F) float32."""
        found = []
        with plain_float32():
            for n, cutouts in self.batches(rows):
                found.append(pool(self.cells(cutouts))[:n].cpu().numpy())
                done(n)
        return np.concatenate(found)


def _behind(batches: Iterable[tuple[int, AsyncCopy]], device: torch.device) -> Iterator[tuple[int, Part]]:
    """The batches' arrays; on CUDA each after the next one was begun, so that the host works while the device does."""
    waiting: deque[tuple[int, AsyncCopy]] = deque()
    for batch in batches:
        waiting.append(batch)
        if len(waiting) > (device.type == "cuda"):
            n, tensors = waiting.popleft()
            yield n, tensors.arrays()
    for n, tensors in waiting:
        yield n, tensors.arrays()
