"""An index from each feature to the galaxies on which it fires, and what follows from it: tops, histograms, pairs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["ActivationIndex"]


class ActivationIndex:
    """The kept activations of some galaxies, by feature.

    ``rows`` (n,) are the galaxies in view as rows of the codes; a *position* is an index into them. ``position``,
    ``feature`` and ``activation`` (E,) list every kept activation, sorted by feature and then by position.
    """

    def __init__(self, codes: SparseCodes, rows: np.ndarray):
        self.codes, self.rows, self.n = codes, np.asarray(rows), len(rows)
        k = codes.k
        everything = self.n == len(codes) and np.array_equal(self.rows, np.arange(self.n))
        pick = slice(None) if everything else self.rows
        self.kept = codes.indices[pick, :k]  # (n, k)
        self.values = codes.values[pick, :k]
        flat = self.kept.ravel()
        order = np.argsort(flat, kind="stable")
        order = order[np.searchsorted(flat[order], 0) :]  # empty slots are -1
        self.feature = flat[order].astype(np.int64)
        self.position = order // k
        self.activation = self.values.ravel()[order].astype(np.float64)
        self._start = np.searchsorted(self.feature, np.arange(codes.features + 1))

    def of(self, feature: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions (ascending) on which a feature fires, and its activations there, both (fires,)."""
        part = slice(self._start[feature], self._start[feature + 1])
        return self.position[part], self.activation[part]

    @property
    def fires(self) -> np.ndarray:
        """(F,) on how many galaxies in view each feature fires."""
        return np.diff(self._start)

    @cached_property
    def gate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n,) three times: the last feature in, the first one out, and how far their activations are apart.

        Only for codes with runners-up.
        """
        codes, k = self.codes, self.codes.k
        gap = codes.values[self.rows, k - 1].astype(np.float64) - codes.values[self.rows, k]
        return codes.indices[self.rows, k - 1], codes.indices[self.rows, k], gap

    def dense(self, feature: int) -> np.ndarray:
        """(n,) activation of a feature, 0 where it does not fire."""
        out = np.zeros(self.n)
        position, activation = self.of(feature)
        out[position] = activation
        return out

    def top(self, feature: int, count: int) -> np.ndarray:
        """Up to ``count`` rows of the codes by falling activation; ties: the earlier galaxy."""
        position, activation = self.of(feature)
        if len(activation) > 8 * count > 0:  # only the strongest are sorted
            edge = np.partition(activation, len(activation) - count)[len(activation) - count]
            strong = activation >= edge
            position, activation = position[strong], activation[strong]
        return self.rows[position[np.argsort(-activation, kind="stable")[:count]]]

    def histogram(self, feature: int, bins: int) -> tuple[np.ndarray, float]:
        """Counts (bins,) of the activations where the feature fires, in equal bins from 0 to the largest one."""
        _, activation = self.of(feature)
        largest = float(activation.max()) if len(activation) else 0.0
        if largest == 0:
            return np.zeros(bins, dtype=np.int64), 0.0
        which = np.minimum((activation * (bins / largest)).astype(np.int64), bins - 1)
        return np.bincount(which, minlength=bins), largest

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(F, F) twice: on how many galaxies two features fire together, and Σ of the product of their activations.

        One ``bincount`` per pair of slots; the (n, F) matrix of activations is never made.
        """
        size, k = self.codes.features, self.codes.k
        both, product = np.zeros(size * size), np.zeros(size * size)
        for one in range(k):
            for other in range(one, k):
                use = (self.kept[:, one] >= 0) & (self.kept[:, other] >= 0)
                flat = self.kept[use, one].astype(np.int64) * size + self.kept[use, other]
                both += np.bincount(flat, minlength=size * size)
                weights = self.values[use, one].astype(np.float64) * self.values[use, other]
                product += np.bincount(flat, weights, minlength=size * size)
        both, product = both.reshape(size, size), product.reshape(size, size)
        both = both + both.T - np.diag(both.diagonal())
        product = product + product.T - np.diag(product.diagonal())
        return both.astype(np.int64), product

    def correlation(self, product: np.ndarray) -> np.ndarray:
        """(F, F) Pearson correlation of the activations (0 where silent) from :meth:`pairs`; NaN for constants."""
        if not self.n:
            return np.full_like(product, np.nan)
        mean = np.bincount(self.feature, self.activation, minlength=self.codes.features) / self.n
        covariance = product / self.n - np.outer(mean, mean)
        spread = np.sqrt(np.maximum(covariance.diagonal(), 0))
        spread = np.where(spread > 1e-9 * np.abs(mean), spread, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.clip(covariance / np.outer(spread, spread), -1, 1)
