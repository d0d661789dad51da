"""Jobs of the worker on existing VMs: start, power-offs, restarts, reset, delete.

Each sets its resulting status only if the status is still its own: another operation may have been accepted.
"""

from __future__ import annotations

from dbc_iac.emulator.gpu.create_job import make_forwards, settle_status
from dbc_iac.emulator.gpu.domain import LibvirtError
from dbc_iac.emulator.gpu.guest import wait_for_address
from dbc_iac.emulator.gpu.logs import Place
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.states import DomainState, Status

_MANAGER = "TaskManager.cpp"
_STARTED = Place(_MANAGER, 3057, "process_start_task")
_RESTARTED = Place(_MANAGER, 3190, "process_restart_task")
_RESET = Place(_MANAGER, 3300, "process_reset_task")
_DELETED = Place(_MANAGER, 575, "delete_task")
_CREATE_ERROR = Place("vm_client.cpp", 1012, "StartDomain")


async def run_start(machine: Machine, task_id: str) -> None:
    """Start. A VM that never got forwards waits for its address first and stays `starting` meanwhile."""
    record = machine.records.get(task_id)
    if record is None:
        return
    if not await _start_domain(machine, task_id):
        _end(machine, record, Status.STARTING, Status.START_ERROR, _STARTED, "start task failed")
        return
    if not record.is_pxe and record.forwards is None and not await make_forwards(machine, record):
        _end(machine, record, Status.STARTING, Status.START_ERROR, _STARTED, "start task failed")
        return
    settle_status(record, Status.STARTING, Status.RUNNING)
    await _refresh_forwards(machine, record)
    machine.logs.info(task_id, _STARTED, "start task successful")


async def run_stop(machine: Machine, task_id: str, own: Status, failed: Status) -> None:
    """Shutdown, poweroff and stop: the same hard power-off."""
    record = machine.records.get(task_id)
    if record is None:
        return
    word = "shutdown" if own is Status.BEING_SHUTDOWN else "poweroff"
    place = Place(_MANAGER, 3080 if word == "shutdown" else 3134, f"process_{word}_task")
    if not await _destroy_domain(machine, task_id):
        _end(machine, record, own, failed, place, f"{word} task failed")
        return
    settle_status(record, own, Status.CLOSED)
    machine.logs.info(task_id, place, f"{word} task successful")


async def run_restart(machine: Machine, task_id: str) -> None:
    """Start a VM that is off, ask the guest of a running one to reboot; no effect in any other state."""
    record = machine.records.get(task_id)
    if record is None:
        return
    state = machine.look(task_id)
    if state is DomainState.SHUTOFF:
        await _restarted(machine, record, started=await _start_domain(machine, task_id))
    elif state is DomainState.RUNNING:
        await machine.clock.sleep(machine.spec.durations.reboot)
        domain = machine.domain(task_id)
        if domain.guest.reboots and domain.guest.dhcp:
            domain.address_at = machine.clock.now() + domain.guest.boot_seconds
        await _restarted(machine, record, started=True)


async def run_forced_restart(machine: Machine, task_id: str) -> None:
    """Power off, wait three seconds, start: applies pending modifications."""
    record = machine.records.get(task_id)
    if record is None:
        return
    if machine.look(task_id) is not DomainState.SHUTOFF:
        if not await _destroy_domain(machine, task_id):
            await _restarted(machine, record, started=False)
            return
        await machine.clock.sleep(machine.spec.durations.forced_pause)
    await _restarted(machine, record, started=await _start_domain(machine, task_id))


async def run_reset(machine: Machine, task_id: str) -> None:
    record = machine.records.get(task_id)
    if record is None:
        return
    if not machine.libvirt.exists(task_id):
        _end(machine, record, Status.RESETTING, Status.RESET_ERROR, _RESET, "reset task failed")
        return
    await machine.clock.sleep(machine.spec.durations.reboot)
    settle_status(record, Status.RESETTING, Status.RUNNING)
    machine.logs.info(task_id, _RESET, "reset task successful")


async def run_delete(machine: Machine, task_id: str) -> None:
    if task_id in machine.records:
        await delete_task(machine, task_id)


async def delete_task(machine: Machine, task_id: str) -> None:
    """Delete domain, record, GPU allocation, every disk file (user-supplied ones too), snapshots and their local files.

    Without a domain nothing is deleted: the VM then shows `deleting` indefinitely.
    """
    domain = machine.libvirt.find(task_id)
    if domain is None:
        return
    await machine.libvirt.destroy(domain)
    await machine.clock.sleep(machine.spec.durations.undefine)
    machine.libvirt.undefine(task_id)
    record = machine.records.pop(task_id, None)
    if record is None:
        return
    machine.lan.leave(record.network_name, task_id)
    for disk in record.disks.values():
        machine.files.remove(disk.file)
    for snapshot in machine.snapshots.remove_all(task_id):
        machine.files.remove(snapshot.file)
    machine.logs.info(task_id, _DELETED, "delete task successful")


async def close_task(machine: Machine, task_id: str) -> None:
    """Hard power-off by the pruning loop."""
    if machine.look(task_id) is not DomainState.SHUTOFF and await _destroy_domain(machine, task_id):
        record = machine.records.get(task_id)
        if record is not None:
            record.status = Status.CLOSED
            record.save()
        machine.logs.info(task_id, Place(_MANAGER, 250, "close_task"), "close task successful")


async def _restarted(machine: Machine, record: Record, *, started: bool) -> None:
    if not started:
        _end(machine, record, Status.RESTARTING, Status.RESTART_ERROR, _RESTARTED, "restart task failed")
        return
    settle_status(record, Status.RESTARTING, Status.RUNNING)
    await _refresh_forwards(machine, record)
    machine.logs.info(record.task_id, _RESTARTED, "restart task successful")


async def _refresh_forwards(machine: Machine, record: Record) -> None:
    """Wait for the address again, blocking the queue; `running` may precede reachable ports."""
    if record.is_pxe or record.status is not Status.RUNNING or record.forwards is None:
        return
    address = await wait_for_address(machine, record.task_id)
    if address and record.forwards is not None:
        record.forwards.local_ip = address


async def _start_domain(machine: Machine, task_id: str) -> bool:
    domain = machine.libvirt.find(task_id)
    if domain is None:
        return False
    try:
        await machine.libvirt.start(domain)
    except LibvirtError as error:
        machine.logs.error(task_id, _CREATE_ERROR, f"virDomainCreate error: {error}")
        return False
    return True


async def _destroy_domain(machine: Machine, task_id: str) -> bool:
    domain = machine.libvirt.find(task_id)
    if domain is None:
        return False
    await machine.libvirt.destroy(domain)
    return True


def _end(machine: Machine, record: Record, own: Status, outcome: Status, place: Place, text: str) -> None:
    settle_status(record, own, outcome)
    machine.logs.error(record.task_id, place, text)
