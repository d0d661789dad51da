"""`signing-key`: keys that sign plan files."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, json_option
from dbc_iac.operations.plan_files import new_signing_key, public_signing_key


@click.group("signing-key")
def command() -> None:
    """Keys that sign plan files."""


@command.command("new")
@click.argument("file", type=FILE)
@json_option
@click.pass_obj
def new(app: App, /, file: Path) -> None:
    """Write a new private key to FILE, and print its public key for `trustedPlanKeys`."""
    _show(app, new_signing_key(file))


@command.command("show")
@click.argument("file", type=FILE)
@json_option
@click.pass_obj
def show(app: App, /, file: Path) -> None:
    """Print the public key of the private key in FILE."""
    _show(app, public_signing_key(file))


def _show(app: App, key: str) -> None:
    app.show(f"{key}\n", {"publicKey": key})
