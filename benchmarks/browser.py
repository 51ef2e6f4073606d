"""A headless Chromium that times pages from the inside: from the click to the frame on which the answer is painted.

Clocks are the page's own (``performance.now()``, 0 at the start of the navigation), so that the driver's round trips
are not counted. An animation frame counts as painted when a message posted from its callback comes back: that is after
the browser has laid out and drawn it.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
SIZE = {"width": 1440, "height": 900}

CLOCKS = """(() => {
  if (window.bench) return;
  const bench = (window.bench = { drawn: 0, ready: null, answer: null });
  for (const kind of ["CanvasRenderingContext2D", "OffscreenCanvasRenderingContext2D"]) {
    const prototype = window[kind]?.prototype;
    for (const name of ["clearRect", "drawImage", "putImageData", "fill", "fillRect", "stroke"]) {
      const original = prototype?.[name];
      if (original)
        prototype[name] = function (...given) {
          const out = original.apply(this, given);
          bench.drawn = performance.now();
          return out;
        };
    }
  }
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  bench.painted = () =>
    new Promise((done) =>
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => done(performance.now());
        channel.port2.postMessage(0);
      }),
    );
  bench.still = async (since, quiet) => {  // when the last canvas was drawn on, once none has been for a while
    while (performance.now() - Math.max(since, bench.drawn) < quiet) await sleep(20);
    return bench.drawn > since ? bench.drawn : null;
  };
  bench.changed = (node, what) =>
    new Promise((done) => {
      const before = what(node);
      const watch = new MutationObserver(() => {
        if (what(node) === before) return;
        watch.disconnect();
        done(performance.now());
      });
      watch.observe(node, { childList: true, characterData: true, attributes: true, subtree: true });
    });
  bench.pictures = (root) => Promise.all([...root.querySelectorAll("img")].map((img) => img.decode().catch(() => 0)));
  const canvas = (node) =>
    [...node.querySelectorAll("*")].some((c) => c.tagName === "CANVAS" || (c.shadowRoot && canvas(c.shadowRoot)));
  (async function look() {
    const page = document.querySelector(".sf-page");
    const whole = !document.querySelector(".sf-root") || document.querySelector(".sf-galaxy"); // the gallery comes last
    if (page && canvas(page) && whole) bench.ready = await bench.painted();
    else requestAnimationFrame(look);
  })();
})()"""

CLICK = """async ([button, watched, inside, quiet]) => {
  const node = document.querySelector(watched);
  const read = inside
    ? () => [...node.querySelectorAll(inside)].map((e) => e.dataset.id + e.textContent).join()
    : () => node.textContent;
  const changed = bench.changed(node, read);
  const start = performance.now();
  document.querySelector(button).click();
  const text = (await changed) - start;
  const said = node.textContent;
  await bench.pictures(node);
  const painted = (await bench.painted()) - start;
  const figures = quiet ? await bench.still(start, quiet) : null;  // null too where nothing was drawn
  const found = { text, painted, said, stayed: said === node.textContent };
  if (figures === null) return found;
  return { ...found, figures: figures - start, done: Math.max(painted, figures - start) };
}"""

LASSO = """() => {
  const total = document.querySelector(".sf-total");
  const gallery = document.querySelector(".sf-gallery");
  bench.answer = new Promise((done) => {
    const changed = bench.changed(total, () => total.textContent);
    addEventListener("pointerup", async () => {
      const start = performance.now();
      const text = (await changed) - start;
      await bench.pictures(gallery);
      const painted = (await bench.painted()) - start;
      const figures = (await bench.still(start, 400)) - start;
      done({ text, painted, figures, done: Math.max(painted, figures) });
    }, { capture: true, once: true });
  });
}"""

FRAMES = """() => {
  const found = [];
  (function walk(node) {
    for (const child of node.querySelectorAll("*")) {
      if (child.classList.contains("bk-CartesianFrame")) found.push(child.getBoundingClientRect());
      else if (child.shadowRoot) walk(child.shadowRoot);
    }
  })(document.querySelector(".sf-plots"));
  return found.map((box) => ({ x: box.x, y: box.y, width: box.width, height: box.height }));
}"""


def executable() -> str:
    """The Chromium on the PATH; :class:`SystemExit` where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise SystemExit("No Chromium on the PATH (Debian: apt install chromium).")
    return found


@contextlib.contextmanager
def profile() -> Iterator[BrowserContext]:
    """A visitor's own browser: a profile on disk, which keeps files and compiled scripts as everyday browsers do.

    (Contexts of :func:`chromium` are private windows: they keep files, but compile every script again.)
    """
    found = executable()
    with tempfile.TemporaryDirectory(prefix="sfnet-profile-") as folder, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=found, args=FLAGS, viewport=SIZE
        )
        try:
            yield context
        finally:
            context.close()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A fresh browser with empty caches; :class:`SystemExit` where there is none on the PATH."""
    found = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One browser profile: what it has loaded once is in its cache."""

    def __init__(self, browser: Browser | BrowserContext, patience: float = 180):
        """A private window of the browser, or a profile's window."""
        self.context = browser if isinstance(browser, BrowserContext) else browser.new_context(viewport=SIZE)
        self.context.set_default_timeout(1000 * patience)
        self.context.add_init_script(CLOCKS)
        self.page: Page | None = None

    def open(self, address: str, quiet: int = 400) -> dict[str, float | None]:
        """Open the page → ms from the start of the navigation until it is ready, until its figures are still, and
        until the browser first paints anything."""
        self.leave()
        self.page = self.context.new_page()
        self.page.goto(address, wait_until="commit")
        self.page.wait_for_function("window.bench && bench.ready !== null", polling=20)
        ready = self.page.evaluate("bench.ready")
        still = self.page.evaluate("([ready, quiet]) => bench.still(ready, quiet)", [ready, quiet])
        first = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
        return {"ready": ready, "still": still or ready, "first_contentful_paint": self.page.evaluate(first)}

    def click(self, button: str, watched: str, inside: str = "", quiet: int = 0) -> dict[str, Any]:
        """Click → ms until ``watched`` has changed, until that is painted, and until the figures are still.

        Also what it said at its first change, and whether that was its last word: else the clock stopped too early.
        """
        return self.page.evaluate(CLICK, [button, watched, inside, quiet])

    def lasso(self, frame: int, corners: list[tuple[float, float]]) -> dict[str, float | None]:
        """Draw a lasso in a figure → ms from the release of the button until the gallery shows the selection."""
        boxes = sorted(self.page.evaluate(FRAMES), key=lambda box: (round(box["y"] / 50), box["x"]))
        box = boxes[frame]
        points = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in corners]
        self.page.evaluate(LASSO)
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in [*points[1:], points[0]]:
            self.page.mouse.move(*point, steps=8)
        self.page.mouse.up()
        return self.page.evaluate("() => bench.answer")

    def leave(self) -> None:
        """Close the page, keep the cache."""
        if self.page is not None:
            self.page.close()
            self.page = None

    def close(self) -> None:
        self.context.close()


def settle(process: subprocess.Popen, longest: float = 90) -> None:
    """Wait until the server and its kernels have nothing to do: the kernels kept ready have opened their codes.

    Voilà starts the next one a second after a visit, so two and a half seconds of rest are asked for.
    """
    import psutil

    def used() -> float:
        total = 0.0
        server = psutil.Process(process.pid)
        for one in [server, *server.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += sum(one.cpu_times()[:2])
        return total

    deadline, quiet, before = time.monotonic() + longest, 0, used()
    while quiet < 5 and time.monotonic() < deadline:
        time.sleep(0.5)
        now = used()
        quiet = quiet + 1 if now - before < 0.04 else 0
        before = now


def any_of(values: list[dict[str, Any]], key: str) -> list[float]:
    """The values of ``key`` that are there."""
    return [value[key] for value in values if value.get(key) is not None]
