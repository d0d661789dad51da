"""Read requests of VMs: list, details, logs; and passwd, which calls the guest. Only list and details check owners."""

from __future__ import annotations

import ipaddress

from dbc_iac.emulator.gpu.ctext import text_of
from dbc_iac.emulator.gpu.domain import Domain
from dbc_iac.emulator.gpu.guest import local_addresses, set_password
from dbc_iac.emulator.gpu.logs import log_content
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import OK, Refused, array, fields, quoted, spaced, texts
from dbc_iac.emulator.gpu.record import NOT_AVAILABLE, Record
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.gpu.sizes import format_kib
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.reply import Reply

SYSTEM_DISK = "350G"  # the same for every VM, pxe included


async def list_tasks(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """The caller's VMs over all orders, in order of creation."""
    items = []
    for record in list(machine.owned_by(caller.wallet)):
        shown = {
            "task_id": record.task_id,
            "create_time": record.create_time,
            "desc": record.desc,
            "status": await machine.shown_status(record),
        }
        items.append(fields(shown, ", "))
    return spaced(array(items))


async def details(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    record = machine.records.get(request.task_id)
    if record is None or record.wallet != caller.wallet:
        raise Refused("task_id not exist", -3)
    status = await machine.shown_status(record)
    pairs = [
        *_identity(machine, record),
        ("status", quoted(status)),
        *_optional(machine, record),
        ("interface", _interface(machine.libvirt.find(record.task_id), record)),
    ]
    return spaced("{" + ", ".join(f"{quoted(key)}:{value}" for key, value in pairs) + "}")


async def logs(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    record = machine.existing(request.task_id)
    lines = machine.logs.lines.get(record.task_id)
    if not lines:
        raise Refused("task log not exist")
    return spaced(
        f'{{"task_id":{quoted(record.task_id)}, "log_content":{log_content(record.task_id, lines, request.query)}}}'
    )


async def passwd(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """One attempt of three seconds. The shown user is set only if it was empty."""
    record = machine.existing(request.task_id)
    if await machine.settled(record.task_id) is not DomainState.RUNNING:
        raise Refused("Only the running task can change the password")
    user, password = text_of(request.additional, "username"), text_of(request.additional, "password")
    if not password:
        raise Refused("password can not be empty")
    if not user:
        raise Refused("user name can not be empty")
    error = await set_password(machine, record.task_id, user, password, 1)
    if error:
        raise Refused(error)
    record.login_password = password
    if record.login_user in {"", NOT_AVAILABLE}:
        record.login_user = user
    record.save()
    return spaced(OK)


def _identity(machine: Machine, record: Record) -> list[tuple[str, str]]:
    remote = ("rdp_port", record.rdp_port) if record.is_windows else ("ssh_port", record.ssh_port)
    pairs = [
        ("task_id", quoted(record.task_id)),
        ("os", quoted(record.operation_system)),
        ("ssh_ip", quoted(record.public_ip or machine.spec.ip)),
        (remote[0], quoted(str(remote[1]))),
        ("user_name", quoted(record.shown_user)),
        ("login_password", quoted(record.login_password)),
        ("cpu_cores", str(record.cpus)),
        ("gpu_count", str(len(record.gpus))),
        ("mem_size", quoted(format_kib(record.memory, "G"))),
        ("disk_system", quoted(SYSTEM_DISK)),
        ("vnc_port", quoted(str(record.vnc_port))),
        ("vnc_password", quoted(record.vnc_password)),
    ]
    if record.network_name:
        pairs.append(("network_name", quoted(record.network_name)))
    return [*pairs, ("create_time", quoted(record.create_time)), ("desc", quoted(record.desc))]


def _optional(machine: Machine, record: Record) -> list[tuple[str, str]]:
    """Keys that are omitted when empty."""
    pairs = []
    if record.rent_order:
        pairs.append(("rent_order", quoted(record.rent_order)))
    addresses = _addresses(machine, record)
    if addresses:
        pairs.append(("local_address", texts(addresses)))
    if record.disks:
        shown = (
            {"name": name, "size": format_kib(disk.reported_size // 1024, "G"), "source_file": disk.file}
            for name, disk in sorted(record.disks.items())
        )
        pairs.append(("disks", array(fields(disk, ", ") for disk in shown)))
    if record.network_filters:
        pairs.append(("network_filters", texts(record.network_filters)))
    return pairs


def _interface(domain: Domain | None, record: Record) -> str:
    """At most one interface: the domain's last, only if it is a network or a bridge."""
    if domain is None or record.is_pxe or (record.multicast and not record.network_name):
        return "[]"
    name = f"br{record.network_name}" if record.network_name else "default"
    return array([fields({"name": name, "type": "virtio", "mac_address": domain.mac})])


def _addresses(machine: Machine, record: Record) -> list[str]:
    domain = machine.libvirt.find(record.task_id)
    if domain is None or record.is_pxe or not (record.network_name or record.multicast):
        return []
    lan = machine.lan.networks.get(record.network_name)
    if lan is None or not lan.machine_id:
        return []
    first, last = (int(ipaddress.IPv4Address(end)) for end in (lan.ip_start, lan.ip_end))
    if last <= first:
        return []
    offset = int(domain.mac.replace(":", ""), 16) % (last - first)
    return local_addresses(machine, domain, str(ipaddress.IPv4Address(first + 1 + offset)))
