"""Declarative infrastructure for DeepBrainChain GPU rentals. The names below are the public API (docs/library.md).

project = Project.load("infra", environment="prod")
plan = project.plan()
report = project.apply(plan, on_event=print)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbc_iac.apply import ApplyOptions, Event, Report
    from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
    from dbc_iac.operations.project import Project
    from dbc_iac.operations.runtime import Runtime
    from dbc_iac.plan import Action, Change, FieldChange, Plan, PlanOptions, Step
    from dbc_iac.plan.review.drift import Drift, DriftReport
    from dbc_iac.state import Binding, State

__version__ = "0.1.0"
__all__ = [
    "Action",
    "ApplyOptions",
    "Binding",
    "Change",
    "Diagnostic",
    "DiagnosticError",
    "Drift",
    "DriftReport",
    "Event",
    "ExitCode",
    "FieldChange",
    "Plan",
    "PlanOptions",
    "Project",
    "Report",
    "Runtime",
    "Severity",
    "State",
    "Step",
]
_MODULES = {
    "dbc_iac.apply": ("ApplyOptions", "Event", "Report"),
    "dbc_iac.diagnostics": ("Diagnostic", "DiagnosticError", "ExitCode", "Severity"),
    "dbc_iac.operations.project": ("Project",),
    "dbc_iac.operations.runtime": ("Runtime",),
    "dbc_iac.plan": ("Action", "Change", "FieldChange", "Plan", "PlanOptions", "Step"),
    "dbc_iac.plan.review.drift": ("Drift", "DriftReport"),
    "dbc_iac.state": ("Binding", "State"),
}
_ORIGINS = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is used: the command line starts without the others."""
    if name not in _ORIGINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ORIGINS[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
