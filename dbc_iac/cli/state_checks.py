"""Checks of a state before anything acts on it: the backend checks its shape, and knows no kinds."""

from __future__ import annotations

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.kinds.recorded import unfit_field, unknown_kind, unusable_route
from dbc_iac.state.document import Binding, State


def check_bindings(state: State, place: str) -> None:
    """Raises DiagnosticError where a binding is not one that an apply writes."""
    for address, binding in state.bindings.items():
        if problem := _unusable(binding):
            raise DiagnosticError(_altered_binding(place, address, problem))


def _unusable(binding: Binding) -> str:
    """Where a binding cannot be what an apply wrote; empty where it can."""
    if unknown_kind(binding.kind):
        return "kind"
    if unusable_route(binding.where):
        return "where"
    path = unfit_field(binding.kind, binding.applied)
    return f"applied.{path}" if path else ""


def _altered_binding(place: str, address: str, problem: str) -> Diagnostic:
    return Diagnostic(
        "state-corrupt",
        Severity.ERROR,
        f"{place} has no usable {problem} for {address}",
        "No apply writes it so. Nothing was changed.",
        "Restore it from an older version or a backup.",
        exit_code=ExitCode.ERROR,
    )
