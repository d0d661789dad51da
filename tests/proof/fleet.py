"""A fleet with real processes, PostgreSQL and git: workers killed, the database restarted and cut off.

`python -m tests.proof.fleet [STACKS] [--interval SECONDS] [--only PART]` prints what it measured, and the load of the
machine. Takes minutes; not part of `make test`.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from psycopg import sql

from dbc_iac.api.endpoints import ALL
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.raw_request import class_of
from dbc_iac.controller import worker as worker_module
from dbc_iac.controller.database import conninfo
from dbc_iac.controller.fleet import load_fleet
from dbc_iac.controller.records import StackStatus
from dbc_iac.controller.store import Store
from dbc_iac.controller.worker import Worker, WorkerOptions
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.http.answer import Response
from dbc_iac.emulator.http.evhttp import Asked
from dbc_iac.emulator.http.listener import Listener
from dbc_iac.emulator.server import node_handler
from dbc_iac.secret import SecretText
from tests.controller.queues import Simulated, queue, working
from tests.controller.repositories import Origin
from tests.projects import NODE, NODE_ID, PROJECT, SEED, document, vm
from tests.proof.server import Proxy, Server, free_port

SCHEMA = "fleet_proof"
SETTINGS = {"DBC_IAC_CONTROLLER_SCHEMA": SCHEMA, "PATH": os.environ["PATH"]}
LAN = "network{:03}"


@dataclass
class World:
    """A served node, a repository, a database, and workers in processes of their own."""

    folder: Path
    server: Server
    port: int
    network: Network
    origin: Origin
    calls: list[tuple[float, str]] = field(default_factory=list)
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def fleet(self, stacks: Iterable[dict[str, Any]], name: str = "fleet", secrets: str = "secrets") -> Path:
        listed = [{"source": "infra", "mode": "apply", "drift": "revert", "interval": "60s", **one} for one in stacks]
        spec = {
            "database": {"env": "DBC_IAC_DATABASE"},
            "sources": {"infra": {"git": self.origin.url, "interval": "5s"}},
            "stacks": listed,
            "secrets": {one["name"]: {"directory": secrets} for one in listed},
        }
        file = self.folder / f"{name}.yaml"
        file.write_text(
            yaml.safe_dump({"apiVersion": "dbc-iac/v1", "kind": "Fleet", "metadata": {"name": "proof"}, "spec": spec})
        )
        return file

    def secrets(self, name: str = "secrets", **more: str) -> None:
        directory = self.folder / name
        directory.mkdir()
        for key, value in {"SEED": SEED, **more}.items():
            (directory / key).write_text(value)

    def start_worker(self, fleet: Path, *, url: str = "", workers: int = 1) -> str:
        name = f"w{len([*self.folder.glob('*.log')]) + 1}"
        line = [sys.executable, "-m", "dbc_iac", "controller", "run", "--fleet", str(fleet), "--workers", str(workers)]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.workers[name] = subprocess.Popen(
                [*line, "--data", str(self.folder / "data" / name)],
                env={**SETTINGS, "HOME": str(self.folder), "DBC_IAC_DATABASE": url or self.server.address},
                stdout=log,
                stderr=log,
            )
        return name

    def kill(self, name: str) -> None:
        process = self.workers.pop(name)
        process.kill()
        process.wait()

    def end(self) -> None:
        for process in self.workers.values():
            process.terminate()
        for process in self.workers.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(90)
            process.kill()

    @property
    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = self.network.nodes[NODE_ID].truth()
        return found

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        async with Store.open(conninfo(SecretText(self.server.address), SCHEMA), size=2) as store:
            yield store


def project_files(name: str, number: int, port: int, state: str, *documents: str) -> dict[str, str]:
    text = PROJECT.replace("http://127.0.0.1:5050", f"http://127.0.0.1:{port}")
    text = text.replace("00112233445566778899aabbccddeeff", f"{number:032x}")
    return {
        f"{name}/dbc-iac.yaml": f'{text}  state: {{backend: postgres, address: "{state}", schema: {name}}}\n',
        f"{name}/prod.yaml": "{}",
        f"{name}/manifests/all.yaml": "---\n".join([NODE, *documents]),
    }


@asynccontextmanager
async def world() -> AsyncIterator[World]:
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
        made = World(folder, server, free_port(), network, Origin.create(folder / "origin", {"README": ""}))
        served = node_handler(network, network.spec.clients[0].name)

        async def handler(asked: Asked) -> Response:
            made.calls.append((time.monotonic(), asked.uri.removeprefix("/api/v1")))
            return await served(asked)

        listener = Listener(handler, network.clock.wall)
        await listener.open("127.0.0.1", made.port)
        made.secrets()
        try:
            yield made
        finally:
            await asyncio.to_thread(made.end)
            await listener.close()


async def until(met: Callable[[list[StackStatus]], bool], store: Store, seconds: float, what: str) -> float:
    """Seconds until a condition on all stacks is met."""
    began = time.monotonic()
    while True:
        with suppress(Exception):  # the database may be down
            if met(await store.stacks("proof")):
                return time.monotonic() - began
        assert time.monotonic() - began < seconds, what
        await asyncio.sleep(0.5)


async def disrupted(stacks: int, interval: int) -> None:
    """Proof 1: workers are killed and the database is restarted, while the stacks are applied."""
    source = random.Random(7)
    async with world() as made, made.store() as store:
        names = [f"s{n}" for n in range(stacks)]
        files: dict[str, str] = {}
        for number, name in enumerate(names):
            lan = document("Network", LAN.format(number), {"via": "gpu-a", "cidr": f"10.0.{number % 250}.0/24"})
            files |= project_files(name, number + 1, made.port, made.server.address, lan)
        made.origin.commit(files)
        fleet = made.fleet({"name": name, "path": name, "interval": f"{interval}s"} for name in names)
        for _ in range(4):
            made.start_worker(fleet)
        began, kills, restarts = time.monotonic(), 0, 0
        while True:
            await asyncio.sleep(source.uniform(8, 12))
            with suppress(Exception):
                done = sum(s.phase == "synced" for s in await store.stacks("proof"))
                if restarts == 2 and done >= 0.9 * stacks:
                    break
                if done >= (restarts + 1) * 0.3 * stacks and restarts < 2:
                    made.server.stop()
                    await asyncio.sleep(3)
                    made.server.start()
                    restarts += 1
            made.kill(source.choice([*made.workers]))
            made.start_worker(fleet)
            kills += 1
            assert time.monotonic() - began < 3600, "it does not converge"
        disrupted_for = time.monotonic() - began
        after = await until(lambda found: all(s.phase == "synced" for s in found), store, 600, "stacks stay behind")
        lag, watched = 0.0, time.monotonic()
        while time.monotonic() - watched < interval:
            overdue = [s for s in await store.stacks("proof") if s.next_run is not None and not s.running]
            now = (await store._rows("select clock_timestamp()"))[0][0]
            lag = max(lag, *((now - s.next_run).total_seconds() for s in overdue if s.next_run is not None), 0.0)
            await asyncio.sleep(1)
        runs = [run for name in names for run in await store.runs(name, 1000)]
        [(overlaps,)] = await store._rows(
            "select count(*) from runs a join runs b on a.stack = b.stack and a.id < b.id and a.period && b.period"
        )
        found = [*made.truth["lans"]]
        print(
            f"1. {stacks} stacks, 4 workers, {kills} killed, {restarts} restarts of PostgreSQL in {disrupted_for:.0f} s; "
            f"load of the machine: {_load()}"
        )
        print(f"   converged {after:.0f} s after it; {len(runs)} runs: {dict(Counter(r.outcome for r in runs))}")
        print(
            f"   overlapping runs: {overlaps}; LANs: {len(found)}; largest lag after it: {lag:.0f} s (interval {interval} s)"
        )
        assert overlaps == 0
        assert sorted(found) == [LAN.format(n) for n in range(stacks)]
        assert lag <= 2 * interval


def _load() -> str:
    """The mean number of processes that ran or waited for a CPU in the last 1, 5 and 15 minutes."""
    return f"{' '.join(f'{mean:.1f}' for mean in os.getloadavg())} on {os.cpu_count()} CPUs"


async def in_window(how: str) -> None:
    """Proof 2: within a power-off window a worker loses the database, is killed, or is asked to end."""
    async with world() as made, made.store() as store, Proxy(made.server.port).serve() as proxy:
        state = "postgresql:///postgres?user=postgres"  # host and port are in the secrets of each worker
        made.secrets("secrets-a", PGHOST="127.0.0.1", PGPORT=str(proxy.port))
        made.secrets("secrets-b", PGHOST="127.0.0.1", PGPORT=str(made.server.port))
        stack = [{"name": "one", "path": "one"}]
        made.origin.commit(project_files("one", 1, made.port, state, vm("a")))
        first = made.fleet(stack, "first", "secrets-a")
        worker = made.start_worker(first, url=made.server.address.replace(str(made.server.port), str(proxy.port)))
        try:
            await until(lambda found: any(s.phase == "synced" for s in found), store, 300, "the VM is not created")
        except AssertionError as error:
            raise AssertionError(await _state(made, store)) from error
        disk = document("Disk", "scratch", {"vm": "a", "size": "30Gi"})
        made.origin.commit(project_files("one", 1, made.port, state, vm("a", memory="16Gi"), disk))
        began = time.monotonic()
        while not any(uri.startswith(("/tasks/shutdown", "/tasks/poweroff")) for _, uri in made.calls):
            assert time.monotonic() - began < 120, await _state(made, store)
            await asyncio.sleep(0.02)
        match how:
            case "cut off":
                proxy.cut()
            case "killed":
                made.kill(worker)
            case _:
                made.workers[worker].terminate()
        cut = time.monotonic()
        while True:
            [machine] = made.truth["vms"].values()
            started = any(uri.startswith("/tasks/start/") for at, uri in made.calls if at > cut)
            if started and machine["domain"]["state"] == "running":
                break
            assert time.monotonic() - cut < 600, "the window is not closed"
            await asyncio.sleep(0.1)
        closed = time.monotonic() - cut
        after = Counter(_call(uri) for at, uri in made.calls if at > cut)
        classes = {uri: class_of(uri, ALL) for at, uri in made.calls if at > cut and "session_id" not in uri}
        changing = [uri for uri, kind in classes.items() if kind is not CallClass.READ]
        assert all(uri.startswith("/tasks/start/") for uri in changing), changing
        second = made.fleet(stack, "second", "secrets-b")
        made.start_worker(second)
        taken = await until(lambda found: found[0].phase == "synced" and not found[0].running
                            and len(next(iter(made.truth["vms"].values()))["disks"]) == 3, store, 900, "not taken over")  # fmt: skip
        print(f"2. worker {how} in a window: closed after {closed:.1f} s; calls after the cut: {dict(after)}")
        print(f"   another worker applied the rest {taken:.0f} s later")
        print(f"   runs: {[(r.outcome, r.message) for r in await store.runs('one')]}")


async def _state(made: World, store: Store) -> str:
    """The condition of a world, for the message of a failure."""
    logs = [f"{file.name}: {file.read_text()}" for file in sorted(made.folder.glob("*.log"))]
    calls = dict(Counter(_call(uri) for _, uri in made.calls))
    return "\n".join([*(str(stack) for stack in await store.stacks("proof")), *logs, str(calls)])


def _call(uri: str) -> str:
    """The kind of a call, without ids."""
    return "/".join(part for part in uri.strip("/").split("?")[0].split("/") if len(part) < 20)


async def wiped() -> None:
    """A bad day: the tables of the controller are dropped while a worker runs."""
    with tempfile.TemporaryDirectory() as folder:
        async with queue(Path(folder)) as (made, worker), working(worker):
            await made.until(made.synced)
            async with made.store.pool.connection() as connection:
                await connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(made.schema)))
            began = time.monotonic()

            async def again() -> bool:
                try:
                    return await made.synced()
                except DiagnosticError:
                    return False

            await made.until(again)
            print(
                f"   wiped database: tables are there again and the stack has run after {time.monotonic() - began:.0f} s"
            )
            print(f"   {made.notes}")


async def overhead(stacks: int) -> None:
    """Proof 3, the queue: seconds of each run besides its process, for many stacks in one worker."""
    with tempfile.TemporaryDirectory() as name, Server.started() as server:
        folder = Path(name)
        origin = Origin.create(folder / "origin", {"README": ""})
        listed = [{"name": f"s{n}", "source": "infra", "stack": f"s{n}"} for n in range(stacks)]
        spec = {"database": {"env": "X"}, "sources": {"infra": {"git": origin.url}}, "stacks": listed}
        file = folder / "fleet.yaml"
        file.write_text(
            yaml.safe_dump({"apiVersion": "dbc-iac/v1", "kind": "Fleet", "metadata": {"name": "proof"}, "spec": spec})
        )
        url = SecretText(server.address)
        options = WorkerOptions(4, folder / "data", SCHEMA, notify=lambda _: None)
        with patch.object(worker_module, "StackRun", Simulated):
            began = time.monotonic()
            fleet = load_fleet(file, {})
            loaded = time.monotonic() - began
            worker = Worker(fleet, url, options)
            running = asyncio.create_task(worker.run())
            async with Store.open(conninfo(url, SCHEMA), size=1) as store:
                first = last = 0
                while last < stacks:
                    await asyncio.sleep(0.05)
                    with suppress(Exception):
                        [(last,)] = await store._rows("select count(*) from runs where outcome is not null")
                        if last and not first:
                            first, began, cpu = last, time.monotonic(), time.process_time()
                seconds, busy = time.monotonic() - began, time.process_time() - cpu
                queued = max(last - first, 1)
            worker.drain()
            await running
        print(
            f"3. {stacks} simulated stacks: {1000 * seconds / queued:.1f} ms a run ({1000 * busy / queued:.1f} ms of CPU "
            f"in the worker); Fleet file read in {loaded:.1f} s"
        )


async def throughput(stacks: int) -> None:
    """Proof 3, the rest: real runs of unchanged stacks by the number of workers."""
    async with world() as made, made.store() as store:
        names = [f"s{n}" for n in range(stacks)]
        files: dict[str, str] = {}
        for number, name in enumerate(names):
            files |= project_files(name, number + 1, made.port, made.server.address)
        made.origin.commit(files)
        fleet = made.fleet({"name": name, "path": name, "interval": "1h"} for name in names)
        for workers in (1, 2):
            made.start_worker(fleet)
            await until(lambda found: bool(found) and all(s.phase == "synced" for s in found), store, 900, "not synced")
            [(before,)] = await store._rows("select count(*) from runs")
            for name in names:
                await store.request_run(name)
            began = time.monotonic()
            done = 0
            while done < stacks:
                await asyncio.sleep(0.1)
                [(done,)] = await store._rows(
                    "select count(*) from runs where outcome is not null and id > %s", (before,)
                )
            seconds = time.monotonic() - began
            print(f"3. {workers} workers: {60 * stacks / seconds:.0f} unchanged stacks a minute")


async def main(stacks: int, interval: int, only: str) -> None:
    parts: dict[str, Sequence[Callable[[], Awaitable[None]]]] = {
        "overhead": [partial(overhead, number) for number in (100, 1000, 10_000)],
        "throughput": [partial(throughput, 20)],
        "window": [partial(in_window, how) for how in ("cut off", "killed", "asked to end")],
        "wiped": [wiped],
        "disrupted": [partial(disrupted, stacks, interval)],
    }
    for name, proofs in parts.items():
        for proof in proofs if only in {"", name} else ():
            await proof()


if __name__ == "__main__":
    given = ArgumentParser(description="A fleet with real processes, PostgreSQL and git.")
    given.add_argument("stacks", nargs="?", type=int, default=300)
    given.add_argument("--interval", type=int, default=60, help="seconds between two runs of a stack")
    given.add_argument("--only", default="", help="overhead, throughput, window, wiped or disrupted")
    options = given.parse_args()
    asyncio.run(main(options.stacks, options.interval, options.only))
