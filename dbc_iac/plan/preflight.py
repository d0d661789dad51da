"""Preflight: what the nodes would refuse, told before anything is sent. It reads each machine once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import Resource, kind_of
from dbc_iac.kinds.centre import through_image_client
from dbc_iac.kinds.kind import Machine, Sought
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader
from dbc_iac.kinds.resource import unusable_secret
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.books import check_books, on_machine
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.port_conflicts import check_ports, starts
from dbc_iac.plan.refresh import World, managed, whole_machine
from dbc_iac.plan.session import Session

_COMES = frozenset({Action.CREATE, Action.REPLACE})
_GOES = frozenset({Action.DELETE, Action.REPLACE})
_SENT = frozenset({Action.CREATE, Action.UPDATE, Action.REPLACE, Action.ADOPT})
_CHECKED = frozenset({Action.CREATE, Action.UPDATE, Action.REPLACE})


async def preflight(session: Session, world: World, changes: Mapping[str, Change]) -> Diagnostics:
    """Every problem that can be known, of each resource alone and of each machine as a whole."""
    found = Diagnostics()
    checked = {a: c for a, c in changes.items() if c.action in _CHECKED}
    ways = {Reach.from_json(c.reach) for c in checked.values() if kind_of(c.kind).on_a_machine}
    centred = {Reach.from_json(c.reach) for c in checked.values() if kind_of(c.kind).uses_centres}
    looks = (_machine(world.reader, w, session, centres=w in centred) for w in ways)
    machines = dict(zip(ways, await asyncio.gather(*looks), strict=True))
    for address, change in checked.items():
        resource, machine = session.inventory.resources.get(address), machines.get(Reach.from_json(change.reach))
        if resource is not None and machine is not None:
            changed = frozenset(f.path for f in change.fields)
            seen = replace(
                machine,
                observed=change.observed,
                unheard_lans=await _unheard(world.reader, machine.reach, change, changes),
                centre_files=await _centre_files(world.reader, machine, change),
            )
            found.extend(kind_of(change.kind).preflight(resource, change.desired, changed, seen))
    for target in sorted({w.target for w in ways}):
        of_target = [m for w, m in machines.items() if w.target == target]
        orders = {o.id: o for m in of_target for o in m.orders or ()}
        merged = Machine(of_target[0].reach, of_target[0].hardware, tuple(orders.values()), None)
        found.extend(check_books(session, target, merged, changes))
    found.extend(await _ports(session, world, changes))
    found.extend(_members_stay(world, changes))
    found.extend(_secrets(session, changes))
    found.extend(await _room(session, world.reader, changes))
    return found


async def _ports(session: Session, world: World, changes: Mapping[str, Change]) -> Diagnostics:
    """Conflicts of ports on each machine. What is not ours there is looked at where something is started."""
    found, ours = Diagnostics(), managed(world.candidates)
    hosts = {a: c for a, c in changes.items() if kind_of(c.kind).host and (c.desired or c.applied)}
    places = {str((c.reach or c.old_reach).get("target")): c for c in hosts.values()}
    for target, change in sorted(places.items()):
        strangers = world.strangers.get(target)
        here = on_machine(target, changes)
        if strangers is None and any(starts(c, here) for c in on_machine(target, hosts).values()):
            reach = Reach.from_json(change.reach or change.old_reach)
            strangers = await kind_of(change.kind).others(reach, ours, world.reader)
        found.extend(check_ports(session, target, here, strangers or {}))
    return found


async def _room(session: Session, reader: Reader, changes: Mapping[str, Change]) -> Diagnostics:
    """What comes to a VM that stays has room beside what it has now, ours or not."""
    found = Diagnostics()
    coming: dict[tuple[str, str], list[Change]] = {}
    for change in changes.values():
        holder = changes.get(change.holder)
        stays = change.holder_id and (holder is None or holder.action not in _COMES)
        if stays and change.action in _COMES and kind_of(change.kind).most_on_holder:
            coming.setdefault((change.kind, change.holder), []).append(change)
    for (name, holder_address), new in coming.items():
        where = Sought("", Reach.from_json(new[0].reach), "", 0, holder_id=new[0].holder_id)
        room = await kind_of(name).room(where, reader)
        if room is not None and len(new) > room:
            resource = session.inventory.resources[new[max(room, 0)].address]
            found.add(_no_room(resource, kind_of(name).holder, holder_address, len(new), max(room, 0)))
    return found


def _no_room(resource: Resource[Spec], path: str, holder: str, new: int, room: int) -> Diagnostic:
    return resource.problem(
        "node-would-refuse",
        path,
        f"{holder} can take {room} more of kind {resource.kind}, and is to get {new}",
        detail="What it has now counts, also what no document names; the node fills no gaps, and tells nothing.",
        remedy="Let those go first that were added last, in an apply of their own; or put it on another VM.",
        exit_code=ExitCode.REFUSED,
    )


def _secrets(session: Session, changes: Mapping[str, Change]) -> Iterator[Diagnostic]:
    """The values of secrets, where they are at hand: one that cannot be sent would end an apply that has begun."""
    for address, change in changes.items():
        resource = session.inventory.resources.get(address)
        if resource is None or change.action not in _SENT:
            continue
        for field in [f for f in kind_of(change.kind).secret_fields if f.path in change.secrets]:
            yield from unusable_secret(resource, field, session.secret(address, field.path))


def _members_stay(world: World, changes: Mapping[str, Change]) -> Iterator[Diagnostic]:
    """A LAN cannot be deleted while a VM, whoever's and in whatever state, is a member."""
    leaving = {c.old_id or c.id for c in changes.values() if c.action in _GOES}
    ours = {c.id: c.address for c in changes.values() if c.id}
    for change in [c for c in changes.values() if c.action in _GOES]:
        observed = world.observations.get(change.address)
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


async def _centre_files(reader: Reader, machine: Machine, change: Change) -> frozenset[str] | None:
    server = kind_of(change.kind).fetched_from(change.desired)
    if not server or machine.inventory is None or server not in (machine.centres or ()):
        return None
    stored = await reader.centre(through_image_client(machine.reach, machine.inventory), server)
    return frozenset(stored.value) if isinstance(stored, Known) else None


async def _unheard(reader: Reader, reach: Reach, change: Change, changes: Mapping[str, Change]) -> frozenset[str]:
    """LANs that the change joins, that are to be there already, and of which its machine does not know."""
    coming = {c.id for c in changes.values() if c.action in _COMES}
    names = sorted(kind_of(change.kind).joins(change.desired) - coming)
    found = await asyncio.gather(*(reader.network(reach, name) for name in names))
    return frozenset(n for n, lan in zip(names, found, strict=True) if isinstance(lan, Known) and lan.value is None)


async def _machine(reader: Reader, reach: Reach, session: Session, *, centres: bool) -> Machine:
    hardware, orders = await reader.hardware(reach), await reader.orders(reach)
    known = await reader.image_servers(through_image_client(reach, session.inventory)) if centres else None
    return Machine(
        reach,
        hardware.value if isinstance(hardware, Known) else None,
        orders.value if isinstance(orders, Known) else None,
        await whole_machine(reader, reach),
        centres=known.value if isinstance(known, Known) else None,
        inventory=session.inventory,
    )
