"""Directives that take from the package what would go stale if it were typed: help texts and keys."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "sfnet_core" / "explorer"


def verbs() -> list[str]:
    """The shell verbs, in the order of `sfnet --help`."""
    from sfnet_core.cli.verbs import app

    groups = [(group.name, group.typer_instance) for group in app.registered_groups]
    found = [command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands]
    return found + [f"{name} {one.callback.__name__}" for name, group in groups for one in group.registered_commands]


def help_of(*arguments: str) -> str:
    """What `sfnet … --help` prints."""
    from sfnet_core.cli.verbs import run

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run([*arguments, "--help"])
    return out.getvalue().strip("\n")


def keys(page: str) -> list[tuple[str, str]]:
    """(key, what it does) from a page's own list, ``PAGE/keys.js``, and what it takes of the list that all share."""
    own = (PAGES / page / "keys.js").read_text(encoding="utf-8")
    shared = _listed((PAGES / "shared" / "keys.js").read_text(encoding="utf-8"))
    if chosen := re.search(r"\.\.\.SHARED_KEYS\.filter\((.*)\),", own):
        wanted = re.findall(r'key === "(.)"', chosen[1])
        shared = [row for row in shared if row[0] in wanted]
    elif "...SHARED_KEYS," not in own:
        shared = []
    return [*_listed(own), *shared]


def _listed(text: str) -> list[tuple[str, str]]:
    return re.findall(r'^\s*\["[^"]+", "([^"]+)", "([^"]+)",', text, re.MULTILINE)


class Help(SphinxDirective):
    """`sfnet-help`: a section for each verb with its help text."""

    def run(self) -> list[nodes.Node]:
        for path in (ROOT / "sfnet_core" / "cli").glob("*.py"):
            self.env.note_dependency(str(path))
        out: list[nodes.Node] = []
        for verb in verbs():
            part = nodes.section(ids=[f"sfnet-{verb.replace(' ', '-')}"], names=[f"sfnet {verb}"])
            part += nodes.title("", "", nodes.literal("", f"sfnet {verb}"))
            part += nodes.literal_block("", help_of(*verb.split()), language="text")
            out.append(part)
        return out


class Keys(SphinxDirective):
    """`sfnet-keys PAGE`: the keyboard of a page as a table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        for folder in ("shared", self.arguments[0]):
            self.env.note_dependency(str(PAGES / folder / "keys.js"))
        found = keys(self.arguments[0])
        if len(found) < 3:
            raise self.error(f"Only {len(found)} keys of {self.arguments[0]} could be read; has the list another form?")
        if ("u", "undo") in found:
            found += [("Ctrl + Z", "undo, too"), ("Ctrl + Shift + Z", "redo, too")]
        lines = ["| key | what it does |", "|---|---|"]
        lines += [f"| <kbd>{key}</kbd> | {what} |" for key, what in [*found, ("?", "this list, on the page")]]
        return _parsed(self, lines, f"{self.arguments[0]}/keys.js")


def _parsed(directive: SphinxDirective, lines: list[str], source: str) -> list[nodes.Node]:
    box = nodes.container()
    directive.state.nested_parse(StringList(lines, source), 0, box)
    return box.children


def bars_are_bars(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """In a docstring |x| is a size, not reStructuredText's substitution."""
    for number, line in enumerate(lines):
        parts = re.split(r"(``.*?``|`.*?`)", line)
        lines[number] = "".join(part if part.startswith("`") else part.replace("|", "\\|") for part in parts)


def described(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Under Parameters and Attributes our docstrings write ``name : what it is``, and a paragraph may come after them.

    Napoleon takes the first for a type and the second for more names.
    """
    out: list[str] = []
    under, indent = False, 0
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if re.fullmatch(r"\s*-{4,}", following) and line.strip():
            under, indent = line.strip() in ("Parameters", "Attributes"), len(line) - len(line.lstrip())
        entry = re.match(r"(\s*)([\w*, ]+?) : (.+)", line)
        if under and entry and len(entry[1]) == indent:
            deeper = following.strip() and len(following) - len(following.lstrip()) > indent
            if not deeper or re.search(r"[.;,:]$| (?:of|or|the|to|and) ", entry[3]) or len(entry[3]) > 40:
                out += [f"{entry[1]}{entry[2]}", f"{entry[1]}    {entry[3]}"]
                continue
        out.append(line)
        if under and not line.strip() and re.match(rf"\s{{{indent}}}\w", following) and " : " not in following:
            out.append("")  # a paragraph after the list: two empty lines end it
            under = False
    lines[:] = out


def formula(writer: HTML5Translator, node: nodes.math) -> None:
    """A formula in a line, as MathML: browsers draw it themselves, without a script from elsewhere."""
    writer.body.append(str(tex2mathml(node.astext())))
    raise nodes.SkipNode


def formula_block(writer: HTML5Translator, node: nodes.math_block) -> None:
    """A formula of its own."""
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def live_atlas(app: Sphinx, error: Exception | None) -> None:
    """The embedded sample's atlas as one page of the site, ``atlas.html``: it needs no server, as the site does."""
    if error is not None or app.builder.format != "html":
        return
    from sfnet_core.explorer.atlas.saved import save_page
    from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset

    with tempfile.TemporaryDirectory() as empty:  # not with the builder's own labels
        os.environ["SFNET_LABELS"] = empty
        title = "Atlas of the embedded sample (simulated galaxies)"
        save_page(sample_codes(), Path(app.outdir, "atlas.html"), sample_dataset(), title=title)
        del os.environ["SFNET_LABELS"]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", described, priority=100)  # before Napoleon
    app.connect("autodoc-process-docstring", bars_are_bars, priority=900)  # after Napoleon
    app.connect("build-finished", live_atlas)
    app.add_html_math_renderer("mathml", (formula, None), (formula_block, None))
    app.add_directive("sfnet-help", Help)
    app.add_directive("sfnet-keys", Keys)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
