"""Pruning loop: stops VMs after the end of their rental, and deletes them days later.

One pass every 900 s, and more often while jobs are queued. Active only while there are VMs.
"""

from __future__ import annotations

import asyncio

from dbc_iac.emulator.gpu.jobs import close_task, delete_task
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.rental import RENTING, rent_end
from dbc_iac.emulator.gpu.states import DomainState

BLOCKS_A_DAY = 600 * 24
KEPT_DAYS_OF_ORDER = 3
KEPT_DAYS_OF_MACHINE = 10
CHECK_VM = "vm_check_"

_VERIFYING = frozenset({"addingCustomizeInfo", "distributingOrder", "committeeVerifying", "committeeRefused"})
_ONLINE = frozenset({"waitingFulfill", "online"})
_RENTED = frozenset({"creating", "rented"})


class Pruning:
    """Pruning loop of one node."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._task: asyncio.Task[None] | None = None

    def keep_running(self) -> None:
        if self._machine.records and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._loop())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _loop(self) -> None:
        durations = self._machine.spec.durations
        while self._machine.records:
            # The queue is examined only when the wait starts: a job queued later does not shorten it.
            await self._machine.clock.sleep(durations.prune_busy if self._machine.worker.queued else durations.prune)
            await prune(self._machine)


async def prune(machine: Machine) -> None:
    """One pass."""
    rentals = machine.rentals
    status = rentals.machine_status()
    if status not in _VERIFYING | _ONLINE | _RENTED:
        return
    listed = rentals.listed_orders()
    refresh_orders(machine)
    renter, end = rentals.current_renter()
    for wallet in {record.wallet: None for record in machine.records.values()}:
        if wallet in machine.exempt:
            continue
        records = list(machine.owned_by(wallet))
        await _by_machine_status(machine, records, status)
        if status in _VERIFYING:
            continue
        if listed is not None:
            for record in records:
                await _by_order(machine, record)
        if renter and wallet != renter:
            await _of_former_renter(machine, wallet, records)
        elif wallet == renter:
            machine.rent_ends[wallet] = max(end, machine.rent_ends.get(wallet, 0))
    machine.remember_running()


def refresh_orders(machine: Machine) -> None:
    """Update the cache: the machine's orders, those last seen renting, and the machine-level one."""
    rentals = machine.rentals
    listed = rentals.listed_orders()
    if listed is None:
        return
    for order in listed:
        rentals.refresh(order)
    for order in [o.key for o in rentals.cached().values() if o.status in RENTING and o.key.isdigit()]:
        if order not in listed:
            rentals.refresh(order)
    rentals.refresh("")


async def _by_machine_status(machine: Machine, records: list[Record], status: str) -> None:
    for record in records:
        is_check = record.task_id.startswith(CHECK_VM)
        if is_check and status not in _VERIFYING:
            await delete_task(machine, record.task_id)
        elif not is_check and status not in _RENTED:
            await close_task(machine, record.task_id)


async def _by_order(machine: Machine, record: Record) -> None:
    """Stop VMs without an order at every pass, on a chain with orders."""
    task_id = record.task_id
    if task_id not in machine.records:
        return
    block = machine.rentals.block()
    if not record.rent_order:
        await close_task(machine, task_id)
        end = machine.rent_ends.get(record.wallet, 0)
        if block > 0 and end + BLOCKS_A_DAY * KEPT_DAYS_OF_MACHINE < block:
            await delete_task(machine, task_id)
        return
    end = rent_end(machine.rentals, record.rent_order, record.wallet)
    if end <= 0:
        return
    if block > end + BLOCKS_A_DAY * KEPT_DAYS_OF_ORDER:
        await delete_task(machine, task_id)
    elif block > end:
        await close_task(machine, task_id)


async def _of_former_renter(machine: Machine, wallet: str, records: list[Record]) -> None:
    """Another wallet rents the machine: stop its VMs and remove their public addresses."""
    for record in records:
        if record.task_id not in machine.records:
            continue
        if machine.look(record.task_id) is not DomainState.SHUTOFF:
            await close_task(machine, record.task_id)
        if record.public_ip:
            record.public_ip = ""
            record.save()
    end, block = machine.rent_ends.get(wallet, 0), machine.rentals.block()
    if block > 0 and end > 0 and end + BLOCKS_A_DAY * KEPT_DAYS_OF_MACHINE < block:
        for record in records:
            await delete_task(machine, record.task_id)
