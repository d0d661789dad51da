"""Data disks: accepted while the VM is off, worked off later, never a word of failure. Resize adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbc_iac.sim.gpu.record import Disk, Request, Vm
from dbc_iac.sim.gpu.sizes import gib, size_text
from dbc_iac.sim.reply import RefusedError, Reply, done

if TYPE_CHECKING:
    from dbc_iac.sim.gpu.node import GpuNode

GARBAGE_GIB = 32654
"""What add makes of a size that is no integer: an uninitialised number. The real value is anyone's guess."""


def listed(vm: Vm) -> Reply:
    parts = (
        f'{{"name":"{d.name}", "file":"{d.file}", "size":"{size_text(d.shown or d.kib, "KMGTP")}"}}'
        for d in sorted(vm.disks, key=lambda d: d.name)
    )
    return done("[" + ",".join(parts) + "]")


def disk_vm(node: GpuNode, request: Request) -> Vm:
    """The VM of a disk request. Raises RefusedError."""
    vm = node.vms.get(request.path[0])
    if vm is None or vm.domain == "none":
        raise RefusedError(-3, "task not exist")
    if vm.pxe:
        raise RefusedError(-3, "pxe not support disk")
    return vm


def _integer(request: Request) -> int | None:
    """A JSON integer of 32 bits; anything else is as if it were not there."""
    value = request.additional.get("size")
    good = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 0x7FFFFFFF
    return value if good else None


def _closed(vm: Vm) -> None:
    if vm.domain != "off":
        raise RefusedError(1, "please close task first and try again")


def resize(node: GpuNode, request: Request) -> Reply:
    vm = disk_vm(node, request)
    name = request.text("disk") or ""
    if not name:
        raise RefusedError(-3, "'disk' is empty")
    amount = _integer(request)
    if amount is None or amount <= 0:
        raise RefusedError(-3, "'size' is invalid")
    if name not in {d.name for d in vm.disks}:
        raise RefusedError(1, f"task have no disk:{name}")
    _closed(vm)

    async def job() -> None:
        await node.clock.sleep(node.spec.durations.disk)
        disk = next((d for d in vm.disks if d.name == name), None)
        if disk is not None:
            disk.kib, disk.shown = disk.kib + gib(amount), None

    node.worker.put(job)
    return done()


def add(node: GpuNode, request: Request) -> Reply:
    vm = disk_vm(node, request)
    amount = _integer(request)
    if amount is not None and amount <= 0:
        raise RefusedError(-3, "'size' is invalid")
    size = GARBAGE_GIB if amount is None else amount
    directory = request.text("mount_dir") or "/data"
    if not node.has_directory(directory):
        raise RefusedError(-3, f"{directory} is not exist")
    _closed(vm)

    async def job() -> None:
        await node.clock.sleep(node.spec.durations.disk)
        last = max((d.name[-1] for d in vm.disks), default="a")
        if last < "z" and vm.id in node.vms:
            vm.disks.append(Disk(f"vd{chr(ord(last) + 1)}", node.new_file(directory, "data"), gib(size)))

    node.worker.put(job)
    return done()


def delete(node: GpuNode, request: Request) -> Reply:
    vm = disk_vm(node, request)
    name = request.text("disk") or ""
    if not name:
        raise RefusedError(-3, "'disk' is empty")
    if name not in {d.name for d in vm.disks}:
        raise RefusedError(1, f"task have no disk:{name}")
    _closed(vm)
    if name == "vda":
        raise RefusedError(1, "can not allowed to delete disk:'vda'")

    async def job() -> None:
        await node.clock.sleep(node.spec.durations.disk)
        vm.disks = [d for d in vm.disks if d.name != name]

    node.worker.put(job)
    return done()
