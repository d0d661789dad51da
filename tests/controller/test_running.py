"""Runs that fail in the worker: no directory, no disk, no memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.controller import running
from dbc_iac.controller.git import Repository
from dbc_iac.controller.mirrors import Mirrors
from dbc_iac.controller.records import Outcome, RunResult, StartedRun
from dbc_iac.controller.running import StackRun, WorkerContext
from dbc_iac.controller.store import Store
from dbc_iac.diagnostics import failure
from dbc_iac.secret import SecretText
from tests.controller.fleets import fleet, info, new_schema
from tests.controller.lab import files
from tests.controller.repositories import Origin
from tests.state.servers import postgres


@asynccontextmanager
async def open_run(
    directory: Path, data: Path, *, lease: float = 60, **spec: Any
) -> AsyncIterator[tuple[WorkerContext, Store, StartedRun]]:
    """An open run of a repository with a project in the directory `lab`."""
    origin = Origin.create(directory / "origin", files(1, new_schema()))
    stack = {"name": "lab", "source": "infra", "path": spec.pop("path", "lab")}
    made = fleet(directory, stack, sources={"infra": {"git": origin.url}}, **spec)
    schema, mirrors = new_schema(), Mirrors(made, data / "sources")
    url = SecretText(postgres.address())
    context = WorkerContext(made, url, schema, data, "one", mirrors, asyncio.Event(), lease)
    async with Store.open(info(schema), size=2) as store:
        await store.register(made)
        await store.synced("research", "infra", origin.git("rev-parse", "HEAD"), {"lab": "t1"}, 60)
        started = await store.begin_run("lab", "one", 60)
        assert started is not None
        yield context, store, started


async def ended(directory: Path, data: Path, **spec: Any) -> RunResult:
    """The result of a run."""
    async with open_run(directory, data, **spec) as (context, store, started):
        result = await StackRun(context, store, started).to_end()
        [run] = await store.runs("lab")
        assert (run.outcome, run.message) == (result.outcome, result.message)
    return result


def test_a_run_that_waits_for_a_slow_fetch_keeps_its_lease_and_ends_with_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def task() -> None:
        async with open_run(tmp_path, tmp_path / "data", lease=0.6) as (context, store, started):
            [first] = await store.runs("lab")

            async def fetching(self: Repository, commit: str) -> None:
                async with asyncio.timeout(30):
                    while (await store.runs("lab"))[0].lease == first.lease:  # noqa: ASYNC110 - of the database
                        await asyncio.sleep(0.02)
                context.draining.set()
                await require(self, commit)

            require = Repository.require
            monkeypatch.setattr(Repository, "require", fetching)
            monkeypatch.setattr(running, "started", None)  # no process
            result = await StackRun(context, store, started).to_end()
            assert (result.outcome, result.message, result.next_run) == ("interrupted", "the worker was stopped", 0)

    asyncio.run(task())


@pytest.mark.parametrize(
    ("spec", "data", "message"),
    [
        ({"path": "gone"}, "data", "has no directory gone"),
        ({}, "research.yaml", "cannot start the run (Not a directory)"),
        ({"limits": {"memory": "512Mi"}}, "data", "the run needs more than 512 MiB of memory"),
    ],
    ids=["no directory", "no disk", "no memory"],
)
def test_a_run_that_cannot_be_started_fails_with_its_cause(
    tmp_path: Path, spec: dict[str, Any], data: str, message: str
) -> None:
    result = asyncio.run(ended(tmp_path, tmp_path / data, **spec))
    assert result.outcome is Outcome.FAILED
    assert result.message.endswith(message)


def test_a_checkout_that_fails_ends_the_run_with_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def checkout(*_: Any) -> None:
        raise failure("git-checkout", "cannot check out 3f786850e387", "No space left on device.", "Free some.")

    monkeypatch.setattr(Repository, "checkout", checkout)
    result = asyncio.run(ended(tmp_path, tmp_path / "data"))
    assert result.message == "cannot check out 3f786850e387. No space left on device"
