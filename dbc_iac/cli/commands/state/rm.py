"""`state rm`: remove resources from the state."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.approval import asking
from dbc_iac.cli.completions import recorded
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.operations.state_admin import remove


@click.command("rm")
@click.argument("addresses", nargs=-1, required=True, shell_complete=recorded)
@yes_option
@json_option
@click.pass_obj
def command(app: App, addresses: tuple[str, ...], yes: bool) -> None:
    """Remove resources from the state. The objects themselves are untouched, and no longer managed."""
    remove(app.project(), addresses, asking(app, yes))
    app.show("".join(f"Removed {a}. The object itself is untouched.\n" for a in addresses), list(addresses))
