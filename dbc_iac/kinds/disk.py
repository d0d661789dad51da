"""Disk: a further data disk of a VM, kept by the node as a file on its host. API: /disk/*."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from msgspec.structs import replace
from pydantic import Field

from dbc_iac.api import requests
from dbc_iac.api.endpoints import disks
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, NotSent, Outcome
from dbc_iac.api.responses import VmDisk
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capabilities import Child, IdFromNode, Recoverable, UsesCapacity
from dbc_iac.kinds.framework.capacity import Capacity, Machine
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, Needs, unseen
from dbc_iac.kinds.framework.importable import Existing, Found, Importable, nested
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, register
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour, Rule, replaced
from dbc_iac.kinds.framework.spec import Reference, Spec
from dbc_iac.kinds.framework.types import GiB, HostDir, gib_text, observed_gib, parse_gib
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation, Unmanaged, unread
from dbc_iac.kinds.job_log import failed_job, job_errors
from dbc_iac.kinds.node import node_route
from dbc_iac.kinds.virtual_machine.goals import DiskHasSize, disks_of, no_size
from dbc_iac.kinds.virtual_machine.reading import vms_of
from dbc_iac.kinds.virtual_machine.spec import vm_of
from dbc_iac.state.document import Binding

LAST_DEVICE = "vdz"
"""The last device: the node accepts further disks, never creates them and reports no error."""
_ADD_FAILED, _DELETE_FAILED = "attach disk failed", "detach disk failed"
OF_THE_VM = {"vda": "the system disk", "vdb": "the data disk"}
"""Devices that are parts of their VM, not Disks."""


class DiskSpec(Spec):
    """A data disk. It can grow in place; another VM or directory replaces it by an empty one."""

    vm: Annotated[str, replaced, Reference("VirtualMachine")] = Field(description="name of the VM")
    size: Annotated[GiB, Rule(Behaviour.OFFLINE, grow_only=True)] = Field(description="size in GiB; may grow")
    host_dir: Annotated[HostDir, replaced] = Field(
        default="/data", description="directory on the host, not in the guest"
    )


class DiskExists(Goal, frozen=True, kw_only=True):
    """One more disk file of this size. Blind: recognised as a file that did not exist before, never by a name."""

    name = "disk-exists"
    call_class = CallClass.BLIND
    needs = Needs.OFF
    creates = True
    size: int
    host_dir: str
    known: frozenset[str] | None
    """The pre-image: files that existed before the call. None before a call: no file can be the new one."""
    errors: frozenset[str] | None = None
    """The pre-image of the VM's log."""
    queued: bool = False

    @property
    def action_text(self) -> str:
        return f"adding {self.size} GiB in {self.host_dir}"

    async def look(self, reader: CachedReader) -> GoalState:
        details = await reader.vm(self.route, self.vm)
        if isinstance(details, Unreadable) or details.value is None:
            return unseen(details, "the node does not show the VM")
        for disk in details.value.disks if self.known is not None else ():
            fits = disk.size_gib == self.size and str(PurePosixPath(disk.source_file).parent) == self.host_dir
            if fits and disk.name not in OF_THE_VM and disk.source_file not in (self.known or ()):
                return GoalState(GoalStatus.MET, disk.source_file, id=disk.source_file)
        before = self.errors if self.queued else None
        return await failed_job(reader, self.route, self.vm, _ADD_FAILED, before) or GoalState(GoalStatus.UNMET)

    def begins(self) -> DiskExists:
        return replace(self, queued=True)

    def informed(self, bindings: Mapping[str, Binding]) -> DiskExists:
        """The goal without bound files as candidates."""
        return self if self.known is None else replace(self, known=self.known | {b.id for b in bindings.values()})

    async def primed(self, reader: CachedReader) -> tuple[Goal, dict[str, Json]]:
        known = frozenset(d.source_file for d in await disks_of(reader, self.route, self.vm))
        errors = await job_errors(reader, self.route, self.vm, _ADD_FAILED)
        return replace(self, known=known, errors=errors), {"known": [*sorted(known)], **_kept(errors)}

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        body = requests.DiskAdd(size_gib=self.size, mount_dir=self.host_dir)
        return await disks.add_disk(await context.connect(self.route), self.vm, body)


class DiskKnown(Goal, frozen=True, kw_only=True):
    """An existing disk file is adopted. No call is made."""

    name = "disk-known"
    call_class = CallClass.READ
    creates = True

    @property
    def action_text(self) -> str:
        return f"adopting {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        details = await reader.vm(self.route, self.vm)
        if isinstance(details, Unreadable) or details.value is None:
            return unseen(details, "the VM's disks cannot be read")
        there = self.id in {d.source_file for d in details.value.disks}
        return (
            GoalState(GoalStatus.MET, id=self.id) if there else GoalState(GoalStatus.FAILED, f"{self.id} was deleted")
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return Done(None)


class DiskAbsent(Goal, frozen=True, kw_only=True):
    """The disk file is deleted. The device name to send is looked up right before, by file: names are reused."""

    name = "disk-absent"
    call_class = CallClass.KEYED
    needs = Needs.OFF
    deletes = True
    errors: frozenset[str] | None = None
    queued: bool = False

    @property
    def action_text(self) -> str:
        return f"deleting {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        details = await reader.vm(self.route, self.vm)
        if isinstance(details, Unreadable):
            return unseen(details)
        files = {d.source_file for d in details.value.disks} if details.value else set()
        if self.id not in files:
            return GoalState(GoalStatus.MET)
        before = self.errors if self.queued else None
        return await failed_job(reader, self.route, self.vm, _DELETE_FAILED, before) or GoalState(GoalStatus.UNMET)

    async def primed(self, reader: CachedReader) -> tuple[Goal, dict[str, Json]]:
        errors = await job_errors(reader, self.route, self.vm, _DELETE_FAILED)
        return replace(self, errors=errors), _kept(errors)

    def begins(self) -> DiskAbsent:
        return replace(self, queued=True)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        found = await disks_of(reader, self.route, self.vm)
        device = next((d.name for d in found if d.source_file == self.id), None)
        if device is None:
            return NotSent("the node does not show the disk at present")
        return await disks.delete_disk(await context.connect(self.route), self.vm, requests.DiskDelete(disk=device))


def _kept(errors: frozenset[str] | None) -> dict[str, Json]:
    """The pre-image of a VM's log for the journal."""
    return {} if errors is None else {"errors": [*sorted(errors)]}


def _shown(disk: VmDisk) -> dict[str, Json]:
    assert disk.size_gib is not None  # noqa: S101 - checked by the caller
    return {"size": gib_text(disk.size_gib), "hostDir": str(PurePosixPath(disk.source_file).parent)}


async def _added(lookup: Lookup, reader: CachedReader) -> dict[str, dict[str, Json]]:
    """The disks of a VM without its system and data disk, by file."""
    found = await disks_of(reader, lookup.route, lookup.parent_id)
    return {d.source_file: _shown(d) for d in found if d.name not in OF_THE_VM and d.size_gib}


@register
class Disk(Kind[DiskSpec], Child, Recoverable, IdFromNode, UsesCapacity, Importable):
    name = "Disk"
    ids_in_paths = False
    name_prefix = "disk"
    spec = DiskSpec
    parent_field = "vm"
    max_per_parent = 24  # vdc to vdz

    def route(self, resource: Resource[DiskSpec], inventory: Inventory) -> Route:
        vm = vm_of(resource.spec.vm, inventory)
        return node_route(vm.node, inventory, vm.rent_order)

    def check(self, resource: Resource[DiskSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        vm = vm_of(resource.spec.vm, inventory)
        if vm.bios_mode == "pxe":
            yield resource.problem(
                "ignored-by-node",
                "vm",
                "a VM with biosMode pxe has no disks",
                remedy="Remove the Disk, or use another boot mode.",
            )

    def capacity(self, fields: Mapping[str, Json]) -> Capacity:
        folder, size = fields.get("hostDir"), fields.get("size")
        return Capacity(space={str(folder): math.ceil(observed_gib(str(size)))}) if folder and size else Capacity()

    def preflight(
        self, resource: Resource[DiskSpec], desired: Mapping[str, Json], changed: frozenset[str], machine: Machine
    ) -> Iterable[Diagnostic]:
        if machine.hardware is None or not changed:
            return
        host_dir, size = resource.spec.host_dir, resource.spec.size
        root = machine.hardware.holding(host_dir)
        if root is None:
            known = ", ".join(d.path for d in machine.hardware.disks)
            yield resource.problem(
                "node-would-refuse",
                "hostDir",
                f"{host_dir} is not below a data directory of the node",
                detail=f"Data directories of the node: {known}.",
                remedy="Set hostDir to a data directory or a directory below one.",
                exit_code=ExitCode.REFUSED,
            )
        elif "size" in changed and size > root.free_gib:
            yield resource.problem(
                "thin-space",
                "size",
                f"{size} GiB is more than is free in {host_dir}",
                detail="Disk files are thin: the node accepts it, and writes fail once the host is full.",
                remedy="Reduce size, or use another directory of the host (hostDir).",
                severity=Severity.WARNING,
            )

    async def unmanaged(self, lookup: Lookup, inventory: Inventory, reader: CachedReader) -> Mapping[str, Unmanaged]:
        return {file: Unmanaged(shown) for file, shown in (await _added(lookup, reader)).items()}

    async def trace(
        self, lookup: Lookup, sent: Binding, detail: Mapping[str, Json], taken: frozenset[str], reader: CachedReader
    ) -> Observation:
        """The file that did not exist before, of the requested size and directory."""
        listed = detail.get("known")
        known = taken | {str(f) for f in listed} if isinstance(listed, list) else taken
        added = await _added(lookup, reader) if lookup.parent_id else {}
        fits = (f for f, shown in added.items() if all(sent.applied.get(path) == v for path, v in shown.items()))
        file = next((f for f in fits if f not in known), "")
        return await self.observe(replace(lookup, id=file), reader)

    async def free_slots(self, lookup: Lookup, reader: CachedReader) -> int | None:
        """Free letters after the highest one: the node fills no gaps."""
        details = await reader.vm(lookup.route, lookup.parent_id)
        if isinstance(details, Unreadable) or details.value is None or not details.value.disks:
            return None
        return ord(LAST_DEVICE[-1]) - max(ord(d.name[-1]) for d in details.value.disks if d.name)

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        if not lookup.parent_id:
            return Observation(False, id=lookup.id)
        status = await reader.vm_status(lookup.route, lookup.parent_id)
        if isinstance(status, Unreadable):
            return unread(lookup.id, status)
        if status.value is None:
            return Observation(False, id=lookup.id)
        details = await reader.vm(lookup.route, lookup.parent_id)
        if isinstance(details, Unreadable) or details.value is None:
            if isinstance(details, Known) and await reader.vm_went(lookup.route, lookup.parent_id):
                return Observation(False, id=lookup.id)
            return Observation(None, id=lookup.id, reason="the VM's disks cannot be read")
        disk = next((d for d in details.value.disks if d.source_file == lookup.id), None)
        if disk is None:
            return Observation(False, id=lookup.id)
        if not disk.size_gib:
            return Observation(None, id=lookup.id, reason=no_size(lookup.id))
        return Observation(True, id=lookup.id, values=_shown(disk), resolved={"device": disk.name})

    def part_of(self, seen: Observation) -> str:
        return OF_THE_VM.get(str(seen.resolved.get("device", "")), "")

    def create(self, task: GoalInput) -> Iterator[Goal]:
        yield DiskExists(
            address=task.address, route=task.route, generation=task.generation, vm=task.parent_id,
            fields=task.desired, size=parse_gib(task.desired["size"]), host_dir=str(task.desired["hostDir"]),
            known=task.known or None, timeout_seconds=task.timeout_seconds or 1800.0,
        )  # fmt: skip

    def adopt(self, task: GoalInput) -> Iterator[Goal]:
        yield DiskKnown(address=task.address, route=task.route, id=task.id, vm=task.parent_id, fields=task.desired)

    def update(self, task: GoalInput) -> Iterator[Goal]:
        if "size" in task.changed:
            size = parse_gib(task.desired["size"])
            yield DiskHasSize(
                address=task.address, route=task.route, id=task.id, vm=task.parent_id, file=task.id, size=size,
                fields={"size": gib_text(size)}, timeout_seconds=task.timeout_seconds or 1800.0,
            )  # fmt: skip

    def loss(self, had: Mapping[str, Json]) -> str:
        return f"all data on the disk is lost ({had.get('size')})"

    def keeps_data(self, had: Mapping[str, Json]) -> bool:
        return True

    def delete(self, task: GoalInput) -> Iterator[Goal]:
        yield DiskAbsent(
            address=task.address, route=task.old_route or task.route, id=task.old_id, vm=task.old_parent_id,
            timeout_seconds=task.timeout_seconds or 1800.0,
        )  # fmt: skip

    async def existing(
        self, place: Resource[Any], inventory: Inventory, reader: CachedReader, unread: dict[str, str]
    ) -> Iterable[Existing]:
        route = node_route(place.name, inventory, None)
        found: list[Existing] = []
        for summary, details in await vms_of(place, inventory, reader, unread):
            for disk in (d for d in details.disks if d.name not in OF_THE_VM):
                fields: dict[str, Json] = _shown(disk) if disk.size_gib else {}
                found.append(Existing(disk.source_file, route, parent_id=summary.task_id, fields=fields))
        return found

    def not_shown(self, fields: Mapping[str, Json]) -> str:
        return "" if fields.get("size") else "size"

    def manifest(self, found: Found) -> dict[str, Any]:
        return nested(self.fields, {**found.fields, "vm": found.parent})
