"""Ends of rentals in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from dbc_iac.plan.model import Rental
from dbc_iac.views.text.wording import duration

TITLE = "Rentals"


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
