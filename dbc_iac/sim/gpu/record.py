"""A VM on a node: its record, its domain in the hypervisor, its disks; and a request that reached the node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

DomainState = Literal["none", "off", "running", "paused", "suspended", "crashed"]

WORDS: dict[str, str] = {
    "off": "shut_off",
    "running": "running",
    "paused": "paused",
    "suspended": "suspended",
    "crashed": "crashed",
}
"""The hypervisor's states in the words of refusals."""


@dataclass(frozen=True, slots=True)
class Request:
    """What reached the node: path segments after the operation, query, and `additional`."""

    path: tuple[str, ...] = ()
    query: dict[str, str] = field(default_factory=dict)
    additional: dict[str, Any] = field(default_factory=dict)

    def text(self, key: str) -> str | None:
        """A member that is a JSON string; anything else is as if it were not there."""
        value = self.additional.get(key)
        return value.split("\0", 1)[0] if isinstance(value, str) else None

    def texts(self, key: str) -> list[str] | None:
        value = self.additional.get(key)
        return [v for v in value if isinstance(v, str)] if isinstance(value, list) else None


@dataclass(slots=True)
class Disk:
    """A disk file. `kib` is its size; `shown` what is told until it is resized (the system disk's constant)."""

    name: str
    file: str
    kib: int
    shown: int | None = None


@dataclass(slots=True)
class Vm:
    """A VM's record. `cores`, `memory` (KiB) and `gpus` are what is told; `domain` is what the hypervisor has."""

    id: str
    wallet: str
    desc: str
    created: str
    os: str
    bios: str
    image: str
    rent_order: str
    gpus: list[int]
    cores: int
    memory: int
    ssh_port: int
    rdp_port: int
    vnc_port: int
    public_ip: str
    network: str
    filters: list[str]
    forwards: list[str]
    multicast: list[str]
    user: str
    password: str
    status: str = "creating"
    domain: DomainState = "none"
    disks: list[Disk] = field(default_factory=list)
    mac: str = ""
    forwarded: bool = False
    data_file: str = ""
    nic: str = "virtio"
    log: list[str] = field(default_factory=list)

    @property
    def windows(self) -> bool:
        return "win" in self.os

    @property
    def pxe(self) -> bool:
        return self.bios == "pxe"

    @property
    def holds_gpus(self) -> bool:
        """GPUs are held by every record whose domain is not shut off, also by one without a domain."""
        return self.domain != "off"

    @property
    def runs(self) -> bool:
        return self.domain in {"running", "paused"}
