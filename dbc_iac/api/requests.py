"""Request bodies: one frozen class per call, in the names of the wire, that cannot be encoded wrongly. No I/O.

Sizes are whole GiB. The checks here are the last line of defence; the kinds check earlier, with file and line.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from msgspec import field

from dbc_iac.api import patterns
from dbc_iac.api.wire_types import Body, HiddenText, JsonInt, StringInt, Text, TextList, UnsafeWireValue
from dbc_iac.secret import SecretText

__all__ = [
    "BareMetalChange",
    "BareMetalEntry",
    "CreateVm",
    "DeeplinkPassword",
    "DiskAdd",
    "DiskDelete",
    "DiskResize",
    "ImageDelete",
    "ImageDownload",
    "ImageServerFiles",
    "ImageTransfer",
    "ImageUpload",
    "LanCreate",
    "ModifyVm",
    "SetPassword",
    "SnapshotCreate",
    "UnsafeWireValue",
]

_FORWARD = r"(tcp|udp),[0-9]{1,5}(-[0-9]{1,5})?(:[0-9]{1,5}(-[0-9]{1,5})?)?"
_IMAGE_FILE = Text(patterns.IMAGE, form="a *.qcow2 name of letters, digits, _ . and -")
_HOST_PATH = Text(patterns.HOST_DIR, form="an absolute path of letters, digits, _ . and -")
# An unknown protocol, or one of tcp and udp without a port number, ends the node's daemon or the VM's filter.
_FILTER = (
    r"(in|out|inout),(?!(tcp|udp),all,)(all|tcp|udp|icmp|ssh|rdp|http|https|dns\(udp\)|dns\(tcp\)),"
    r"(all|[0-9]{1,5}(-[0-9]{1,5})?),[0-9.]{7,15}/[0-9]{1,2},(accept|drop)"
)


class CreateVm(Body, frozen=True, kw_only=True):
    """`/tasks/start`. `ssh_port` and `rdp_port` may both be given; the node checks only that of the VM's system."""

    task_id: Annotated[str, Text(patterns.TASK_ID)]
    image_name: Annotated[str, Text(patterns.IMAGE)]
    gpu_count: Annotated[int, StringInt(0)]
    cpu_cores: Annotated[int, StringInt(1)]
    mem_size: Annotated[int, StringInt(1)]
    vnc_port: Annotated[int, StringInt(5900, 65535)]
    desc: Annotated[str, Text()] = ""
    operation_system: Annotated[str, Text(r"linux|windows")] = "linux"
    bios_mode: Annotated[str | None, Text(r"legacy|uefi|pxe")] = None
    disk_size: Annotated[int | None, StringInt(1)] = None
    data_file_name: Annotated[str | None, Text(patterns.FILE)] = None
    ssh_port: Annotated[int | None, StringInt(1, 65535)] = None
    rdp_port: Annotated[int | None, StringInt(1, 65535)] = None
    public_ip: Annotated[str, Text()] = ""
    network_name: Annotated[str, Text(r"([A-Za-z0-9]{6,10})?")] = ""
    custom_port: Annotated[tuple[str, ...], TextList(_FORWARD)] = ()
    multicast: Annotated[tuple[str, ...], TextList(r"[0-9.]{7,15}:[1-9][0-9]{0,4}")] = ()
    network_filters: Annotated[tuple[str, ...], TextList(_FILTER)] = ()
    # The node refuses the literal "virtio", its default.
    interface_model_type: Annotated[str | None, Text(r"e1000|rtl8139")] = None

    def check(self) -> None:
        if self.public_ip and (problem := patterns.public_ip_problem(self.public_ip)):
            raise UnsafeWireValue(f"public_ip: {problem}")
        for group in self.multicast:
            _check_group(group)


class ModifyVm(Body, frozen=True, kw_only=True):
    """`/tasks/modify/<id>`.

    `new_public_ip` is required here, for the node takes the public IP away when the key is missing; `""` clears it. At
    most one of the deferred keys a call: of two, one may be refused after the other has changed what is read back.
    """

    new_public_ip: Annotated[str, Text()]
    new_ssh_port: Annotated[int | None, StringInt(1, 65535)] = None
    new_rdp_port: Annotated[int | None, StringInt(1, 65535)] = None
    new_custom_port: Annotated[tuple[str, ...] | None, TextList(_FORWARD)] = None
    new_network_filters: Annotated[tuple[str, ...] | None, TextList(_FILTER)] = None
    new_vnc_port: Annotated[int | None, StringInt(5900, 65535)] = None
    new_gpu_count: Annotated[int | None, StringInt(0)] = None
    new_cpu_cores: Annotated[int | None, StringInt(1)] = None  # below 0 ends libvirtd on the host
    new_mem_size: Annotated[int | None, StringInt(1)] = None

    def check(self) -> None:
        if self.new_public_ip and (problem := patterns.public_ip_problem(self.new_public_ip)):
            raise UnsafeWireValue(f"new_public_ip: {problem}")
        deferred = (self.new_vnc_port, self.new_gpu_count, self.new_cpu_cores, self.new_mem_size)
        if sum(value is not None for value in deferred) > 1:
            raise UnsafeWireValue("modify: at most one of vnc port, GPUs, cores and memory per call")
        if self.new_ssh_port is not None and self.new_ssh_port == self.new_rdp_port:
            raise UnsafeWireValue("modify: ssh and rdp port must differ; the node saves both and then refuses")


class SetPassword(Body, frozen=True, kw_only=True):
    """`/tasks/passwd/<id>`."""

    username: Annotated[str, Text(patterns.USER, form="1-32 letters, digits, _ . and -")]
    password: Annotated[
        SecretText, HiddenText(patterns.PASSWORD, 128, '1-128 printable ASCII characters without " and \\')
    ]


class DiskResize(Body, frozen=True, kw_only=True):
    """`/disk/resize/<id>`: `add_gib` is what is added, not the new size."""

    disk: Annotated[str, Text(r"vd[a-z]")]
    add_gib: Annotated[int, JsonInt(1)] = field(name="size")


class DiskAdd(Body, frozen=True, kw_only=True):
    """`/disk/add/<id>`: the file is made in `mount_dir` on the node's host."""

    size_gib: Annotated[int, JsonInt(1)] = field(name="size")
    mount_dir: Annotated[str, Text(patterns.HOST_DIR)]


class DiskDelete(Body, frozen=True, kw_only=True):
    """`/disk/delete/<id>`: the disk's file goes with it. The node takes the name's current owner."""

    disk: Annotated[str, Text(r"vd[b-z]")]


class LanCreate(Body, frozen=True, kw_only=True):
    """`/lan/create`. An address that does not parse ends the node's process; any prefix length is taken."""

    network_name: Annotated[str, Text(patterns.LAN)]
    ip_cidr: Annotated[str, Text(r"[0-9.]{7,15}/[0-9]{1,2}")]

    def check(self) -> None:
        try:
            prefix = ipaddress.IPv4Network(self.ip_cidr).prefixlen
        except ValueError:
            prefix = 0
        if not 8 <= prefix <= 30:
            raise UnsafeWireValue("ip_cidr: must be an IPv4 network without host bits, with a prefix of 8 to 30")


class BareMetalEntry(Body, frozen=True, kw_only=True):
    """One server of `/bare_metal/add`. The `ipmi_*` texts are pasted into a shell command, unquoted."""

    uuid: Annotated[str, Text(patterns.UUID)]
    ip: Annotated[str, Text(patterns.HOST)]
    ipmi_hostname: Annotated[str, Text(patterns.HOST)]
    ipmi_username: Annotated[str, Text(patterns.IPMI_USER)]
    ipmi_password: Annotated[SecretText, HiddenText(patterns.IPMI_PASSWORD, 16)]
    ipmi_port: Annotated[int | None, JsonInt(1, 65535)] = None
    os: Annotated[str | None, Text(r".+", patterns.MAX_TEXT)] = None
    desc: Annotated[str | None, Text(r".+", patterns.MAX_TEXT)] = None


class BareMetalChange(Body, frozen=True, kw_only=True):
    """`/bare_metal/modify/<node id>`: what is left out stays. An empty text changes nothing, so there is none."""

    uuid: Annotated[str | None, Text(patterns.UUID)] = None
    ip: Annotated[str | None, Text(patterns.HOST)] = None
    ipmi_hostname: Annotated[str | None, Text(patterns.HOST)] = None
    ipmi_username: Annotated[str | None, Text(patterns.IPMI_USER)] = None
    ipmi_password: Annotated[SecretText | None, HiddenText(patterns.IPMI_PASSWORD, 16)] = None
    ipmi_port: Annotated[int | None, JsonInt(1, 65535)] = None
    os: Annotated[str | None, Text(r".+", patterns.MAX_TEXT)] = None
    desc: Annotated[str | None, Text(r".+", patterns.MAX_TEXT)] = None


class SnapshotCreate(Body, frozen=True, kw_only=True):
    """`/snapshot/create/<id>`: exports `vda` to an image server."""

    snapshot_name: Annotated[str, Text(patterns.SEGMENT)]
    image_server: Annotated[str, Text(patterns.NAME)]
    desc: Annotated[str, Text()] = ""


class ImageServerFiles(Body, frozen=True, kw_only=True):
    """`/images`: the image server whose files are listed."""

    image_server: Annotated[str, Text(patterns.NAME)]


class ImageDownload(Body, frozen=True, kw_only=True):
    """`/images/download`. Only files in `/data` can be used, listed and deleted."""

    image_filename: Annotated[str, _IMAGE_FILE]
    image_server: Annotated[str, Text(patterns.NAME)]
    local_dir: Annotated[str, _HOST_PATH] = "/data"


class ImageUpload(Body, frozen=True, kw_only=True):
    """`/images/upload`. By its absolute path: by a file name its progress could not be asked for."""

    image_filename: Annotated[str, _HOST_PATH]
    image_server: Annotated[str, Text(patterns.NAME)]


class ImageTransfer(Body, frozen=True, kw_only=True):
    """The file of a download, or the absolute path of an upload, that is asked about or stopped."""

    image_filename: Annotated[
        str, Text(rf"{patterns.IMAGE}|{patterns.HOST_DIR}", form="a *.qcow2 name or an absolute path")
    ]


class ImageDelete(Body, frozen=True, kw_only=True):
    """`/images/delete`: a file in `/data`."""

    image_filename: Annotated[str, _IMAGE_FILE]


class MonitorServers(Body, frozen=True, kw_only=True):
    """`/monitor/set`: at most two."""

    servers: Annotated[tuple[str, ...], TextList(r"[A-Za-z0-9.-]{1,253}:[1-9][0-9]{0,4}", form="HOST:PORT")]

    def check(self) -> None:
        if len(self.servers) > 2:
            raise UnsafeWireValue("servers: at most two")


class DeeplinkPassword(Body, frozen=True, kw_only=True):
    """`/deeplink/set`. A longer one overruns a buffer of the manager and ends it."""

    device_password: Annotated[SecretText, HiddenText(patterns.DEEPLINK_PASSWORD, patterns.MAX_DEEPLINK)]


def _check_group(group: str) -> None:
    address, _, port = group.partition(":")
    try:
        multicast = ipaddress.IPv4Address(address).is_multicast
    except ValueError:
        multicast = False
    if not multicast or int(port) > 65535:
        raise UnsafeWireValue("multicast: expected ip:port with an IPv4 multicast address")
