"""Is what is asked for now what was begun then? Long work that goes on later compares its arguments here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfnet_core.errors import SFNetError

__all__ = ["check_begun"]


def check_begun(where: object, before: Mapping[str, Any], now: Mapping[str, Any], other: str, way: str) -> None:
    """Refuse the first argument of ``now`` that has another value in ``before``, by its name and both values.

    ``other`` says what it would be then (``"another training"``), ``way`` what to do instead (``"or another folder"``).
    """
    for name, value in now.items():
        if before.get(name) != value:
            raise SFNetError(
                f"{where} was begun with {name} = {before.get(name)!r}, now {name} = {value!r} is asked for: "
                f"that is {other}. Give the same arguments, {way}."
            )
