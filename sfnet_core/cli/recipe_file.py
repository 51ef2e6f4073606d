"""A recipe file in TOML: what of a training is not worth an option of the shell.

[recipe]                # any field of a recipe
base = "thousands"      # the recipe whose other fields are taken; by default by the number of galaxies
gain = 0.0
[split]
fold = 0
folds = 5
[start]
from_run = "other-run"
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from sfnet_core.training.recipes import RECIPES, Recipe, choose
from sfnet_core.utils.documents import check_document
from sfnet_core.utils.errors import SFNetError

__all__ = ["read_recipe_file"]

_TYPES = get_type_hints(Recipe)
#: section → key → the argument of ``train``, and the kind of its value
SECTIONS: dict[str, dict[str, tuple[str, Any]]] = {
    "recipe": {"base": ("recipe", str)} | {field.name: (field.name, _TYPES[field.name]) for field in fields(Recipe)},
    "split": {
        "fold": ("fold", int),
        "folds": ("folds", int),
        "group": ("group", str),
        "seed": ("split_seed", int),
        "validation": ("validation", float | str),
    },
    "start": {"weights": ("weights", str), "from_run": ("start", str)},
}


def read_recipe_file(recipe: str) -> dict[str, Any]:
    """What ``--recipe`` names, as arguments of :func:`sfnet_core.training.loop.train`.

    Parameters
    ----------
    recipe : a recipe's name, or the path of a file that ends in ``.toml``; paths in it are relative to the working
        directory

    Raises
    ------
    SFNetError
        Where the file is missing or not TOML, or a key or value can't be; the sentence names file, section and key.
    """
    path = Path(recipe)
    if path.suffix.lower() != ".toml":
        if recipe not in RECIPES:
            raise SFNetError(f"There is no recipe {recipe!r}; there are: {', '.join(RECIPES)}, or a file FILE.toml.")
        return {"recipe": recipe}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SFNetError(f"{path} is not a TOML file: {error}.") from error
    found: dict[str, Any] = {}
    for section, table in document.items():
        known = SECTIONS.get(section)
        if known is None or not isinstance(table, dict):
            sections = ", ".join(f"[{name}]" for name in SECTIONS)
            raise SFNetError(f"{path}: {section!r} is not a section of a recipe file; there are: {sections}.")
        for key, value in table.items():
            if key not in known:
                raise SFNetError(f"{path}: [{section}] has no {key!r}; it has: {', '.join(known)}.")
            argument, kind = known[key]
            found[argument] = check_document(kind, value, f"{path}: [{section}] {key}")
    inside = {name: value for name, value in found.items() if name in SECTIONS["recipe"] and name != "recipe"}
    try:
        choose(1000, found.get("recipe"), **inside)
    except SFNetError as error:
        raise SFNetError(f"{path}: [recipe] {error}") from error
    return found
