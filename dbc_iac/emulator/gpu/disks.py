"""Disk requests and their jobs. Accepted only while the domain is off; executed in queue order.

`size` of a resize is an *increment*. The node names new disks: the letter after the highest one.
"""

from __future__ import annotations

from msgspec.structs import replace

from dbc_iac.emulator.gpu import ids
from dbc_iac.emulator.gpu.capacity import SYSTEM_DISK_GIB
from dbc_iac.emulator.gpu.ctext import int32_of, text_of
from dbc_iac.emulator.gpu.files import EMPTY_QCOW2, HostFile
from dbc_iac.emulator.gpu.logs import Place
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import OK, Refused, array, fields, refuse_tightly, tight
from dbc_iac.emulator.gpu.record import Disk, Record
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.gpu.sizes import format_kib
from dbc_iac.emulator.gpu.spec import GIB
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.gpu.worker import Job
from dbc_iac.emulator.reply import Reply

_BAD_INPUT = -3
_ATTACHED = Place("TaskDiskManager.cpp", 462, "process_add_disk")
_DETACHED = Place("TaskDiskManager.cpp", 481, "process_delete_disk")
_NO_DOMAIN = "task not exist"


async def list_disks(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    record = _with_disks(machine, request.task_id)
    shown = (
        {"name": name, "file": disk.file, "size": format_kib(disk.reported_size // 1024)}
        for name, disk in sorted(record.disks.items())
    )
    return tight(array(fields(disk) for disk in shown))


async def resize(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    record = _with_disks(machine, request.task_id)
    name = _disk_name(request)
    gib = int32_of(request.additional, "size")
    if gib is None or gib <= 0:
        raise Refused("'size' is invalid", _BAD_INPUT)
    _known_disk(record, name, "task have no disk")
    await _need_off(machine, record)
    machine.worker.push(Job("resize disk", record.task_id, lambda: _run_resize(machine, record.task_id, name, gib)))
    return tight(OK)


async def add(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Add a disk. A size that is not a 32-bit integer is accepted, unlike by resize: an uninitialised one is used."""
    record = _with_disks(machine, request.task_id)
    gib = int32_of(request.additional, "size")
    if gib is None:
        gib = machine.spec.uninitialised_size
    if gib <= 0:
        raise Refused("'size' is invalid", _BAD_INPUT)
    directory = text_of(request.additional, "mount_dir") or "/data"
    if not machine.files.exists(directory):
        raise Refused(f"{directory} is not exist", _BAD_INPUT)
    if not record.disks:
        raise refuse_tightly("task have no disk")
    await _need_off(machine, record)
    if _free_of(machine, directory) <= 1:
        raise refuse_tightly(f"mount directory:{directory} have no enough space")
    machine.worker.push(Job("add disk", record.task_id, lambda: _run_add(machine, record.task_id, directory, gib)))
    return tight(OK)


async def delete(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Delete a disk. The state is checked before the rule that the system disk cannot be deleted."""
    record = _with_disks(machine, request.task_id)
    name = _disk_name(request)
    _known_disk(record, name, "task no disk")
    await _need_off(machine, record)
    if name == "vda":
        raise refuse_tightly("can not allowed to delete disk:'vda'")
    machine.worker.push(Job("delete disk", record.task_id, lambda: _run_delete(machine, record.task_id, name)))
    return tight(OK)


async def _run_resize(machine: Machine, task_id: str, name: str, gib: int) -> None:
    """Grow the file without libvirt; a disk whose new size libvirt does not report reads 0 afterwards."""
    await machine.clock.sleep(machine.spec.durations.disk)
    disk = _disk(machine, task_id, name)
    file = machine.files.get(disk.file) if disk is not None else None
    if disk is None:
        return
    domain = machine.libvirt.domains.get(task_id)
    if file is not None and domain is not None and domain.state is DomainState.SHUTOFF:
        file.virtual_size += gib * GIB  # otherwise qemu-img fails silently
    disk.reported_size = file.virtual_size if file is not None and machine.libvirt.connected else 0


async def _run_add(machine: Machine, task_id: str, directory: str, gib: int) -> None:
    await machine.clock.sleep(machine.spec.durations.disk)
    record = machine.records.get(task_id)
    domain = machine.libvirt.find(task_id)
    if record is None or not record.disks:
        return
    if domain is None:
        machine.logs.error(task_id, _ATTACHED, f"vm attach disk failed:{_NO_DOMAIN}")
        return
    name = f"vd{chr(ord(max(record.disks)[-1]) + 1)}"
    if not name.isalpha():
        return  # after vdz libvirt refuses the name, and the file is removed again
    file = ids.vm_file(directory, "data", machine.clock, machine.random)
    machine.files.put(file, HostFile(EMPTY_QCOW2, gib * GIB))
    record.disks[name] = Disk(name, file, gib * GIB)
    domain.definition = replace(domain.definition, disks={**domain.definition.disks, name: file})


async def _run_delete(machine: Machine, task_id: str, name: str) -> None:
    await machine.clock.sleep(machine.spec.durations.disk)
    record = machine.records.get(task_id)
    domain = machine.libvirt.find(task_id)
    disk = _disk(machine, task_id, name)
    if record is None or disk is None:
        return
    if domain is None:
        machine.logs.error(task_id, _DETACHED, f"detach disk failed:{_NO_DOMAIN}")
        return
    del record.disks[name]
    machine.files.remove(disk.file)
    kept = {device: file for device, file in domain.definition.disks.items() if device != name}
    domain.definition = replace(domain.definition, disks=kept)


def _with_disks(machine: Machine, task_id: str) -> Record:
    record = machine.existing(task_id, _BAD_INPUT)
    if record.is_pxe:
        raise Refused("pxe not support disk", _BAD_INPUT)
    return record


def _disk_name(request: NodeRequest) -> str:
    name = text_of(request.additional, "disk")
    if not name:
        raise Refused("'disk' is empty", _BAD_INPUT)
    return name


def _known_disk(record: Record, name: str, without_disks: str) -> None:
    if not record.disks:
        raise refuse_tightly(without_disks)
    if name not in record.disks:
        raise refuse_tightly(f"task have no disk:{name}")


async def _need_off(machine: Machine, record: Record) -> None:
    if await machine.settled(record.task_id) is not DomainState.SHUTOFF:
        raise refuse_tightly("please close task first and try again")


def _disk(machine: Machine, task_id: str, name: str) -> Disk | None:
    record = machine.records.get(task_id)
    return record.disks.get(name) if record is not None else None


def _free_of(machine: Machine, directory: str) -> float:
    """Free GiB of a directory's file system; the requested size is not compared with it."""
    mounts = sorted((d for d in machine.spec.data if _is_below(directory, d.path)), key=lambda d: len(d.path))
    if mounts:
        disk = mounts[-1]
        return disk.size if disk.free is None else disk.free
    return max(machine.spec.disk, SYSTEM_DISK_GIB)


def _is_below(directory: str, path: str) -> bool:
    return directory == path or directory.startswith(path.rstrip("/") + "/")
