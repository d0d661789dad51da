"""Snapshot requests and their job: convert the system disk into one file, then upload it to an image server.

`none` means no activity, not success.
"""

from __future__ import annotations

from dbc_iac.emulator.gpu import ids
from dbc_iac.emulator.gpu.ctext import text_of
from dbc_iac.emulator.gpu.files import EMPTY_QCOW2, HostFile
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import OK, Refused, array, fields, refuse_tightly, spaced, tight
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.gpu.snapshot_records import Snapshot, SnapshotStatus
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.gpu.timing import stamp
from dbc_iac.emulator.gpu.worker import Job
from dbc_iac.emulator.reply import ProcessDied, Reply


async def show(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Snapshots of a VM (empty if it does not exist), or one by name."""
    if len(request.path) < 2:
        return spaced(array(_text(machine, request.task_id, one) for one in machine.snapshots.of(request.task_id)))
    found = machine.snapshots.oldest(request.task_id, request.path[1])
    if found is None:
        raise Refused("snapshot_name not exist")
    return spaced(_text(machine, request.task_id, found))


async def create(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Create a snapshot. Names need not be unique; the record exists at once."""
    name = text_of(request.additional, "snapshot_name")
    if not name:
        raise Refused("'snapshot_name' is empty", -3)
    task_id = request.task_id
    record = machine.records.get(task_id)
    if record is None or not record.disks:
        raise refuse_tightly("task have no disk")
    if "vda" not in record.disks:
        raise refuse_tightly("task have no disk:'vda'")
    if await machine.settled(task_id) is not DomainState.SHUTOFF:
        raise refuse_tightly("please close task first and try again")
    if not record.root_image:
        raise refuse_tightly("not found vda's root backfile")
    snapshot = Snapshot(
        name=name,
        description=text_of(request.additional, "desc"),
        file=ids.snapshot_file(machine.clock, machine.random),
        create_time=stamp(machine.clock),
        image_server=request.image_server,
    )
    machine.snapshots.add(task_id, snapshot)
    machine.worker.push(
        Job("create snapshot", task_id, lambda: _run_create(machine, task_id, snapshot, request.breaks))
    )
    return tight(OK)


async def delete(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Delete the oldest of this name; the copy on the image server remains."""
    name = request.path[1] if len(request.path) > 1 else ""
    snapshot = machine.snapshots.oldest(request.task_id, name)
    if snapshot is None:
        raise refuse_tightly(f"{name} not exist")
    machine.transfers.stop_upload(snapshot.file)
    machine.files.remove(snapshot.file)
    machine.snapshots.remove(request.task_id, snapshot)
    return tight(OK)


async def _run_create(machine: Machine, task_id: str, snapshot: Snapshot, breaks: float) -> None:
    """Convert and upload. Raises ProcessDied if the resulting file is missing: deleted during the conversion."""
    was_known = any(snapshot is one for one in machine.snapshots.of(task_id))
    record = machine.records.get(task_id)
    disk = machine.files.get(record.disks["vda"].file) if record is not None and "vda" in record.disks else None
    durations = machine.spec.durations
    size = disk.size if disk is not None else 0
    await machine.clock.sleep(durations.snapshot + size / durations.snapshot_rate)
    is_known = any(snapshot is one for one in machine.snapshots.of(task_id))
    if disk is None or record is None or (was_known and not is_known):
        raise ProcessDied(f"no snapshot file {snapshot.file}")
    machine.files.put(snapshot.file, HostFile(EMPTY_QCOW2, disk.virtual_size, record.root_image, disk.guest))
    image_server = machine.image_servers.get(snapshot.image_server)
    if image_server is None:
        machine.snapshots.remove(task_id, snapshot)
        return
    machine.snapshots.set_status(task_id, snapshot.name, SnapshotStatus.UPLOADING)
    machine.transfers.upload(image_server, snapshot.file, lambda: _uploaded(machine, task_id, snapshot), breaks)


def _uploaded(machine: Machine, task_id: str, snapshot: Snapshot) -> None:
    if task_id not in machine.snapshots.snapshots:
        machine.die()  # the VM was deleted with its snapshots: the callback finds no record
        return
    machine.snapshots.set_status(task_id, snapshot.name, SnapshotStatus.NONE)


def _text(machine: Machine, task_id: str, snapshot: Snapshot) -> str:
    return fields(
        {
            "snapshot_name": snapshot.name,
            "description": snapshot.description,
            "snapshot_file": snapshot.file,
            "create_time": snapshot.create_time,
            "status": machine.snapshots.status(task_id, snapshot.name).value,
        },
        ", ",
    )
