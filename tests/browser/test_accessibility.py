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
