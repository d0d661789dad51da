"""Calls that a node is sure to refuse, found before anything is destroyed for them. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.way import turned_away
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.schedule.step_builder import StepBuilder


async def refused_later(
    context: PlanContext, reader: CachedReader, builders: Mapping[str, StepBuilder]
) -> list[Diagnostic]:
    """What would be refused for want of a rental or of rights after something was deleted or powered off for it."""
    if not any(_destroys(g) for d in builders.values() for g in d.goals):
        return []
    ways = {g.route for d in builders.values() for g in d.goals}
    asked = await asyncio.gather(*(turned_away(way, reader) for way in ways))
    refusing = {way: why for way, why in zip(ways, asked, strict=True) if why is not None}
    return list(_problems(context, builders, refusing))


def _destroys(goal: Goal) -> bool:
    return goal.deletes or goal.powers == "off" or goal.power_cycles


def _problems(
    context: PlanContext, builders: Mapping[str, StepBuilder], refusing: Mapping[Route, Unreadable]
) -> Iterator[Diagnostic]:
    told: set[str] = set()
    for builder in builders.values():
        refused = [g for g in builder.goals if g.route in refusing and g.address not in told]
        spoilt = {g.address for g in _so_far(builder, builders) if _destroys(g) and g.route not in refusing}
        for goal in refused if spoilt else ():
            if goal.address not in told:
                told.add(goal.address)
                yield _problem(context, goal, refusing[goal.route], sorted(spoilt))


def _so_far(builder: StepBuilder, builders: Mapping[str, StepBuilder]) -> Iterator[Goal]:
    """The goals of a step and of all that come before it."""
    todo, seen = [builder.key], {builder.key}
    while todo:
        step = builders[todo.pop()]
        yield from step.goals
        todo += [key for key in step.first if key not in seen]
        seen |= step.first


def _problem(context: PlanContext, goal: Goal, why: Unreadable, spoilt: list[str]) -> Diagnostic:
    summary = f"{goal.route.name} would refuse a call for {goal.address}: {why.reason}"
    detail = f"It comes after {', '.join(spoilt)} would have been deleted or powered off. Nothing is begun."
    remedy = f"Correct `identity` or `rentOrder` of {goal.route.name}, or leave it out: --exclude {goal.address}."
    resource = context.inventory.resources.get(goal.address)
    code = ExitCode.AUTHORISATION
    if resource is not None:
        return resource.problem("refused-later", "", summary, detail=detail, remedy=remedy, exit_code=code)
    return Diagnostic("refused-later", Severity.ERROR, summary, detail, remedy, address=goal.address, exit_code=code)
