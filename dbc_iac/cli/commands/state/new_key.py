"""`state new-key`: a key for the encryption of states."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, json_option
from dbc_iac.operations.encryption import new_encryption_key


@click.command("new-key")
@click.argument("file", type=FILE)
@json_option
@click.pass_obj
def command(app: App, /, file: Path) -> None:
    """Write a new encryption key to FILE.

    For `encryption.key` or `privateKey`. Prints its public key, for `recipients`.
    """
    public = new_encryption_key(file)
    app.show(f"{public}\n", {"publicKey": public})
