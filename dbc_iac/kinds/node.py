"""Node: a rented GPU machine, which is only read. API: /mining_nodes, /rent_orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.capabilities import capacity
from dbc_iac.kinds.framework.inventory import Inventory, Resource, unknown_clients
from dbc_iac.kinds.framework.kind import Kind, kind_of, register
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import access
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.framework.types import Hex64, Order, PortRange
from dbc_iac.kinds.framework.values import Lookup, Observation, unread

SCREEN = "ports.vnc"
FIRST_SCREEN_PORT = 5900
AUTO = "auto"
_LOWEST = 1024
"""Lowest port of any range of a Node."""
HOST_PORTS = frozenset({22, 5002, 5050})
"""Ports of the host itself, which `auto` never takes: ssh, and the ports of DBC by its code and by its shipped
configuration."""


class NodeSpec(Spec):
    """A GPU node: its id, identity and rent order, and the host ports for `auto`."""

    id: Annotated[Hex64, access] = Field(description="node id, 64 lower-case hex digits")
    identity: Annotated[str, access] = Field(description="name of one of the project's identities")
    rent_order: Annotated[Order, access] = Field(description="rent order id, or none")
    clients: Annotated[tuple[str, ...], access] = Field(default=(), description="client nodes to ask; default: all")
    port_range: Annotated[PortRange | None, access] = Field(
        default=None, description="host ports for `auto`; 22, 5002, 5050 and those of the project's URLs are left out"
    )


@register
class Node(Kind[NodeSpec]):
    name = "Node"
    spec = NodeSpec
    read_only = True

    def route(self, resource: Resource[NodeSpec], inventory: Inventory) -> Route:
        spec = resource.spec
        route = Route(resource.address, spec.id, spec.identity, spec.clients or inventory.clients)
        return route.under(spec.rent_order)

    def check(self, resource: Resource[NodeSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        return unknown_clients(resource, resource.spec.clients, inventory)

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        hardware = await reader.hardware(lookup.route)
        if isinstance(hardware, Unreadable):
            return unread("", hardware)
        return Observation(True, id=lookup.route.target)


def node_route(name: str, inventory: Inventory, rent_order: str | None) -> Route:
    """The route to the Node `name`, under a VM's own rent order if it has one."""
    route = kind_of("Node").route(inventory.resources[Address.of("Node", name)], inventory)
    return route.under(rent_order) if rent_order else route


def auto_ports(address: str, inventory: Inventory, path: str) -> range:
    """The host ports of the Node document `address` that `auto` may take for a field of a VM; empty without a range."""
    node = inventory.resources.get(address)
    if node is None or not isinstance(node.spec, NodeSpec) or node.spec.port_range is None:
        return range(0)
    first, last = map(int, node.spec.port_range.split("-"))
    return range(max(first, FIRST_SCREEN_PORT) if path == SCREEN else first, last + 1)


def kept_auto_port(
    kind: Kind[Any], had: Mapping[str, Json], path: str, address: str, inventory: Inventory
) -> int | None:
    """The port that an `auto` on the Node `address` keeps: one of its range, or of an earlier one; None if it gets
    another.

    The 22 of a VM with a public address is no host port, and is not kept when it would become one.
    """
    port = had.get(path)
    if not isinstance(port, int) or port in auto_ports(address, inventory, path):
        return port if isinstance(port, int) else None
    held = capacity(kind, had)
    return port if port >= _LOWEST and ("tcp", port) in held.ports | held.start_ports else None


def no_free_port(vm: Resource[Any], node: str, path: str) -> Diagnostic:
    """The problem of an `auto` for which the Node `node` (an address) has no port."""
    screen = f", for a screen from {FIRST_SCREEN_PORT} on" if path == SCREEN else ""
    return vm.problem(
        "no-free-port",
        path,
        f"no free port for {path}: auto on {node}",
        detail=f"`auto` takes a free port of the Node's portRange{screen}.",
        remedy=f"Add or widen `portRange: 20000-29999` on {node}, or write a port.",
    )
