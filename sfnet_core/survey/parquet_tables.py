"""Parquet catalogues."""

from __future__ import annotations
