"""Requests that queue a job for a VM: start, shutdown, poweroff, stop, restart, reset, delete.

Acceptance depends on the current state of the domain; start and restart check resources first. The wallet is not
compared: a caller who may act on the machine may act on every VM of it.
"""

from __future__ import annotations

from dbc_iac.emulator.gpu.capacity import check_resources
from dbc_iac.emulator.gpu.ctext import atoi
from dbc_iac.emulator.gpu.jobs import run_delete, run_forced_restart, run_reset, run_restart, run_start, run_stop
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import OK, Refused, spaced
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.rental import is_renting, rented_indexes
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.gpu.states import DomainState, Status
from dbc_iac.emulator.gpu.worker import Job
from dbc_iac.emulator.reply import Reply

_STARTABLE = {DomainState.NONE, DomainState.SHUTOFF, DomainState.PMSUSPENDED}
_RESTARTABLE = {DomainState.NONE, DomainState.SHUTOFF, DomainState.RUNNING}


async def start(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    record, state = await _with_resources(machine, caller, request)
    if state not in _STARTABLE:
        raise _wrong_state(state)
    record.status = Status.STARTING
    machine.worker.push(Job("start", record.task_id, lambda: run_start(machine, record.task_id)))
    return spaced(OK)


async def restart(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """`force_reboot` counts when it is `true` or a number other than 0."""
    record, state = await _with_resources(machine, caller, request)
    if state not in _RESTARTABLE:
        raise _wrong_state(state)
    record.status = Status.RESTARTING
    force = request.query.get("force_reboot", "")
    if force == "true" or atoi(force):
        machine.worker.push(Job("forced restart", record.task_id, lambda: run_forced_restart(machine, record.task_id)))
    else:
        machine.worker.push(Job("restart", record.task_id, lambda: run_restart(machine, record.task_id)))
    return spaced(OK)


async def shutdown(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Power off. Unlike `poweroff`, this is refused while the domain is shutting down."""
    record, state = await _with_domain(machine, request)
    if state in {DomainState.SHUTOFF, DomainState.SHUTDOWN}:
        raise _wrong_state(state)
    return _queue_stop(machine, record, "shutdown", Status.BEING_SHUTDOWN, Status.SHUTDOWN_ERROR)


async def poweroff(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Power off, also requested as `stop`."""
    record, state = await _with_domain(machine, request)
    if state is DomainState.SHUTOFF:
        raise _wrong_state(state)
    return _queue_stop(machine, record, "poweroff", Status.BEING_POWEROFF, Status.POWEROFF_ERROR)


async def reset(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    record, state = await _with_domain(machine, request)
    if state is not DomainState.RUNNING:
        raise _wrong_state(state)
    record.status = Status.RESETTING
    machine.worker.push(Job("reset", record.task_id, lambda: run_reset(machine, record.task_id)))
    return spaced(OK)


async def delete(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Queue a delete, in any state, even while another delete is queued."""
    record = machine.existing(request.task_id)
    record.status = Status.DELETING
    machine.worker.push(Job("delete", record.task_id, lambda: run_delete(machine, record.task_id)))
    return spaced(OK)


def migrate_order(machine: Machine, record: Record, rent_order: str) -> None:
    """Start with another order: if the VM's own has ended and the new one is renting, the VM moves to it."""
    rentals, wallet = machine.rentals, record.wallet
    if not record.rent_order or not rent_order or rent_order == record.rent_order:
        return
    if not is_renting(rentals, rent_order, wallet) or is_renting(rentals, record.rent_order, wallet):
        return
    indexes = rented_indexes(rentals, rent_order, wallet)
    if indexes and indexes != rented_indexes(rentals, record.rent_order, wallet):
        record.gpus = [gpu for index, gpu in enumerate(machine.gpus) if index in indexes] or record.gpus
        _redefine_gpus(machine, record)
    record.rent_order = rent_order


def drop_lost_gpus(machine: Machine, record: Record) -> None:
    """Remove GPUs from the VM that the node no longer lists, silently."""
    kept = [gpu for gpu in record.gpus if gpu in machine.gpus]
    if kept != record.gpus:
        record.gpus = kept
        _redefine_gpus(machine, record)


async def _with_resources(machine: Machine, caller: Caller, request: NodeRequest) -> tuple[Record, DomainState]:
    record = machine.existing(request.task_id)
    await machine.settle()
    migrate_order(machine, record, caller.rent_order)
    drop_lost_gpus(machine, record)
    check_resources(machine, record)
    return record, machine.look(record.task_id)


async def _with_domain(machine: Machine, request: NodeRequest) -> tuple[Record, DomainState]:
    record = machine.existing(request.task_id)
    return record, await machine.settled(record.task_id)


def _queue_stop(machine: Machine, record: Record, kind: str, own: Status, failed: Status) -> Reply:
    record.status = own
    machine.worker.push(Job(kind, record.task_id, lambda: run_stop(machine, record.task_id, own, failed)))
    return spaced(OK)


def _wrong_state(state: DomainState) -> Refused:
    return Refused(f"task is {state.value}")


def _redefine_gpus(machine: Machine, record: Record) -> None:
    """Rewrite the domain with all pending values, not only the GPUs."""
    domain = machine.libvirt.domains.get(record.task_id)
    if domain is not None:
        machine.libvirt.define(record.task_id, record.definition(), domain.guest)
