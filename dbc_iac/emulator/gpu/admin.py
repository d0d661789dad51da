"""Admin access to a GPU node: inspection, and changes outside of the API. For tests and demos.

Each method acts at once and notifies nobody, like a crash, an administrator or another tenant.
"""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from dbc_iac.emulator.gpu import ids
from dbc_iac.emulator.gpu.capacity import host_cpus
from dbc_iac.emulator.gpu.domain import Definition
from dbc_iac.emulator.gpu.files import EMPTY_QCOW2, HostFile
from dbc_iac.emulator.gpu.forwarding import forwarded_ports
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.node import GpuNode
from dbc_iac.emulator.gpu.pruning import prune
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.setup import place_vm
from dbc_iac.emulator.gpu.spec import GIB, GuestSpec, VmSpec
from dbc_iac.emulator.gpu.states import DomainState, Status, reconciled


class GpuAdmin:
    """Admin actions. Unknown task ids raise KeyError."""

    def __init__(self, node: GpuNode) -> None:
        self._node = node

    @property
    def _machine(self) -> Machine:
        return self._node.machine

    # -- inspection --------------------------------------------------------------------------------

    def truth(self) -> dict[str, Any]:
        """Complete state as JSON values. Sizes in bytes unless a unit is named."""
        machine = self._machine
        return {
            "id": machine.spec.id,
            "alive": self._node.alive,
            "gpus": list(machine.gpus),
            "vms": {task_id: self._vm(record) for task_id, record in machine.records.items()},
            "unknown_domains": sorted(set(machine.libvirt.domains) - set(machine.records)),
            "queue": [{"kind": job.kind, "taskId": job.task_id} for job in machine.worker.queued],
            "working": self._working(),
            "files": {path: file.size for path, file in sorted(machine.files.files.items())},
            "downloads": sorted(machine.transfers.downloads),
            "uploads": sorted(machine.transfers.uploads),
            "snapshots": {
                task_id: [
                    to_builtins(one) | {"status": machine.snapshots.status(task_id, one.name).value}
                    for one in snapshots
                ]
                for task_id, snapshots in machine.snapshots.snapshots.items()
                if snapshots
            },
            "lans": {
                lan.name: {
                    "cidr": lan.cidr,
                    "members": list(lan.members),
                    "host": lan.machine_id,
                    "wallet": lan.wallet,
                    "flags": lan.flags,
                }
                for lan in machine.lan.sorted()
            },
            "monitors": {wallet: list(servers) for wallet, servers in machine.monitors.items()},
            "freeMemoryKib": machine.libvirt.free_memory(),
        }

    def _working(self) -> dict[str, str] | None:
        job = self._machine.worker.current
        return None if job is None else {"kind": job.kind, "taskId": job.task_id}

    def _vm(self, record: Record) -> dict[str, Any]:
        machine = self._machine
        domain = machine.libvirt.domains.get(record.task_id)
        values: dict[str, Any] = to_builtins(record)
        values["status"] = record.status.value
        values["shown_status"] = reconciled(record.status, machine.libvirt.state(record.task_id)).value
        values["forwards"] = None
        if record.forwards is not None:
            values["forwards"] = (
                [to_builtins(one) for one in forwarded_ports(record)] if record.forwards.effective else []
            )
        values["disks"] = {
            name: {"file": disk.file, "reported": disk.reported_size, "real": _real_size(machine, disk.file)}
            for name, disk in record.disks.items()
        }
        values["domain"] = None
        if domain is not None:
            values["domain"] = {
                "state": domain.state.value,
                "mac": domain.mac,
                "address": domain.address,
                "next": to_builtins(domain.definition),
                "live": None if domain.live is None else to_builtins(domain.live),
            }
        return values

    # -- VMs ---------------------------------------------------------------------------------------

    def set_domain(self, task_id: str, state: DomainState) -> None:
        """Change the domain's state, as a guest or virsh would; the record is updated at the next query."""
        machine = self._machine
        machine.libvirt.set_state(machine.libvirt.domains[task_id], state)

    def power_off(self, task_id: str) -> None:
        """The guest powers itself off."""
        self.set_domain(task_id, DomainState.SHUTOFF)

    def remove_domain(self, task_id: str) -> None:
        """Undefine the domain in libvirt; the record remains."""
        self._machine.libvirt.undefine(self._machine.libvirt.domains[task_id].name)

    def remove_vm(self, task_id: str) -> None:
        """Delete domain, record and disks, as another operator would."""
        machine = self._machine
        record = machine.records.pop(task_id)
        machine.libvirt.undefine(task_id)
        machine.lan.leave(record.network_name, task_id)
        for disk in record.disks.values():
            machine.files.remove(disk.file)
        for snapshot in machine.snapshots.remove_all(task_id):
            machine.files.remove(snapshot.file)

    def change_vm(self, task_id: str, **values: Any) -> None:
        """Set fields of the record, and rewrite its domain: `desc`, `ssh_port`, `network_filters`, `memory` (KiB).

        Raises AttributeError for an unknown field.
        """
        machine = self._machine
        record = machine.records[task_id]
        for name, value in values.items():
            if not hasattr(record, name):
                raise AttributeError(name)
            setattr(record, name, Status(value) if name == "status" else value)
        domain = machine.libvirt.domains.get(task_id)
        if domain is not None:
            machine.libvirt.define(task_id, record.definition(), domain.guest)

    def set_guest(self, task_id: str, guest: GuestSpec) -> None:
        """Change the guest's behaviour; one that gets an address now has it at once."""
        machine = self._machine
        domain = machine.libvirt.domains[task_id]
        domain.guest = guest
        if domain.is_active:
            domain.address_at = machine.clock.now() if guest.dhcp else None
            domain.has_lease = domain.has_lease and guest.dhcp
        domain.notify()

    def set_image_guest(self, image: str, guest: GuestSpec) -> None:
        """Change the behaviour of later guests of images in `/data`."""
        path = f"/data/{image}"
        self._machine.files.files[path] = replace(self._machine.files.files[path], guest=guest)

    def grow_disk(self, task_id: str, name: str, gib: int) -> None:
        """Resize the file outside of the node, which reports the old size until it looks."""
        machine = self._machine
        file = machine.files.get(machine.records[task_id].disks[name].file)
        if file is not None:
            file.virtual_size += gib * GIB

    # -- other tenants -----------------------------------------------------------------------------

    def occupy(self, *, wallet: str = "another-renter", **vm: Any) -> str:
        """Start a VM of another tenant with `gpus`, `cpus`, `memory` (GiB), ports …: fields of `VmSpec`.

        Without a `rent_order` it runs without a rental.
        """
        task_id = vm.pop("task_id", "") or ids.task_id(self._machine.clock, self._machine.random)
        if not vm.get("rent_order"):
            self._machine.exempt.add(wallet)
        place_vm(self._machine, VmSpec(task_id=task_id, wallet=wallet, **vm))
        self._node.pruning.keep_running()
        return task_id

    def occupy_gpus(self, indexes: list[int], *, wallet: str = "another-renter") -> str:
        """Start a VM of another tenant on these GPUs, free or not."""
        task_id = self.occupy(wallet=wallet, vnc_port=60000 + len(self._machine.records))
        record = self._machine.records[task_id]
        record.gpus = [self._machine.gpus[index] for index in indexes]
        domain = self._machine.libvirt.domains[task_id]
        domain.definition = domain.live = record.definition()
        return task_id

    def add_unknown_domain(self, name: str, *, survives: bool) -> None:
        """Start a domain unknown to the node; `survives`: it restarts when destroyed."""
        machine = self._machine
        host = host_cpus(machine.spec)
        definition = Definition(1, 1, host.threads, 1024**2, 65535, "", (), {}, "", "", True)
        domain = machine.libvirt.define(name, definition, GuestSpec())
        domain.survives_destroy = survives
        machine.libvirt.set_state(domain, DomainState.RUNNING)

    # -- the host ----------------------------------------------------------------------------------

    def set_gpus(self, gpus: list[str]) -> None:
        """Set the GPUs found at the daemon's last start."""
        self._machine.gpus[:] = sorted(gpus)

    def remove_address(self, address: str) -> None:
        """Remove an address from the host's interface; the daemon reads them when it starts."""
        self._machine.addresses.remove(address)

    def set_passthrough(self, works: bool) -> None:
        self._machine.libvirt.passthrough = works

    def put_file(self, path: str, size: int = EMPTY_QCOW2) -> None:
        self._machine.files.put(path, HostFile(size, 20 * GIB))

    def remove_file(self, path: str) -> None:
        self._machine.files.remove(path)

    def break_network_scripts(self, errcode: int, text: str) -> None:
        """Make LAN scripts fail with this errcode; 0 repairs them."""
        self._machine.lan.script_error = (errcode, text) if errcode else None

    async def prune_now(self) -> None:
        """Run a pass of the pruning loop now."""
        await prune(self._machine)


def _real_size(machine: Machine, path: str) -> int:
    file = machine.files.get(path)
    return file.virtual_size if file is not None else 0
