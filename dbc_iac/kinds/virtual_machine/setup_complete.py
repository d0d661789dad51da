"""A creation that the node did not finish: its process ended meanwhile, and the VM reads `running`, without forwards.

Only the node's notes tell it. A start completes what is missing, so the VM is powered off and on, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dbc_iac.api.endpoints import vms
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus
from dbc_iac.kinds.virtual_machine.power import TRANSITIONAL, status_of

_BEGUN, _FORWARDED = "create vm, cmd:", "create iptable successful"
_MOST_LINES, _MOST_BYTES = 90, 7000
"""Of notes that are whole: longer ones are cut, and what is missing there proves nothing."""
_ONE_CYCLE = 2


@dataclass(frozen=True, kw_only=True)
class VmFinished(Goal):
    """A new VM is set up completely, port forwards included. Holds wherever the notes do not prove the contrary, and
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
        status, problem = await status_of(reader, self)
        if problem:
            return problem
        if status is None:
            return GoalState(GoalStatus.FAILED, "the node does not list the VM any more")
        if status in TRANSITIONAL:
            return GoalState(GoalStatus.WAITING, status)
        if status == "running" and self.calls >= _ONE_CYCLE:
            return GoalState(GoalStatus.MET)
        notes = await reader.vm_notes(self.route, self.id)
        if isinstance(notes, Unreadable) or not _is_unfinished(notes.value):
            return GoalState(GoalStatus.MET)
        return GoalState(
            GoalStatus.BROKEN if status.endswith("error") else GoalStatus.UNMET,
            "the node stopped while creating this VM",
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        status, _ = await status_of(reader, self)
        channel = await context.connect(self.route)
        return await (vms.shutdown_vm if status == "running" else vms.start_vm)(channel, self.id)

    def primed(self, detail: Mapping[str, Json]) -> Goal:
        return replace(self, unfinished=True)

    def begins(self) -> Goal:
        return replace(self, calls=self.calls + 1)


def _is_unfinished(notes: tuple[str, ...]) -> bool:
    whole = len(notes) < _MOST_LINES and sum(len(line.encode()) for line in notes) < _MOST_BYTES
    begun, forwarded = (any(text in line for line in notes) for text in (_BEGUN, _FORWARDED))
    return whole and begun and not forwarded
