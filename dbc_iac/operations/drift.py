"""Drift: differences between the last apply and the API."""

from __future__ import annotations

from dataclasses import replace

from dbc_iac.operations.pipelines import ephemeral_state
from dbc_iac.operations.project import Project
from dbc_iac.plan.review import drift
from dbc_iac.plan.review.drift import DriftReport


def find_drift(project: Project) -> DriftReport:
    """Compare the last apply with the API. Changes nothing. Raises DiagnosticError."""
    project.check().raise_errors()
    report = project.work(drift.find_drift, project.state)
    warnings = ephemeral_state(project.loaded.project.state, project.runtime.environ)
    return project.redaction(replace(report, diagnostics=(*report.diagnostics, *warnings)))
