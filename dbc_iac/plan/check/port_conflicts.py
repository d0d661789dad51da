"""Conflicts of ports and public addresses between VMs of one machine. Pure.

The node compares the ports of a VM that is created, changed or started with those of the VMs that run at that moment.
So a conflict with one that is off, or that was changed meanwhile, shows at the next start: the VM then stays off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host, capacity
from dbc_iac.kinds.framework.capacity import Allocations, Capacity
from dbc_iac.kinds.framework.rules import Behaviour
from dbc_iac.plan.check.capacity import required_capacity
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.model import Action, Change

_CYCLES = frozenset({Behaviour.OFFLINE.value, Behaviour.COLD_BOOT.value, Behaviour.ONCE.value})
_COMPARED = (
    "The node compares the port of ssh (of rdp with windows) and that of the screen at each start, also if the VM"
    " has a public address. It compares neither ports of VMs that are off nor forwarded ones."
)
_RESTS = frozenset({Action.NO_OP, Action.UNKNOWN, Action.FORGET})


def check_ports(
    context: PlanContext, here: Mapping[str, Change], unmanaged: Mapping[str, Capacity]
) -> Iterator[Diagnostic]:
    """Conflicts of the changes on one machine, also with unmanaged VMs (by id): errors where one of the two is started
    or gets its port in this plan, else warnings of the next start."""
    before = {f"unmanaged VM {identity}": holding for identity, holding in unmanaged.items()}
    held = Allocations()
    for other, holding in before.items():
        held.add(other, holding)
    for address, change in here.items():
        mine = required_capacity(change)
        if clashing := held.clashing(mine):
            other = next(o for o in before if o in clashing)
            yield _conflict(context, started(here), address, other, mine.clashes(before[other])[0])
        before[address] = mine
        held.add(address, mine)


def started(changes: Mapping[str, Change]) -> set[str]:
    """Addresses of VMs that are started, also for a change of a child, or get a new port or address."""
    found = {a for a, c in changes.items() if c.action in {Action.CREATE, Action.REPLACE}}
    opened = {c.placement.parent for c in changes.values() if c.action not in _RESTS}
    for address, change in changes.items():
        kind, cycles = kind_of(change.kind), address in opened
        if change.action is Action.UPDATE:
            had, gets = capacity(kind, {**change.applied, **change.observed}), required_capacity(change)
            if (had.ports, had.start_ports, had.addresses) != (gets.ports, gets.start_ports, gets.addresses):
                found.add(address)
            cycles = cycles or change.observed_power == "off" or any(f.behaviour in _CYCLES for f in change.fields)
        if isinstance(kind, Host) and cycles and (change.desired_power or change.observed_power) != "off":
            found.add(address)
    return found


def _conflict(context: PlanContext, going: set[str], address: str, other: str, what: str) -> Diagnostic:
    """A conflict, at the VM that is started or changed (`going`), else at the later one."""
    moves = [a for a in (address, other) if a in going]
    at, parent = (other, address) if moves == [other] else (address, other)
    severity, code = (Severity.ERROR, ExitCode.REFUSED) if moves else (Severity.WARNING, ExitCode.OK)
    path = Host.address_field if what.startswith("public") else Host.ports_field
    summary = f"{what} of {at} is already in use"
    detail = f"{parent} uses it on the same machine. {_COMPARED}"
    detail += "" if moves else " One VM cannot start while the other runs."
    remedy = "Choose another address." if path == Host.address_field else "Choose another port, or `auto`."
    return context.inventory.refusal(at, "port-conflict", path, summary, detail, remedy, severity, code)
