"""Preflight of a VM: order, topology, image, memory and disk that its node would refuse or set up wrongly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from dbc_iac.api.responses import NodeHardware, RentOrder
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.capacity import Machine
from dbc_iac.kinds.framework.inventory import Inventory
from dbc_iac.kinds.framework.types import parse_gib
from dbc_iac.kinds.images.files import SUFFIX, FileAt
from dbc_iac.kinds.images.image_server import is_fetched
from dbc_iac.kinds.virtual_machine.checks import VmResource


def preflight(
    resource: VmResource, desired: Mapping[str, Json], changed: frozenset[str], machine: Machine
) -> Iterator[Diagnostic]:
    """Problems of a VM that is to be created (then `changed` has every field) or changed."""
    order = next((o for o in machine.orders or () if o.id == machine.route.rent_order), None)
    yield from _rental(resource, changed, machine, order)
    if "network" in changed and desired.get("network") in machine.unheard_lans:
        yield _error(
            resource,
            "network",
            f"{resource.spec.node} does not know the LAN {desired['network']}",
            "A LAN is known within one machine room only.",
            "Choose a node of the same room, or another network.",
        )
    hardware = machine.hardware
    if hardware is None:
        return
    if "image" in changed:
        yield from _image(resource, hardware, machine.route.target, machine.inventory)
        yield from _attached(resource)
    share = 1.0  # of the machine's cores and memory: a partial order may take as much as it has of the GPUs
    if machine.whole is False and order is not None and hardware.gpu_count:
        share = len(order.gpu_index) / hardware.gpu_count
    if changed & {"gpus", "rentOrder"}:
        yield from _gpus(resource, desired, machine, order, hardware)
    if "cpus" in changed:
        yield from _cpus(resource, desired, hardware, share)
    if "memory" in changed:
        yield from _memory(resource, desired, hardware, share)
    if "dataDisk.size" in changed:
        yield from _disk(resource, desired, hardware, created="image" in changed)


def _error(vm: VmResource, path: str, summary: str, detail: str, remedy: str) -> Diagnostic:
    return vm.problem("node-would-refuse", path, summary, detail=detail, remedy=remedy, exit_code=ExitCode.REFUSED)


def _warning(vm: VmResource, path: str, summary: str, detail: str, remedy: str = "") -> Diagnostic:
    return vm.problem("node-may-refuse", path, summary, detail=detail, remedy=remedy, severity=Severity.WARNING)


def _rental(vm: VmResource, changed: frozenset[str], machine: Machine, order: RentOrder | None) -> Iterator[Diagnostic]:
    if not machine.route.rent_order or machine.orders is None or not changed:
        return
    if order is None:
        yield _warning(
            vm,
            "rentOrder",
            f"the node does not list order {machine.route.rent_order}",
            "The node lists at most 51 orders, and only orders that a call has used.",
            "Check the order id.",
        )
    elif not order.renting:
        yield _error(
            vm,
            "rentOrder",
            f"order {order.id} is {order.rent_status}",
            "The node works only for an order that is renting.",
            "Renew the rental and write the new order's id.",
        )
    elif "rentOrder" in changed:
        yield from _order_change(vm, machine, order)


def _order_change(vm: VmResource, machine: Machine, order: RentOrder) -> Iterator[Diagnostic]:
    """A start moves a VM to another order only if the node knows that the old one has ended, and both are alike."""
    old = next((o for o in machine.orders or () if o.id == machine.observed.get("rentOrder")), None)
    if old is None or old.id == order.id:
        return
    if old.renting:
        yield _error(
            vm,
            "rentOrder",
            f"the node keeps the VM under order {old.id} ({old.rent_status})",
            "It moves a VM to another order when the old one has ended. It checks its orders every 15 minutes.",
            f"Wait until the node knows that order {old.id} has ended, then plan again.",
        )
    elif len(old.gpu_index) != len(order.gpu_index):
        yield _error(
            vm,
            "rentOrder",
            f"order {order.id} has {len(order.gpu_index)} GPUs, the VM's order {old.id} has {len(old.gpu_index)}",
            "A VM moves only between orders of as many GPUs.",
            f"Use --replace {vm.address} to create another VM under the new order.",
        )


def _attached(vm: VmResource) -> Iterator[Diagnostic]:
    """The note on an attached data file, which the node does not list."""
    disk = vm.spec.data_disk
    if disk is not None and disk.file is not None:
        yield vm.problem(
            "attached-file",
            "dataDisk.file",
            f"{disk.file} is attached and becomes a part of the VM",
            detail="The node does not list the file; if it is missing the VM is not created. "
            "Deleting the VM deletes the file too.",
            remedy="Keep a copy elsewhere. lifecycle.preventDestroy is on unless set to false.",
            severity=Severity.NOTE,
        )


def _image(vm: VmResource, hardware: NodeHardware, target: str, inventory: Inventory | None) -> Iterator[Diagnostic]:
    image = vm.spec.image
    if any(i.name == image for i in hardware.images) or not image.endswith(SUFFIX):
        return
    if inventory is not None and is_fetched(FileAt(target, image), inventory):
        return
    yield _warning(
        vm,
        "image",
        f"{image} is not listed on {vm.spec.node}",
        "The node's list omits images that have `data` in the name, have a base image, or are in use by a running VM. "
        "If the file does not exist, the node refuses the creation.",
        "Check the name. Listed images: " + (", ".join(sorted(i.name for i in hardware.images)) or "none") + ".",
    )


def _gpus(
    vm: VmResource, desired: Mapping[str, Json], machine: Machine, order: RentOrder | None, hardware: NodeHardware
) -> Iterator[Diagnostic]:
    gpus = desired.get("gpus")
    if machine.whole is False and order is not None and gpus != len(order.gpu_index):
        yield _error(
            vm,
            "gpus",
            f"{gpus} GPUs do not match the {len(order.gpu_index)} of order {order.id}",
            "A VM of an order for a part of the machine must take exactly the GPUs of that order.",
            f"Write gpus: {len(order.gpu_index)}.",
        )
    elif isinstance(gpus, int) and gpus > hardware.gpu_count:
        yield _error(
            vm,
            "gpus",
            f"{gpus} GPUs requested, but the machine has {hardware.gpu_count}",
            "",
            f"Set gpus to {hardware.gpu_count} or less.",
        )


def _cpus(vm: VmResource, desired: Mapping[str, Json], hardware: NodeHardware, share: float) -> Iterator[Diagnostic]:
    cpus, cores, sockets = desired.get("cpus"), hardware.cpu_cores, max(hardware.physical_cpus, 1)
    if not isinstance(cpus, int):
        return
    limit = math.floor(cores * share)
    if cpus > limit:
        part = "" if share == 1.0 else f"The order has {share:.0%} of the GPUs, so {share:.0%} of the {cores} cores."
        yield _error(
            vm,
            "cpus",
            f"{cpus} CPU cores requested, but {limit} are available",
            part,
            f"Set cpus to {limit} or less.",
        )
        return
    a_socket = cores // sockets
    threads = 1 if a_socket % 2 else 2
    if cpus > a_socket and cpus % sockets:
        yield _error(
            vm,
            "cpus",
            f"{cpus} cores do not fit the {sockets} sockets of {a_socket} cores",
            "The VM would run once, and every later start would be refused with `check cpu failed`.",
            f"Use a multiple of {sockets * threads}, or at most {a_socket}.",
        )
    elif threads == 2 and cpus % 2 and cpus > a_socket // 2:
        yield _warning(
            vm,
            "cpus",
            f"{cpus} cores may not fit a socket of {a_socket}",
            "An odd number gets one thread per core. If the machine has two per core, later starts are refused.",
            "Use an even number.",
        )
    elif threads == 2 and cpus > a_socket and cpus % (2 * sockets):
        yield _warning(
            vm,
            "cpus",
            f"{cpus} cores may not fit the {sockets} sockets of {a_socket}",
            "If the machine has two threads per core, later starts are refused.",
            f"Use a multiple of {2 * sockets}.",
        )


def _memory(vm: VmResource, desired: Mapping[str, Json], hardware: NodeHardware, share: float) -> Iterator[Diagnostic]:
    memory = parse_gib(desired["memory"])
    limit = math.floor(float(hardware.mem_size_gib) * share)
    if memory > limit:
        yield _error(
            vm,
            "memory",
            f"{memory}Gi of memory requested, but {limit}Gi are available",
            "",
            f"Set memory to {limit}Gi or less.",
        )


def _disk(
    vm: VmResource, desired: Mapping[str, Json], hardware: NodeHardware, *, created: bool
) -> Iterator[Diagnostic]:
    """A creation requires the whole size to be free, though files are thin; growing requires nothing."""
    size, data = parse_gib(desired["dataDisk.size"]), next((d for d in hardware.disks if d.path == "/data"), None)
    if data is None or size <= data.free_gib:
        return
    if created:
        free = math.floor(data.free_gib)
        yield _error(
            vm,
            "dataDisk.size",
            f"a data disk of {size} GiB does not fit the {free} GiB free in /data",
            "The node creates no VM whose data disk could not be filled.",
            f"Use {free}Gi or less; a disk may grow later.",
        )
    else:
        yield vm.problem(
            "thin-space",
            "dataDisk.size",
            f"{size} GiB is more than is free in /data",
            detail="Disk files are thin: the node accepts it, and writes fail once the host is full.",
            remedy="Reduce dataDisk.size, or use another node.",
            severity=Severity.WARNING,
        )
