"""Grouping of similar entries, so that plans of thousands of resources stay readable. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TypeVar

from dbc_iac.plan.model import Change

T = TypeVar("T")
LEAST = 3
"""Similar entries from which on they are one group."""
NAMED = 3
"""Members named in a short list."""


class Detail(StrEnum):
    """Amount of detail."""

    GROUPED = "grouped"
    FULL = "full"


def grouped(
    items: Iterable[T], likeness: Callable[[T], Hashable], detail: Detail, *, least: int = LEAST
) -> Iterator[tuple[T, ...]]:
    """Group similar items at the place of the first; with full detail each is a group of its own."""
    found: dict[Hashable, list[T]] = {}
    for item in items:
        found.setdefault(likeness(item), []).append(item)
    for members in found.values():
        if detail is Detail.GROUPED and len(members) >= least:
            yield tuple(members)
        else:
            yield from ((member,) for member in members)


def likeness(change: Change) -> Hashable:
    """Key of similar changes: all but their addresses and values."""
    reasons = tuple(r.replace(change.address, "") for r in change.reasons)
    fields = tuple((f.path, f.behaviour, f.drift, f.secret) for f in change.fields)
    return change.action, change.kind, reasons, fields, bool(change.notes)


def some(names: Sequence[str], most: int = NAMED) -> str:
    """First names, and the number of the others."""
    rest = len(names) - most
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:most])} and {rest:,} more"
