"""Preflight: what the nodes would refuse, told before anything is sent. It reads each machine once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.centre import through_image_client
from dbc_iac.kinds.kind import Machine
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader
from dbc_iac.plan.books import check_books
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.refresh import World, whole_machine
from dbc_iac.plan.session import Session

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
            seen = replace(machine, observed=change.observed)
            found.extend(kind_of(change.kind).preflight(resource, change.desired, changed, seen))
    for target in sorted({w.target for w in ways}):
        of_target = [m for w, m in machines.items() if w.target == target]
        orders = {o.id: o for m in of_target for o in m.orders or ()}
        merged = Machine(of_target[0].reach, of_target[0].hardware, tuple(orders.values()), None)
        found.extend(check_books(session, target, merged, changes, world.strangers.get(target, {})))
    return found


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
