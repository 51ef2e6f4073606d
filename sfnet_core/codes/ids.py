"""Identifiers of many galaxies: found by a hash, without a Python object for each of them."""

from __future__ import annotations

import numpy as np

__all__ = ["find", "first_repeated", "hash_order", "text_hash"]

SEED, PRIME = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a (Fowler, Noll & Vo), 64 bits, over code points
BITS = (1 << 64) - 1
PIECE = 1 << 14


def text_hash(texts: np.ndarray) -> np.ndarray:
    """(N,) uint64: FNV-1a over each text's code points, padded with zeros to the array's width."""
    n, width = len(texts), texts.dtype.itemsize // 4
    found = np.full(n, SEED, dtype=np.uint64)
    for start in range(0, n, PIECE):
        part = np.ascontiguousarray(texts[start : start + PIECE])
        letters, total = part.view(np.uint32).reshape(len(part), width), found[start : start + PIECE]
        for place in range(width):
            total ^= letters[:, place]
            total *= np.uint64(PRIME)
    return found


def one_hash(text: str, width: int) -> int:
    """:func:`text_hash` of one text in an array of that width."""
    total = SEED
    for letter in text.ljust(width, "\0"):
        total = ((total ^ ord(letter)) * PRIME) & BITS
    return total


def hash_order(texts: np.ndarray) -> np.ndarray:
    """(N,) int32 rows by rising hash."""
    return np.argsort(text_hash(texts)).astype(np.int32)


def find(texts: np.ndarray, order: np.ndarray, text: str) -> int | None:
    """The row with this text, or ``None``; ``order`` from :func:`hash_order`."""
    width = texts.dtype.itemsize // 4
    if len(text) > width or text.endswith("\0"):  # numpy drops zeros at the end, so no text here has one
        return None
    sought, low, high = one_hash(text, width), 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if one_hash(str(texts[order[middle]]), width) < sought:
            low = middle + 1
        else:
            high = middle
    while low < len(order):
        found = str(texts[order[low]])
        if found == text:
            return int(order[low])
        if one_hash(found, width) != sought:
            return None
        low += 1
    return None


def first_repeated(texts: np.ndarray, order: np.ndarray) -> int | None:
    """The first row whose text an earlier row has too, or ``None``."""
    hashed = text_hash(texts)[order]
    same = np.flatnonzero(hashed[1:] == hashed[:-1])
    if not len(same):
        return None
    rows = np.sort(order[np.unique(np.concatenate([same, same + 1]))])
    _, first = np.unique(texts[rows], return_index=True)
    again = np.ones(len(rows), dtype=bool)
    again[first] = False
    return int(rows[again][0]) if again.any() else None
