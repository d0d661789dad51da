"""Start of a VM that this apply powered off: repeated until it runs or the apply ends, then explained."""

from __future__ import annotations

import asyncio

from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.apply.goal_result import GoalResult, Verdict
from dbc_iac.apply.goal_runner import GoalRunner
from dbc_iac.apply.waiting import FLOOR
from dbc_iac.kinds.framework.capabilities import host
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.values import GoalInput

TRIES = 5
"""Number of tries in a row, `FLOOR` seconds apart: resources may become free."""


class VmStarter(Struct, frozen=True):
    """A VM to start. `kind`: of its resource; `on`: the goal."""

    kind: str
    task: GoalInput
    on: Goal

    async def start(self, runner: GoalRunner, *, tries: int = TRIES) -> GoalResult:
        """Start the VM. A refusal may be transient, or recovered from: others may hold its resources for a while."""
        result = GoalResult(Verdict.FAILED)
        mended = False
        for number in range(tries):
            if number:
                await runner.stop.unless(asyncio.sleep(FLOOR))
                if runner.stop.is_set():
                    return result
            result = await runner.achieve(self.on)
            if result.verdict is not Verdict.FAILED or result.unreadable:
                return result  # nothing was refused: the whole time for a target that cannot be read is over
            goals = [] if mended else list(await host(self.kind).recovery_goals(self.task, result.text, runner.reader))
            for goal in goals:
                if (await runner.achieve(goal)).verdict is not Verdict.MET:
                    return result  # half recovered, it would run with other fields
            if goals:
                mended = True
                result = await runner.achieve(self.on)
                if result.verdict is not Verdict.FAILED:
                    return result
        return result

    async def start_or_explain(self, runner: GoalRunner) -> GoalResult:
        """Start the VM; where it is refused in the end, name the holder of the resources that it lacks."""
        result = await self.start(runner)
        return result if result.verdict is not Verdict.FAILED else await self.lacking(runner, result)

    async def lacking(self, runner: GoalRunner, result: GoalResult) -> GoalResult:
        """The result with the holder of the resources that the VM lacks."""
        runner.watch.hurry(self.on.route.target)
        holder = await host(self.kind).explain_shortage(self.task, result.text, runner.reader)
        return replace(result, text=f"{result.text}; {holder}") if holder else result
