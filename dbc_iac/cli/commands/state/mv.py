"""`state mv`: rename a resource in the state."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.completions import addresses, recorded
from dbc_iac.cli.options import json_option
from dbc_iac.operations.state_admin import move


@click.command("mv")
@click.argument("source", shell_complete=recorded)
@click.argument("destination", shell_complete=addresses)
@json_option
@click.pass_obj
def command(app: App, source: str, destination: str) -> None:
    """Rename a resource in the state.

    For a resource that was renamed in the manifests. Sends no request.
    """
    move(app.project(), source, destination)
    app.show(f"Moved {source} to {destination}.\n", {"from": source, "to": destination})
