"""The documentation names what exists: verbs and their options, modules, environment variables, files, filters."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from sfnet_core.analysis.code_names import CodeNames
from sfnet_core.cli.verbs import app
from sfnet_core.data.filters.grammar import parse
from sfnet_core.data.filters.masks import select
from sfnet_core.explorer.shared.sample import sample_codes

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not {"_build", "generated"} & set(p.relative_to(DOCS).parts))
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md", "benchmarks/README.md"))]
WORDS = {"…", "\\", "..."}  # stand for what a reader puts there

named = pytest.mark.parametrize("page", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))


def fenced(text: str) -> list[tuple[str, str]]:
    """(language, body) of each fenced block that is not a directive with Markdown in it."""
    return re.findall(r"^```\{?([\w-]*)\}?[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def block_commands(text: str) -> list[list[str]]:
    """`sfnet …` lines of shell blocks and of cells, as words; what the shell makes of them is left out."""
    found = []
    for language, body in fenced(text):
        for line in body.splitlines():
            typed = re.match(r"^!?sfnet (.*)" if language == "code-cell" else r"^sfnet (.*)", line)
            if typed and language in ("code-cell", "sh"):
                words = re.split(r"\s(?:;|>|\||&&|2>)", re.sub(r";.*", "", typed[1]))[0]
                found.append(shlex.split(words, comments=True))
    return found


def inline_commands(text: str) -> list[list[str]]:
    """`sfnet …` in a sentence: often without its arguments."""
    spans = re.findall(r"`+(sfnet [^`]+)`+", re.sub(r"\s+", " ", prose(text)))
    return [[word for word in span.split()[1:] if word not in WORDS] for span in spans]


def command_of(words: list[str]) -> tuple[str, Any, list[str]]:
    """The verb that words call, or the verb of a group, and what follows it."""
    verbs, name = get_command(app).commands, words[0]
    if name in verbs and hasattr(verbs[name], "commands") and len(words) > 1 and not words[1].startswith("-"):
        verbs, name, words = verbs[name].commands, words[1], words[1:]
    return name, verbs.get(name), words[1:]


def test_commands_are_found_at_all():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert ["pack", "catalogue.csv", "images/", "--out", "galaxies", "--pixel-scale", "0.396"] in block_commands(readme)
    own = (DOCS / "howto" / "own-data.md").read_text(encoding="utf-8")
    assert {words[0] for words in block_commands(own)} >= {"pack", "train", "infer", "evaluate", "explore"}
    assert ["export"] in inline_commands((DOCS / "howto" / "table.md").read_text(encoding="utf-8"))


@named
def test_commands_parse(page):
    text = page.read_text(encoding="utf-8")
    for words in block_commands(text):
        name, command, rest = command_of(words)
        assert command is not None, f"{page.name}: no verb {name}"
        command.make_context(name, rest)  # raises where an option or argument is not known
    for words in inline_commands(text):
        if not words or words[0].isupper():  # "sfnet COMMAND --help"
            continue
        verb, command, rest = command_of(words)
        parameters = getattr(command, "params", ())
        options = {name for one in parameters for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        assert command is not None or verb.startswith("-"), f"{page.name}: no verb {verb}"
        for word in rest:
            name = word.strip("[]").split("=")[0]
            assert not name.startswith("-") or name in options, f"{page.name}: sfnet {verb} has no {name}"


@named
def test_dotted_names_exist(page):
    for name in sorted(set(re.findall(r"\bsfnet_core(?:\.\w+)+", page.read_text(encoding="utf-8")))):
        if (ROOT / name.replace(".", "/")).is_dir() or name.endswith((".py", ".cli")):
            continue
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:length]))
                break
            except ModuleNotFoundError as error:
                assert error.name and error.name.startswith("sfnet_core"), error
        for attribute in parts[length:]:
            assert hasattr(found, attribute), f"{page.name} names {name}, which does not exist"
            found = getattr(found, attribute)


def test_imports_in_the_pages_are_of_names_that_exist():
    seen = 0
    for page in TEXTS:
        for language, body in fenced(page.read_text(encoding="utf-8")):
            if language not in ("code-cell", "python"):
                continue
            code = "\n".join(line for line in body.splitlines() if not line.startswith(("!", ":")))
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("sfnet_core"):
                    module = importlib.import_module(node.module)
                    for alias in node.names:
                        assert hasattr(module, alias.name), f"{page.name}: {node.module} has no {alias.name}"
                        seen += 1
    assert seen > 20


def test_the_reference_has_every_module_that_a_page_names():
    listed = set(
        re.findall(r"^   (sfnet_core[\w.]+)$", (DOCS / "reference/api/index.md").read_text("utf-8"), re.MULTILINE)
    )
    named = set()
    for page in TEXTS:
        text = page.read_text(encoding="utf-8")
        named |= set(re.findall(r"^from (sfnet_core\.[\w.]+) import", text, re.MULTILINE))
        named |= set(re.findall(r"\{py:mod\}`(?:[^`<]*<)?([\w.]+)>?`", text))
        named |= {n.rpartition(".")[0] for n in re.findall(r"\{py:(?:func|class)\}`[^`]*?(sfnet_core[\w.]+)>?`", text)}
    assert named <= listed, named - listed


def test_every_environment_variable_is_in_the_table_and_no_other():
    in_code = set()
    for path in (ROOT / "sfnet_core").rglob("*.py"):
        in_code |= set(re.findall(r'"(SFNET_[A-Z0-9_]+)"', path.read_text(encoding="utf-8")))
    table = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(SFNET_\w+)` \|", table, re.MULTILINE)) == in_code
    for page in TEXTS:
        assert set(re.findall(r"\bSFNET_[A-Z0-9_]+", page.read_text(encoding="utf-8"))) <= in_code, page.name


def targets(page: Path) -> list[str]:
    """Relative links, pictures, included files and pages of a table of contents, as they are written."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)\s]+)\)", prose(text))
    found += re.findall(r"^```\{(?:image|figure|include|literalinclude)\} (\S+)", text, re.MULTILINE)
    found += [target + ".md" for target in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text)]
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        found += [line + ".md" for line in block.splitlines() if line and not line.startswith(":")]
    return [t.split("#")[0] for t in found if not re.match(r"(https?:|mailto:|#)", t)]


@named
def test_relative_links_resolve(page):
    for target in targets(page):
        place = DOCS / target.lstrip("/") if target.startswith("/") else page.parent / target
        assert place.exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there"


def test_every_page_is_in_a_table_of_contents():
    listed = {DOCS / "index.md"}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            listed |= {page.parent / f"{line}.md" for line in block.splitlines() if line and not line.startswith(":")}
    assert set(PAGES) == listed


@pytest.fixture(scope="module")
def filters_page() -> str:
    return (DOCS / "howto" / "filters.md").read_text(encoding="utf-8")


def test_each_filter_example_selects_some_and_not_all(filters_page):
    cells = [
        ast.parse(re.sub(r"^:.*$", "", body, flags=re.M)) for lang, body in fenced(filters_page) if lang == "code-cell"
    ]
    found = [
        ast.literal_eval(node.value)
        for cell in cells
        for node in cell.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "examples"
    ]
    assert len(found) == 1 and len(found[0]) >= 12
    names = CodeNames(sample_codes())
    for text in found[0]:
        mask = select(text, names)
        assert 0 < mask.sum() < len(mask), text
    assert np.array_equal(select("f101", names), select("f101 > 0", names))


def test_the_positions_in_the_text_parse(filters_page):
    text = re.sub(r"\s+", " ", filters_page)
    found = re.findall(r"`((?:within|cone\()[^`]+)`", text)
    assert len(found) >= 4
    for example in found:
        parse(example)


def test_the_keyboard_s_pages_are_the_pages_that_have_keys():
    pages = ROOT / "sfnet_core" / "explorer"
    text = (DOCS / "reference" / "keyboard.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\{sfnet-keys\} (\w+)", text))
    assert shown == {path.parent.name for path in pages.glob("*/keys.js")} - {"shared"}


def test_each_fault_s_row_names_its_tests():
    """Every named test exists; every test named after a row (``test_t3_…``, ``test_r9_r10_…``) is in that row."""
    written = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    text = (DOCS / "reference" / "faults.md").read_text(encoding="utf-8")
    parts = re.split(r"^(?:\*\*|\| )([TR]\d+)(?:\*\*:| \|)", text, flags=re.MULTILINE)
    rows = {row: set(re.findall(r"`(test_\w+)`", body)) for row, body in zip(parts[1::2], parts[2::2], strict=True)}
    assert set(rows) == {f"T{n}" for n in range(1, 34)} | {f"R{n}" for n in range(1, 27)}
    assert set().union(*rows.values()) <= written, set().union(*rows.values()) - written
    for name in written:
        for row in re.findall(r"[tr]\d+", (re.match(r"test_((?:[tr]\d+_)+)", name) or [""])[0]):
            assert name in rows[row.upper()], f"{name} is not in row {row.upper()} of docs/reference/faults.md"


def check_site(site: Path) -> list[str]:
    spec = importlib.util.spec_from_file_location("check_site", DOCS / "check_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.troubles(site)


FAULTS = {
    '<script src="https://cdn.example/x.js"></script>': "loads https://cdn.example/x.js",
    '<link rel="stylesheet" href="//fonts.example/f.css">': "loads //fonts.example/f.css",
    "<style>@import url(https://fonts.example/f.css);</style>": "loads https://fonts.example/f.css",
    '<img src="http://pictures.example/g.png">': "loads http://pictures.example/g.png",
    '<a href="gone.html">x</a>': "links to gone.html, which is not there",
    '<a href="other.html#gone">x</a>': "links to other.html#gone, an anchor that is not there",
    '<a href="#gone">x</a>': "links to #gone, an anchor that is not there",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_built_site_is_searched_for_requests_and_dead_links(tmp_path, fault):
    whole = (
        '<a href="other.html#there">x</a><a href="https://doi.org/1">x</a><link rel="canonical" href="https://a.b/">'
    )
    (tmp_path / "other.html").write_text('<p id="there">', encoding="utf-8")
    (tmp_path / "index.html").write_text(whole, encoding="utf-8")
    assert check_site(tmp_path) == []
    (tmp_path / "index.html").write_text(whole + fault, encoding="utf-8")
    assert check_site(tmp_path) == [f"index.html {FAULTS[fault]}"]


def test_style_sheets_of_the_site_load_nothing_from_elsewhere(tmp_path):
    (tmp_path / "index.html").write_text("<p>", encoding="utf-8")
    (tmp_path / "own.css").write_text("a { background: url('data:,x'), url(font.woff2) }", encoding="utf-8")
    assert check_site(tmp_path) == []
    (tmp_path / "own.css").write_text('@import "https://fonts.example/f.css";', encoding="utf-8")
    assert check_site(tmp_path) == ["own.css loads https://fonts.example/f.css"]
    assert check_site(tmp_path / "nowhere") != []


def test_what_builds_the_docs_is_pinned():
    lines = (ROOT / "requirements-docs.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r"))]
    assert wanted and all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in wanted), wanted


def test_the_server_s_example_sets_what_exists():
    from jupyter_client.manager import KernelManager
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from voila.configuration import VoilaConfiguration

    tree = ast.parse((DOCS / "howto" / "jupyter_server_config.py").read_text(encoding="utf-8"))
    known = {one.__name__: one for one in (KernelManager, MappingKernelManager, VoilaConfiguration)}
    seen = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("c."):
            _, owner, trait = ast.unparse(node.targets[0]).split(".")
            assert trait in known[owner].class_trait_names(config=True), f"{owner}.{trait}"
            seen += 1
    assert seen >= 5
