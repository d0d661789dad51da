"""GPU node: operations with their permissions, and the life cycle of its daemon.

`handle` answers one request; the caller serialises requests of a node, as its single thread does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from dbc_iac.emulator.gpu import create, details, disks, images, info, lan_requests, modify, power, snapshots
from dbc_iac.emulator.gpu.image_servers import ImageServers
from dbc_iac.emulator.gpu.jobs import delete_task
from dbc_iac.emulator.gpu.lan import LanRoom
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import Refused
from dbc_iac.emulator.gpu.pruning import CHECK_VM, Pruning, refresh_orders
from dbc_iac.emulator.gpu.rental import Rentals
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.gpu.setup import build_machine, place_initial
from dbc_iac.emulator.gpu.spec import Durations, GpuNodeSpec
from dbc_iac.emulator.gpu.state import load_state, save_state
from dbc_iac.emulator.gpu.states import DomainState, Status, rebuilt
from dbc_iac.emulator.gpu.timing import Clock
from dbc_iac.emulator.gpu.unknown_domains import destroy_unknown_domains, stop_ended_rentals
from dbc_iac.emulator.reply import ProcessDied, Reply

Access = Literal["none", "optional", "renter", "any"]
"""Caller required by a request: anybody, anybody (identified if known), the renter, the renter or a verifier."""

Handler = Callable[[Machine, Any, NodeRequest], Awaitable[Reply]]


class Operation(Struct, frozen=True):
    """An operation. `after_cleanup`: it first searches for unknown domains."""

    handler: Handler
    access: Access = "any"
    after_cleanup: str = ""


OPERATIONS: Mapping[str, Operation] = {
    "tasks.list": Operation(details.list_tasks),
    "tasks.details": Operation(details.details),
    "tasks.create": Operation(create.create, after_cleanup="create"),
    "tasks.start": Operation(power.start, after_cleanup="start"),
    "tasks.shutdown": Operation(power.shutdown),
    "tasks.poweroff": Operation(power.poweroff),
    "tasks.stop": Operation(power.poweroff),
    "tasks.restart": Operation(power.restart, after_cleanup="restart"),
    "tasks.reset": Operation(power.reset),
    "tasks.delete": Operation(power.delete),
    "tasks.modify": Operation(modify.modify),
    "tasks.passwd": Operation(details.passwd),
    "tasks.logs": Operation(details.logs),
    "disk.list": Operation(disks.list_disks, "renter"),
    "disk.resize": Operation(disks.resize, "renter"),
    "disk.add": Operation(disks.add, "renter"),
    "disk.delete": Operation(disks.delete, "renter"),
    "snapshot.list": Operation(snapshots.show),
    "snapshot.create": Operation(snapshots.create, "renter"),
    "snapshot.delete": Operation(snapshots.delete, "renter"),
    "images.list": Operation(images.show, "optional"),
    "images.download": Operation(images.download),
    "images.downloadprogress": Operation(images.download_progress),
    "images.download_stop": Operation(images.stop_download),
    "images.upload": Operation(images.upload),
    "images.uploadprogress": Operation(images.upload_progress),
    "images.upload_stop": Operation(images.stop_upload),
    "images.delete": Operation(images.delete),
    "lan.list": Operation(lan_requests.show, "none"),
    "lan.create": Operation(lan_requests.create, "renter"),
    "lan.delete": Operation(lan_requests.delete, "renter"),
    "mining_nodes": Operation(info.node_information, "none"),
    "mining_nodes.free_memory": Operation(info.free_memory),
    "rent_orders": Operation(info.rent_orders, "none"),
    "monitor": Operation(info.list_monitors, "renter"),
    "monitor.set": Operation(info.set_monitors, "renter"),
}


class GpuNode:
    """A GPU machine and its daemon. `on_death` is called when the process crashes."""

    def __init__(
        self,
        spec: GpuNodeSpec,
        *,
        clock: Clock,
        source: random.Random,
        rentals: Rentals,
        room: LanRoom,
        image_servers: ImageServers,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self.alive = True
        self._on_death = on_death
        self._started = False
        self._lives = 0
        self._answering: asyncio.Task[Reply] | None = None
        self.machine = build_machine(
            spec, clock=clock, source=source, rentals=rentals, room=room, image_servers=image_servers, die=self.die
        )
        self.pruning = Pruning(self.machine)

    def begin(self) -> None:
        """Create the initial VMs and LANs on the running loop; the first request does so otherwise."""
        if self._started:
            return
        self._started = True
        refresh_orders(self.machine)
        place_initial(self.machine)
        self.pruning.keep_running()

    async def handle(self, op: str, caller: Caller | None, request: NodeRequest) -> Reply:
        """Handle a request. Raises KeyError for an unknown operation, ProcessDied if the process ends meanwhile."""
        if not self.alive:
            raise ProcessDied("not running")
        if not self._started:
            self.begin()
        lives = self._lives
        self._answering = answering = asyncio.ensure_future(self._answer(op, caller, request))
        try:
            return await answering
        except ProcessDied:
            self.die()
            raise
        except asyncio.CancelledError:
            if self._lives == lives:
                raise
            raise ProcessDied(f"ended during {op}") from None

    async def _answer(self, op: str, caller: Caller | None, request: NodeRequest) -> Reply:
        operation = OPERATIONS[op]
        machine = self.machine
        await machine.clock.sleep(_seconds(operation, machine.spec.durations))
        try:
            if operation.after_cleanup:
                await destroy_unknown_domains(machine, operation.after_cleanup)
            if op == "tasks.create":
                await stop_ended_rentals(machine)
            return await operation.handler(machine, caller, request)
        except Refused as refused:
            return refused.reply
        finally:
            self.pruning.keep_running()

    async def drop_check_vms(self, keep_wallet: str = "") -> None:
        """Side effect of authorisation: delete VMs of verifiers, except those of a wallet that is verifying now."""
        for task_id in [t for t in self.machine.records if t.startswith(CHECK_VM)]:
            if not keep_wallet or self.machine.records[task_id].wallet != keep_wallet:
                await delete_task(self.machine, task_id)

    # -- daemon life cycle -------------------------------------------------------------------------

    def die(self) -> None:
        """Kill the process: queue and transfers are lost, domains keep running."""
        if not self.alive:
            return
        self._end()
        self._on_death()

    def stop(self) -> None:
        """Stop the process cleanly: LANs move to another node of the room."""
        if self.alive:
            self.machine.lan.leave_cleanly()
            self._end()

    def restart(self) -> None:
        """Restart the process, killing it if it runs; data in memory is lost.

        Statuses are rebuilt from the domains, records without a domain disappear, and VMs that ran are started again.
        """
        if self.alive:
            self._end()
        self.alive = True
        machine = self.machine
        machine.libvirt.connect()
        machine.read_addresses()
        machine.lan.restart()
        machine.snapshots.forget_statuses()
        for task_id in list(machine.records):
            if not machine.libvirt.exists(task_id):
                del machine.records[task_id]
                continue
            _reload(machine, task_id)
        machine.remember_running()
        self.pruning.keep_running()

    def _end(self) -> None:
        self.alive = False
        self._lives += 1
        if self._answering is not None:
            self._answering.cancel()
        self.machine.libvirt.finish_pending()
        self.machine.worker.stop()
        self.machine.transfers.end()
        self.machine.lan.stop()
        self.pruning.stop()

    # -- saving and loading ------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """State that survives on the host's disks and in libvirt, as JSON values."""
        return save_state(self.machine)

    def from_state(self, state: dict[str, Any]) -> None:
        """Load a saved state instead of `begin`. Queued jobs are lost, as after a restart."""
        self._started = True
        load_state(self.machine, state)
        self.pruning.keep_running()


def _reload(machine: Machine, task_id: str) -> None:
    """Record as found by a new process: account from the database, the rest from the domain's definition."""
    record, domain = machine.records[task_id], machine.libvirt.domains[task_id]
    record.login_user, record.login_password = record.saved_account
    if task_id in machine.last_running and domain.state is DomainState.SHUTOFF:
        machine.libvirt.set_state(domain, DomainState.RUNNING)
    shown = domain.live or domain.definition
    record.sockets, record.cores, record.threads = shown.sockets, shown.cores, shown.threads
    record.memory, record.vnc_port = shown.memory, shown.vnc_port
    record.gpus = list(shown.gpus)
    for disk in record.disks.values():
        file = machine.files.get(disk.file)
        disk.reported_size = file.virtual_size if file is not None else 0
    record.status = Status.NONE
    record.status = rebuilt(domain.state)


def _seconds(operation: Operation, durations: Durations) -> float:
    """Duration of a request in addition to the waits of its handler."""
    return durations.look if operation.access == "none" else durations.answer
