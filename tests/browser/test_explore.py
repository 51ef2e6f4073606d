"""The explorer as a user has it, on the observed galaxies: every number on the page is the one numpy gives."""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect
from plots import frames, lasso
from reading import CHANGED, chosen, expected, numbers

from sfnet_core.analysis.interpret import predict
from sfnet_core.codes.table import SparseCodes


@pytest.fixture(scope="module")
def codes(real_folds) -> SparseCodes:
    return SparseCodes.open(real_folds["codes"][0])


@pytest.fixture(scope="module")
def address(serve, real_folds) -> str:
    return serve(real_folds["codes"][0], real_folds["dataset"])


@pytest.fixture
def page(open_page, address):
    return open_page(address)


def click_and_wait(page, selector: str) -> str:
    before = page.inner_text(".sf-status")
    page.click(selector)
    page.wait_for_function(CHANGED, arg=before)
    return page.inner_text(".sf-status")


def test_it_says_what_the_data_are_and_which_split(page):
    assert page.inner_text(".sf-badge").lower() == "observed"
    facts = page.get_attribute(".sf-facts", "title")
    assert "400 galaxies" in facts and "oh_p50 [dex]" in facts and "weights: from scratch" in facts
    assert "validation" in page.inner_text(".sf-status")
    assert page.locator("[role=tab][aria-selected=true]").all_inner_texts() == ["Galaxy"]
    assert page.locator(".sf-maps [aria-pressed=true]").all_inner_texts() == ["sum"]


def test_a_toggle_changes_the_status_to_numpys_numbers(page, codes):
    assert numbers(page.inner_text(".sf-status")) == expected(codes, set(), "ablate")
    features = [int(toggle.get_attribute("data-feature")) for toggle in page.query_selector_all(".sf-toggle")]
    rows = np.flatnonzero(codes.split == "validation")
    fires = set(codes.indices[rows, : codes.k][codes.values[rows, : codes.k] > 0].tolist())
    assert set(features) == fires
    first, second = features[:2]
    text = click_and_wait(page, f".sf-toggle[data-feature='{first}']")
    assert numbers(text) == expected(codes, {first}, "ablate")
    expect(page.locator(f".sf-toggle[data-feature='{first}']")).to_have_attribute("aria-checked", "false")
    text = click_and_wait(page, f".sf-toggle[data-feature='{second}']")
    assert numbers(text) == expected(codes, {first, second}, "ablate")
    text = click_and_wait(page, "[data-mode='refill']")
    assert numbers(text) == expected(codes, {first, second}, "refill")
    text = click_and_wait(page, ".sf-toggles button:text-is('invert')")
    assert numbers(text) == expected(codes, set(features) - {first, second}, "refill")
    text = click_and_wait(page, ".sf-toggles button:text-is('all')")
    assert numbers(text) == expected(codes, set(), "ablate")


def test_features_stand_in_the_order_of_their_contribution(page, codes):
    shown = [int(toggle.get_attribute("data-feature")) for toggle in page.query_selector_all(".sf-toggle")]
    rows = np.flatnonzero(codes.split == "validation")
    mean = np.zeros(codes.features)
    for row in rows:
        for feature, value in zip(codes.indices[row, : codes.k], codes.values[row, : codes.k], strict=True):
            if value > 0:
                mean[feature] += abs(codes.weight[0, feature]) * float(value) / len(rows)
    assert list(mean[shown]) == sorted(mean[shown], reverse=True)


def test_the_picture_equation_adds_up_on_screen(page, codes):
    for position in (0, 7, 13):
        tile = page.locator(".sf-galaxy").nth(position)
        identifier = tile.get_attribute("data-id")
        tile.click()
        page.wait_for_function("id => document.querySelector('.sf-inspector h2').textContent === id", arg=identifier)
        left, right = page.inner_text(".sf-sum").replace("\N{MINUS SIGN}", "-").split("=")
        terms = [Decimal(term.replace(" ", "")) for term in re.findall(r"[+-]?\s*[\d.]+", left)]
        prediction = Decimal(right.split()[0])
        assert right.split()[1] == "dex" and len(terms) == 1 + np.count_nonzero(
            codes.values[codes.index_of(identifier), :4]
        )
        assert sum(terms) == prediction
        assert prediction == Decimal(f"{codes.prediction()[codes.index_of(identifier)]:.4f}")
        bars = [text.replace("\N{MINUS SIGN}", "-") for text in page.locator(".sf-bars .sf-number").all_inner_texts()]
        assert sum(map(Decimal, bars[:-1])) == Decimal(bars[-1].split()[0]) == prediction


def test_a_lasso_selects_in_every_plot_and_in_the_gallery(page, codes):
    box = frames(page)[1]  # predicted against true: the metal-poor end
    lasso(page, box, [(0.0, 1.0), (0.0, 0.02), (0.45, 0.02), (0.45, 1.0)])
    page.wait_for_selector(".sf-selected:not(:empty)")
    page.wait_for_url("**selection=**")
    rows = chosen(page, codes)
    truth = codes.truth()
    shown = np.flatnonzero(codes.split == "validation")
    others = np.setdiff1d(shown, rows)
    assert 0 < len(rows) < len(shown) and set(rows) <= set(shown)
    assert truth[rows].max() <= truth[others].min() + 0.02  # the cut is a line in the true value, to a pixel or two
    expect(page.locator(".sf-selected")).to_have_text(f"{len(rows)} selected of {len(shown)}")
    expect(page.locator(".sf-total")).to_have_text(re.compile(f"^{len(rows)} selected galaxies"))
    tiles = {tile.get_attribute("data-id") for tile in page.query_selector_all(".sf-galaxy")}
    assert tiles <= set(codes.ids[rows].tolist()) and len(tiles) == min(28, len(rows))
    page.click("button:text-is('clear selection')")
    page.wait_for_function("document.querySelector('.sf-selected').textContent === ''")


def test_a_tap_in_a_plot_focuses_a_galaxy(page, codes):
    before = page.inner_text(".sf-inspector h2")
    box = frames(page)[1]
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.6 * box["height"])
    page.wait_for_function("id => document.querySelector('.sf-inspector h2').textContent !== id", arg=before)
    assert codes.split[codes.index_of(page.inner_text(".sf-inspector h2"))] == "validation"


def test_a_permalink_opens_the_same_view(page, open_page, codes):
    toggle = page.locator(".sf-toggle").first
    click_and_wait(page, f".sf-toggle[data-feature='{toggle.get_attribute('data-feature')}']")
    page.locator(".sf-galaxy").nth(3).click()
    page.select_option("select[aria-label='Sort the galaxies by']", "residual")
    page.wait_for_url("**sort=residual**")
    page.wait_for_url("**galaxy=**")
    status, equation, url = page.inner_text(".sf-status"), page.inner_text(".sf-sum"), page.url
    assert "off" in parse_qs(urlsplit(url).query)
    other = open_page(url)
    assert other.inner_text(".sf-status") == status
    assert other.inner_text(".sf-sum") == equation
    first = other.get_attribute(".sf-galaxy >> nth=0", "data-id")
    expect(page.locator(".sf-galaxy").first).to_have_attribute("data-id", first)


def test_find_undo_and_split(page, codes):
    identifier = str(codes.ids[np.flatnonzero(codes.split == "validation")[50]])
    page.fill("input[type=search]", identifier)
    page.press("input[type=search]", "Enter")
    page.wait_for_function("id => document.querySelector('.sf-inspector h2').textContent === id", arg=identifier)
    expect(page.locator(f".sf-galaxy[data-id='{identifier}']")).to_have_attribute("aria-pressed", "true")
    page.click("button[aria-label=Undo]")
    page.wait_for_function("id => document.querySelector('.sf-inspector h2').textContent !== id", arg=identifier)
    page.fill("input[type=search]", "no such galaxy")
    page.press("input[type=search]", "Enter")
    page.wait_for_selector(".sf-notice p:has-text('No galaxy has the identifier')")
    before = page.inner_text(".sf-status")
    page.select_option(".sf-header select", "train")
    page.wait_for_function(CHANGED, arg=before)
    assert numbers(page.inner_text(".sf-status")) == expected(
        codes, set(), "ablate", np.flatnonzero(codes.split == "train")
    )


def test_pictures_stand_as_stored(page, codes, real_folds):
    """The galaxy in focus has the dataset's pixels, not mirrored and not turned."""
    from sfnet_core.data.dataset import Dataset

    dataset = Dataset.open(real_folds["dataset"])
    page.locator(".sf-galaxy").nth(2).click()
    identifier = page.get_attribute(".sf-galaxy >> nth=2", "data-id")
    page.wait_for_function("id => document.querySelector('.sf-inspector h2').textContent === id", arg=identifier)
    page.wait_for_function(
        "document.querySelector('.sf-frame img').complete && document.querySelector('.sf-frame img').naturalWidth"
    )
    pixels = page.evaluate(
        """() => {
          const image = document.querySelector('.sf-frame img');
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          canvas.getContext('2d').drawImage(image, 0, 0);
          return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
    )
    stored = np.asarray(dataset.cutouts[dataset.index_of(identifier)], dtype=float)
    shown = np.array(pixels, dtype=float).reshape(*stored.shape[:2], 4)[..., :3]
    errors = [np.abs(view - stored).mean() for view in (shown, shown[:, ::-1], shown[::-1], shown.transpose(1, 0, 2))]
    assert errors[0] < 3 and errors[0] < 0.7 * min(errors[1:])


HEIGHTS = """(() => {
  window.heights = [];
  const watched = new ResizeObserver((all) => all.forEach((one) => heights.push(Math.round(one.contentRect.height))));
  const found = new MutationObserver(() => {
    const plots = document.querySelector(".sf-plots");
    if (plots) { found.disconnect(); watched.observe(plots); }
  });
  found.observe(document, { childList: true, subtree: true });
})()"""


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768)])
def test_toggles_plots_and_the_galaxy_are_in_sight_without_scrolling(open_page, address, size):
    page = open_page(address, size=size, script=HEIGHTS)
    page.wait_for_selector(".sf-galaxy img")
    for selector in (".sf-toggle", ".sf-frame", ".sf-sum", ".sf-galaxy", ".sf-status"):
        box = page.locator(selector).first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0] + 1, selector
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1] + 1, selector
    for box in frames(page):
        assert box["width"] > 90 and box["height"] > 80 and box["y"] + box["height"] < size[1]
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert len(set(page.evaluate("heights")) - {0}) == 1, "the figures changed their size while the page was loading"


def test_the_gate_slider_gives_numpys_error_at_every_k(page, codes):
    rows = codes.split == "validation"
    for k in (1, codes.k + 2, codes.indices.shape[1]):
        before = page.inner_text(".sf-status")
        page.locator(".sf-gate input").evaluate(
            "(slider, k) => { slider.value = k; slider.dispatchEvent(new Event('input')); }", k
        )
        page.wait_for_function(CHANGED, arg=before)
        truth, now = codes.truth()[rows], predict(codes, k=k)[rows]
        assert numbers(page.inner_text(".sf-status"))["RMSE"] == f"{np.sqrt(np.mean((now - truth) ** 2)):.4f}"
        # the numbers above come in a message of their own, before the inspector's
        wanted = f"= {predict(codes, k=k)[codes.index_of(page.inner_text('.sf-inspector h2'))]:.4f} dex"
        page.wait_for_function("end => document.querySelector('.sf-sum').textContent.endsWith(end)", arg=wanted)
        left, right = page.inner_text(".sf-sum").replace("\N{MINUS SIGN}", "-").split("=")
        terms = [Decimal(term.replace(" ", "")) for term in re.findall(r"[+-]?\s*[\d.]+", left)]
        assert len(terms) <= 1 + k and sum(terms) == Decimal(right.split()[0])


def test_the_keyboard_does_what_the_mouse_does(page, codes):
    first = page.get_attribute(".sf-galaxy >> nth=0", "data-id")
    second = page.get_attribute(".sf-galaxy >> nth=1", "data-id")
    assert page.inner_text(".sf-inspector h2") == first
    page.keyboard.press("ArrowRight")
    page.wait_for_function("id => document.querySelector('.sf-inspector h2').textContent === id", arg=second)
    before = page.inner_text(".sf-status")
    feature = int(page.get_attribute(".sf-row.sf-focus .sf-toggle", "data-feature"))
    page.keyboard.press("t")
    page.wait_for_function(CHANGED, arg=before)
    assert numbers(page.inner_text(".sf-status")) == expected(codes, {feature}, "ablate")
    off = page.inner_text(".sf-status")
    page.keyboard.press("Control+z")
    page.wait_for_function(CHANGED, arg=off)
    assert page.inner_text(".sf-status") == before
    page.keyboard.press("?")
    assert page.locator(".sf-keys").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("tax")  # typing in the search field toggles nothing
    page.keyboard.press("Enter")
    page.wait_for_selector(".sf-notice p:has-text('“tax”')")  # by then every key before would have been answered
    assert page.inner_text(".sf-status") == before
