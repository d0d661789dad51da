"""Spec of a VirtualMachine with the rule of each field. A test compares it with docs/kinds.md line by line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec.structs import replace
from pydantic import ConfigDict, Field, model_validator

from dbc_iac.address import Address
from dbc_iac.api import patterns
from dbc_iac.json import Json
from dbc_iac.kinds.framework.inventory import Inventory
from dbc_iac.kinds.framework.rules import (
    Behaviour,
    Rule,
    access,
    attached_is_create_only,
    create_only,
    no_pxe,
    offline,
    once,
    online,
    replaced,
    reported_on_linux,
    reported_on_windows,
    whole_machine,
)
from dbc_iac.kinds.framework.spec import Part, Reference, Sent, Spec
from dbc_iac.kinds.framework.types import (
    Auto,
    Cpus,
    Description,
    FileName,
    FirewallRule,
    Flag,
    Forward,
    GiB,
    Gpus,
    IpAddress,
    MulticastGroup,
    Order,
    Port,
    TaskId,
    Token,
    UserName,
    VncPort,
    parse_gib,
)
from dbc_iac.kinds.images.files import UNKNOWN_IMAGE
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.manifest.validators import SecretForm

_PASSWORD = SecretForm(
    patterns.PASSWORD, '1-128 printable ASCII characters without " and \\', "Choose another password.", 128
)
_sized = Rule(Behaviour.COLD_BOOT, given=(whole_machine,))
_hidden = Rule(Behaviour.REPLACE, not_reported=True)
_replaced = Rule(Behaviour.REPLACE, no_effect_with_pxe=True)
_data_size = Rule(Behaviour.OFFLINE, grow_only=True, no_effect_with_pxe=True, given=(attached_is_create_only,))
_port = Rule(Behaviour.ONLINE, no_clear=True, host_port=True)
_list = Rule(Behaviour.ONLINE, whole_list=True, no_effect_with_pxe=True, given=(no_pxe,))
_public_ip = Rule(Behaviour.ONLINE, inferred=True, no_effect_with_pxe=True, given=(no_pxe,))
_account = Rule(Behaviour.RUNNING, no_clear=True, no_effect_with_pxe=True)


class DataDisk(Part):
    """The first data disk. With `file` an existing file in /data is attached, and deleted with the VM."""

    size: Annotated[GiB, _data_size, Sent("disk_size", parse_gib)] = Field(description="size in GiB; may grow")
    file: Annotated[FileName | None, _replaced, Sent("data_file_name")] = Field(
        default=None, description="an existing file in /data; deleted together with the VM"
    )


class Ports(Part):
    """Host ports. `auto` takes one from the node's `portRange` and keeps it."""

    ssh: Annotated[Port | Auto | None, replace(_port, given=(no_pxe, reported_on_linux)), Sent("ssh_port")] = Field(
        default=None,
        description="host port for ssh in the guest; on linux also required with biosMode pxe",
    )
    rdp: Annotated[Port | Auto | None, replace(_port, given=(no_pxe, reported_on_windows)), Sent("rdp_port")] = Field(
        default=None,
        description="host port for rdp in the guest; on windows also required with biosMode pxe",
    )
    vnc: Annotated[VncPort | Auto, Rule(Behaviour.COLD_BOOT, host_port=True), Sent("vnc_port")] = Field(
        description="host port of the VM's screen, 5900-65535"
    )
    forward: Annotated[tuple[Forward, ...], replace(_list, not_reported=True, host_port=True), Sent("custom_port")] = (
        Field(default=(), description="more port forwards, such as tcp,8080:80")
    )

    @property
    def numbers(self) -> dict[str, int | str | None]:
        """The single ports by path."""
        return {"ports.ssh": self.ssh, "ports.rdp": self.rdp, "ports.vnc": self.vnc}


class Login(Part):
    """The account whose password is set through the guest agent. Without `password` neither is managed."""

    username: Annotated[
        UserName | None,
        replace(_account, unreliable=True, not_reported=True),
    ] = Field(default=None, description="default: dbc, or Administrator on windows; another one needs `password`")
    password: Annotated[SecretRef | None, replace(_account, secret=True), _PASSWORD] = Field(
        default=None, description=_PASSWORD.words
    )


_LOGIN = Login()
"""Shared by all VMs without one: it is frozen."""
_MADE_OF = ("image", "gpus", "cpus", "memory", "ports")
_EXTERNAL: dict[str, Json] = {"image": UNKNOWN_IMAGE, "gpus": 0, "cpus": 1, "memory": "1Gi", "ports": {"vnc": "auto"}}


def _required_unless_external(schema: dict[str, Any]) -> None:
    """JSON Schema: the fields of a creation are required, or `external` and `id`."""
    schema["required"] = [name for name in schema["required"] if name not in _MADE_OF]
    external = {"properties": {"external": {"const": True}}, "required": ["external", "id"]}
    schema["anyOf"] = [{"required": list(_MADE_OF)}, external]


class VirtualMachineSpec(Spec):
    """A virtual machine."""

    model_config = ConfigDict(json_schema_extra=_required_unless_external)

    node: Annotated[str, replaced, Reference("Node")] = Field(description="name of the Node it runs on")
    rent_order: Annotated[Order | None, offline] = Field(default=None, description="default: the Node's")
    description: Annotated[Description, create_only] = Field(default="", description="free text")
    image: Annotated[str, _hidden, Reference("Image", unless=".qcow2"), Sent("image_name")] = Field(
        description="a *.qcow2 file in the node's /data, or the name of an Image"
    )
    os: Annotated[Literal["linux", "windows"], replaced, Sent("operation_system")] = "linux"
    bios_mode: Annotated[Literal["legacy", "uefi", "pxe"] | None, _hidden, Sent("bios_mode")] = Field(
        default=None, description="default: legacy on linux, uefi on windows"
    )
    gpus: Annotated[Gpus, _sized, Sent("gpu_count")] = Field(description="number of GPUs")
    cpus: Annotated[Cpus, _sized, Sent("cpu_cores")] = Field(description="number of CPU cores")
    memory: Annotated[GiB, _sized, Sent("mem_size", parse_gib)] = Field(description="memory in GiB")
    data_disk: DataDisk | None = Field(default=None, description="required unless biosMode is pxe")
    ports: Ports
    public_ip: Annotated[IpAddress | None, _public_ip, Sent("public_ip")] = None
    network: Annotated[str | None, _replaced, Reference("Network", by_id=True)] = Field(
        default=None, description="name of a Network"
    )
    multicast: Annotated[tuple[MulticastGroup, ...], replace(_hidden, no_effect_with_pxe=True), Sent("multicast")] = ()
    firewall: Annotated[tuple[FirewallRule, ...], _list, Sent("network_filters")] = ()
    nic_model: Annotated[Literal["virtio", "e1000", "rtl8139"], _hidden] = Field(
        default="virtio", description="only with biosMode pxe"
    )
    login: Login = Field(default_factory=lambda: _LOGIN)
    power: Annotated[Literal["on", "off", "unmanaged"], online] = "on"
    restart_on: Annotated[Token | dict[str, Token] | None, once] = Field(
        default=None, description="a changed value powers the VM off and on once"
    )
    external: Annotated[Flag, access] = Field(default=False, description="must exist; is never changed")
    id: Annotated[TaskId | None, access] = Field(default=None, description="task id of an external VM")

    @model_validator(mode="before")
    @classmethod
    def _complete_external(cls, given: object) -> object:
        """Fill in the fields that an external VM need not have."""
        if isinstance(given, dict) and given.get("external") is True:
            return {**_EXTERNAL, **given}
        return given

    @property
    def first_account(self) -> str:
        """The account of an image of this system, whose password the node generates at creation."""
        return "Administrator" if self.os == "windows" else "dbc"


def vm_of(name: str, inventory: Inventory) -> VirtualMachineSpec:
    """The spec of the VM that a disk or snapshot names."""
    spec = inventory.resources[Address.of("VirtualMachine", name)].spec
    assert isinstance(spec, VirtualMachineSpec)  # noqa: S101 - the reference was checked
    return spec
