"""Create (`/tasks/start` without an id): every check in the node's order with its texts; then record, disks and job.

The first failing check determines the reply; a refused create has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dbc_iac.emulator.gpu import ids
from dbc_iac.emulator.gpu.capacity import (
    SYSTEM_DISK_GIB,
    Neighbours,
    Topology,
    allocate_cpus,
    allocate_gpus,
    allocate_memory,
    check_port,
    check_public_ip,
    free_disk,
    host_cpus,
    neighbours,
    share_of,
)
from dbc_iac.emulator.gpu.create_job import run_create
from dbc_iac.emulator.gpu.ctext import (
    atoi,
    digits_value,
    is_alphanumeric,
    is_digits,
    is_ipv4,
    is_linux,
    is_windows,
    port_number,
    split,
    text_of,
    texts_of,
)
from dbc_iac.emulator.gpu.lan_requests import attach
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import Refused, fields, spaced
from dbc_iac.emulator.gpu.record import SYSTEM_DISK_BYTES, Disk, Record
from dbc_iac.emulator.gpu.rental import rent_end, rented_indexes
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.gpu.spec import GIB
from dbc_iac.emulator.gpu.timing import stamp
from dbc_iac.emulator.gpu.worker import Job
from dbc_iac.emulator.reply import ProcessDied, Reply

KIB_IN_GIB = 1024 * 1024
_VERIFIER = "verifier"


class _System(Struct, frozen=True):
    operation_system: str
    bios_mode: str
    image_name: str


class _Ports(Struct, frozen=True):
    public_ip: str
    ssh: int
    rdp: int
    vnc: int


async def create(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    await machine.settle()
    record = _new_record(machine, caller, request.additional)
    await machine.clock.sleep(machine.spec.durations.create_answer)
    machine.logs.open(record.task_id)
    machine.records[record.task_id] = record
    machine.rent_ends[caller.wallet] = max(
        machine.rent_ends.get(caller.wallet, 0), rent_end(machine.rentals, caller.rent_order, caller.wallet)
    )
    machine.lan.join(record.network_name, record.task_id)
    machine.worker.push(Job("create", record.task_id, lambda: run_create(machine, record.task_id)))
    shown = {"task_id": record.task_id, "create_time": record.create_time, "desc": record.desc, "status": "creating"}
    return spaced(fields(shown, ", "))


def _new_record(machine: Machine, caller: Caller, requested: Mapping[str, object]) -> Record:
    """Record of a valid new VM. Raises Refused."""
    verifies = caller.role == _VERIFIER
    task_id = _task_id(machine, requested, verifies=verifies)
    others = neighbours(machine)
    gpus, share = _gpus(machine, others, caller, requested)
    system = _system(machine, requested)
    ports = _ports(machine, others, requested, system.operation_system)
    topology = _topology(machine, others, requested, share, verifies=verifies)
    memory = _memory(machine, others, requested, share, verifies=verifies)
    disks = _disks(machine, requested, system, verifies=verifies)
    network_name = text_of(requested, "network_name")
    if network_name:
        attach(machine.lan, network_name)
    multicast = texts_of(requested, "multicast") or []
    _check_multicast(multicast)
    password = ids.password(machine.random)
    return Record(
        task_id=task_id,
        wallet=caller.wallet,
        rent_order=caller.rent_order,
        image_name=system.image_name,
        desc=text_of(requested, "desc"),
        operation_system=system.operation_system,
        bios_mode=system.bios_mode,
        create_time=stamp(machine.clock),
        sockets=topology.sockets,
        cores=topology.cores,
        threads=topology.threads,
        memory=memory,
        gpus=gpus,
        ssh_port=ports.ssh,
        rdp_port=ports.rdp,
        vnc_port=ports.vnc,
        vnc_password=password[:8],  # limit of libvirt 8 and later
        login_password=password,
        root_image=machine.files.root_of(f"/data/{system.image_name}"),
        custom_ports=texts_of(requested, "custom_port") or [],
        multicast=multicast,
        network_name=network_name,
        public_ip=ports.public_ip,
        network_filters=texts_of(requested, "network_filters") or [],
        interface_model_type=_interface_model(requested),
        disks=disks,
    )


def _task_id(machine: Machine, requested: Mapping[str, object], *, verifies: bool) -> str:
    chosen = text_of(requested, "task_id")
    if chosen:
        if not 20 <= len(chosen) <= 22:
            raise Refused("wrong task id length")
        if not is_alphanumeric(chosen):
            raise Refused("task id requires a combination of letters or numbers")
        if chosen in machine.records:
            raise Refused("task id already existed")
    if verifies:
        return f"vm_check_{int(machine.clock.wall().timestamp())}"
    while not chosen or chosen in machine.records:
        chosen = ids.task_id(machine.clock, machine.random)
    return chosen


def _gpus(
    machine: Machine, others: Neighbours, caller: Caller, requested: Mapping[str, object]
) -> tuple[list[str], float]:
    """Bus ids of the GPUs, and the share of cores and memory for them."""
    total = len(machine.gpus)
    verifies = caller.role == _VERIFIER
    indexes = list(range(total)) if verifies else rented_indexes(machine.rentals, caller.rent_order, caller.wallet)
    if not indexes:
        raise Refused("order gpu index is empty")
    count = atoi(text_of(requested, "gpu_count"))
    if count < 0:
        raise Refused("gpu_count is invalid (usage: gpu_count >= 0)")
    if verifies:
        count = total
    if count > len(indexes):
        raise Refused("gpu_count exceeds number of leases")
    share = 1.0
    if caller.rent_order:
        if not total:
            raise Refused("get gpu info failed")
        if len(indexes) != total:
            if count != len(indexes):
                raise Refused("only use the number what you exactly rented")
            share = share_of(count, total)
    gpus = allocate_gpus(machine, others, count, indexes)
    if gpus is None:
        raise Refused("allocate gpu failed")
    return gpus, share


def _system(machine: Machine, requested: Mapping[str, object]) -> _System:
    operation_system = (text_of(requested, "operation_system") or "linux").lower()
    if not is_linux(operation_system) and not is_windows(operation_system):
        raise Refused(f"unsupported operation system: {operation_system} (usage: 'linux' 'windows')")
    bios_mode = (text_of(requested, "bios_mode") or "legacy").lower()
    if bios_mode not in {"legacy", "uefi", "pxe"}:
        raise Refused(f"unsupported bios mode: {bios_mode} (usage: 'legacy(default)'、'uefi'、'pxe')")
    image_name = text_of(requested, "image_name")
    _check_image(machine, image_name)
    if bios_mode != "pxe":
        missing = machine.files.missing_base(f"/data/{image_name}")
        if missing:
            raise Refused(f"image backfile not exist: {missing}")
    return _System(operation_system, bios_mode, image_name)


def _check_image(machine: Machine, name: str) -> None:
    if not name:
        raise Refused("image_name is empty")
    file_name = name.rsplit("/", 1)[-1]
    if not file_name.endswith(".qcow2") or file_name == ".qcow2":
        raise Refused("'image_name' extension name is invalid")
    if not machine.files.exists(f"/data/{name}"):
        raise Refused(f"'image_name' is not exist (path:/data/{name})")
    if name in machine.transfers.downloads or name in machine.transfers.uploads:
        raise Refused(f"'image_name':{name} in downloading or uploading, please try again later")


def _ports(machine: Machine, others: Neighbours, requested: Mapping[str, object], operation_system: str) -> _Ports:
    public_ip = text_of(requested, "public_ip")
    check_public_ip(machine, public_ip)
    ssh_text, rdp_text = text_of(requested, "ssh_port"), text_of(requested, "rdp_port")
    ssh, rdp = port_number(ssh_text), port_number(rdp_text)
    if is_linux(operation_system):
        ssh = _remote_port(others, "ssh_port", ssh_text, public_ip, 22)
    if is_windows(operation_system):
        rdp = _remote_port(others, "rdp_port", rdp_text, public_ip, 3389)
    return _Ports(public_ip, ssh, rdp, _vnc_port(others, text_of(requested, "vnc_port")))


def _remote_port(others: Neighbours, key: str, text: str, public_ip: str, default: int) -> int:
    """Check a port: with a public address any; without one it must be free on the host. The range is not checked."""
    if public_ip:
        return port_number(text) if is_digits(text) else default
    if not text:
        raise Refused(f"{key} is empty")
    if not is_digits(text):
        raise Refused(f"{key} is not digit")
    check_port(others, port_number(text))
    return port_number(text)


def _vnc_port(others: Neighbours, text: str) -> int:
    if not text:
        raise Refused("vnc_port is empty")
    if not is_digits(text):
        raise Refused("vnc_port is not digit")
    port = port_number(text)
    if port < 5900:
        raise Refused("vnc_port is invalid (usage: [5900, 65535])")
    check_port(others, port)
    return port


def _topology(
    machine: Machine, others: Neighbours, requested: Mapping[str, object], share: float, *, verifies: bool
) -> Topology:
    cpus = atoi(text_of(requested, "cpu_cores"))
    if cpus <= 0:
        raise Refused("cpu_cores is invalid")
    topology = allocate_cpus(machine, others, host_cpus(machine.spec).total if verifies else cpus, share)
    if topology is None:
        raise Refused("allocate cpu failed")
    return topology


def _memory(
    machine: Machine, others: Neighbours, requested: Mapping[str, object], share: float, *, verifies: bool
) -> int:
    kib = atoi(text_of(requested, "mem_size")) * KIB_IN_GIB
    if kib <= 0:
        raise Refused("mem_size is invalid")
    if verifies:
        kib = machine.libvirt.free_memory()
    if not allocate_memory(machine, others, kib, share):
        raise Refused("allocate mem failed")
    return kib


def _disks(machine: Machine, requested: Mapping[str, object], system: _System, *, verifies: bool) -> dict[str, Disk]:
    if system.bios_mode == "pxe":
        return {}
    gib = atoi(text_of(requested, "disk_size"))
    if gib <= 0:
        raise Refused("disk_size is invalid (usage: disk_size > 0)")
    free = free_disk(machine.spec)
    if verifies:
        gib = int(free)
    if not 0 < gib <= free:
        raise Refused("allocate disk failed")
    data_file = text_of(requested, "data_file_name")
    if data_file and not machine.files.exists(f"/data/{data_file}"):
        raise Refused(f"data_file_name is not exist, path: /data/{data_file}")
    system_disk = ids.vm_file("/data", "vm", machine.clock, machine.random)
    data_disk = f"/data/{data_file}" if data_file else ids.vm_file("/data", "data", machine.clock, machine.random)
    return {
        "vda": Disk("vda", system_disk, SYSTEM_DISK_BYTES),
        "vdb": Disk("vdb", data_disk, gib * GIB),
    }


def _check_multicast(groups: list[str]) -> None:
    for group in groups:
        parts = split(group, ":")
        if len(parts) != 2:
            raise Refused("multicast format: ip:port")
        address, port = parts
        if not is_ipv4(address):
            raise ProcessDied(f"not an IPv4 address: {address}")  # throws an exception that nothing catches
        if not 224 <= int(address.split(".")[0]) <= 239:
            raise Refused("address is not a multicast address")
        if not is_digits(port) or port.startswith("0") or not 1 <= digits_value(port) <= 65535:
            raise Refused("invalid multicast port")


def _interface_model(requested: Mapping[str, object]) -> str:
    model = text_of(requested, "interface_model_type")
    if model and model not in {"e1000", "rtl8139"}:
        raise Refused("invalid interface model type")
    return model or "virtio"


assert SYSTEM_DISK_BYTES == SYSTEM_DISK_GIB * GIB  # noqa: S101 - one number, two units
