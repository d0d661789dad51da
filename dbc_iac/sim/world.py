"""The world file: what exists at the beginning, how fast it is, and what goes wrong. YAML, checked, with defaults.

The smallest world is one machine that somebody rents:

    gpuNodes: [{id: 58fb...7f45, gpus: 4, cpus: 62, memory: 256}]
    wallets: [{name: tenant, seed: ...}]
    orders: {"112": {renter: tenant, machine: 58fb...7f45}}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

VERSION = "0.4.1.8"


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", populate_by_name=True)


class Durations(_Part):
    """How long jobs take, in emulated seconds."""

    create: float = Field(default=16.0, description="from the worker's start to running, with a guest that boots")
    start: float = 2.0
    stop: float = 3.0
    restart: float = 3.0
    forced_restart: float = 8.0
    reset: float = 3.0
    delete: float = 1.0
    disk: float = 0.5
    passwd: float = 3.0


class GuestSpec(_Part):
    """How the guests of a machine behave."""

    agent: bool = Field(default=True, description="false: no guest agent, the account reads N/A")
    dhcp: bool = Field(default=True, description="false: no address for 50 minutes, then create error")
    sets_password: bool = Field(default=True, description="false: the agent refuses to set passwords")


class ImageSpec(_Part):
    """A file in /data. `size` in bytes."""

    name: str
    size: int = 2_000_000_000
    base: str = Field(default="", description="its base image; listed only with a centre that has it")


class GpuNodeSpec(_Part):
    """A GPU machine. Cores and memory are what is left after what the node keeps for itself. Sizes in GiB."""

    id: str
    name: str = "gpu"
    client_nodes: tuple[str, ...] = Field(default=(), description="clients that hear of it; default: all")
    gpus: int = 4
    cpus: int = 62
    sockets: int = 2
    threads: int = 2
    memory: float = 256
    disk: int = 4000
    directories: tuple[str, ...] = Field(default=("/data",), description="data directories of the host")
    ip: str = "203.0.113.7"
    os: str = "Ubuntu 20.04.3 LTS (Focal Fossa) 5.4.0-121-generic GNU/Linux"
    cpu_type: str = "AMD EPYC 7302"
    cpu_hz: str = "2600MHz"
    host_ip: str = Field(default="10.0.0.2", description="address of the host's own network card")
    system_disk: float = Field(default=20.0, description="real size of a system disk, in GiB")
    room: str = Field(default="room", description="machine room: LANs are seen within it")
    hears_lan: bool = Field(default=True, description="false: members of LANs stay empty")
    images: tuple[ImageSpec, ...] = (ImageSpec(name="ubuntu.qcow2"), ImageSpec(name="win10.qcow2"))
    files: tuple[str, ...] = Field(default=(), description="other files in /data, for dataDisk.file")
    passthrough: bool = Field(default=True, description="false: a domain with GPUs cannot be started")
    guest: GuestSpec = Field(default_factory=GuestSpec)
    durations: Durations = Field(default_factory=Durations)


class WalletSpec(_Part):
    """A wallet of the chain, by its seed (64 hex digits) or address."""

    name: str
    seed: str = ""
    address: str = ""


class OrderSpec(_Part):
    """A rent order. `renter` is a wallet's name or an address."""

    renter: str
    machine: str
    status: str = "renting"
    gpus: tuple[int, ...] | None = Field(default=None, description="indexes; default: all of the machine")
    end: int = 2_000_000


class MachineSpec(_Part):
    """A machine's status on the chain, where it is not simply rented because it has an order."""

    status: str = "rented"
    renter: str = Field(default="", description="renter of the machine-level order")
    rent_status: str = "renting"
    orders: tuple[str, ...] = Field(default=(), description="order ids that the chain lists for it")
    end: int = 2_000_000


class ServerSpec(_Part):
    """A server that the manager knows at the beginning."""

    uuid: str
    ip: str
    os: str = ""
    description: str = ""
    ipmi_hostname: str
    ipmi_username: str
    ipmi_password: str
    ipmi_port: int | None = None
    node_private_key: str = ""


class BmcSpec(_Part):
    """A BMC of the machine room."""

    host: str
    port: int = 623
    user: str = "admin"
    password: str = "admin"  # noqa: S105 - of an emulated BMC
    power: Literal["on", "off"] = "off"


class ManagerSpec(_Part):
    """A bare-metal manager, by its private key."""

    seed: str
    name: str = "manager"
    servers: tuple[ServerSpec, ...] = ()


class SessionSpec(_Part):
    """A session id that a target gives to a wallet, or has given before the world begins."""

    target: str = Field(description="node id of the machine or manager")
    wallet: str = Field(description="address")
    id: str
    issued: bool = False


class FaultSpec(_Part):
    """Something that goes wrong with the n-th matching request."""

    op: str = Field(description="operation such as tasks.create, or * for any")
    kind: Literal["time-out", "lost-reply", "late", "drop", "refuse", "offline"]
    nth: int = Field(default=1, ge=1, description="first matching request that it happens to")
    times: int = Field(default=1, ge=1)
    seconds: float = Field(default=60.0, description="of late: how much later it is carried out")
    text: str = Field(default="", description="of refuse: the message; errcode 1")


class WorldSpec(_Part):
    """Everything."""

    seed: int = Field(default=1, description="of all randomness")
    time_scale: float = Field(default=1.0, gt=0, description="emulated seconds in one real second")
    clients: tuple[str, ...] = ("default",)
    image_servers: tuple[str, ...] = ("ID_1",)
    wallets: tuple[WalletSpec, ...] = ()
    gpu_nodes: tuple[GpuNodeSpec, ...] = ()
    orders: dict[str, OrderSpec] = Field(default_factory=dict)
    machines: dict[str, MachineSpec] | None = Field(default=None, description="default: rented, where it has an order")
    managers: tuple[ManagerSpec, ...] = ()
    bmcs: tuple[BmcSpec, ...] = ()
    sessions: tuple[SessionSpec, ...] = ()
    faults: tuple[FaultSpec, ...] = ()
    gossip_seconds: float = Field(default=10.0, description="until a new node is known to clients")


def load_world(path: Path) -> WorldSpec:
    """A world from its file. Raises OSError, yaml.YAMLError, pydantic.ValidationError."""
    value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    return WorldSpec.model_validate(value or {})
