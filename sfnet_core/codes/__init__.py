"""Sparse codes: the table (``SparseCodes``), its file, its checks, sums over it. No torch, no pandas."""
