"""BareMetalInstance: a rented bare-metal server. API: /bare_metal/{power,bootdev}, /deeplink.

It is never created or deleted: a rental begins and ends on the chain. Its manifest applies while it is rented.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from dbc_iac.api import patterns, requests
from dbc_iac.api.endpoints import instances
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, unseen
from dbc_iac.kinds.framework.inventory import Inventory, Resource, unknown_clients
from dbc_iac.kinds.framework.kind import Kind, register
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour, Rule, access, once
from dbc_iac.kinds.framework.spec import Part, Reference, Spec
from dbc_iac.kinds.framework.types import Hex64, Order, Token
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation, unread
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.manifest.validators import SecretForm

REPORTS = 10
"""Seconds within which the DeepLink program usually reports a new password. The password works without that."""
NOT_RENTED = "not rented: power is neither compared nor changed"
_UNMANAGED = "unmanaged"


_PASSWORD = SecretForm(
    patterns.DEEPLINK_PASSWORD, '1-400 bytes without " and \\', "Choose another one.", patterns.MAX_DEEPLINK
)


class NextBoot(Part):
    """Boot device of the next boot only. The node answers every request with an error."""

    device: Annotated[Literal["none", "pxe", "disk", "cdrom", "bios"], once]
    trigger: Annotated[Token, once] = Field(description="any text; when it changes, the device is set again")


class DeepLink(Part):
    """The DeepLink program on the server."""

    password: Annotated[SecretRef, Rule(Behaviour.ONLINE, secret=True), _PASSWORD] = Field(
        description=f"{_PASSWORD.words}; the program may change it at each boot"
    )


class BareMetalInstanceSpec(Spec):
    """A rented bare-metal server."""

    node_id: Annotated[Hex64 | None, access] = Field(default=None, description="the server's node id; or `server`")
    server: Annotated[str | None, access, Reference("BareMetalServer")] = Field(
        default=None, description="name of a BareMetalServer; or `nodeId`"
    )
    identity: Annotated[str, access] = Field(description="name of one of the project's identities: the renter")
    rent_order: Annotated[Order, access] = Field(default="none", description="rent order id, or none")
    clients: Annotated[tuple[str, ...], access] = Field(default=(), description="client nodes to ask; default: all")
    power: Annotated[Literal["on", "off", "unmanaged"], Rule(Behaviour.ONLINE)] = Field(
        default="unmanaged", description="off is hard: the system is not notified"
    )
    reset_on: Annotated[Token | None, once] = Field(
        default=None, description="any text; when it changes, the server is powered off and on"
    )
    next_boot: NextBoot | None = None
    deeplink: DeepLink | None = None


class InstanceBound(Goal, frozen=True, kw_only=True):
    """The server's id is recorded in the state. No call is made."""

    name = "instance-bound"
    call_class = CallClass.IDEMPOTENT
    creates = True

    @property
    def action_text(self) -> str:
        return f"adopting server {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        return GoalState(GoalStatus.MET, id=self.id)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return Done(None)  # rentals begin on the chain


class InstancePower(Goal, frozen=True, kw_only=True):
    """The BMC reports `on` or `off`."""

    name = "instance-power"
    call_class = CallClass.STATE_CONDITIONED
    queued_visibly = True
    to: Literal["on", "off"]

    @property
    def action_text(self) -> str:
        return f"powering {self.to}"

    async def look(self, reader: CachedReader) -> GoalState:
        power = await reader.power(self.route)
        if isinstance(power, Unreadable):
            return GoalState(GoalStatus.MET, NOT_RENTED) if power.not_rented else unseen(power)
        return GoalState(GoalStatus.MET if power.value == self.to else GoalStatus.UNMET, power.value)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        press = instances.power_on if self.to == "on" else instances.power_off
        return await press(await context.connect(self.route))


class NextBootSet(Goal, frozen=True, kw_only=True):
    """The device of the next boot is set. The API does not show it: the accepted call is the only evidence."""

    name = "next-boot-set"
    call_class = CallClass.IDEMPOTENT
    acknowledged = True
    device: Literal["none", "pxe", "disk", "cdrom", "bios"]

    @property
    def action_text(self) -> str:
        return f"setting the next boot to {self.device}"

    async def look(self, reader: CachedReader) -> GoalState:
        power = await reader.power(self.route)
        unrented = isinstance(power, Unreadable) and power.not_rented
        return GoalState(GoalStatus.MET, NOT_RENTED) if unrented else GoalState(GoalStatus.UNMET)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await instances.set_boot_device(await context.connect(self.route), self.device)


class DeepLinkPassword(Goal, frozen=True, kw_only=True):
    """The DeepLink program has the password."""

    name = "deeplink-password"
    call_class = CallClass.IDEMPOTENT
    acknowledged = True

    @property
    def action_text(self) -> str:
        return "setting the DeepLink password"

    async def look(self, reader: CachedReader) -> GoalState:
        device = await reader.deeplink(self.route)
        if isinstance(device, Unreadable) and (device.not_rented or device.reason == "deeplink service not connected"):
            return GoalState(GoalStatus.MET, "DeepLink is not connected: password not changed")
        return GoalState(GoalStatus.UNMET)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        channel, password = await context.connect(self.route), context.secrets["deeplink.password"]
        outcome = await instances.set_deeplink_password(channel, requests.DeeplinkPassword(device_password=password))
        for _ in range(REPORTS if isinstance(outcome, Done) else 0):
            await asyncio.sleep(1.0)
            shown = await instances.deeplink(channel)
            if isinstance(shown, Done) and shown.value.device_password.reveal() == password.reveal():
                break
        return outcome


@register
class BareMetalInstance(Kind[BareMetalInstanceSpec]):
    name = "BareMetalInstance"
    spec = BareMetalInstanceSpec
    power_field = "power"

    def route(self, resource: Resource[BareMetalInstanceSpec], inventory: Inventory) -> Route:
        spec = resource.spec
        target = spec.node_id or str(inventory.known_of("BareMetalServer", spec.server).get("id", ""))
        return Route(resource.address, target, spec.identity, spec.clients or inventory.clients).under(spec.rent_order)

    def identity(self, resource: Resource[BareMetalInstanceSpec], inventory: Inventory, generation: int) -> str:
        return self.route(resource, inventory).target

    def _desired(self, resource: Resource[BareMetalInstanceSpec], inventory: Inventory) -> dict[str, Json]:
        values = super()._desired(resource, inventory)
        if values.get("power") == _UNMANAGED:
            del values["power"]
        return values

    def left_behind(self, applied: Mapping[str, Json]) -> str:
        return "the server is not changed: a rental ends on the chain"

    def check(self, resource: Resource[BareMetalInstanceSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        spec = resource.spec
        if (spec.node_id is None) == (spec.server is None):
            yield resource.problem(
                "missing-field" if spec.node_id is None else "exclusive-fields",
                "nodeId",
                "expected exactly one of nodeId and server",
                remedy="Set nodeId to the server's node id, or server to the name of a BareMetalServer.",
            )
        if spec.reset_on is not None and spec.power != "on":
            yield resource.problem(
                "ignored-by-node",
                "resetOn",
                'resetOn has no effect without power: "on"',
                remedy='Write `power: "on"`, or remove resetOn.',
            )
        yield from unknown_clients(resource, spec.clients, inventory)

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        if not lookup.route.target:
            reason = "its BareMetalServer is not registered yet; plan again after that"
            return Observation(None, reason=reason)
        if lookup.binding is not None and lookup.binding.id != lookup.route.target:
            reason = f"the manifest names another server; {lookup.binding.id} is left unchanged"
            return Observation(False, id=lookup.route.target, reason=reason)
        power = await reader.power(lookup.route)
        if isinstance(power, Unreadable):
            if power.not_rented:
                return Observation(True, id=lookup.id, notes=(NOT_RENTED,))
            return unread(lookup.id, power)
        device = await reader.deeplink(lookup.route)
        seen: dict[str, Json] = {"power": power.value}
        if isinstance(device, Unreadable):
            return Observation(True, id=lookup.id, values=seen, hidden=frozenset({"deeplink.password"}))
        secrets = {"deeplink.password": device.value.device_password}
        return Observation(True, id=lookup.id, values=seen, secrets=secrets)

    def create(self, task: GoalInput) -> Iterator[Goal]:
        yield InstanceBound(
            address=task.address, route=task.route, id=task.route.target, generation=task.generation,
            fields={p: v for p, v in task.desired.items() if p not in {"power", "nextBoot.device", "nextBoot.trigger"}},
        )  # fmt: skip
        asked = {*task.desired, *task.secrets} - {"resetOn"}  # a new binding is not reset
        yield from self._goals(task, asked)

    def update(self, task: GoalInput) -> Iterator[Goal]:
        yield from self._goals(task, set(task.changed))

    def _goals(self, task: GoalInput, changed: set[str]) -> Iterator[Goal]:
        timeout_seconds = task.timeout_seconds or 300.0
        if "deeplink.password" in changed:
            yield DeepLinkPassword(
                address=task.address, route=task.route, id=task.route.target, timeout_seconds=timeout_seconds,
                fields={path: reference for path, reference in task.secrets.items() if path == "deeplink.password"},
            )  # fmt: skip
        if changed & {"nextBoot.device", "nextBoot.trigger"}:
            fields = {p: task.desired.get(p) for p in ("nextBoot.device", "nextBoot.trigger")}
            device: Any = task.desired.get("nextBoot.device")
            yield NextBootSet(
                address=task.address, route=task.route, id=task.route.target, device=device, fields=fields,
                timeout_seconds=timeout_seconds,
            )  # fmt: skip
        if "resetOn" in changed:
            yield self._power(task, "off", {})
        if changed & {"power", "resetOn"}:
            wanted = task.desired.get("power")
            fields = {p: task.desired.get(p) for p in ("power", "resetOn") if p in changed}
            if wanted in ("on", "off"):
                yield self._power(task, str(wanted), fields)

    def _power(self, task: GoalInput, to: str, fields: dict[str, Json]) -> InstancePower:
        return InstancePower(
            address=task.address, route=task.route, id=task.route.target, to="on" if to == "on" else "off",
            fields=fields, timeout_seconds=task.timeout_seconds or 300.0,
        )  # fmt: skip
