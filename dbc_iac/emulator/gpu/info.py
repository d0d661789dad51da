"""Requests about the node: description, rent orders, monitor servers, page cache."""

from __future__ import annotations

from dbc_iac.emulator.gpu.capacity import SYSTEM_DISK_GIB
from dbc_iac.emulator.gpu.ctext import split
from dbc_iac.emulator.gpu.images import share_images
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import OK, Refused, array, fields, quoted, spaced, texts, tight
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.gpu.sizes import format_bytes, format_kib, format_percent
from dbc_iac.emulator.gpu.spec import DataDirectory, GpuNodeSpec
from dbc_iac.emulator.gpu.states import DomainState, Status
from dbc_iac.emulator.reply import Reply

_MAX_ORDERS = 51
_MAX_MONITORS = 2
_ERRORS = frozenset(
    {
        Status.CREATE_ERROR,
        Status.START_ERROR,
        Status.SHUTDOWN_ERROR,
        Status.POWEROFF_ERROR,
        Status.RESTART_ERROR,
        Status.RESET_ERROR,
    }
)


async def node_information(machine: Machine, caller: Caller | None, request: NodeRequest) -> Reply:
    """Node information. Every value is a text; the address is partly hidden."""
    images = await share_images(machine, request.image_server)
    spec = machine.spec
    total, free = machine.libvirt.total_memory(), machine.libvirt.free_memory()
    parts = {
        "version": quoted(spec.version),
        "node_type": quoted("1"),
        "ip": quoted(masked(spec.ip)),
        "os": quoted(spec.os),
        "cpu": fields(
            {
                "type": spec.cpu_type,
                "hz": spec.cpu_hz,
                "cores": str(spec.cpus),
                "used_usage": format_percent(_busy_cpus(machine), max(1, spec.cpus)),
                "physical_cpus": str(spec.sockets),
            }
        ),
        "gpu": fields({"gpu_count": str(len(machine.gpus)), "gpu_used": str(_used_gpus(machine))}),
        "mem": fields(
            {
                "size": format_kib(total, "G"),
                "free": format_kib(free, "G"),
                "used_usage": format_percent(total - free, total),
            }
        ),
        "disk_system": fields({"type": "SSD", "size": f"{SYSTEM_DISK_GIB}G"}),
        "disk_data": array(_data_disk(disk) for disk in data_directories(spec)),
        "images": array(fields({"image_name": name, "image_size": format_bytes(size)}) for name, size in images),
    }
    return tight("{" + ",".join(f"{quoted(key)}:{value}" for key, value in parts.items()) + "}")


async def rent_orders(machine: Machine, caller: Caller | None, request: NodeRequest) -> Reply:
    """Cached orders, to anybody; an id in the path is ignored."""
    shown = []
    for order in machine.rentals.in_order()[:_MAX_ORDERS]:
        values = fields(
            {
                "id": order.key,
                "renter": order.renter,
                "rent_end": str(order.end),
                "rent_status": order.status,
                "gpu_nums": str(order.gpu_num),
            }
        )
        indexes = array(str(index) for index in order.gpu_index)
        shown.append(f'{values[:-1]},"gpu_index":{indexes}}}')
    return tight(f'{{"rent_orders":{array(shown)}}}')


async def free_memory(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    return spaced(OK)


async def list_monitors(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    return spaced(f'{{"servers":{texts(machine.monitors.get(caller.wallet, []))}}}')


async def set_monitors(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Set at most two `host:port`; an invalid or absent list changes nothing."""
    if "servers" not in request.additional:
        return spaced(OK)
    servers = request.additional["servers"]
    if not isinstance(servers, list):
        raise Refused("servers must be an array")
    if len(servers) > _MAX_MONITORS:
        raise Refused("can not enter more than two servers")
    addresses = [server if isinstance(server, str) else "" for server in servers]
    if any(len(split(server, ":")) != 2 for server in addresses):
        raise Refused("server not match format ip:port")
    machine.monitors[caller.wallet] = addresses
    return spaced(OK)


def masked(address: str) -> str:
    """Address with the first and third part hidden; `*` if unknown."""
    parts = address.split(".")
    return f"*.{parts[1]}.*.{parts[3]}" if len(parts) == 4 else "*"


def data_directories(spec: GpuNodeSpec) -> tuple[DataDirectory, ...]:
    return spec.data or (DataDirectory(path="/data", size=spec.disk),)


def _data_disk(disk: DataDirectory) -> str:
    kept = SYSTEM_DISK_GIB if disk.path == "/data" else 0
    free = disk.size - kept if disk.free is None else min(disk.free, disk.size - kept)
    size_kib, free_kib = round(disk.size * 1024**2), round(max(0.0, free) * 1024**2)
    used = max(0.0, disk.size - kept - free)
    return fields(
        {
            "path": disk.path,
            "type": disk.type,
            "size": format_kib(size_kib, "G"),
            "free": format_kib(free_kib, "G"),
            "used_usage": format_percent(used, disk.size),
        }
    )


def _busy_cpus(machine: Machine) -> int:
    running = [r for r in machine.records.values() if machine.libvirt.state(r.task_id) is DomainState.RUNNING]
    return sum(record.cpus for record in running)


def _used_gpus(machine: Machine) -> int:
    """GPUs allocated to VMs that are neither shut off nor in error."""
    return sum(
        len(record.gpus)
        for record in machine.records.values()
        if record.status not in _ERRORS and machine.libvirt.state(record.task_id) is not DomainState.SHUTOFF
    )
