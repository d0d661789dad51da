"""`validate`: check the manifests."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity
from dbc_iac.operations.discovery import project_directories


@click.command("validate")
@click.argument("files", nargs=-1, type=FILE)
@json_option
@click.pass_obj
def command(app: App, /, files: tuple[Path, ...]) -> None:
    """Check the manifests. Needs no credentials and no network.

    With FILES, check the project of each: for pre-commit hooks.
    """
    checked = [_checked(one) for one in ([app.at(d) for d in project_directories(files)] if files else [app])]
    problems = [d for _, found in checked for d in found]
    app.report(problems)
    if errors := [d.exit_code for d in problems if d.severity is Severity.ERROR]:
        raise click.exceptions.Exit(max(errors))
    count = sum(number for number, _ in checked)
    text = f"The configuration is valid: {count} resource{'' if count == 1 else 's'}."
    app.show(text if checked else "No project contains these files.", {"valid": True, "resources": count})


def _checked(app: App) -> tuple[int, tuple[Diagnostic, ...]]:
    """The number of a project's resources, and its problems."""
    try:
        project = app.project()
    except DiagnosticError as error:
        return 0, error.diagnostics
    return len(project.inventory.resources), tuple(project.check())
