"""`controller history`: the runs of a stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.access import with_store
from dbc_iac.cli.options import WholeNumber, fleet_option, json_option
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.text import runs_text, to_json

if TYPE_CHECKING:
    from dbc_iac.controller.records import RunRecord
    from dbc_iac.controller.store import Store


@click.command("history")
@click.argument("stack")
@fleet_option
@click.option("-n", "limit", type=WholeNumber(1, 1000), default=20, show_default=True, help="Maximum number of runs.")
@json_option
@click.pass_obj
def command(app: App, /, stack: str, fleet: Path, limit: int) -> None:
    """Show the last runs of a stack, the newest first."""

    async def task(made: Fleet, store: Store) -> list[RunRecord]:
        return await store.runs((await store.stack_of(made.name, stack)).name, limit)

    runs = with_store(app, fleet, task)
    app.show(runs_text(runs) if runs else f"{stack} has no runs yet.", [to_json(run) for run in runs])
