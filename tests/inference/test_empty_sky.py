"""The empty sky: which colour it has, what a gate keeps of it, and how it goes into a codes file and out again."""

from __future__ import annotations

import base64
import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.codes.empty_sky import Sky, blank_map, kept_of, typical_sky
from sfnet_core.codes.header import Header
from sfnet_core.codes.table import SparseCodes
from sfnet_core.inference.encoding import Encoder
from sfnet_core.inference.runner import infer
from sfnet_core.utils.errors import SFNetError

made_by = runpy.run_path(str(Path(__file__).parent / "test_runner.py"))
SIDE, CELLS = 40, 4


def test_the_typical_sky_is_the_median_of_the_borders_of_what_the_network_sees():
    cutouts = np.full((5, 12, 14, 3), 200, dtype=np.uint8)
    for i, level in enumerate(([3, 1, 0], [5, 2, 9], [4, 2, 1], [90, 80, 70], [4, 3, 1])):
        cutouts[i, 2:10, 3:11] = level  # the central 8 px
        cutouts[i, 4:8, 5:9] = 255  # a galaxy
        cutouts[i, 2, 3:6] = 250  # and a star on the border
    assert typical_sky(cutouts, 8) == (4, 2, 1)
    assert typical_sky(cutouts[3:4], 8) == (90, 80, 70)


maps = st.integers(1, 7).flatmap(
    lambda f: st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 4.0]), min_size=4 * f, max_size=4 * f)
)


@settings(max_examples=80, deadline=None)
@given(cells=maps, k=st.integers(1, 8), refill=st.booleans(), data=st.data())
def test_a_gate_keeps_of_the_empty_sky_what_it_keeps_of_any_image(plain_prediction, cells, k, refill, data):
    sky = np.array(cells, dtype=np.float32).reshape(-1, 2, 2)
    off = data.draw(st.frozensets(st.integers(0, len(sky) - 1)))
    weight = np.random.default_rng(len(sky)).normal(size=len(sky))
    expected = plain_prediction(sky.mean(axis=(1, 2))[None], weight, 8.0, k, off, "refill" if refill else "ablate")
    assert 8.0 + blank_map(weight, sky, k, off, refill).sum() == pytest.approx(expected[0], abs=1e-9)
    assert not set(kept_of(sky, k, off, refill).tolist()) & off


@pytest.fixture(scope="session")
def plain_prediction():
    """Galaxy by galaxy, on dense activations, as in ``tests/explorer/conftest.py``."""

    def predict(dense, weight, bias, k, off, mode) -> list[float]:
        out = []
        for row in dense.tolist():
            row = [0.0 if mode == "refill" and j in off else a for j, a in enumerate(row)]
            kept = sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]
            out.append(bias + sum(weight[j] * row[j] for j in kept if j not in off))
        return out

    return predict


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set, a run and its codes."""
    folder = tmp_path_factory.mktemp("sky")
    dataset = made_by["make_dataset"](folder / "blobs", n=40)
    run = made_by["make_run"](folder / "run", dataset, crop=SIDE)
    return dataset, run, infer(run, dataset, folder / "codes.parquet", progress=False)


def test_infer_keeps_the_networks_answer_to_a_blank_image(made):
    dataset, run, codes = made
    assert codes.sky.level == typical_sky(dataset.cutouts, SIDE)
    x = (np.array(codes.sky.level) / 255 - run.metadata["mean"]) / run.metadata["std"]
    image = torch.tensor(x, dtype=torch.float32)[:, None, None].expand(3, SIDE, SIDE)[None]
    network = run.network()
    with torch.no_grad():
        expected, prediction = network.maps(image.contiguous())[0].numpy(), float(network(image))
    np.testing.assert_allclose(codes.sky.maps, expected, atol=1e-5, rtol=1e-5)
    assert float(codes.bias[0] + blank_map(codes.weight[0], codes.sky.maps, 3).sum()) == pytest.approx(
        prediction, abs=1e-5
    )
    # the identity that the page shows: map less the empty sky's sums to what the light changed
    weight, row = np.append(codes.weight[0], 0.0)[codes.indices[7, :3]], codes.maps([7])[0].astype(float)
    cells = np.tensordot(weight, row, axes=1) / row[0].size - blank_map(codes.weight[0], codes.sky.maps, 3)
    assert cells.sum() == pytest.approx(codes.prediction()[7] - prediction, abs=1e-5)


def test_it_is_one_image_whatever_the_rows_are_and_only_where_there_are_maps(made, tmp_path):
    dataset, run, codes = made
    assert codes.take([3, 5]).sky is codes.sky and codes.at_k(2).sky.maps is codes.sky.maps
    encoder = Encoder(run.network(), run.metadata, dataset)
    np.testing.assert_array_equal(encoder.sky(codes.sky.level).maps, codes.sky.maps)
    assert np.abs(encoder.sky((255, 0, 128)).maps - codes.sky.maps).max() > 0.01
    without = infer(run, dataset, tmp_path / "codes.parquet", maps=False, progress=False)
    assert without.sky is None and without.fingerprint == codes.fingerprint
    assert "sky" not in json.loads(without.header.to_json())


def test_files_without_it_still_open_and_say_nothing(made, tmp_path):
    codes = made[2]
    old = SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=3, features=32, weight=codes.weight,
        bias=codes.bias, targets=codes.targets, maps=codes.maps(slice(None)),
    )  # fmt: skip
    old.save(tmp_path / "old.parquet")
    opened = SparseCodes.open(tmp_path / "old.parquet")
    assert opened.sky is None and opened.map_shape == codes.map_shape
    codes.save(tmp_path / "again.parquet")
    again = SparseCodes.open(tmp_path / "again.parquet")
    assert again.sky.level == codes.sky.level
    np.testing.assert_array_equal(again.sky.maps, codes.sky.maps)
    assert (tmp_path / "again.parquet").read_bytes() == codes.path.read_bytes()


def text(cells: np.ndarray) -> str:
    return base64.b64encode(cells.astype("<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("sky", "word"),
    [
        (5, "`sky`"),
        ({"level": [1, 2], "maps": ""}, "level"),
        ({"level": [1, 2, 256], "maps": ""}, "level"),
        ({"level": [1, 2, True], "maps": ""}, "level"),
        ({"level": [1, 2, 3]}, "`sky.maps`"),
        ({"level": [1, 2, 3], "maps": "no base64!"}, "`sky.maps`"),
        ({"level": [1, 2, 3], "maps": text(np.zeros(32 * CELLS - 1))}, "32×"),
        ({"level": [1, 2, 3], "maps": [0.0] * 32 * CELLS}, "`sky.maps`"),
        ({"level": [1, 2, 3], "maps": text(np.full(32 * CELLS, np.nan))}, "finite"),
        ({"level": [1, 2, 3], "maps": text(np.full(32 * CELLS, -1.0))}, "below 0"),
    ],
)
def test_a_damaged_one_is_refused_with_the_field(made, sky, word):
    header = json.loads(made[2].header.to_json())
    assert header["map_shape"] == [2, 2]
    with pytest.raises(SFNetError, match=word) as refused:
        Header.from_json(json.dumps(header | {"sky": sky}), "codes.parquet")
    assert "codes.parquet" in str(refused.value) and "sky" in str(refused.value)


def test_one_of_another_network_is_refused(made):
    header = made[2].header
    with pytest.raises(SFNetError, match="sky"):
        replace(header, sky=Sky((0, 0, 0), np.zeros((31, 2, 2), np.float32))).check("codes")
