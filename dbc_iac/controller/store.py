"""The tables of the controller: every read and write besides its queue.

All times are those of the database: the clocks of workers decide nothing. Methods raise DiagnosticError for problems of
the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Self

from dbc_iac.controller.approvals import Approvals
from dbc_iac.controller.database import Connection, database_errors, migrate, open_pool
from dbc_iac.controller.fleets import Fleets
from dbc_iac.controller.records import QueueLength, StackStatus
from dbc_iac.controller.runs import Runs


class Store(Fleets, Runs, Approvals):
    """Fleets, sources, stacks, runs, events and approvals."""

    @classmethod
    @asynccontextmanager
    async def open(cls, info: str, size: int = 4) -> AsyncIterator[Self]:
        """A store with missing tables created. `info`: of `database.conninfo`. Raises DiagnosticError."""
        # Not by the pool, which would wait for a server that refuses it.
        async with database_errors(), await Connection.connect(info, autocommit=True) as connection:
            await migrate(connection)
        async with open_pool(info, size) as pool:
            yield cls(pool)

    async def now(self) -> datetime:
        """The time of the database."""
        [(now,)] = await self._rows("select clock_timestamp()")
        assert isinstance(now, datetime)  # noqa: S101 - the type of the column
        return now

    async def request(self, stack: StackStatus) -> None:
        """Fetch the source of a stack, and run the stack, as soon as possible."""
        await self.request_sync(stack.fleet, stack.source)
        await self.request_run(stack.name)

    async def delete_old_runs(self, days: int, runs: int) -> int:
        """Delete runs beyond an age or a number for each stack, never the last one. Returns their number."""
        return await self._execute(
            "delete from runs r using (select id, stack, period, outcome, row_number() over "
            "(partition by stack order by id desc) as nth from runs) as n "
            "where n.id = r.id and n.nth > 1 and n.outcome is not null "
            "and (n.nth > %s or upper(n.period) < clock_timestamp() - make_interval(days => %s)) and not exists "
            "(select from approvals a where a.run = r.id and a.status in ('pending', 'approved'))",
            (runs, days),
        )

    async def queue_length(self) -> QueueLength:
        """Jobs of all fleets that wait in the queue."""
        [(jobs, oldest)] = await self._rows(
            "select count(*), coalesce(extract(epoch from max(clock_timestamp() - e.at)), 0)::float8 "
            "from procrastinate_jobs j join procrastinate_events e on e.job_id = j.id and e.type = 'deferred' "
            "where j.status = 'todo' and (j.scheduled_at is null or j.scheduled_at <= clock_timestamp())"
        )
        return QueueLength(jobs, oldest)
