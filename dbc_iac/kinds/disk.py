"""Disk: a further data disk of a VM, kept by the node as a file on its host. API: /disk/*."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from dbc_iac.api import wire
from dbc_iac.api.calls import CallClass
from dbc_iac.api.endpoints import disks
from dbc_iac.api.outcome import Done, NotSent, Outcome
from dbc_iac.api.reading import VmDisk
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds.goal import Goal, Hands, Needs, Seen, Sight
from dbc_iac.kinds.job_log import failed_job, job_errors
from dbc_iac.kinds.kind import Holding, Kind, Machine, Observation, Sought, Task, Unmanaged, register, unread
from dbc_iac.kinds.node import node_reach
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader, Unreadable
from dbc_iac.kinds.resource import Inventory, Resource
from dbc_iac.kinds.rules import Behaviour, Rule, replaced
from dbc_iac.kinds.spec import Reference, Spec
from dbc_iac.kinds.types import GiB, HostDir, gib_text, parse_gib
from dbc_iac.kinds.virtual_machine.goals import DiskHasSize, no_size
from dbc_iac.kinds.virtual_machine.reading import size_text
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec
from dbc_iac.state.document import Binding
from dbc_iac.values import Json

LAST_DEVICE = "vdz"
"""What is added beyond it is accepted, never comes, and nobody says so."""
_ADD_FAILED, _DELETE_FAILED = "attach disk failed", "detach disk failed"
_OF_THE_VM = {"vda": "the system disk", "vdb": "the data disk"}


class DiskSpec(Spec):
    """A data disk. It may grow in place; another VM or directory makes a new, empty one."""

    vm: Annotated[str, replaced, Reference("VirtualMachine")] = Field(description="name of the VM")
    size: Annotated[GiB, Rule(Behaviour.OFFLINE, grow_only=True)] = Field(description="size in GiB; may grow")
    host_dir: Annotated[HostDir, replaced] = Field(
        default="/data", description="directory on the host, not in the guest"
    )


@dataclass(frozen=True, kw_only=True)
class DiskExists(Goal):
    """One more disk file of this size. Blind: told by the files that were not there before, never by a name."""

    name = "disk-exists"
    call_class = CallClass.BLIND
    needs = Needs.OFF
    creates = True
    size: int
    host_dir: str
    known: frozenset[str] | None
    """The pre-image: files that were there before the call. None until one is about to be made: nothing is ours yet."""
    errors: frozenset[str] | None = None
    """The pre-image of the VM's log."""
    queued: bool = False

    @property
    def text(self) -> str:
        return f"a disk of {self.size} GiB exists in {self.host_dir}"

    @property
    def deed(self) -> str:
        return f"adds a disk of {self.size} GiB in {self.host_dir}"

    async def look(self, reader: Reader) -> Seen:
        details = await reader.vm(self.reach, self.vm)
        if isinstance(details, Unreadable) or details.value is None:
            reason = details.reason if isinstance(details, Unreadable) else "the node does not show the VM"
            return Seen(Sight.UNKNOWN, reason)
        for disk in details.value.disks if self.known is not None else ():
            fits = disk.size_gib == self.size and str(PurePosixPath(disk.source_file).parent) == self.host_dir
            if fits and disk.name not in _OF_THE_VM and disk.source_file not in (self.known or ()):
                return Seen(Sight.MET, disk.source_file, id=disk.source_file)
        before = self.errors if self.queued else None
        return await failed_job(reader, self.reach, self.vm, _ADD_FAILED, before) or Seen(Sight.UNMET)

    def begins(self) -> DiskExists:
        return replace(self, queued=True)

    def excluding(self, taken: frozenset[str]) -> DiskExists:
        return self if self.known is None else replace(self, known=self.known | taken)

    async def before(self, reader: Reader) -> dict[str, Json]:
        details = await reader.vm(self.reach, self.vm)
        there = details.value.disks if not isinstance(details, Unreadable) and details.value else ()
        known: list[Json] = [*sorted({d.source_file for d in there})]
        return {"known": known, **await _errors(reader, self, _ADD_FAILED)}

    def primed(self, detail: Mapping[str, Json]) -> DiskExists:
        known = detail.get("known")
        primed = replace(self, errors=_texts(detail.get("errors")))
        return replace(primed, known=_texts(known)) if isinstance(known, list) else primed

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        body = wire.DiskAdd(size_gib=self.size, mount_dir=self.host_dir)
        return await disks.add_disk(hands.connect(self.reach), self.vm, body)


@dataclass(frozen=True, kw_only=True)
class DiskKnown(Goal):
    """A disk file that is there already is taken for ours. No call is made."""

    name = "disk-known"
    call_class = CallClass.READ
    creates = True

    @property
    def text(self) -> str:
        return f"disk {self.id} is there already"

    async def look(self, reader: Reader) -> Seen:
        details = await reader.vm(self.reach, self.vm)
        if isinstance(details, Unreadable) or details.value is None:
            return Seen(Sight.UNKNOWN, "the VM's disks cannot be read")
        there = self.id in {d.source_file for d in details.value.disks}
        return Seen(Sight.MET, id=self.id) if there else Seen(Sight.FAILED, "it is not there any more")

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        return Done(None)


@dataclass(frozen=True, kw_only=True)
class DiskAbsent(Goal):
    """The disk file is gone. The device name that is sent is looked up right before, by file: names are reused."""

    name = "disk-absent"
    call_class = CallClass.KEYED
    needs = Needs.OFF
    deletes = True
    errors: frozenset[str] | None = None
    queued: bool = False

    @property
    def text(self) -> str:
        return f"disk {self.id} does not exist any more"

    @property
    def deed(self) -> str:
        return f"deletes disk {self.id}"

    async def look(self, reader: Reader) -> Seen:
        details = await reader.vm(self.reach, self.vm)
        if isinstance(details, Unreadable):
            return Seen(Sight.UNKNOWN, details.reason)
        files = {d.source_file for d in details.value.disks} if details.value else set()
        if self.id not in files:
            return Seen(Sight.MET)
        before = self.errors if self.queued else None
        return await failed_job(reader, self.reach, self.vm, _DELETE_FAILED, before) or Seen(Sight.UNMET)

    async def before(self, reader: Reader) -> dict[str, Json]:
        return await _errors(reader, self, _DELETE_FAILED)

    def primed(self, detail: Mapping[str, Json]) -> DiskAbsent:
        return replace(self, errors=_texts(detail.get("errors")))

    def begins(self) -> DiskAbsent:
        return replace(self, queued=True)

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        details = await reader.vm(self.reach, self.vm)
        found = details.value.disks if not isinstance(details, Unreadable) and details.value else ()
        device = next((d.name for d in found if d.source_file == self.id), None)
        if device is None:
            return NotSent("the VM does not show the disk just now")
        return await disks.delete_disk(hands.connect(self.reach), self.vm, wire.DiskDelete(disk=device))


async def _errors(reader: Reader, goal: Goal, text: str) -> dict[str, Json]:
    """The pre-image of a VM's log: its lines with this text."""
    errors = await job_errors(reader, goal.reach, goal.vm, text)
    return {} if errors is None else {"errors": [*sorted(errors)]}


def _texts(listed: Json) -> frozenset[str] | None:
    return frozenset(str(one) for one in listed) if isinstance(listed, list) else None


def _shown(disk: VmDisk) -> dict[str, Json]:
    assert disk.size_gib is not None  # noqa: S101 - the caller looked
    return {"size": size_text(disk.size_gib), "hostDir": str(PurePosixPath(disk.source_file).parent)}


async def _added(sought: Sought, reader: Reader) -> dict[str, dict[str, Json]]:
    """The disks of a VM but its own two, by file."""
    details = await reader.vm(sought.reach, sought.holder_id)
    disks_ = details.value.disks if not isinstance(details, Unreadable) and details.value else ()
    return {d.source_file: _shown(d) for d in disks_ if d.name not in _OF_THE_VM and d.size_gib}


@register
class Disk(Kind[DiskSpec]):
    name = "Disk"
    spec = DiskSpec
    holder = "vm"
    most_on_holder = 24  # vdc to vdz
    on_a_machine = True

    def reach(self, resource: Resource[DiskSpec], inventory: Inventory) -> Reach:
        vm = self._vm(resource, inventory)
        return node_reach(vm.node, inventory, vm.rent_order)

    def _vm(self, resource: Resource[DiskSpec], inventory: Inventory) -> VirtualMachineSpec:
        vm = inventory.resources[f"VirtualMachine/{resource.spec.vm}"].spec
        assert isinstance(vm, VirtualMachineSpec)  # noqa: S101 - the reference was checked
        return vm

    def check(self, resource: Resource[DiskSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        vm = self._vm(resource, inventory)
        if vm.pxe:
            yield resource.problem(
                "ignored-by-node",
                "vm",
                "a VM with biosMode pxe has no disks",
                remedy="Remove the Disk, or use another boot mode.",
            )

    def holds(self, desired: Mapping[str, Json]) -> Holding:
        return Holding(space={str(desired["hostDir"]): parse_gib(desired["size"])}) if "size" in desired else Holding()

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
                detail=f"The node tells of: {known}.",
                remedy="Use one of them.",
                exit_code=ExitCode.REFUSED,
            )
        elif "size" in changed and size > root.free_gib:
            yield resource.problem(
                "thin-space",
                "size",
                f"{size} GiB is more than is free in {host_dir}",
                detail="Disk files are thin: the node accepts it, and writes fail once the host is full.",
                severity=Severity.WARNING,
            )

    async def unmanaged(self, sought: Sought, inventory: Inventory, reader: Reader) -> Mapping[str, Unmanaged]:
        return {file: Unmanaged(shown) for file, shown in (await _added(sought, reader)).items()}

    async def trace(
        self, sought: Sought, begun: Binding, detail: Mapping[str, Json], taken: frozenset[str], reader: Reader
    ) -> Observation:
        """The file that was not there before, of the size and in the folder that were asked for."""
        listed = detail.get("known")
        known = taken | {str(f) for f in listed} if isinstance(listed, list) else taken
        added = await _added(sought, reader) if sought.holder_id else {}
        fits = (f for f, shown in added.items() if all(begun.applied.get(path) == v for path, v in shown.items()))
        file = next((f for f in fits if f not in known), "")
        return await self.observe(replace(sought, id=file), reader)

    async def room(self, sought: Sought, reader: Reader) -> int | None:
        """The node takes the letter after the highest, and fills no gaps."""
        details = await reader.vm(sought.reach, sought.holder_id)
        if isinstance(details, Unreadable) or details.value is None or not details.value.disks:
            return None
        return ord(LAST_DEVICE[-1]) - max(ord(d.name[-1]) for d in details.value.disks if d.name)

    async def observe(self, sought: Sought, reader: Reader) -> Observation:
        if not sought.holder_id:
            return Observation(False, id=sought.id)
        status = await reader.vm_status(sought.reach, sought.holder_id)
        if isinstance(status, Unreadable):
            return unread(sought.id, status)
        if status.value is None:
            return Observation(False, id=sought.id)
        details = await reader.vm(sought.reach, sought.holder_id)
        if isinstance(details, Unreadable) or details.value is None:
            if isinstance(details, Known) and await reader.vm_went(sought.reach, sought.holder_id):
                return Observation(False, id=sought.id)
            return Observation(None, id=sought.id, reason="the VM's disks cannot be read")
        disk = next((d for d in details.value.disks if d.source_file == sought.id), None)
        if disk is None:
            return Observation(False, id=sought.id)
        if not disk.size_gib:
            return Observation(None, id=sought.id, reason=no_size(sought.id))
        return Observation(True, id=sought.id, values=_shown(disk), resolved={"device": disk.name})

    def part_of(self, seen: Observation) -> str:
        return _OF_THE_VM.get(str(seen.resolved.get("device", "")), "")

    def create(self, task: Task) -> Iterator[Goal]:
        yield DiskExists(
            address=task.address, reach=task.reach, generation=task.generation, vm=task.holder_id,
            fields=task.desired, size=parse_gib(task.desired["size"]), host_dir=str(task.desired["hostDir"]),
            known=task.known or None, patience=task.patience or 1800.0,
        )  # fmt: skip

    def adopt(self, task: Task) -> Iterator[Goal]:
        yield DiskKnown(address=task.address, reach=task.reach, id=task.id, vm=task.holder_id, fields=task.desired)

    def update(self, task: Task) -> Iterator[Goal]:
        if "size" in task.changed:
            size = parse_gib(task.desired["size"])
            yield DiskHasSize(
                address=task.address, reach=task.reach, id=task.id, vm=task.holder_id, file=task.id, size=size,
                fields={"size": gib_text(size)}, patience=task.patience or 1800.0,
            )  # fmt: skip

    def loss(self, had: Mapping[str, Json]) -> str:
        return f"all data on the disk is lost ({had.get('size')})"

    def keeps_data(self, had: Mapping[str, Json]) -> bool:
        return True

    def delete(self, task: Task) -> Iterator[Goal]:
        yield DiskAbsent(
            address=task.address, reach=task.old_reach or task.reach, id=task.old_id, vm=task.old_holder_id,
            patience=task.patience or 1800.0,
        )  # fmt: skip
