"""The atlas in a real browser."""

from __future__ import annotations

import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from waiting import until

from sfnet_core.analysis.feature_statistics import FeatureStatistics
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.stats.correlation import partial_correlation

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
    table = FeatureStatistics(SparseCodes.open(made[0])).table("validation", 0)
    cards = page.locator(".sf-card")
    assert [int(f) for f in cards.evaluate_all("all => all.map(e => e.dataset.feature)")] == table["feature"].tolist()
    first = cards.first.inner_text().replace("\N{MINUS SIGN}", "-")
    assert f"{table['weight'][0]:+.4f}" in first and f"{table['mean'][0]:+.4f}" in first
    assert f"{table['pearson'][0]:+.2f}" in first and f"{table['partial'][0]:+.2f}" in first
    lost = ["without it [dex]", f"{table['without'][0]:+.4f}", f"at random {table['chance'][0]:+.4f}"]
    assert all(words in first for words in lost)
    for width in (1440, 1024):  # and the line fits its card
        page.set_viewport_size({"width": width, "height": 768})
        assert page.locator(".sf-without-line").evaluate_all("all => all.every(e => e.scrollWidth <= e.clientWidth)")
    page.wait_for_function("() => document.querySelectorAll('.sf-card:first-child img').length === 6")
    top = cards.first.locator(".sf-thumb").first.get_attribute("data-id")
    codes = SparseCodes.open(made[0])
    rows = np.flatnonzero(codes.split == "validation")
    dense = np.where(codes.indices[rows, :K] == table["feature"][0], codes.values[rows, :K], 0).max(axis=1)
    assert top == codes.ids[rows[np.argmax(dense)]]
    assert page.locator(".sf-badge").inner_text().lower() == "simulated"


def test_sort_search_and_permalink(made, address, open_page):
    page = open_page(address)
    table = FeatureStatistics(SparseCodes.open(made[0])).table("validation", 0)
    page.get_by_label("Sort the features by").select_option("weight")
    strongest = int(table["feature"][np.argmax(table["weight"])])
    page.wait_for_function("f => document.querySelector('.sf-card').dataset.feature === String(f)", arg=strongest)
    page.get_by_label("Find a feature by number or label").fill(f"f{strongest}")
    page.wait_for_function(
        "f => [...document.querySelectorAll('.sf-card')].every(e => e.dataset.feature.startsWith(String(f)))",
        arg=strongest,
    )
    for choice in ("sort=weight", f"find=f{strongest}"):
        expect(page).to_have_url(re.compile(rf"[?&]{choice}(&|$)"))
    again = open_page(page.url)
    expect(again.locator(".sf-card").first).to_have_attribute("data-feature", str(strongest))
    expect(again.get_by_label("Sort the features by")).to_have_value("weight")


def view(made) -> tuple[SparseCodes, np.ndarray, dict]:
    codes = SparseCodes.open(made[0])
    return codes, np.flatnonzero(codes.split == "validation"), FeatureStatistics(codes).table("validation", 0)


def test_a_card_opens_its_feature_and_the_browser_goes_back(made, address, open_page):
    page = open_page(address)
    codes, rows, table = view(made)
    first = int(table["feature"][0])
    page.locator(f".sf-card[data-feature='{first}'] .sf-open").click()
    page.wait_for_selector(f".sf-leaf[data-slow='{first}']")
    expect(page).to_have_url(re.compile(rf"feature={first}\b"))
    expect(page.locator(".sf-cards")).to_be_hidden()
    a = np.where(codes.indices[rows, :K] == first, codes.values[rows, :K], 0).max(axis=1)
    top = page.locator("[data-group=top] .sf-thumb").evaluate_all("all => all.map(e => e.dataset.id)")
    assert top == codes.ids[rows[np.argsort(-a, kind="stable")[:8]]].tolist()
    assert page.locator(".sf-group").count() == 5
    assert page.locator(".sf-group img").count() >= 32
    controls = [codes.column(name)[rows] for name in ("lgm_tot_p50", "sfr_tot_p50", "z")]
    plain = partial_correlation(a, codes.truth()[rows], controls, n=1000, seed=0)
    row = page.locator(".sf-forest-row[data-key=all]").inner_text().replace("\N{MINUS SIGN}", "-")
    digits = 3 if plain.high - plain.low < 0.1 else 2
    assert f"{plain.value:+.3f}" in row and f"[{plain.low:+.{digits}f}, {plain.high:+.{digits}f}]" in row
    assert f"n = {plain.n}" in row
    assert page.locator(".sf-nine img").count() == 9
    assert page.locator(".sf-part-bpt svg path").count() > 3 and page.locator(".sf-mean-map").is_visible()
    page.go_back()
    page.wait_for_function("() => document.querySelector('.sf-leaf').hidden")
    expect(page.locator(f".sf-card[data-feature='{first}']")).to_be_visible()
    assert "feature=" not in page.url


def test_keys_choices_and_a_second_browser(made, address, open_page):
    page = open_page(f"{address}&feature={int(view(made)[2]['feature'][1])}")
    _, _, table = view(made)
    page.wait_for_selector(".sf-leaf .sf-part-scatter svg path", state="attached")
    page.locator(".sf-leaf-head").get_by_role("button").first.focus()
    page.keyboard.press("ArrowRight")
    third = int(table["feature"][2])
    page.wait_for_function("f => document.querySelector('.sf-leaf h2').textContent === `f${f}`", arg=third)
    page.get_by_label("Draw the activation against").select_option("lgm_tot_p50")
    page.wait_for_function(
        "() => document.querySelector('.sf-part-scatter svg').textContent.includes('log stellar mass')"
    )

    def drawn(page) -> list[str]:
        return page.locator("[data-group=random] .sf-thumb").evaluate_all("all => all.map(e => e.dataset.id)")

    before = drawn(page)
    page.get_by_role("button", name="draw again").click()
    expect(page).to_have_url(re.compile(r"seed=1\b"))
    until(lambda: drawn(page) != before)  # the address is there first
    again = open_page(page.url)
    until(lambda: drawn(again) == drawn(page))
    expect(again.locator(".sf-leaf h2")).to_have_text(f"f{third}")
    expect(again.locator(".sf-part-scatter svg")).to_contain_text("log stellar mass")
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.querySelector('.sf-leaf').hidden")


def test_a_point_shows_its_galaxy_and_leads_to_it_in_explore(made, address, open_page):
    codes, _, table = view(made)
    page = open_page(f"{address}&feature={int(table['feature'][0])}")
    page.wait_for_selector(f".sf-leaf[data-slow='{int(table['feature'][0])}']")
    place = page.locator(".sf-part-scatter svg")
    box = place.bounding_box()
    # the pointer goes over the plot until it meets a point
    for i in range(60):
        page.mouse.move(
            box["x"] + 80 + (i * 37) % (box["width"] - 110), box["y"] + 60 + (i * 53) % (box["height"] - 120)
        )
        if page.locator(".sf-part-scatter .sf-tip:not([hidden])").count():
            break
    page.wait_for_selector(".sf-part-scatter .sf-tip img")
    shown = page.locator(".sf-part-scatter .sf-tip b").inner_text()
    assert shown in codes.ids
    link = page.locator("[data-group=top] .sf-thumb").first.get_attribute("href")
    assert link.startswith("explore.ipynb?galaxy=galaxy-") and f"feature={int(table['feature'][0])}" in link


def test_the_tables_of_signs_and_correlations(made, address, open_page):
    page = open_page(f"{address}&view=signs")
    _, _, table = view(made)
    page.wait_for_selector(".sf-signs tbody tr")
    assert page.locator(".sf-signs tbody tr").count() == len(table["feature"])
    text = page.locator(".sf-signs tbody tr").first.inner_text().replace("\N{MINUS SIGN}", "-")
    assert f"{table['weight'][0]:+.4f}" in text and f"{table['pearson'][0]:+.3f}" in text
    assert f"{table['without'][0]:+.4f}\t{table['chance'][0]:+.4f}" in text
    page.get_by_role("button", name="Correlations").click()
    page.wait_for_selector(".sf-matrix td")
    assert page.locator(".sf-matrix tbody tr").count() == len(table["feature"])
    with page.expect_download() as saved:
        page.get_by_role("button", name="save CSV").click()
    lines = saved.value.path().read_text().splitlines()
    assert lines[0] == "," + ",".join(f"f{f}" for f in table["feature"]) and len(lines) == 1 + len(table["feature"])


WIDER = """() => [...document.querySelectorAll('.sf-atlas *')]
    .filter(e => !e.closest('svg') && e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.className)"""


def test_nothing_is_wider_than_the_window(made, address, open_page):
    page = open_page(address)
    for opened in (False, True):
        if opened:
            page.locator(".sf-card .sf-open").first.click()
            page.wait_for_selector(".sf-leaf[data-slow]")
        for width, height in ((1440, 900), (1024, 768)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(200)
            assert page.evaluate(WIDER) == []


def test_axe_finds_no_violation_on_a_feature_and_the_tables_in_light_and_dark(made, address, open_page):
    page = open_page(address)
    page.locator(".sf-card .sf-open").first.click()
    page.wait_for_selector(".sf-leaf[data-slow]")
    for key, drawn in ((None, ".sf-leaf"), ("2", ".sf-signs"), ("3", ".sf-matrix"), ("1", ".sf-card")):
        if key == "2":
            page.keyboard.press("Escape")
            page.wait_for_selector(".sf-card")
        if key:
            page.keyboard.press(key)
        page.wait_for_selector(drawn)
        for _ in ("light, then dark", "and back"):
            found = Axe().run(page).response["violations"]
            assert not [f"{v['id']}: {n['html'][:120]}" for v in found for n in v["nodes"]], drawn
            page.keyboard.press("d")
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keyboard").is_visible()


@pytest.mark.parametrize("kind", ["PNG", "SVG"])
def test_a_figure_is_saved_with_its_title_dark_on_white(made, address, open_page, kind):
    page = open_page(f"{address}&feature={int(view(made)[2]['feature'][0])}")
    page.wait_for_selector(".sf-leaf[data-slow]")
    page.keyboard.press("d")
    page.locator(".sf-part-bpt .sf-plot").hover()
    with page.expect_download() as saved:
        page.locator(".sf-part-bpt").get_by_role("button", name=kind).click()
    data = saved.value.path().read_bytes()
    if kind == "PNG":
        assert data.startswith(b"\x89PNG") and len(data) > 5000
    else:
        text = data.decode()
        assert "BPT, colour: activation of" in text and "n = 80 · validation" in text and "#1c2733" in text
        assert "#dfe7ee" not in text and "#dfe7ee" in page.locator(".sf-part-bpt svg").evaluate("e => e.outerHTML")
