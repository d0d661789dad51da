"""A fleet with real processes, PostgreSQL and git: workers killed, the database restarted and cut off.

`python -m tests.proof.fleet [STACKS] [SECONDS]` prints what it measured. Takes minutes; not part of `make test`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml

from dbc_iac.api.secret import SecretText
from dbc_iac.controller.database import conninfo
from dbc_iac.controller.store import Store
from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.http.listener import Listener
from dbc_iac.emulator.server import node_handler
from tests.controller.repositories import Origin
from tests.proof.server import Server
from tests.projects import NODE, NODE_ID, PROJECT, SEED, document

SCHEMA = "fleet_proof"


@dataclass
class World:
    """The emulated nodes, the repository, the database, and the Fleet file."""

    folder: Path
    server: Server
    port: int
    network: Network
    origin: Origin
    fleet: Path
    stacks: int
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started: int = 0

    def start_worker(self, *, url: str = "", workers: int = 2) -> str:
        self.started += 1
        name = f"w{self.started}"
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DBC_IAC_DATABASE": url or self.server.address,
            "DBC_IAC_CONTROLLER_SCHEMA": SCHEMA,
        }
        log = (self.folder / f"{name}.log").open("wb")
        line = [sys.executable, "-m", "dbc_iac", "controller", "run", "--fleet", str(self.fleet)]
        self.workers[name] = subprocess.Popen(
            [*line, "--workers", str(workers), "--data", str(self.folder / "data" / name)],
            env=environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        return name

    def kill(self, name: str) -> None:
        process = self.workers.pop(name)
        process.kill()
        process.wait()

    def stop_all(self) -> None:
        for process in self.workers.values():
            process.terminate()
        for process in self.workers.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()

    @property
    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = self.network.nodes[NODE_ID].truth()
        return found

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        async with Store.open(conninfo(SecretText(self.server.address), SCHEMA), size=2) as store:
            yield store


def stack_files(number: int, port: int, address: str, *, generation: int) -> dict[str, str]:
    """A project with one LAN, whose network changes with the generation."""
    state = f'  state: {{backend: postgres, address: "{address}", schema: s{number}}}\n'
    lan = document("Network", f"lan{number:05}", {"via": "gpu-a", "cidr": f"10.{number // 250}.{number % 250}.0/{24 + generation}"})
    text = PROJECT.replace("http://127.0.0.1:5050", f"http://127.0.0.1:{port}").replace(
        "00112233445566778899aabbccddeeff", f"{number:032x}"
    )
    return {
        f"s{number}/dbc-iac.yaml": text + state,
        f"s{number}/prod.yaml": "{}",
        f"s{number}/manifests/all.yaml": "---\n".join([NODE, lan]),
    }


@asynccontextmanager
async def world(stacks: int, *, interval: int = 60, mode: str = "apply") -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="fleet-proof-") as name, Server.started() as server:
        folder = Path(name)
        spec = {
            "timeScale": 60,
            "gpuNodes": [{"id": NODE_ID}],
            "wallets": [{"name": "tenant", "seed": SEED}],
            "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
        }
        network = Network(WorldSpec.model_validate(spec))
        network.begin()
        listener = Listener(node_handler(network, network.spec.clients[0].name), network.clock.wall)
        port = free_port()
        await listener.open("127.0.0.1", port)
        origin = Origin.create(folder / "origin", {"README": ""})
        (folder / "secrets").mkdir()
        (folder / "secrets/SEED").write_text(SEED)
        listed = [
            {
                "name": f"s{n}", "source": "infra", "path": f"s{n}", "mode": mode, "drift": "revert",
                "interval": f"{interval}s",
            }
            for n in range(stacks)
        ]  # fmt: skip
        fleet = {
            "apiVersion": "dbc-iac/v1",
            "kind": "Fleet",
            "metadata": {"name": "proof"},
            "spec": {
                "database": {"env": "DBC_IAC_DATABASE"},
                "sources": {"infra": {"git": origin.url, "interval": "5s"}},
                "stacks": listed,
                "secrets": {f"s{n}": {"directory": "secrets"} for n in range(stacks)},
            },
        }
        (folder / "fleet.yaml").write_text(yaml.safe_dump(fleet))
        made = World(folder, server, port, network, origin, folder / "fleet.yaml", stacks)
        try:
            yield made
        finally:
            made.stop_all()
            await listener.close()


def free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
