"""Checks of the bindings of a state and of the identities of a plan file, before anything acts on them."""

from __future__ import annotations

from collections.abc import Container

from msgspec import convert

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.kinds import models
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.recorded import unfit_field, unusable_address, unusable_id, unusable_route
from dbc_iac.plan import Plan
from dbc_iac.state.document import Binding, State


def check_bindings(state: State, place: str) -> None:
    """Raises DiagnosticError if a binding is not one that an apply writes."""
    for address, binding in state.bindings.items():
        if problem := _unusable(address, binding):
            raise DiagnosticError(_altered_binding(place, address, problem))


def check_identities(plan: Plan, known: Container[str]) -> None:
    """Raises DiagnosticError if a plan file names an identity that the project does not have."""
    for change in plan.pending:
        name = convert(change.placement.route, Route).identity
        if name not in known:
            raise failure(
                "plan-stale",
                f"the plan is stale: unknown identity {name}",
                f"{change.address} uses it.",
                "Add the identity to the project file, or run `dbc-iac plan -o FILE` again.",
                address=change.address,
                exit_code=ExitCode.REFUSED,
            )


def _unusable(address: str, binding: Binding) -> str:
    """First part of a binding that no apply can have written; empty if there is none."""
    if binding.kind not in models():
        return "kind"
    if address != binding.address or unusable_address(address, binding.kind):
        return "address"
    if unusable_id(binding.id, binding.kind):
        return "id"
    if unusable_route(binding.route):
        return "route"
    path = unfit_field(binding.kind, binding.applied)
    return f"applied.{path}" if path else ""


def _altered_binding(place: str, address: str, problem: str) -> Diagnostic:
    return Diagnostic(
        "state-corrupt",
        Severity.ERROR,
        f"the state has no usable {problem} for {address}",
        f"State: {place}. An apply never writes such a value. Nothing was changed.",
        "Restore it from an older version or a backup.",
        exit_code=ExitCode.ERROR,
    )
