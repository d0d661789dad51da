"""BareMetalServer: an owner's entry at a bare-metal manager. API: /bare_metal/{add,modify,delete}.

Deleting an entry destroys the server's on-chain identity irreversibly, so a server is never replaced.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Annotated, Any

from msgspec.structs import replace
from pydantic import Field

from dbc_iac.address import Address
from dbc_iac.api import patterns, requests
from dbc_iac.api.endpoints import bare_metal
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.api.storage_responses import ServerView
from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json, value_text
from dbc_iac.kinds.bare_metal.manager import BareMetalManager
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capabilities import IdFromNode
from dbc_iac.kinds.framework.goal import AcknowledgedGoal, ActContext, Goal, GoalState, GoalStatus, unseen
from dbc_iac.kinds.framework.importable import Existing, Found, Importable, environment_reference, nested
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, kind_of, register
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour, Rule
from dbc_iac.kinds.framework.spec import Part, Reference, Spec
from dbc_iac.kinds.framework.types import Host, IpmiUser, NonEmptyText, Port, ServerUuid
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation, unread
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.manifest.validators import SecretForm
from dbc_iac.secret import SecretText
from dbc_iac.state.document import Binding

CAP = 51
"""Limit of the manager's list; further servers are read by uuid."""

_set = Rule(Behaviour.ONLINE, no_clear=True)
_PASSWORD = SecretForm(
    patterns.IPMI_PASSWORD,
    "1-16 letters, digits and _ . @ % + = : , / ^ -, not - first, not only *",
    "Choose another password of the BMC: the manager pastes it into a shell command.",
    16,
)


class Ipmi(Part):
    """Access of the manager to the server's BMC. The manager pastes these values into a shell command."""

    host: Annotated[Host, _set] = Field(description="IP address or host name of the BMC")
    port: Annotated[Port | None, _set] = Field(default=None, description="UDP port of the BMC; usually 623")
    username: Annotated[IpmiUser, _set]
    password: Annotated[SecretRef, Rule(Behaviour.ONLINE, secret=True, no_clear=True), _PASSWORD] = Field(
        description=_PASSWORD.words
    )


class BareMetalServerSpec(Spec):
    """A server as its owner registers it with the manager."""

    manager: Annotated[
        str,
        Rule(
            Behaviour.REFUSED,
            remedy="Set the old manager again. A server cannot move: its on-chain identity stays with the manager.",
        ),
        Reference("BareMetalManager"),
    ] = Field(description="name of the BareMetalManager")
    uuid: Annotated[ServerUuid, _set] = Field(description="letters, digits and -; unique at the manager")
    ip: Annotated[Host, _set] = Field(description="must be the source address of the server's DeepLink")
    os: Annotated[NonEmptyText | None, _set] = None
    description: Annotated[NonEmptyText | None, _set] = None
    ipmi: Ipmi


_WIRE = {
    "uuid": "uuid",
    "ip": "ip",
    "os": "os",
    "description": "desc",
    "ipmi.host": "ipmi_hostname",
    "ipmi.port": "ipmi_port",
    "ipmi.username": "ipmi_username",
}


def _entry(values: Mapping[str, Json], password: SecretText | None) -> dict[str, Any]:
    """Fields by their names on the wire."""
    entry: dict[str, Any] = {_WIRE[path]: value for path, value in values.items() if path in _WIRE}
    if password is not None:
        entry["ipmi_password"] = password
    return entry


class ServerExists(Goal, frozen=True, kw_only=True):
    """The manager has an entry with this uuid."""

    name = "server-exists"
    call_class = CallClass.KEYED
    creates = True
    uuid: str

    @property
    def action_text(self) -> str:
        return f"registering with UUID {self.uuid}"

    async def look(self, reader: CachedReader) -> GoalState:
        server = await find_server(reader, self.route, uuid=self.uuid)
        if isinstance(server, Unreadable):
            return unseen(server)
        return (
            GoalState(GoalStatus.UNMET) if server.value is None else GoalState(GoalStatus.MET, id=server.value.node_id)
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        entry = _entry(self.fields, context.secrets["ipmi.password"])
        return await bare_metal.add_server(await context.connect(self.route), requests.BareMetalEntry(**entry))


class ServerModified(AcknowledgedGoal, frozen=True, kw_only=True):
    """Fields of the entry have these values. Only changed ones are sent: empty and absent ones mean unchanged."""

    name = "server-modified"
    call_class = CallClass.IDEMPOTENT
    password: bool

    @property
    def action_text(self) -> str:
        texts = [f"{path} to {value_text(value)}" for path, value in self.fields.items() if path != "ipmi.password"]
        return "setting " + ", ".join([*texts, *(["the IPMI password"] if self.password else [])])

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        entry = _entry(self.fields, context.secrets["ipmi.password"] if self.password else None)
        return await bare_metal.modify_server(
            await context.connect(self.route), self.id, requests.BareMetalChange(**entry)
        )


class ServerAbsent(Goal, frozen=True, kw_only=True):
    """The entry is deleted, and with it the server's on-chain identity."""

    name = "server-absent"
    call_class = CallClass.KEYED
    deletes = True

    @property
    def action_text(self) -> str:
        return f"deleting {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        server = await find_server(reader, self.route, node_id=self.id)
        if isinstance(server, Unreadable):
            return unseen(server)
        return GoalState(GoalStatus.MET if server.value is None else GoalStatus.UNMET)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await bare_metal.delete_server(await context.connect(self.route), self.id)


async def find_server(
    reader: CachedReader, route: Route, *, node_id: str = "", uuid: str = ""
) -> Known[ServerView | None] | Unreadable:
    """A server by node id or uuid, from the list or, beyond its limit, by id. Known(None) if there is none."""
    servers = await reader.servers(route)
    if isinstance(servers, Unreadable):
        return servers
    for server in servers.value.values():
        if server.node_id == node_id or (uuid and server.uuid == uuid):
            return Known(server)
    if len(servers.value) < CAP:
        return Known(None)
    return await reader.server(route, node_id or uuid)


def entry_fields(server: ServerView) -> dict[str, Json]:
    """Fields of a manager's entry by path, without its password; the user name only if it is shown."""
    return {
        "uuid": server.uuid,
        "ip": server.ip,
        "os": server.os or None,
        "description": server.description or None,
        "ipmi.host": server.ipmi_hostname,
        "ipmi.port": server.ipmi_port,
        "ipmi.username": None if server.masked else server.ipmi_username,
    }


@register
class BareMetalServer(Kind[BareMetalServerSpec], IdFromNode, Importable):
    name = "BareMetalServer"
    place = "BareMetalManager"
    name_prefix = "server"
    spec = BareMetalServerSpec
    irreplaceable = True

    def route(self, resource: Resource[BareMetalServerSpec], inventory: Inventory) -> Route:
        manager = inventory.resources[Address.of("BareMetalManager", resource.spec.manager)]
        return BareMetalManager().route(manager, inventory)  # type: ignore[arg-type]

    def _desired(self, resource: Resource[BareMetalServerSpec], inventory: Inventory) -> dict[str, Json]:
        return super()._desired(resource, inventory) | {"manager": self.route(resource, inventory).target}

    def check(self, resource: Resource[BareMetalServerSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        spec = resource.spec
        for other in inventory.before(resource, _uuid)[:1]:
            yield resource.problem(
                "duplicate-identity",
                "uuid",
                f"{other.address} has the uuid {spec.uuid} already",
                remedy="Give one of them another uuid.",
            )

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        found = await find_server(reader, lookup.route, node_id=lookup.id, uuid="" if lookup.id else lookup.key)
        if isinstance(found, Unreadable):
            return unread(lookup.id, found)
        server = found.value
        if server is None:
            return Observation(False, id=lookup.id)
        if server.masked:
            reason = "the manager did not accept the owner's key (masked values)"
            return Observation(None, id=server.node_id, reason=reason, authority=True)
        values = entry_fields(server)
        return Observation(True, id=server.node_id, values=values, secrets={"ipmi.password": server.ipmi_password})

    async def trace(
        self, lookup: Lookup, sent: Binding, detail: Mapping[str, Json], taken: frozenset[str], reader: CachedReader
    ) -> Observation:
        return await self.observe(replace(lookup, key=str(sent.applied.get("uuid", ""))), reader)

    def natural_key(self, resource: Resource[BareMetalServerSpec], inventory: Inventory) -> str:
        return resource.spec.uuid

    def create(self, task: GoalInput) -> Iterator[Goal]:
        yield ServerExists(
            address=task.address, route=task.route, generation=task.generation,
            fields={**task.desired, **task.secrets},
            uuid=str(task.desired["uuid"]), timeout_seconds=task.timeout_seconds or 900.0,
        )  # fmt: skip

    def update(self, task: GoalInput) -> Iterator[Goal]:
        has = {**task.desired, **task.secrets}
        fields = {path: has.get(path) for path in (*_WIRE, "ipmi.password") if path in task.changed}
        yield ServerModified(
            address=task.address, route=task.route, id=task.id, fields=fields,
            password="ipmi.password" in task.changed, timeout_seconds=task.timeout_seconds or 900.0,
        )  # fmt: skip

    def loss(self, had: Mapping[str, Json]) -> str:
        return "its identity on the chain is destroyed"

    def delete(self, task: GoalInput) -> Iterator[Goal]:
        yield ServerAbsent(
            address=task.address,
            route=task.old_route or task.route,
            id=task.old_id,
            timeout_seconds=task.timeout_seconds or 900.0,
        )

    async def existing(
        self, place: Resource[Any], inventory: Inventory, reader: CachedReader, unread: dict[str, str]
    ) -> Iterable[Existing]:
        route = kind_of(self.place).route(place, inventory)
        servers = await reader.servers(route)
        if isinstance(servers, Unreadable):
            unread[place.address] = servers.reason
            return []
        return [Existing(s.node_id, route, fields=entry_fields(s)) for s in servers.value.values()]

    def manifest(self, found: Found) -> dict[str, Any]:
        spec = nested(self.fields, {**found.shown, "manager": found.place})
        spec["ipmi"]["password"] = environment_reference(f"IPMI_{found.fields['uuid']}")
        return spec


def _uuid(server: Resource[Any], inventory: Inventory) -> Hashable:
    return server.spec.manager, server.spec.uuid
