"""A VM's power as a goal, and its removal: what its statuses mean to the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dbc_iac.api.calls import CallClass
from dbc_iac.api.endpoints import vms
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.kinds.goal import Goal, Hands, Needs, Seen, Sight
from dbc_iac.kinds.reader import Reader, Unreadable
from dbc_iac.kinds.virtual_machine.failed_creation import CREATE_ERROR, why_stuck

TRANSITIONAL = frozenset(
    {"creating", "starting", "being shutdown", "being poweroff", "restarting", "resetting", "deleting"}
)
"""Statuses of an operation that is queued or under way: nothing can be said until it has ended."""

POWER = {"running": "on", "closed": "off", "pmsuspend": "suspended"}


async def status_of(reader: Reader, goal: Goal) -> tuple[str | None, Seen | None]:
    """A VM's status (None: it does not exist), or what to report instead where it cannot be read."""
    status = await reader.vm_status(goal.reach, goal.id)
    if isinstance(status, Unreadable):
        return None, Seen(Sight.UNKNOWN, status.reason)
    return status.value, None


@dataclass(frozen=True, kw_only=True)
class VmPower(Goal):
    """The VM is running, or closed. `shutdown` pulls the plug; `start` also wakes a suspended VM."""

    name = "vm-power"
    call_class = CallClass.STATE_CONDITIONED
    queued_visibly = True
    to: Literal["on", "off"]
    old: bool = False
    """It is the VM that another one takes the place of, under the same address."""

    @property
    def powers(self) -> str:
        return self.to

    @property
    def text(self) -> str:
        whose = f"old VM {self.id} " if self.old else ""
        return f"{whose}is running" if self.to == "on" else f"{whose}is powered off"

    @property
    def deed(self) -> str:
        whom = f"old VM {self.id}" if self.old else "it"
        return f"starts {whom}" if self.to == "on" else f"powers {whom} off"

    async def look(self, reader: Reader) -> Seen:
        status, problem = await status_of(reader, self)
        if problem:
            return problem
        if status is None:
            return Seen(Sight.FAILED, "the node does not list the VM any more")
        if status in TRANSITIONAL:
            return Seen(Sight.WAITING, status)
        if POWER.get(status) == self.to:
            return Seen(Sight.MET, status)
        return Seen(Sight.BROKEN if status.endswith("error") else Sight.UNMET, status)

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        channel = hands.connect(self.reach)
        return await (vms.start_vm if self.to == "on" else vms.shutdown_vm)(channel, self.id)


@dataclass(frozen=True, kw_only=True)
class VmRestarted(Goal):
    """`restartOn` or the order changed: the offline window that it needs is all that it asks for."""

    name = "vm-restarted"
    call_class = CallClass.IDEMPOTENT
    needs = Needs.OFF
    acknowledged = True
    stays_off: bool = False

    @property
    def text(self) -> str:
        return "is off: it starts anew when it is started" if self.stays_off else "has been powered off and on once"

    @property
    def deed(self) -> str:
        return "is powered off and on once, by its offline window"

    async def look(self, reader: Reader) -> Seen:
        return Seen(Sight.UNMET)

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        return Done("ok")  # no call: the window around it is the effect


@dataclass(frozen=True, kw_only=True)
class VmUnderOrder(Goal):
    """The node has put the VM under this order. It does so when it starts a VM the order of which has ended."""

    name = "vm-under-order"
    call_class = CallClass.READ
    late = True
    order: str

    @property
    def text(self) -> str:
        return f"is under order {self.order}"

    async def look(self, reader: Reader) -> Seen:
        details = await reader.vm(self.reach, self.id)
        if isinstance(details, Unreadable) or details.value is None:
            return Seen(Sight.UNKNOWN, "the VM's order cannot be read")
        now = details.value.rent_order or "none"
        return Seen(Sight.MET) if now == self.order else Seen(Sight.FAILED, f"the node kept it under order {now}")

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        return Done(None)  # the start in the window was the act


@dataclass(frozen=True, kw_only=True)
class VmAbsent(Goal):
    """The VM is gone, with all its disks. Only absence from a readable list proves it."""

    name = "vm-absent"
    call_class = CallClass.KEYED
    deletes = True
    queued_visibly = True
    old: bool = False
    """Another VM has taken its place under the same address."""

    @property
    def text(self) -> str:
        return f"old VM {self.id} is deleted" if self.old else "does not exist any more"

    @property
    def deed(self) -> str:
        return f"deletes {'old ' if self.old else ''}VM {self.id}"

    async def look(self, reader: Reader) -> Seen:
        status, problem = await status_of(reader, self)
        if problem:
            return problem
        if status is None:
            return Seen(Sight.MET)
        if status == "deleting":
            return Seen(Sight.WAITING, status)
        if status == CREATE_ERROR and (stuck := await why_stuck(reader, self.reach, self.id)):
            return Seen(Sight.FAILED, stuck, remedy=f"Restart the DBC service of {self.reach.name}, and apply again.")
        return await self._busy_snapshot(reader) or Seen(Sight.UNMET, status)

    async def _busy_snapshot(self, reader: Reader) -> Seen | None:
        """Deleting a VM while a snapshot of it is converted or uploaded ends the node's process."""
        listed = await reader.snapshots(self.reach, self.id)
        if isinstance(listed, Unreadable):
            return Seen(Sight.UNKNOWN, listed.reason)
        busy = next((s for s in listed.value if s.status != "none"), None)
        return None if busy is None else Seen(Sight.WAITING, f"snapshot {busy.name} is {busy.status}")

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        return await vms.delete_vm(hands.connect(self.reach), self.id)
