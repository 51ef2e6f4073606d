"""What a filter says, as a tree of conditions."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "And",
    "Between",
    "Compare",
    "Cone",
    "Contains",
    "Flag",
    "Known",
    "Literal",
    "Member",
    "Name",
    "Node",
    "Not",
    "Or",
]


@dataclass(frozen=True)
class Name:
    """A name in a filter; ``column``: between backquotes; ``absolute``: inside ``abs(…)``."""

    text: str
    column: bool
    start: int
    end: int
    absolute: bool = False


@dataclass(frozen=True)
class Literal:
    """A number or a text in a filter; ``source`` is how it was written."""

    value: int | float | str
    source: str
    start: int
    end: int


@dataclass(frozen=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    part: Node


@dataclass(frozen=True)
class Compare:
    left: Name | Literal
    sign: str
    right: Name | Literal


@dataclass(frozen=True)
class Between:
    value: Name | Literal
    low: Name | Literal
    high: Name | Literal
    negated: bool


@dataclass(frozen=True)
class Member:
    value: Name | Literal
    items: tuple[Literal, ...]
    negated: bool


@dataclass(frozen=True)
class Contains:
    value: Name | Literal
    part: Literal
    negated: bool


@dataclass(frozen=True)
class Known:
    value: Name | Literal
    known: bool


@dataclass(frozen=True)
class Flag:
    name: Name


@dataclass(frozen=True)
class Cone:
    """Within ``radius`` (deg) of ``ra``, ``dec`` (deg), or of the galaxy ``centre``."""

    ra: float
    dec: float
    radius: float
    centre: Literal | None
    start: int
    end: int


Node = And | Or | Not | Compare | Between | Member | Contains | Known | Flag | Cone
