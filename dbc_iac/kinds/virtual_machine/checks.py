"""Checks of a VirtualMachine by the manifests alone, mainly of fields that the node would silently ignore."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator

from dbc_iac.address import Address
from dbc_iac.api import patterns
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.spec import spec_fields
from dbc_iac.kinds.framework.types import forward_ranges
from dbc_iac.kinds.images.files import SUFFIX
from dbc_iac.kinds.node import auto_ports, no_free_port
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec

VmResource = Resource[VirtualMachineSpec]


def check(resource: VmResource, inventory: Inventory) -> Iterator[Diagnostic]:
    """Every problem of one VM. Fields of an external one are not sent, and not checked."""
    spec = resource.spec
    if not spec.external:
        yield from _fields(resource)
        yield from _ports(resource, inventory)
    if spec.public_ip is not None:
        yield from _same_public_ip(resource, inventory)
    if spec.network is not None:
        yield from _cut_off_by_lan(resource, inventory)
    image = None if spec.image.endswith(SUFFIX) else inventory.find("Image", spec.image)
    if image is not None and getattr(image.spec, "node", "") != spec.node:
        yield resource.problem(
            "wrong-node",
            "image",
            f"{image.address} is a file on {getattr(image.spec, 'node', '')}, not on {spec.node}",
            remedy="Add an Image for this node.",
        )
    if spec.external != (spec.id is not None):
        yield from _task_id(resource)


def _fields(vm: VmResource) -> Iterator[Diagnostic]:
    """Fields that the node would refuse or ignore."""
    spec = vm.spec
    if spec.image.endswith(SUFFIX) and not re.fullmatch(patterns.IMAGE, spec.image):
        yield vm.problem(
            "invalid-image",
            "image",
            "an image name is made of at most 128 letters, digits, _ . and -",
            detail="The node pastes the name into shell commands.",
            remedy="Rename the image file.",
        )
    if "[dbc-iac:" in spec.description:
        yield vm.problem(
            "reserved-text", "description", "a description must not contain [dbc-iac:", remedy="Remove that text."
        )
    if len(spec.firewall) > 1:
        yield from _firewall_order(vm)
    if spec.bios_mode == "uefi" and spec.os == "linux":
        yield vm.problem(
            "ignored-by-node",
            "biosMode",
            "biosMode uefi has no effect with os linux",
            detail="The node accepts biosMode uefi for a linux VM, but boots it in legacy mode.",
            remedy="Remove biosMode, or set os: windows.",
        )
    if spec.bios_mode == "pxe":
        yield from _pxe(vm)
        return
    if spec.data_disk is None:
        yield vm.problem("missing-field", "", "dataDisk is required", remedy="Add `dataDisk: {size: 100Gi}`.")
    if spec.nic_model != "virtio":
        yield vm.problem(
            "ignored-by-node",
            "nicModel",
            "nicModel has an effect only with biosMode pxe",
            remedy="Remove nicModel.",
        )
    if spec.login.username not in (None, spec.first_account) and spec.login.password is None:
        yield vm.problem(
            "missing-field",
            "login.username",
            f"login.username {spec.login.username} has no effect without login.password",
            detail=f"The image has the account {spec.first_account}; another account "
            "is used only to set its password, and must exist in the image.",
            remedy="Add `password: {env: NAME}` below login, or remove username.",
        )


def _task_id(vm: VmResource) -> Iterator[Diagnostic]:
    """Only an external VM has an `id`: the ids of managed VMs are derived."""
    if vm.spec.external and vm.spec.id is None:
        yield vm.problem("missing-field", "external", "an external VM needs its task id", remedy="Add `id: TASK_ID`.")
    if vm.spec.id is not None and not vm.spec.external:
        yield vm.problem(
            "ignored-field",
            "id",
            "id is for external VMs only",
            detail="The id of a managed VM is derived. `dbc-iac import` binds an existing VM.",
            remedy="Remove id, or write `external: true`.",
        )


def _same_public_ip(vm: VmResource, inventory: Inventory) -> Iterator[Diagnostic]:
    """The node refuses a public IP of another of its VMs; on several nodes it would lead to one VM at most."""
    for other in inventory.before(vm, _public_ip)[:1]:
        yield vm.problem(
            "duplicate-identity",
            "publicIp",
            f"{other.address} has the public address {vm.spec.public_ip} already",
            remedy="Give each VM its own.",
        )


def _public_ip(vm: VmResource, inventory: Inventory) -> Hashable:
    return vm.spec.public_ip


def _lan_and_machine(vm: VmResource, inventory: Inventory) -> Hashable:
    return vm.spec.network, _machine(vm.spec.node, inventory)


def _cut_off_by_lan(vm: VmResource, inventory: Inventory) -> Iterator[Diagnostic]:
    """A node that does not host a LAN loses track of the LAN's bridge: the next VM there removes it."""
    host = inventory.find("Network", vm.spec.network or "")
    if host is None or _machine(getattr(host.spec, "via", ""), inventory) == _machine(vm.spec.node, inventory):
        return
    others = inventory.before(vm, _lan_and_machine)
    if others:
        who = others[0].address if len(others) == 1 else f"{others[0].address} and {len(others) - 1} more"
        yield vm.problem(
            "cuts-lan",
            "network",
            f"starting this VM can cut {who} off {host.address}",
            detail="On a node that does not host the LAN, a second VM fails and removes the bridge of the first.",
            remedy=f"Use the node of {host.address}, one VM on each other node, or another Network for each VM.",
            severity=Severity.WARNING,
        )


def _machine(node: str, inventory: Inventory) -> str:
    found = inventory.find("Node", node)
    return str(getattr(found.spec, "id", "")) if found is not None else ""


def _ports(vm: VmResource, inventory: Inventory) -> Iterator[Diagnostic]:
    spec, ports = vm.spec, vm.spec.ports
    needed, port = ("rdp", ports.rdp) if spec.os == "windows" else ("ssh", ports.ssh)
    if port is None and not spec.public_ip:
        yield vm.problem(
            "missing-field",
            "ports",
            f"ports.{needed} is required for {spec.os} without publicIp",
            remedy=f"Add `{needed}: auto` (needs portRange on the Node) or a port number.",
        )
    taken: dict[tuple[str, int], str] = {}
    node = Address.of("Node", spec.node)
    for path, value in ports.numbers.items():
        if value == "auto" and not auto_ports(node, inventory, path):
            yield no_free_port(vm, node, path)
        elif isinstance(value, int) and ("tcp", value) in taken:
            yield vm.problem(
                "port-conflict",
                path,
                f"{path} and {taken['tcp', value]} are both {value}",
                detail="The node does not compare the ports of one VM with each other.",
                remedy="Choose different ports, or `auto`.",
            )
        elif isinstance(value, int):
            taken["tcp", value] = path
    for index, text in enumerate(ports.forward):
        protocol, host, _ = forward_ranges(text)
        clash = next((taken[(protocol, p)] for p in host if (protocol, p) in taken), None)
        if clash:
            yield vm.problem(
                "port-conflict",
                f"ports.forward.{index}",
                f"{text} uses a host port of {clash}",
                remedy="Choose another host port.",
            )
        taken.update({(protocol, p): text for p in host})


def _firewall_order(vm: VmResource) -> Iterator[Diagnostic]:
    """The node moves rules for all traffic to the end, accept before drop, which can change the rule that applies."""
    written = list(vm.spec.firewall)
    works = sorted(written, key=_place)
    if works != written:
        first = next(i for i, (a, b) in enumerate(zip(written, works, strict=True)) if a != b)
        yield vm.problem(
            "firewall-order",
            f"firewall.{first}",
            "the node applies the firewall rules in another order",
            detail="Rules for all protocols and all addresses come last, accept before drop. "
            f"Effective order: {'; '.join(works)}.",
            remedy="Write them in the effective order.",
            severity=Severity.NOTE,
        )


def _place(rule: str) -> int:
    _, protocol, _, address, action = rule.split(",")
    if protocol != "all" or address != "0.0.0.0/0":
        return 0
    return 1 if action == "accept" else 2


def _pxe(vm: VmResource) -> Iterator[Diagnostic]:
    spec = vm.spec
    # The node requires the port of the VM's own system here too, though nothing leads there. The other one is unused.
    other = "ports.ssh" if spec.os == "windows" else "ports.rdp"
    for field in spec_fields(VirtualMachineSpec):
        path = field.path
        if (field.rule.no_effect_with_pxe or path == other) and field.read(spec):
            yield vm.problem(
                "ignored-by-node",
                path,
                f"{path} has no effect with biosMode pxe",
                detail="The node validates the field, and creates the VM without it.",
                remedy=f"Remove {path}.",
            )
