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
from dbc_iac.plan.check.guardrails import check_reviewed
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.deletions import FAILED, GONE
from dbc_iac.plan.model import Action, Change, Plan, equal
from dbc_iac.plan.planner import refresh_current, with_resolved
from dbc_iac.plan.review.derived_parts import differing_parts
from dbc_iac.plan.review.plan_comparison import route_changed
from dbc_iac.plan.review.recorded_objects import other_objects
from dbc_iac.plan.schedule.step_builder import CompiledPlan
from dbc_iac.plan.schedule.steps import recompiled, with_power_off
from dbc_iac.state.document import Binding

_LOG = logging.getLogger("dbc_iac.plan")


async def check_staleness(plan: Plan, context: PlanContext) -> CompiledPlan:
    """The plan with its goals, if it is not stale. Raises DiagnosticError with all differences since it was made."""
    context, reader = with_resolved(context), CachedReader(context.connect, repeats=True)
    if problem := _state_difference(plan, context) or route_changed(plan, context.access):
        raise DiagnosticError(_stale(None, problem))
    if any(c.action is Action.ADOPT for c in plan.changes):
        context, _ = await refresh_current(context, reader)
    differing = other_objects(plan, context.state)
    if others := [_stale(c, f"{c.address} is another object than in the state", what) for c, what in differing]:
        raise DiagnosticError(*others)
    try:
        compiled = recompiled(plan)
    except DiagnosticError:
        raise
    except Exception as error:  # values that no resource of the kind has
        _LOG.debug("the steps of a plan file cannot be compiled", exc_info=error)
        raise damaged("Its steps cannot be compiled.") from None
    if others := [
        _stale(c, f"{part} of {c.address} differs from its manifest") for c, part in differing_parts(plan, context)
    ]:
        raise DiagnosticError(*others)
    if refused := [*check_reviewed(compiled, context)]:
        raise DiagnosticError(*refused)
    for change, derived in zip(plan.changes, with_power_off(plan.changes, plan.steps), strict=True):
        if change.power_off != derived.power_off:
            raise DiagnosticError(_stale(change, f"powerOff of {change.address} differs from its steps"))
    pending = [c for c in plan.changes if _is_observed(c)]
    seen = await asyncio.gather(*(_look(c, context, reader) for c in pending))
    problems = [p for c, o in zip(pending, seen, strict=True) for p in _moved(c, o)]
    if problems:
        raise DiagnosticError(*problems)
    return compiled


def damaged(detail: str) -> DiagnosticError:
    """The refusal of a plan file whose changes cannot be carried out."""
    return failure(
        "not-a-plan",
        "the plan file is damaged: its changes cannot be carried out",
        detail,
        "Run `dbc-iac plan -o FILE` again.",
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
    if plan.moves != tuple(f"{before} to {now}" for before, now in context.moves):
        return "`moved` of the project file changed"
    if not {*plan.closed_operations} <= {operation.number for operation in state.open}:
        return "the plan closes operations that are not pending"
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


def _is_observed(change: Change) -> bool:
    """Whether the object of a change is observed again: it is changed, or the state takes over what was observed."""
    return bool(change.settled) or (change.pending and change.action is not Action.CREATE and not only_unbinds(change))


def only_unbinds(change: Change) -> bool:
    """Whether a change removes the binding without a request."""
    return change.action is Action.FORGET and GONE not in change.reasons


def _moved(change: Change, seen: Observation) -> Iterator[Diagnostic]:
    if seen.present is None:
        yield _stale(change, f"{change.address} cannot be read now: {seen.reason}")
    elif bool(seen.present) != (change.action is not Action.FORGET):
        now = "exists again" if seen.present else "does not exist"
        yield _stale(change, f"{change.address} {now}")
    elif change.action is Action.REPLACE and (FAILED in change.reasons) != seen.failed_creation:
        yield _stale(change, f"the creation of {change.address} {'failed' if seen.failed_creation else 'did not fail'}")
    elif seen.present:
        for path in {**change.observed, **seen.values}:
            was, is_now = change.observed.get(path), seen.values.get(path)
            if not equal(was, is_now):
                yield _stale(change, f"{change.address}: {path} was {value_text(was)}, is {value_text(is_now)} now")


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
