"""Start of a VM that this apply powered off: repeated until it runs or the apply ends, then explained."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from dbc_iac.apply.goal_runner import GoalResult, GoalRunner, Verdict
from dbc_iac.apply.poller import FLOOR
from dbc_iac.kinds.framework.capabilities import host
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.values import GoalInput

TRIES = 5
"""Number of tries in a row, `FLOOR` seconds apart: resources may become free."""


@dataclass(frozen=True, slots=True)
class VmStarter:
    """A VM to start. `kind`: of its resource; `on`: the goal."""

    kind: str
    task: GoalInput
    on: Goal

    async def start(self, by: GoalRunner, *, tries: int = TRIES) -> GoalResult:
        """Start the VM. A refusal may be transient, or recovered from: others may hold its resources for a while."""
        ending = GoalResult(Verdict.FAILED)
        mended = False
        for number in range(tries):
            if number:
                await by.stop.unless(asyncio.sleep(FLOOR))
                if by.stop.asked:
                    return ending
            ending = await by.achieve(self.on)
            if ending.verdict is not Verdict.FAILED:
                return ending
            goals = [] if mended else list(await host(self.kind).recovery_goals(self.task, ending.text, by.reader))
            for goal in goals:
                if (await by.achieve(goal)).verdict is not Verdict.MET:
                    return ending  # half recovered, it would run with other fields
            if goals:
                mended = True
                ending = await by.achieve(self.on)
                if ending.verdict is not Verdict.FAILED:
                    return ending
        return ending

    async def start_or_explain(self, by: GoalRunner) -> GoalResult:
        """Start the VM; where it is refused in the end, name the holder of the resources that it lacks."""
        ending = await self.start(by)
        return ending if ending.verdict is not Verdict.FAILED else await self.lacking(by, ending)

    async def lacking(self, by: GoalRunner, ending: GoalResult) -> GoalResult:
        """The result with the holder of the resources that the VM lacks."""
        by.watch.hurry(self.on.route.target)
        told = await host(self.kind).explain_shortage(self.task, ending.text, by.reader)
        return replace(ending, text=f"{ending.text}; {told}") if told else ending
