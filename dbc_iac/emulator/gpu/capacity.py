"""What a VM may take: cards by records, cores and memory by running domains, ports, addresses.

The node computes a share in 32-bit floats; so does this module. Nothing here changes anything.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from dbc_iac.emulator.gpu.ctext import is_ip, is_linux, is_windows
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import Refused
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.spec import GpuNodeSpec
from dbc_iac.emulator.gpu.states import DomainState

_PORT_HOLDERS = {DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED}
SYSTEM_DISK_GIB = 350


@dataclass(frozen=True, slots=True)
class Topology:
    sockets: int
    cores: int
    threads: int


@dataclass(frozen=True, slots=True)
class HostCpus:
    """What the host offers: cores are physical ones of a socket."""

    total: int
    sockets: int
    cores: int
    threads: int


def host_cpus(spec: GpuNodeSpec) -> HostCpus:
    threads = spec.threads or (2 if spec.cpus % (2 * spec.sockets) == 0 else 1)
    return HostCpus(spec.cpus, spec.sockets, max(1, spec.cpus // (spec.sockets * threads)), threads)


def share_of(rented: int, cards: int) -> float:
    """The part of cores and memory that goes with so many cards."""
    return _float32(rented / cards)


def allocate_gpus(machine: Machine, count: int, indexes: list[int], task_id: str = "") -> list[str] | None:
    """Free cards of the order, in bus order; None when there are not so many.

    None at all can only be asked for when the order covers the machine.
    """
    if not indexes or count > len(indexes):
        return None
    if count == 0:
        return [] if len(indexes) == len(machine.gpus) else None
    held = machine.held_gpus(task_id)
    free = [gpu for index, gpu in enumerate(machine.gpus) if index in indexes and gpu not in held]
    return free[:count] if 0 < count <= len(free) else None


def allocate_cpus(machine: Machine, cpus: int, share: float, task_id: str = "") -> Topology | None:
    """The topology for a number of cores; None when they are too many. It need not fit a socket: start checks that."""
    host = host_cpus(machine.spec)
    if cpus > math.floor(_float32(host.total * share)) or cpus + machine.running_cpus(task_id) > host.total:
        return None
    spread = cpus % (host.threads * host.sockets) == 0 and cpus > host.cores * host.threads
    sockets = host.sockets if spread else 1
    threads = host.threads if cpus % (sockets * host.threads) == 0 else 1
    return Topology(sockets, cpus // (sockets * threads), threads)


def allocate_memory(machine: Machine, kib: int, share: float, task_id: str = "") -> bool:
    total = machine.libvirt.total_memory()
    if kib <= 0 or kib > machine.libvirt.free_memory() or kib > math.floor(_float32(total * share)):
        return False
    return kib + machine.running_memory(task_id) <= total


def free_disk(spec: GpuNodeSpec) -> float:
    """GiB that `/data` offers; the system disks' 350 GiB are kept back."""
    for disk in spec.data:
        if disk.path == "/data":
            kept = disk.size - SYSTEM_DISK_GIB
            return max(0.0, kept if disk.free is None else min(kept, disk.free))
    return max(0.0, spec.disk - SYSTEM_DISK_GIB)


def port_conflict(machine: Machine, port: int, task_id: str = "") -> str | None:
    """What another running VM uses this port for. Ports of VMs with a public address are not on the host."""
    for record, state in machine.others(task_id):
        if state not in _PORT_HOLDERS:
            continue
        if record.vnc_port == port:
            return "vnc_port"
        if record.public_ip:
            continue
        if record.ssh_port == port:
            return "ssh_port"
        if record.rdp_port == port:
            return "rdp_port"
    return None


def check_port(machine: Machine, port: int, task_id: str = "") -> None:
    """Raises Refused in the words of create."""
    use = port_conflict(machine, port, task_id)
    if use is not None:
        raise Refused(f"port conflict, exist {use} = {port}")


def check_public_ip(machine: Machine, address: str, task_id: str = "") -> None:
    """Raises Refused. Compared with all records, running or not, and with the host's own address."""
    if not address:
        return
    if not is_ip(address):
        raise Refused("invalid public ip")
    taken = {record.public_ip for record in machine.records.values() if record.task_id != task_id}
    if address == machine.spec.host_ip or address in taken:
        raise Refused("public ip being used")


def check_resources(machine: Machine, record: Record) -> None:
    """What start and restart check before they look at the state, in this order. Raises Refused."""
    _check_cpus(machine, record)
    free_gpus = set(machine.gpus) - machine.held_gpus(record.task_id)
    if not set(record.gpus) <= free_gpus:
        raise Refused("check gpu failed")
    running = machine.look(record.task_id) is DomainState.RUNNING
    if not running and not 0 < record.memory <= machine.libvirt.free_memory():
        raise Refused("check memory failed")
    if is_linux(record.operation_system):
        if port_conflict(machine, record.ssh_port, record.task_id):
            raise Refused("check ssh_port failed")
    elif is_windows(record.operation_system) and port_conflict(machine, record.rdp_port, record.task_id):
        raise Refused("check rdp_port failed")
    if port_conflict(machine, record.vnc_port, record.task_id):
        raise Refused("check vnc_port failed")
    check_public_ip(machine, record.public_ip, record.task_id)


def _check_cpus(machine: Machine, record: Record) -> None:
    host = host_cpus(machine.spec)
    fits = (
        0 < record.cpus <= host.total
        and record.sockets <= host.sockets
        and record.cores <= host.cores
        and record.threads <= host.threads
    )
    if not fits:
        raise Refused("check cpu failed")
    if machine.running_cpus(record.task_id) + record.cpus > host.total:
        raise Refused("cpu count exceeds the maximum")


def _float32(value: float) -> float:
    result: float = struct.unpack("f", struct.pack("f", value))[0]
    return result
