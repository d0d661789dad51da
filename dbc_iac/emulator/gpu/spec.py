"""GPU node part of a world file: hardware, files, guests, durations of jobs, initial objects.

Data only; sizes are GiB and durations emulated seconds unless a field says otherwise. Keys are camelCase in the file.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dbc_iac.emulator.gpu.states import DomainState, Status

MIB = 1024**2
GIB = 1024**3


class Part(BaseModel):
    """Common rules: camelCase keys, unknown keys refused, finite numbers, values never change."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", populate_by_name=True, frozen=True, allow_inf_nan=False
    )


class Durations(Part):
    """Durations of the node's operations, in emulated seconds. Defaults are measurements of one real machine."""

    answer: float = Field(default=0.01, description="request with a chain query")
    look: float = Field(default=0.003, description="request without one: LAN lists, node information, orders")
    create_answer: float = Field(default=0.025, description="additional duration of a create request, after its checks")
    forwards: float = Field(default=0.2, description="rebuilding port forwards inside a modify")
    define: float = Field(default=0.02, description="from the start of a create job until its domain is defined")
    start: float = Field(default=1.8, description="starting a domain; requests about it wait meanwhile")
    start_failure: float = Field(default=0.005, description="a domain start that libvirt refuses")
    stop: float = Field(default=2.3, description="destroying a domain; requests about it wait meanwhile")
    undefine: float = Field(default=0.002, description="the rest of a delete")
    wake: float = Field(default=0.5, description="waking a suspended domain")
    reboot: float = Field(default=0.05, description="asking a guest to reboot, or pressing its reset button")
    poll: float = Field(
        default=3.0, description="interval between polls for a DHCP address or a guest agent; passwd too"
    )
    address_polls: int = Field(default=1000, description="polls for an address before the node gives up")
    restart_polls: int = Field(default=300, description="polls after which it power-cycles the domain")
    password_polls: int = Field(default=100, description="attempts to set the first password")
    forced_pause: float = Field(default=3.0, description="pause between stop and start of a forced restart")
    disk: float = Field(default=0.15, description="adding, growing or removing a disk")
    snapshot: float = Field(default=0.02, description="converting an empty system disk")
    snapshot_rate: float = Field(default=200_000_000.0, description="bytes of the system disk converted per second")
    image_server: float = Field(default=0.19, description="a list of an image server")
    transfer_minimum: float = Field(default=0.25, description="minimum duration of an image transfer")
    transfer_failure: float = Field(default=0.05, description="a failing transfer")
    transfer_tick: float = Field(default=3.0, description="interval between polls of running transfers")
    network: float = Field(default=0.09, description="scripts that create or remove a LAN")
    prune: float = Field(default=900.0, ge=300, description="interval between searches for ended rentals")
    prune_busy: float = Field(default=10.0, description="interval while jobs are queued")
    foreign_round: float = Field(default=2.0, description="one of ten waits for unknown domains to disappear")


class GuestSpec(Part):
    """Behaviour of guests: of a node, or of one image (`images[].guest`)."""

    starts: bool = Field(default=True, description="false: libvirt refuses to start the domain")
    start_error: str = Field(
        default="internal error: qemu unexpectedly closed the monitor", description="libvirt's error text"
    )
    defines: bool = Field(default=True, description="false: libvirt refuses the definition; create leaves no domain")
    dhcp: bool = Field(default=True, description="false: the guest never gets an address (50 minutes, create error)")
    boot_seconds: float = Field(default=9.0, description="from power-on until the host knows its address")
    agent: bool = Field(default=True, description="false: no guest agent; the account reads N/A after 5 minutes")
    sets_password: bool = Field(default=True, description="false: the agent fails to set passwords")
    users: tuple[str, ...] | None = Field(default=None, description="accounts with passwords; default: any")
    agent_error: str = Field(
        default="internal error: unable to execute QEMU agent command 'guest-set-user-password': "
        "child process has failed to set user password",
        description="error text of the agent",
    )
    reboots: bool = Field(default=True, description="false: it ignores a graceful restart")


class ImageSpec(Part):
    """A qcow2 file; its sizes are in bytes."""

    name: str
    size: int = Field(default=2_000_000_000, description="size of the file, in bytes")
    virtual_size: int = Field(default=20 * GIB, description="size of its virtual disk, in bytes")
    base: str = Field(default="", description="path of its backing file")
    guest: GuestSpec | None = Field(default=None, description="behaviour of guests created from it")


class DataDirectory(Part):
    """A data disk of the host, as reported by node information."""

    path: str = "/data"
    type: Literal["SSD", "HDD"] = "SSD"
    size: float = 4000.0
    free: float | None = Field(default=None, description="default: all but the 350 GiB kept in /data")


class VmDiskSpec(Part):
    """A disk of an initial VM."""

    name: str
    file: str = Field(default="", description="full path on the host; default: generated")
    size: float = Field(default=350.0, description="reported size in GiB")


class VmSpec(Part):
    """An initial VM."""

    task_id: str
    wallet: str = Field(default="", description="renter's address; default: the machine-level renter")
    rent_order: str = ""
    create_time: str = Field(default="", description="YYYY-MM-DD hh:mm:ss; default: now")
    desc: str = ""
    status: Status = Status.RUNNING
    domain: DomainState | None = Field(default=DomainState.RUNNING, description="null: no domain")
    image: str = "ubuntu.qcow2"
    operation_system: str = "linux"
    bios_mode: str = "legacy"
    gpus: int = 0
    cpus: int = 1
    memory: int = 1
    disk: int = Field(default=10, description="GiB of vdb")
    disks: tuple[VmDiskSpec, ...] | None = Field(default=None, description="all; default: vda, and vdb of `disk`")
    mac: str = Field(default="", description="MAC address; default: generated")
    ssh_port: int = 0
    rdp_port: int = 0
    vnc_port: int = 5900
    public_ip: str = ""
    network_name: str = ""
    network_filters: tuple[str, ...] = ()
    custom_port: tuple[str, ...] = ()
    multicast: tuple[str, ...] = ()
    user: str = ""
    password: str = "emulated1234567"  # noqa: S105 - of an emulated guest
    vnc_password: str = Field(default="", description="default: the first eight letters of the password")


class LanSpec(Part):
    """An initial LAN of this node's table."""

    network_name: str
    ip_cidr: str
    wallet: str
    machine_id: str = Field(default="", description="id of the hosting node; default: this one")
    members: tuple[str, ...] = ()
    vni: int | None = None
    dhcp_interface: str = ""
    last_use_time: str = Field(default="", description="YYYY-MM-DD hh:mm:ss; default: now")


class GpuNodeSpec(Part):
    """A GPU machine. Cores and memory exclude the part that the node reserves.

    (A real node reserves one core per socket and, above 64 GiB, 32 GiB: set `hostMemory` to have it subtracted.)
    """

    id: str
    name: str = "gpu"
    version: str = "0.4.1.8"
    client_nodes: tuple[str, ...] = Field(default=(), description="clients that know the node; default: all")
    gpus: int = 4
    gpu_pci: tuple[str, ...] = Field(default=(), description="bus ids such as 01:00.0; default: generated")
    cpus: int = Field(default=62, description="logical cores offered")
    sockets: int = 1
    threads: int | None = Field(default=None, description="threads per core; default: 2 if the numbers allow it")
    memory: float = 256.0
    host_memory: float | None = Field(
        default=None, description="memory of the host, including the 32 GiB that the node reserves"
    )
    memory_used: float = Field(default=1.0, description="memory used by the host itself")
    disk: float = Field(default=4000.0, description="size of /data")
    data: tuple[DataDirectory, ...] = Field(default=(), description="data disks; default: /data of `disk`")
    directories: tuple[str, ...] = Field(default=(), description="further directories on the host")
    ip: str = Field(default="203.0.113.7", description="public address as detected by the node; may be empty")
    host_ip: str = Field(
        default="10.0.0.2", description="address of the default route's interface; empty: create fails"
    )
    os: str = "Ubuntu 20.04.3 LTS (Focal Fossa) 5.4.0-121-generic GNU/Linux"
    cpu_type: str = "AMD EPYC 7302 16-Core Processor"
    cpu_hz: str = "3000MHz"
    room: str = Field(default="room", description="machine room, within which LANs are visible")
    hears_lan: bool = Field(
        default=True, description="false: it does not receive its own multicast, members stay empty"
    )
    images: tuple[ImageSpec, ...] = (ImageSpec(name="ubuntu.qcow2"), ImageSpec(name="win10.qcow2"))
    files: tuple[str, ...] = Field(default=(), description="other files: names in /data, or full paths")
    passthrough: bool = Field(default=True, description="false: a domain with GPUs cannot be started")
    passthrough_error: str = "unsupported configuration: host doesn't support passthrough of host PCI devices"
    uploads_end_process: bool = Field(
        default=True,
        description="the process crashes at the end of a plain upload: one build of 0.4.1.8 always did, another never",
    )
    uninitialised_size: int = Field(default=32654, description="GiB of a disk added with a size that is no integer")
    guest: GuestSpec = Field(default_factory=GuestSpec)
    durations: Durations = Field(default_factory=Durations)
    vms: tuple[VmSpec, ...] = ()
    lans: tuple[LanSpec, ...] = ()


class ImageServerSpec(Part):
    """An rsync server with images, known to client nodes by its id."""

    id: str
    images: tuple[ImageSpec, ...] = ()
    reachable: bool = Field(default=True, description="false: lists are empty, with errcode 0")
    fail_seconds: float = Field(
        default=0.2, description="seconds until a list of an unreachable image server fails; up to 600 on real nodes"
    )
    bytes_per_second: float = 450_000_000.0
