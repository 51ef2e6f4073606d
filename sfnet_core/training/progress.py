"""``last.ckpt``: what an unfinished training needs to go on. Plain tensors and plain values, safe to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path

__all__ = ["LAST_SCHEMA", "read_last", "write_last"]

LAST_SCHEMA = 1
_KINDS = {
    "config": dict,
    "epoch": int,
    "step": int,
    "squares": list,  # of the running epoch, per target: the training RMSE so far
    "history": list,
    "origin": str,
    "network": dict,
    "optimiser": dict,
}


def write_last(path: Path, state: dict[str, Any]) -> None:
    """Write atomically: a kill at any moment leaves the previous file or the new one."""
    with atomic_path(path) as part:
        torch.save(state, part)


def read_last(path: Path) -> dict[str, Any]:
    """Read with ``weights_only=True`` (no code in the file is run) and check the fields."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign or broken file fails in many ways
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SFNetError(f"{path} cannot be read ({reason}); start again with --overwrite.") from error
    if not isinstance(state, dict) or state.get("schema") != LAST_SCHEMA:
        found = state.get("schema") if isinstance(state, dict) else type(state).__name__
        raise SFNetError(f"{path}: the field `schema` is {found!r}; this version reads {LAST_SCHEMA}.")
    for name, kind in _KINDS.items():
        if not isinstance(state.get(name), kind):
            raise SFNetError(f"{path}: the field `{name}` is missing or not a {kind.__name__}.")
    return state
