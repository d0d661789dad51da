"""Ends of rentals: the orders that the resources use, and the current block of the chain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta

from msgspec.structs import replace

from dbc_iac.api.responses import RentOrder
from dbc_iac.diagnostics import Diagnostic, DiagnosticError
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known
from dbc_iac.kinds.framework.route import Route
from dbc_iac.plan.chain import ChainHead
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.model import Rental
from dbc_iac.plan.observe.refresh import RefreshedState


def rental_of(route: Route, order: RentOrder, head: ChainHead | None) -> Rental | None:
    """The rental of a machine under an order; None if the node reports no end. `head`: None without a chain."""
    if order.rent_end is None:
        return None
    rental = Rental(str(route.name), order.id, order.rent_end)
    if head is None:
        return rental
    left = head.seconds_until(order.rent_end)
    try:
        ends_at = (head.at + timedelta(seconds=left)).isoformat(timespec="seconds")
    except OverflowError:  # a block that no chain reaches
        return rental
    return replace(rental, ends_at=ends_at, seconds_left=left)


async def read_rentals(
    context: PlanContext, refreshed: RefreshedState
) -> tuple[tuple[Rental, ...], tuple[Diagnostic, ...]]:
    """The rentals of the inventory, the first to end first, and warnings. Never raises.

    Without a chain, those of the orders that the refresh has read. Machines whose objects could not be read are left
    out: their orders would not be read either.
    """
    chain, reader = context.chain, refreshed.reader
    used = sorted(refreshed.whole, key=lambda r: (r.name, r.rent_order))
    if chain is not None:
        unread = {
            t.place.target for a, t in refreshed.tracked_objects.items() if refreshed.observations[a].present is None
        }
        resources = (r for _, r in sorted(context.inventory.resources.items()))
        named = (kind_of(r.kind).route(r, context.inventory) for r in resources)
        used = [r for r in named if r.target not in unread and not r.url]
    routes = {(r.name, r.rent_order): r for r in used}.values()
    if not routes:
        return (), ()
    reading = asyncio.gather(*(order_of(route, context.wallets, reader) for route in routes))
    head = None if chain is None else await chain.head()
    dated = head if isinstance(head, ChainHead) else None
    pairs = zip(routes, await reading, strict=True)
    found = (rental_of(route, order, dated) for route, order in pairs if order is not None)
    rentals = sorted((r for r in found if r is not None), key=lambda r: (r.end_block, r.node))
    return tuple(rentals), (head,) if isinstance(head, Diagnostic) else ()


async def order_of(route: Route, wallets: Callable[[str], Iterable[str]], reader: CachedReader) -> RentOrder | None:
    """The order of a route; without a number the machine-level one of its wallet. None if the node does not list it."""
    try:
        orders = await reader.orders(route)
    except DiagnosticError:  # no key; the plan itself needs none here
        return None
    names = {route.rent_order} if route.rent_order else set(wallets(route.identity))
    return next((o for o in orders.value if o.id in names), None) if isinstance(orders, Known) else None
