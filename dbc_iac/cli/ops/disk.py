"""`disk`: the disks of a VM, and growing one at once. Only a size to be reached is ever waited for, never a delta."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import click

from dbc_iac.api import requests
from dbc_iac.api.endpoints import disks
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.api.responses import VmDisk
from dbc_iac.cli.app import App
from dbc_iac.cli.completions import names
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.lookup import ResolvedTarget, TargetOptions, vm_argument, where_options
from dbc_iac.cli.ops.options import wait_options
from dbc_iac.cli.ops.outcomes import failed, retry_remedy, wait_for_goal
from dbc_iac.cli.ops.vm import SYSTEM, details_of, disk_size
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds.disk import DiskSpec
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, Needs
from dbc_iac.kinds.framework.types import MAX_GIB, parse_gib
from dbc_iac.kinds.virtual_machine.goals import DiskHasSize
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec
from dbc_iac.views.text.tables import gib, plain_json, table

_DEVICE = re.compile(r"vd[a-z]")


@click.group()
def command() -> None:
    """Disks of VMs: list, grow."""


@command.command("list")
@vm_argument
@where_options
@json_option
@click.pass_obj
def list_disks(app: App, /, vm: str, **where: str) -> None:
    """List the disks of a VM: device, size, file, and the resource that manages each."""

    async def work(console: Console) -> list[dict[str, Json]]:
        found = await lookup.vm(console, vm, TargetOptions(**where))
        details = await details_of(console, found)
        return [_row(console, found, disk) for disk in details.disks]

    rows = run(app, work)
    lines = [(r["device"], _size(r), r["resource"] or "-", r["file"]) for r in rows]
    app.show(table(("DEVICE", "SIZE", "RESOURCE", "FILE"), lines) if rows else "There is no disk.", rows)


def _row(console: Console, found: ResolvedTarget, disk: VmDisk) -> dict[str, Json]:
    address = _document(console, found, disk)[0]
    return {"device": disk.name, "sizeGib": plain_json(disk_size(disk)), "file": disk.source_file, "resource": address}


def _size(row: dict[str, Json]) -> str:
    return "?" if row["sizeGib"] is None else f"{row['sizeGib']}Gi"


def _document(console: Console, found: ResolvedTarget, disk: VmDisk) -> tuple[str, int | None]:
    """The resource that manages a disk, and its size in GiB by the manifest; empty if there is none."""
    vm = console.state.bindings.get(found.address)
    if vm is not None and vm.resolved.get("dataDisk.path") == disk.source_file:
        data = found.spec.data_disk if isinstance(found.spec, VirtualMachineSpec) else None
        return found.address, data.size if data is not None else None
    disk_document = lookup.owned(console, "Disk", ResolvedTarget(disk.source_file, found.route))
    size = disk_document.spec.size if isinstance(disk_document.spec, DiskSpec) else None
    return disk_document.address, size


@command.command("grow", context_settings={"ignore_unknown_options": True})  # -5Gi is a size, if a wrong one
@vm_argument
@click.argument("disk", shell_complete=names("Disk"))
@click.argument("size", metavar="SIZE|+SIZE")
@where_options
@wait_options
@yes_option
@json_option
@click.pass_obj
def grow(app: App, /, vm: str, disk: str, size: str, wait: float | None, yes: bool, **where: str) -> None:
    """Grow a disk of a VM that is off: to SIZE (500Gi), or by +SIZE (+20Gi). A disk never shrinks.

    DISK is a device (vdb) or the name of a Disk. The system disk vda takes only +SIZE: it reads as 350Gi until its
    first resize. Grow the file system in the guest yourself.
    """

    async def work(console: Console) -> tuple[VmDisk, str]:
        found = await lookup.vm(console, vm, TargetOptions(**where))
        _no_pending(console)
        device, before = await _disk(console, found, disk)
        goal = _goal(found, device, before, size)
        if isinstance(goal, DiskHasSize):
            _warn(console, found, device, goal.size)
        with console.changing(f"{found.label}: grow {device.name} ({gib(before)}) {_by(size)}?", "disk grow"):
            console.reader.forget()
            seen = await goal.look(console.reader)  # the amount to add is computed from this look, right before
            if seen.sight is not GoalStatus.UNMET:
                summary = f"{device.name} of {found.label}: {seen.text}"
                show = f"Check the disk with `dbc-iac disk list {found.label}`."
                remedy = retry_remedy(seen.text) if seen.sight is GoalStatus.UNKNOWN else show
                raise failed("unreadable", summary, "Nothing was sent.", remedy)
            outcome = await goal.act(console.context(), console.reader)
        look = f"dbc-iac disk list {found.label}"
        return device, await wait_for_goal(console, goal, outcome, look, wait)

    device, status = run(app, work, yes=yes)
    app.show(f"{device.name}: {status}", {"device": device.name, "file": device.source_file, "status": status})


def _no_pending(console: Console) -> None:
    """Refuse while an interrupted apply needs the sizes and files of disks to prove the outcome of its calls."""
    blind = [i.address for i in console.state.pending if i.call_class == CallClass.BLIND.value]
    if blind:
        raise failed(
            "pending", f"{blind[0]} has a pending operation",
            remedy="Run `dbc-iac apply` to resolve it first.", exit_code=ExitCode.REFUSED,
        )  # fmt: skip


async def _disk(console: Console, found: ResolvedTarget, name: str) -> tuple[VmDisk, Fraction]:
    """A disk by device or document, with its size. Raises DiagnosticError: no such disk, or the VM is not off."""
    details = await details_of(console, found)
    file = ""
    if not _DEVICE.fullmatch(name):
        document = lookup.managed(console, ("Disk",), name, TargetOptions())
        if document is None:
            raise lookup.unknown("Disk", name, [d.name for d in details.disks], "Give a device or the name of a Disk.")
        file = document.id
    disk = next((d for d in details.disks if name == d.name or file == d.source_file), None)
    if disk is None or disk.size_gib is None:
        raise failed("not-found", f"{found.label} has no disk {name}", remedy=f"Run `dbc-iac disk list {found.label}`.")
    if details.status != "closed":
        raise failed(
            "vm-not-off", f"{found.label} is {details.status}, not powered off", "Disks grow only while the VM is off.",
            f"Power it off with `dbc-iac vm stop {found.label} --wait`.", exit_code=ExitCode.REFUSED,
        )  # fmt: skip
    return disk, disk.size_gib


def _goal(found: ResolvedTarget, disk: VmDisk, before: Fraction, size: str) -> Goal:
    """Goal of the command. Raises DiagnosticError for an invalid size."""
    add = size.startswith("+")
    if size.startswith("-"):
        raise click.UsageError(f"SIZE {size}: a disk only grows")
    try:
        amount = parse_gib(size.removeprefix("+"))
    except ValueError as error:
        raise click.UsageError(f"SIZE: {error}") from None
    if amount > MAX_GIB:
        raise click.UsageError(f"SIZE {size}: a disk has at most {MAX_GIB}Gi")
    of_vm: dict[str, Any] = {"address": found.label, "route": found.route, "id": disk.source_file, "vm": found.id}
    if disk.name == SYSTEM:
        if not add:
            raise click.UsageError("the size of vda is not known before its first resize: give +SIZE")
        if amount < 1:
            raise click.UsageError("SIZE: a disk only grows")
        return SystemDiskGrown(file=disk.source_file, shown=before, add=amount, **of_vm)
    target = int(before) + amount if add else amount
    if target <= before:
        raise click.UsageError(f"SIZE: {disk.name} has {gib(before)}, and a disk only grows")
    return DiskHasSize(file=disk.source_file, size=target, **of_vm)


def _by(size: str) -> str:
    return f"by {size[1:]}" if size.startswith("+") else f"to {size}"


def _warn(console: Console, found: ResolvedTarget, disk: VmDisk, target: int) -> None:
    address, size = _document(console, found, disk)
    if size is not None and size < target:
        console.warn(
            "drift",
            f"the manifest of {address} has size: {size}Gi",
            detail="The next plan is refused, since a disk cannot shrink.",
            remedy=f"Set size to {target}Gi.",
            address=address,
        )


class SystemDiskGrown(Goal, frozen=True, kw_only=True):
    """The system disk shows a new size. The call is blind: the resulting size cannot be computed beforehand."""

    name = "system-disk-grown"
    call_class = CallClass.BLIND
    needs = Needs.OFF
    file: str
    shown: Fraction
    add: int

    @property
    def action_text(self) -> str:
        return f"adding {self.add} GiB to {SYSTEM}"

    async def look(self, reader: CachedReader) -> GoalState:
        details = await reader.vm(self.route, self.vm)
        found = details.value.disks if not isinstance(details, Unreadable) and details.value else ()
        size = next((d.size_gib for d in found if d.source_file == self.file), None)
        if size is None:
            return GoalState(GoalStatus.UNKNOWN, "the size of the disk cannot be read")
        return GoalState(GoalStatus.MET if size != self.shown else GoalStatus.UNMET, gib(size))

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await disks.resize_disk(
            await context.connect(self.route), self.vm, requests.DiskResize(disk=SYSTEM, add_gib=self.add)
        )
