"""Sparse codes: the table (:class:`SparseCodes`), its file, its checks, and sums over it. No torch, no pandas."""

from sfnet_core.codes.table import SparseCodes, check_dataset

__all__ = ["SparseCodes", "check_dataset"]
