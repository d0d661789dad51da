"""`state show`: one resource in the state."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.completions import recorded
from dbc_iac.cli.options import json_option
from dbc_iac.operations.state_admin import binding_of
from dbc_iac.views.text.state import binding_lines


@click.command("show")
@click.argument("address", shell_complete=recorded)
@json_option
@click.pass_obj
def command(app: App, address: str) -> None:
    """Show everything that the state records of one resource."""
    binding = binding_of(app.project_of_state(), address)
    app.show_lines(binding_lines(binding), binding.model_dump(mode="json", by_alias=True))
