"""The way to an object that exists: as the documents lead there now, whatever they said when it was made.

A renewed rental has another order; identities, client nodes and Nodes get other names: the object is the same one. The
way that state keeps counts only where no document leads there any more.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.inventory import Inventory
from dbc_iac.kinds.framework.kind import Kind, kind_of
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.image_server import through_image_client
from dbc_iac.state.document import Binding


def way_now(kept: Route, kind: Kind[Any], inventory: Inventory) -> Route:
    """The way that the documents give to the target of a kept one; the kept one where none leads there.

    Of two documents for one machine (two orders) the one of the same name is meant, else the likest.
    """
    machines = inventory.of(kept.name.partition("/")[0])
    ways = [kind_of(m.kind).route(m, inventory) for m in machines]
    there = [way for way in ways if way.target == kept.target]
    if not there:
        return kept
    names = inventory.names(kept.name)
    way = min(there, key=lambda w: (w.name not in names, w.rent_order != kept.rent_order, w.identity != kept.identity))
    return for_calls(way, kind, inventory)


def way_to(binding: Binding, inventory: Inventory) -> Route:
    """The way to what is bound: that of its own document where it is on the machine that this names."""
    kind, document = kind_of(binding.kind), inventory.resources.get(binding.address)
    kept = Route.from_json(binding.where)
    with suppress(KeyError):  # a document that refers to one that is not there leads nowhere
        own = kind.route(document, inventory) if document is not None else None
        if own is not None and (kind.location_independent or own.target == kept.target):
            return own
    return way_now(kept, kind, inventory)


def for_calls(machine: Route, kind: Kind[Any], inventory: Inventory) -> Route:
    """The way that calls of a kind take to a machine: those about image servers have a client node of their own."""
    return through_image_client(machine, inventory) if kind.uses_image_servers else machine


async def turned_away(way: Route, reader: CachedReader) -> Unreadable | None:
    """Why a GPU node refuses whoever comes this way; None where it lets them in, or nothing tells.

    Other targets are not asked: a manager's list is open to all, and a server's power takes its BMC seconds.
    """
    listing = await reader.vms(way) if way.name.startswith("Node/") else None
    return listing if isinstance(listing, Unreadable) and listing.final else None
