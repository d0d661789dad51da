"""The API's replies as frozen values, in the project's units, and the decoder of them. Pure; no I/O.

A class has the fields of an object by their names on the wire, a dot for an object within. One without a default is
required: a reply without it raises `ShapeError`, which becomes an `Unknown` outcome. Any other is optional, and its
default means that the node sent no value, or an unexpected one. Sizes are GiB as exact fractions. Commands with --json
show the fields in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from types import GenericAlias, UnionType
from typing import Any, NewType, TypeVar, get_args

from msgspec import NODEFAULT, Struct, field
from msgspec.structs import fields

from dbc_iac.api.outcome import ShapeError
from dbc_iac.api.patterns import SEGMENT
from dbc_iac.secret import SecretText

T = TypeVar("T")
Id = NewType("Id", str)
"""An id for the paths of later calls. Any other text is refused here, not at a later call."""

_SCALARS = {str: "text", Id: "an id", int: "an integer", Fraction: "a size", SecretText: "text"}
_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,6}))?([KMGTP])")
_UNITS = {"K": (1, 1024**2), "M": (1, 1024), "G": (1, 1), "T": (1024, 1), "P": (1024**2, 1)}
"""Numerator and denominator of a unit in GiB."""
_MAX_GIB = 1024**3
"""1 EiB: a larger size is an odd value."""
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_SEGMENT = re.compile(SEGMENT)


def read(kind: type[T], reply: object, at: str = "") -> T:
    """A reply, or its member `at`, as text, number, object or `tuple[object, ...]`. Raises ShapeError."""
    if at:
        if not isinstance(reply, dict):
            raise ShapeError("reply is not an object")
        reply = reply.get(at)
    found: T = _value(kind, reply, at or "reply")
    return found


def _value(kind: Any, value: object, what: str) -> Any:
    if kind in _SCALARS:
        return _scalar(kind, value, what)
    if type(kind) is GenericAlias:
        if not isinstance(value, list):
            raise ShapeError(f"{what} is not an array")
        of, name = kind.__args__[0], f"an item of {what}"
        return tuple([_value(of, item, name) for item in value])
    if not isinstance(value, dict):
        raise ShapeError(f"{what} is not an object")
    found = {}
    for name, within, key, of, default in _fields(kind):
        source = value if not within else value.get(within)
        given = source.get(key, default) if source is value or isinstance(source, dict) else default
        if type(given) is of or (given is default and default is not NODEFAULT):
            found[name] = given
        else:
            # Unlike in msgspec.convert an odd optional value makes no list unreadable; an array may only be absent.
            found[name] = _scalar(of, given, key, default) if of in _SCALARS else _value(of, given, key)
    return kind(**found)


def _scalar(kind: Any, value: object, what: str, default: object = NODEFAULT) -> object:
    """The API writes most integers as text."""
    if isinstance(value, str):
        if kind is str or (kind is Id and _SEGMENT.fullmatch(value)):
            return value
        if kind is SecretText:
            return SecretText(value)
        if kind is int and _NUMBER.fullmatch(value):
            return int(value)
        if kind is Fraction and (size := parse_size(value)) is not None:
            return size
    elif kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if default is NODEFAULT:
        raise ShapeError(f"{what} is missing or not {_SCALARS[kind]}")
    return default


def parse_size(value: str) -> Fraction | None:
    """GiB from text such as `7.81G`, `812.5M`, `1T`, up to 1 EiB; exact up to the precision that the node prints."""
    match = _SIZE.fullmatch(value)
    if not match:
        return None
    decimals = match[2] or ""
    times, parts = _UNITS[match[3]]
    size = Fraction(int(match[1] + decimals) * times, 10 ** len(decimals) * parts)
    return size if size <= _MAX_GIB else None


@cache
def _fields(kind: type[Struct]) -> list[tuple[str, str, str, Any, object]]:
    """Of each field: its name, the object that it is in, its name there, its type without None, and its default."""
    found = []
    for one in fields(kind):
        within, _, key = one.encode_name.rpartition(".")
        of = one.type.__args__[0] if isinstance(one.type, UnionType) else one.type
        found.append((one.name, within, key, of, one.default))
    return found


def secrets_of(value: object) -> Iterator[SecretText]:
    """The secrets of a decoded reply, but not of one whose secret is the name of its account."""
    if isinstance(value, SecretText):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from secrets_of(item)
    elif isinstance(value, Struct):
        accounts = {getattr(value, name, "") for name in _ACCOUNTS}
        for name in _secret_fields(type(value)):
            yield from (s for s in secrets_of(getattr(value, name)) if s.reveal() not in accounts)


_ACCOUNTS = ("user_name", "ipmi_username")


@cache
def _secret_fields(kind: type[Struct]) -> tuple[str, ...]:
    """The fields with secrets at any depth."""
    return tuple(one.name for one in fields(kind) if _may_hold_secrets(one.type))


def _may_hold_secrets(kind: Any) -> bool:
    if inner := get_args(kind):
        return any(map(_may_hold_secrets, inner))
    return kind is SecretText or (isinstance(kind, type) and issubclass(kind, Struct) and bool(_secret_fields(kind)))


class CreatedVm(Struct, frozen=True):
    task_id: str


class VmSummary(Struct, frozen=True):
    """One line of the list, which holds the VMs of the authorised wallet only."""

    task_id: Id
    status: str
    desc: str = ""
    create_time: str = ""


class VmDisk(Struct, frozen=True, kw_only=True):
    """A disk as details show it; `size_gib` is exact for whole GiB, except `vda`'s, which is a constant at first."""

    name: str
    size_gib: Fraction | None = field(name="size", default=None)
    source_file: str


class Interface(Struct, frozen=True):
    mac_address: str | None = None


class VmDetails(Struct, frozen=True, kw_only=True):
    """One VM. Only the port of its system is shown, ssh or rdp; `disks` is empty for pxe.

    Changed values are shown at once, also those that take effect only after a cold start.
    """

    task_id: Id
    status: str
    desc: str = ""
    create_time: str = ""
    os: str
    ssh_ip: str = ""
    ssh_port: int | None = None
    rdp_port: int | None = None
    vnc_port: int | None = None
    user_name: str
    login_password: SecretText
    vnc_password: SecretText = SecretText("")
    cpu_cores: int
    gpu_count: int
    mem_size: Fraction | None = None
    network_name: str = ""
    rent_order: str = ""
    local_address: tuple[str, ...] = ()
    disks: tuple[VmDisk, ...] = ()
    network_filters: tuple[str, ...] = ()
    interface: tuple[Interface, ...] = ()


class DiskEntry(Struct, frozen=True):
    """A disk as `/disk/list` shows it: above 1 TiB its size is rounded, and wrong for some; prefer details."""

    name: str
    file: str
    size_gib: Fraction | None = field(name="size", default=None)


class NodeDisk(Struct, frozen=True):
    """A directory of the host that takes disk files."""

    path: str
    size_gib: Fraction = field(name="size")
    free_gib: Fraction = field(name="free")


class StoredImage(Struct, frozen=True):
    """An image file on a node or in an image server. `size_gib` is of the file, and rounded by the node."""

    name: str = field(name="image_name")
    size_gib: Fraction | None = field(name="image_size", default=None)


class NodeHardware(Struct, frozen=True, kw_only=True):
    """A GPU node as `/mining_nodes` shows it to anyone.

    `cpu_cores` are logical cores for rent over `physical_cpus` sockets; `ip` is masked (`*.51.*.142`).
    """

    version: str
    ip: str = "*"
    os: str = ""
    cpu_type: str = field(name="cpu.type", default="")
    cpu_cores: int = field(name="cpu.cores")
    physical_cpus: int = field(name="cpu.physical_cpus")
    gpu_count: int = field(name="gpu.gpu_count")
    gpu_used: int = field(name="gpu.gpu_used")
    mem_size_gib: Fraction = field(name="mem.size")
    mem_free_gib: Fraction = field(name="mem.free")
    disks: tuple[NodeDisk, ...] = field(name="disk_data", default=())
    images: tuple[StoredImage, ...] = ()

    def holding(self, directory: str) -> NodeDisk | None:
        """The data directory that contains a path."""
        above = [d for d in self.disks if directory == d.path or directory.startswith(f"{d.path}/")]
        return max(above, key=lambda d: len(d.path), default=None)


class NodeListing(Struct, frozen=True):
    """A node that a client node has heard of."""

    node_id: str
    name: str = ""
    version: str = ""


class Peer(Struct, frozen=True):
    """A node that another one is connected to; `address` is host and port."""

    node_id: str
    address: str = field(name="addr", default="")


class RentOrder(Struct, frozen=True):
    """An order in the target's cache. `gpu_count` is 0 if the node reports none; `rent_end` is a block number."""

    id: str
    renter: str
    rent_status: str
    rent_end: int | None = None
    gpu_count: int = field(name="gpu_nums", default=0)
    gpu_index: tuple[int, ...] = ()

    @property
    def renting(self) -> bool:
        """Whether the node accepts this order. `waitingVerifying` counts as rented."""
        return self.rent_status in {"renting", "waitingVerifying"}


class LanView(Struct, frozen=True):
    """A virtual LAN as one node knows it. `members` is right only if that node hears its own multicast."""

    network_name: str
    ip_cidr: str
    rent_wallet: str
    members: tuple[str, ...]
    machine_id: str | None = None
    ip_start: str | None = None
    ip_end: str | None = None
    vxlan_vni: str | None = None
    last_use_time: str | None = field(name="lastUseTime", default=None)


def node_hardware(value: object) -> NodeHardware:
    if isinstance(value, dict) and value.get("node_type") == "2":
        raise ShapeError("this is a bare-metal server, not a GPU node")
    return read(NodeHardware, value)


def lan_views(value: object) -> tuple[LanView, ...]:
    """A node answers with an array, a client node's own view is an object around one."""
    return read(tuple[LanView, ...], value, "" if isinstance(value, list) else "networks")


def log_lines(value: object) -> tuple[str, ...]:
    """Log of the node about a VM, with the passwords removed that it contains in the clear."""
    return tuple(_LOGGED_PASSWORD.sub(r"\1\2***", line) for line in read(tuple[str, ...], value, "log_content"))


def without_passwords(lines: tuple[str, ...], details: VmDetails) -> tuple[str, ...]:
    """Log lines with every password of the VM removed."""
    for secret in (details.login_password.reveal(), details.vnc_password.reveal()):
        if len(secret) >= 4 and secret != details.user_name:  # a shorter one would match all over the log
            lines = tuple(line.replace(secret, "***") for line in lines)
    return lines


# A password may contain `, error:`: only the text after the last one, and only of a failure, is shown.
_LOGGED_PASSWORD = re.compile(r"(failed, .*?pwd:).*(?=, error:)|(pwd:|password: ?).*", re.DOTALL)
