"""`controller reconcile`: run a stack now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.requests import request
from dbc_iac.cli.options import fleet_option, json_option
from dbc_iac.diagnostics import ExitCode, failure

if TYPE_CHECKING:
    from dbc_iac.controller.records import StackStatus
    from dbc_iac.controller.store import Store


@click.command("reconcile")
@click.argument("stack")
@fleet_option
@json_option
@click.pass_obj
def command(app: App, /, stack: str, fleet: Path) -> None:
    """Fetch the source of a stack, and run the stack as soon as a worker is free."""
    request(app, fleet, stack, _request, "requested")


async def _request(store: Store, stack: StackStatus) -> None:
    if stack.suspended:
        summary, remedy = f"{stack.name} is suspended", f"Run `dbc-iac controller resume {stack.name}`."
        raise failure("suspended", summary, remedy=remedy, exit_code=ExitCode.REFUSED)
    await store.request(stack)
