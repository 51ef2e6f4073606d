"""Cutouts on the device, batch by batch: from memory where they fit, else read ahead from the memory-mapped file."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfnet_core.model.device import to_device
from sfnet_core.model.preprocess import crop_centre, drop_page_cache

__all__ = ["CutoutLoader", "prefetch"]

RAM_LIMIT = 1 << 30  # bytes of cropped cutouts that a feed keeps in memory; a training has two feeds
_DROP_EVERY = 64 << 20  # bytes read of a mapped file before its pages are taken out of the process


class CutoutLoader:
    """Batches of centre-cropped cutouts, (B, side, side, 3) uint8 on ``device``, in the order asked for.

    Small sets are copied to the device once, as uint8: a batch is then one index, with no worker processes and no
    pickling. Large ones stay in the file's pages, and one thread reads the next batches while the network computes (on
    CUDA through pinned memory). Both give the same batches.
    """

    def __init__(
        self, cutouts: np.ndarray, rows: np.ndarray, side: int, device: torch.device, in_memory: bool | None = None
    ) -> None:
        self.cutouts, self.rows, self.side, self.device = cutouts, np.asarray(rows), side, device
        self._read_bytes = 0
        size = len(self.rows) * side * side * 3
        if in_memory is None:
            limit = torch.cuda.mem_get_info(device)[0] // 3 if device.type == "cuda" else RAM_LIMIT
            in_memory = size <= limit
        self._kept = self._all() if in_memory else None

    def __len__(self) -> int:
        return len(self.rows)

    def _all(self) -> Tensor:
        """All cutouts on the device; for a GPU piece by piece, so that the host never holds them all."""
        n = len(self.rows)
        if self.device.type == "cpu":
            return self._read(np.arange(n))
        kept = torch.empty((n, self.side, self.side, 3), dtype=torch.uint8, device=self.device)
        for start in range(0, n, 4096):
            kept[start : start + 4096] = self._read(np.arange(start, min(start + 4096, n))).to(self.device)
        return kept

    def _read(self, positions: np.ndarray, pin: bool = False) -> Tensor:
        """Cutouts at ``positions`` in ``rows``; the file is read in rising order, which is what disks like."""
        rows = self.rows[positions]
        order = np.argsort(rows, kind="stable")
        size = (len(rows), self.side, self.side, 3)
        found = torch.empty(size, dtype=torch.uint8, pin_memory=pin)
        block = found.numpy()
        for start in range(0, len(rows), 256):
            part = order[start : start + 256]
            block[_as_slice(part)] = crop_centre(self.cutouts[_as_slice(rows[part])], self.side)
            self._read_bytes += len(part) * self.cutouts[:1].nbytes
            if self._read_bytes > _DROP_EVERY:
                drop_page_cache(self.cutouts)
                self._read_bytes = 0
        return found

    def batches(self, positions: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """One batch for each array of positions (0…len(rows) − 1)."""
        if self._kept is not None:
            for chosen in positions:
                yield self._kept[to_device(np.asarray(chosen), self.device)]
            return
        pin = self.device.type == "cuda"
        with contextlib.closing(prefetch(self._read(np.asarray(chosen), pin) for chosen in positions)) as ahead:
            for block in ahead:
                yield block.to(self.device, non_blocking=pin)


def _as_slice(rows: np.ndarray) -> np.ndarray | slice:
    """Rows that follow one on another as a slice, so that what it picks is a view and is copied once."""
    return slice(int(rows[0]), int(rows[-1]) + 1) if (np.diff(rows) == 1).all() else rows


def prefetch(items: Iterable, depth: int = 3) -> Generator[Any, None, None]:
    """The same items, made by a background thread up to ``depth`` ahead; its exception is raised where it belongs.

    Closing the generator (or leaving its loop) ends the thread.
    """
    ready: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def put(entry: tuple) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(entry, timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((None, StopIteration()))
        except BaseException as error:  # handed to the consumer, whatever it is
            put((None, error))

    thread = threading.Thread(target=work, name="sfnet-reader", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stop.set()
        thread.join()
