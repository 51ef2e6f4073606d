"""Sparse Feature Networks for galaxy images: readable predictions, and the page to read them on.

Images become sparse codes once (:func:`pack`, :func:`train`, :func:`infer`); everything afterwards is arithmetic on
those codes and needs neither a GPU nor torch. Method: Wu 2025, ApJ 980, 183.

    import sfnet_core as sf

    galaxies = sf.pack("catalogue.csv", "images", "galaxies", pixel_scale=0.396)
    run = sf.train(galaxies, "run", target="oh_p50", k=4)
    codes = sf.infer(run, galaxies, "codes.parquet")
    sf.explore(codes, galaxies)

Each name is loaded when it is first asked for: importing the package loads neither torch nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sfnet_core.utils.version import __version__

if TYPE_CHECKING:
    from sfnet_core.analysis.evaluation import evaluate
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.data.packing import pack
    from sfnet_core.explorer.explore.page import explore
    from sfnet_core.inference.runner import infer
    from sfnet_core.model.run import Run
    from sfnet_core.training.loop import train

__all__ = ["Dataset", "Run", "SparseCodes", "__version__", "evaluate", "explore", "infer", "pack", "train"]

_HOME = {
    "Dataset": "data.dataset",
    "Run": "model.run",
    "SparseCodes": "codes.table",
    "evaluate": "analysis.evaluation",
    "explore": "explorer.explore.page",
    "infer": "inference.runner",
    "pack": "data.packing",
    "train": "training.loop",
}


def __getattr__(name: str) -> Any:
    """Load what was asked for from the room that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
