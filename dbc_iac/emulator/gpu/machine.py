"""State of one GPU node: hardware, host, records, worker, caches; used by all operations.

It only stores and looks up; it answers no request and runs no job.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from msgspec import Struct, field

from dbc_iac.emulator.gpu.domain import Domain, Hypervisor
from dbc_iac.emulator.gpu.files import HostFiles
from dbc_iac.emulator.gpu.image_servers import ImageServers
from dbc_iac.emulator.gpu.lan import LanTable
from dbc_iac.emulator.gpu.logs import Place, TaskLogs
from dbc_iac.emulator.gpu.paste import Refused
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.rental import Rentals
from dbc_iac.emulator.gpu.snapshot_records import SnapshotBook
from dbc_iac.emulator.gpu.spec import GpuNodeSpec, GuestSpec
from dbc_iac.emulator.gpu.states import DomainState, reconciled
from dbc_iac.emulator.gpu.timing import Clock
from dbc_iac.emulator.gpu.transfers import Transfers
from dbc_iac.emulator.gpu.worker import Worker

_LOOKUP = Place("vm_client.cpp", 1669, "GetDomainStatus")


class Machine(Struct):
    """State of a node. `rent_ends`: last known end (block) of each wallet's rental.

    `exempt`: wallets set by an administrator, whose VMs are never stopped after an ended rental.
    """

    spec: GpuNodeSpec
    clock: Clock
    random: random.Random
    rentals: Rentals
    lan: LanTable
    image_servers: ImageServers
    files: HostFiles
    libvirt: Hypervisor
    worker: Worker
    transfers: Transfers
    logs: TaskLogs
    die: Callable[[], None]
    gpus: list[str]
    records: dict[str, Record] = field(default_factory=dict)
    snapshots: SnapshotBook = field(default_factory=SnapshotBook)
    rent_ends: dict[str, int] = field(default_factory=dict)
    monitors: dict[str, list[str]] = field(default_factory=dict)
    last_running: set[str] = field(default_factory=set)
    exempt: set[str] = field(default_factory=set)
    addresses: list[str] = field(default_factory=list)
    """Addresses of the default route's interface: that of the host, and every public address that a VM has had."""
    host_ip: str = ""
    """The address as the process read it when it started: several are one text of several lines."""

    def __post_init__(self) -> None:
        self.addresses = [self.spec.host_ip] if self.spec.host_ip else []
        self.read_addresses()

    def read_addresses(self) -> None:
        """Read the host's address, as a starting process does."""
        self.host_ip = "\n".join(self.addresses)

    def add_address(self, address: str) -> None:
        """Add the public address of a VM to the interface. Nothing removes it."""
        if address and address not in self.addresses:
            self.addresses.append(address)

    # -- lookups -----------------------------------------------------------------------------------

    def look(self, task_id: str) -> DomainState:
        """State of the domain; a query of a missing one writes a line into the VM's log."""
        domain = self.libvirt.find(task_id)
        if domain is None:
            missing = f"lookup domain:{task_id}" if self.libvirt.connected else "connPtr"
            self.logs.error(task_id, _LOOKUP, f"{missing} is nullptr")
            return DomainState.NONE
        return domain.state

    async def settled(self, task_id: str) -> DomainState:
        """State of the domain once libvirt is idle."""
        await self.libvirt.settled([task_id])
        return self.look(task_id)

    async def settle(self) -> None:
        """Wait until libvirt is busy with no domain: for requests that read all of them."""
        await self.libvirt.settled(self.records)

    def existing(self, task_id: str, errcode: int = 1) -> Record:
        """Record of a VM with a domain. Raises Refused."""
        record = self.records.get(task_id)
        if record is None or not self.libvirt.exists(task_id):
            raise Refused("task not exist", errcode)
        return record

    def domain(self, task_id: str) -> Domain:
        return self.libvirt.domains[task_id]

    async def shown_status(self, record: Record) -> str:
        """Status, corrected by the domain. It is read *before* the wait for libvirt."""
        status = record.status
        state = await self.settled(record.task_id)
        if reconciled(status, state) is not status and record.status is status:
            record.status = reconciled(status, state)
            return record.status
        return status

    def owned_by(self, wallet: str) -> Iterator[Record]:
        """VMs in order of creation."""
        return (record for record in self.records.values() if record.wallet == wallet)

    def guest_of(self, image_name: str) -> GuestSpec:
        file = self.files.get(f"/data/{image_name}")
        return file.guest if file is not None and file.guest is not None else self.spec.guest

    # -- running jobs ------------------------------------------------------------------------------

    def remember_running(self) -> None:
        """VMs that the daemon starts again after its own restart."""
        self.last_running = {task_id for task_id in self.records if self.libvirt.state(task_id) is DomainState.RUNNING}
