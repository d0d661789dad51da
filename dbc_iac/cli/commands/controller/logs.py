"""`controller logs`: the events of a run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.access import with_store
from dbc_iac.cli.options import WholeNumber, fleet_option, json_option
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.text import event_text, problem_lines, run_end, to_json
from dbc_iac.diagnostics import failure
from dbc_iac.plan.serialization import read_plan
from dbc_iac.views.text.plan import plan_lines

if TYPE_CHECKING:
    from dbc_iac.controller.records import EventRecord, RunRecord
    from dbc_iac.controller.store import Store

_FOLLOW_SECONDS = 1.0


@click.command("logs")
@click.argument("run", type=WholeNumber(min=1))
@fleet_option
@click.option("--follow", is_flag=True, help="Print new events until the run ends.")
@json_option
@click.pass_obj
def command(app: App, /, run: int, fleet: Path, follow: bool) -> None:
    """Show the events of a RUN, its problems, and a plan that was not applied. `controller history` has its number."""

    async def task(_: Fleet, store: Store) -> None:
        shown = -1
        while True:
            found = await _run(store, run)
            while events := await store.events(run, shown):
                shown = events[-1].number
                _show(app, events)
            if not follow or found.outcome is not None:
                await _show_end(app, store, found)
                return
            await asyncio.sleep(_FOLLOW_SECONDS)

    with_store(app, fleet, task)


async def _show_end(app: App, store: Store, run: RunRecord) -> None:
    plan = await store.plan_of(run.stack, run.digest) if run.outcome == "planned" else None
    if plan is not None:
        made = read_plan(json.loads(plan))
        app.show_lines(plan_lines(made), {"plan": made.to_json()})
    app.show("\n".join([*problem_lines(run), run_end(run)]), {"run": to_json(run)})


async def _run(store: Store, number: int) -> RunRecord:
    found = await store.run(number)
    if found is None:
        remedy = "Run `dbc-iac controller history STACK` for its runs."
        raise failure("unknown-run", f"unknown run {number}", remedy=remedy)
    return found


def _show(app: App, events: list[EventRecord]) -> None:
    for event in events:
        app.show(event_text(event), to_json(event))
