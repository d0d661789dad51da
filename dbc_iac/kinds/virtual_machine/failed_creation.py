"""Failed creations: the last errors of a VM's log, and VMs without a domain, which their node cannot delete."""

from __future__ import annotations

from dbc_iac.api.responses import without_passwords
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import Goal, GoalState, GoalStatus
from dbc_iac.kinds.framework.route import Route

CREATE_ERROR = "create error"
_NEWEST = 12
_SHOWN = 4
"""Numbers of log lines to read, and to show in a diagnostic."""


async def why_stuck(reader: CachedReader, route: Route, task_id: str) -> str:
    """Reason why a VM in `create error` cannot be deleted; empty if it can.

    Without a domain the node refuses every call for the VM, its log included. It also does so while its connection to
    libvirt is down, so each plan checks the VM again.
    """
    log = await reader.vm_notes(route, task_id, _NEWEST)
    if not isinstance(log, Unreadable) or not log.absent:
        return ""
    return f"{task_id} has no domain; only a restart of the DBC service of {route.name} deletes it"


async def creation_failed(reader: CachedReader, goal: Goal) -> GoalState:
    """The failure of a creation with the last errors of the VM's log."""
    if stuck := await why_stuck(reader, goal.route, goal.id):
        remedy = (
            f"Apply again in two minutes: it is created under another id. Restart the DBC service of {goal.route.name}."
        )
        return GoalState(GoalStatus.FAILED, CREATE_ERROR, broken=True, detail=f"{stuck}.", remedy=remedy)
    remedy = f"Read all lines with `dbc-iac vm logs {goal.address}`. Apply again to delete it and create another one."
    log = await reader.vm_notes(goal.route, goal.id, _NEWEST)
    if isinstance(log, Unreadable):
        return GoalState(GoalStatus.FAILED, CREATE_ERROR, broken=True, detail=f"Its log: {log.reason}.", remedy=remedy)
    details = await reader.vm(goal.route, goal.id)
    known = None if isinstance(details, Unreadable) else details.value
    noted = log.value if known is None else without_passwords(log.value, known)
    errors = [line for line in noted if "| error" in line][-_SHOWN:]
    reason = errors[-1].rpartition(" | ")[2] if errors else "the log names no reason"
    lines = "\n".join(["Log of the VM:", *(errors or noted[-_SHOWN:])])
    return GoalState(GoalStatus.FAILED, f"{CREATE_ERROR}: {reason}", broken=True, detail=lines, remedy=remedy)
