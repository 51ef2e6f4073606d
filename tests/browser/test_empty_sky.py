"""The contribution map less the empty sky, in a real browser: the control, the map it changes, and the sentence."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pytest
from playwright.sync_api import expect

from sfnet_core.codes.empty_sky import blank_map
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.sample import sample_codes

LEGEND = ".sf-inspector .sf-body > .sf-caption"
MAP = """() => {
  const map = document.querySelector('.sf-map');
  return [...map.getContext('2d').getImageData(0, 0, map.width, map.height).data];
}"""


def said(page) -> tuple[Decimal, Decimal]:
    """What the sentence says that the light and an empty sky give."""
    text = page.inner_text(LEGEND).replace("\N{MINUS SIGN}", "-")
    found = re.search(r"the light gives ([+-][\d.]+) dex, an empty sky ([+-]?[\d.]+) dex,", text)
    return tuple(Decimal(number) for number in found.groups())


def open_on(page, codes: SparseCodes) -> int:
    page.locator(".sf-galaxy").nth(2).click()
    name = page.locator(".sf-galaxy").nth(2).get_attribute("data-id")
    page.wait_for_selector(f".sf-inspector h2:text-is('{name}')")
    return codes.index_of(name)


def test_the_control_changes_the_map_and_its_sentence(serve, open_page):
    codes = sample_codes()
    page = open_page(serve())
    row = open_on(page, codes)
    weight = codes.weight[0]
    blank = blank_map(weight, codes.sky.maps, codes.k)
    less, before = page.evaluate(MAP), page.inner_text(LEGEND)
    light, empty = said(page)
    assert page.locator(".sf-sky input").is_checked()
    assert f"{light + empty}" == f"{codes.prediction()[row]:.4f}"
    assert float(empty) == pytest.approx(codes.bias[0] + blank.sum(), abs=1e-4)
    kept = codes.indices[row, : codes.k]
    plain = np.tensordot(np.append(weight, 0)[kept], codes.maps([row])[0].astype(float), axes=1) / blank.size
    for cells, drawn in ((plain - blank, less), (plain, None)):
        if drawn is None:
            page.locator(".sf-sky").click()
            page.wait_for_function(f"(text) => document.querySelector('{LEGEND}').textContent !== text", arg=before)
            drawn = page.evaluate(MAP)
        shade = np.array(drawn).reshape(-1, 4)
        np.testing.assert_allclose(shade[:, 3], np.round(128 * np.abs(cells).ravel() / np.abs(cells).max()), atol=1)
        assert ((shade[:, 0] > shade[:, 2]) == (cells.ravel() >= 0))[shade[:, 3] > 1].all()
    assert "empty sky" not in page.inner_text(LEGEND) and less != drawn
    assert not page.locator(".sf-sky input").is_checked()
    expect(page).to_have_url(re.compile("sky=0"))
    again = open_page(page.url)  # a link opens the same map
    again.wait_for_function(
        f"(text) => document.querySelector('{LEGEND}').textContent === text", arg=page.text_content(LEGEND)
    )
    assert again.evaluate(MAP) == drawn
    page.click("[aria-label='Undo']")
    page.wait_for_function(f"(text) => document.querySelector('{LEGEND}').textContent === text", arg=before)
    assert page.evaluate(MAP) == less
    page.keyboard.press("M")
    page.wait_for_function("() => !document.querySelector('.sf-sky input').checked")


def test_one_features_map_sums_to_what_the_light_gives_of_it(serve, open_page):
    codes = sample_codes()
    page = open_page(serve())
    row = open_on(page, codes)
    for feature in codes.indices[row, : codes.k].tolist():
        page.locator(".sf-maps button", has_text=re.compile(rf"^f{feature}\b")).click()
        page.wait_for_function(
            f"(text) => document.querySelector('{LEGEND}').textContent.includes(text)", arg=f"f{feature}:"
        )
        light, empty = said(page)
        a = float(codes.values[row, codes.indices[row].tolist().index(feature)])
        assert float(light + empty) == pytest.approx(codes.weight[0, feature] * a, abs=1e-4)
        assert float(empty) == pytest.approx(codes.weight[0, feature] * codes.sky.maps[feature].mean(), abs=1e-4)


def test_codes_without_it_say_so(serve, open_page, tmp_path):
    codes = sample_codes()
    old = SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=codes.k, features=codes.features,
        weight=codes.weight, bias=codes.bias, targets=codes.targets, units=codes.units, split=codes.split,
        maps=codes.maps(slice(None)),
    )  # fmt: skip
    old.save(tmp_path / "old.parquet")
    page = open_page(serve(tmp_path / "old.parquet"))
    open_on(page, old)
    assert page.locator(".sf-sky input").is_disabled() and not page.locator(".sf-sky input").is_checked()
    assert "sfnet infer" in page.get_attribute(".sf-sky", "title")
    assert page.evaluate(
        "() => [document.querySelector('.sf-map').width, document.querySelector('.sf-map').hidden]"
    ) == [
        3,
        False,
    ]
