"""The frame of a saved atlas: style, program, and data that no program but ours reads.

The program is the served page's own front end; its data come from this file (:file:`embedded.js`), not from a kernel.
A content policy in the file lets the browser run that program alone and fetch nothing, so that no text of a catalogue
can do anything.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import lru_cache
from typing import Any

from sfnet_core.explorer.atlas.card_grid import Deck
from sfnet_core.explorer.atlas.feature_page import Leaf
from sfnet_core.explorer.atlas.head import AtlasHead
from sfnet_core.explorer.atlas.parts import front_end
from sfnet_core.explorer.atlas.tables import Tables
from sfnet_core.explorer.shared.view import source
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.version import __version__

__all__ = ["as_json", "block", "ending", "opening", "program", "styles"]

STYLES = ("shared/explorer.css", "shared/notes.css", "atlas/atlas.css", "atlas/saved.css")
VIEWS = {"atlasHead": AtlasHead, "atlasCards": Deck, "atlasLeaf": Leaf, "atlasTables": Tables}  # name in the program


def as_json(value: Any) -> str:
    """JSON that can stand inside a script element: no character in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def block(name: str, value: Any) -> str:
    """A data block of the page."""
    return f'<script type="application/json" id="sf-{name}">{as_json(value)}</script>\n'


@lru_cache(maxsize=1)
def styles() -> str:
    """The page's style sheet."""
    return "\n".join(source(name) for name in STYLES)


@lru_cache(maxsize=1)
def program() -> str:
    """The page's program: the served page's modules, each in a scope of its own, and what takes the kernel's place."""

    shared = front_end()
    parts = ["(() => {", '"use strict";', shared]
    for name, view in VIEWS.items():
        body = str(view._esm)
        if not body.startswith(shared) or body.count("export default { render };") != 1:
            raise SFNetError("This installation's front end is not whole; install sfnet-core again.")
        body = body.removeprefix(shared).replace("export default", "return")
        parts += [f"const {name} = (() => {{", body, "})();"]
    own = [source(name) for name in ("atlas/galaxy_card.js", "atlas/embedded.js")]
    script = "\n".join([*parts, *own, "})();"])
    if "</script" in script.lower() or "<!--" in script:
        raise SFNetError("This installation's front end can't stand in a page; install sfnet-core again.")
    return script


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def ending() -> str:
    """The end of the page: its program, which finds the data blocks before it."""
    return f"<script>{program()}</script>\n</body>\n</html>\n"


def opening(title: str) -> str:
    """The page up to its data blocks."""
    style, script = styles(), program()
    # blob: are figures that the page itself draws and saves; nothing can be fetched from anywhere
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src 'sha256-{_hash(style)}'; "
        f"script-src 'sha256-{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="sfnet-core {__version__}">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body data-saved="1">
<main class="sf-root sf-atlas" id="sf-atlas"></main>
<noscript><p>This atlas is drawn by a program inside this file: allow scripts for it, then open it again.</p></noscript>
"""
