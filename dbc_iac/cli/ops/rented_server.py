"""Rented bare-metal servers by name or node id, for `server` and `deeplink`."""

from __future__ import annotations

from dbc_iac.address import Address
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console
from dbc_iac.cli.ops.lookup import NODE_ID, ResolvedTarget, TargetOptions
from dbc_iac.cli.ops.outcomes import failed
from dbc_iac.kinds.bare_metal.instance import BareMetalInstanceSpec
from dbc_iac.kinds.framework.route import Route


def instance(console: Console, name: str, where: TargetOptions) -> ResolvedTarget:
    """A server with the route of its renter: a BareMetalInstance, a BareMetalServer of this project, or a node id."""
    document = console.inventory.resources.get(Address.given("BareMetalInstance", name))
    spec = document.spec if document is not None else None
    if document is not None and isinstance(spec, BareMetalInstanceSpec):
        target = spec.node_id or _bound(console, Address.of("BareMetalServer", str(spec.server)))
        clients = spec.clients or console.inventory.clients
        route = Route(document.address, target, spec.identity, clients).under(spec.rent_order)
        found = ResolvedTarget(target, lookup.under(route, where), document.address, spec)
    else:
        server = Address.given("BareMetalServer", name)
        target = name
        if server in console.state.bindings or server in console.inventory.resources:
            target = _bound(console, server)
        if not NODE_ID.fullmatch(target):
            known = {r.name for kind in ("BareMetalInstance", "BareMetalServer") for r in console.inventory.of(kind)}
            raise lookup.unknown("server", name, known, "Give a BareMetalInstance, or the node id of the server.")
        found = ResolvedTarget(target, lookup.raw_route(console, target, where))
    return found if found.address else lookup.owned(console, "BareMetalInstance", found)


def _bound(console: Console, address: str) -> str:
    """Node id of a managed server. Raises DiagnosticError."""
    binding = console.state.bindings.get(address)
    if binding is None:
        raise failed("not-applied", f"{address} is not registered yet", remedy="Run `dbc-iac apply` first.")
    return binding.id
