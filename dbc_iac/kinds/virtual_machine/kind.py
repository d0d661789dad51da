"""VirtualMachine as a kind: identity, recovery, and the goals of its changes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known
from dbc_iac.kinds.framework.capabilities import FileProvider, Host, Marked, Recoverable, UsesCapacity
from dbc_iac.kinds.framework.capacity import Capacity
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.importable import Existing, Found, Importable, environment_reference, nested
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, register
from dbc_iac.kinds.framework.ownership_marker import Marker, read_marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour, Facts
from dbc_iac.kinds.framework.types import forward_ranges, observed_gib, parse_gib
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Unmanaged
from dbc_iac.kinds.images.files import (
    BASE,
    NOT_SHOWN,
    UNKNOWN_IMAGE,
    FileAt,
    files_at,
    image_file,
    root_image,
    with_base,
)
from dbc_iac.kinds.network import lan_name
from dbc_iac.kinds.node import node_route
from dbc_iac.kinds.virtual_machine import reading
from dbc_iac.kinds.virtual_machine.checks import check
from dbc_iac.kinds.virtual_machine.creation import VmExists, VmFinished, task_id
from dbc_iac.kinds.virtual_machine.goals import (
    DiskHasSize,
    VmAbsent,
    VmColdModified,
    VmModified,
    VmPassword,
    VmPower,
    VmRestarted,
    VmUnderOrder,
)
from dbc_iac.kinds.virtual_machine.gpu_recovery import gpus_in_use, other_gpus, port_in_use_unseen, ports_in_use
from dbc_iac.kinds.virtual_machine.preflight import preflight
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec

_PORTS = ("ports.ssh", "ports.rdp", "ports.vnc")
HIDDEN = ("image", "biosMode", "multicast", "nicModel", "dataDisk.file")
"""Fields in the digest of a marker. Their order is fixed: the digests of existing markers depend on it."""


@register
class VirtualMachine(Kind[VirtualMachineSpec], Host, Marked, Recoverable, UsesCapacity, FileProvider, Importable):
    name = "VirtualMachine"
    name_prefix = "vm"
    spec = VirtualMachineSpec
    file_field = "image"
    power_field = "power"
    replace_in_place_last = True

    def route(self, resource: Resource[VirtualMachineSpec], inventory: Inventory) -> Route:
        return node_route(resource.spec.node, inventory, resource.spec.rent_order)

    def protected(self, resource: Resource[VirtualMachineSpec]) -> bool:
        """With a user's own file attached, which the node deletes together with the VM, it is protected by default."""
        setting, disk = resource.spec.lifecycle.prevent_destroy, resource.spec.data_disk
        return (disk is not None and disk.file is not None) if setting is None else setting

    def facts(self, resource: Resource[VirtualMachineSpec], whole_machine: bool | None) -> Facts:
        spec = resource.spec
        attached = spec.data_disk is not None and spec.data_disk.file is not None
        return Facts(whole_machine, spec.bios_mode == "pxe", spec.os == "windows", attached)

    def networks_of(self, desired: Mapping[str, Json]) -> frozenset[str]:
        return frozenset({str(desired["network"])} if desired.get("network") else ())

    def _desired(self, resource: Resource[VirtualMachineSpec], inventory: Inventory) -> dict[str, Json]:
        """The fields with defaults that depend on other fields, so that sent and compared values are the same."""
        spec = resource.spec
        if spec.external:
            return self._untouched(resource, inventory)
        values = super()._desired(resource, inventory)
        windows, pxe = spec.os == "windows", spec.bios_mode == "pxe"
        # Sent always: the node's default does not depend on the system.
        values["biosMode"] = spec.bios_mode or ("uefi" if windows else "legacy")
        values["image"] = image_file(spec.image, inventory)
        values["node"] = self.route(resource, inventory).target
        if spec.network and not pxe:
            values["network"] = lan_name(spec.network, inventory)
        values["rentOrder"] = self.route(resource, inventory).rent_order or "none"
        if spec.login.password is not None:  # without one no call is made, and whose account it is is not managed
            values["login.username"] = spec.login.username or spec.first_account
        remote = "rdp" if windows else "ssh"
        if spec.public_ip and f"ports.{remote}" not in values:
            values[f"ports.{remote}"] = 3389 if windows else 22
        if spec.power == "unmanaged":
            del values["power"]
        if pxe:
            ignored = {f.path for f in self.fields if f.rule.no_effect_with_pxe}
            values = {p: v for p, v in values.items() if p not in ignored}
        return with_base(values, root_image(spec.image, inventory), values["image"])

    def _untouched(self, resource: Resource[VirtualMachineSpec], inventory: Inventory) -> dict[str, Json]:
        """The image of an external VM, as far as its manifest names it."""
        image = resource.spec.image
        if image == UNKNOWN_IMAGE:
            return {}
        values: dict[str, Json] = {"image": image_file(image, inventory)}
        values["node"] = self.route(resource, inventory).target
        return with_base(values, root_image(image, inventory), values["image"])

    def build_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        names = (values.get("image"), values.get(BASE), values.get("dataDisk.file"))
        return files_at(values.get("node"), *names)

    def runtime_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        """Empty for a VM that boots from the network: it has no disk made from its image."""
        return frozenset() if values.get("biosMode") == "pxe" else self.build_files(values)

    def identity(self, resource: Resource[VirtualMachineSpec], inventory: Inventory, generation: int) -> str:
        if resource.spec.external:
            return resource.spec.id or ""
        return task_id(inventory.uid, inventory.stack, resource.address, generation)

    def marker(self, resource: Resource[VirtualMachineSpec], inventory: Inventory, generation: int) -> str:
        digest = self._digest(resource, inventory, resource.spec.image)
        return str(Marker(inventory.project, inventory.stack, resource.name, generation, digest))

    def _digest(self, resource: Resource[VirtualMachineSpec], inventory: Inventory, image: str) -> str:
        """Digest of the fields that the API never shows. It proves their values when a state is rebuilt."""
        # An Image may be known by its file only later: its document's name is the same before and after.
        values = {**self.desired(resource, inventory), "image": image}
        text = "\n".join(f"{path}={values.get(path)!r}" for path in HIDDEN)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def matches(self, marker: Marker, resource: Resource[VirtualMachineSpec], inventory: Inventory) -> bool:
        images = (Address(a).name for a in inventory.names(Address.of("Image", resource.spec.image)))
        return any(self._digest(resource, inventory, image) == marker.digest for image in images)

    def capacity(self, fields: Mapping[str, Json]) -> Capacity:
        """Capacity by desired or applied fields. With a public IP only the screen's port is on the host, but the node
        compares the ssh port (with windows the rdp port) at each start anyway."""
        numbers = {path: port for path in _PORTS if type(port := fields.get(path)) is int}
        public_ip, remote = fields.get("publicIp"), "ports.rdp" if fields.get("os") == "windows" else "ports.ssh"
        ports = {("tcp", port) for path, port in numbers.items() if path == "ports.vnc" or not public_ip}
        forward = fields.get("ports.forward")
        for text in forward if isinstance(forward, list) and not public_ip else ():
            protocol, host, _ = forward_ranges(str(text))
            ports.update((protocol, port) for port in host)
        gpus, cpus = (value if isinstance(value := fields.get(path), int) else 0 for path in ("gpus", "cpus"))
        memory, disk = (
            math.ceil(observed_gib(size)) if isinstance(size := fields.get(path), str) else 0
            for path in ("memory", "dataDisk.size")
        )
        return Capacity(
            gpus=gpus,
            cpus=cpus,
            memory=memory,
            space={} if fields.get("dataDisk.file") else {"/data": disk},
            ports=frozenset(ports),
            start_ports=frozenset(("tcp", port) for path, port in numbers.items() if path in {remote, "ports.vnc"}),
            addresses=frozenset({public_ip} if isinstance(public_ip, str) and public_ip else ()),
        )

    check = staticmethod(check)
    preflight = staticmethod(preflight)
    observe = staticmethod(reading.observe)

    def places(self, inventory: Inventory) -> Iterable[Route]:
        return (node_route(node.name, inventory, None) for node in inventory.of("Node"))

    async def unmanaged(self, lookup: Lookup, inventory: Inventory, reader: CachedReader) -> Mapping[str, Unmanaged]:
        """VMs with a marker of this stack. The marker names the generation, from which the id is derived as proof."""
        listing = await reader.vms(lookup.route)
        found: dict[str, Unmanaged] = {}
        for vm in listing.value.values() if isinstance(listing, Known) else ():
            marker = read_marker(vm.desc)[1]
            if marker is not None and marker.is_of(inventory.project, inventory.stack):
                address = f"{self.name}/{marker.name}"
                derived = task_id(inventory.uid, inventory.stack, address, marker.generation) == vm.task_id
                found[vm.task_id] = Unmanaged(marker=marker, derived=derived)
        return found

    async def others(self, route: Route, ours: frozenset[str], reader: CachedReader) -> Mapping[str, Capacity]:
        listing, masked_ip = await reader.vms(route), await reading.machine_ip(reader, route)
        found: dict[str, Capacity] = {}
        for identity, summary in listing.value.items() if isinstance(listing, Known) else ():
            details = None if identity in ours else await reader.vm(route, identity)
            if isinstance(details, Known) and details.value is not None:
                shown = reading.seen(Lookup("", route, identity, 0), summary.status, details.value, masked_ip)
                found[identity] = self.capacity(shown.values)
        return found

    def create(self, task: GoalInput) -> Iterator[Goal]:
        network = str(task.desired.get("network") or "")
        # A creation may wait 50 minutes for an address, and longer in the queue.
        timeout_seconds = task.timeout_seconds or 5400.0
        kept = {k: v for k, v in task.desired.items() if k not in {"power", "login.username"}}
        yield VmExists(
            address=task.address, route=task.route, id=task.id, generation=task.generation, vm=task.id,
            fields={**kept, "power": "on"}, desired=task.desired, network_name=network, marker=task.marker,
            timeout_seconds=timeout_seconds,
        )  # fmt: skip
        if task.desired.get("biosMode") != "pxe":  # pxe gets no forwards
            yield VmFinished(address=task.address, route=task.route, id=task.id, vm=task.id)
        if "login.password" in task.secrets:
            yield self._password(task)
        if task.desired.get("power") == "off":
            yield self.power(task, to="off")

    def adopt(self, task: GoalInput) -> Iterator[Goal]:
        """Goals with a start before the password, which a running guest sets; a VM that stays off keeps its own."""
        exists, *later = self.create(task)
        now = task.observed.get("power")
        if now != "on" and task.desired.get("power") == "on":
            later.insert(0, self.power(task, to="on"))
        elif now not in {"on", None}:
            later = [goal for goal in later if not isinstance(goal, VmPassword)]
            account = {p: v for p, v in task.desired.items() if p == "login.username"}
            exists = replace(exists, fields={**exists.fields, **account})  # assumed, as by an import
        yield from (exists, *later)

    def update(self, task: GoalInput) -> Iterator[Goal]:
        public_ip = str(task.desired.get("publicIp") or "")
        changed = {f.path: f.rule.behaviour for f in self.fields if f.path in task.changed}
        online = {p: task.desired.get(p) for p, b in changed.items() if b is Behaviour.ONLINE and p != self.power_field}
        if online:
            yield VmModified(
                address=task.address, route=task.route, id=task.id, vm=task.id, fields=online, change=online,
                public_ip=public_ip,
            )  # fmt: skip
        for path in (p for p, behaviour in changed.items() if behaviour is Behaviour.COLD_BOOT):
            value = {path: task.desired[path]}
            yield VmColdModified(
                address=task.address, route=task.route, id=task.id, vm=task.id, fields=value, change=value,
                public_ip=public_ip,
            )  # fmt: skip
        if "dataDisk.size" in task.changed:
            yield DiskHasSize(
                address=task.address, route=task.route, id=task.id, vm=task.id,
                fields={"dataDisk.size": task.desired["dataDisk.size"]},
                file=str(task.observed.get("dataDisk.path") or ""), size=parse_gib(task.desired["dataDisk.size"]),
            )  # fmt: skip
        if {"restartOn", "rentOrder"} & set(task.changed):
            fields = {"restartOn": task.desired.get("restartOn")} if "restartOn" in task.changed else {}
            stays_off = task.desired.get("power") == "off"
            yield VmRestarted(
                address=task.address, route=task.route, id=task.id, vm=task.id, fields=fields, stays_off=stays_off
            )  # fmt: skip
        if "rentOrder" in task.changed:
            order = str(task.desired["rentOrder"])
            yield VmUnderOrder(
                address=task.address, route=task.route, id=task.id, vm=task.id, fields={"rentOrder": order},
                order=order,
            )  # fmt: skip
        if {"login.password", "login.username"} & set(task.changed) and "login.password" in task.secrets:
            yield self._password(task)
        if "power" in task.changed:
            yield self.power(task, to="on" if task.desired["power"] == "on" else "off")

    def loss(self, had: Mapping[str, Json]) -> str:
        if had.get("biosMode") == "pxe":
            return ""
        file, size = had.get("dataDisk.file"), had.get("dataDisk.size")
        attached = f"the attached data file {file}" if file else f"its data disk ({size})"
        return f"its system disk and {attached} are deleted"

    def keeps_data(self, had: Mapping[str, Json]) -> bool:
        return bool(had.get("dataDisk.file"))

    def delete(self, task: GoalInput) -> Iterator[Goal]:
        yield VmAbsent(
            address=task.address, route=task.old_route or task.route, id=task.old_id, vm=task.old_id,
            timeout_seconds=task.timeout_seconds or 3600.0, old=task.id not in {"", task.old_id},
        )  # fmt: skip

    async def recovery_goals(self, task: GoalInput, refused: str, reader: CachedReader) -> Iterable[Goal]:
        return await other_gpus(task, refused, reader)

    async def explain_shortage(self, task: GoalInput, refused: str, reader: CachedReader) -> str:
        if "gpu" not in refused and "port" not in refused:
            return ""
        others = dict(await self.others(task.route, frozenset({task.id}), reader))
        if "port" in refused:
            values = {**task.applied, **task.desired}
            return ports_in_use(self.capacity(values), others) or port_in_use_unseen(values, refused)
        return await gpus_in_use(task.route, others, reader)

    def power(self, task: GoalInput, *, to: str, temporary: bool = False) -> Goal:
        side: Literal["on", "off"] = "on" if to == "on" else "off"
        return VmPower(
            address=task.address, route=task.route, id=task.id, vm=task.id, fields={"power": side}, powers=side,
            old=task.id == task.old_id, temporary=temporary,
        )  # fmt: skip

    def _password(self, task: GoalInput) -> Goal:
        username = str(task.desired["login.username"])
        references = {path: task.secrets[path] for path in ("login.password",) if path in task.secrets}
        fields: dict[str, Json] = {"login.username": username, **references}
        return VmPassword(
            address=task.address, route=task.route, id=task.id, vm=task.id, fields=fields, username=username
        )

    async def existing(
        self, place: Resource[Any], inventory: Inventory, reader: CachedReader, unread: dict[str, str]
    ) -> Iterable[Existing]:
        route = node_route(place.name, inventory, None)
        found: list[Existing] = []
        for summary, details in await reading.vms_of(place, inventory, reader, unread):
            lookup = Lookup(place.address, route, summary.task_id, 1)
            seen = reading.seen(lookup, summary.status, details, await reading.machine_ip(reader, route))
            secrets = frozenset(path for path, secret in seen.secrets.items() if secret.reveal())
            fields = {**seen.values, **seen.made_with}
            if seen.resolved:
                fields.setdefault("dataDisk.size", "")
            found.append(Existing(seen.id, route, seen.marker, details.status, fields=fields, secrets=secrets))
        return found

    def not_shown(self, fields: Mapping[str, Json]) -> str:
        return "memory" if "memory" not in fields else "dataDisk.size" if fields.get("dataDisk.size") == "" else ""

    def uses(self, fields: Mapping[str, Json]) -> frozenset[tuple[str, str]]:
        return frozenset(("Network", lan) for lan in self.networks_of(fields))

    def manifest(self, found: Found) -> dict[str, Any]:
        """The image, which the API never shows, is a placeholder. A VM without a data disk boots from the network."""
        shown = found.shown
        account, lan = shown.pop("login.username", None), str(shown.pop("network", ""))
        pxe = "dataDisk.size" not in shown
        values: dict[str, Json] = {**shown, "node": found.place, "image": NOT_SHOWN}
        values.pop("rentOrder", None)  # that of its Node
        if pxe:
            values["biosMode"] = "pxe"
        if name := found.names.get(("Network", lan)):
            values["network"] = name
        if values.get(self.power_field) not in {"on", "off"}:
            values.pop(self.power_field, None)
        spec = nested(self.fields, values)
        # An account is named only by the call that sets its password, and a pxe VM has neither.
        if account is not None and "login.password" in found.secrets and not pxe:
            spec["login"] = {"username": account, "password": environment_reference(f"{found.name}_PASSWORD")}
        return spec
