"""Whole visits, as an astronomer makes them, on the sample and on the observed galaxies: the page beside numpy."""

from __future__ import annotations

import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from playwright.sync_api import Page, expect
from plots import frames, lasso
from reading import (
    MINUS,
    chosen,
    expected,
    explained,
    kept,
    numbers,
    same_picture,
    seen,
    wait_for_galaxy,
    wait_for_status,
)

from sfnet_core.analysis.code_names import CodeNames
from sfnet_core.analysis.interpret import predict
from sfnet_core.annotations.labels import LabelBook
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_folder

LABEL = "metal-poor"


class World(NamedTuple):
    codes: SparseCodes
    dataset: Dataset
    address: str


@pytest.fixture(scope="module")
def sample(serve) -> World:
    return World(sample_codes(), sample_dataset(), serve())


@pytest.fixture(params=["sample", "observed"])
def world(request, serve, tmp_path) -> World:
    """Codes in a folder of their own: the labels that the story writes stand beside them."""
    if request.param == "sample":
        path, dataset = sample_folder() / "sample-codes.parquet", sample_dataset().path
    else:
        folds = request.getfixturevalue("real_folds")
        path, dataset = folds["codes"][0], folds["dataset"]
    mine = Path(shutil.copy(path, tmp_path / "mine.parquet"))
    return World(SparseCodes.open(mine), Dataset.open(dataset), serve(mine, dataset))


def copied(page: Page, address: str) -> str:
    """The link that the button copies, as it stands in the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin="http://" + urlsplit(address).netloc)
    page.click("[data-action='copy-link']")
    page.wait_for_selector("[data-action='copy-link']:text-is('copied')")
    return page.evaluate("navigator.clipboard.readText()")


def test_from_a_galaxy_to_the_metal_poor_to_a_second_browser(world, open_page):
    codes, dataset, address = world
    page = open_page(address)
    validation = np.flatnonzero(codes.split == "validation")
    truth = codes.truth()

    # find a galaxy, by a part of its identifier that no other has
    row = int(validation[np.argsort(truth[validation])[len(validation) // 3]])
    identifier = str(codes.ids[row])
    page.fill(".sf-gallery input[type=search]", identifier)
    page.press(".sf-gallery input[type=search]", "Enter")
    wait_for_galaxy(page, identifier)
    expect(page.locator(f".sf-galaxy[data-id='{identifier}']")).to_have_attribute("aria-pressed", "true")

    # explain it: the equation adds up, its picture is the stored one
    explained(page, codes, row, set())
    page.wait_for_function("document.querySelector('.sf-frame img').naturalWidth > 0")
    size = page.evaluate("(i => [i.naturalHeight, i.naturalWidth])(document.querySelector('.sf-frame img'))")
    assert tuple(size) == dataset.cutouts.shape[1:3]

    # silence its strongest feature
    strongest = next(iter(kept(codes, row)))
    status = page.inner_text(".sf-status")
    page.click(f".sf-toggle[data-feature='{strongest}']")
    status = wait_for_status(page, status)
    assert numbers(status) == expected(codes, {strongest}, "ablate")
    explained(page, codes, row, {strongest})
    change = predict(codes, off={strongest})[row] - codes.prediction()[row]
    assert f"{change:+.4f}".replace("-", MINUS) in page.inner_text(".sf-top dl")

    # lasso the metal-poor end, in predicted against true
    lasso(page, frames(page)[1], [(0.0, 1.0), (0.0, 0.02), (0.4, 0.02), (0.4, 1.0)])
    page.wait_for_selector(".sf-selected:not(:empty)")
    page.wait_for_url("**selection=**")
    rows = chosen(page, codes)
    others = np.setdiff1d(validation, rows)
    assert 3 < len(rows) < len(others) and truth[rows].max() <= truth[others].min() + 0.02
    assert page.inner_text(".sf-selected") == f"{len(rows)} selected of {len(validation)}"

    # what lights up there: the page's odds are numpy's rates
    page.click("[data-tab='selection']")
    page.wait_for_selector(".sf-report h3:has-text('selected galaxies beside')")
    heading = page.inner_text(".sf-report h3 >> nth=0")
    assert heading == f"{len(rows)} selected galaxies beside {len(others)} others, validation"
    fires = {f: (codes.indices[:, : codes.k] == f).any(axis=1) for f in np.unique(codes.indices[:, : codes.k])}
    lit = None
    for line in page.query_selector_all(".sf-report table >> nth=0 >> tbody tr"):
        name, rates, odds, *_ = (cell.inner_text() for cell in line.query_selector_all("td"))
        feature = int(name.split(" ")[0].lstrip("f"))
        here, rest = 100 * fires[feature][rows].mean(), 100 * fires[feature][others].mean()
        assert rates == f"{here:.0f} / {rest:.0f}"
        if lit is None and here > rest:
            lit = feature
            assert float(odds.split(" ")[0].replace(",", "")) > 1
            line.query_selector("button").click()
    assert lit is not None
    page.wait_for_function(
        "f => document.querySelector(`.sf-row.sf-focus .sf-toggle`)?.dataset.feature === f", arg=str(lit)
    )
    page.wait_for_url(f"**feature={lit}**")

    # label it: kept beside the codes, shown wherever it is named
    page.keyboard.press("l")
    page.wait_for_selector(".sf-note[data-kind=features] .sf-note-label:focus")
    page.keyboard.type(LABEL)
    page.keyboard.press("Enter")
    page.wait_for_selector(f".sf-row.sf-focus .sf-said:has-text('{LABEL}')")
    page.wait_for_selector(".sf-saved:has-text('✓ Saved')")
    assert LabelBook.open(codes).feature(lit).label == LABEL
    page.click("[data-tab='selection']")
    page.wait_for_selector(f".sf-report:not([hidden]) td:has-text('{LABEL}')")

    # copy the link, open it in a second browser: same picture, same numbers
    before = seen(page)
    link = copied(page, address)
    assert parse_qs(urlsplit(link).query)["off"] == [str(strongest)]
    other = open_page(link)
    other.wait_for_selector(".sf-report h3:has-text('selected galaxies beside')")
    assert seen(other) == before
    np.testing.assert_array_equal(chosen(other, codes), rows)
    same_picture(page, other, ".sf-gallery .sf-grid")
    same_picture(page, other, ".sf-plots")
    assert other.locator(f".sf-row.sf-focus .sf-said:has-text('{LABEL}')").count() == 1
    for one in (page, other):
        one.click("[data-tab='galaxy']")
        one.wait_for_selector(".sf-inspector")
        expect(one.locator(".sf-report:visible")).to_have_count(0)  # it goes in a message after that
        explained(one, codes, row, {strongest})
    assert seen(page) == seen(other)
    same_picture(page, other, ".sf-frame")


def test_a_visit_with_the_keyboard_alone(sample, open_page):
    codes, _dataset, address = sample
    page = open_page(address)
    key, write = page.keyboard.press, page.keyboard.type
    status = page.inner_text(".sf-status")

    # filter: complete the name with Tab, choose a class from the list, apply
    key("f")
    page.keyboard.insert_text("oh_")  # at once: a list for "oh" is taken for nothing while "oh_" stands there
    page.wait_for_selector(".sf-options li:has-text('oh_p50')")
    key("Tab")
    assert page.input_value(".sf-filter") == "oh_p50 "
    page.keyboard.insert_text("> 8.8 and bpt = ")
    page.wait_for_selector(".sf-options li:has-text('AGN')")
    while (
        page.get_attribute(".sf-options [aria-selected='true']", "id", timeout=200)
        if page.locator(".sf-options [aria-selected='true']").count()
        else True
    ):
        key("ArrowDown")
        if "SF" in (page.locator(".sf-options [aria-selected='true'] b").all_inner_texts() or [""])[0]:
            break
    active = page.get_attribute(".sf-filter", "aria-activedescendant")
    assert page.locator(f"#{active} b").inner_text() == '"SF"'
    key("Enter")
    assert page.input_value(".sf-filter") == 'oh_p50 > 8.8 and bpt = "SF" '
    from sfnet_core.data.filters.masks import select

    rows = np.flatnonzero((codes.split == "validation") & select('oh_p50 > 8.8 and bpt = "SF"', CodeNames(codes)))
    page.wait_for_selector(f".sf-filter-said:has-text('{len(rows)} of 240 galaxies, validation')")
    key("Enter")
    status = wait_for_status(page, status)
    assert numbers(status) == expected(codes, set(), "ablate", rows)
    assert "filtered" in status and page.locator(".sf-filter-panel").is_hidden()
    key("Escape")  # out of the box: letters are keys again

    # go through the galaxies and the features; toggle, refill, another k
    expect(page.locator(".sf-total")).to_have_text(re.compile(f"^{len(rows)} galaxies · validation, filtered"))
    tiles = page.locator(".sf-galaxy").evaluate_all("all => all.map(e => e.dataset.id)")
    now = page.inner_text(".sf-inspector h2")
    key("ArrowRight")
    wait_for_galaxy(page, tiles[tiles.index(now) + 1] if now in tiles else tiles[0])
    switches = page.locator(".sf-toggle").evaluate_all("all => all.map(e => e.dataset.feature)")
    now = page.get_attribute(".sf-row.sf-focus .sf-toggle", "data-feature")
    key("ArrowDown")
    focus = int(switches[switches.index(now) + 1])
    page.wait_for_selector(f".sf-row.sf-focus .sf-toggle[data-feature='{focus}']")
    key("t")
    status = wait_for_status(page, status)
    expect(page.locator(".sf-toggle[aria-checked='false']")).to_have_attribute("data-feature", str(focus))
    assert numbers(status) == expected(codes, {focus}, "ablate", rows)
    key("r")
    status = wait_for_status(page, status)
    assert numbers(status) == expected(codes, {focus}, "refill", rows)
    key("]")
    status = wait_for_status(page, status)
    now = predict(codes, off={focus}, mode="refill", k=codes.k + 1)[rows]
    assert numbers(status)["RMSE"] == f"{np.sqrt(np.mean((now - codes.truth()[rows]) ** 2)):.4f}"
    key("u")
    status = wait_for_status(page, status)
    assert numbers(status) == expected(codes, {focus}, "refill", rows)

    # find a galaxy; where no text is typed the letters do what `?` says
    identifier = str(codes.ids[rows[-1]])
    key("/")
    write(identifier)
    key("Enter")
    wait_for_galaxy(page, identifier)
    key("Escape")
    key("?")
    listed = page.locator(".sf-keys dt").all_inner_texts()
    assert {"t", "r", "f", "/", "u", "]", "→"} <= set(listed)
    key("Escape")
    assert page.locator(".sf-keys").is_hidden()

    # an error is marked at its place and takes nothing away; Escape and undo bring back what was
    key("f")
    key("Control+a")
    write("oh_p5 > 9 and f1")
    key("Enter")
    page.wait_for_selector(".sf-filter-said mark:text-is('oh_p5')")
    assert page.get_attribute(".sf-filter", "aria-invalid") == "true" and page.inner_text(".sf-status") == status
    key("Escape")
    key("Escape")
    key("a")
    status = wait_for_status(page, status)
    assert numbers(status) == expected(codes, set(), "ablate", rows)

    # a part of the sky: what is left of the filter's galaxies there, nearest first
    key("/")
    key("Control+a")
    write("10:00:00 +02:00:00 25 deg")
    key("Enter")
    status = wait_for_status(page, status)
    distance = SkyCoord(codes.ra, codes.dec, unit="deg").separation(SkyCoord(150, 2, unit="deg")).deg
    there = rows[distance[rows] <= 25]
    assert numbers(status) == expected(codes, set(), "ablate", there)
    nearest = there[np.argsort(distance[there])]
    wait_for_galaxy(page, str(codes.ids[nearest[0]]))
    total = f"{len(there)} galaxies · validation, filtered from {np.sum(distance <= 25)} in the cone"
    expect(page.locator(".sf-total")).to_have_text(re.compile(f"^{total}"))
    tiles = page.locator(".sf-galaxy").evaluate_all("all => all.map(e => e.dataset.id)")
    assert tiles == codes.ids[nearest[:28]].tolist()
    values = page.locator(".sf-galaxy .sf-value").all_inner_texts()
    assert values == [f"{60 * d:.3f}" for d in distance[nearest[:28]]]
    assert page.input_value(".sf-filter") == 'oh_p50 > 8.8 and bpt = "SF" and within 25 deg of 150 2'


def test_two_galaxies_and_two_selections_compared(sample, open_page):
    codes, _dataset, address = sample
    page = open_page(address)
    one = page.inner_text(".sf-inspector h2")
    page.click("[data-tab='compare']")
    page.click("[data-action='pin']")
    page.wait_for_selector(".sf-report :text('this one is pinned')")
    two = page.get_attribute(".sf-galaxy >> nth=20", "data-id")
    page.click(f".sf-galaxy[data-id='{two}']")
    page.wait_for_selector(".sf-report .sf-total-row")
    a, b = codes.index_of(two), codes.index_of(one)
    differ(page, codes, [a], [b], 0)

    lasso(page, frames(page)[1], [(0.0, 1.0), (0.0, 0.02), (0.4, 0.02), (0.4, 1.0)])
    page.click("[data-action='keep']")
    page.wait_for_url("**pinned_selection=**")
    lasso(page, frames(page)[1], [(0.6, 1.0), (0.6, 0.02), (1.0, 0.02), (1.0, 1.0)])
    page.wait_for_function("document.querySelectorAll('.sf-report .sf-total-row').length === 2")
    rich, poor = chosen(page, codes), chosen(page, codes, "pinned_selection")
    assert codes.truth()[rich].min() > codes.truth()[poor].max()
    text = page.inner_text(".sf-report:not([hidden])")
    assert f"{len(rich)} selected (validation) {MINUS} {len(poor)} kept (validation)" in text
    differ(page, codes, rich, poor, 1)
    expect(page.locator(".sf-total")).to_have_text(re.compile(f"^{len(rich)} selected galaxies"))
    before = seen(page)
    other = open_page(page.url)
    other.wait_for_function("document.querySelectorAll('.sf-report .sf-total-row').length === 2")
    assert seen(other) == before


def differ(page: Page, codes: SparseCodes, a, b, place: int) -> None:
    """One comparison on the page: bars that add up to the difference of (mean) predictions, each one numpy's."""

    def mean(rows) -> np.ndarray:
        total = np.zeros(codes.features)
        for row in rows:
            for feature, term in kept(codes, int(row)).items():
                total[feature] += term / len(rows)
        return total

    difference = mean(a) - mean(b)
    bars = page.locator(".sf-report .sf-bars").nth(place)
    texts = [t.replace(MINUS, "-") for t in bars.locator(".sf-number").all_inner_texts()]
    names = bars.locator("button.sf-name").all_inner_texts()
    assert len(names) == np.count_nonzero(difference) == len(texts) - 1
    total = Decimal(texts[-1].split(" ")[0])
    assert sum(map(Decimal, texts[:-1])) == total
    assert abs(float(total) - (codes.prediction()[a].mean() - codes.prediction()[b].mean())) < 1e-4
    for name, text in zip(names, texts, strict=False):
        assert abs(float(text) - difference[int(name.split(" ")[0].lstrip("f"))]) < 2e-4


def test_observed_galaxies_with_positions_link_to_the_survey_viewers(serve, open_page, tmp_path):
    """Plain links, which tell the other site nothing of this page; a table without pictures says how to have them."""
    sample = sample_codes().take(np.arange(40))
    codes = SparseCodes.from_arrays(
        ids=[f"J{i}" for i in range(40)], indices=sample.indices, values=sample.values, k=sample.k, ra=sample.ra,
        dec=sample.dec, features=sample.features, weight=sample.weight, bias=sample.bias, targets=sample.targets,
        truth=sample.truth(),
    )  # fmt: skip
    codes.save(tmp_path / "sky.parquet")
    page = open_page(serve(tmp_path / "sky.parquet"))
    row = codes.index_of(page.inner_text(".sf-inspector h2"))
    links = {link.inner_text(): link for link in page.query_selector_all(".sf-links a")}
    assert list(links) == ["Legacy Survey", "SDSS", "SIMBAD"]
    for link in links.values():
        assert link.get_attribute("rel") == "noopener noreferrer" and link.get_attribute("target") == "_blank"
        assert f"{codes.ra[row]:.6f}" in link.get_attribute("href")
    assert "start the explorer with --dataset" in page.inner_text(".sf-total")
