"""Activations out of nothing, and codes of them, for what compares trainings."""

from __future__ import annotations

import numpy as np

from sfnet_core.codes.table import SparseCodes


def made(seed: int = 0, n: int = 120, features: int = 7) -> np.ndarray:
    """(n, F) activations, each present on six galaxies of ten."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(n, features)) * (rng.uniform(size=(n, features)) < 0.6)


def codes_of(
    a: np.ndarray, *, k: int = 3, r: int = 2, ids: list[str] | None = None, split=None, weight: int = 0, **provenance
) -> SparseCodes:
    """Codes whose activations are ``a`` (n, F), cut to the k + r strongest; ``weight``: the seed of the head's."""
    order = np.argsort(-a, axis=1, kind="stable")[:, : k + r]
    values = np.take_along_axis(a, order, 1).astype(np.float32)
    return SparseCodes.from_arrays(
        ids=ids or [f"g{i:04d}" for i in range(len(a))],
        indices=np.where(values > 0, order, -1).astype(np.int16),
        values=values,
        k=k,
        features=a.shape[1],
        weight=np.random.default_rng(weight).normal(size=(1, a.shape[1])),
        bias=np.zeros(1),
        targets=["oh_p50"],
        units={"oh_p50": "dex"},
        split=np.full(len(a), "validation") if split is None else split,
        truth={},
        simulated=True,
        provenance=provenance,
    )
