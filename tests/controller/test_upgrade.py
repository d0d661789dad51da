"""Workers of two versions beside each other, and a database that only a newer one knows."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from dbc_iac import __version__
from dbc_iac.controller.database import NewerVersionError
from dbc_iac.controller.store import Store
from dbc_iac.controller.worker import _Tasks
from dbc_iac.diagnostics import ExitCode
from tests.controller.fleets import info, new_schema
from tests.controller.queues import queue

_ADDS = re.compile(
    r"create (table|(unique )?index) .*|alter table \w+ add column \w+ (?!.*not null(?!.* default)).*", re.DOTALL
)


def test_a_worker_refuses_tables_of_a_newer_version() -> None:
    schema = new_schema()

    async def task() -> None:
        async with Store.open(info(schema), size=1) as store, store.pool.connection() as connection:
            await connection.execute("insert into migrations (name) values ('9999_later.sql')")
        with pytest.raises(NewerVersionError, match="is of a newer dbc-iac") as refused:
            async with Store.open(info(schema), size=1):
                pass
        [problem] = refused.value.diagnostics
        assert (problem.exit_code, "9999_later.sql" in problem.detail) == (ExitCode.REFUSED, True)
        assert problem.remedy.startswith("Install the version")

    asyncio.run(task())


def test_a_migration_only_adds_since_older_workers_go_on() -> None:
    files = sorted(resources.files("dbc_iac.controller.migrations").iterdir(), key=lambda file: file.name)
    for file in [file for file in files if file.name.endswith(".sql") and not file.name.startswith("0001_")]:
        text = re.sub("--[^\n]*", "", file.read_text("utf-8")).lower()
        for statement in filter(None, (part.strip() for part in text.split(";"))):
            assert _ADDS.fullmatch(statement), (file.name, statement)
    assert _ADDS.fullmatch("alter table stacks add column note text not null default ''")
    assert not _ADDS.fullmatch("alter table stacks add column note text not null")
    assert not _ADDS.fullmatch("alter table stacks drop column note")


def test_jobs_keep_their_arguments_since_another_version_may_have_queued_them() -> None:
    found = {
        name: [*inspect.signature(getattr(_Tasks, name)).parameters][1:]
        for name in ("tick", "retention", "sync", "run")
    }
    assert found == {"tick": ["timestamp"], "retention": ["timestamp"], "sync": ["source"], "run": ["stack"]}


def test_a_worker_leaves_a_fleet_with_fields_that_it_does_not_know_to_newer_workers(tmp_path: Path) -> None:
    async def task() -> None:
        async with queue(tmp_path) as (made, worker):
            await made.store.register(worker.fleet)
            await made.store.synced("research", "infra", "c1", {"lab": "t1"}, 3600)
            async with made.store.pool.connection() as connection:
                await connection.execute("update stacks set spec = spec || %s", (Jsonb({"retries": 3}),))
            with pytest.raises(NewerVersionError, match="the stack lab was registered by a newer dbc-iac") as refused:
                async with asyncio.timeout(30):
                    await worker.run()
            assert "cannot read its retries" in refused.value.diagnostics[0].detail
            [stack] = await made.store.stacks("research")
            assert (stack.phase, stack.running, stack.next_run is not None) == ("pending", False, True)
            assert not [note for note in made.notes if "bug" in note]

    asyncio.run(task())


def test_the_process_of_a_run_refuses_a_worker_of_another_version() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "dbc_iac.controller.child"],
        input=json.dumps({"version": "0.0.1"}) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)["result"]
    assert (result["outcome"], result["message"]) == (
        "failed",
        f"the worker runs dbc-iac 0.0.1, but {__version__} is installed",
    )
