"""Calls that a node will certainly refuse, found before anything is destroyed on their behalf. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.kinds.current_route import authority_refusal
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.route import Route
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.schedule.step_builder import StepBuilder, preceding


async def check_authority(
    context: PlanContext, reader: CachedReader, steps: Mapping[str, StepBuilder]
) -> list[Diagnostic]:
    """One error for each resource whose call would be refused after something was deleted or powered off."""
    if not any(_destroys(goal) for step in steps.values() for goal in step.goals):
        return []
    routes = {goal.route for step in steps.values() for goal in step.goals}
    answers = await asyncio.gather(*(authority_refusal(route, reader) for route in routes))
    refused = {route: why for route, why in zip(routes, answers, strict=True) if why is not None}
    return list(_problems(context, steps, refused))


def _destroys(goal: Goal) -> bool:
    return goal.deletes or goal.powers == "off" or goal.power_cycles


def _problems(
    context: PlanContext, steps: Mapping[str, StepBuilder], refused: Mapping[Route, Unreadable]
) -> Iterator[Diagnostic]:
    reported: set[str] = set()
    for step in steps.values():
        goals = [g for g in step.goals if g.route in refused and g.address not in reported]
        earlier = (g for s in (step, *preceding(step, steps)) for g in s.goals) if goals else ()
        destroyed = sorted({g.address for g in earlier if _destroys(g) and g.route not in refused})
        for goal in goals if destroyed else ():
            if goal.address not in reported:
                reported.add(goal.address)
                yield _problem(context, goal, refused[goal.route], destroyed)


def _problem(context: PlanContext, goal: Goal, why: Unreadable, destroyed: list[str]) -> Diagnostic:
    return context.inventory.refusal(
        goal.address,
        "refused-later",
        "",
        f"{goal.route.name} refuses the call for {goal.address}: {why.reason}",
        f"The apply would first delete or power off {', '.join(destroyed)}. Nothing was changed.",
        f"Correct `identity` or `rentOrder` of {goal.route.name}, or use --exclude {goal.address}.",
        exit_code=ExitCode.AUTHORISATION,
    )
