"""The embedded sample: simulated galaxies, a narrow network trained on them and its codes, from ``data/``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.utils.files import default_cache, sample_folder

if TYPE_CHECKING:
    from sfnet_core.model.run import Run

__all__ = ["sample_codes", "sample_dataset", "sample_folder", "sample_run"]


def sample_codes() -> SparseCodes:
    """The sample's codes."""
    return SparseCodes.open(sample_folder() / "sample-codes.parquet")


def sample_dataset() -> Dataset:
    """The sample's galaxies as a Dataset; unpacked once into the user's cache folder."""
    from sfnet_core.data.sample_file import open_sample

    return open_sample(sample_folder() / "sample-galaxies.parquet", default_cache())


def sample_run() -> Run:
    """The network behind the sample's codes (needs torch)."""
    from sfnet_core.model.run import Run

    return Run.open(sample_folder() / "sample-run")
