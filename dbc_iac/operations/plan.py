"""Planning: compare the manifests and the state with the API."""

from __future__ import annotations

import logging

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.operations.checks import check_plan, other_environment, shared_wallets
from dbc_iac.operations.project import Project
from dbc_iac.plan import Plan, PlanOptions, make_plan
from dbc_iac.state import State

_LOG = logging.getLogger("dbc_iac.plan")


def plan_locked(project: Project, options: PlanOptions | None = None) -> Plan:
    """Make a plan, holding the state lock meanwhile. Raises DiagnosticError."""
    with project.locked("plan"):
        return plan_project(project, options or PlanOptions())


def plan_project(project: Project, options: PlanOptions) -> Plan:
    """Make a plan, with its warnings. The state is locked, except where `options.offline`. Raises DiagnosticError."""
    return plan_and_state(project, options)[0]


def plan_and_state(project: Project, options: PlanOptions) -> tuple[Plan, State]:
    """Make a plan as `plan_project` does; return it with the state that it was made from. Writes nothing."""
    if not options.destroy:
        project.check().raise_errors()
    state = project.state
    try:
        plan: Plan = project.runtime.run(_plan(project, state, options))
    except DiagnosticError as error:  # values of another environment would make the remedies wrong
        raise DiagnosticError(*other_environment(state, project.environment), *error.diagnostics) from None
    for change in plan.changes if _LOG.isEnabledFor(logging.INFO) else ():
        _LOG.info("%s: %s", change.address, "; ".join((change.action.value, *project.redaction(change.reasons))))
    warnings = () if options.destroy else shared_wallets(project.loaded, project.inventory)
    return check_plan(project, plan, state, warnings), state


async def _plan(project: Project, state: State, options: PlanOptions) -> Plan:
    async with project.identities.connections(offline=options.offline) as connections:
        return await make_plan(project.context(connections, state), options)
