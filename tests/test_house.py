"""The walls of the house: who may import what, and notebooks that hold no logic."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sfnet_core"
TORCH = {"torch", "torchvision", "safetensors"}
# These know torch; nothing else in the package may, not even inside a function (the shell's verbs call them).
TORCH_ROOMS = {
    *("attribution", "augment", "beside", "certainty", "checkpoint", "device", "encoding", "feed", "foreign"),
    *("foreign_reader", "fused", "imported", "inference", "network", "onednn", "run", "split", "unlike_fit"),
    *("winograd", "compare.networks", "compare.verb", "compare.work", "faithful.regions", "faithful.work", "training"),
}
NUMPY, LIGHT = frozenset({"numpy"}), frozenset({"numpy", "pyarrow"})
MAY_IMPORT = {  # third-party modules a room may import at its top
    **dict.fromkeys(("astro", "evaluate", "export", "interpret", "intervals", "metrics"), NUMPY),
    **dict.fromkeys(("certain", "consensus", "consensus_report", "evenly", "feature_index", "kept"), NUMPY),
    **dict.fromkeys(("feature_tables", "lines", "lines_score", "photometry", "unlike", "winding"), NUMPY),
    **dict.fromkeys(("codes", "compare.about", "compare.fits", "compare.table", "faithful", "stability"), NUMPY),
    **dict.fromkeys(("codes.file", "codes.writing", "parquet_guard"), LIGHT),
    **dict.fromkeys(("allocation", "begun", "errors", "files", "history_file", "saying"), frozenset()),
    **dict.fromkeys(("faithful.words", "stability.file"), frozenset()),
    **dict.fromkeys(("faithful.regions", "faithful.work"), NUMPY | {"scipy", "torch", "tqdm"}),
    "cli": {"typer"},
}
FLOOR = {  # a room imports only from its own floor or below
    # formulas that know no noun stand at the bottom: the simulated survey classifies its galaxies with `astro`
    **dict.fromkeys(("astro", "begun", "errors", "files", "kept", "lines", "metrics", "parquet_guard", "saying"), 0),
    **dict.fromkeys(("allocation", "evenly", "rates", "winding"), 0),
    "sky": 1,
    "labels": 2,
    **dict.fromkeys(("comparison", "neighbours", "regions", "selection"), 3),
    **dict.fromkeys(("augment", "beside", "certain", "device", "fused", "network", "survey", "unlike"), 1),
    **dict.fromkeys(("foreign", "foreign_reader", "interrupt", "onednn", "photometry", "recipes", "winograd"), 1),
    **dict.fromkeys(("training.graphed", "training.optimiser", "training.variants"), 1),
    **dict.fromkeys(("checkpoint", "codes", "feed", "history_file", "run", "split", "target"), 2),
    **dict.fromkeys(("training.head", "training.lessons", "training.plan", "training.progress"), 2),
    "training.starting": 2,
    **dict.fromkeys(("attribution", "certainty", "encoding", "imported", "inference", "training", "unlike_fit"), 3),
    **dict.fromkeys(("consensus", "consensus_report", "evaluate", "export", "feature_index", "feature_tables"), 3),
    **dict.fromkeys(("interpret", "intervals", "lines_score", "stability"), 3),
    **dict.fromkeys(("compare.fits", "compare.networks", "compare.table"), 3),
    **dict.fromkeys(("faithful.ablation", "faithful.probe", "faithful.regions", "faithful.words", "faithful.work"), 3),
    **dict.fromkeys(("compare", "explorer", "faithful"), 4),
    "cli": 5,
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The module, dotted as it is imported within the package: ``codes.table``; a folder's face is the folder."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def of(table: Collection[str], name: str) -> str:
    """The entry that answers for a module: its own, or that of the nearest folder that it is in; else ''."""
    while name and name not in table:
        name = name.rpartition(".")[0]
    return name


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
    if not of(TORCH_ROOMS, here):
        assert not everywhere & TORCH, f"{path} imports torch"
    if may := of(MAY_IMPORT, here):
        assert third_party <= MAY_IMPORT[may], f"{path} imports {third_party - MAY_IMPORT[may]} at its top"
    mine = of(FLOOR, here)
    for name in imports(path, top_only=False):
        package, _, rest = name.partition(".")
        if theirs := of(FLOOR, rest) if package == "sfnet_core" and mine else "":
            assert FLOOR[theirs] <= FLOOR[mine], f"{path} (floor {FLOOR[mine]}) imports {name} from above"
    if here == "network":
        assert not {n for n in imports(path, top_only=False) if "survey" in n or "files" in n}


def test_importing_the_light_rooms_never_loads_torch():
    """By what Python itself has loaded: every module outside the torch rooms, in a fresh process."""
    modules = []
    for path in sources():
        if not of(TORCH_ROOMS, room(path)) and path.name not in ("__main__.py",):
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
        "import sys, sfnet_core.analysis.interpret, sfnet_core.astro.relations, sfnet_core.stats.metrics, sfnet_core.codes\n"
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
    """What several verbs have stands once, in ``cli.options``."""
    seen: dict[str, str] = {}
    for path in sorted((PACKAGE / "cli").glob("*.py")):
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
