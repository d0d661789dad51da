"""`controller status`: the stacks of a fleet."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.access import with_store
from dbc_iac.cli.options import fleet_option, json_option
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.text import stacks_text, to_json

if TYPE_CHECKING:
    from dbc_iac.controller.records import StackStatus
    from dbc_iac.controller.store import Store

_WATCH_SECONDS = 2.0


@click.command("status")
@click.argument("stacks", nargs=-1, metavar="[STACK]...")
@fleet_option
@click.option("--watch", is_flag=True, help="Print again every 2 s, until interrupted.")
@json_option
@click.pass_obj
def command(app: App, /, stacks: tuple[str, ...], fleet: Path, watch: bool) -> None:
    """Show the stacks: phase, commits, last and next run."""

    async def task(made: Fleet, store: Store) -> None:
        while True:
            _show(app, await _chosen(store, made, stacks), await store.now(), clear=watch)
            if not watch:
                return
            await asyncio.sleep(_WATCH_SECONDS)

    with_store(app, fleet, task)


async def _chosen(store: Store, fleet: Fleet, names: tuple[str, ...]) -> list[StackStatus]:
    if names:
        return [await store.stack_of(fleet.name, name) for name in names]
    return await store.stacks(fleet.name)


def _show(app: App, stacks: list[StackStatus], now: datetime, *, clear: bool) -> None:
    if clear and app.runtime.terminal and not app.json:
        click.clear()
    text = stacks_text(stacks, now) if stacks else "No stacks. Start a worker: dbc-iac controller run"
    app.show(text, [to_json(stack) for stack in stacks])
