"""A real browser on the served pages. A page that logs an error or asks another host for anything fails its test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sfnet_core.explorer.server.serve import serving

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]

expect.set_options(timeout=30_000)  # other processes may have the processor


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium (or the one on the PATH), headless; a missing one is a failure, not a skip."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.fail("No Chromium on the PATH: sh tests/browser/ensure_browser.sh")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """``serve(codes, dataset, **how)`` gives the address of a server that lives as long as the session."""
    with contextlib.ExitStack() as stack:
        running: dict[tuple, str] = {}

        def start(codes: Path | None = None, dataset: Path | None = None, **how) -> str:
            key = (codes, dataset, *sorted(how.items()))
            if key not in running:
                running[key] = stack.enter_context(serving(codes, dataset, **{"pool": 0, **how}))[0]
            return running[key]

        yield start


def watch(page: Page, address: str, troubles: list[str]) -> None:
    """Note console errors, uncaught exceptions and requests to any host but the server's."""
    host = urlsplit(address).netloc

    def asked(request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob", "about") and url.netloc != host:
            troubles.append(f"a request left the server: {request.url}")

    page.on("request", asked)
    page.on("pageerror", lambda error: troubles.append(f"uncaught: {error.stack or error}"))
    page.on("console", lambda m: troubles.append(f"console: {m.text}") if m.type == "error" else None)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """``open_page(address, ready='.sf-page', size=(1440, 900), script='')`` gives the page when it is ready.

    ``script`` runs in the page before anything of its own.
    """
    contexts, troubles = [], []

    def open_it(address: str, ready: str = ".sf-page", size: tuple[int, int] = (1440, 900), script: str = "") -> Page:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        if script:
            context.add_init_script(script)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        watch(page, address, troubles)
        page.goto(address)
        page.wait_for_selector(ready, state="attached", timeout=90_000)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not troubles, "\n".join(troubles)
