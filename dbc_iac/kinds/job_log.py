"""Errors of queued jobs: a node reports the failure of an accepted call only in the log of the VM."""

from __future__ import annotations

from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import GoalState, GoalStatus
from dbc_iac.kinds.framework.route import Route

_NEWEST = 12
"""Log lines that are read. With more the answer can be cut, and the node omits the newest lines."""
_REMEDY = "Apply again in two minutes. If it fails again, restart the DBC service of the node."


async def job_errors(reader: CachedReader, route: Route, vm: str, text: str) -> frozenset[str] | None:
    """The newest log lines with this text, each with its time; None if the log cannot be read."""
    log = await reader.vm_notes(route, vm, _NEWEST)
    return None if isinstance(log, Unreadable) else frozenset(line for line in log.value if text in line)


async def failed_job(
    reader: CachedReader, route: Route, vm: str, text: str, before: frozenset[str] | None
) -> GoalState | None:
    """The failure of an accepted job by a log line that was not there `before` its call; None if there is none."""
    if before is None:
        return None
    new = sorted((await job_errors(reader, route, vm, text) or frozenset()) - before)
    if not new:
        return None
    _, _, why = new[-1].partition(text)
    summary = f"failed after the node accepted it: {why.lstrip(': ') or text}"
    return GoalState(GoalStatus.FAILED, summary, lost=True, detail=f"Log of the VM: {new[-1]}", remedy=_REMEDY)
