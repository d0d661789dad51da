"""Runs and their events in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import errors
from psycopg.types.json import Jsonb

from dbc_iac.controller.approvals import LAST_APPROVALS, settle_approvals
from dbc_iac.controller.database import Connection
from dbc_iac.controller.fleet import SourceSpec, StackSpec
from dbc_iac.controller.records import ApprovalRecord, EventRecord, Outcome, RunRecord, RunResult, StartedRun
from dbc_iac.controller.tables import Tables, forget_removed, records, stored

_RUNS: LiteralString = """
select id, stack, commit, tree, mode, worker, lower(period) as started,
  case when outcome is not null then upper(period) end as ended, lease, outcome, message, digest, report, diagnostics
from runs
"""


class Runs(Tables):
    """Queries of runs and events."""

    async def begin_run(self, stack: str, worker: str, lease: float) -> StartedRun | None:
        """Begin a run; None if the stack has an open run, or must not run. `lease`: seconds. Raises DiagnosticError."""
        async with self._connection() as connection:
            try:
                async with connection.transaction():
                    await self._close_lost(connection)
                    return await self._begin(connection, stack, worker, lease)
            except errors.ExclusionViolation:
                await connection.execute(
                    "update stacks s set next_run = r.lease from runs r "
                    "where s.name = %s and r.stack = s.name and r.outcome is null",
                    (stack,),
                )
        return None

    async def _begin(self, connection: Connection, stack: str, worker: str, lease: float) -> StartedRun | None:
        found = await connection.execute(
            "insert into runs (stack, number, commit, tree, mode, worker, period, lease) "
            "select name, number, commit, tree, spec ->> 'mode', %(worker)s, tstzrange(clock_timestamp(), null), "
            "clock_timestamp() + make_interval(secs => %(lease)s) from stacks "
            "where name = %(stack)s and not suspended and not removed and commit <> '' returning id",
            {"stack": stack, "worker": worker, "lease": lease},
        )
        row = await found.fetchone()
        if row is None:
            return None
        found = await connection.execute(
            "update stacks s set next_run = null from sources o where s.name = %s and o.fleet = s.fleet "
            "and o.name = s.source returning s.spec, o.name, o.spec, s.commit, s.tree, s.applied_tree = s.tree, "
            "s.failures, least(s.failures, (select count(*) from runs r where r.stack = s.name and r.tree = s.tree "
            "and r.outcome = 'failed')), s.drifted, clock_timestamp()",
            (stack,),
        )
        values = await found.fetchone()
        assert values is not None  # noqa: S101 - the stack was just found, and a stack has a source
        approval = next(iter(await records(connection, ApprovalRecord, LAST_APPROVALS, (stack, 1))), None)
        plan = None
        if approval is not None:
            kept = await connection.execute("select plan from runs where id = %s", (approval.run,))
            [(plan,)] = await kept.fetchall()
        spec, source, source_spec, commit, tree, drift_only, failures, retries, drifted, now = values
        return StartedRun(
            id=row[0],
            stack=stack,
            spec=stored(StackSpec, f"the stack {stack}", spec),
            source=source,
            source_spec=stored(SourceSpec, f"the source {source}", source_spec),
            commit=commit,
            tree=tree,
            drift_only=drift_only,
            failures=failures,
            retries=retries,
            drifted=drifted,
            now=now,
            approval=approval,
            plan=plan,
        )

    async def renew_run(self, run: int, lease: float) -> bool:
        """Renew the lease of an open run. Returns whether it is still open. `lease`: seconds."""
        found = await self._execute(
            "update runs set lease = clock_timestamp() + make_interval(secs => %s) where id = %s and outcome is null",
            (lease, run),
        )
        return found == 1

    async def end_run(self, run: int, result: RunResult) -> bool:
        """Record the end of a run. Returns whether it was still open; otherwise nothing is recorded."""
        async with self._transaction() as connection:
            found = await connection.execute(
                "update runs set period = tstzrange(lower(period), clock_timestamp()), outcome = %s, message = %s, "
                "digest = %s, plan = %s, report = %s, diagnostics = %s where id = %s and outcome is null "
                "returning stack, tree, commit",
                (result.outcome, result.message, result.digest, result.plan, result.report, result.diagnostics, run),
            )
            row = await found.fetchone()
            if row is None:
                return False
            stack, tree, commit = row
            await settle_approvals(connection, run, stack, tree, commit, result)
            ended = {**_condition(result), "stack": stack, "tree": tree, "commit": commit, "next": result.next_run}
            await connection.execute(
                "update stacks set phase = coalesce(%(phase)s, phase), drifted = %(drifted)s, message = %(message)s, "
                "failures = case when %(failed)s then failures + 1 when %(ended)s then 0 else failures end, "
                "applied_tree = case when %(done)s then %(tree)s else applied_tree end, "
                "applied_commit = case when %(done)s then %(commit)s else applied_commit end, "
                "last_success = case when %(ended)s then clock_timestamp() else last_success end, "
                "next_run = least(next_run, clock_timestamp() + make_interval(secs => %(next)s)) "
                "where name = %(stack)s",
                ended,
            )
            await forget_removed(connection)
        return True

    @staticmethod
    async def _close_lost(connection: Connection) -> list[str]:
        found = await connection.execute(
            "update runs set period = tstzrange(lower(period), greatest(lower(period) + interval '1 us', lease)), "
            "outcome = 'lost', "
            "message = 'the worker ' || worker || ' is gone' where outcome is null and lease < clock_timestamp() "
            "returning stack"
        )
        return [stack for (stack,) in await found.fetchall()]

    async def close_lost_runs(self) -> list[str]:
        """Close the runs of workers whose lease has ended, and run their stacks now. Returns their names."""
        async with self._transaction() as connection:
            stacks = await self._close_lost(connection)
            await connection.execute(
                "update stacks set next_run = least(next_run, clock_timestamp()) where name = any(%s) and not removed",
                (stacks,),
            )
            # A worker that was killed between the queue and the run has left neither.
            await connection.execute(
                "update stacks s set next_run = clock_timestamp() where next_run is null and commit <> '' "
                "and not removed and not exists (select from runs where runs.stack = s.name and outcome is null) "
                "and not exists "
                "(select from procrastinate_jobs where lock = 'run ' || s.name and status = 'doing') and not exists "
                "(select from procrastinate_jobs where queueing_lock = 'run ' || s.name and status = 'todo')"
            )
            await forget_removed(connection)
        return stacks

    async def open_runs(self) -> list[int]:
        """Numbers of the runs that have not ended."""
        return [run for (run,) in await self._rows("select id from runs where outcome is null")]

    async def runs(self, stack: str, limit: int = 50) -> list[RunRecord]:
        """The last runs of a stack, the newest first."""
        return await self._all(RunRecord, _RUNS + "where stack = %s order by id desc limit %s", (stack, limit))

    async def run(self, run: int) -> RunRecord | None:
        return await self._one(RunRecord, _RUNS + "where id = %s", (run,))

    async def plan_of(self, stack: str, digest: str) -> str | None:
        """The newest plan of a stack with a digest, as JSON (`Plan.to_json`)."""
        found = await self._rows(
            "select plan from runs where stack = %s and digest = %s and plan is not null order by id desc limit 1",
            (stack, digest),
        )
        return found[0][0] if found else None

    async def add_events(self, run: int, events: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Append events by number; those that are stored already are skipped."""
        await self._execute(
            "insert into events (run, number, content) select %s, * from unnest(%s::int[], %s::jsonb[]) "
            "on conflict do nothing",
            (run, [n for n, _ in events], [Jsonb(content) for _, content in events]),
        )

    async def events(self, run: int, after: int = -1, limit: int = 1000) -> list[EventRecord]:
        """Events of a run with a number above `after`, in order."""
        return await self._all(
            EventRecord,
            "select run, number, at, content from events where run = %s and number > %s order by number limit %s",
            (run, after, limit),
        )


def _condition(result: RunResult) -> dict[str, object]:
    return {
        "phase": result.phase,
        "drifted": result.drifted,
        "message": result.message,
        "done": result.outcome in {Outcome.UNCHANGED, Outcome.APPLIED},
        "ended": result.outcome in {Outcome.UNCHANGED, Outcome.APPLIED, Outcome.PLANNED},
        "failed": result.outcome is Outcome.FAILED,
    }
