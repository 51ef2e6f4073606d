"""Behind a proxy that adds the token to every request, a page of another site gets nothing from ours."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from proxy import Cable
from visitor import kernel_of
from waiting import until

from sfnet_core.explorer.server.serve import serving

ATTACK = """async ([base, kernel]) => {
  const read = async (path, how) => {
    try {
      const answer = await fetch(base + path, { credentials: "include", ...how });
      return (await answer.text()).length;
    } catch (error) { return String(error); }
  };
  const socket = await new Promise((done) => {
    const where = `${base.replace("http", "ws")}/api/kernels/${kernel}/channels`;
    const line = new WebSocket(where, ["v1.kernel.websocket.jupyter.org"]);
    line.onopen = () => done("open");
    line.onerror = () => done("refused");
  });
  return {
    page: await read("/voila/render/explore.ipynb"),
    kernel: await read(`/api/kernels/${kernel}`),
    end: await read(`/sfnet/end/${kernel}`, { method: "POST", mode: "no-cors" }),
    socket,
  };
}"""


@pytest.fixture(scope="module")
def proxied() -> Iterator[str]:
    """The proxy's address; it is the only way in, and asks nobody who he is."""
    with serving(pool=0) as (address, _):
        split = urlsplit(address)
        with Cable(address, f"Authorization: token {split.query.removeprefix('token=')}") as proxy:
            yield f"http://{urlsplit(proxy.address).netloc}"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Another site: another host name, which a browser takes for another origin."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!DOCTYPE html><title>another site</title>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def test_t33_a_page_of_another_site_gets_nothing_through_the_proxy(browser, proxied, elsewhere):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{proxied}/voila/render/explore.ipynb")
    page.wait_for_selector(".sf-page", state="attached", timeout=90_000)
    kernel = page.evaluate("() => JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    other = context.new_page()
    other.goto(elsewhere)
    found = other.evaluate(ATTACK, [proxied, kernel])
    assert found["socket"] == "refused"
    assert "Failed to fetch" in str(found["page"]) and "Failed to fetch" in str(found["kernel"])
    status = page.inner_text(".sf-status")  # the page itself works on, also after the time that a last word has
    page.wait_for_timeout(2000)
    assert kernel_of(kernel)
    page.locator(".sf-toggle").first.click()
    until(lambda: page.inner_text(".sf-status") != status)
    context.close()
