"""Record of a VM in the node's daemon. The libvirt side is in `domain.py`.

Fields change in memory first; `saved_account` survives a restart of the daemon. Data only.
"""

from __future__ import annotations

from msgspec import Struct, field

from dbc_iac.emulator.gpu.ctext import is_linux, is_windows
from dbc_iac.emulator.gpu.domain import Definition
from dbc_iac.emulator.gpu.spec import GIB
from dbc_iac.emulator.gpu.states import Status

SYSTEM_DISK_BYTES = 350 * GIB  # reported size of a system disk, independent of the image
NOT_AVAILABLE = "N/A"


class Disk(Struct):
    """A disk of a VM: device name, file on the host, reported size in bytes."""

    name: str
    file: str
    reported_size: int


class Forwards(Struct):
    """Port forwards; `local_ip`: the guest's address when they were created.

    `effective`: false if the host's address in their rules was no single address, and nothing is forwarded.
    """

    local_ip: str
    effective: bool = True


class Record(Struct):
    """A VM as list and details report it. Memory in KiB; `gpus` are bus ids; ports 0-65535."""

    task_id: str
    wallet: str
    rent_order: str
    image_name: str
    desc: str
    operation_system: str
    bios_mode: str
    create_time: str
    sockets: int
    cores: int
    threads: int
    memory: int
    gpus: list[str]
    ssh_port: int
    rdp_port: int
    vnc_port: int
    vnc_password: str
    login_password: str
    root_image: str
    login_user: str = ""
    custom_ports: list[str] = field(default_factory=list)
    multicast: list[str] = field(default_factory=list)
    network_name: str = ""
    public_ip: str = ""
    network_filters: list[str] = field(default_factory=list)
    interface_model_type: str = "virtio"
    status: Status = Status.CREATING
    forwards: Forwards | None = None
    disks: dict[str, Disk] = field(default_factory=dict)
    saved_account: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        if self.saved_account == ("", ""):
            self.save()

    @property
    def cpus(self) -> int:
        return self.sockets * self.cores * self.threads

    @property
    def is_pxe(self) -> bool:
        return self.bios_mode == "pxe"

    @property
    def is_windows(self) -> bool:
        return is_windows(self.operation_system)

    @property
    def default_user(self) -> str:
        return "dbc" if is_linux(self.operation_system) else "Administrator"

    @property
    def shown_user(self) -> str:
        return self.login_user or self.default_user

    def save(self) -> None:
        """Save the record to the daemon's database: only the account differs between memory and disk."""
        self.saved_account = (self.login_user, self.login_password)

    def definition(self) -> Definition:
        """Domain definition from the record."""
        return Definition(
            sockets=self.sockets,
            cores=self.cores,
            threads=self.threads,
            memory=self.memory,
            vnc_port=self.vnc_port,
            vnc_password=self.vnc_password,
            gpus=tuple(self.gpus),
            disks={name: disk.file for name, disk in self.disks.items()},
            network=self.network_name,
            image=f"/data/{self.image_name}",
            is_pxe=self.is_pxe,
        )
