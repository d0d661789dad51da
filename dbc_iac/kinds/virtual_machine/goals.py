"""Goals of an existing VM: power, field values, password, size of its first data disk, removal; and its statuses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from dbc_iac.api import requests
from dbc_iac.api.endpoints import disks, vms
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, NotSent, Outcome
from dbc_iac.api.responses import VmDisk
from dbc_iac.json import Json, value_text
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.goal import AcknowledgedGoal, ActContext, Goal, GoalState, GoalStatus, Needs, unseen
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Sent, spec_fields
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec
from dbc_iac.secret import SecretText

TRANSITIONAL = frozenset(
    {"creating", "starting", "being shutdown", "being poweroff", "restarting", "resetting", "deleting"}
)
"""Statuses of a queued or running operation, during which the VM's state is unknown."""

REPEATED_AFTER = 300.0
"""Seconds after which a deletion is repeated. Without a connection to libvirt, the node leaves the VM in `deleting`;
repeating a deletion that is still queued does nothing."""
STATUS_TEXT = {"being shutdown": "shutting down", "being poweroff": "powering off"}
"""Statuses whose text differs from the name."""
POWER = {"running": "on", "closed": "off", "start error": "off", "pmsuspend": "suspended"}
"""Power state by status. A VM stays in `start error` until the next start."""
CREATE_ERROR = "create error"
NEWEST = 12
"""Number of log lines to read for the failure of a creation."""
NOT_LISTED = GoalState(GoalStatus.FAILED, "the node does not list the VM any more")

SENT: Mapping[str, Sent] = {f.path: f.sent for f in spec_fields(VirtualMachineSpec) if f.sent is not None}
"""Fields that a creation has under their `key`, and a modify call under `new_` and their `key`."""


def _now() -> float:
    return asyncio.get_running_loop().time()


async def status_of(reader: CachedReader, goal: Goal, absent: GoalState) -> str | GoalState:
    """A VM's status; or the state to report if it cannot be read, is transitional, or the VM does not exist."""
    status = await reader.vm_status(goal.route, goal.id)
    if isinstance(status, Unreadable):
        return unseen(status)
    if status.value in TRANSITIONAL:
        return GoalState(GoalStatus.WAITING, STATUS_TEXT.get(status.value, status.value))
    return absent if status.value is None else status.value


class VmPower(Goal, frozen=True, kw_only=True):
    """The VM runs, or is off. `shutdown` powers off hard; `start` also wakes a suspended VM."""

    name = "vm-power"
    call_class = CallClass.STATE_CONDITIONED
    queued_visibly = True
    powers: Literal["on", "off"]
    old: bool = False
    """Whether it is the VM that is replaced, under the same address."""

    @property
    def action_text(self) -> str:
        which = f" the old VM {self.id}" if self.old else ""
        return f"starting{which}" if self.powers == "on" else f"powering off{which}"

    async def look(self, reader: CachedReader) -> GoalState:
        status = await status_of(reader, self, NOT_LISTED)
        if isinstance(status, GoalState):
            return status
        if POWER.get(status) == self.powers:
            return GoalState(GoalStatus.MET, status)
        return GoalState(GoalStatus.BROKEN if status.endswith("error") else GoalStatus.UNMET, status)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        channel = await context.connect(self.route)
        return await (vms.start_vm if self.powers == "on" else vms.shutdown_vm)(channel, self.id)


class VmRestarted(AcknowledgedGoal, frozen=True, kw_only=True):
    """A changed `restartOn` or order is applied by the power-off window that the goal needs, without a call."""

    name = "vm-restarted"
    call_class = CallClass.IDEMPOTENT
    needs = Needs.OFF
    stays_off: bool = False

    @property
    def action_text(self) -> str:
        return "recording the restart (the VM is off)" if self.stays_off else "restarting"

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return Done("ok")  # no call: the window around it is the effect


class VmUnderOrder(Goal, frozen=True, kw_only=True):
    """The VM is under this order. The node moves a VM whose order has ended when it starts the VM."""

    name = "vm-under-order"
    call_class = CallClass.READ
    late = True
    order: str

    @property
    def action_text(self) -> str:
        return f"moving to order {self.order}"

    async def look(self, reader: CachedReader) -> GoalState:
        details = await reader.vm(self.route, self.id)
        if isinstance(details, Unreadable) or details.value is None:
            return unseen(details, "the VM's order cannot be read")
        now = details.value.rent_order or "none"
        return (
            GoalState(GoalStatus.MET)
            if now == self.order
            else GoalState(GoalStatus.FAILED, f"the VM is still under order {now}")
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return Done(None)  # the start at the end of the power-off window moves the VM


class VmAbsent(Goal, frozen=True, kw_only=True):
    """The VM is deleted with all its disks. Only absence from a readable list proves it."""

    name = "vm-absent"
    call_class = CallClass.KEYED
    deletes = True
    queued_visibly = True
    old: bool = False
    """Whether it was replaced by another VM under the same address."""
    sent: float | None = None
    """Time at which the deletion was accepted."""

    @property
    def action_text(self) -> str:
        return f"deleting the old VM {self.id}" if self.old else "deleting"

    async def look(self, reader: CachedReader) -> GoalState:
        listed = await reader.vm_status(self.route, self.id)
        if isinstance(listed, Unreadable):
            return unseen(listed)
        if (status := listed.value) is None:
            return GoalState(GoalStatus.MET)
        if status == "deleting" and self.sent is not None and _now() - self.sent < REPEATED_AFTER:
            return GoalState(GoalStatus.WAITING, status)
        if status == CREATE_ERROR and (stuck := await why_stuck(reader, self.route, self.id)):
            return GoalState(
                GoalStatus.FAILED, stuck, remedy=f"Restart the DBC service of {self.route.name}, and apply again."
            )
        return await self._busy_snapshot(reader) or GoalState(GoalStatus.UNMET, status)

    def begins(self) -> VmAbsent:
        return replace(self, sent=_now())

    async def _busy_snapshot(self, reader: CachedReader) -> GoalState | None:
        """Wait for a snapshot in progress: deleting its VM now would end the node's process."""
        listed = await reader.snapshots(self.route, self.id)
        if isinstance(listed, Unreadable):
            return unseen(listed)
        busy = next((s for s in listed.value if s.status != "none"), None)
        return None if busy is None else GoalState(GoalStatus.WAITING, f"snapshot {busy.name} is {busy.status}")

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await vms.delete_vm(await context.connect(self.route), self.id)


class VmModified(AcknowledgedGoal, frozen=True, kw_only=True):
    """Fields of one modify call. Every call repeats the public IP: without it the node removes it."""

    name = "vm-modified"
    call_class = CallClass.IDEMPOTENT
    change: Mapping[str, Json]
    public_ip: str

    @property
    def action_text(self) -> str:
        parts = []
        for path, value in self.change.items():
            text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else value_text(value, "none")
            parts.append(f"{path} to {text}")
        return f"setting {', '.join(parts)}"

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        changed = {f"new_{SENT[path].key}": SENT[path].encode(value) for path, value in self.change.items()}
        body = requests.ModifyVm(**{**changed, "new_public_ip": self.public_ip})
        return await vms.modify_vm(await context.connect(self.route), self.id, body)


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


async def why_stuck(reader: CachedReader, route: Route, task_id: str) -> str:
    """Reason why a VM in `create error` cannot be deleted; empty if it can.

    Without a domain the node refuses every call for the VM, its log included. It also does so while its connection to
    libvirt is down, so each plan checks the VM again.
    """
    log = await reader.vm_notes(route, task_id, NEWEST)
    if not isinstance(log, Unreadable) or not log.absent:
        return ""
    return f"{task_id} has no domain; only a restart of the DBC service of {route.name} deletes it"
