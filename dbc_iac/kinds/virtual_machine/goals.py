"""Goals of a VM, except its power: creation, field values, password, size of its first data disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from dbc_iac.api import requests
from dbc_iac.api.endpoints import disks, vms
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import NotSent, Outcome
from dbc_iac.api.responses import VmDisk
from dbc_iac.api.secret import SecretText
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.goal import AcknowledgedGoal, ActContext, Goal, GoalState, GoalStatus, Needs, unseen
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Sent, spec_fields
from dbc_iac.kinds.virtual_machine.failed_creation import CREATE_ERROR, creation_failed
from dbc_iac.kinds.virtual_machine.power import status_of
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec
from dbc_iac.state.document import Binding

NO_AGENT = "N/A"
"""Account name that the node reports for a guest without an agent."""


class VmExists(Goal, frozen=True, kw_only=True):
    """A VM with this task id is created and runs. `desired` has every field as a plain value."""

    name = "vm-exists"
    call_class = CallClass.KEYED
    creates = True
    queued_visibly = True
    desired: Mapping[str, Json]
    network_name: str = ""
    marker: str

    @property
    def action_text(self) -> str:
        return "creating"

    async def look(self, reader: CachedReader) -> GoalState:
        status = await status_of(reader, self, absent=GoalState(GoalStatus.UNMET))
        if isinstance(status, GoalState):
            return status
        if status == CREATE_ERROR:
            return await creation_failed(reader, self)
        details = await reader.vm(self.route, self.id)
        if isinstance(details, Unreadable) or details.value is None:
            return unseen(details, "the VM is listed, but its details cannot be read")
        path = next((d.source_file for d in details.value.disks if d.name == "vdb"), "")
        note = "" if details.value.user_name != NO_AGENT else "the guest has no agent: no account could be set"
        return GoalState(GoalStatus.MET, note, id=self.id, resolved={"dataDisk.path": path} if path else {})

    def informed(self, bindings: Mapping[str, Binding]) -> Goal:
        image = bindings.get(str(self.desired["image"]))  # an address, as long as its file is not known
        if image is None or not image.id:
            return self
        return replace(self, desired={**self.desired, "image": image.id}, fields={**self.fields, "image": image.id})

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await vms.create_vm(await context.connect(self.route), self.body())

    def body(self) -> requests.CreateVm:
        """The request, every field in its wire type."""
        want = self.desired
        description, nic = str(want.get("description") or ""), str(want["nicModel"])
        return requests.CreateVm(
            task_id=self.id,
            desc=f"{description} [{self.marker}]" if description else f"[{self.marker}]",
            network_name=self.network_name,
            interface_model_type=None if nic == "virtio" else nic,  # the node refuses the literal virtio
            **{SENT[path].key: SENT[path].encode(value) for path, value in want.items() if path in SENT},
        )


SENT: Mapping[str, Sent] = {f.path: f.sent for f in spec_fields(VirtualMachineSpec) if f.sent is not None}
"""Fields that a creation has under their `key`, and a modify call under `new_` and their `key`."""


class VmModified(AcknowledgedGoal, frozen=True, kw_only=True):
    """Fields of one modify call. Every call repeats the public IP: without it the node removes it."""

    name = "vm-modified"
    call_class = CallClass.IDEMPOTENT
    change: Mapping[str, Json]
    public_ip: str

    @property
    def action_text(self) -> str:
        return "setting " + ", ".join(f"{path} to {shown(value)}" for path, value in self.change.items())

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await vms.modify_vm(await context.connect(self.route), self.id, self.body())

    def body(self) -> requests.ModifyVm:
        changed = {f"new_{SENT[path].key}": SENT[path].encode(value) for path, value in self.change.items()}
        return requests.ModifyVm(**{**changed, "new_public_ip": self.public_ip})


class VmColdModified(VmModified, frozen=True, kw_only=True):
    """A field that takes effect at a cold start, changed while the VM is off: one such field per call."""

    name = "vm-cold-modified"
    needs = Needs.OFF


class VmPassword(AcknowledgedGoal, frozen=True, kw_only=True):
    """The account has the password. Needs a running VM whose guest has an agent."""

    name = "vm-password"
    call_class = CallClass.IDEMPOTENT
    needs = Needs.RUNNING
    username: str

    @property
    def action_text(self) -> str:
        return f"setting the password of account {self.username}"

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        password: SecretText = context.secrets["login.password"]
        return await vms.set_password(
            await context.connect(self.route), self.id, requests.SetPassword(username=self.username, password=password)
        )


class DiskHasSize(Goal, frozen=True, kw_only=True):
    """The disk file has at least this size in GiB. The GiB to add are computed from a read right before the call."""

    name = "disk-has-size"
    call_class = CallClass.BLIND
    needs = Needs.OFF
    file: str
    size: int

    @property
    def action_text(self) -> str:
        return f"resizing disk {self.file} to {self.size} GiB"

    async def look(self, reader: CachedReader) -> GoalState:
        details = await reader.vm(self.route, self.vm)
        if isinstance(details, Unreadable):
            return unseen(details)
        disk = next((d for d in details.value.disks if d.source_file == self.file), None) if details.value else None
        if disk is None:
            return GoalState(GoalStatus.FAILED, f"disk {self.file} was deleted")
        if not disk.size_gib:
            return GoalState(GoalStatus.FAILED, no_size(self.file), remedy=READ_SIZES)
        return GoalState(
            GoalStatus.MET if disk.size_gib >= self.size else GoalStatus.UNMET,
            f"{float(disk.size_gib):g} GiB",
            self.file,
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        disk = next((d for d in await disks_of(reader, self.route, self.vm) if d.source_file == self.file), None)
        if disk is None or not disk.size_gib:
            return NotSent("the node does not show the disk at present")
        add = requests.DiskResize(disk=disk.name, add_gib=self.size - int(disk.size_gib))
        return await disks.resize_disk(await context.connect(self.route), self.vm, add)


async def disks_of(reader: CachedReader, route: Route, vm: str) -> tuple[VmDisk, ...]:
    """The disks of a VM; empty if they cannot be read."""
    details = await reader.vm(route, vm)
    return details.value.disks if isinstance(details, Known) and details.value else ()


READ_SIZES = "Restart the DBC service of the node. If the size is still missing, the file is missing on the host."


def no_size(file: str) -> str:
    """The problem of a disk that was resized while the node had no connection to libvirt: its size then reads 0."""
    return f"the node reports no size of disk {file}"


def shown(value: Json) -> str:
    """A value as a goal's text shows it."""
    if isinstance(value, list):
        return f"[{', '.join(str(v) for v in value)}]"
    return "none" if value is None else str(value)
