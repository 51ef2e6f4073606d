"""What the verbs say: one line or one JSON object on standard output, remarks on standard error."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterable
from typing import Any

import typer

from sfnet_core.utils.errors import SetAside, SFNetError

__all__ = ["SET_ASIDE", "finish", "held_out", "line", "need_torch", "plain", "say", "working"]

SET_ASIDE = 3  # exit status: done, with galaxies set aside
LISTED = 10  # records shown on the terminal; --json has all of them


@contextlib.contextmanager
def working(as_json: bool):
    """With --json nothing but the one object may reach standard output."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def finish(about: dict[str, Any], set_aside: Iterable[SetAside], as_json: bool, words: str) -> None:
    """The last words of a verb, and exit status 3 where something was set aside."""
    records = list(set_aside)
    if as_json:
        about = about | {"set_aside": [record.as_dict() for record in records]}
        print(json.dumps(plain(about), ensure_ascii=False, allow_nan=False))
    else:
        print(line(words))
    for note in about.get("notes", []):
        say(f"Note: {note}")
    if records:
        say(f"{len(records):,} set aside:")
        for record in records[:LISTED]:
            say(f"  {record}")
        if len(records) > LISTED:
            say(f"  … and {len(records) - LISTED:,} more; --json lists all of them.")
        raise typer.Exit(SET_ASIDE)


def held_out(words: str) -> float | str:
    """What --validation says: a share of the objects, or ``paper``."""
    try:
        return words if words == "paper" else float(words)
    except ValueError as error:
        raise SFNetError(f"--validation is a share such as 0.2, or `paper`, not {words!r}.") from error


def need_torch(verb: str) -> None:
    """:class:`SFNetError` with what to install, where a verb's libraries are not there."""
    for module in ("torch", "safetensors"):
        if importlib.util.find_spec(module) is None:
            raise SFNetError(f'`sfnet {verb}` needs {module}, which is not installed: pip install "sfnet-core[torch]".')


def plain(value: Any) -> Any:
    """Fit for JSON: numpy scalars as numbers, what is not finite as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def line(text: str) -> str:
    """One line for a terminal: names of files and galaxies may hold control characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def say(text: str) -> None:
    print(line(text), file=sys.stderr, flush=True)
