"""`state encrypt`: encrypt an unencrypted state."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.operations.state_admin import rewrite
from dbc_iac.state.encryption import Writes


@click.command("encrypt")
@json_option
@click.pass_obj
def command(app: App) -> None:
    """Encrypt the state with the keys of the project file."""
    changed = rewrite(app.project(), Writes.FIRST)
    text = "Encrypted the state. Older versions are not encrypted: remove them if necessary."
    app.show(f"{text if changed else 'The state is already encrypted.'}\n", {"state": "encrypted"})
