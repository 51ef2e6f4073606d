"""Where the figures are on the screen, read from the page as a user's eye would: frames in pixels, ranges in units."""

from __future__ import annotations

from playwright.sync_api import Page

FRAMES = """() => {
  const found = [];
  const walk = (node) => {
    for (const child of node.querySelectorAll("*")) {
      if (child.classList.contains("bk-CartesianFrame")) found.push(child);
      else if (child.shadowRoot) walk(child.shadowRoot);
    }
  };
  walk(document.querySelector(".sf-plots"));
  return found.map((frame) => {
    const box = frame.getBoundingClientRect();
    return { x: box.x, y: box.y, width: box.width, height: box.height };
  });
}"""


def frames(page: Page) -> list[dict]:
    """The data frame of each figure in page pixels, left to right and top to bottom."""
    boxes = page.evaluate(FRAMES)
    return sorted(boxes, key=lambda box: (round(box["y"] / 50), box["x"]))


def lasso(page: Page, box: dict, corners: list[tuple[float, float]]) -> None:
    """Drag a lasso over a frame; corners as shares of its width and height from the upper left."""
    points = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in [*points[1:], points[0]]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()
