"""Words of several views: numbers, durations, short lists, similar entries, ends of rentals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from dbc_iac.plan.model import Rental

T = TypeVar("T")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SHORT = 120
"""Longest duration shown in seconds."""
LEAST = 3
"""Similar entries from which on they are one group."""
NAMED = 3
"""Members named in a short list."""
RENTALS = "Rentals"


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


def some(names: Sequence[str], most: int = NAMED) -> str:
    """First names, and the number of the others."""
    rest = len(names) - most
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:most])} and {rest:,} more"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 step`, `1,200 steps`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: int) -> str:
    """Rounded duration in at most two units: `60 s`, `25 min`, `8 h 20 min`, `2 d 3 h`."""
    if seconds <= _SHORT:
        return f"{seconds} s"
    minutes = -(-seconds // _MINUTE) * _MINUTE
    for size, name, less, small in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if minutes >= size:
            whole, rest = divmod(minutes, size)
            return f"{whole} {name}" + (f" {rest // less} {small}" if rest // less else "")
    return f"{minutes // _MINUTE} min"


def rental_texts(rentals: Iterable[Rental]) -> Iterator[str]:
    """One line for each rental; with its order where a machine has several."""
    found = list(rentals)
    nodes = [rental.node for rental in found]
    for rental in found:
        order = f" (order {rental.order})" if nodes.count(rental.node) > 1 else ""
        yield f"{rental.node}{order} {end_text(rental)}"


def end_text(rental: Rental) -> str:
    """The end of a rental: `ends in 2 d 2 h, 2026-12-01 08:00 UTC`; without a chain `ends at block 1,000,000`."""
    if rental.seconds_left is None or not rental.ends_at:
        return f"ends at block {rental.end_block:,}"
    date = f"{datetime.fromisoformat(rental.ends_at):%Y-%m-%d %H:%M} UTC"
    return f"ended on {date}" if rental.seconds_left <= 0 else f"ends in {duration(rental.seconds_left)}, {date}"
