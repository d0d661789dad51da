"""What is alike is told once, so that a plan of thousands of resources can be read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TypeVar

from dbc_iac.plan.model import Change

T = TypeVar("T")
LEAST = 3
"""So many that are alike are one group; fewer are told one by one."""
NAMED = 3
"""How many members of a group are named."""


class Detail(StrEnum):
    """How much a report tells."""

    GROUPED = "grouped"
    FULL = "full"


def grouped(items: Iterable[T], likeness: Callable[[T], Hashable], detail: Detail) -> Iterator[tuple[T, ...]]:
    """The items, those that are alike together at the place of the first. In full: each for itself."""
    found: dict[Hashable, list[T]] = {}
    for item in items:
        found.setdefault(likeness(item), []).append(item)
    for members in found.values():
        if detail is Detail.GROUPED and len(members) >= LEAST:
            yield tuple(members)
        else:
            yield from ((member,) for member in members)


def likeness(change: Change) -> Hashable:
    """What is equal of changes that are told together: all but whom they are about, and by how much."""
    reasons = tuple(r.replace(change.address, "") for r in change.reasons)
    fields = tuple((f.path, f.behaviour, f.drift, f.secret) for f in change.fields)
    return change.action, change.kind, reasons, fields, bool(change.notes)


def some(names: Sequence[str], most: int = NAMED) -> str:
    """The first names and how many there are besides."""
    rest = len(names) - most
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:most])} and {rest:,} more"
