"""Create job: filter, disks, domain, address, forwards, password. Failures are reported in the log only.

A domain that cannot be *defined* leaves a record that no operation can reach; one that cannot be *started* stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime

from dbc_iac.emulator.gpu.domain import LibvirtError
from dbc_iac.emulator.gpu.files import EMPTY_QCOW2, HostFile
from dbc_iac.emulator.gpu.filters import apply_filters
from dbc_iac.emulator.gpu.guest import SET_PASSWORD, set_password, wait_for_address
from dbc_iac.emulator.gpu.logs import LogLine, Place
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.record import NOT_AVAILABLE, Forwards, Record
from dbc_iac.emulator.gpu.spec import GIB
from dbc_iac.emulator.gpu.states import Status

_CLIENT = "vm_client.cpp"
_MANAGER = "TaskManager.cpp"
_FORWARDED = Place(_MANAGER, 2945, "create_task_iptable")
_QCOW2 = "fmt=qcow2 cluster_size=65536 extended_l2=off compression_type=zlib"


async def run_create(machine: Machine, task_id: str) -> None:
    record = machine.records.get(task_id)
    if record is None:
        return
    if not machine.libvirt.connected or not apply_filters(record.network_filters):
        _fail(machine, record, 2853, "create network filter failed")
        return
    if not await _create_domain(machine, record):
        _fail(machine, record, 2861, "create domain failed")
        return
    if not record.is_pxe:
        if not await make_forwards(machine, record):
            settle_status(record, Status.CREATING, Status.CREATE_ERROR)
            machine.logs.error(task_id, Place(_MANAGER, 2875, "process_create_task"), "create task failed")
            return
        await _first_password(machine, record)
    settle_status(record, Status.CREATING, Status.RUNNING)
    machine.logs.info(task_id, Place(_MANAGER, 2923, "process_create_task"), "create task successful")
    machine.remember_running()


async def make_forwards(machine: Machine, record: Record) -> bool:
    """Wait for the guest's address and create the port forwards. False: the domain was destroyed instead."""
    task_id = record.task_id
    address = await wait_for_address(machine, task_id)
    problem = ""
    if not address:
        problem = "get domain local ip failed"
    elif not machine.host_ip:
        problem = "create task iptable failed"
    if problem:
        domain = machine.libvirt.domains.get(task_id)
        if domain is not None:
            await machine.libvirt.destroy(domain)
        machine.logs.error(task_id, Place(_MANAGER, 2873, "process_create_task"), problem)
        return False
    record.forwards = Forwards(address, effective=bool(record.public_ip) or "\n" not in machine.host_ip)
    machine.add_address(record.public_ip)
    machine.logs.info(
        task_id,
        _FORWARDED,
        f"create iptable successful, {_ports(machine, record)}",
    )
    return True


def note_creation(machine: Machine, record: Record, at: datetime) -> None:
    """Log lines of an earlier creation."""
    entries = [*_plan(machine, record)]
    if not record.is_pxe:
        entries += [
            (_in_create(896), f"create vm, cmd: qemu-img create -f qcow2 -F qcow2 -b /data/{record.image_name}")
        ]
        entries += [(_in_create(905), "create data: qemu-img create -f qcow2")]
    entries.append((_in_create(927), _vnc(record)))
    failed = record.status is Status.CREATE_ERROR
    if not failed and not record.is_pxe:
        account = f"user:{record.shown_user}, pwd:{record.login_password}"
        entries.append((_FORWARDED, f"create iptable successful, {_ports(machine, record)}"))
        entries.append((SET_PASSWORD, f"set vm user password successful, {account}"))
    last = (2861, "create domain failed") if failed else (2923, "create task successful")
    entries.append((Place(_MANAGER, last[0], "process_create_task"), last[1]))
    for place, text in entries:
        machine.logs.lines[record.task_id].append(LogLine(at, "info", place, text))


def settle_status(record: Record, own: Status, outcome: Status) -> None:
    """Set the result, only if the status is still the job's own."""
    if record.status is own:
        record.status = outcome


async def _first_password(machine: Machine, record: Record) -> None:
    """Set the password. A failure sets the account to N/A, in memory only."""
    tries = machine.spec.durations.password_polls
    user = record.default_user
    if await set_password(machine, record.task_id, user, record.login_password, tries):
        record.login_user = record.login_password = NOT_AVAILABLE
    else:
        record.login_user = user


async def _create_domain(machine: Machine, record: Record) -> bool:
    task_id, logs = record.task_id, machine.logs
    for place, text in _plan(machine, record):
        logs.info(task_id, place, text)
    await machine.clock.sleep(machine.spec.durations.define)
    _make_disks(machine, record)
    logs.info(task_id, _in_create(927), _vnc(record))
    if not machine.libvirt.connected:
        logs.error(task_id, _in_create(948), "virDomainDefineXML error: Cannot recv data: Connection reset by peer")
        return False
    try:
        domain = machine.libvirt.define(task_id, record.definition(), machine.guest_of(record.image_name))
    except LibvirtError as error:
        logs.error(task_id, _in_create(948), f"virDomainDefineXML error: {error}")
        return False
    try:
        await machine.libvirt.start(domain)
    except LibvirtError as error:
        logs.error(task_id, _in_create(954), f"virDomainCreate error: {error}")
        return False
    return True


def _make_disks(machine: Machine, record: Record) -> None:
    if record.is_pxe:
        return
    image, system_disk, data_disk = f"/data/{record.image_name}", record.disks["vda"], record.disks["vdb"]
    base = machine.files.get(image)
    size = base.virtual_size if base is not None else 0
    machine.files.put(system_disk.file, HostFile(EMPTY_QCOW2, size, image))
    command = f"qemu-img create -f qcow2 -F qcow2 -b {image} {system_disk.file}"
    made = (
        f"Formatting '{system_disk.file}', {_QCOW2} size={size} backing_file={image} "
        "backing_fmt=qcow2 lazy_refcounts=off refcount_bits=16"
    )
    machine.logs.info(record.task_id, _in_create(896), f"create vm, cmd: {command}, result: {made}")
    if machine.files.exists(data_disk.file):
        return
    machine.files.put(data_disk.file, HostFile(EMPTY_QCOW2, data_disk.reported_size))
    command = f"qemu-img create -f qcow2 {data_disk.file} {data_disk.reported_size // GIB}G"
    made = f"Formatting '{data_disk.file}', {_QCOW2} size={data_disk.reported_size} lazy_refcounts=off refcount_bits=16"
    machine.logs.info(record.task_id, _in_create(905), f"create data: {command}, result: {made}")


def _fail(machine: Machine, record: Record, line: int, text: str) -> None:
    settle_status(record, Status.CREATING, Status.CREATE_ERROR)
    machine.logs.error(record.task_id, Place(_MANAGER, line, "process_create_task"), text)


def _in_create(line: int) -> Place:
    return Place(_CLIENT, line, "CreateDomain")


def _plan(machine: Machine, record: Record) -> Iterator[tuple[Place, str]]:
    """Log lines written before the creation starts."""
    name = str(uuid.UUID(int=machine.random.getrandbits(128), version=4))
    yield _in_create(863), "vga_pci: " + "".join(f"{gpu}|" for gpu in record.gpus)
    topology = f"sockets: {record.sockets}, cores: {record.cores}, threads: {record.threads}"
    yield _in_create(870), f"vcpus: {record.cpus}, {topology}"
    yield _in_create(875), f"mem: {record.memory}KB"
    yield _in_create(882), f"uuid: {name}"
    yield _in_create(884), f"bios mode: {record.bios_mode}, operation system: {record.operation_system}"


def _vnc(record: Record) -> str:
    return f"vnc port: {record.vnc_port}, password: {record.vnc_password}"


def _ports(machine: Machine, record: Record) -> str:
    address = record.forwards.local_ip if record.forwards is not None else ""
    return (
        f"host_ip:{machine.host_ip} ssh_port:{record.ssh_port} rdp_port:{record.rdp_port} "
        f"custom_port.size:{len(record.custom_ports)} task_local_ip:{address} public_ip:{record.public_ip}"
    )
