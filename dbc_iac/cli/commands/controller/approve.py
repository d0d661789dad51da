"""`controller approve`: decide about the plan that waits."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.decision import decide
from dbc_iac.cli.options import fleet_option, json_option


@click.command("approve")
@click.argument("stack")
@click.argument("digest")
@fleet_option
@json_option
@click.pass_obj
def command(app: App, /, stack: str, digest: str, fleet: Path) -> None:
    """Approve the plan with this DIGEST; only exactly this plan is applied."""
    decide(app, fleet, stack, digest, "approved")
