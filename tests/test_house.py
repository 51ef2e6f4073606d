"""The walls of the house: who may import what, and notebooks that hold no logic."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sfnet_core"
TORCH = {"torch", "torchvision", "safetensors"}
# These know torch; nothing else in the package may, not even inside a function (the shell's verbs call them).
TORCH_ROOMS = {
    *("attribution", "augment", "checkpoint", "device", "feed", "inference", "network", "optimiser", "training"),
    *("encoding", "fused", "winograd", "graphed", "plan", "progress_file", "pretraining", "run", "split", "starting"),
    "alive",
    *("compare", "compare_networks", "compare_work", "foreign", "foreign_reader", "imported"),
    "certainty",
    *("faithful_regions", "faithful_work"),
    "unlike_fit",
}
LIGHT = {"numpy", "pyarrow"}
MAY_IMPORT = {  # third-party modules a room may import at its top
    "interpret": {"numpy"},
    "astro": {"numpy"},
    "metrics": {"numpy"},
    "evaluate": {"numpy"},
    **dict.fromkeys(("stability", "stability_choice", "stability_groups", "stability_seeds"), frozenset({"numpy"})),
    **dict.fromkeys(("consensus", "consensus_report"), frozenset({"numpy"})),
    **dict.fromkeys(
        ("faithful", "faithful_ablation", "faithful_classes", "faithful_matter", "faithful_probe", "kept", "winding"),
        frozenset({"numpy"}),
    ),
    "faithful_words": set(),
    "cli_faithful": {"typer"},
    "stability_file": set(),
    "intervals": {"numpy"},
    "codes": {"numpy"},
    "codes_check": {"numpy"},
    "codes_header": {"numpy"},
    "codes_file": LIGHT,
    "codes_write": LIGHT,
    **dict.fromkeys(("codes_fingerprint", "codes_ids", "codes_open", "codes_shelf"), frozenset({"numpy"})),
    **dict.fromkeys(("code_sums", "feature_index", "feature_tables"), frozenset({"numpy"})),
    "parquet_guard": LIGHT,
    "certain": {"numpy"},
    "export": {"numpy"},
    **dict.fromkeys(("photometry", "compare_fits", "compare_table", "compare_about"), frozenset({"numpy"})),
    **dict.fromkeys(("begun", "errors", "history_file", "saying"), frozenset()),
    "unlike": {"numpy"},
    **dict.fromkeys(("lines", "lines_score"), frozenset({"numpy"})),
    "files": set(),
    **dict.fromkeys(
        ("cli", "cli_codes", "cli_compare", "cli_options", "cli_pretrain", "cli_report", "cli_stability"),
        frozenset({"typer"}),
    ),
    **dict.fromkeys(("cli_consensus", "cli_import"), frozenset({"typer"})),
}
FLOOR = {  # a room imports only from its own floor or below
    # formulas that know no noun stand at the bottom: the simulated survey classifies its galaxies with `astro`
    **dict.fromkeys(("begun", "errors", "files", "parquet_guard", "astro", "metrics", "lines", "saying"), 0),
    **dict.fromkeys(
        ("survey", "network", "fused", "winograd", "graphed", "certain", "augment", "device", "optimiser"), 1
    ),
    **dict.fromkeys(("recipes", "interrupt", "photometry", "foreign", "foreign_reader"), 1),
    **dict.fromkeys(("codes", "codes_check", "codes_file", "codes_header", "checkpoint", "run", "progress_file"), 2),
    **dict.fromkeys(("codes_fingerprint", "codes_ids", "codes_open", "codes_shelf", "codes_write"), 2),
    **dict.fromkeys(("feed", "split", "starting", "target", "plan"), 2),
    **dict.fromkeys(("interpret", "evaluate", "lines_score", "intervals", "stability", "export"), 3),
    **dict.fromkeys(("stability_choice", "stability_file", "stability_groups", "stability_seeds"), 3),
    **dict.fromkeys(("consensus", "consensus_report"), 3),
    **dict.fromkeys(("cli_consensus", "cli_import"), 5),
    "history_file": 2,
    **dict.fromkeys(("imported", "certainty"), 3),
    **dict.fromkeys(("alive", "inference", "encoding", "pretraining", "training", "attribution"), 3),
    **dict.fromkeys(("compare_fits", "compare_networks", "compare_table"), 3),
    **dict.fromkeys(("faithful_ablation", "faithful_probe", "faithful_regions", "faithful_words", "faithful_work"), 3),
    **dict.fromkeys(("faithful", "faithful_classes", "faithful_matter", "faithful_page"), 4),
    **dict.fromkeys(("kept", "winding"), 0),
    "cli_faithful": 5,
    **dict.fromkeys(("code_sums", "feature_index", "feature_tables"), 3),
    **{"unlike": 1, "unlike_fit": 3},
    **dict.fromkeys(("explorer", "compare", "compare_about", "compare_page", "compare_work"), 4),
    **dict.fromkeys(
        ("cli", "cli_codes", "cli_compare", "cli_options", "cli_pretrain", "cli_report", "cli_stability", "cli_words"),
        5,
    ),
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The module, or the sub-package it is in."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0].removesuffix(".py") if len(inside.parts) == 1 else inside.parts[0]


def imports(path: Path, *, top_only: bool) -> Iterator[str]:
    """Full names of the modules that a file imports; those under TYPE_CHECKING do not count."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                yield child.module
                yield from (f"{child.module}.{alias.name}" for alias in child.names if child.module == "sfnet_core")
            elif not (top_only and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))):
                yield from walk(child)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_who_imports_whom(path):
    here = room(path)
    third_party = {
        name.split(".")[0] for name in imports(path, top_only=True)
        if name.split(".")[0] not in sys.stdlib_module_names | {"sfnet_core", "__future__"}
    }  # fmt: skip
    everywhere = {name.split(".")[0] for name in imports(path, top_only=False)}
    if here not in TORCH_ROOMS:
        assert not everywhere & TORCH, f"{path} imports torch"
    if here in MAY_IMPORT:
        assert third_party <= MAY_IMPORT[here], f"{path} imports {third_party - MAY_IMPORT[here]} at its top"
    for name in imports(path, top_only=False):
        parts = name.split(".")
        if parts[0] != "sfnet_core" or len(parts) == 1 or parts[1] == here or parts[1].startswith("__"):
            continue
        if here in FLOOR and parts[1] in FLOOR:
            assert FLOOR[parts[1]] <= FLOOR[here], f"{path} (floor {FLOOR[here]}) imports {name} from above"
    if here == "network":
        assert not {n for n in imports(path, top_only=False) if "survey" in n or "files" in n}


def test_importing_the_light_rooms_never_loads_torch():
    """By what Python itself has loaded: every module outside the torch rooms, in a fresh process."""
    modules = []
    for path in sources():
        if room(path) not in TORCH_ROOMS and path.name not in ("__main__.py",):
            modules.append(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *modules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_numpy_rooms_load_numpy_only():
    program = (
        "import sys, sfnet_core.interpret, sfnet_core.astro, sfnet_core.metrics, sfnet_core.codes\n"
        "heavy = ('torch', 'pandas', 'astropy', 'scipy', 'bokeh', 'ipywidgets', 'matplotlib', 'PIL')\n"
        "sys.exit(', '.join(m for m in heavy if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_unpickles():
    """No pickle is ever loaded: neither by pickle itself, nor by numpy, nor by torch without its guard."""
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            call, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert not call.startswith(("pickle.", "joblib.", "dill.")) and call not in ("eval", "exec"), (
                f"{path}: {call}"
            )
            assert keywords.get("allow_pickle", "False") == "False", f"{path}: {call}"
            if call == "torch.load":
                assert keywords.get("weights_only") == "True", f"{path}: {call}"


def test_no_two_verbs_declare_the_same_option():
    """What several verbs have stands once, in ``cli_options``."""
    seen: dict[str, str] = {}
    for path in sorted(PACKAGE.glob("cli*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("typer.Option", "typer.Argument"):
                words = ast.unparse(node)
                assert words not in seen, f"{path.name} and {seen[words]}: {words}"
                seen[words] = path.name
    assert len(seen) > 80


def test_files_stay_short():
    for path in sources():
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 350, f"{path} has {lines} lines; one idea per file"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_are_thin_and_clean(path):
    """A title, a sentence, one call: no function, no class, no loop, and no output in the repository."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == [] and cell["execution_count"] is None, f"{path.name}: outputs are left in"
        source = "".join(cell["source"])
        assert not any(line.lstrip().startswith(("%", "!")) for line in source.splitlines()), f"{path.name}: magics"
        tree = ast.parse(source)
        code += sum(isinstance(node, ast.stmt) for node in ast.walk(tree))
        logic = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.comprehension)
        assert not any(isinstance(node, logic) for node in ast.walk(tree)), f"{path.name}: logic belongs in the package"
    assert notebook["cells"][0]["cell_type"] == "markdown" and 0 < code <= 40
