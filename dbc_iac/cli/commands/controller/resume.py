"""`controller resume`: end the pause of a stack."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.requests import request
from dbc_iac.cli.options import fleet_option, json_option


@click.command("resume")
@click.argument("stack")
@fleet_option
@json_option
@click.pass_obj
def command(app: App, /, stack: str, fleet: Path) -> None:
    """Resume a suspended stack."""
    request(app, fleet, stack, lambda store, found: store.suspend(found.name, suspended=False), "resumed")
