"""What may break under an open page: the kernel, the line to it, a cell, the tab; the page says so, nothing is lost."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import nbformat
import pytest
from playwright.sync_api import Page, expect
from proxy import Cable
from visitor import kernel_of
from waiting import until

from sfnet_core.explorer.server.serve import serving

BANNER = "#sf-banner"
COUNT = """() => {
  const send = WebSocket.prototype.send;
  window.sent = 0;
  WebSocket.prototype.send = function (data) { window.sent += 1; return send.call(this, data); };
}"""
SOCKETS = """window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...how) { super(...how); window.sockets.push(this); }
};"""
TITLES = """() => Bokeh.documents.flatMap(
  (document) => Array.from(document._all_models.values()).filter((m) => m.type === "Title").map((m) => m.text))"""
HOARD = """from sfnet_core.explorer.explore.page import explore

page, hoard = explore(), []
page.state.on_change(lambda changed: hoard.append(bytearray(b"1" * (600 << 20))))
page"""


def kernel(page: Page) -> str:
    return page.evaluate("() => JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")


def off(page: Page) -> list[int]:
    """The features that the page's address says are off."""
    return sorted(
        int(f) for f in parse_qs(page.evaluate("() => location.search.slice(1)")).get("off", [""])[0].split(",") if f
    )


def toggle(page: Page, position: int) -> int:
    switch = page.locator(".sf-toggle").nth(position)
    switch.click()
    return int(switch.get_attribute("data-feature"))


@pytest.fixture
def bare(browser) -> Iterator[Callable[[str], Page]]:
    """A page whose requests may fail; an uncaught exception may not."""
    contexts, thrown = [], []

    def open_it(address: str, ready: str = ".sf-page") -> Page:
        contexts.append(browser.new_context(viewport={"width": 1440, "height": 900}))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: thrown.append(str(error)))
        page.goto(address, wait_until="commit")
        page.wait_for_selector(ready, state="attached", timeout=90_000)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not thrown


def test_r18_a_dead_kernel_is_said_at_once_and_reload_restores_the_view(open_page, serve):
    page = open_page(serve())
    before = page.inner_text(".sf-status")
    feature = toggle(page, 2)
    page.wait_for_function("text => document.querySelector('.sf-status').textContent !== text", arg=before)
    status = page.inner_text(".sf-status")
    page.wait_for_function("() => location.search.includes('off=')")  # what the reload restores
    os.kill(kernel_of(kernel(page)), signal.SIGKILL)
    expect(page.locator(BANNER)).to_contain_text("The session ended", timeout=10_000)
    assert page.get_attribute(BANNER, "role") == "alert"
    assert page.evaluate("() => document.getElementById('rendered_cells').inert")  # no click is taken and lost
    page.click(f"{BANNER} button")
    expect(page.locator(BANNER)).to_have_count(0)
    expect(page.locator(".sf-status")).to_have_text(status, timeout=60_000)
    expect(page.locator(f".sf-toggle[data-feature='{feature}']")).to_have_attribute("aria-checked", "false")


def test_r18_a_page_that_begins_to_be_left_answers_until_it_is(open_page, serve):
    """A reload that waits for a busy server, or a download: the page lives on after this event, with its kernel."""
    page = open_page(serve())
    before = page.inner_text(".sf-status")
    page.evaluate("() => window.dispatchEvent(new Event('beforeunload'))")
    page.evaluate("() => window.dispatchEvent(new Event('sfnet-stale'))")  # widgets ask by themselves, too
    toggle(page, 2)
    page.wait_for_function("text => document.querySelector('.sf-status').textContent !== text", arg=before)
    pid = kernel_of(kernel(page))
    page.close()
    until(lambda: not Path(f"/proc/{pid}").exists())


def inert(page: Page) -> bool:
    """Whether the page takes no click, so that none is lost."""
    return page.evaluate("() => document.getElementById('rendered_cells').inert")


def test_r19_a_line_cut_for_five_seconds_takes_no_click_and_goes_on(bare, serve):
    with Cable(serve()) as cable:
        page = bare(cable.address)
        first = toggle(page, 0)
        page.wait_for_function("() => location.search.includes('off=')")
        cable.cut()
        expect(page.locator(BANNER)).to_contain_text("The connection to the server is lost")
        assert inert(page) and page.locator(f"{BANNER} button").is_visible()
        page.wait_for_timeout(5000)
        cable.mend()
        expect(page.locator(BANNER)).to_have_count(0, timeout=60_000)
        assert not inert(page) and off(page) == [first]
        last = toggle(page, 4)
        until(lambda: off(page) == sorted([first, last]))


def test_r19_a_line_cut_for_good_is_left_by_reloading_to_the_permalink(bare, serve):
    with Cable(serve()) as cable:
        page = bare(cable.address)
        first = toggle(page, 0)
        page.wait_for_function("() => location.search.includes('off=')")
        cable.cut()
        expect(page.locator(BANNER)).to_contain_text("The connection to the server is lost")
        cable.mend()
        page.click(f"{BANNER} button")
        page.wait_for_selector(".sf-page", state="attached", timeout=90_000)
        expect(page.locator(f".sf-toggle[data-feature='{first}']")).to_have_attribute("aria-checked", "false")


def test_r19_a_click_while_the_line_is_closing_is_no_error_and_the_page_shows_what_holds(open_page, serve):
    """Between a socket's end and the page's hearing of it; ``open_page`` fails on what the console calls an error."""
    page = open_page(serve(), script=SOCKETS)
    page.evaluate("""() => {
      for (const socket of window.sockets) socket.close();
      document.querySelector(".sf-toggle").click();
    }""")
    page.wait_for_function("() => !document.querySelector('#sf-banner')")
    until(lambda: not inert(page))
    feature = toggle(page, 0)
    until(lambda: off(page) == [feature])
    expect(page.locator(f".sf-toggle[data-feature='{feature}']")).to_have_attribute("aria-checked", "false")


def test_r19_a_line_that_is_dead_without_a_word_is_noticed_and_mended(bare, serve):
    with Cable(serve()) as cable:
        page = bare(cable.address)
        cable.swallow()
        lost = toggle(page, 0)
        expect(page.locator(BANNER)).to_contain_text("The connection to the server is lost", timeout=30_000)
        assert inert(page)
        cable.mend()
        expect(page.locator(BANNER)).to_have_count(0, timeout=60_000)
        expect(page.locator(f".sf-toggle[data-feature='{lost}']")).to_have_attribute("aria-checked", "true")
        feature = toggle(page, 1)  # the page shows what the kernel has, and takes clicks
        until(lambda: off(page) == [feature])


def test_r19_answers_that_were_lost_on_the_way_are_drawn_after_all(bare, serve):
    with Cable(serve()) as cable:
        page = bare(cable.address)
        before = page.inner_text(".sf-status")
        cable.swallow_answers()
        feature = toggle(page, 0)
        expect(page.locator(BANNER)).to_contain_text("The connection to the server is lost", timeout=30_000)
        assert page.inner_text(".sf-status") == before
        cable.mend()
        until(lambda: off(page) == [feature])
        assert page.inner_text(".sf-status") != before
        rmse = re.search(r"RMSE [\d.]+", page.inner_text(".sf-status"))[0]
        until(lambda: any(rmse in title for title in page.evaluate(TITLES)))
        last = toggle(page, 1)
        until(lambda: off(page) == sorted([feature, last]))
        rmse = re.search(r"RMSE [\d.]+", page.inner_text(".sf-status"))[0]
        until(lambda: any(rmse in title for title in page.evaluate(TITLES)))


def test_r21_a_slider_dragged_through_five_thousand_values_ends_where_it_is_left(open_page, serve):
    page = open_page(serve())
    slider = page.locator(".sf-gate input[type=range]")
    page.evaluate(COUNT)
    slider.evaluate(
        """(slider) => {
          for (let i = 0; i < 5000; i += 1) {
            slider.value = 1 + i % Number(slider.max);
            slider.dispatchEvent(new Event("input"));
          }
          slider.value = 2;
          slider.dispatchEvent(new Event("input"));
        }"""
    )
    page.wait_for_function("() => new URLSearchParams(location.search).get('k') === '2'")
    assert page.inner_text(".sf-gate output") == "k = 2" and page.evaluate("() => window.sent") < 50
    feature = toggle(page, 0)
    until(lambda: off(page) == [feature])


def test_r22_a_kernel_ends_with_its_tab_and_neighbours_live(browser, serve):
    context = browser.new_context()
    pages = [context.new_page() for _ in range(3)]
    for page in pages:
        page.goto(serve())
    kernels = []
    for page in pages:
        page.wait_for_selector(".sf-page", state="attached", timeout=90_000)
        kernels.append(kernel(page))
    assert all(map(kernel_of, kernels)) and len(set(kernels)) == 3
    pages[0].close()
    pages[1].goto("about:blank")
    until(lambda: not kernel_of(kernels[0]) and not kernel_of(kernels[1]))
    feature = toggle(pages[2], 0)
    until(lambda: off(pages[2]) == [feature])
    pages[2].reload()
    pages[2].wait_for_selector(".sf-page", state="attached", timeout=90_000)
    until(lambda: not kernel_of(kernels[2]))
    assert kernel_of(kernel(pages[2])) and off(pages[2]) == [feature]
    context.close()


@pytest.fixture(scope="module")
def troubled(tmp_path_factory) -> Iterator[str]:
    """A server of notebooks that fail, hang or take too much memory, each in its own way; little patience, 400 MB."""
    folder = tmp_path_factory.mktemp("troubled")
    page = "from sfnet_core.explorer.explore.page import explore\n\nexplore()"
    cells = {
        "raises": ["raise RuntimeError('hunter' + '2')"],
        "hangs": ["import time\n\ntime.sleep(1000)"],
        "hoards": [HOARD],
        "explore": [page],
    }
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for name, sources in cells.items():
        code = [nbformat.v4.new_code_cell(source) for source in sources]
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernelspec}, cells=code)
        nbformat.write(notebook, folder / f"{name}.ipynb")
    with serving(pool=0, notebooks=folder, patience=10, memory=400) as (address, _):
        yield address


def test_r20_a_cell_that_fails_or_hangs_is_a_sentence_instead_of_a_spinner(bare, troubled):
    page = bare(troubled.replace("explore.ipynb", "raises.ipynb"), ready=BANNER)
    expect(page.locator(BANNER)).to_contain_text("could not be built")
    assert "hunter" not in page.content() and page.locator("#loading").count() == 0
    page = bare(troubled.replace("explore.ipynb", "hangs.ipynb"), ready=BANNER)
    expect(page.locator(BANNER)).to_contain_text(re.compile("did not open within 10 s|could not be built"))
    expect(page.locator(f"{BANNER} button")).to_have_text("Reload")
    assert page.locator("#loading").count() == 0


def test_r22_a_kernel_that_takes_too_much_memory_ends_alone_and_says_so(bare, troubled):
    neighbour = bare(troubled)
    page = bare(troubled.replace("explore.ipynb", "hoards.ipynb"))
    hoarder = kernel(page)
    toggle(page, 0)
    expect(page.locator(BANNER)).to_contain_text("needed more than 400 MB of memory")
    until(lambda: not kernel_of(hoarder))
    feature = toggle(neighbour, 0)
    until(lambda: off(neighbour) == [feature])
    assert neighbour.locator(BANNER).count() == 0


def test_a_full_server_shows_a_page_that_opens_by_itself_when_a_place_is_free(open_page, browser):
    with serving(pool=0, sessions=1) as (address, _):
        first = open_page(address)
        context = browser.new_context(viewport={"width": 1024, "height": 768})
        page = context.new_page()
        answer = page.goto(f"{address}&k=3")
        assert answer.status == 503
        expect(page.locator(".sf-full h1")).to_have_text("The server is full")
        first.close()
        page.wait_for_selector(".sf-page", state="attached", timeout=60_000)  # it looks again every 10 s
        expect(page.locator(".sf-gate output")).to_have_text("k = 3")
        context.close()
