"""Network: a virtual LAN of one machine room, shared by name. API: /lan/*."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import Field

from dbc_iac.address import Address
from dbc_iac.api import requests
from dbc_iac.api.endpoints import networks
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, unseen
from dbc_iac.kinds.framework.importable import Existing, Found, Importable, nested
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, register
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import access, replaced
from dbc_iac.kinds.framework.spec import Reference, Spec
from dbc_iac.kinds.framework.types import Cidr, Flag, LanName
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation, unread
from dbc_iac.kinds.node import node_route

_PRIVATE = tuple(ipaddress.IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918. Python's `is_private` includes loopback, link-local and reserved networks."""


class NetworkSpec(Spec):
    """A LAN. Its name identifies it in its machine room; none of its fields can be changed in place."""

    name: Annotated[LanName | None, replaced] = Field(
        default=None, description="default: metadata.name; kept by `moved`"
    )
    via: Annotated[str, access, Reference("Node")] = Field(description="a Node of the same machine room")
    cidr: Annotated[Cidr | None, replaced] = Field(default=None, description="IPv4 network, such as 192.168.66.0/24")
    external: Annotated[Flag, access] = Field(default=False, description="must exist; is never created or deleted")


class NetworkExists(Goal, frozen=True, kw_only=True):
    """The LAN exists with this range. Its creation is never retried through another node."""

    name = "network-exists"
    call_class = CallClass.KEYED
    creates = True
    cidr: str
    owners: frozenset[str] = frozenset()

    @property
    def action_text(self) -> str:
        return f"creating LAN {self.id} with {self.cidr}"

    async def look(self, reader: CachedReader) -> GoalState:
        lan = await reader.network(self.route, self.id)
        if isinstance(lan, Unreadable):
            return unseen(lan)
        if lan.value is None:
            return GoalState(GoalStatus.UNMET)
        if lan.value.ip_cidr != self.cidr:
            return GoalState(GoalStatus.FAILED, f"a LAN of that name exists with {lan.value.ip_cidr}")
        return GoalState(GoalStatus.MET, id=self.id)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await networks.create_network(
            await context.connect(self.route), requests.LanCreate(network_name=self.id, ip_cidr=self.cidr)
        )


class NetworkAbsent(Goal, frozen=True, kw_only=True):
    """The LAN is deleted. The node refuses while a VM, of any wallet, is a member."""

    name = "network-absent"
    call_class = CallClass.KEYED
    deletes = True

    @property
    def action_text(self) -> str:
        return f"deleting LAN {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        lan = await reader.network(self.route, self.id)
        if isinstance(lan, Unreadable):
            return unseen(lan)
        members = ", ".join(str(m) for m in lan.value.members) if lan.value is not None else ""
        return (
            GoalState(GoalStatus.MET)
            if lan.value is None
            else GoalState(GoalStatus.UNMET, f"members: {members}" if members else "")
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await networks.delete_network(await context.connect(self.route), self.id)


def _range(resource: Resource[Any], inventory: Inventory) -> ipaddress.IPv4Network | None:
    """The range of a LAN. Two ranges overlap only if one contains the other."""
    return None if resource.spec.cidr is None else ipaddress.IPv4Network(resource.spec.cidr)


@register
class Network(Kind[NetworkSpec], Importable):
    name = "Network"
    spec = NetworkSpec
    location_independent = True

    def route(self, resource: Resource[NetworkSpec], inventory: Inventory) -> Route:
        return node_route(resource.spec.via, inventory, None)

    def identity(self, resource: Resource[NetworkSpec], inventory: Inventory, generation: int) -> str:
        return _name(resource, inventory)

    def _desired(self, resource: Resource[NetworkSpec], inventory: Inventory) -> dict[str, Json]:
        return super()._desired(resource, inventory) | {"name": _name(resource, inventory)}

    def check(self, resource: Resource[NetworkSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        spec, name = resource.spec, _name(resource, inventory)
        if not (name.isascii() and name.isalnum() and 6 <= len(name) <= 10):
            yield resource.problem(
                "invalid-name", "name", f"{name} is not 6 to 10 letters and digits", remedy="Add `name:` to the spec."
            )
        if name.lower() in {"create", "delete"}:
            yield resource.problem(
                "reserved-name",
                "name",
                f"a LAN cannot be called {name}",
                detail="The node would read its path as that operation.",
                remedy="Choose another name.",
            )
        for twin in inventory.before(resource, _name)[:1]:
            yield resource.problem(
                "duplicate-identity",
                "name",
                f"{twin.address} has the LAN name {name} already",
                detail="A LAN's name is its identity in the whole machine room.",
                remedy="Give one of them another name.",
            )
        if spec.external:
            return
        if spec.cidr is None:
            yield resource.problem("missing-field", "", "cidr is required", remedy="Add `cidr: 192.168.66.0/24`.")
            return
        yield from self._ranges(resource, ipaddress.IPv4Network(spec.cidr), inventory)

    def _ranges(
        self, resource: Resource[NetworkSpec], own: ipaddress.IPv4Network, inventory: Inventory
    ) -> Iterator[Diagnostic]:
        if not any(own.subnet_of(private) for private in _PRIVATE):
            yield resource.problem(
                "public-range",
                "cidr",
                f"{own} is not a private range",
                detail="The node accepts it; guests then cannot reach the real addresses of that range.",
                remedy="Use a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.",
                severity=Severity.WARNING,
            )
        for prefix in range(own.prefixlen + 1):
            around = own.supernet(new_prefix=prefix)
            for other in inventory.having(self.name, _range, around):
                if around == own and other.address >= resource.address:
                    break
                yield resource.problem(
                    "overlapping-range",
                    "cidr",
                    f"{own} overlaps {other.address} ({around})",
                    detail="The node accepts overlapping LANs.",
                    remedy="Use different ranges if a VM or router has to reach both.",
                    severity=Severity.WARNING,
                )

    def natural_key(self, resource: Resource[NetworkSpec], inventory: Inventory) -> str:
        return _name(resource, inventory)

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        lan = await reader.network(lookup.route, lookup.id)
        if isinstance(lan, Unreadable):
            return unread(lookup.id, lan)
        if lan.value is None:
            return Observation(False, id=lookup.id)
        view = lan.value
        values: dict[str, Json] = {"name": view.network_name, "cidr": view.ip_cidr}
        return Observation(True, id=lookup.id, values=values, owner=view.rent_wallet, members=tuple(view.members))

    def create(self, task: GoalInput) -> Iterator[Goal]:
        yield NetworkExists(
            address=task.address, route=task.route, id=task.id, generation=task.generation,
            fields=task.desired, cidr=str(task.desired["cidr"]), timeout_seconds=task.timeout_seconds or 300.0,
        )  # fmt: skip

    def delete(self, task: GoalInput) -> Iterator[Goal]:
        yield NetworkAbsent(
            address=task.address,
            route=task.old_route or task.route,
            id=task.old_id,
            timeout_seconds=task.timeout_seconds or 300.0,
        )

    async def existing(
        self, place: Resource[Any], inventory: Inventory, reader: CachedReader, unread: dict[str, str]
    ) -> Iterable[Existing]:
        route = node_route(place.name, inventory, None)
        listing = await reader.networks(route)
        lans = () if isinstance(listing, Unreadable) else listing.value
        return [Existing(lan.network_name, route, owner=lan.rent_wallet, fields={"cidr": lan.ip_cidr}) for lan in lans]

    def manifest(self, found: Found) -> dict[str, Any]:
        return nested(self.fields, {**found.fields, "name": found.id, "via": found.place})


def lan_name(document: str, inventory: Inventory) -> str:
    """The name on the wire of the Network document `document`."""
    return _name(inventory.resources[Address.of("Network", document)], inventory)


def _name(network: Resource[Any], inventory: Inventory) -> str:
    """`name`, else the name of its existing LAN, else that of the manifest. So a renamed manifest keeps its LAN."""
    return str(network.spec.name or inventory.bound.get(network.address) or network.name)
