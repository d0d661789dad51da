"""Rented bare-metal servers by name or node id, for `server` and `deeplink`."""

from __future__ import annotations

from typing import Any

from dbc_iac.address import Address
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console
from dbc_iac.cli.ops.lookup import NODE_ID, ResolvedTarget, TargetOptions
from dbc_iac.cli.ops.outcomes import failed
from dbc_iac.kinds.bare_metal.instance import BareMetalInstanceSpec
from dbc_iac.kinds.framework.inventory import Resource
from dbc_iac.kinds.framework.route import Route


def instance(console: Console, name: str, where: TargetOptions) -> ResolvedTarget:
    """A server with the route of its renter: a BareMetalInstance, a BareMetalServer of this project, or a node id.

    A server of which the project has one BareMetalInstance is that instance.
    """
    document = console.inventory.resources.get(Address.given("BareMetalInstance", name))
    if document is not None:
        spec = document.spec
        assert isinstance(spec, BareMetalInstanceSpec)  # noqa: S101 - the spec of the kind
        target = spec.node_id or _bound(console, Address.of("BareMetalServer", str(spec.server)))
        return _rented(console, document, target, where)
    server = Address.given("BareMetalServer", name)
    target = name
    if server in console.state.bindings or server in console.inventory.resources:
        target = _bound(console, server)
    if not NODE_ID.fullmatch(target):
        known = {r.name for kind in ("BareMetalInstance", "BareMetalServer") for r in console.inventory.of(kind)}
        raise lookup.unknown("server", name, known, "Give a BareMetalInstance, or the node id of the server.")
    renting = [r for r in console.inventory.of("BareMetalInstance") if _rents(console, r, target)]
    if len(renting) == 1:
        return _rented(console, renting[0], target, where)
    return lookup.owned(console, "BareMetalInstance", ResolvedTarget(target, lookup.raw_route(console, target, where)))


def _rented(console: Console, document: Resource[Any], target: str, where: TargetOptions) -> ResolvedTarget:
    spec = document.spec
    clients = spec.clients or console.inventory.clients
    route = Route(document.address, target, spec.identity, clients).under(spec.rent_order)
    return ResolvedTarget(target, lookup.under(route, where), document.address, spec)


def _rents(console: Console, document: Resource[Any], target: str) -> bool:
    """Whether a BareMetalInstance is the server with that node id."""
    spec = document.spec
    registered = console.state.bindings.get(Address.of("BareMetalServer", str(spec.server)))
    return target == (spec.node_id or (registered.id if registered is not None else ""))


def _bound(console: Console, address: str) -> str:
    """Node id of a managed server. Raises DiagnosticError."""
    binding = console.state.bindings.get(address)
    if binding is None:
        raise failed("not-applied", f"{address} is not registered yet", remedy="Run `dbc-iac apply` first.")
    return binding.id
