"""The 73 observed galaxies with line fluxes, through a small four-line network trained on simulated ones."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from sfnet_core.astro.emission_lines import LINES
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.explorer.shared.sample import sample_dataset
from sfnet_core.model.run import Run

FLUXES = tuple(LINES.values())


@pytest.fixture(scope="module")
def observed(shared_data, tmp_path_factory, sfnet) -> dict:
    """Those of the 6,000 that have fluxes, packed; a run trained on simulated galaxies; its codes of the observed."""
    folder = tmp_path_factory.mktemp("lines")
    source = shared_data / "sdss-gz1-6000"
    with open(source / "galaxies.csv", newline="", encoding="utf-8") as handle:
        header, *rows = csv.reader(handle)
    rows = [row for row in rows if row[header.index("h_alpha_flux")]]
    with open(folder / "galaxies.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([header, *rows])
    whole = sample_dataset()
    few = np.arange(160)
    columns = {name: whole.column(name)[few] for name in whole.columns if name != "id"}
    Dataset.create(
        folder / "simulated", whole.ids[few], np.asarray(whole.cutouts[few]), columns, pixel_scale=whole.pixel_scale,
        simulated=True, units=whole.units,
    )  # fmt: skip
    out = {"table": [dict(zip(header, row, strict=True)) for row in rows], "folder": folder}
    steps = {
        "pack": ("pack", folder / "galaxies.csv", source / "images", "--out", folder / "observed", "--quiet", "--json"),
        "train": (
            "train", folder / "simulated", "--out", folder / "run", "--target", "lines", "--width", 16, "--epochs", 6,
            "--device", "cpu", "--json",
        ),
        "infer": ("infer", folder / "run", folder / "observed", "--out", folder / "codes.parquet", "--quiet", "--json"),
        "evaluate": ("evaluate", folder / "codes.parquet", "--json"),
        "words": ("evaluate", folder / "codes.parquet", "--intervals", 50),
    }  # fmt: skip
    for name, step in steps.items():
        status, stdout, stderr = sfnet(*step)
        assert status in (0, 3), f"sfnet {name} ended with {status}:\n{stderr}"
        out[name] = stdout, stderr
    return out


def test_the_73_are_packed_with_their_fluxes(observed):
    dataset = Dataset.open(observed["folder"] / "observed")
    assert len(observed["table"]) == 73 and len(dataset) + len(dataset.set_aside) >= 73
    by_id = {row["objID"]: row for row in observed["table"]}
    for name in FLUXES:
        wanted = [float(by_id[id][name]) for id in dataset.ids.tolist()]
        np.testing.assert_array_equal(dataset.column(name), wanted)


def test_the_run_predicts_four_lines_and_counts_what_it_left_out(observed):
    run = Run.open(observed["folder"] / "run")
    simulated = Dataset.open(observed["folder"] / "simulated")
    flux = np.stack([simulated.column(name) for name in FLUXES], axis=1)
    error = np.stack([simulated.column(f"{name}_err") for name in FLUXES], axis=1)
    usable = ((flux > 3 * error) & (flux < 1e5) & (flux > 0)).all(axis=1)
    assert run.targets == list(LINES) and run.metadata["units"] == ["dex"] * 4
    assert len(run.split["train"]) + len(run.split["validation"]) == usable.sum() < 160
    assert sum(run.metrics["left_out"].values()) == run.metrics["n_left_out"] == (~usable).sum()
    assert "log_O3 S/N not above 3" in observed["train"][1]
    assert all(f"validation_rmse_{name}" in run.history[-1] for name in LINES)


def test_numbers_on_observed_galaxies_come_with_their_n_and_intervals(observed):
    found, codes = json.loads(observed["evaluate"][0]), SparseCodes.open(observed["folder"] / "codes.parquet")
    fluxes = np.stack([codes.column(name) for name in FLUXES], axis=1)
    good = (fluxes > 0).all(axis=1) & (fluxes < 1e5).all(axis=1)
    assert 20 < good.sum() < 73, "some have a line in absorption: no logarithm, set aside"
    lines = found["lines"]["no split"]
    assert lines["n"] == good.sum() and lines["n_left_out"] == len(codes) - good.sum()
    truth = np.log10(fluxes[good])
    prediction = np.stack([codes.prediction(name)[good] for name in LINES], axis=1)
    assert lines["all"]["rmse"] == pytest.approx(np.sqrt(((prediction - truth) ** 2).mean()), rel=1e-6)
    assert sum(map(sum, lines["bpt"]["confusion"])) == lines["n"]
    for m in (*lines["lines"].values(), *lines["ratios"].values()):
        low, high = m["intervals"]["rmse"]
        assert low < m["rmse"] < high
        assert high - low > 0.02, "so few galaxies leave a wide interval"
    print(observed["words"][0])


def test_what_could_not_be_checked_is_said(observed):
    notes = " ".join(SparseCodes.open(observed["folder"] / "codes.parquet").provenance["notes"])
    assert "There are no flux errors for log_N2, log_Ha, log_O3, log_Hb, so S/N > 3 is not required." in notes
    assert "lack a measurement of a line: log_N2 not above 0" in notes
    assert "trained on simulated galaxies; these are observed" in notes
    assert (
        "The four lines, no split" in observed["words"][0] and "Note: There are no flux errors" in observed["words"][0]
    )
