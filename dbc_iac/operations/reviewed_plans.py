"""Applying a reviewed plan: from a file or of a program, as it is or against a plan made now."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import convert
from msgspec.structs import replace

from dbc_iac.apply import ApplyOptions, Event, Report
from dbc_iac.apply.rehearsal import impossible_call
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, failure
from dbc_iac.kinds.framework.route import Route
from dbc_iac.operations.apply import Observer, apply_plan, close_pending
from dbc_iac.operations.checks import check_plan
from dbc_iac.operations.plan import PlanToApply, plan_now, require_fresh
from dbc_iac.plan import Plan, PlanOptions
from dbc_iac.plan.review.plan_comparison import check_is_remainder, first_difference
from dbc_iac.plan.review.staleness import check_staleness, damaged, only_unbinds
from dbc_iac.state import State

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project

_LOG = logging.getLogger("dbc_iac.apply")


class _Callback(Observer):
    """Passes on events, until the callback raises: the apply is finished anyway."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._failed = False

    def event(self, event: Event) -> None:
        if self._failed:
            return
        try:
            self._on_event(event)
        except Exception:
            self._failed = True
            _LOG.exception("on_event raised; the apply continues without it")


def apply_reviewed(
    project: Project,
    plan: Plan,
    on_event: Callable[[Event], None] | None,
    options: ApplyOptions | None,
    lock_timeout: float,
) -> Report:
    """Apply a plan that was made earlier, if nothing has changed since. Raises DiagnosticError."""
    require_fresh(plan)
    observer = Observer() if on_event is None else _Callback(on_event)
    with project.locked("apply", lock_timeout):
        to_apply = continue_plan(project, plan)
        refuse_errors(to_apply.plan)
        if to_apply.plan.empty:
            close_pending(project, to_apply)
            return Report()
        return project.redaction(apply_plan(project, to_apply, options or ApplyOptions(), observer))


def refuse_errors(plan: Plan) -> None:
    """Raise DiagnosticError for a plan with errors, which is never applied."""
    if plan.errors:
        raise DiagnosticError(*plan.diagnostics)


def plan_from_file(project: Project, file: Path) -> PlanToApply:
    """The plan of a file, if it is not stale; after an interruption of its own apply, the remainder of that.

    The state is locked. Raises DiagnosticError that names what has changed.
    """
    return continue_plan(project, project.load_plan(file))


def continue_plan(project: Project, reviewed: Plan) -> PlanToApply:
    """A reviewed plan, if it is not stale; after an interruption of its own apply, the remainder of that."""
    refuse_errors(reviewed)
    for change in reviewed.pending:
        name = convert(change.placement.route, Route).identity
        if name not in project.loaded.project.identities and not only_unbinds(change):
            raise failure(
                "plan-stale",
                f"the plan is stale: unknown identity {name}",
                f"{change.address} uses it.",
                "Add the identity to the project file, or run `dbc-iac plan -o FILE` again.",
                address=change.address,
                exit_code=ExitCode.REFUSED,
            )
    state = project.state
    if reviewed.digest in {project.store.last_plan, state.unfinished_plan}:
        return _remainder(project, reviewed, state)
    fresh = project.work(partial(check_staleness, reviewed), state)
    if problem := impossible_call(fresh, state.bindings):
        raise damaged(f"{problem}.")
    # Its warnings are found again.
    return PlanToApply(check_plan(project, replace(reviewed, diagnostics=()), state), fresh.steps, state)


def plan_as_expected(project: Project, file: Path) -> PlanToApply:
    """A plan made now, if it equals the reviewed one of a file, or is the remainder of its interrupted apply.

    The state is locked. Raises DiagnosticError that names the first difference.
    """
    reviewed = project.load_plan(file)
    state = project.state
    if reviewed.digest in {project.store.last_plan, state.unfinished_plan}:
        return _remainder(project, reviewed, state)
    now = plan_now(project, convert(reviewed.options, PlanOptions), state)
    return _accepted(reviewed, now, first_difference(reviewed, now.plan))


def _remainder(project: Project, reviewed: Plan, state: State) -> PlanToApply:
    """The unfinished part of an interrupted apply. What it has replaced already is not replaced again."""
    options = convert(reviewed.options, PlanOptions)
    bindings = state.bindings
    made = {c.address for c in reviewed.pending if c.address in bindings and bindings[c.address].id == c.identity.id}
    now = plan_now(project, replace(options, replace={*options.replace} - made), state)
    problem = check_is_remainder(reviewed, now.plan)
    return _accepted(reviewed, replace(now, plan=replace(now.plan, hooks=reviewed.hooks)), problem)


def _accepted(reviewed: Plan, now: PlanToApply, problem: Diagnostic | None) -> PlanToApply:
    if problem is not None:
        raise DiagnosticError(problem)
    return replace(now, reviewed=reviewed.digest)
