"""Initial machine of a node from its part of the world file, with its VMs and LANs."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

from dbc_iac.emulator.gpu import ids
from dbc_iac.emulator.gpu.capacity import Topology, host_cpus, neighbours
from dbc_iac.emulator.gpu.create import KIB_IN_GIB
from dbc_iac.emulator.gpu.create_job import note_creation
from dbc_iac.emulator.gpu.domain import Hypervisor
from dbc_iac.emulator.gpu.files import EMPTY_QCOW2, HostFile, HostFiles
from dbc_iac.emulator.gpu.image_servers import ImageServers
from dbc_iac.emulator.gpu.lan import DEVICE, DHCP, Lan, LanRoom
from dbc_iac.emulator.gpu.lan_requests import address_range
from dbc_iac.emulator.gpu.logs import TaskLogs
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.record import SYSTEM_DISK_BYTES, Disk, Forwards, Record
from dbc_iac.emulator.gpu.rental import Rentals
from dbc_iac.emulator.gpu.spec import GIB, GpuNodeSpec, LanSpec, VmDiskSpec, VmSpec
from dbc_iac.emulator.gpu.states import DomainState, Status
from dbc_iac.emulator.gpu.timing import Clock, stamp
from dbc_iac.emulator.gpu.transfers import Transfers
from dbc_iac.emulator.gpu.worker import Worker

_NEVER_FORWARDED = {Status.CREATING, Status.CREATE_ERROR}


def build_machine(
    spec: GpuNodeSpec,
    *,
    clock: Clock,
    source: random.Random,
    rentals: Rentals,
    room: LanRoom,
    image_servers: ImageServers,
    die: Callable[[], None],
) -> Machine:
    """Machine without VMs: hardware and files."""
    files = HostFiles.of(spec)
    libvirt = Hypervisor(spec, files, clock, source)
    return Machine(
        spec=spec,
        clock=clock,
        random=source,
        rentals=rentals,
        lan=room.table(spec.id, hears=spec.hears_lan, bridges=libvirt.bridges),
        image_servers=image_servers,
        files=files,
        libvirt=libvirt,
        worker=Worker(die),
        transfers=Transfers(spec, clock, files, die),
        logs=TaskLogs(clock),
        die=die,
        gpus=sorted(spec.gpu_pci) or [f"{index + 1:02x}:00.0" for index in range(spec.gpus)],
    )


def place_initial(machine: Machine) -> None:
    for lan in machine.spec.lans:
        place_lan(machine, lan)
    for vm in machine.spec.vms:
        place_vm(machine, vm)
    machine.remember_running()


def place_vm(machine: Machine, spec: VmSpec) -> Record:
    """Add a VM as if it had been created some time ago."""
    record = _record(machine, spec)
    machine.logs.open(record.task_id)
    machine.records[record.task_id] = record
    if spec.network_name:
        machine.lan.join(spec.network_name, record.task_id)
    if spec.domain is None:
        return record
    _place_disks(machine, record)
    domain = machine.libvirt.define(record.task_id, record.definition(), machine.guest_of(record.image_name))
    domain.mac = spec.mac or domain.mac
    if spec.domain is not DomainState.SHUTOFF:
        machine.libvirt.set_state(domain, DomainState.RUNNING)
        domain.address_at = machine.clock.now() if domain.guest.dhcp else None
        machine.libvirt.has_address(domain)
        machine.libvirt.set_state(domain, spec.domain)
    if spec.status not in _NEVER_FORWARDED and not record.is_pxe:
        record.forwards = Forwards(domain.address or "192.168.122.2")
        machine.add_address(record.public_ip)
    note_creation(machine, record, _date(record.create_time) or machine.clock.wall())
    return record


def place_lan(machine: Machine, spec: LanSpec) -> None:
    """Add a LAN hosted by this node or announced to it."""
    first, last = address_range(spec.ip_cidr)
    tap = spec.dhcp_interface or "tap" + "".join(machine.random.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=10))
    here = spec.machine_id in {"", machine.spec.id}
    lan = Lan(
        name=spec.network_name,
        vni=machine.random.randrange(2**24) if spec.vni is None else spec.vni,
        cidr=spec.ip_cidr,
        ip_start=first,
        ip_end=last,
        dhcp_interface=tap,
        machine_id=spec.machine_id or machine.spec.id,
        wallet=spec.wallet,
        used=_date(spec.last_use_time) or machine.clock.wall(),
        heard=machine.clock.now(),
        members=list(spec.members),
        flags=DEVICE | DHCP if here else 0,
    )
    if here:
        machine.lan.host(lan)
    else:
        machine.lan.add_heard(lan)


def topology_for(spec: GpuNodeSpec, cpus: int) -> Topology:
    """Topology with this number of cores, allocated or not."""
    host = host_cpus(spec)
    threads = host.threads if cpus % host.threads == 0 else 1
    return Topology(1, max(1, cpus // threads), threads)


def _record(machine: Machine, spec: VmSpec) -> Record:
    topology = topology_for(machine.spec, spec.cpus)
    return Record(
        task_id=spec.task_id,
        wallet=spec.wallet or machine.rentals.current_renter()[0],
        rent_order=spec.rent_order,
        image_name=spec.image,
        desc=spec.desc,
        operation_system=spec.operation_system,
        bios_mode=spec.bios_mode,
        create_time=spec.create_time or stamp(machine.clock),
        sockets=topology.sockets,
        cores=topology.cores,
        threads=topology.threads,
        memory=spec.memory * KIB_IN_GIB,
        gpus=[gpu for gpu in machine.gpus if gpu not in neighbours(machine).gpus][: spec.gpus],
        ssh_port=spec.ssh_port,
        rdp_port=spec.rdp_port,
        vnc_port=spec.vnc_port,
        vnc_password=spec.vnc_password or spec.password[:8],
        login_password=spec.password,
        root_image=machine.files.root_of(f"/data/{spec.image}"),
        login_user=spec.user,
        custom_ports=list(spec.custom_port),
        multicast=list(spec.multicast),
        network_name=spec.network_name,
        public_ip=spec.public_ip,
        network_filters=list(spec.network_filters),
        status=spec.status,
        disks={} if spec.bios_mode == "pxe" else _disks(machine, spec),
    )


def _disks(machine: Machine, spec: VmSpec) -> dict[str, Disk]:
    disks = spec.disks
    if disks is None:
        disks = (VmDiskSpec(name="vda"), VmDiskSpec(name="vdb", size=spec.disk))
    made = {}
    for disk in disks:
        prefix = "vm" if disk.name == "vda" else "data"
        file = disk.file or ids.vm_file("/data", prefix, machine.clock, machine.random)
        made[disk.name] = Disk(disk.name, file, round(disk.size * GIB))
    return made


def _place_disks(machine: Machine, record: Record) -> None:
    """Size of the system disk's file: that of the image, unless the node reports another, resized one."""
    image = f"/data/{record.image_name}"
    base = machine.files.get(image)
    for name, disk in record.disks.items():
        system = name == "vda"
        size = disk.reported_size
        if system and size == SYSTEM_DISK_BYTES:
            size = base.virtual_size if base is not None else 20 * GIB
        machine.files.put(disk.file, HostFile(EMPTY_QCOW2, size, image if system and base is not None else ""))


def _date(text: str) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if text else None
