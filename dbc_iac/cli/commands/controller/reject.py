"""`controller reject`: reject a plan that waits for approval."""

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
    """Reject the plan with this DIGEST. The next commit or drift gives a new plan."""
    decide(app, fleet, stack, digest, "rejected")
