"""Identifiers found by their hash, against a dictionary of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.codes import ids as codes_ids
from sfnet_core.codes.ids import find, first_repeated, hash_order, one_hash, text_hash

LETTERS = st.text(st.characters(exclude_characters="\0"), max_size=6)


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(LETTERS, min_size=1, max_size=12), others=st.lists(LETTERS, max_size=4))
def test_each_text_is_found_and_no_other(texts, others):
    array = np.array(texts, dtype=str)
    order, rows = hash_order(array), {text: row for row, text in reversed(list(enumerate(texts)))}
    for text in [*texts, *others, "x" * 50, "a\0", ""]:
        row = find(array, order, text)
        assert (row is None) == (text not in rows) and (row is None or texts[row] == text)
    seen: set[str] = set()
    expected = next((i for i, text in enumerate(texts) if text in seen or seen.add(text)), None)
    assert first_repeated(array, order) == expected
    width = array.dtype.itemsize // 4
    assert text_hash(array).tolist() == [one_hash(text, width) for text in texts]


def test_identifiers_whose_hashes_are_equal_are_told_apart(monkeypatch):
    monkeypatch.setattr(codes_ids, "text_hash", lambda texts: np.zeros(len(texts), np.uint64))
    monkeypatch.setattr(codes_ids, "one_hash", lambda text, width: 0)
    texts = np.array(["c", "a", "b", "d"])
    order = hash_order(texts)
    assert [find(texts, order, name) for name in "abcde"] == [1, 2, 0, 3, None]
    assert first_repeated(texts, order) is None
    assert first_repeated(np.array(["c", "a", "b", "a", "c"]), hash_order(texts[[0, 1, 2, 1, 0]])) == 3


def test_pieces_join(monkeypatch):
    texts = np.array([f"g{i}" for i in range(1000)])
    whole = text_hash(texts)
    monkeypatch.setattr(codes_ids, "PIECE", 7)
    assert np.array_equal(text_hash(texts), whole) and len(set(whole.tolist())) == 1000
