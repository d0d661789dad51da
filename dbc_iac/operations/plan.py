"""Planning: compare the manifests and the state with the API."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from dbc_iac.diagnostics import DiagnosticError, failure
from dbc_iac.operations.checks import check_plan, check_to_destroy, other_environment, shared_wallets
from dbc_iac.plan import Plan, PlanOptions, make_plan
from dbc_iac.plan.schedule.step_builder import StepBuilder
from dbc_iac.state import State

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project

_LOG = logging.getLogger("dbc_iac.plan")


class PlanToApply(Struct, frozen=True):
    """A plan that can be applied now, its steps with their goals, and the state that it starts from.

    `reviewed`: digest of the reviewed plan that it continues; empty: its own.
    """

    plan: Plan
    steps: Mapping[str, StepBuilder]
    state: State
    reviewed: str = ""


def require_fresh(plan: Plan) -> None:
    """Raise DiagnosticError for a plan that was made from the state alone, which is never applied."""
    if plan.options.get("offline"):
        summary = "cannot apply a plan that was made from the state alone"
        raise failure("plan-not-fresh", summary, remedy="Plan with PlanOptions(offline=False).")


def plan_now(project: Project, options: PlanOptions, state: State | None = None) -> PlanToApply:
    """Make a plan, with its warnings. The state is locked, except where `options.offline`. Writes nothing.

    `state`: as it was read; by default it is read now. Raises DiagnosticError.
    """
    (check_to_destroy(project.inventory) if options.destroy else project.check()).raise_errors()
    state = state or project.state
    try:
        made = project.work(partial(make_plan, options=options), state, offline=options.offline)
    except DiagnosticError as error:  # values of another environment would make the remedies wrong
        raise DiagnosticError(*other_environment(state, project.environment), *error.diagnostics) from None
    for change in made.plan.changes if _LOG.isEnabledFor(logging.INFO) else ():
        _LOG.info("%s: %s", change.address, "; ".join((change.action.value, *project.redaction(change.reasons))))
    several = len(project.loaded.project.clients) > 1 and not options.destroy
    warnings = shared_wallets(project.loaded, project.inventory) if several else ()
    return PlanToApply(check_plan(project, made.plan, state, warnings), made.steps, state)
