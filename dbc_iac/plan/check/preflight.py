"""Preflight: refusals of the nodes that can be known before anything is sent.

`read_facts` reads each machine once; `check_preflight` is pure. `check_authority` asks whether a later call would be
refused, before anything is destroyed on its behalf.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, convert, field
from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import Resource, kind_of
from dbc_iac.kinds.current_route import authority_refusal
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capabilities import (
    Child,
    Host,
    UsesCapacity,
    UsesImageServer,
    host,
)
from dbc_iac.kinds.framework.capacity import Capacity, Machine
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.inventory import unusable_secret
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.kinds.images.image_server import through_image_client
from dbc_iac.plan.check.capacity import by_machine, check_capacity, check_ports, started
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.observe.refresh import RefreshedState, managed, whole_machine
from dbc_iac.plan.schedule.step_builder import StepBuilder, preceding

_COMES = frozenset({Action.CREATE, Action.REPLACE})
_GOES = frozenset({Action.DELETE, Action.REPLACE})
_SENT = frozenset({Action.CREATE, Action.UPDATE, Action.REPLACE, Action.ADOPT})
_CHECKED = frozenset({Action.CREATE, Action.UPDATE, Action.REPLACE})


class PreflightFacts(Struct, frozen=True):
    """Readings of machines for preflight."""

    machines: Mapping[Route, Machine] = field(default_factory=dict)
    unheard_lans: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """LANs that exist and that the machine does not know, by the address of the resource that joins them."""
    image_server_files: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    """Files of the image server that a resource is fetched from, by its address; None if they are not known."""
    unmanaged: Mapping[str, Mapping[str, Capacity]] = field(default_factory=dict)
    """Capacity that VMs of others hold, by target and VM id."""
    free_slots: Mapping[tuple[str, str], int | None] = field(default_factory=dict)
    """Number of children that a VM can still take, by kind and the VM's address; None if there is no limit."""


async def read_facts(context: PlanContext, refreshed: RefreshedState, changes: Mapping[str, Change]) -> PreflightFacts:
    """Read each machine that something is created, changed or replaced on, once."""
    reader = refreshed.reader
    checked = [
        (c, kind_of(c.kind), convert(c.placement.route, Route)) for c in changes.values() if c.action in _CHECKED
    ]
    routes = list(dict.fromkeys(route for _, kind, route in checked if isinstance(kind, UsesCapacity)))
    with_image_servers = {route for _, kind, route in checked if isinstance(kind, UsesImageServer)}
    looks = (_machine(reader, r, context, image_servers=r in with_image_servers) for r in routes)
    machines = dict(zip(routes, await asyncio.gather(*looks), strict=True))
    unheard: dict[str, frozenset[str]] = {}
    files: dict[str, frozenset[str] | None] = {}
    coming = {c.identity.id for c in changes.values() if c.action in _COMES}
    for change, kind, route in checked:
        if isinstance(kind, UsesCapacity) and (lans := kind.networks_of(change.desired) - coming):
            unheard[change.address] = await _unheard(reader, route, sorted(lans))
        if isinstance(kind, UsesImageServer) and (server := kind.fetched_from(change.desired)):
            files[change.address] = await _image_server_files(reader, machines[route], server)
    free_slots: dict[tuple[str, str], int | None] = {}
    children = any(isinstance(kind, Child) for _, kind, _ in checked)
    for (name, parent), new in _coming(changes).items() if children else ():
        where = Lookup("", convert(new[0].placement.route, Route), "", 0, parent_id=new[0].placement.parent_id)
        child = kind_of(name)
        free_slots[name, parent] = await child.free_slots(where, reader) if isinstance(child, Child) else None
    return PreflightFacts(machines, unheard, files, await _unmanaged(refreshed, changes), free_slots)


def check_preflight(
    context: PlanContext, refreshed: RefreshedState, changes: Mapping[str, Change], facts: PreflightFacts
) -> Diagnostics:
    """Problems of each resource, and of each machine as a whole. Pure."""
    found = Diagnostics()
    for address, change in changes.items():
        if change.action not in _CHECKED:
            continue
        resource, machine = (
            context.inventory.resources.get(address),
            facts.machines.get(convert(change.placement.route, Route)),
        )
        if resource is None or machine is None:
            continue
        seen = replace(
            machine,
            observed=change.observed,
            unheard_lans=facts.unheard_lans.get(address, frozenset()),
            image_server_files=facts.image_server_files.get(address),
        )
        changed = frozenset(f.path for f in change.fields)
        kind = kind_of(change.kind)
        if isinstance(kind, UsesCapacity):
            found.extend(kind.preflight(resource, change.desired, changed, seen))
    here = by_machine(changes)
    targets: defaultdict[str, list[Machine]] = defaultdict(list)
    for route, machine in facts.machines.items():
        targets[route.target].append(machine)
    for target, of_target in sorted(targets.items()):
        orders = {o.id: o for m in of_target for o in m.orders or ()}
        merged = Machine(of_target[0].route, of_target[0].hardware, tuple(orders.values()), None)
        found.extend(check_capacity(context, merged, here.get(target, {})))
    for target, on_it in sorted(here.items()):
        others = facts.unmanaged.get(target, {})
        if len(on_it) + len(others) > 1:
            found.extend(check_ports(context, on_it, others))
    if going := [c for c in changes.values() if c.action in _GOES]:
        found.extend(_members_stay(refreshed, changes, going))
    found.extend(_secrets(context, changes))
    if facts.free_slots:
        found.extend(_room(context, changes, facts))
    return found


async def _unmanaged(refreshed: RefreshedState, changes: Mapping[str, Change]) -> dict[str, Mapping[str, Capacity]]:
    """Capacity that VMs of others hold on the machines where a VM is started."""
    found = dict(refreshed.unmanaged)
    for target, here in sorted(by_machine(changes).items()):
        hosts = {a: c for a, c in here.items() if isinstance(kind_of(c.kind), Host) and (c.desired or c.applied)}
        if target not in found and hosts.keys() & started(here):
            change = next(reversed(hosts.values()))
            route = convert(change.placement.route or change.old_placement.route, Route)
            ours = managed(refreshed.tracked_objects)
            found[target] = await host(change.kind).others(route, ours, refreshed.reader)
    return found


def _coming(changes: Mapping[str, Change]) -> dict[tuple[str, str], list[Change]]:
    """New children of VMs that stay, where there is a limit, by kind and the VM's address."""
    coming: dict[tuple[str, str], list[Change]] = {}
    for change in changes.values():
        parent = changes.get(change.placement.parent)
        stays, kind = parent is None or parent.action not in _COMES, kind_of(change.kind)
        limited = isinstance(kind, Child) and kind.max_per_parent
        if limited and change.action in _COMES and change.placement.parent_id and stays:
            coming.setdefault((change.kind, change.placement.parent), []).append(change)
    return coming


def _room(context: PlanContext, changes: Mapping[str, Change], facts: PreflightFacts) -> Iterator[Diagnostic]:
    """Check that new children of a VM fit beside the present ones, managed or not."""
    for (name, parent), new in _coming(changes).items():
        free_slots = facts.free_slots.get((name, parent))
        if free_slots is not None and len(new) > free_slots:
            resource = context.inventory.resources[new[max(free_slots, 0)].address]
            yield _no_room(resource, kind_of(name).parent_field, parent, len(new), max(free_slots, 0))


def _no_room(resource: Resource[Spec], path: str, parent: str, new: int, free_slots: int) -> Diagnostic:
    return resource.problem(
        "node-would-refuse",
        path,
        f"{parent} has {free_slots} free slots for {resource.kind}, {new} needed",
        detail="Unmanaged ones count too. The node does not reuse freed slots, and reports no error.",
        remedy=f"Delete the newest {resource.kind} resources in an apply of their own first, or use another VM.",
        exit_code=ExitCode.REFUSED,
    )


def _secrets(context: PlanContext, changes: Mapping[str, Change]) -> Diagnostics:
    """Problems of available secrets: one that cannot be sent would end an apply halfway."""
    found = Diagnostics()
    for address, change in changes.items():
        resource = context.inventory.resources.get(address)
        if resource is None or change.action not in _SENT:
            continue
        for secret in [f for f in kind_of(change.kind).secret_fields if f.path in change.secrets]:
            found.extend(unusable_secret(resource, secret, context.secret(address, secret.path)))
    return found


def _members_stay(
    refreshed: RefreshedState, changes: Mapping[str, Change], going: Sequence[Change]
) -> Iterator[Diagnostic]:
    """Warn of a LAN that has members which stay: it cannot be deleted. `going`: the changes that delete an object."""
    leaving = {c.identity.old_id or c.identity.id for c in going}
    addresses = {c.identity.id: c.address for c in changes.values() if c.identity.id}
    for change in going:
        observed = refreshed.observations.get(change.address)
        stay = sorted(set(observed.members) - leaving) if observed is not None else []
        if change.action is Action.REPLACE:  # managed members are replaced with it, or it is refused
            stay = [member for member in stay if member not in addresses]
        if stay:
            who = ", ".join(addresses.get(member, f"unmanaged VM {member}") for member in stay)
            yield Diagnostic(
                "node-may-refuse",
                Severity.WARNING,
                f"{change.address} cannot be deleted while it has members",
                f"Members: {who}. VMs leave a LAN when they are deleted, not when they are powered off.",
                "Delete these VMs first. The rest of the plan is applied.",
                address=change.address,
            )


async def _image_server_files(reader: CachedReader, machine: Machine, server: str) -> frozenset[str] | None:
    if machine.inventory is None or server not in (machine.image_servers or ()):
        return None
    stored = await reader.image_server(through_image_client(machine.route, machine.inventory), server)
    return frozenset(stored.value) if isinstance(stored, Known) else None


async def _unheard(reader: CachedReader, route: Route, names: Sequence[str]) -> frozenset[str]:
    """LANs that a machine does not know."""
    found = await asyncio.gather(*(reader.network(route, name) for name in names))
    return frozenset(n for n, lan in zip(names, found, strict=True) if isinstance(lan, Known) and lan.value is None)


async def _machine(reader: CachedReader, route: Route, context: PlanContext, *, image_servers: bool) -> Machine:
    hardware, orders = await reader.hardware(route), await reader.orders(route)
    known = await reader.image_servers(through_image_client(route, context.inventory)) if image_servers else None
    return Machine(
        route,
        hardware.value if isinstance(hardware, Known) else None,
        orders.value if isinstance(orders, Known) else None,
        await whole_machine(reader, route),
        image_servers=known.value if isinstance(known, Known) else None,
        inventory=context.inventory,
    )


async def check_authority(
    context: PlanContext, reader: CachedReader, steps: Mapping[str, StepBuilder]
) -> list[Diagnostic]:
    """One error for each resource whose call would be refused after something was deleted or powered off."""
    if not any(_destroys(goal) for step in steps.values() for goal in step.goals):
        return []
    routes = {goal.route for step in steps.values() for goal in step.goals}
    answers = await asyncio.gather(*(authority_refusal(route, reader) for route in routes))
    refused = {route: why for route, why in zip(routes, answers, strict=True) if why is not None}
    return list(_denied(context, steps, refused))


def _destroys(goal: Goal) -> bool:
    return goal.deletes or goal.powers == "off" or goal.power_cycles


def _denied(
    context: PlanContext, steps: Mapping[str, StepBuilder], refused: Mapping[Route, Unreadable]
) -> Iterator[Diagnostic]:
    reported: set[str] = set()
    for step in steps.values():
        goals = [g for g in step.goals if g.route in refused and g.address not in reported]
        earlier = (g for s in (step, *preceding(step, steps)) for g in s.goals) if goals else ()
        destroyed = sorted({g.address for g in earlier if _destroys(g) and g.route not in refused})
        for goal in goals if destroyed else ():
            if goal.address not in reported:
                reported.add(goal.address)
                yield _refused_later(context, goal, refused[goal.route], destroyed)


def _refused_later(context: PlanContext, goal: Goal, why: Unreadable, destroyed: list[str]) -> Diagnostic:
    return context.inventory.refusal(
        goal.address,
        "refused-later",
        "",
        f"{goal.route.name} refuses the call for {goal.address}: {why.reason}",
        f"The apply would first delete or power off {', '.join(destroyed)}. Nothing was changed.",
        f"Correct `identity` or `rentOrder` of {goal.route.name}, or use --exclude {goal.address}.",
        exit_code=ExitCode.AUTHORISATION,
    )
