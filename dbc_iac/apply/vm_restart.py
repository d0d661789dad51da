"""Starting a VM again that we powered off: tried until it runs or the apply ends, and then what it lacks is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from dbc_iac.apply.goal_runner import GoalResult, GoalRunner, Verdict
from dbc_iac.apply.poller import FLOOR
from dbc_iac.kinds.framework.capabilities import host
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.values import GoalInput

TRIES = 5
"""How often at once, `FLOOR` seconds apart: what was taken by others may be free in a moment."""


@dataclass(frozen=True, slots=True)
class VmStarter:
    """One VM that is to run. `kind`: of the resource; `on`: the goal that it does."""

    kind: str
    task: GoalInput
    on: Goal

    async def start(self, by: GoalRunner, *, tries: int = TRIES) -> GoalResult:
        """Start it. A refusal may pass, or be mended: resources may have been taken by others for a while."""
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
                    return ending  # mended by half, it would run as something else
            if goals:
                mended = True
                ending = await by.achieve(self.on)
                if ending.verdict is not Verdict.FAILED:
                    return ending
        return ending

    async def start_or_explain(self, by: GoalRunner) -> GoalResult:
        """Start it; where it is refused in the end, tell who has what it lacks."""
        ending = await self.start(by)
        return ending if ending.verdict is not Verdict.FAILED else await self.lacking(by, ending)

    async def lacking(self, by: GoalRunner, ending: GoalResult) -> GoalResult:
        """The ending with who has what it lacks."""
        by.watch.hurry(self.on.route.target)
        told = await host(self.kind).explain_shortage(self.task, ending.text, by.reader)
        return replace(ending, text=f"{ending.text}; {told}") if told else ending
