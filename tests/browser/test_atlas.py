"""The atlas in a real browser."""

from __future__ import annotations

import numpy as np
import pytest

from sfnet_core.codes import SparseCodes
from sfnet_core.explorer.atlas.cards import Almanac
from sfnet_core.explorer.scene import Scene
from sfnet_core.survey.dataset import Dataset

N, K, R, F = 240, 3, 2, 12


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[str, str]:
    """Codes and cutouts of made-up galaxies with mass, SFR, redshift and line fluxes."""
    folder = tmp_path_factory.mktemp("atlas")
    rng = np.random.default_rng(5)
    ids = np.array([f"galaxy-{i:03d}" for i in range(N)])
    mass, sfr, z = rng.normal(10, 0.6, N), rng.normal(0, 0.5, N), rng.uniform(0.02, 0.2, N)
    columns = {
        "lgm_tot_p50": mass,
        "sfr_tot_p50": sfr,
        "z": z,
        "oh_p50": 8.7 + 0.2 * (mass - 10) + rng.normal(0, 0.05, N),
    }
    for name in ("nii_6584_flux", "h_alpha_flux", "oiii_5007_flux", "h_beta_flux"):
        columns[name] = 10 ** rng.normal(1, 0.3, N)
    cutouts = rng.integers(0, 255, (N, 24, 24, 3), dtype=np.uint8)
    dataset = Dataset.create(folder / "dataset", ids, cutouts, columns, simulated=True)
    dense = np.maximum(rng.normal(0.3, 1, (N, F)) + np.outer(mass - 10, np.linspace(-1, 1, F)), 0)
    order = np.argsort(-dense, axis=1, kind="stable")[:, : K + R]
    values = np.take_along_axis(dense, order, axis=1).astype(np.float32)
    maps = np.repeat(values[:, :K, None, None], 4, axis=2).repeat(4, axis=3) * rng.uniform(
        0.5, 1.5, (N, 1, 4, 4)
    ).astype(np.float32)
    maps *= (values[:, :K] / np.maximum(maps.mean(axis=(2, 3)), 1e-9))[..., None, None]
    codes = SparseCodes.from_arrays(
        ids=ids,
        indices=np.where(values > 0, order, -1),
        values=values,
        k=K,
        features=F,
        weight=rng.normal(0, 0.1, (1, F)),
        bias=[8.7],
        targets=["oh_p50"],
        units=["dex"],
        split=np.where(np.arange(N) % 3 == 0, "validation", "train"),
        truth=columns["oh_p50"],
        columns={name: column for name, column in columns.items() if name != "oh_p50"},
        maps=maps,
        simulated=True,
        provenance={"dataset_fingerprint": dataset.fingerprint, "crop": 24},
    )
    codes.save(folder / "codes.parquet")
    return folder / "codes.parquet", folder / "dataset"


@pytest.fixture
def address(made, serve) -> str:
    return serve(*made).replace("explore.ipynb", "atlas.ipynb")


def test_every_active_feature_has_a_card_with_its_numbers_and_pictures(made, address, open_page):
    page = open_page(address)
    table = Almanac(Scene(SparseCodes.open(made[0]))).table("validation", 0)
    cards = page.locator(".sf-card")
    assert [int(f) for f in cards.evaluate_all("all => all.map(e => e.dataset.feature)")] == table["feature"].tolist()
    first = cards.first.inner_text().replace("\N{MINUS SIGN}", "-")
    assert f"{table['weight'][0]:+.4f}" in first and f"{table['mean'][0]:+.4f}" in first
    assert f"{table['pearson'][0]:+.2f}" in first and f"{table['partial'][0]:+.2f}" in first
    page.wait_for_function("() => document.querySelectorAll('.sf-card:first-child img').length === 6")
    top = cards.first.locator(".sf-thumb").first.get_attribute("data-id")
    codes = SparseCodes.open(made[0])
    rows = np.flatnonzero(codes.split == "validation")
    dense = np.where(codes.indices[rows, :K] == table["feature"][0], codes.values[rows, :K], 0).max(axis=1)
    assert top == codes.ids[rows[np.argmax(dense)]]
    assert page.locator(".sf-badge").inner_text().lower() == "simulated"


def test_sort_search_and_permalink(made, address, open_page):
    page = open_page(address)
    table = Almanac(Scene(SparseCodes.open(made[0]))).table("validation", 0)
    page.get_by_label("Sort the features by").select_option("weight")
    strongest = int(table["feature"][np.argmax(table["weight"])])
    page.wait_for_function("f => document.querySelector('.sf-card').dataset.feature === String(f)", arg=strongest)
    page.get_by_label("Find a feature by number or label").fill(f"f{strongest}")
    page.wait_for_function(
        "f => [...document.querySelectorAll('.sf-card')].every(e => e.dataset.feature.startsWith(String(f)))",
        arg=strongest,
    )
    assert "sort=weight" in page.url and f"find=f{strongest}" in page.url
    again = open_page(page.url)
    assert again.locator(".sf-card").first.get_attribute("data-feature") == str(strongest)
    assert again.get_by_label("Sort the features by").input_value() == "weight"
