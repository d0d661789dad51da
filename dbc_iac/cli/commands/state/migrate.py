"""`state migrate`: copy the state to another backend."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.operations.state_admin import migrate


@click.command("migrate")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@json_option
@click.pass_obj
def command(app: App, source: str, target: str) -> None:
    """Copy the state of the stack from one backend to another, which is empty. The old one is unchanged.

    FROM and TO are YAML files with the content of `state:`, or `project` for the backend in the project file.
    """
    old, new, state = migrate(app.project(), source, target)
    text = f"Copied the state to {new}.\n{old} is unchanged: remove it, and do not use it again.\n"
    app.show(text, {"from": old, "to": new, "serial": state.serial})
