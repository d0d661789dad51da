"""Preflight: what the nodes would refuse, told before anything is sent. It reads each machine once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import Resource, kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known
from dbc_iac.kinds.framework.inventory import unusable_secret
from dbc_iac.kinds.framework.kind import Lookup, Machine
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.images.image_server import through_image_client
from dbc_iac.plan.check.capacity import check_capacity, on_machine
from dbc_iac.plan.check.port_conflicts import check_ports, starts
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.observe.refresh import RefreshedState, managed, whole_machine

_COMES = frozenset({Action.CREATE, Action.REPLACE})
_GOES = frozenset({Action.DELETE, Action.REPLACE})
_SENT = frozenset({Action.CREATE, Action.UPDATE, Action.REPLACE, Action.ADOPT})
_CHECKED = frozenset({Action.CREATE, Action.UPDATE, Action.REPLACE})


async def preflight(context: PlanContext, refreshed: RefreshedState, changes: Mapping[str, Change]) -> Diagnostics:
    """Every problem that can be known, of each resource alone and of each machine as a whole."""
    found = Diagnostics()
    checked = {a: c for a, c in changes.items() if c.action in _CHECKED}
    ways = {Route.from_json(c.route) for c in checked.values() if kind_of(c.kind).on_a_machine}
    with_image_servers = {Route.from_json(c.route) for c in checked.values() if kind_of(c.kind).uses_image_servers}
    looks = (_machine(refreshed.reader, w, context, image_servers=w in with_image_servers) for w in ways)
    machines = dict(zip(ways, await asyncio.gather(*looks), strict=True))
    for address, change in checked.items():
        resource, machine = context.inventory.resources.get(address), machines.get(Route.from_json(change.route))
        if resource is not None and machine is not None:
            changed = frozenset(f.path for f in change.fields)
            seen = replace(
                machine,
                observed=change.observed,
                unheard_lans=await _unheard(refreshed.reader, machine.route, change, changes),
                image_server_files=await _image_server_files(refreshed.reader, machine, change),
            )
            found.extend(kind_of(change.kind).preflight(resource, change.desired, changed, seen))
    for target in sorted({w.target for w in ways}):
        of_target = [m for w, m in machines.items() if w.target == target]
        orders = {o.id: o for m in of_target for o in m.orders or ()}
        merged = Machine(of_target[0].route, of_target[0].hardware, tuple(orders.values()), None)
        found.extend(check_capacity(context, target, merged, changes))
    found.extend(await _ports(context, refreshed, changes))
    found.extend(_members_stay(refreshed, changes))
    found.extend(await asyncio.to_thread(_secrets, context, changes))
    found.extend(await _room(context, refreshed.reader, changes))
    return found


async def _ports(context: PlanContext, refreshed: RefreshedState, changes: Mapping[str, Change]) -> Diagnostics:
    """Conflicts of ports on each machine. What is not ours there is looked at where something is started."""
    found, ours = Diagnostics(), managed(refreshed.tracked_objects)
    hosts = {a: c for a, c in changes.items() if kind_of(c.kind).host and (c.desired or c.applied)}
    places = {str((c.route or c.old_route).get("target")): c for c in hosts.values()}
    for target, change in sorted(places.items()):
        strangers = refreshed.strangers.get(target)
        here = on_machine(target, changes)
        if strangers is None and any(starts(c, here) for c in on_machine(target, hosts).values()):
            route = Route.from_json(change.route or change.old_route)
            strangers = await kind_of(change.kind).others(route, ours, refreshed.reader)
        found.extend(check_ports(context, target, here, strangers or {}))
    return found


async def _room(context: PlanContext, reader: CachedReader, changes: Mapping[str, Change]) -> Diagnostics:
    """What comes to a VM that stays has room beside what it has now, ours or not."""
    found = Diagnostics()
    coming: dict[tuple[str, str], list[Change]] = {}
    for change in changes.values():
        parent = changes.get(change.parent)
        stays = change.parent_id and (parent is None or parent.action not in _COMES)
        if stays and change.action in _COMES and kind_of(change.kind).max_per_parent:
            coming.setdefault((change.kind, change.parent), []).append(change)
    for (name, holder_address), new in coming.items():
        where = Lookup("", Route.from_json(new[0].route), "", 0, parent_id=new[0].parent_id)
        free_slots = await kind_of(name).free_slots(where, reader)
        if free_slots is not None and len(new) > free_slots:
            resource = context.inventory.resources[new[max(free_slots, 0)].address]
            found.add(_no_room(resource, kind_of(name).parent, holder_address, len(new), max(free_slots, 0)))
    return found


def _no_room(resource: Resource[Spec], path: str, parent: str, new: int, free_slots: int) -> Diagnostic:
    return resource.problem(
        "node-would-refuse",
        path,
        f"{parent} can take {free_slots} more of kind {resource.kind}, and is to get {new}",
        detail="What it has now counts, also what no document names; the node fills no gaps, and tells nothing.",
        remedy="Let those go first that were added last, in an apply of their own; or put it on another VM.",
        exit_code=ExitCode.REFUSED,
    )


def _secrets(context: PlanContext, changes: Mapping[str, Change]) -> Diagnostics:
    """Problems of available secrets: one that cannot be sent would end an apply halfway."""
    found = Diagnostics()
    for address, change in changes.items():
        resource = context.inventory.resources.get(address)
        if resource is None or change.action not in _SENT:
            continue
        for field in [f for f in kind_of(change.kind).secret_fields if f.path in change.secrets]:
            found.extend(unusable_secret(resource, field, context.secret(address, field.path)))
    return found


def _members_stay(refreshed: RefreshedState, changes: Mapping[str, Change]) -> Iterator[Diagnostic]:
    """A LAN cannot be deleted while a VM, whoever's and in whatever state, is a member."""
    leaving = {c.old_id or c.id for c in changes.values() if c.action in _GOES}
    ours = {c.id: c.address for c in changes.values() if c.id}
    for change in [c for c in changes.values() if c.action in _GOES]:
        observed = refreshed.observations.get(change.address)
        stay = sorted(set(observed.members) - leaving) if observed is not None else []
        if change.action is Action.REPLACE:  # members of ours were looked at: they go along, or it is refused
            stay = [member for member in stay if member not in ours]
        if stay:
            who = ", ".join(ours.get(member, f"VM {member}, which is not ours") for member in stay)
            yield Diagnostic(
                "node-may-refuse",
                Severity.WARNING,
                f"{change.address} cannot be deleted while it has members: {who}",
                "VMs leave a LAN when they are deleted, not when they are powered off.",
                "Whoever owns them must delete them first; all else of the plan is done.",
                address=change.address,
            )


async def _image_server_files(reader: CachedReader, machine: Machine, change: Change) -> frozenset[str] | None:
    server = kind_of(change.kind).fetched_from(change.desired)
    if not server or machine.inventory is None or server not in (machine.image_servers or ()):
        return None
    stored = await reader.image_server(through_image_client(machine.route, machine.inventory), server)
    return frozenset(stored.value) if isinstance(stored, Known) else None


async def _unheard(reader: CachedReader, route: Route, change: Change, changes: Mapping[str, Change]) -> frozenset[str]:
    """LANs that the change joins, that are to be there already, and of which its machine does not know."""
    coming = {c.id for c in changes.values() if c.action in _COMES}
    names = sorted(kind_of(change.kind).networks_of(change.desired) - coming)
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
