"""Texts from Arrow to numpy without an object each, against Arrow's own list."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.utils import parquet_guard
from sfnet_core.utils.parquet_guard import longest, texts

WORDS = st.text(st.characters(max_codepoint=0x3FF, exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=200, deadline=None)
@given(
    words=st.lists(st.none() | WORDS | st.text("abc", max_size=5), max_size=9),
    kind=st.sampled_from([pa.string(), pa.large_string()]),
    cut=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    piece=st.integers(1, 4),
)
def test_texts_are_those_of_arrow(words, kind, cut, piece):
    array = pa.array(words, kind)[cut[0] : max(len(words) - cut[1], cut[0])]
    before, parquet_guard.PIECE = parquet_guard.PIECE, piece
    try:
        found = texts(array)
    finally:
        parquet_guard.PIECE = before
    expected = [word or "" for word in array.to_pylist()]
    assert found.dtype.kind == "U" and found.tolist() == expected
    assert longest(array) == max((len(word.encode()) for word in expected), default=0)


def test_zeros_at_the_end_are_dropped_as_numpy_does():
    assert texts(pa.array(["a\0b\0", "c"])).tolist() == np.array(["a\0b\0", "c"]).tolist()
    assert texts(pa.array([], pa.string())).shape == (0,)
