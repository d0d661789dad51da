"""Runs that fail in the worker: no directory, no disk, no memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.api.secret import SecretText
from dbc_iac.controller.mirrors import Mirrors
from dbc_iac.controller.records import Outcome, RunResult
from dbc_iac.controller.running import StackRun, WorkerContext
from dbc_iac.controller.store import Store
from tests.controller.fleets import fleet, info, new_schema
from tests.controller.lab import files
from tests.controller.repositories import Origin
from tests.state.servers import postgres


async def ended(directory: Path, data: Path, **spec: Any) -> RunResult:
    """The result of a run of a repository with a project in the directory `lab`."""
    origin = Origin.create(directory / "origin", files(1, new_schema()))
    stack = {"name": "lab", "source": "infra", "path": spec.pop("path", "lab")}
    made = fleet(directory, stack, sources={"infra": {"git": origin.url}}, **spec)
    schema = new_schema()
    context = WorkerContext(
        made, SecretText(postgres.address()), schema, data, "one", Mirrors(made, data / "sources"), asyncio.Event()
    )
    async with Store.open(info(schema), size=2) as store:
        await store.register(made)
        await store.synced("research", "infra", origin.git("rev-parse", "HEAD"), {"lab": "t1"}, 60)
        started = await store.begin_run("lab", "one", 60)
        assert started is not None
        result = await StackRun(context, store, started).to_end()
        [run] = await store.runs("lab")
        assert (run.outcome, run.message) == (result.outcome, result.message)
    return result


@pytest.mark.parametrize(
    ("spec", "data", "message"),
    [
        ({"path": "gone"}, "data", "has no directory gone"),
        ({}, "research.yaml", "cannot start the run (Not a directory)"),
        ({"limits": {"memory": "1Mi"}}, "data", "the run needs more than 1 MiB of memory"),
    ],
    ids=["no directory", "no disk", "no memory"],
)
def test_a_run_that_cannot_be_started_fails_with_its_cause(
    tmp_path: Path, spec: dict[str, Any], data: str, message: str
) -> None:
    result = asyncio.run(ended(tmp_path, tmp_path / data, **spec))
    assert result.outcome is Outcome.FAILED
    assert result.message.endswith(message)
