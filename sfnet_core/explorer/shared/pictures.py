"""Cutouts as JPEG bytes for the page, as stored: north-up, never mirrored, never resampled on the server."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["Pictures", "place_of"]

KEPT = 512  # JPEGs kept in memory, about 4 kB each


def place_of(codes: SparseCodes, dataset: Dataset) -> np.ndarray:
    """(N,) int32: each of the codes' rows in the dataset, -1 where it is not there; kept beside shared codes."""

    def make() -> np.ndarray:
        if len(dataset.ids) == len(codes) and np.array_equal(dataset.ids, codes.ids):
            return np.arange(len(codes), dtype=np.int32)
        where = {str(name): i for i, name in enumerate(dataset.ids)}
        return np.array([where.get(str(name), -1) for name in codes.ids], dtype=np.int32)

    known = re.fullmatch(r"[0-9a-f]{8,64}", dataset.fingerprint)  # it becomes a file's name
    return codes.derived(f"pictures-{dataset.fingerprint}", make) if known else make()


class Pictures:
    """The dataset's cutouts by the *codes'* row; ``why`` says why there are none."""

    def __init__(self, codes: SparseCodes, dataset: Dataset | None):
        self._dataset = dataset
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self.why = "" if dataset is not None else "No images: start the explorer with --dataset DATASET to see them."
        self._index = np.broadcast_to(np.int32(-1), len(codes)) if dataset is None else place_of(codes, dataset)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels, or ``None`` without images."""
        return None if self._dataset is None else tuple(self._dataset.cutouts.shape[1:3])

    def there(self, rows: np.ndarray) -> np.ndarray:
        """Bool of the shape of ``rows``: which of the codes' rows have a cutout."""
        return self._index[np.asarray(rows, dtype=np.int64)] >= 0

    def pixels(self, row: int) -> np.ndarray | None:
        """The cutout of one of the codes' rows as stored, (H, W, 3) uint8; ``None`` where there is none."""
        index = int(self._index[row])
        return None if index < 0 else np.asarray(self._dataset.cutouts[index])

    def jpeg(self, row: int) -> bytes:
        """The cutout of a row as JPEG; empty where there is none."""
        if row in self._kept:
            self._kept.move_to_end(row)
            return self._kept[row]
        cutout = self.pixels(row)
        if cutout is None:
            return b""
        from sfnet_core.data.cutouts import encode_jpeg

        image = encode_jpeg(np.ascontiguousarray(cutout), quality=92)
        self._kept[row] = image
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return image
