"""What a browser keeps without asking again: files whose address says what is in them."""

from __future__ import annotations

import re
import sys
import urllib.request
from pathlib import Path

from sfnet_core.explorer.server import template
from sfnet_core.explorer.server.serve import serving


def versions(folder: Path) -> set[str]:
    page = (folder / "index.html.j2").read_text(encoding="utf-8")
    assert "VERSION" not in page
    return set(re.findall(r"\?v=([0-9a-f]{16})\"", page))


def test_the_version_is_the_contents(tmp_path, monkeypatch):
    (one,), (same,) = (versions(template.lay_out(tmp_path / name)) for name in "ab")
    changed = tmp_path / "pages"
    for name in ("shared/explorer.css", "shared/page.css", "server/line.js"):
        (changed / name).parent.mkdir(parents=True, exist_ok=True)
        (changed / name).write_bytes((template.PAGES / name).read_bytes())
    (changed / "shared" / "page.css").write_text("body { margin: 0 }")
    monkeypatch.setattr(template, "PAGES", changed)
    (other,) = versions(template.lay_out(tmp_path / "c"))
    assert one == same != other


def test_only_names_that_hold_their_hash_are_kept_for_good():
    with serving(pool=0, token=False) as (address, _):
        base = address.partition("/voila/")[0]

        def cached(path: str) -> str:
            with urllib.request.urlopen(f"{base}/voila/{path}", timeout=30) as answer:
                assert answer.status == 200 and answer.read()
                return answer.headers.get("Cache-Control", "")

        entry = r'"load":\s*"(?:\./)?static/(remoteEntry\.[0-9a-f]+\.js)"'
        (anywidget,) = set(re.findall(entry, extension("anywidget")))
        assert "immutable" in cached(f"labextensions/anywidget/static/{anywidget}")
        assert "immutable" not in cached("labextensions/anywidget/package.json")
        assert "max-age=315360000" in cached("templates/sfnet/static/page.css?v=0123456789abcdef")
        assert "max-age" not in cached("templates/sfnet/static/page.css")


def extension(name: str) -> str:
    return (Path(sys.prefix) / "share" / "jupyter" / "labextensions" / name / "package.json").read_text()
