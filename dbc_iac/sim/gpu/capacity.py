"""What a machine has and what its VMs hold: GPUs by records, cores, memory and ports by running domains."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dbc_iac.sim.chain import Order
from dbc_iac.sim.gpu.record import Vm
from dbc_iac.sim.gpu.sizes import gib
from dbc_iac.sim.reply import RefusedError
from dbc_iac.sim.world import GpuNodeSpec


def share(spec: GpuNodeSpec, order: Order) -> float:
    """The part of cores and memory that an order may take."""
    return 1.0 if order.whole or not spec.gpus else len(order.gpus) / spec.gpus


def whole(spec: GpuNodeSpec, order: Order) -> bool:
    return order.whole or len(order.gpus) >= spec.gpus


def allocate_gpus(spec: GpuNodeSpec, order: Order, count: int, others: Iterable[Vm]) -> list[int] | None:
    """Indexes of free GPUs of the order; None where there are too few, or none may be asked for."""
    if count == 0:
        return [] if whole(spec, order) else None
    held = {g for vm in others if vm.holds_gpus for g in vm.gpus}
    free = [g for g in order.gpus if g not in held and g < spec.gpus]
    return free[:count] if 0 < count <= len(free) else None


def cores_fit(spec: GpuNodeSpec, order: Order, cores: int, others: Iterable[Vm]) -> bool:
    running = sum(vm.cores for vm in others if vm.runs)
    return cores <= math.floor(spec.cpus * share(spec, order)) and cores + running <= spec.cpus


def memory_fits(spec: GpuNodeSpec, order: Order, kib: int, others: Iterable[Vm]) -> bool:
    running = sum(vm.memory for vm in others if vm.runs)
    total = gib(spec.memory)
    return kib <= total - running and kib <= math.floor(total * share(spec, order))


def topology_fits(spec: GpuNodeSpec, cores: int) -> bool:
    """Start checks what create does not: that the cores fit the sockets."""
    if cores % (spec.threads * spec.sockets) == 0:
        return True
    threads = 1 if cores % 2 else spec.threads
    per_socket = spec.cpus // spec.sockets // spec.threads
    return cores // threads <= per_socket


def port_conflict(port: int, others: Iterable[Vm]) -> tuple[str, int] | None:
    """Which port of a running VM is the same: screens, and the others where there is no public IP."""
    for vm in others:
        if not vm.runs:
            continue
        if port == vm.vnc_port:
            return "vnc_port", port
        if not vm.public_ip:
            if port == vm.ssh_port:
                return "ssh_port", port
            if port == vm.rdp_port:
                return "rdp_port", port
    return None


def check_port(port: int, others: Iterable[Vm]) -> None:
    found = port_conflict(port, others)
    if found is not None:
        raise RefusedError(1, f"port conflict, exist {found[0]} = {found[1]}")
