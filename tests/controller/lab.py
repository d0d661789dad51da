"""A controller with everything real but the machines: PostgreSQL, git, processes, and HTTP to an emulated node."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbc_iac.controller.records import StackStatus
from dbc_iac.controller.store import Store
from dbc_iac.controller.worker import Ended, Worker, WorkerOptions
from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.http.listener import Listener
from dbc_iac.emulator.server import node_handler
from dbc_iac.secret import SecretText
from tests.controller.fleets import fleet, info, new_schema
from tests.controller.repositories import Origin
from tests.projects import NODE, NODE_ID, PROJECT, SEED, vm
from tests.state.servers import postgres

PATIENCE = 60.0
"""Seconds after which a test gives up."""


def files(port: int, schema: str, *documents: str, directory: str = "lab") -> dict[str, str]:
    """The files of a project whose state is in the tests' server."""
    state = f'  state: {{backend: postgres, address: "{postgres.address()}", schema: {schema}}}\n'
    project = PROJECT.replace("http://127.0.0.1:5050", f"http://127.0.0.1:{port}") + state
    return {
        f"{directory}/dbc-iac.yaml": project,
        f"{directory}/prod.yaml": "{}",
        f"{directory}/manifests/all.yaml": "---\n".join([NODE, *documents]),
    }


@dataclass
class Lab:
    """One served node, a repository with a project `lab`, and the controller's store."""

    directory: Path
    port: int
    network: Network
    origin: Origin
    store: Store
    schema: str
    url: str = field(default_factory=postgres.address)
    notes: list[str] = field(default_factory=list)

    def commit(self, *documents: str) -> str:
        return self.origin.commit(files(self.port, f"{self.schema}_state", *documents))

    @property
    def vms(self) -> dict[str, Any]:
        found: dict[str, Any] = self.network.nodes[NODE_ID].truth()["vms"]
        return found

    @asynccontextmanager
    async def worker(
        self, stack: Mapping[str, Any] | None = None, name: str = "one", ended: Sequence[Ended] = ()
    ) -> AsyncIterator[Worker]:
        """A worker of a fleet with one stack `lab`."""
        secrets = self.directory / "secrets"
        secrets.mkdir(exist_ok=True)
        (secrets / "SEED").write_text(f"{SEED}\n")
        made = fleet(
            self.directory,
            {"name": "lab", "source": "infra", "path": "lab", **(stack or {})},
            sources={"infra": {"git": self.origin.url, "interval": "1s"}},
            secrets={"lab": {"directory": "secrets"}},
        )
        options = WorkerOptions(1, self.directory / f"data-{name}", self.schema, notify=self.notes.append)
        options.ended.extend(ended)
        worker = Worker(made, SecretText(self.url), options)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.drain()
            await running

    async def until(self, condition: Callable[[StackStatus], bool | Awaitable[bool]]) -> StackStatus:
        """The stack once it satisfies a condition."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.store.stack("research", "lab")
                if found is not None:
                    met = condition(found)
                    if met if isinstance(met, bool) else await met:
                        return found
                await asyncio.sleep(0.1)


@asynccontextmanager
async def lab(directory: Path, *documents: str, time_scale: float = 60) -> AsyncIterator[Lab]:
    """A lab whose first commit has these manifests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    world = {
        "timeScale": time_scale,
        "gpuNodes": [{"id": NODE_ID}],
        "wallets": [{"name": "tenant", "seed": SEED}],
        "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
    }
    network = Network(WorldSpec.model_validate(json.loads(json.dumps(world))))
    network.begin()
    listener = Listener(node_handler(network, network.spec.clients[0].name), network.clock.wall)
    await listener.open("127.0.0.1", port)
    schema = new_schema()[:40]
    origin = Origin.create(directory / "origin", files(port, f"{schema}_state", *documents))
    try:
        async with Store.open(info(schema)) as store:
            yield Lab(directory, port, network, origin, store, schema)
    finally:
        await listener.close()


__all__ = ["Lab", "files", "lab", "vm"]
