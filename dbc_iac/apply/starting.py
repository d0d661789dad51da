"""Starting a VM again that we powered off: tried until it runs or the apply ends, and then what it lacks is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from dbc_iac.apply.achieve import Ending, Pursuit, Verdict
from dbc_iac.apply.watch import FLOOR
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.goal import Goal
from dbc_iac.kinds.kind import Task

TRIES = 5
"""How often at once, `FLOOR` seconds apart: what was taken by others may be free in a moment."""


@dataclass(frozen=True, slots=True)
class Starter:
    """One VM that is to run. `kind`: of the resource; `on`: the goal that it does."""

    kind: str
    task: Task
    on: Goal

    async def start(self, by: Pursuit, *, tries: int = TRIES) -> Ending:
        """Start it. A refusal may pass, or be mended: resources may have been taken by others for a while."""
        ending = Ending(Verdict.FAILED)
        mended = False
        for number in range(tries):
            if number:
                await asyncio.sleep(FLOOR)
            ending = await by.achieve(self.on)
            if ending.verdict is not Verdict.FAILED:
                return ending
            goals = [] if mended else list(await kind_of(self.kind).mends(self.task, ending.text, by.reader))
            for goal in goals:
                if (await by.achieve(goal)).verdict is not Verdict.MET:
                    return ending  # mended by half, it would run as something else
            if goals:
                mended = True
                ending = await by.achieve(self.on)
                if ending.verdict is not Verdict.FAILED:
                    return ending
        return ending

    async def start_or_explain(self, by: Pursuit) -> Ending:
        """Start it; where it is refused in the end, tell who has what it lacks."""
        ending = await self.start(by)
        return ending if ending.verdict is not Verdict.FAILED else await self.lacking(by, ending)

    async def lacking(self, by: Pursuit, ending: Ending) -> Ending:
        """The ending with who has what it lacks."""
        by.watch.hurry(self.on.reach.target)
        told = await kind_of(self.kind).lacks(self.task, ending.text, by.reader)
        return replace(ending, text=f"{ending.text}; {told}") if told else ending
