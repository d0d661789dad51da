"""`state push`: replace the state with a copy."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, json_option
from dbc_iac.operations.state_copies import push_file


@click.command("push")
@click.argument("file", type=FILE)
@json_option
@click.pass_obj
def command(app: App, /, file: Path) -> None:
    """Replace the state with FILE, from `state pull` or from an apply (errored.*.state.json).

    Nothing is merged: FILE is refused if the state has changed since it was written.
    """
    state = push_file(app.project(), file)
    app.show(f"Pushed {file}. The state now has serial {state.serial}.\n", {"serial": state.serial})
