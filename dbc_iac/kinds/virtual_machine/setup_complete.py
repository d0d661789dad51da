"""Detection and repair of a creation that the node left incomplete: the VM reads `running`, but has no port forwards.

It happens if the node's process ends during the creation; only the VM's log on the node shows it. Any start of the VM
completes the setup, so the VM is powered off and on, once.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dbc_iac.api.endpoints import vms
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus
from dbc_iac.kinds.virtual_machine.power import NOT_LISTED, status_of

_CREATED, _FORWARDED = "create vm, cmd:", "create iptable successful"
_UNCUT_LINES, _UNCUT_BYTES = 90, 7000
"""Size below which a log is complete. A longer one may be cut, so a missing line proves nothing."""
_CALLS_OF_A_CYCLE = 2


class VmFinished(Goal, frozen=True, kw_only=True):
    """A new VM is set up completely, port forwards included. Met unless the VM's log proves the contrary, and always
    after one power cycle.

    `calls`: accepted calls of that cycle; `unfinished`: whether the cycle is needed.
    """

    name = "vm-finished"
    call_class = CallClass.STATE_CONDITIONED
    queued_visibly = True
    power_cycles = True
    calls: int = 0
    unfinished: bool = False

    @property
    def action_text(self) -> str:
        return "restarting, since the node stopped while creating this VM" if self.unfinished else "configuring"

    async def look(self, reader: CachedReader) -> GoalState:
        status = await status_of(reader, self, NOT_LISTED)
        if isinstance(status, GoalState):
            return status
        if status == "running" and self.calls >= _CALLS_OF_A_CYCLE:
            return GoalState(GoalStatus.MET)
        notes = await reader.vm_notes(self.route, self.id)
        if isinstance(notes, Unreadable):
            return GoalState(GoalStatus.MET)
        if not _is_unfinished(notes.value):
            return GoalState(GoalStatus.MET, warning=self._forwards_warning(notes.value))
        return GoalState(
            GoalStatus.BROKEN if status.endswith("error") else GoalStatus.UNMET,
            "the node stopped while creating this VM",
        )

    def _forwards_warning(self, notes: tuple[str, ...]) -> Diagnostic | None:
        """A warning if the node forwards no ports to the VM, because its host has several addresses."""
        addresses = _host_addresses(notes)
        if len(addresses) <= 1:
            return None
        node, others = self.route.name, ", ".join(addresses[1:])
        return Diagnostic(
            "no-port-forwards",
            Severity.WARNING,
            f"{self.address} has no port forwards, so ssh will not work",
            f"The network interface of {node} has several addresses, read as one by the node: {', '.join(addresses)}. "
            "A publicIp stays on the interface after its VM is gone. Neither a restart nor a change repairs this VM.",
            f"On the host of {node}, remove {others} with `ip address del` and restart the DBC service; "
            f"then apply with --replace {self.address}.",
            address=self.address,
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        status = await status_of(reader, self, NOT_LISTED)
        channel = await context.connect(self.route)
        return await (vms.shutdown_vm if status == "running" else vms.start_vm)(channel, self.id)

    async def primed(self, reader: CachedReader) -> tuple[Goal, dict[str, Json]]:
        return replace(self, unfinished=True), {}

    def begins(self) -> Goal:
        return replace(self, calls=self.calls + 1)


def _host_addresses(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses of the host in the newest entry about port forwards; each further address is on its own line.

    Empty for a VM with a public address, which its forwards use instead.
    """
    last = max((i for i, line in enumerate(notes) if _FORWARDED in line), default=len(notes))
    found: list[str] = []
    for line in notes[last:]:
        address, ports, rest = line.rpartition("host_ip:")[2].partition(" ssh_port:")
        found.append(address.strip())
        if ports:
            return () if rest.rpartition("public_ip:")[2].strip() else tuple(found)
    return ()


def _is_unfinished(notes: tuple[str, ...]) -> bool:
    whole = len(notes) < _UNCUT_LINES and sum(len(line.encode()) for line in notes) < _UNCUT_BYTES
    created, forwarded = (any(text in line for line in notes) for text in (_CREATED, _FORWARDED))
    return whole and created and not forwarded
