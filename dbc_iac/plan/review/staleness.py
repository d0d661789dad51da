"""Staleness of a plan file: another state, drift since it was made, or other steps. Reads only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from msgspec import convert

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.json import value_text
from dbc_iac.kinds import Observation, kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.deletions import GONE
from dbc_iac.plan.model import Action, Change, Plan
from dbc_iac.plan.review.plan_comparison import route_changed
from dbc_iac.plan.review.recorded_objects import other_objects
from dbc_iac.plan.schedule.step_builder import CompiledPlan
from dbc_iac.plan.schedule.steps import recompiled, with_power_off
from dbc_iac.state.document import Binding

_LOG = logging.getLogger("dbc_iac.plan")


async def check_staleness(plan: Plan, context: PlanContext) -> CompiledPlan:
    """The plan with its goals, if it is not stale. Raises DiagnosticError with all differences since it was made."""
    state = context.state
    if problem := _state_difference(plan, context) or route_changed(plan, context.access):
        raise DiagnosticError(_stale(None, problem))
    differing = other_objects(plan, state)
    if others := [_stale(c, f"{c.address} is another object than in the state", what) for c, what in differing]:
        raise DiagnosticError(*others)
    try:
        compiled = recompiled(plan)
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # values that no resource of the kind has
        _LOG.debug("the steps of a plan file cannot be compiled", exc_info=error)
        raise _damaged() from None
    for change, derived in zip(plan.changes, with_power_off(plan.changes, plan.steps), strict=True):
        if change.power_off != derived.power_off:
            raise DiagnosticError(_stale(change, f"powerOff of {change.address} differs from its steps"))
    reader = CachedReader(context.connect, repeats=True)
    pending = [c for c in plan.pending if c.action is not Action.CREATE and not _is_forgotten(c)]
    seen = await asyncio.gather(*(_look(c, context, reader) for c in pending))
    problems = [p for c, o in zip(pending, seen, strict=True) for p in _moved(c, o)]
    if problems:
        raise DiagnosticError(*problems)
    return compiled


def _damaged() -> DiagnosticError:
    return failure(
        "not-a-plan",
        "the plan file is damaged: its changes cannot be carried out",
        remedy="Run `dbc-iac plan -o FILE` again.",
        exit_code=ExitCode.CONFIGURATION,
    )


def _state_difference(plan: Plan, context: PlanContext) -> str:
    """Difference between the state of a plan and the present one; empty if there is none."""
    state = context.state
    for name, planned, present in (("project", plan.project, state.project), ("stack", plan.stack, state.stack)):
        if planned != present:
            return f"the plan is for {name} {planned}, not {present}"
    if plan.lineage not in {"", state.lineage}:  # empty: made before the state was written, with serial 0
        return f"the plan is of state lineage {plan.lineage}, not {state.lineage}"
    if plan.serial != state.serial:
        return f"the state changed: serial {plan.serial} in the plan, {state.serial} now"
    if plan.journal_records != context.journal_records:
        return "the state changed: an apply was interrupted after the plan was made"
    return ""


async def _look(change: Change, context: PlanContext, reader: CachedReader) -> Observation:
    identity = change.identity.old_id or change.identity.id
    route = convert(change.old_placement.route or change.placement.route, Route)
    resource, kind = context.inventory.resources.get(change.address), kind_of(change.kind)
    binding = context.state.bindings.get(change.address)
    if binding is None and resource is None:  # a pending creation
        binding = Binding(
            address=change.address, kind=change.kind, id=identity, generation=change.identity.generation,
            route=route.to_json(), applied=dict(change.applied),
        )  # fmt: skip
    key = "" if resource is None else kind.natural_key(resource, context.inventory)
    parent = context.state.bindings.get(change.old_placement.parent or change.placement.parent)
    parent_id = parent.id if parent else change.placement.parent_id
    lookup = Lookup(change.address, route, identity, change.identity.generation, binding, key, parent_id)
    return await kind.observe(lookup, reader)


def _is_forgotten(change: Change) -> bool:
    """Whether a change only removes the binding, without a call."""
    return change.action is Action.FORGET and GONE not in change.reasons


def _moved(change: Change, seen: Observation) -> Iterator[Diagnostic]:
    if seen.present is None:
        yield _stale(change, f"{change.address} cannot be read now: {seen.reason}")
    elif bool(seen.present) != (change.action is not Action.FORGET):
        now = "exists again" if seen.present else "does not exist"
        yield _stale(change, f"{change.address} {now}")
    else:
        for path, value in seen.values.items():
            if path in change.observed and change.observed[path] != value:
                yield _stale(
                    change,
                    f"{change.address}: {path} was {value_text(change.observed[path])}, is {value_text(value)} now",
                )


def _stale(change: Change | None, summary: str, *detail: str) -> Diagnostic:
    return Diagnostic(
        "plan-stale",
        Severity.ERROR,
        summary,
        " ".join((*detail, "A plan file is applied exactly as reviewed, or not at all.")),
        "Run `dbc-iac plan -o FILE` again.",
        address=change.address if change else None,
        exit_code=ExitCode.REFUSED,
    )
