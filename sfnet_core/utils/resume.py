"""Is what is asked for now what was begun then? Long work that goes on later compares its arguments here."""

from __future__ import annotations

from typing import Any

from sfnet_core.utils.errors import SFNetError

__all__ = ["check_begun"]


def check_begun(where: object, before: dict[str, Any], now: dict[str, Any], other: str, way: str) -> None:
    """Refuse the first argument that has not the same value in both, by its name and both values.

    One that is missing (a version's that did not know it) counts as ``None``. ``other`` says what it would be then
    (``"another training"``), ``way`` what to do instead (``"or another folder"``).
    """
    for name in now | before:
        then, value = before.get(name), now.get(name)
        if then != value:
            raise SFNetError(
                f"{where} was started with {name} = {then!r}, now {name} = {value!r} is requested: that is {other}. "
                f"Give the same arguments, {way}."
            )
