"""What the user chooses for a training, checked before anything starts. No torch: the page's kernel stays light."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np

from sfnet_core.astro.emission_lines import find_column
from sfnet_core.codes.header import RUNNERS_UP
from sfnet_core.data.targets import LINES, read_targets, target_names
from sfnet_core.training.recipes import RECIPES, TAUGHT, Recipe, choose
from sfnet_core.utils.documents import json_object
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset

__all__ = [
    "Choices",
    "Folder",
    "first_of",
    "free_folder",
    "from_config",
    "look_into",
    "open_dataset",
    "short",
    "targets_of",
    "usable",
]

RECORD, LAST = "run.json", "last.ckpt"
WIDTHS = (4, 8, 16, 32, 64)  # channels of the first stage; the paper's is 64
MOST_EPOCHS, MOST_K, MOST_SEED = 10_000, 512, 2**31 - 1
LABELS = {"k": "k", "epochs": "The number of epochs", "seed": "The seed", "validation": "The share held out"}
WANTED = {int: "a whole number", float: "a number", str: "a text", bool: "yes or no"}
POSITION = {"ra", "dec", "id"}
FOUR = "lines"  # what `sfnet train --target` calls the paper's four line fluxes
USUAL = ("oh_p50", "lgm_tot_p50", "sfr_tot_p50")


@dataclass(frozen=True)
class Choices:
    """One training as the page's form has it. ``epochs`` 0: the recipe's; ``recipe`` and ``out`` "": by themselves.

    ``alive``: keep more features in use; ``taught``: learn from photometry; ``every_k``: train every k of the
    explorer's slider at once.
    """

    dataset: str = ""
    target: str = ""
    k: int = 4
    width: int = 16
    epochs: int = 0
    seed: int = 0
    recipe: str = ""
    validation: float = 0.2
    out: str = ""
    alive: bool = False
    taught: bool = False
    every_k: bool = False
    codes: bool = True

    def change(self, **values: Any) -> Choices:
        """With other values; :class:`SFNetError` names what can't be."""
        kinds = {field.name: type(field.default) for field in fields(self)}
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is float and type(value) is int:
                values[name] = value = float(value)
            if kind is None:
                raise SFNetError(f"There is no choice {name!r} here; there are: {', '.join(kinds)}.")
            if type(value) is not kind:
                raise SFNetError(f"{LABELS.get(name, name)} must be {WANTED[kind]}, not {str(value)[:60]!r}.")
        new = replace(self, **values)
        new._check()
        return new

    def _check(self) -> None:
        features = 8 * self.width
        _within("The seed", self.seed, 0, MOST_SEED)
        _within("The number of epochs", self.epochs, 0, MOST_EPOCHS)
        if self.width not in WIDTHS:
            raise SFNetError(f"The network's width is one of {', '.join(map(str, WIDTHS))} channels, not {self.width}.")
        if not 1 <= self.k <= min(features, MOST_K):
            raise SFNetError(
                f"k is the number of features kept, from 1 to the {features} that this width has; {self.k} is not."
            )
        if self.recipe and self.recipe not in RECIPES:
            raise SFNetError(f"There is no recipe {self.recipe!r}; there are: {', '.join(RECIPES)}.")
        if not 0.05 <= self.validation <= 0.9:
            raise SFNetError(f"The share held out is from 5 % to 90 %, not {100 * self.validation:g} %.")
        if len(self.dataset) > 4096 or len(self.out) > 4096 or "\0" in self.dataset + self.out:
            raise SFNetError("That is not the name of a folder.")

    def recipe_for(self, n: int) -> Recipe:
        """The recipe for ``n`` training galaxies."""
        return choose(n, self.recipe or None, self.epochs or None, self.multi_k, self.alive, self.taught)

    @property
    def multi_k(self) -> int:
        """The largest k that is trained along, where the explorer's slider ends; 0: its own k alone."""
        return min(self.k + RUNNERS_UP, 8 * self.width) if self.every_k else 0

    def arguments(self) -> dict[str, Any]:
        """As arguments of :func:`sfnet_core.training.loop.train`, plain values only."""
        return {
            "target": self.target,
            "k": self.k,
            "width": self.width,
            "epochs": self.epochs or None,
            "seed": self.seed,
            "recipe": self.recipe or None,
            "multi_k": self.multi_k,
            "alive": self.alive,
            "taught": self.taught,
            "validation": self.validation,
        }

    def command(self, dataset: Path, out: Path) -> str:
        """The same training in a shell."""
        words = ["sfnet", "train", str(dataset), "--out", str(out), "--target", self.target, "--k", str(self.k)]
        words += ["--width", str(self.width), "--seed", str(self.seed)]
        words += ["--epochs", str(self.epochs)] if self.epochs else []
        words += ["--recipe", self.recipe] if self.recipe else []
        words += ["--multi-k", str(self.multi_k)]
        words += ["--alive"] if self.alive else []
        words.append("--taught" if self.taught else "--no-taught")
        words += ["--validation", str(self.validation)] if self.validation != 0.2 else []
        return shlex.join(words)

    def query(self) -> str:
        """The permalink's query: what differs from how the page opens."""
        plain = {field.name: field.default for field in fields(self)}
        pairs = {name: value for name, value in self.__dict__.items() if value != plain[name]}
        return urlencode({name: int(value) if isinstance(value, bool) else value for name, value in pairs.items()})

    @staticmethod
    def read_query(query: str) -> tuple[dict[str, Any], list[str]]:
        """A permalink's query → (choices by name, what was left out and why)."""
        kinds = {field.name: type(field.default) for field in fields(Choices)}
        found: dict[str, Any] = {}
        troubles = []
        for name, value in parse_qsl(query.removeprefix("?"), keep_blank_values=True, max_num_fields=100):
            if name not in kinds:
                continue  # other pages' choices, the server's token
            try:
                found[name] = bool(int(value)) if kinds[name] is bool else kinds[name](value)
            except ValueError:
                troubles.append(f"The link's “{name}” was left out: {value[:60]!r} is not a number.")
        return found, troubles


def _within(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SFNetError(f"{what} is from {low} to {high:,}, not {value:,}.")


def open_dataset(path: str) -> tuple[Dataset, str]:
    """The dataset of a folder, or for "" the embedded sample; and its name for people."""
    from sfnet_core.data.dataset import Dataset

    if path.strip():
        dataset = Dataset.open(Path(path.strip()).expanduser())
        return dataset, dataset.path.resolve().name
    from sfnet_core.explorer.shared.sample import sample_dataset

    return sample_dataset(), "embedded sample"


def targets_of(dataset: Dataset) -> dict[str, str]:
    """The columns that can be predicted → ``{name: "name [unit]"}``, the usual ones first."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(dataset.path / "galaxies.parquet")
    kinds = ("int", "uint", "float", "double", "halffloat")
    numeric = [name for name in dataset.columns if str(schema.field(name).type).startswith(kinds)]
    numeric = [name for name in numeric if name not in POSITION and not name.endswith("_err")]
    numeric.sort(key=lambda name: USUAL.index(name) if name in USUAL else len(USUAL))
    units = dataset.units
    found = {name: f"{name} [{units[name]}]" if units.get(name) else name for name in numeric}
    if FOUR not in dataset.columns and all(name in numeric or find_column(name, numeric) for name in LINES):
        found[FOUR] = "the four lines [NII], Hα, [OIII], Hβ at once"
    return found


def usable(dataset: Dataset, target: str) -> tuple[np.ndarray, str, tuple[float, ...]]:
    """Rows with a usable target, its unit, and its lowest and highest value (where there are any).

    Of several targets: rows on which all are usable, and the first one's unit and values."""
    targets = read_targets(dataset, target)
    rows = np.flatnonzero(targets.usable)
    first = targets.values[rows, 0]
    return rows, targets.units[0], (float(first.min()), float(first.max())) if len(rows) else ()


def first_of(target: str) -> str:
    """The target that is drawn galaxy by galaxy: of the four lines the first."""
    return target_names(target)[0] if target else target


@dataclass(frozen=True)
class Folder:
    """What a run's folder holds now: ``kind`` is free, unfinished, finished, or foreign (other files)."""

    kind: str
    epoch: int = 0
    epochs: int = 0
    config: dict[str, Any] | None = None

    @property
    def sentence(self) -> str:
        """For people; "" for a free one."""
        if self.kind == "unfinished":
            return f"An unfinished training is here: {self.epoch} of {self.epochs} epochs are done. Resume continues."
        if self.kind == "finished":
            return "A finished run is here; it will not be overwritten. Choose another folder."
        return "This folder holds other files. Choose another one." if self.kind == "foreign" else ""


def look_into(path: Path) -> Folder:
    """What ``path`` holds; nothing is created, and a broken record is a foreign one."""
    try:
        names = {entry.name for entry in path.iterdir()} - {".lock"}
    except FileNotFoundError:
        return Folder("free")
    except OSError as error:
        raise SFNetError(f"{path} can't be used as the run's folder ({error.strerror}).") from error
    if not names:
        return Folder("free")
    if RECORD not in names:
        return Folder("foreign")
    try:
        record = json_object((path / RECORD).read_bytes(), path / RECORD)
        config, metrics = record["config"], record["metrics"]
        epoch, epochs = int(metrics.get("epoch", 0)), int(config["recipe"]["epochs"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SFNetError):
        return Folder("foreign")
    return Folder("unfinished" if LAST in names else "finished", epoch, epochs, config)


def free_folder(home: Path, name: str) -> Path:
    """``home/name``, or the first of ``home/name-2``, … that holds nothing."""
    for number in range(1, 10_000):
        path = home / (name if number == 1 else f"{name}-{number}")
        if look_into(path).kind == "free":
            return path
    raise SFNetError(f"{home} is full of runs named {name}; name another folder.")


def from_config(choices: Choices, config: dict[str, Any]) -> Choices:
    """The form as an unfinished training was begun (for its display; the process reads the record itself)."""
    try:
        target, recipe = config["target"], config["recipe"]
        usual, taught = RECIPES.get(recipe["name"]), bool(recipe.get("variants"))
        by_itself = usual and (TAUGHT["epochs"] if taught else usual.epochs)
        names = target_names(target)
        if len(names) > 1 and names != list(LINES):
            raise ValueError("several targets")
        return choices.change(
            target=names[0] if len(names) == 1 else FOUR,
            k=config["k"],
            width=config["width"],
            seed=config["seed"],
            recipe=recipe["name"] if usual else "",
            epochs=0 if by_itself == recipe["epochs"] else recipe["epochs"],
            validation=float(config["validation"]),
            alive=bool(recipe.get("balance")),
            taught=taught,
            every_k=bool(recipe.get("multi_k")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, SFNetError) as error:
        raise SFNetError("This training was not started on this page; continue it in a shell with --resume.") from error


def short(path: Path) -> str:
    """A path as people write it, with ~ for their own folder."""
    try:
        return "~/" + str(path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)
