"""The house: every module in a room, imports only downwards, no circle; notebooks hold no logic."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sfnet_core"
TORCH = {"torch", "torchvision", "safetensors"}
# Room → its floor. A module imports only from its own room and from rooms on lower floors, types and imports inside
# functions included. Nothing stands outside a room but the package's face.
FLOOR = {
    **{"cli": 7, "explorer": 6, "reports": 6, "training": 5, "inference": 4, "figures": 4, "analysis": 3, "model": 3},
    **{"data": 2, "annotations": 2, "codes": 1, "astro": 1, "stats": 1, "utils": 0},
}
# Rooms where torch is at home, and the few places elsewhere that are about a network; no other file names torch.
TORCH_AT_HOME = {"training", "inference", "model"}
TORCH_GUESTS = {"reports.compare.networks", "reports.compare.runner", "reports.faithful.insertion_deletion"}
# What a room's modules may import at their top beside the standard library.
TOP = {
    "utils": {"numpy", "pyarrow", "msgspec"}, "codes": {"numpy", "pyarrow", "msgspec"},
    "stats": {"numpy"}, "astro": {"numpy"}, "analysis": {"numpy", "msgspec"}, "cli": {"typer"},
}  # fmt: skip


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module(path: Path) -> str:
    """The module, dotted as it is imported within the package: ``codes.table``; a folder's face is the folder."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def room(name: str) -> str:
    """The room of a module's dotted name within the package; '' is the package's face."""
    return name.partition(".")[0]


def imports(path: Path, *, top_only: bool = False) -> Iterator[str]:
    """Full names of the modules that a file imports, those for types included; at its top, without those for types."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if top_only and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                inner = [f"{child.module}.{alias.name}" for alias in child.names]
                yield from (name if name in MODULES else child.module for name in inner)
            elif not (top_only and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))):
                yield from walk(child)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")))


MODULES = {f"sfnet_core.{module(path)}".removesuffix(".") for path in sources()}


def ours(path: Path) -> set[str]:
    """The modules of the package that a file imports, dotted as within the package."""
    own = {name for name in imports(path) if name.partition(".")[0] == "sfnet_core"}
    assert own <= MODULES, f"{path} imports {own - MODULES}, which is not there"
    return {name.removeprefix("sfnet_core").removeprefix(".") for name in own}


def test_every_module_is_in_a_room():
    assert {room(module(path)) for path in sources()} == {"", *FLOOR}


def test_contributing_shows_these_rooms_on_these_floors():
    shown = re.findall(r"^  (\w+)/ +(\d) ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: int(floor) for name, floor in shown} == FLOOR


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_who_imports_whom(path):
    here = module(path)
    if here:
        above = {n for n in ours(path) if room(n) != room(here) and FLOOR.get(room(n), 99) >= FLOOR[room(here)]}
        assert not above, f"{here} (floor {FLOOR[room(here)]}) imports from its own floor or above: {sorted(above)}"
    at_top = {name.partition(".")[0] for name in imports(path, top_only=True)}
    others = at_top - sys.stdlib_module_names - {"sfnet_core", "__future__"}
    if room(here) in TOP:
        assert others <= TOP[room(here)], f"{here} imports {others - TOP[room(here)]} at its top"
    if room(here) not in TORCH_AT_HOME and here not in TORCH_GUESTS:
        assert not {name.partition(".")[0] for name in imports(path)} & TORCH, f"{here} imports torch"
    if path.name == "__init__.py" and here:
        assert not list(imports(path)), f"{here}: a room's __init__ imports nothing"


def test_no_circle():
    """Not even for types: taking away modules that import none of the rest leaves nothing."""
    left = {here: ours(path) for path in sources() if (here := module(path))}
    while free := {name for name, needs in left.items() if not needs & set(left) - {name}}:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert not left, f"modules that import each other in a circle, or what leads there: {sorted(left)}"


def test_the_network_knows_of_no_catalogue_and_no_file():
    known = {room(name) for name in ours(PACKAGE / "model" / "network.py")}
    assert known <= {"codes", "model", "utils"}


def fresh(program: str, *arguments: str) -> None:
    """Run a program in a Python of its own; it fails by what it prints on standard error."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_light_rooms_never_loads_torch():
    """By what Python itself has loaded: every module outside the torch rooms, in a fresh process."""
    light = [
        f"sfnet_core.{module(path)}".removesuffix(".")
        for path in sources()
        if room(module(path)) not in TORCH_AT_HOME | {"reports"} and path.name != "__main__.py"
    ]
    fresh(
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n",
        *light,
    )


def test_the_face_is_light_and_whole():
    fresh(
        "import sys, sfnet_core as sf\n"
        "heavy = {'torch', 'pandas', 'bokeh', 'numpy', 'pyarrow', 'astropy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert all(callable(getattr(sf, name)) for name in sf.__all__ if name != '__version__')\n"
        "assert set(sf.__all__) <= set(dir(sf))"
    )


def test_arithmetic_on_codes_loads_numpy_only():
    fresh(
        "import sys, sfnet_core.analysis.interpret, sfnet_core.astro.bpt, sfnet_core.stats.metrics\n"
        "import sfnet_core.codes.table\n"
        "heavy = ('torch', 'pandas', 'astropy', 'scipy', 'bokeh', 'ipywidgets', 'matplotlib', 'PIL')\n"
        "assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)"
    )


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
