"""Photographs the served pages on the embedded sample: `python docs/screenshots.py [PAGE …]`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from sfnet_core.explorer.serve import serving

SIZES = ((1440, 900), (1024, 768))
PAGES = ("explore", "atlas", "your_galaxy", "train")
OUT = Path(__file__).parent / "screenshots"


def main(pages: list[str]) -> None:
    """Each page at each size, in headless Chromium."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    OUT.mkdir(exist_ok=True)
    with serving(pool=0) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        for name in pages:
            for width, height in SIZES:
                page = browser.new_page(viewport={"width": width, "height": height})
                page.goto(address.replace("explore.ipynb", f"{name}.ipynb"))
                page.wait_for_selector(".sf-page", timeout=90_000)
                page.wait_for_timeout(1500)
                page.screenshot(path=OUT / f"{name}-{width}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:] or list(PAGES))
