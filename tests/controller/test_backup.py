"""Backup of the controller's database with the tools of PostgreSQL."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg

from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.store import Store
from tests.controller.fleets import new_schema, on_store
from tests.controller.web.site import PLAN, filled
from tests.state.servers import postgres


def test_a_restored_dump_goes_on_with_its_approvals_and_its_history(tmp_path: Path) -> None:
    schema, address, dump = new_schema(), postgres.address(), tmp_path / "dump"

    async def before(store: Store) -> Fleet:
        return await filled(store, tmp_path, 3)

    made = on_store(before, schema)
    subprocess.run([postgres.program("pg_dump"), "-Fc", "-n", schema, "-f", str(dump), address], check=True)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"drop schema {schema} cascade")
    subprocess.run([postgres.program("pg_restore"), "--exit-on-error", "-d", address, str(dump)], check=True)

    async def after(store: Store) -> None:
        await store.register(made)
        [approval] = await store.approvals("vision-0")
        assert (approval.status, approval.digest) == ("pending", PLAN.digest)
        await store.decide("vision-0", PLAN.digest, "approved", "Ada")
        started = await store.begin_run("vision-0", "two", 60)
        assert started is not None
        assert started.plan is not None
        assert await store.begin_run("vision-0", "three", 60) is None
        assert len(await store.runs("vision-1")) == 2

    on_store(after, schema)
