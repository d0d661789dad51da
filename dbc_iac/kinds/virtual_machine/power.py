"""Goals of a VM's power and removal, and the meaning of its statuses."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from msgspec.structs import replace

from dbc_iac.api.endpoints import vms
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import AcknowledgedGoal, ActContext, Goal, GoalState, GoalStatus, Needs, unseen
from dbc_iac.kinds.virtual_machine.failed_creation import CREATE_ERROR, why_stuck

TRANSITIONAL = frozenset(
    {"creating", "starting", "being shutdown", "being poweroff", "restarting", "resetting", "deleting"}
)
"""Statuses of a queued or running operation, during which the VM's state is unknown."""

REPEATED_AFTER = 300.0
"""Seconds after which a deletion is repeated. Without a connection to libvirt, the node leaves the VM in `deleting`;
repeating a deletion that is still queued does nothing."""
STATUS_TEXT = {"being shutdown": "shutting down", "being poweroff": "powering off"}
"""Statuses whose text differs from the name."""
POWER = {"running": "on", "closed": "off", "pmsuspend": "suspended"}


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


NOT_LISTED = GoalState(GoalStatus.FAILED, "the node does not list the VM any more")


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
