"""The embedded sample is what its commands made, small, and tells a true story."""

from __future__ import annotations

import numpy as np
import pytest

from sfnet_core.analysis.evaluation import evaluate
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_folder, sample_run
from sfnet_core.inference.runner import infer


@pytest.fixture(scope="module")
def codes() -> SparseCodes:
    return sample_codes()


def test_it_is_at_most_12_mb():
    assert sum(path.stat().st_size for path in sample_folder().rglob("*") if path.is_file()) <= 12e6


def test_the_codes_are_what_the_checkpoint_gives_for_the_dataset(codes, tmp_path):
    again = infer(sample_run(), sample_dataset(), tmp_path / "codes.parquet", tta=True, progress=False)
    assert again.ids.tolist() == codes.ids.tolist() and again.split.tolist() == codes.split.tolist()
    # another kind of processor may round otherwise: where two features are as good as equal, either may have the place
    apart = np.abs(np.diff(codes.values.astype(float), axis=1)) > 1e-4  # (N, k + r − 1) from the next one
    ends = np.ones((len(codes), 1), dtype=bool)
    place = np.hstack([ends, apart]) & np.hstack([apart, ends])  # (N, k + r) from both
    assert place.mean() > 0.95
    assert (again.indices[place] == codes.indices[place]).all()
    kept, clear = place[:, : codes.k].all(axis=1), apart[:, codes.k - 1]  # each kept one; which ones are kept
    assert kept.mean() > 0.95 and clear.mean() > 0.95
    np.testing.assert_allclose(again.values, codes.values, atol=2e-4, rtol=1e-4)
    np.testing.assert_allclose(again.prediction()[clear], codes.prediction()[clear], atol=1e-4)
    np.testing.assert_allclose(again.prediction_d4()[clear], codes.prediction_d4()[clear], atol=2e-3)
    rows = np.flatnonzero(kept)[:50]
    np.testing.assert_allclose(again.maps(rows), codes.maps(rows), atol=1e-3, rtol=1e-3)
    assert again.provenance["dataset_fingerprint"] == codes.provenance["dataset_fingerprint"]


def test_it_says_that_it_is_simulated(codes):
    assert codes.simulated and sample_dataset().simulated
    assert any("simulated" in note.lower() for note in codes.provenance["notes"])


def colour_only_rmse(dataset, codes) -> float:
    """Held-out RMSE of the best of a few quadratic least-squares fits on the galaxies' mean colours: numpy alone."""
    size = dataset.cutouts.shape[1]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(x, y)
    masks = [(radius >= low) & (radius < high) for low, high in ((0, 6), (6, 14), (14, 26))]
    pixels = np.asarray(dataset.cutouts, dtype=np.float32)
    means = np.stack([pixels[:, mask].mean(axis=1) for mask in masks], axis=1) + 1  # (N, rings, 3)
    colours = np.log(means[..., [0, 2]] / means[..., [1]]).reshape(len(pixels), -1)
    train, held_out, truth = codes.split == "train", codes.split == "validation", codes.truth()
    best = np.inf
    for columns in ([0, 1], list(range(colours.shape[1]))):
        c = (colours[:, columns] - colours[train][:, columns].mean(0)) / colours[train][:, columns].std(0)
        products = [c[:, i] * c[:, j] for i in range(len(columns)) for j in range(i, len(columns))]
        design = np.column_stack([np.ones(len(c)), c, *products])
        ridge = design[train].T @ design[train] + np.eye(design.shape[1])
        fitted = design @ np.linalg.solve(ridge, design[train].T @ truth[train])
        best = min(best, float(np.sqrt(np.mean((fitted - truth)[held_out] ** 2))))
    return best


def test_the_network_beats_colours_alone_and_its_features_live(codes):
    dataset = sample_dataset()
    assert dataset.ids.tolist() == codes.ids.tolist()
    about = evaluate(codes, intervals=0)["targets"]["oh_p50"]["splits"]["validation"]
    assert about["n"] == 240
    assert about["rmse"] < colour_only_rmse(dataset, codes)
    assert about["active_features"]["1_percent"] >= 8
