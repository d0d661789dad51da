"""`controller reject`: decide about the plan that waits."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.decision import decide
from dbc_iac.cli.options import fleet_option, json_option


@click.command("reject")
@click.argument("stack")
@click.argument("digest")
@fleet_option
@json_option
@click.pass_obj
def command(app: App, /, stack: str, digest: str, fleet: Path) -> None:
    """Reject the plan with this DIGEST; a new commit or drift leads to another plan."""
    decide(app, fleet, stack, digest, "rejected")
