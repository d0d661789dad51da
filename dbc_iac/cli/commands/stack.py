"""`stack`: the stacks of the project."""

from __future__ import annotations

import click
from msgspec.structs import asdict

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.operations.stacks import list_stacks
from dbc_iac.views.text.tables import table


@click.group("stack")
def command() -> None:
    """Stacks: each has its own state and lock."""


@command.command("list")
@json_option
@click.pass_obj
def stack_list(app: App) -> None:
    """List the stacks that have a state, with its serial and number of resources."""
    stacks, problems = list_stacks(app.project_of_state())
    rows = [tuple(asdict(stack).values()) for stack in stacks]
    columns = ("stack", "serial", "resources")
    lines = table([c.upper() for c in columns], rows)
    app.show(f"{lines}\n", [dict(zip(columns, row, strict=True)) for row in rows])
    problems.raise_errors()
