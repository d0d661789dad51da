"""`state list`: the resources in the state."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.operations.stacks import new_stack
from dbc_iac.operations.state_admin import is_applying
from dbc_iac.views.text.state import state_lines


@click.command("list")
@json_option
@click.pass_obj
def command(app: App) -> None:
    """List the resources in the state, one per line."""
    project = app.project_of_state()
    found = project.state
    app.report(new_stack(project, found))
    applying = bool(found.open) and is_applying(project)
    app.show_lines(state_lines(found, applying=applying), sorted(found.bindings))
