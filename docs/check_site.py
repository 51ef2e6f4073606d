"""Checks the built site: `python docs/check_site.py docs/_build/html`.

No page may ask another host for anything (scripts, styles, fonts, pictures), and every link to a place within the
site must lead somewhere. Links that a reader may click lead where they like.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("video", "src")}
NOT_LOADED = {"canonical", "author", "next", "prev", "search", "index", "help", "license"}  # a <link>'s rel
OUTSIDE = re.compile(r"(?:https?:)?//", re.IGNORECASE)


class Reader(HTMLParser):
    """What a page loads, where its links lead, and which anchors it has."""

    def __init__(self, text: str):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self._style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self._style = tag == "style"
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        rel = set(given.get("rel", "").split())
        for name, value in given.items():
            if (tag, name) in LOADING and not (tag == "link" and rel & NOT_LOADED):
                self.loads.append(value)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])

    def handle_data(self, data: str) -> None:
        if self._style:
            self.loads += in_style(data)


def in_style(text: str) -> list[str]:
    """What a style sheet loads."""
    return re.findall(r"""(?:url\(\s*|@import\s+(?!url))["']?([^"')\s;]+)""", text)


def troubles(site: Path) -> list[str]:
    """A sentence for each thing that is wrong."""
    pages = {path: Reader(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site} holds no page."]
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f"{name} loads {address}" for address in page.loads if OUTSIDE.match(address)]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{name} links to {link}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name} links to {link}, an anchor that is not there")
    for path in sorted(site.rglob("*.css")):
        loaded = in_style(path.read_text(encoding="utf-8", errors="replace"))
        found += [f"{path.relative_to(site)} loads {address}" for address in loaded if OUTSIDE.match(address)]
    return found


def main(site: str) -> int:
    """Print what is wrong; 1 where anything is."""
    found = troubles(Path(site).resolve())
    print("\n".join(found) or f"The site in {site} asks no other host for anything, and its links hold.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
