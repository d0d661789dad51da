"""`state unlock`: break the state lock."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.approval import asking
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.operations.state_admin import holder_text, unlock


@click.command("unlock")
@yes_option
@json_option
@click.pass_obj
def command(app: App, yes: bool) -> None:
    """Break a state lock that was left behind.

    A run that still holds it can no longer write the state.
    """
    holder = unlock(app.project(), asking(app, yes))
    if holder is None:
        app.show("The state is not locked.\n", {"freed": None})
        return
    app.show(f"Broke the lock of {holder_text(holder)}.\n", {"freed": dict(holder)})
