"""The part that the commands of the controller share: the Fleet file and its database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dbc_iac.cli.app import App
from dbc_iac.cli.extras import require_controller
from dbc_iac.controller.fleet import Fleet, load_fleet

if TYPE_CHECKING:
    from dbc_iac.controller.store import Store

T = TypeVar("T")


def with_store(app: App, file: Path, task: Callable[[Fleet, Store], Awaitable[T]]) -> T:
    """The result of a task on the database of a Fleet file. Raises DiagnosticError."""
    require_controller()
    from dbc_iac.controller.client import on_store

    fleet = load_fleet(file, app.sources)
    result: T = app.runtime.run(on_store(fleet, app.runtime.environ, lambda store: task(fleet, store)))
    return result
