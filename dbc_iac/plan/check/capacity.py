"""Capacity of a machine: allocations of all its resources, powered off or not. Pure.

The node compares the ports of a VM that is created, changed or started with those of the VMs that run at that moment.
So a conflict with one that is off, or that was changed meanwhile, shows at the next start: the VM then stays off.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec import convert

from dbc_iac.api.responses import NodeHardware
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host, capacity
from dbc_iac.kinds.framework.capacity import CPUS, GPUS, MEMORY, Allocations, Capacity, Machine
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.model import Action, Change

_CREATED = frozenset({Action.CREATE, Action.REPLACE})
_CYCLES = frozenset({Behaviour.OFFLINE.value, Behaviour.COLD_BOOT.value, Behaviour.ONCE.value})
_COMPARED = (
    "The node compares the port of ssh (of rdp with windows) and that of the screen at each start, also if the VM"
    " has a public address. It compares neither ports of VMs that are off nor forwarded ones."
)
_RESTS = frozenset({Action.NO_OP, Action.UNKNOWN, Action.FORGET})


def check_capacity(context: PlanContext, machine: Machine, here: Mapping[str, Change]) -> Iterator[Diagnostic]:
    """Problems of all changes on one machine together."""
    if machine.hardware is None:
        return
    after = {a: required_capacity(c) for a, c in here.items()}
    if any(_grows(c, GPUS) for c in here.values()):
        yield from _gpus(context, machine.hardware, here, after)
    if len(here) > 1:  # each kind's preflight compares one resource with the machine
        yield from _together(context, machine.hardware, here, after)
        yield from _one_vm_an_order(context, machine, here, after)
        yield from _space(context, machine.hardware, here, after)


def by_machine(changes: Mapping[str, Change]) -> Mapping[str, Mapping[str, Change]]:
    """Changes by the target that they are on."""
    found: defaultdict[str, dict[str, Change]] = defaultdict(dict)
    for address, change in changes.items():
        found[change.target][address] = change
    return found


def required_capacity(change: Change) -> Capacity:
    """Capacity of a resource after the apply. An object that is removed from the state and exists still has its own."""
    if change.action is Action.DELETE or (change.action is Action.FORGET and not change.observed):
        return Capacity()
    return capacity(kind_of(change.kind), change.desired or change.applied)


def _gpus(
    context: PlanContext, hardware: NodeHardware, here: Mapping[str, Change], after: Mapping[str, Capacity]
) -> Iterator[Diagnostic]:
    """Check that new GPUs are free, or released in the same plan. A VM that is too large alone has its own problem."""
    if any(after[address].gpus > hardware.gpu_count for address in here):
        return
    comes, goes = 0, 0
    last = ""
    for address, change in here.items():
        before = capacity(kind_of(change.kind), change.applied).gpus if change.applied else 0
        holds_now = before if change.observed_power == "on" else 0
        gpus = after[address].gpus
        if change.action in _CREATED | {Action.UPDATE} and gpus > holds_now:
            comes += gpus - holds_now
            last = address
        elif change.action in {Action.DELETE, Action.REPLACE, Action.UPDATE}:
            goes += holds_now - gpus if holds_now > gpus else 0
    free = hardware.gpu_count - hardware.gpu_used
    if comes > free + goes:
        yield context.inventory.refusal(
            last, "node-would-refuse", GPUS,
            f"{comes} GPUs requested in total, but {free + goes} of {hardware.gpu_count} are free",
            f"{hardware.gpu_used} are allocated to running VMs, new VMs and failed creations.",
            "Request fewer GPUs, or power off VMs that hold them.",
        )  # fmt: skip


def _together(
    context: PlanContext, hardware: NodeHardware, here: Mapping[str, Change], after: Mapping[str, Capacity]
) -> Iterator[Diagnostic]:
    """Check that all running VMs fit together: the node counts those that run, so the last one could not start."""
    running = {a: after[a] for a, c in here.items() if c.desired_power in {"", "on"}}
    has = ((CPUS, "CPU cores", hardware.cpu_cores), (MEMORY, "GiB of memory", hardware.mem_size_gib))
    for path, unit, there in has:
        allocated = {a: getattr(h, path) for a, h in running.items()}
        grows = [a for a, share in allocated.items() if share and _grows(here[a], path)]
        if grows and sum(allocated.values()) > there >= max(allocated.values()):
            yield context.inventory.refusal(
                grows[-1], "node-would-refuse", path,
                f"{sum(allocated.values())} {unit} requested in total, but the machine has {int(there)}",
                "Each VM fits alone, but the last one could not start.",
                f'Reduce {path}, or set `power: "off"` for some VMs.',
            )  # fmt: skip


def _grows(change: Change, path: str) -> bool:
    return change.action in _CREATED or (
        change.action is Action.UPDATE
        and any(f.path in {path, kind_of(change.kind).power_field} for f in change.fields)
    )


def _space(
    context: PlanContext, hardware: NodeHardware, here: Mapping[str, Change], after: Mapping[str, Capacity]
) -> Iterator[Diagnostic]:
    """Warn if all new and grown disks do not fit together: files are thin, and the free space that the node reports
    ignores how far existing files may grow."""
    grows: defaultdict[str, dict[str, int]] = defaultdict(dict)
    free: dict[str, int] = {}
    for address, change in here.items():
        if change.action not in _CREATED | {Action.UPDATE}:
            continue  # deletions come later
        updated = change.action is Action.UPDATE
        had = capacity(kind_of(change.kind), {**change.applied, **change.observed}).space if updated else {}
        for directory, size in after[address].space.items():
            root, more = hardware.holding(directory), size - had.get(directory, 0)
            if root is not None and more > 0:
                grows[root.path][address] = more
                free[root.path] = math.floor(root.free_gib)
    for path, disks in grows.items():
        last = context.inventory.resources.get([*disks][-1])
        if len(disks) > 1 and sum(disks.values()) > free[path] and last is not None:
            yield last.problem(
                "thin-space",
                "",
                f"{sum(disks.values())} GiB requested in total in {path}, but {free[path]} are free",
                detail=f"{len(disks)} disks are new or grow there. Files are thin: the node accepts them, and writes"
                " fail once the host is full.",
                remedy="Reduce the sizes, or use another directory of the host (hostDir).",
                severity=Severity.WARNING,
            )


def _one_vm_an_order(
    context: PlanContext, machine: Machine, here: Mapping[str, Change], after: Mapping[str, Capacity]
) -> Iterator[Diagnostic]:
    """Check that an order for a part of the machine has one VM only."""
    used: dict[str, str] = {}
    hardware = machine.hardware
    assert hardware is not None  # noqa: S101 - the caller looked
    partial = {o.id for o in machine.orders or () if len(o.gpu_index) < hardware.gpu_count}
    for address, change in here.items():
        kind, order = kind_of(change.kind), convert(change.placement.route, Route).rent_order if change.desired else ""
        if order not in partial or not isinstance(kind, Host) or after[address].gpus == 0:
            continue
        if order in used and change.action in _CREATED:
            yield context.inventory.refusal(
                address, "node-would-refuse", kind.order_field,
                f"order {order} is used by {used[order]} already",
                "An order for a part of the machine has GPUs for one VM.",
                f"Rent another order and set {kind.order_field}.",
            )  # fmt: skip
        used.setdefault(order, address)


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
