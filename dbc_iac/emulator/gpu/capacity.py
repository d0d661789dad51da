"""Capacity for VMs: GPUs by records, cores and memory by running domains, ports, addresses.

Shares are computed in 32-bit floats, as by the node. Nothing here changes anything.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from msgspec import Struct

from dbc_iac.emulator.gpu.ctext import is_ip, is_linux, is_windows
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import Refused
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.spec import GpuNodeSpec
from dbc_iac.emulator.gpu.states import DomainState

_PORT_HOLDERS = {DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED}
SYSTEM_DISK_GIB = 350


class Topology(Struct, frozen=True):
    sockets: int
    cores: int
    threads: int


class HostCpus(Struct, frozen=True):
    """Capacity of the host: cores are physical ones of a socket."""

    total: int
    sockets: int
    cores: int
    threads: int


class Neighbours(Struct, frozen=True):
    """Allocations of the machine's other VMs. `ports`: purpose of each used port.

    GPUs are allocated by records whose domain is not shut off (one without a domain counts); cores and memory (KiB) by
    running domains; ports by running, blocked and paused ones, except those of VMs with a public address.
    """

    gpus: frozenset[str]
    cpus: int
    memory: int
    ports: Mapping[int, str]


def neighbours(machine: Machine, task_id: str = "") -> Neighbours:
    """Allocations of all VMs but one."""
    gpus: set[str] = set()
    cpus = memory = 0
    ports: dict[int, str] = {}
    for record in machine.records.values():
        if record.task_id == task_id:
            continue
        state = machine.look(record.task_id)
        if state is not DomainState.SHUTOFF:
            gpus.update(record.gpus)
        if state is DomainState.RUNNING:
            cpus += record.cpus
            memory += record.memory
        if state in _PORT_HOLDERS:
            ports.setdefault(record.vnc_port, "vnc_port")
            if not record.public_ip:
                ports.setdefault(record.ssh_port, "ssh_port")
                ports.setdefault(record.rdp_port, "rdp_port")
    return Neighbours(frozenset(gpus), cpus, memory, ports)


def host_cpus(spec: GpuNodeSpec) -> HostCpus:
    threads = spec.threads or (2 if spec.cpus % (2 * spec.sockets) == 0 else 1)
    return HostCpus(spec.cpus, spec.sockets, max(1, spec.cpus // (spec.sockets * threads)), threads)


def share_of(rented: int, total: int) -> float:
    """Share of cores and memory for a number of GPUs."""
    return _float32(rented / total)


def allocate_gpus(machine: Machine, others: Neighbours, count: int, indexes: list[int]) -> list[str] | None:
    """Free GPUs of the order, in bus order; None if there are too few.

    Zero GPUs are allowed only if the order covers the machine.
    """
    if not indexes or count > len(indexes):
        return None
    if count == 0:
        return [] if len(indexes) == len(machine.gpus) else None
    free = [gpu for index, gpu in enumerate(machine.gpus) if index in indexes and gpu not in others.gpus]
    return free[:count] if 0 < count <= len(free) else None


def allocate_cpus(machine: Machine, others: Neighbours, cpus: int, share: float) -> Topology | None:
    """Topology for a number of cores; None if there are too many. Start checks whether it fits a socket."""
    host = host_cpus(machine.spec)
    if cpus > math.floor(_float32(host.total * share)) or cpus + others.cpus > host.total:
        return None
    spread = cpus % (host.threads * host.sockets) == 0 and cpus > host.cores * host.threads
    sockets = host.sockets if spread else 1
    threads = host.threads if cpus % (sockets * host.threads) == 0 else 1
    return Topology(sockets, cpus // (sockets * threads), threads)


def allocate_memory(machine: Machine, others: Neighbours, kib: int, share: float) -> bool:
    total = machine.libvirt.total_memory()
    if kib <= 0 or kib > machine.libvirt.free_memory() or kib > math.floor(_float32(total * share)):
        return False
    return kib + others.memory <= total


def free_disk(spec: GpuNodeSpec) -> float:
    """Free GiB of `/data`, minus the 350 GiB of each system disk."""
    for disk in spec.data:
        if disk.path == "/data":
            kept = disk.size - SYSTEM_DISK_GIB
            return max(0.0, kept if disk.free is None else min(kept, disk.free))
    return max(0.0, spec.disk - SYSTEM_DISK_GIB)


def check_port(others: Neighbours, port: int) -> None:
    """Check ports. Raises Refused with the texts of create."""
    use = others.ports.get(port)
    if use is not None:
        raise Refused(f"port conflict, exist {use} = {port}")


def check_public_ip(machine: Machine, address: str, task_id: str = "") -> None:
    """Check the public address against all records, running or not, and the host's own address. Raises Refused."""
    if not address:
        return
    if not is_ip(address):
        raise Refused("invalid public ip")
    taken = {record.public_ip for record in machine.records.values() if record.task_id != task_id}
    if address == machine.spec.host_ip or address in taken:
        raise Refused("public ip being used")


def check_resources(machine: Machine, record: Record) -> None:
    """Checks of start and restart before they look at the state, in the node's order. Raises Refused."""
    others = neighbours(machine, record.task_id)
    _check_cpus(machine, others, record)
    if not set(record.gpus) <= set(machine.gpus) - others.gpus:
        raise Refused("check gpu failed")
    running = machine.look(record.task_id) is DomainState.RUNNING
    if not running and not 0 < record.memory <= machine.libvirt.free_memory():
        raise Refused("check memory failed")
    if is_linux(record.operation_system):
        if record.ssh_port in others.ports:
            raise Refused("check ssh_port failed")
    elif is_windows(record.operation_system) and record.rdp_port in others.ports:
        raise Refused("check rdp_port failed")
    if record.vnc_port in others.ports:
        raise Refused("check vnc_port failed")
    check_public_ip(machine, record.public_ip, record.task_id)


def _check_cpus(machine: Machine, others: Neighbours, record: Record) -> None:
    host = host_cpus(machine.spec)
    fits = (
        0 < record.cpus <= host.total
        and record.sockets <= host.sockets
        and record.cores <= host.cores
        and record.threads <= host.threads
    )
    if not fits:
        raise Refused("check cpu failed")
    if others.cpus + record.cpus > host.total:
        raise Refused("cpu count exceeds the maximum")


def _float32(value: float) -> float:
    result: float = struct.unpack("f", struct.pack("f", value))[0]
    return result
