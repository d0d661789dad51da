"""Ends of rentals in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from dbc_iac.plan.model import Rental

TITLE = "Rentals"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def rental_texts(rentals: Iterable[Rental]) -> Iterator[str]:
    """One line for each rental; with its order where a machine has several."""
    found = list(rentals)
    nodes = [rental.node for rental in found]
    for rental in found:
        order = f" (order {rental.order})" if nodes.count(rental.node) > 1 else ""
        yield f"{rental.node}{order} {end_text(rental)}"


def end_text(rental: Rental) -> str:
    """The end of a rental: `ends in 2.1 days, 2026-12-01 08:00 UTC`; without a chain `ends at block 1,000,000`."""
    if rental.seconds_left is None or not rental.ends_at:
        return f"ends at block {rental.end_block:,}"
    date = f"{datetime.fromisoformat(rental.ends_at):%Y-%m-%d %H:%M} UTC"
    return f"ended on {date}" if rental.seconds_left <= 0 else f"ends in {time_left(rental.seconds_left)}, {date}"


def time_left(seconds: int) -> str:
    """A time in its largest unit: `2.1 days`, `20.5 hours`, `12 minutes`."""
    if seconds >= _DAY:
        return f"{seconds / _DAY:.1f} days"
    return f"{seconds / _HOUR:.1f} hours" if seconds >= _HOUR else f"{seconds // _MINUTE} minutes"
