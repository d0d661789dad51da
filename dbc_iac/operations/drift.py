"""Drift: differences between the last apply and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from dbc_iac.operations.checks import ephemeral_state
from dbc_iac.operations.rentals import ending_rentals
from dbc_iac.plan.review import drift
from dbc_iac.plan.review.drift import DriftReport

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project


def find_drift(project: Project) -> DriftReport:
    """Compare the last apply with the API. Changes nothing. Raises DiagnosticError."""
    project.check().raise_errors()
    report = project.work(drift.find_drift, project.state)
    spec, runtime = project.loaded.project, project.runtime
    within = spec.thresholds.rental_ends_within
    ending = () if within is None else ending_rentals(report.rentals, within, runtime.now())
    warnings = (*ending, *ephemeral_state(spec.state, runtime.environ))
    return project.redaction(replace(report, diagnostics=(*report.diagnostics, *warnings)))
