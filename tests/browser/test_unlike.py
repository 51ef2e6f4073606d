"""Galaxies unlike the training galaxies, in a real browser: filtered for, marked, and told why."""

from __future__ import annotations

import numpy as np

from sfnet_core.codes.novelty import why_unlike
from sfnet_core.explorer.shared.sample import sample_codes


def test_they_are_counted_filtered_marked_and_explained(serve, open_page):
    codes = sample_codes()
    rows = np.flatnonzero(codes.in_split("validation") & (codes.unlike > 1))
    page = open_page(serve())
    assert f" · {len(rows)} novel" in page.inner_text(".sf-status")
    page.select_option("select[aria-label='Sort the galaxies by']", "unlike")
    page.wait_for_function(
        "(n) => document.querySelectorAll('.sf-tile-unlike').length === n && "
        "document.querySelector('.sf-galaxy .sf-tile-unlike')",
        arg=len(rows),
    )
    page.fill(".sf-filter", "unlike > 1")
    page.keyboard.press("Enter")
    page.wait_for_function("(n) => document.querySelectorAll('.sf-galaxy').length === n", arg=len(rows))
    shown = page.eval_on_selector_all(".sf-galaxy", "(all) => all.map((one) => one.dataset.id)")
    assert sorted(shown) == sorted(codes.ids[rows].tolist())
    tile = page.locator(".sf-galaxy").first
    assert "novel" in tile.get_attribute("aria-label")
    tile.click()
    row = codes.index_of(shown[0])
    page.wait_for_selector(f".sf-inspector h2:text-is('{shown[0]}')")
    assert page.inner_text(".sf-unlike") == why_unlike(codes, row)
    assert f"{codes.unlike[row]:.2f} of the limit" in page.inner_text(".sf-inspector dl")
    page.fill(".sf-filter", "unlike < 0.6")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.sf-galaxy').length > 10")
    page.locator(".sf-galaxy").first.click()
    page.wait_for_function("() => document.querySelector('.sf-unlike').hidden")
