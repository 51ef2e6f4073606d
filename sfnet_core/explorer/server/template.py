"""Our Voilà template, laid out where Voilà looks for it, with the BokehJS of the installed Bokeh beside it."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import bokeh

from sfnet_core.explorer.shared.view import PAGES

__all__ = ["lay_out"]

SOURCE = Path(__file__).parent / "voila" / "templates" / "sfnet"
BOKEH_JS = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"


def lay_out(jupyter_path: Path) -> Path:
    """Write the template under ``jupyter_path/voila/templates/sfnet`` and return that folder.

    The page then asks its own server alone for BokehJS and for its style, and a browser keeps both without asking
    again: their addresses hold a version, the hash of their content. ``jupyter_path``
    is a folder on the JUPYTER_PATH (``sfnet explore`` uses a temporary one), or ``sys.prefix/share/jupyter`` to have
    the template in a JupyterHub's Voilà.
    """
    target = jupyter_path / "voila" / "templates" / "sfnet"
    shutil.copytree(SOURCE, target, dirs_exist_ok=True)
    static = target / "static"
    static.mkdir(exist_ok=True)
    version = hashlib.blake2b(digest_size=8)
    for file in (BOKEH_JS, PAGES / "shared/explorer.css", PAGES / "shared/page.css", PAGES / "server/line.js"):
        shutil.copyfile(file, static / file.name)
        version.update(file.read_bytes())
    page = target / "index.html.j2"
    text = page.read_text(encoding="utf-8").replace("?v=VERSION", f"?v={version.hexdigest()}")
    page.write_text(text, encoding="utf-8")
    return target


def main() -> None:
    """Put the template into this Python's Jupyter data folder, or the one named, for Voilà as a server extension."""
    where = lay_out(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(sys.prefix) / "share" / "jupyter")
    print(f"The template is in {where}; serve with --VoilaConfiguration.template=sfnet")


if __name__ == "__main__":
    main()
