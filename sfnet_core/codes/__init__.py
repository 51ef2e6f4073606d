"""Sparse codes: the table (:class:`SparseCodes`), its file, its checks, and sums over it. No torch, no pandas."""
