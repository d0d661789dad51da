"""Rights of the role of the controller: to create a schema for the first start, and to use its tables after that."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dbc_iac.controller.database import conninfo
from dbc_iac.controller.records import Outcome, Phase, RunResult
from dbc_iac.controller.store import Store
from dbc_iac.controller.worker import Worker, WorkerOptions
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.secret import SecretText
from tests.controller.fleets import fleet, info, new_schema
from tests.state.servers import postgres


def as_boss(*statements: str, **names: str) -> None:
    with psycopg.connect(postgres.address(), autocommit=True) as connection:
        for statement in statements:
            made = {name: sql.Identifier(value) for name, value in names.items()}
            connection.execute(sql.SQL(statement).format(**made))


@pytest.fixture
def role() -> Iterator[str]:
    name = f"controller_{uuid.uuid4().hex}"
    as_boss("create role {role} login", role=name)
    yield name
    as_boss("drop owned by {role}", "drop role {role}", role=name)


def url(role: str) -> SecretText:
    return SecretText(postgres.address().replace("user=postgres", f"user={role}"))


def test_a_role_that_may_create_a_schema_starts_alone(role: str) -> None:
    async def task() -> None:
        with pytest.raises(DiagnosticError, match="cannot use the database") as refused:
            async with Store.open(conninfo(url(role), new_schema())):
                pass
        assert refused.value.diagnostics[0].detail == "permission denied for database postgres."
        as_boss("grant create on database postgres to {role}", role=role)
        async with Store.open(conninfo(url(role), new_schema())) as store:
            assert await store.stacks("research") == []

    asyncio.run(task())


def test_a_role_that_may_create_nothing_works_on_existing_tables(role: str, tmp_path: Path) -> None:
    async def task() -> None:
        schema = new_schema()
        async with Store.open(info(schema)):
            pass
        as_boss(
            "grant usage on schema {schema} to {role}",
            "grant select, insert, update, delete on all tables in schema {schema} to {role}",
            "grant usage on all sequences in schema {schema} to {role}",
            schema=schema, role=role,
        )  # fmt: skip
        made = fleet(tmp_path, {"name": "lab", "source": "infra"})
        async with Store.open(conninfo(url(role), schema)) as store:
            await store.register(made)
            await store.synced("research", "infra", "c1", {"lab": "t1"}, 0)
            run = await store.begin_run("lab", "host:1", 60)
            assert run is not None
            assert await store.end_run(run.id, RunResult(Outcome.UNCHANGED, Phase.SYNCED, 3600))
        notes: list[str] = []
        worker = Worker(made, url(role), WorkerOptions(1, tmp_path / "data", schema, notify=notes.append))
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(30):
            while True:
                if any("cannot fetch" in note for note in notes):  # a job of the queue has run
                    break
                await asyncio.sleep(0.05)
        worker.drain()
        await running

    asyncio.run(task())
