"""A dataset's cutouts as JPEG, by the rows of codes: as stored (north up, never mirrored), or made smaller."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["Pictures", "dataset_rows"]

KEPT = 512  # JPEGs kept in memory, about 4 kB each


def dataset_rows(codes: SparseCodes, dataset: Dataset) -> np.ndarray:
    """(N,) int32: each of the codes' rows in the dataset, -1 where it is not there; kept beside shared codes."""

    def make() -> np.ndarray:
        if len(dataset.ids) == len(codes) and np.array_equal(dataset.ids, codes.ids):
            return np.arange(len(codes), dtype=np.int32)
        where = {str(name): i for i, name in enumerate(dataset.ids)}
        return np.array([where.get(str(name), -1) for name in codes.ids], dtype=np.int32)

    known = re.fullmatch(r"[0-9a-f]{8,64}", dataset.fingerprint)  # it becomes a file's name
    return codes.derived(f"pictures-{dataset.fingerprint}", make) if known else make()


class Pictures:
    """The dataset's cutouts by the *codes'* row; ``why`` says why there are none.

    Parameters
    ----------
    codes
        Whose rows the cutouts are asked for by.
    dataset
        The cutouts; ``None`` for no pictures.
    side
        Pictures are made at most so many pixels wide and high; ``None`` leaves them as stored.
    """

    def __init__(self, codes: SparseCodes, dataset: Dataset | None, side: int | None = None):
        self._dataset, self._side = dataset, side
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self.why = "" if dataset is not None else "No images: start the explorer with --dataset DATASET to see them."
        self._index = np.broadcast_to(np.int32(-1), len(codes)) if dataset is None else dataset_rows(codes, dataset)

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

        small = cutout if self._side is None else reduced(cutout, self._side)
        image = encode_jpeg(np.ascontiguousarray(small), quality=92 if self._side is None else 85)
        self._kept[row] = image
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return image

    def mean(self, rows: np.ndarray) -> bytes:
        """The mean of the cutouts as stored (display values, not fluxes) as JPEG; empty without images."""
        rows = np.sort(np.asarray(rows, dtype=np.int64))
        rows = rows[self.there(rows)]
        if not len(rows):
            return b""
        from sfnet_core.data.cutouts import encode_jpeg

        total = np.zeros((*self.size, 3))
        for row in rows.tolist():
            total += self.pixels(row)
        return encode_jpeg(np.ascontiguousarray(np.rint(total / len(rows)).astype(np.uint8)), quality=92)


def reduced(cutout: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8 at most ``side`` pixels wide and high, in the cutout's proportions."""
    from PIL import Image

    picture = Image.fromarray(cutout)
    times = max(picture.size) // side
    if times > 1:  # means of whole pixels first: as good, and several times quicker
        picture = picture.reduce(times)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)  # where it is still larger
    return np.asarray(picture)
