"""The API's replies as frozen values, in the project's units. Pure; no I/O.

Sizes are GiB as exact fractions. None means that the node sent no value, or an unexpected one; it is never a
default. A reply without a required value raises `ShapeError`, which becomes an `Unknown` outcome.
"""

from __future__ import annotations

import re
from fractions import Fraction

from msgspec import Struct

from dbc_iac.api.decode import (
    Members,
    identifier,
    maybe_number,
    maybe_secret,
    maybe_size,
    maybe_text,
    members,
    number,
    rows,
    size,
    text,
    texts,
    texts_if_any,
)
from dbc_iac.api.outcome import ShapeError
from dbc_iac.api.secret import SecretText


class VmSummary(Struct, frozen=True):
    """One line of the list, which holds the VMs of the authorised wallet only."""

    task_id: str
    status: str
    desc: str
    create_time: str


class VmDisk(Struct, frozen=True):
    """A disk as details show it; `size_gib` is exact for whole GiB, except `vda`'s, which is a constant at first."""

    name: str
    size_gib: Fraction | None
    source_file: str


class VmDetails(Struct, frozen=True):
    """One VM. Only the port of its system is shown, ssh or rdp; `disks` is empty for pxe.

    Changed values are shown at once, also those that take effect only after a cold start.
    """

    task_id: str
    status: str
    desc: str
    create_time: str
    os: str
    ssh_ip: str
    ssh_port: int | None
    rdp_port: int | None
    vnc_port: int | None
    user_name: str
    login_password: SecretText
    vnc_password: SecretText
    cpu_cores: int
    gpu_count: int
    mem_size: Fraction | None
    network_name: str | None
    rent_order: str | None
    local_address: tuple[str, ...]
    disks: tuple[VmDisk, ...]
    network_filters: tuple[str, ...]
    mac_address: str | None


class DiskEntry(Struct, frozen=True):
    """A disk as `/disk/list` shows it: above 1 TiB its size is rounded, and wrong for some; prefer details."""

    name: str
    file: str
    size_gib: Fraction | None


class NodeDisk(Struct, frozen=True):
    """A directory of the host that takes disk files."""

    path: str
    size_gib: Fraction
    free_gib: Fraction


class NodeImage(Struct, frozen=True):
    name: str
    size_gib: Fraction | None


class NodeHardware(Struct, frozen=True):
    """A GPU node as `/mining_nodes` shows it to anyone.

    `cpu_cores` are logical cores for rent over `physical_cpus` sockets; `ip` is masked (`*.51.*.142`).
    """

    version: str
    ip: str
    os: str
    cpu_type: str
    cpu_cores: int
    physical_cpus: int
    gpu_count: int
    gpu_used: int
    mem_size_gib: Fraction
    mem_free_gib: Fraction
    disks: tuple[NodeDisk, ...]
    images: tuple[NodeImage, ...]

    def holding(self, directory: str) -> NodeDisk | None:
        """The data directory that contains a path."""
        above = [d for d in self.disks if directory == d.path or directory.startswith(f"{d.path}/")]
        return max(above, key=lambda d: len(d.path), default=None)


class NodeListing(Struct, frozen=True):
    """A node that a client node has heard of."""

    node_id: str
    name: str
    version: str


class Peer(Struct, frozen=True):
    """A node that another one is connected to; `address` is host and port."""

    node_id: str
    address: str


class RentOrder(Struct, frozen=True):
    """An order in the target's cache. `gpu_count` is 0 if the node reports none; `rent_end` is a block number."""

    id: str
    renter: str
    rent_status: str
    rent_end: int | None
    gpu_count: int
    gpu_index: tuple[int, ...]

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
    machine_id: str | None
    ip_start: str | None
    ip_end: str | None
    vxlan_vni: str | None
    last_use_time: str | None


class ServerView(Struct, frozen=True):
    """A manager's record of a server. Without the owner's valid signature its secrets are asterisks: see `masked`."""

    node_id: str
    uuid: str
    ip: str
    os: str
    description: str
    ipmi_hostname: str
    ipmi_port: int | None
    ipmi_username: str
    ipmi_password: SecretText
    node_private_key: SecretText
    power_status: str | None
    deeplink_device_id: str | None
    deeplink_device_password: SecretText | None

    @property
    def masked(self) -> bool:
        """The manager did not accept the credentials; it answers with asterisks and errcode 0 nevertheless."""
        shown = (self.node_private_key.reveal(), self.ipmi_username, self.ipmi_password.reveal())
        return any(set(text) == {"*"} for text in shown)


def vm_summaries(value: object) -> tuple[VmSummary, ...]:
    return tuple(_vm_summary(row) for row in rows(value))


def _vm_summary(row: Members) -> VmSummary:
    return VmSummary(
        identifier(row, "task_id"),
        text(row, "status"),
        maybe_text(row, "desc") or "",
        maybe_text(row, "create_time") or "",
    )


def vm_details(value: object) -> VmDetails:
    vm = members(value)
    interfaces = rows(vm.get("interface", []), "interface")
    return VmDetails(
        task_id=identifier(vm, "task_id"),
        status=text(vm, "status"),
        desc=maybe_text(vm, "desc") or "",
        create_time=maybe_text(vm, "create_time") or "",
        os=text(vm, "os"),
        ssh_ip=maybe_text(vm, "ssh_ip") or "",
        ssh_port=maybe_number(vm, "ssh_port"),
        rdp_port=maybe_number(vm, "rdp_port"),
        vnc_port=maybe_number(vm, "vnc_port"),
        user_name=text(vm, "user_name"),
        login_password=SecretText(text(vm, "login_password")),
        vnc_password=SecretText(maybe_text(vm, "vnc_password") or ""),
        cpu_cores=number(vm, "cpu_cores"),
        gpu_count=number(vm, "gpu_count"),
        mem_size=maybe_size(vm, "mem_size"),
        network_name=maybe_text(vm, "network_name") or None,
        rent_order=maybe_text(vm, "rent_order") or None,
        local_address=texts_if_any(vm, "local_address"),
        disks=tuple(
            VmDisk(text(disk, "name"), maybe_size(disk, "size"), text(disk, "source_file"))
            for disk in rows(vm.get("disks", []), "disks")
        ),
        network_filters=texts_if_any(vm, "network_filters"),
        mac_address=maybe_text(interfaces[0], "mac_address") if interfaces else None,
    )


def disk_entries(value: object) -> tuple[DiskEntry, ...]:
    return tuple(DiskEntry(text(row, "name"), text(row, "file"), maybe_size(row, "size")) for row in rows(value))


def node_hardware(value: object) -> NodeHardware:
    node = members(value)
    if node.get("node_type") == "2":
        raise ShapeError("this is a bare-metal server, not a GPU node")
    cpu, gpu, mem = (members(node.get(key), key) for key in ("cpu", "gpu", "mem"))
    return NodeHardware(
        version=text(node, "version"),
        ip=maybe_text(node, "ip") or "*",
        os=maybe_text(node, "os") or "",
        cpu_type=maybe_text(cpu, "type") or "",
        cpu_cores=number(cpu, "cores"),
        physical_cpus=number(cpu, "physical_cpus"),
        gpu_count=number(gpu, "gpu_count"),
        gpu_used=number(gpu, "gpu_used"),
        mem_size_gib=size(mem, "size"),
        mem_free_gib=size(mem, "free"),
        disks=tuple(
            NodeDisk(text(disk, "path"), size(disk, "size"), size(disk, "free"))
            for disk in rows(node.get("disk_data", []), "disk_data")
        ),
        images=tuple(
            NodeImage(text(image, "image_name"), maybe_size(image, "image_size"))
            for image in rows(node.get("images", []), "images")
        ),
    )


def node_listings(value: object, key: str) -> tuple[NodeListing, ...]:
    """`key` is `mining_nodes` or `bare_metal_nodes`."""
    found = rows(members(value).get(key), key)
    return tuple(
        NodeListing(text(row, "node_id"), maybe_text(row, "name") or "", maybe_text(row, "version") or "")
        for row in found
    )


def peers(value: object) -> tuple[Peer, ...]:
    found = rows(members(value).get("peer_nodes"), "peer_nodes")
    return tuple(Peer(text(row, "node_id"), maybe_text(row, "addr") or "") for row in found)


def rent_orders(value: object) -> tuple[RentOrder, ...]:
    return tuple(_rent_order(row) for row in rows(members(value).get("rent_orders"), "rent_orders"))


def _rent_order(row: Members) -> RentOrder:
    indexes = row.get("gpu_index", [])
    gpus = tuple(i for i in indexes if isinstance(i, int)) if isinstance(indexes, list) else ()
    return RentOrder(
        id=text(row, "id"),
        renter=text(row, "renter"),
        rent_status=text(row, "rent_status"),
        rent_end=maybe_number(row, "rent_end"),
        gpu_count=maybe_number(row, "gpu_nums") or 0,
        gpu_index=gpus,
    )


def lan_views(value: object) -> tuple[LanView, ...]:
    """A node answers with an array, a client node's own view is an object around one."""
    found = value if isinstance(value, list) else members(value).get("networks")
    return tuple(lan_view(row) for row in rows(found, "networks"))


def lan_view(value: object) -> LanView:
    lan = members(value)
    return LanView(
        network_name=text(lan, "network_name"),
        ip_cidr=text(lan, "ip_cidr"),
        rent_wallet=text(lan, "rent_wallet"),
        members=texts(lan, "members"),
        machine_id=maybe_text(lan, "machine_id"),
        ip_start=maybe_text(lan, "ip_start"),
        ip_end=maybe_text(lan, "ip_end"),
        vxlan_vni=maybe_text(lan, "vxlan_vni"),
        last_use_time=maybe_text(lan, "lastUseTime"),
    )


def server_views(value: object) -> tuple[ServerView, ...]:
    return tuple(_server_view(row) for row in rows(members(value).get("bare_metal_nodes"), "bare_metal_nodes"))


def _server_view(row: Members) -> ServerView:
    return ServerView(
        node_id=identifier(row, "node_id"),
        uuid=identifier(row, "uuid"),
        ip=text(row, "ip"),
        os=maybe_text(row, "os") or "",
        description=maybe_text(row, "description") or "",
        ipmi_hostname=text(row, "ipmi_hostname"),
        ipmi_port=maybe_number(row, "ipmi_port"),
        ipmi_username=text(row, "ipmi_username"),
        ipmi_password=SecretText(text(row, "ipmi_password")),
        node_private_key=SecretText(text(row, "node_private_key")),
        power_status=maybe_text(row, "power_status"),
        deeplink_device_id=maybe_text(row, "deeplink_device_id"),
        deeplink_device_password=maybe_secret(row, "deeplink_device_password"),
    )


def added_servers(value: object) -> tuple[tuple[str, str], ...]:
    """(node id, uuid) of each added server; sorted by uuid, not in the order of the request."""
    found = rows(members(value).get("bare_metal_nodes"), "bare_metal_nodes")
    return tuple((identifier(row, "node_id"), identifier(row, "uuid")) for row in found)


def log_lines(value: object) -> tuple[str, ...]:
    """Log of the node about a VM, with the passwords removed that it contains in the clear."""
    return tuple(_LOGGED_PASSWORD.sub(r"\1\2***", line) for line in texts(members(value), "log_content"))


def without_passwords(lines: tuple[str, ...], details: VmDetails) -> tuple[str, ...]:
    """Log lines with every password of the VM removed."""
    for secret in (details.login_password.reveal(), details.vnc_password.reveal()):
        if len(secret) >= 4 and secret != details.user_name:  # a shorter one would match all over the log
            lines = tuple(line.replace(secret, "***") for line in lines)
    return lines


# A password may contain `, error:`: only the text after the last one, and only of a failure, is shown.
_LOGGED_PASSWORD = re.compile(r"(failed, .*?pwd:).*(?=, error:)|(pwd:|password: ?).*", re.DOTALL)
