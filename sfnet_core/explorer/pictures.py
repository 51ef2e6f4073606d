"""Cutouts as JPEG bytes for the page, as stored: north-up, never mirrored, never resampled on the server."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sfnet_core.codes import SparseCodes
    from sfnet_core.survey.dataset import Dataset

__all__ = ["Pictures"]

KEPT = 512  # JPEGs kept in memory, about 4 kB each


class Pictures:
    """The dataset's cutouts by the *codes'* row; ``why`` says why there are none."""

    def __init__(self, codes: SparseCodes, dataset: Dataset | None):
        self._dataset = dataset
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self.why = "" if dataset is not None else "No images: start the explorer with --dataset DATASET to see them."
        self._index = np.full(len(codes), -1, dtype=np.int64)
        if dataset is not None:
            if len(dataset.ids) == len(codes) and np.array_equal(dataset.ids, codes.ids):
                self._index = np.arange(len(codes))
            else:
                where = {str(name): i for i, name in enumerate(dataset.ids)}
                self._index = np.array([where.get(str(name), -1) for name in codes.ids])

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
        from sfnet_core.survey.cutouts import encode_jpeg

        image = encode_jpeg(np.ascontiguousarray(cutout), quality=92)
        self._kept[row] = image
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return image
