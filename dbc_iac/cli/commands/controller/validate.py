"""`controller validate`: check the Fleet file."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import fleet_option, json_option
from dbc_iac.controller.fleet import load_fleet


@click.command("validate")
@fleet_option
@json_option
@click.pass_obj
def command(app: App, /, fleet: Path) -> None:
    """Check the Fleet file. Needs no database and no network."""
    found = load_fleet(fleet, app.sources)
    count = len(found.spec.stacks)
    text = f"The Fleet file is valid: {count} stack{'' if count == 1 else 's'}."
    app.show(text, {"valid": True, "fleet": found.name, "stacks": [stack.name for stack in found.spec.stacks]})
