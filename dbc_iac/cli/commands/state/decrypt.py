"""`state decrypt`: write the state unencrypted."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.operations.state_admin import rewrite
from dbc_iac.state.encryption import Writes


@click.command("decrypt")
@json_option
@click.pass_obj
def command(app: App) -> None:
    """Store the state unencrypted.

    Everyone with access to its backend can then read names, addresses and rent orders.

    Afterwards remove `encryption` from the project file.
    """
    changed = rewrite(app.project(), Writes.CLEAR)
    text = (
        "Decrypted the state. Remove `encryption` from the project file now."
        if changed
        else "The state is already unencrypted."
    )
    app.show(f"{text}\n", {"state": "clear"})
