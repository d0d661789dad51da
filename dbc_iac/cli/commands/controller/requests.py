"""The common part of `controller suspend`, `resume` and `reconcile`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.access import with_store
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.text import to_json

if TYPE_CHECKING:
    from dbc_iac.controller.records import StackStatus
    from dbc_iac.controller.store import Store


def request(
    app: App, fleet: Path, stack: str, change: Callable[[Store, StackStatus], Awaitable[object]], done: str
) -> None:
    """Change a stack, and show it. `done`: words for people. Raises DiagnosticError for an unknown stack."""

    async def task(made: Fleet, store: Store) -> StackStatus:
        await change(store, await store.stack_of(made.name, stack))
        return await store.stack_of(made.name, stack)

    found = with_store(app, fleet, task)
    app.show(f"{found.name}: {done}.", to_json(found))
