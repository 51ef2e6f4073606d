"""Which picture is whose: the codes' rows in the dataset, found once and kept beside shared codes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sfnet_core.codes import array_store as codes_shelf
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.pictures import Pictures, dataset_rows


def dataset(ids: list[str], fingerprint: str = "0123456789abcdef") -> SimpleNamespace:
    cutouts = np.arange(len(ids), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), dtype=np.uint8)
    return SimpleNamespace(ids=np.array(ids), fingerprint=fingerprint, cutouts=cutouts)


def test_rows_are_matched_by_identifier(made_up):
    codes = made_up(6)
    names = codes.ids.tolist()
    assert dataset_rows(codes, dataset(names)).tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset_rows(codes, dataset(names[::-1])).tolist() == [5, 4, 3, 2, 1, 0]
    pictures = Pictures(codes, dataset(["x", names[4], names[1]]))
    assert pictures.there(np.arange(6)).tolist() == [False, True, False, False, True, False]
    assert pictures.pixels(1)[0, 0, 0] == 2 and pictures.pixels(4)[0, 0, 0] == 1 and pictures.pixels(0) is None
    assert pictures.jpeg(0) == b"" and pictures.jpeg(4)[:2] == b"\xff\xd8"
    nothing = Pictures(codes, None)
    assert not nothing.there(np.arange(6)).any() and nothing.jpeg(3) == b"" and nothing.pixels(3) is None


@pytest.mark.parametrize("fingerprint", ["0123456789abcdef", "../../elsewhere", ""])
def test_they_are_kept_for_that_dataset_alone(made_up, tmp_path, monkeypatch, fingerprint):
    monkeypatch.setenv("SFNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(codes_shelf, "SMALL", 0)
    monkeypatch.setattr(codes_shelf, "SETTLED", -1.0)
    made_up(6).save(tmp_path / "codes.parquet")
    codes = SparseCodes.open(tmp_path / "codes.parquet", shared=True)
    names = codes.ids.tolist()
    assert dataset_rows(codes, dataset(names, fingerprint)).tolist() == [0, 1, 2, 3, 4, 5]
    again = dataset_rows(codes, dataset(names[::-1], fingerprint)).tolist()
    assert again == ([0, 1, 2, 3, 4, 5] if fingerprint.isalnum() else [5, 4, 3, 2, 1, 0])
    assert dataset_rows(codes, dataset(names[::-1], "fedcba9876543210")).tolist() == [5, 4, 3, 2, 1, 0]
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "codes.parquet"}
