"""Photographs the served pages on the embedded sample: `python docs/screenshots.py [PAGE …]`.

Without names: all four pages at both sizes, and the tutorial's steps (`story`).
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from sfnet_core.explorer.server.serve import serving
from sfnet_core.explorer.shared.sample import sample_codes
from sfnet_core.explorer.shared.state import State, pack_rows

SIZES = ((1440, 900), (1024, 768))
PAGES = ("explore", "atlas", "your_galaxy", "train")
STORY = "story"
OUT = Path(__file__).parent / "screenshots"
MOST_BYTES = 200_000
FLAGS = ["--no-sandbox", "--disable-gpu"]


def main(names: list[str]) -> None:
    """The pages asked for, in headless Chromium."""
    if unknown := set(names) - {*PAGES, STORY}:
        sys.exit(f"There is no page {', '.join(sorted(unknown))}; they are {', '.join([*PAGES, STORY])}.")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        sys.exit("No Chromium on the PATH: sh tests/browser/ensure_browser.sh")
    OUT.mkdir(exist_ok=True)
    with serving(pool=0) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        for name in names:
            if name == STORY:
                tell(browser, address)
                continue
            for size in SIZES:
                page = opened(browser, address.replace("explore.ipynb", f"{name}.ipynb"), size)
                save(page.screenshot(), f"{name}-{size[0]}")
                page.close()
        browser.close()


def opened(browser: Browser, address: str, size: tuple[int, int]) -> Page:
    """A page that is ready and has come to rest."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(address)
    page.wait_for_selector(".sf-page", timeout=90_000)
    page.wait_for_timeout(1500)
    return page


def tell(browser: Browser, address: str) -> None:
    """The tutorial's steps, each a permalink: a galaxy, its strongest feature off, the metal-poor end and the rest."""
    codes = sample_codes()
    held_out, truth = codes.split == "validation", codes.truth()
    row = int(np.flatnonzero(held_out)[np.argmax(truth[held_out])])
    terms = codes.weight[0][codes.indices[row, : codes.k]] * codes.values[row, : codes.k]
    strongest = int(codes.indices[row, np.argmax(np.abs(terms))])
    poor = np.flatnonzero(held_out & (truth <= np.quantile(truth[held_out], 0.1)))
    galaxy = {"galaxy": codes.ids[row], "feature": strongest}
    steps = {
        "story-galaxy": (galaxy, ".sf-right"),
        "story-off": ({**galaxy, "off": strongest}, ".sf-root"),
        "story-selection": ({"selection": packed(codes, poor), "tab": "selection"}, ".sf-right"),
        "story-lasso": ({"selection": packed(codes, poor), "tab": "selection"}, ".sf-centre"),
    }
    for name, (choices, part) in steps.items():
        page = opened(browser, f"{address}&{urlencode(choices)}", SIZES[0])
        save(page.locator(part).first.screenshot() if part != ".sf-root" else page.screenshot(), name)
        page.close()


def packed(codes, rows: np.ndarray) -> str:
    """A selection as it stands in a permalink."""
    state = State(codes.features, len(codes), {"train", "validation"})
    before = state.values()
    state.change(selection=pack_rows(rows))
    return dict(part.split("=", 1) for part in state.to_url(codes.ids, before).split("&"))["selection"]


def save(png: bytes, name: str) -> None:
    """A PNG of at most :data:`MOST_BYTES`: with a palette, of as many colours as fit."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64):
        small = io.BytesIO()
        image.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
        if small.tell() <= MOST_BYTES:
            (OUT / f"{name}.png").write_bytes(small.getvalue())
            print(f"{name}.png: {small.tell():,} bytes, {colours} colours")
            return
    sys.exit(f"{name}.png stays above {MOST_BYTES:,} bytes.")


if __name__ == "__main__":
    main(sys.argv[1:] or [*PAGES, STORY])
