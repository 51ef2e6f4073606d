"""The observed galaxies, packed as a user would; and the two line catalogues, read to the last digit."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from sfnet_core.data.catalogue import read_catalogue
from sfnet_core.data.packing import pack


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(("name", "n"), [("sdss-metallicity-400", 400), ("sdss-gz1-6000", 6000)])
def test_every_observed_galaxy_is_packed(shared_data, tmp_path, name, n):
    folder = shared_data / name
    rows = rows_of(folder / "galaxies.csv")
    dataset = pack(folder / "galaxies.csv", folder / "images", tmp_path / "out", progress=False)
    assert len(dataset) == n
    assert dataset.set_aside == []
    assert dataset.ids.tolist() == [row["objID"] for row in rows]
    assert dataset.cutouts.shape == (n, 128, 128, 3)
    assert dataset.columns == ["id", *list(rows[0])[1:]]
    assert dataset.pixel_scale is None
    assert not dataset.simulated
    for column in dataset.columns[1:]:
        values = dataset.column(column)
        if values.dtype.kind == "f":
            np.testing.assert_array_equal(values, [float(row[column] or "nan") for row in rows])
        else:
            assert values.tolist() == [row[column] for row in rows]
    for i in range(0, n, n // 40):  # the pixels are the file's, beside Pillow's decoder
        with Image.open(folder / "images" / f"{dataset.ids[i]}.jpg") as image:
            assert np.abs(np.asarray(image).astype(int) - dataset.cutouts[i]).max() <= 1
    dataset.verify()


def test_the_metallicities_are_what_the_source_says(shared_data):
    catalogue = read_catalogue(shared_data / "sdss-metallicity-400" / "galaxies.csv")
    metallicity = catalogue.table["oh_p50"]
    assert catalogue.id_column == "objID"
    assert metallicity.mean() == pytest.approx(8.901, abs=5e-4)
    assert metallicity.std() == pytest.approx(0.200, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "id_column", "n"), [("eco-lines-2507.csv", "name", 2507), ("sdss-lines-10000.csv", "specObjID", 10_000)]
)
def test_line_catalogues_are_read_to_the_last_digit(shared_data, name, id_column, n):
    rows = rows_of(shared_data / name)
    catalogue = read_catalogue(shared_data / name)
    assert catalogue.id_column == id_column
    assert catalogue.set_aside == []
    assert catalogue.ids == [row[id_column] for row in rows]
    assert len(catalogue) == n
    for column in rows[0]:
        values = catalogue.table[column]
        if values.dtype.kind == "f":
            numbers = np.array([float(row[column]) for row in rows])
            np.testing.assert_array_equal(values, np.where(numbers == -9999, np.nan, numbers))  # SDSS: not measured
        else:
            assert [str(value) for value in values] == [row[column] for row in rows]


def test_repeat_spectra_are_set_aside_when_the_object_is_the_identifier(shared_data):
    catalogue = read_catalogue(shared_data / "sdss-lines-10000.csv", id_column="objid")
    assert len(catalogue) == 7469
    assert len(catalogue.set_aside) == 10_000 - 7469
    assert "the identifier is already in row 1" in str(catalogue.set_aside[0])


def test_positions_of_the_nearby_galaxies_are_recognised(shared_data):
    catalogue = read_catalogue(shared_data / "eco-lines-2507.csv")
    columns, units, about = catalogue.dataset_columns(np.arange(len(catalogue)))
    assert about["renamed"] == {"ra": "radeg", "dec": "dedeg"}
    assert units == {"ra": "deg", "dec": "deg"}
    assert np.isfinite(columns["ra"]).all()
    assert np.abs(columns["dec"]).max() < 90
