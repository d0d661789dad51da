"""The queue of a worker with simulated runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from dbc_iac.controller import worker as worker_module
from dbc_iac.controller.records import Outcome, Phase, RunResult, StartedRun
from dbc_iac.controller.running import WorkerContext
from dbc_iac.controller.store import Store
from dbc_iac.controller.worker import Worker, WorkerOptions
from dbc_iac.secret import SecretText
from tests.controller.fleets import fleet, info, new_schema
from tests.controller.repositories import Origin
from tests.state.servers import postgres


class Simulated:
    """A run that observes nothing."""

    def __init__(self, context: WorkerContext, store: Store, run: StartedRun) -> None:
        self._store = store
        self._run = run

    async def to_end(self) -> RunResult:
        result = RunResult(Outcome.UNCHANGED, Phase.SYNCED, 3600)
        await self._store.end_run(self._run.id, result)
        return result


@dataclass
class Queue:
    """A fleet with one stack `lab` and its worker's notes."""

    store: Store
    schema: str
    notes: list[str] = field(default_factory=list)

    async def until(self, met: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(60):
            while True:
                if await met():
                    return
                await asyncio.sleep(0.05)

    async def synced(self) -> bool:
        found = await self.store.stack("research", "lab")
        return found is not None and found.phase == "synced" and not found.running


@asynccontextmanager
async def queue(directory: Path) -> AsyncIterator[tuple[Queue, Worker]]:
    """A queue, and a worker that has not started."""
    origin = Origin.create(directory / "origin", {"README": ""})
    schema = new_schema()
    source = {"infra": {"git": origin.url, "interval": "1h"}}
    read = fleet(directory, {"name": "lab", "source": "infra"}, sources=source)
    with patch.object(worker_module, "StackRun", Simulated):
        async with Store.open(info(schema), size=1) as store:
            made = Queue(store, schema)
            options = WorkerOptions(1, directory / "data", schema, notify=made.notes.append)
            yield made, Worker(read, SecretText(postgres.address()), options)


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.drain()
        async with asyncio.timeout(30):
            await running
