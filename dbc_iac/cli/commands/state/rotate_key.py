"""`state rotate-key`: encrypt the state with a new key."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.operations.state_admin import rewrite
from dbc_iac.state.encryption import Writes


@click.command("rotate-key")
@json_option
@click.pass_obj
def command(app: App) -> None:
    """Replace the data key of the encrypted state.

    The new data key is encrypted with the keys that the project file lists now.
    """
    rewrite(app.project(), Writes.NEW_KEY)
    app.show("Encrypted the state with a new key. Older versions keep their keys.\n", {"state": "rotated"})
