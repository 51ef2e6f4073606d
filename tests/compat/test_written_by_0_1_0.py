"""What version 0.1.0 wrote opens and gives the numbers of 0.1.0: files, codes computed anew, filters, links, pages.

``make_fixtures.py`` made the files and ``recorded.json``; ``readers.py`` asks for the numbers.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from readers import FILTERS, LINKS, SECTIONS, plain, recorded, written

from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_folder
from sfnet_core.inference.runner import infer
from sfnet_core.training.loop import train

CLOSE = 1e-4  # of the largest activation: what another processor or another kernel may change in float32 at most
TIE = 2e-5  # of the largest activation: a gap that rounding does not close


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a copy of the written files."""
    return tmp_path_factory.mktemp("compat")


@pytest.fixture(scope="module")
def then() -> dict[str, Any]:
    """What 0.1.0 read."""
    return recorded()


def differences(now: Any, then: Any, where: str = "") -> list[str]:
    """Where two values of JSON differ: numbers by more than 1e-6 of their size, all else at all."""
    if isinstance(now, dict) and isinstance(then, dict):
        if now.keys() != then.keys():
            return [f"{where}: {sorted(now.keys() ^ then.keys())}"]
        return [line for key in then for line in differences(now[key], then[key], f"{where}/{key}")]
    if isinstance(now, list) and isinstance(then, list):
        if len(now) != len(then):
            return [f"{where}: {len(now)} entries, not {len(then)}"]
        pairs = enumerate(zip(now, then, strict=True))
        return [line for i, pair in pairs for line in differences(*pair, f"{where}/{i}")]
    if float in (type(now), type(then)) and {type(now), type(then)} <= {float, int}:
        same = math.isclose(now, then, rel_tol=1e-6, abs_tol=1e-9)
    else:
        same = type(now) is type(then) and now == then
    return [] if same else [f"{where}: {now!r}, not {then!r}"]


@pytest.mark.parametrize("section", SECTIONS)
def test_files_links_and_pages_give_the_numbers_of_0_1_0(section, folder, then):
    found = differences(plain(SECTIONS[section](folder)), then[section])
    assert not found, "\n".join(found[:40])


def test_the_record_covers_every_filter_and_every_link(then):
    assert set(then["filters"]) == set(FILTERS)
    assert len(then["links"]) == sum(map(len, LINKS.values()))
    assert sum(0 < len(rows) < 40 for rows in then["filters"].values()) == len(FILTERS)  # each tells galaxies apart


def same_gates(now: SparseCodes, before: SparseCodes) -> float:
    """Assert that kept features and runners-up are the same in every place that float32 decides, and their values.

    A place is decided where the activations before and after it differ by more than rounding; the last one has none
    after it. Returns the share of places that were compared.
    """
    scale = float(before.values.max())
    gaps = -np.diff(before.values, axis=1)
    clear = np.ones(before.values.shape, dtype=bool)
    clear[:, :-1] &= gaps > TIE * scale
    clear[:, 1:] &= gaps > TIE * scale
    clear[:, -1] = False
    np.testing.assert_array_equal(now.indices[clear], before.indices[clear])
    np.testing.assert_allclose(now.values, before.values, rtol=0, atol=CLOSE * scale)
    sure = before.margin > TIE * scale
    for target in before.targets:
        np.testing.assert_allclose(now.prediction(target)[sure], before.prediction(target)[sure], rtol=0, atol=1e-3)
    return float(clear[:, :-1].mean())


@pytest.mark.parametrize("name", ["", "-auxk"])
def test_an_old_run_gives_its_old_codes(name, folder, tmp_path):
    here = written(folder)
    before = SparseCodes.open(here / f"codes{name}.parquet")
    how = {"runners_up": 4, "tta": not name, "device": "cpu", "precision": "float32", "progress": False}
    now = infer(here / f"run{name}", here / "dataset", tmp_path / "codes.parquet", **how)
    assert now.ids.tolist() == before.ids.tolist() and now.split.tolist() == before.split.tolist()
    assert same_gates(now, before) > 0.9
    for column in ("unlike", "unlike_distance", "unlike_range"):
        np.testing.assert_allclose(now.column(column), before.column(column), rtol=1e-2, atol=1e-2)
    kept = np.all(now.indices[:, : now.k] == before.indices[:, : now.k], axis=1)
    rows = np.flatnonzero(kept)
    np.testing.assert_allclose(now.maps(rows), before.maps(rows), rtol=0, atol=1e-3)
    np.testing.assert_allclose(now.sky.maps, before.sky.maps, rtol=0, atol=1e-3)
    assert now.sky.level == before.sky.level


def test_the_embedded_run_gives_the_embedded_codes(tmp_path):
    rows, codes, dataset = np.arange(0, 1200, 20), sample_codes(), sample_dataset()
    few = Dataset.create(
        tmp_path / "few", codes.ids[rows], dataset.cutouts[rows], pixel_scale=dataset.pixel_scale, simulated=True
    )
    now = infer(sample_folder() / "sample-run", few, tmp_path / "codes.parquet", device="cpu", progress=False)
    assert same_gates(now, codes.take(rows)) > 0.9


def test_a_finished_old_run_is_taken_as_finished(folder):
    """The configuration in an old record equals what the same arguments mean now."""
    here = written(folder)
    targets = "oh_p50,log_N2,log_Ha,log_O3,log_Hb"
    how = {"k": 3, "multi_k": 7, "epochs": 4, "width": 4, "crop": 48, "device": "cpu", "progress": False}
    before = (here / "run" / "model.safetensors").read_bytes()
    run = train(here / "dataset", here / "run", target=targets, resume=True, **how)
    assert run.status == "finished" and (here / "run" / "model.safetensors").read_bytes() == before
