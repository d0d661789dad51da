"""`controller reconcile`: run a stack now."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.requests import request
from dbc_iac.cli.options import fleet_option, json_option


@click.command("reconcile")
@click.argument("stack")
@fleet_option
@json_option
@click.pass_obj
def command(app: App, /, stack: str, fleet: Path) -> None:
    """Fetch the source of a stack, and run the stack as soon as a worker is free."""
    request(app, fleet, stack, lambda store, found: store.request(found), "requested")
