"""Codes for the page's tests: made-up surveys, and small ones from dense activations that brute force can follow."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.pictures import Pictures
from sfnet_core.explorer.shared.context import Context
from sfnet_core.explorer.shared.label_editor import LabelEditor
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def made_up() -> Callable[..., SparseCodes]:
    """``made_up(n, features=…, k=…, map_shape=…)``: simulated codes with catalogue, splits and truth."""
    return runpy.run_path(str(BENCHMARKS / "simulated_codes.py"))["simulated_codes"]


@pytest.fixture(scope="session")
def gated() -> Callable[..., SparseCodes]:
    """``gated(dense, weight, bias, k, r, **more)``: codes of dense ``(N, F)`` activations; target oh_p50, dex."""

    def build(dense, weight, bias, k, r, **more) -> SparseCodes:
        dense = np.asarray(dense, dtype=np.float32)
        order = np.argsort(-dense, axis=1, kind="stable")[:, : k + r]
        values = np.take_along_axis(dense, order, axis=1)
        given = {
            "ids": [f"g{i}" for i in range(len(dense))],
            "targets": ["oh_p50"],
            "units": {"oh_p50": "dex"},
            "indices": np.where(values > 0, order, -1),
            "values": values,
            "k": k,
            "features": dense.shape[1],
            "weight": np.asarray(weight, dtype=float).reshape(1, -1),
            "bias": [bias],
        }
        return SparseCodes.from_arrays(**{**given, **more})

    return build


@pytest.fixture(scope="session")
def context() -> Callable[[SparseCodes, State], Context]:
    """``context(codes, state)``: what views share, without pictures; messages go nowhere."""

    def build(codes: SparseCodes, state: State) -> Context:
        labels = LabelEditor(codes, state)
        scene, pictures = Scene(codes, labels.given()), Pictures(codes, None)
        return Context(scene, state, pictures, labels, lambda words: None)

    return build


@pytest.fixture(scope="session")
def plain_prediction() -> Callable[..., np.ndarray]:
    """The network's last steps on dense activations, galaxy by galaxy: ``plain_prediction(dense, weight, bias, k, off,
    mode)`` gives ``(N,)``. Every activation is at hand, so refill needs no runners-up."""

    def predict(dense, weight, bias, k, off, mode) -> np.ndarray:
        out = []
        for row in np.asarray(dense, dtype=np.float32):
            row = [0.0 if mode == "refill" and j in off else float(a) for j, a in enumerate(row)]
            kept = sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]
            out.append(bias + sum(float(weight[j]) * row[j] for j in kept if j not in off))
        return np.array(out)

    return predict
