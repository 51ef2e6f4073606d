"""Every page, light and dark, by axe-core: names for screen readers, contrast, landmarks."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe


@pytest.mark.parametrize("name", ["explore", "atlas", "your_galaxy", "train"])
def test_axe_finds_no_violation(open_page, serve, name):
    page = open_page(serve().replace("explore.ipynb", f"{name}.ipynb"))
    for theme in ("light", "dark"):
        if theme == "dark":
            page.keyboard.press("d")
            page.wait_for_selector(".sf-root.sf-dark")
        found = Axe().run(page).response["violations"]
        said = [f"{v['id']}: {v['help']}: {node['html'][:120]}" for v in found for node in v["nodes"]]
        assert not said, f"{name}, {theme}:\n" + "\n".join(said)


def test_axe_finds_no_violation_in_what_opens(open_page, serve):
    """The filter box's list, a mistake in it, its examples, the keyboard's list, the other tabs."""
    page = open_page(serve())

    def typed(words: str) -> None:
        page.keyboard.press("f")
        page.keyboard.press("Control+a")
        page.keyboard.type(words)

    def listed() -> None:
        typed("bpt = ")
        page.wait_for_selector(".sf-options li")
        page.keyboard.press("ArrowDown")
        page.wait_for_selector(".sf-options [aria-selected='true']")

    def mistaken() -> None:
        typed("oh_p5 > 9 and f1")
        page.keyboard.press("Enter")
        page.wait_for_selector(".sf-filter-said mark")

    def helped() -> None:
        page.click(".sf-filter-more")
        page.wait_for_selector(".sf-example-filter")

    def close() -> None:
        for _ in range(3):
            page.keyboard.press("Escape")

    for theme in ("light", "dark"):
        if theme == "dark":
            close()
            page.keyboard.press("d")
            page.wait_for_selector(".sf-root.sf-dark")
        for open_it in (listed, mistaken, helped, lambda: page.keyboard.press("?")):
            open_it()
            found = Axe().run(page).response["violations"]
            said = [f"{v['id']}: {v['help']}: {node['html'][:160]}" for v in found for node in v["nodes"]]
            assert not said, f"{open_it}, {theme}:\n" + "\n".join(said)
            close()
        for tab in ("selection", "compare", "near") if theme == "dark" else ():
            page.click(f"[data-tab='{tab}']")
            page.wait_for_selector(f"[data-tab='{tab}'][aria-selected='true']")
            page.wait_for_selector(f".sf-report[aria-label='{tab}']")
            found = Axe().run(page).response["violations"]
            said = [f"{v['id']}: {v['help']}: {node['html'][:160]}" for v in found for node in v["nodes"]]
            assert not said, f"{tab}, {theme}:\n" + "\n".join(said)
