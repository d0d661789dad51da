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
from pydantic import Field, field_validator, model_validator

from dbc_iac.emulator.gpu.spec import GpuNodeSpec, ImageServerSpec, ImageSpec, Part

VERSION = "0.4.1.8"


class ClientSpec(Part):
    """A client node: an HTTP port that passes requests on. A text is its name."""

    name: str = "default"
    id: str = Field(default="", description="its own node id; default: made up")
    image_servers: tuple[str, ...] | None = Field(default=None, description="ids it knows; default: all")
    room: str = Field(default="", description="machine room whose LANs it hears of; default: none")
    host_of: str = Field(default="", description="id of a GPU node on the same host: its files are this node's too")


class WalletSpec(Part):
    """A wallet of the chain, by its seed (64 hex digits) or address."""

    name: str
    seed: str = ""
    address: str = ""


class OrderSpec(Part):
    """A rent order. `renter` is a wallet's name or an address."""

    renter: str
    machine: str
    status: str = "renting"
    gpus: tuple[int, ...] | None = Field(default=None, description="indexes; default: all of the machine")
    gpu_num: int | None = Field(default=None, description="number of cards told; default: as many as indexes")
    end: int | None = Field(default=None, description="block; default: a million blocks from now")


class MachineSpec(Part):
    """A machine's status on the chain, where it is not simply rented because it has an order."""

    status: str = "rented"
    renter: str = Field(default="", description="renter of the machine-level order")
    rent_status: str = "renting"
    orders: tuple[str, ...] | None = Field(
        default=None, description="order ids that the chain tells for it; default: no answer to that question"
    )
    end: int | None = Field(default=None, description="block; default: a million blocks from now")
    verifiers: dict[str, tuple[int, ...]] = Field(
        default_factory=dict, description="wallets that may verify it, with the first blocks of their windows"
    )


class ServerSpec(Part):
    """A server that the manager knows at the beginning."""

    uuid: str
    ip: str
    os: str = ""
    description: str = ""
    ipmi_hostname: str
    ipmi_username: str
    ipmi_password: str
    ipmi_port: int | None = None
    node_private_key: str = Field(default="", description="64 hex digits; default: made up")
    node_id: str = Field(default="", description="where the private key is not known")


class BmcSpec(Part):
    """A BMC of the machine room. Where none is connections time out; a host name that is nowhere does not resolve."""

    host: str
    port: int = 623
    user: str = "admin"
    password: str = "admin"  # noqa: S105 - of an emulated BMC
    power: Literal["on", "off"] = "off"
    reachable: bool = Field(default=True, description="false: as if there was no BMC")
    seconds: float = Field(default=0.035, description="how long it takes to answer")
    failure: str = Field(
        default="", description="said instead of acting; without `Error:` in it the node reports success"
    )


class MaintenanceSpec(Part):
    """The manager's own rounds, in the thread that serves requests. They power off servers that nobody rents."""

    first: float = Field(default=180.0, description="seconds after its start")
    every: float = Field(default=900.0, description="0: never")
    per_server: float = 3.0


class ManagerSpec(Part):
    """A bare-metal manager, by its private key."""

    seed: str = Field(default="", description="64 hex digits")
    id: str = Field(default="", description="its node id, where the private key is not known")
    name: str = "manager"
    servers: tuple[ServerSpec, ...] = ()
    maintenance: MaintenanceSpec = Field(default_factory=MaintenanceSpec)

    @model_validator(mode="after")
    def _known(self) -> ManagerSpec:
        if not self.seed and not self.id:
            raise ValueError("a manager needs a seed, or an id where its private key is not known")
        return self


class DeepLinkSpec(Part):
    """A DeepLink program that is connected to its manager. It belongs to every server whose `ip` is that address."""

    ip: str
    device_id: str = "123456789"
    device_password: str = "aAbBcC"  # noqa: S105 - of an emulated device


class SessionSpec(Part):
    """A session id that a target gives to a wallet, or has given before the world begins."""

    target: str = Field(description="node id of the machine or manager")
    wallet: str = Field(description="address")
    id: str
    issued: bool = False
    signers: tuple[str, ...] = Field(
        default=(), description="addresses whose signature over it counts; default: the wallet. Of a multisig: members"
    )


FaultKind = Literal[
    "time-out",
    "lost-reply",
    "late",
    "slow",
    "hang",
    "offline",
    "refuse",
    "reset",
    "drop",
    "cut",
    "close",
    "break",
    "freeze",
]


class FaultSpec(Part):
    """Something that goes wrong with the n-th matching request that a client node passes on.

    `time-out`: not carried out, 500 after 30 s. `lost-reply`: carried out, 500 after 30 s. `late`: carried out only
    `seconds` later. `slow`: carried out, answered `seconds` later. `hang`: not carried out, never answered.
    `offline`: `create node request failed`. `refuse`: refused with `text`. The connection breaks: `reset` before it is
    carried out, `drop` before the answer, `cut` in the middle of it, `close` after it although it was to be kept.
    `break`: the image transfer that it starts breaks off after `part` of the file. `freeze`: the GPU node's process
    stands still for `seconds` after its answer; from 30 s on it has lost libvirt then, and what is queued fails.
    """

    op: str = Field(description="operation such as tasks.create, or * for any")
    kind: FaultKind
    nth: int = Field(default=1, ge=1, description="first matching request that it happens to")
    times: int = Field(default=1, ge=1)
    seconds: float = Field(default=60.0, description="of late, slow and freeze")
    part: float = Field(default=0.25, ge=0, lt=1, description="of break: how much of the file arrives")
    text: str = Field(default="", description="of refuse: the message; errcode 1")
    target: str = Field(default="", description="node id; default: any")
    client: str = Field(default="", description="client node; default: any")


class GossipSpec(Part):
    """How nodes hear of each other."""

    delay: float = Field(default=10.0, description="seconds until a new or restarted node can be reached")
    expiry: float = Field(default=300.0, description="seconds until one that is gone is forgotten")


class WorldSpec(Part):
    """Everything."""

    seed: int = Field(default=1, description="of all randomness")
    start: str = Field(default="2026-01-01 00:00:00", description="date of the beginning, UTC")
    block: int = Field(default=1_000_000, description="of the chain at the beginning; one every 6 s")
    time_scale: float = Field(default=1.0, gt=0, description="emulated seconds in one real second")
    restart_seconds: float = Field(default=10.0, description="until a process that died is started again; 0: never")
    gossip: GossipSpec = Field(default_factory=GossipSpec)
    clients: tuple[ClientSpec, ...] = (ClientSpec(),)
    image_servers: tuple[ImageServerSpec, ...] = (
        ImageServerSpec(id="ID_1", images=(ImageSpec(name="ubuntu.qcow2"), ImageSpec(name="win10.qcow2"))),
        ImageServerSpec(id="ID_2"),
    )
    wallets: tuple[WalletSpec, ...] = ()
    gpu_nodes: tuple[GpuNodeSpec, ...] = ()
    orders: dict[str, OrderSpec] = Field(default_factory=dict)
    machines: dict[str, MachineSpec] | None = Field(default=None, description="default: rented, where it has an order")
    managers: tuple[ManagerSpec, ...] = ()
    bmcs: tuple[BmcSpec, ...] = ()
    deeplinks: tuple[DeepLinkSpec, ...] = ()
    sessions: tuple[SessionSpec, ...] = ()
    faults: tuple[FaultSpec, ...] = ()

    @field_validator("clients", mode="before")
    @classmethod
    def _named_clients(cls, value: Any) -> Any:
        return [{"name": v} if isinstance(v, str) else v for v in value] if isinstance(value, list | tuple) else value


def load_world(path: Path) -> WorldSpec:
    """A world from its file. Raises OSError, yaml.YAMLError, pydantic.ValidationError."""
    value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    return WorldSpec.model_validate(value or {})
