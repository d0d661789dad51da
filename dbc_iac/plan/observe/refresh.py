"""Refresh: read everything that a plan depends on, once. An object that cannot be read is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from msgspec import Struct, convert, field
from msgspec.structs import replace

from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, failure
from dbc_iac.json import Json
from dbc_iac.kinds import Inventory, Observation, kind_of
from dbc_iac.kinds.current_route import authority_refusal
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known
from dbc_iac.kinds.framework.capabilities import Child, Host, IdFromNode, host, power_of
from dbc_iac.kinds.framework.capacity import Capacity
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.kinds.node import AUTO, kept_auto_port
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.dependencies import dependencies
from dbc_iac.plan.observe.state_recovery import recover_state
from dbc_iac.plan.observe.tracked_objects import TrackedObject, find_tracked_objects, tracked_object

_NOBODY_RENTS = ("machine is not be rented", "machine has already expired")


class RefreshedState(Struct, frozen=True):
    """Observations by address, and whether the rent order of a route covers the whole machine.

    `found`: recovered ids and resolved values of addresses that are not in the state. `unmanaged`: capacity of other
    VMs of the same wallet, by target and id; read only for machines that may get a new VM. `problems`: diagnostics of
    the reads. `outdated`: addresses whose bindings are of an older state.
    """

    tracked_objects: Mapping[str, TrackedObject]
    observations: Mapping[str, Observation]
    reader: CachedReader
    whole: Mapping[Route, bool | None] = field(default_factory=dict)
    unmanaged: Mapping[str, Mapping[str, Capacity]] = field(default_factory=dict)
    problems: tuple[Diagnostic, ...] = ()
    found: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    outdated: frozenset[str] = frozenset()


async def refresh(context: PlanContext, reader: CachedReader) -> RefreshedState:
    """Observe every tracked object, and read the orders of every node with VMs."""
    tracked_objects, problems = find_tracked_objects(context), Diagnostics()
    found: Mapping[str, Mapping[str, Json]] = {}
    for address, tracked in tracked_objects.items():
        if tracked.resource is None:
            tracked_objects[address] = await _let_in(tracked, context, reader)
    if any(t.unbound for t in tracked_objects.values()):
        rediscovered = await recover_state(context, reader, tracked_objects)
        problems.extend(rediscovered.problems)
        named, identified = await _identified(rediscovered.tracked_objects, context, reader)
        recovered = {a: {"id": identified[a].id} for a, t in tracked_objects.items() if t.id != identified[a].id}
        found = {a: {**recovered.get(a, {}), **named.get(a, {})} for a in recovered | named}
        tracked_objects = identified
    seen = await asyncio.gather(*(_seen(c, context, reader) for c in tracked_objects.values()))
    observations = {a: observation for a, (observation, _) in zip(tracked_objects, seen, strict=True)}
    hosts = [c for c, (_, takes_ports) in zip(tracked_objects.values(), seen, strict=True) if takes_ports]
    routes = {c.route for c in tracked_objects.values() if c.resource is not None and isinstance(kind_of(c.kind), Host)}
    covered = await asyncio.gather(*(whole_machine(reader, route) for route in routes))
    whole = dict(zip(routes, covered, strict=True))
    unmanaged = dict[str, dict[str, Capacity]]()
    ids = managed(tracked_objects) if hosts else frozenset[str]()
    for kind, route in dict.fromkeys((t.kind, t.route) for t in hosts):
        others = await host(kind).others(route, ids, reader)
        unmanaged.setdefault(route.target, {}).update(others)
    return RefreshedState(tracked_objects, observations, reader, whole, unmanaged, tuple(problems), found)


async def _let_in(tracked: TrackedObject, context: PlanContext, reader: CachedReader) -> TrackedObject:
    """An object without a document, under the order that is accepted: the Node's, else the one in the state.

    A VM may have had an order of its own, which only the state has now.
    """
    bound, place = tracked.binding or tracked.pending, tracked.place
    if bound is None or _identity_is_gone(place, context):
        return tracked
    kept = place.under(convert(bound.route, Route).rent_order)
    if kept != place and await authority_refusal(place, reader) and not await authority_refusal(kept, reader):
        return replace(tracked, route=kept, place=kept)
    return tracked


async def _identified(
    tracked_objects: dict[str, TrackedObject], context: PlanContext, reader: CachedReader
) -> tuple[dict[str, dict[str, Json]], dict[str, TrackedObject]]:
    """Find the objects whose values the fields, the id or the route of others follow from, such as the Snapshot of an
    Image, where the state does not know them.

    Gives what was seen of those, and the tracked objects with the ids and routes that follow.
    """
    found: dict[str, dict[str, Json]] = {}
    while True:
        unknown = dict.fromkeys(
            d
            for t in tracked_objects.values()
            for d in _needed(t, context.inventory)
            if d in tracked_objects and tracked_objects[d].unbound and d not in found
        )
        seen = await asyncio.gather(*(observe(tracked_objects[d], context, reader) for d in unknown))
        there = {d: {"id": o.id, **o.resolved} for d, o in zip(unknown, seen, strict=True) if o.present and o.id}
        if not there:
            return found, tracked_objects
        found |= there
        context = replace(context, inventory=replace(context.inventory, known={**context.inventory.known, **there}))
        for address in [a for a, t in tracked_objects.items() if _is_nameless(t)]:
            pending = [i for i in context.state.open if i.address == address]
            tracked_objects[address] = tracked_object(context.inventory.resources[address], context, pending)


def _needed(tracked: TrackedObject, inventory: Inventory) -> Iterable[str]:
    """Addresses of the objects that its fields, its id or its route follow from, and that are not known."""
    if tracked.resource is None:
        return ()
    if _is_nameless(tracked):
        return dependencies(tracked.resource, inventory)
    values = kind_of(tracked.kind).desired(tracked.resource, inventory).values()
    return (d for d in dependencies(tracked.resource, inventory) if d in values)


def _is_nameless(tracked: TrackedObject) -> bool:
    """Whether its identity or its route may follow from those of other objects."""
    if tracked.resource is None or isinstance(kind_of(tracked.kind), Child):
        return False
    return (tracked.unbound and not tracked.id) or not tracked.route.target


async def _seen(tracked: TrackedObject, context: PlanContext, reader: CachedReader) -> tuple[Observation, bool]:
    """The observation, and whether it takes ports: found while other objects are read, which costs no time."""
    observation = await observe(tracked, context, reader)
    return observation, _takes_ports(tracked, context, observation)


def _takes_ports(tracked: TrackedObject, context: PlanContext, observation: Observation) -> bool:
    """Whether a host is created, started, or gets a new port."""
    kind = kind_of(tracked.kind)
    if tracked.resource is None or not isinstance(kind, Host) or tracked.resource.external:
        return False
    desired = kind.desired(tracked.resource, context.inventory)
    if power_of(kind, observation.values) == "off" and power_of(kind, desired) != "off":
        return True
    applied = tracked.binding.applied if tracked.binding is not None else {}
    for path in kind.port_fields & desired.keys():
        had, wanted = applied.get(path), desired[path]
        if wanted == AUTO:
            had = wanted = kept_auto_port(kind, applied, path, tracked.route.name, context.inventory)
        if had is None or wanted != had:
            return True
    return False


def managed(tracked_objects: Mapping[str, TrackedObject]) -> frozenset[str]:
    """Ids of managed objects. External ones count as unmanaged."""
    return frozenset(c.id for c in tracked_objects.values() if c.resource is None or not c.resource.external)


def remembered(context: PlanContext, reader: CachedReader) -> RefreshedState:
    """Observations from the state alone, without the API."""
    tracked_objects = find_tracked_objects(context)
    observations = {a: _as_applied(c) for a, c in tracked_objects.items()}
    return RefreshedState(tracked_objects, observations, reader)


def _as_applied(tracked: TrackedObject) -> Observation:
    binding = tracked.binding
    if binding is None:
        return Observation(False, id=tracked.id)
    secrets = frozenset(f.path for f in kind_of(tracked.kind).secret_fields)
    values: Mapping[str, Json] = binding.applied
    if binding.uncertain:
        values = {p: v for p, v in values.items() if p not in binding.uncertain}
    return Observation(True, id=binding.id, values=values, hidden=secrets)


async def observe(tracked: TrackedObject, context: PlanContext, reader: CachedReader) -> Observation:
    """Observe a tracked object."""
    kind, operation = kind_of(tracked.kind), tracked.operation
    if tracked.resource is None and _identity_is_gone(tracked.place, context):
        if tracked.binding is not None and kind.left_behind(tracked.binding.applied):
            return Observation(True, id=tracked.id)  # its deletion needs no call
        reason = f"identity {tracked.place.identity} is not in the project file"
        return Observation(None, id=tracked.id, reason=reason, authority=True)
    key = "" if tracked.resource is None else kind.natural_key(tracked.resource, context.inventory)
    binding = tracked.binding if tracked.resource is not None else tracked.binding or tracked.pending
    lookup = Lookup(tracked.address, tracked.place, tracked.id, tracked.generation, binding, key, tracked.parent_id)
    try:
        sent = tracked.pending
        if sent is not None and operation is not None and not tracked.id and isinstance(kind, IdFromNode):
            taken = frozenset(b.id for b in context.state.bindings.values())
            return await kind.trace(lookup, sent, operation.detail, taken, reader)
        seen = await kind.observe(lookup, reader)
    except UnsafeWireValue as error:
        if tracked.binding is None and tracked.pending is None:
            raise
        raise _unusable(tracked.address, str(error)) from None
    if seen.not_rented and not seen.reason.endswith(_NOBODY_RENTS):
        return replace(seen, not_rented=await _has_ended(tracked.place, context, reader))
    return seen


def _unusable(address: str, problem: str) -> DiagnosticError:
    """The error of a value in the state that no apply has written."""
    return failure(
        "state-corrupt",
        f"the state of {address} has a value that no node accepts",
        f"{problem}. Nothing was changed.",
        "Restore the state from an older version or a backup.",
        address=address,
        exit_code=ExitCode.ERROR,
    )


def _identity_is_gone(route: Route, context: PlanContext) -> bool:
    return bool(context.identities) and route.identity not in context.identities


async def _has_ended(route: Route, context: PlanContext, reader: CachedReader) -> bool:
    """Whether a rent order has ended. Unless that is proved, or the machine has no renter, an object that is not rented
    may only be asked for by the wrong wallet."""
    orders, wallets = await reader.orders(route), context.wallets(route.identity)
    return isinstance(orders, Known) and any(
        o.id == route.rent_order and not o.renting and (not wallets or o.renter in wallets) for o in orders.value
    )


async def whole_machine(reader: CachedReader, route: Route) -> bool | None:
    """Whether the rent order covers every GPU of the machine; None if that cannot be read."""
    hardware = await reader.hardware(route)
    if not route.rent_order:
        return True  # a machine-level order covers all
    orders = await reader.orders(route)
    if not isinstance(hardware, Known) or not isinstance(orders, Known):
        return None
    own = next((o for o in orders.value if o.id == route.rent_order), None)
    if own is None:
        return None
    return max(len(own.gpu_index), own.gpu_count) >= hardware.value.gpu_count
