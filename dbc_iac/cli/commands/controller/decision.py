"""The common part of `controller approve` and `controller reject`."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.controller.access import with_store
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.text import to_json

if TYPE_CHECKING:
    from dbc_iac.controller.records import ApprovalRecord
    from dbc_iac.controller.store import Store


def decide(app: App, fleet: Path, stack: str, digest: str, decision: Literal["approved", "rejected"]) -> None:
    """Record a decision about the plan that waits. Raises DiagnosticError if no plan with this digest does."""

    async def task(made: Fleet, store: Store) -> ApprovalRecord:
        return await store.decide((await store.stack_of(made.name, stack)).name, digest, decision, person())

    done = with_store(app, fleet, task)
    app.show(f"{done.stack}: plan {done.digest[:12]} {done.status} by {done.decided_by}.", to_json(done))


def person() -> str:
    """The user of this process, for the record of the decision."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}@{socket.gethostname()}"
