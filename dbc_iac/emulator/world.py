"""World file: initial objects, time scale, faults. YAML, validated, with defaults.

The smallest world is one rented machine:

    gpuNodes: [{id: 58fb...7f45, gpus: 4, cpus: 62, memory: 256}]
    wallets: [{name: tenant, seed: ...}]
    orders: {"112": {renter: tenant, machine: 58fb...7f45}}
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, field_validator, model_validator

from dbc_iac.emulator.gpu.spec import GpuNodeSpec, ImageServerSpec, ImageSpec, Part

VERSION = "0.4.1.8"
DATE = "%Y-%m-%d %H:%M:%S"


def _seed(text: str) -> str:
    """Check a private key; empty if only the address or id is known."""
    if not re.fullmatch("([0-9a-fA-F]{64})?", text):
        raise ValueError("expected 64 hexadecimal digits")
    return text


def _date(text: str) -> str:
    """Check a date. The default is one."""
    try:
        datetime.strptime(text, DATE)
    except ValueError:
        raise ValueError("expected a date such as 2026-01-01 00:00:00") from None
    return text


_Seed = Annotated[str, AfterValidator(_seed)]


class ClientSpec(Part):
    """A client node: an HTTP port that relays requests. A plain text is its name."""

    name: str = "default"
    id: str = Field(default="", description="own node id; default: generated")
    image_servers: tuple[str, ...] | None = Field(default=None, description="ids of known image servers; default: all")
    room: str = Field(default="", description="machine room whose LANs it receives; default: none")
    host_of: str = Field(default="", description="id of a GPU node on the same host, whose files it shares")


class WalletSpec(Part):
    """A wallet of the chain, by its seed (64 hex digits) or address."""

    name: str
    seed: _Seed = ""
    address: str = ""

    @model_validator(mode="after")
    def _known(self) -> WalletSpec:
        if not self.seed and not self.address:
            raise ValueError("a wallet needs a seed or an address")
        return self


class OrderSpec(Part):
    """A rent order. `renter`: name of a wallet, or an address."""

    renter: str
    machine: str
    status: str = "renting"
    gpus: tuple[int, ...] | None = Field(default=None, description="GPU indexes; default: all of the machine")
    gpu_num: int | None = Field(default=None, description="reported number of GPUs; default: number of indexes")
    end: int | None = Field(default=None, description="last block; default: a million blocks from the start")


class MachineSpec(Part):
    """Status of a machine on the chain, if it is not simply rented by an order."""

    status: str = "rented"
    renter: str = Field(default="", description="renter of the machine-level order")
    rent_status: str = "renting"
    orders: tuple[str, ...] | None = Field(
        default=None, description="order ids that the chain reports for it; default: the query fails"
    )
    end: int | None = Field(default=None, description="last block; default: a million blocks from the start")
    verifiers: dict[str, tuple[int, ...]] = Field(
        default_factory=dict, description="verifying wallets, with the first blocks of their windows"
    )


class ServerSpec(Part):
    """An initial server of the manager."""

    uuid: str
    ip: str
    os: str = ""
    description: str = ""
    ipmi_hostname: str
    ipmi_username: str
    ipmi_password: str
    ipmi_port: int | None = None
    node_private_key: str = Field(default="", description="64 hex digits; default: generated")
    node_id: str = Field(default="", description="node id, if the private key is unknown")


class BmcSpec(Part):
    """A BMC of the machine room. Connections to a missing one time out; an unknown host name does not resolve."""

    host: str
    port: int = 623
    user: str = "admin"
    password: str = "admin"  # noqa: S105 - of an emulated BMC
    power: Literal["on", "off"] = "off"
    reachable: bool = Field(default=True, description="false: as if the BMC did not exist")
    seconds: float = Field(default=0.035, description="duration of an answer")
    failure: str = Field(
        default="", description="reply instead of acting; without `Error:` in it the node reports success"
    )


class MaintenanceSpec(Part):
    """Maintenance rounds of the manager, in the thread that serves requests. They power off unrented servers."""

    first: float = Field(default=180.0, description="seconds after its start")
    every: float = Field(default=900.0, description="0: never")
    per_server: float = 3.0


class ManagerSpec(Part):
    """A bare-metal manager, by its private key."""

    seed: _Seed = Field(default="", description="64 hex digits")
    id: str = Field(default="", description="node id, if the private key is unknown")
    name: str = "manager"
    servers: tuple[ServerSpec, ...] = ()
    maintenance: MaintenanceSpec = Field(default_factory=MaintenanceSpec)

    @model_validator(mode="after")
    def _known(self) -> ManagerSpec:
        if not self.seed and not self.id:
            raise ValueError("a manager needs a seed, or an id where its private key is not known")
        return self


class DeepLinkSpec(Part):
    """A DeepLink program connected to its manager. It belongs to every server whose `ip` is its address."""

    ip: str
    device_id: str = "123456789"
    device_password: str = "aAbBcC"  # noqa: S105 - of an emulated device


class SessionSpec(Part):
    """A session id that a target hands to a wallet, or handed out before the start."""

    target: str = Field(description="node id of the machine or manager")
    wallet: str = Field(description="address")
    id: str
    issued: bool = False
    signers: tuple[str, ...] = Field(
        default=(),
        description="addresses whose signatures over it are accepted; default: the wallet; for a multisig: its members",
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
    """A fault of the n-th matching request that a client node relays.

    `time-out`: not executed, 500 after 30 s. `lost-reply`: executed, 500 after 30 s. `late`: executed `seconds` later.
    `slow`: executed, answered `seconds` later. `hang`: not executed, never answered. `refuse`: refused with `text`.
    `offline`: `create node request failed`. The connection breaks: `reset` before execution, `drop` before the answer,
    `cut` within it, `close` after it despite keep-alive. `break`: the image transfer that it starts is interrupted
    after `part` of the file. `freeze`: the GPU node's process stops for `seconds` after its answer; from 30 s on it
    loses libvirt, and queued jobs fail.
    """

    op: str = Field(description="operation such as tasks.create, or * for any")
    kind: FaultKind
    nth: int = Field(default=1, ge=1, description="number of the first matching request that it affects")
    times: int = Field(default=1, ge=1)
    seconds: float = Field(default=60.0, description="of late, slow and freeze")
    part: float = Field(default=0.25, ge=0, lt=1, description="of break: transmitted part of the file")
    text: str = Field(default="", description="of refuse: message, with errcode 1")
    target: str = Field(default="", description="node id; default: any")
    client: str = Field(default="", description="client node; default: any")


class GossipSpec(Part):
    """Discovery of nodes by each other."""

    delay: float = Field(default=10.0, description="seconds until a new or restarted node is reachable")
    expiry: float = Field(default=300.0, description="seconds until a vanished node is forgotten")


class WorldSpec(Part):
    """A world."""

    seed: int = Field(default=1, description="seed of all randomness")
    start: Annotated[str, AfterValidator(_date)] = Field(default="2026-01-01 00:00:00", description="initial date, UTC")
    block: int = Field(
        default=1_000_000,
        description="initial block; one per 6 s. `--listen chain=HOST:PORT` serves it",
    )
    time_scale: float = Field(default=1.0, gt=0, description="emulated seconds per real second")
    restart_seconds: float = Field(default=10.0, description="seconds until a dead process restarts; 0: never")
    gossip: GossipSpec = Field(default_factory=GossipSpec)
    clients: tuple[ClientSpec, ...] = (ClientSpec(),)
    image_servers: tuple[ImageServerSpec, ...] = (
        ImageServerSpec(id="ID_1", images=(ImageSpec(name="ubuntu.qcow2"), ImageSpec(name="win10.qcow2"))),
        ImageServerSpec(id="ID_2"),
    )
    wallets: tuple[WalletSpec, ...] = ()
    gpu_nodes: tuple[GpuNodeSpec, ...] = ()
    orders: dict[str, OrderSpec] = Field(default_factory=dict)
    machines: dict[str, MachineSpec] | None = Field(
        default=None, description="status by machine id; default: rented if it has an order"
    )
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
    """Load a world file. Raises OSError, yaml.YAMLError, pydantic.ValidationError."""
    value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    return WorldSpec.model_validate(value or {})
