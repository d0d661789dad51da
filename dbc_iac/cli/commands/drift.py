"""`drift`: differences between the last apply and the API."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.operations.drift import find_drift
from dbc_iac.views.text.drift import drift_text


@click.command("drift")
@json_option
@click.pass_obj
def command(app: App) -> None:
    """Show changes made outside dbc-iac. Exits with 2 if there are any since the last apply; changes nothing."""
    report = find_drift(app.project())
    app.report(report.diagnostics)
    app.show(drift_text(report), report.to_json())
    if report.exit_code is not ExitCode.OK:
        raise click.exceptions.Exit(report.exit_code)
