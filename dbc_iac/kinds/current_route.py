"""The route to an existing object by the current manifests.

A renewed rental has another order; identities, client nodes and Nodes get other names: the object is the same one. The
route in the state is used only if no document leads to the target any more.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from msgspec import convert

from dbc_iac.address import Address
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.capabilities import UsesImageServer
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, kind_of
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.image_server import through_image_client
from dbc_iac.state.document import Binding


def current_route(kept: Route, kind: Kind[Any], inventory: Inventory) -> Route:
    """The current route to the target of a recorded one; the recorded one if no manifest leads there.

    Of two Nodes for one machine (two orders) that with the same name is used, else the most similar.
    """
    machines = inventory.having(Address(kept.name).kind, target_of, kept.target)
    routes = [kind_of(m.kind).route(m, inventory) for m in machines]
    if not routes:
        return kept
    names = inventory.names(kept.name)
    best = min(
        routes, key=lambda r: (r.name not in names, r.rent_order != kept.rent_order, r.identity != kept.identity)
    )
    return route_for(best, kind, inventory)


def target_of(machine: Resource[Any], inventory: Inventory) -> str:
    """The target of a Node or BareMetalManager: the key of the index of machines."""
    return kind_of(machine.kind).route(machine, inventory).target


def route_to(binding: Binding, inventory: Inventory) -> Route:
    """The route to a bound object: that of its own document if it names the same machine."""
    kind, document = kind_of(binding.kind), inventory.resources.get(binding.address)
    kept = convert(binding.route, Route)
    with suppress(KeyError):  # a document with a dangling reference has no route
        own = kind.route(document, inventory) if document is not None else None
        if own is not None and (kind.location_independent or own.target == kept.target):
            return own
    return current_route(kept, kind, inventory)


def route_for(machine: Route, kind: Kind[Any], inventory: Inventory) -> Route:
    """The route of a kind's calls to a machine: calls about image servers have a client node of their own."""
    return through_image_client(machine, inventory) if isinstance(kind, UsesImageServer) else machine


async def authority_refusal(route: Route, reader: CachedReader) -> Unreadable | None:
    """Why a GPU node refuses every call on this route; None if it does not, or nothing shows it.

    Other targets are not asked: a manager's list is open to all, and a server's power takes its BMC seconds.
    """
    listing = await reader.vms(route) if Address(route.name).kind == "Node" else None
    return listing if isinstance(listing, Unreadable) and listing.final else None
