"""Fleets, their sources and their stacks in the database."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from dbc_iac.controller.database import Connection
from dbc_iac.controller.fleet import Fleet, SourceSpec, StackSpec, claim
from dbc_iac.controller.records import SourceStatus, StackStatus
from dbc_iac.controller.tables import Tables, forget_removed
from dbc_iac.diagnostics import MAX_SUMMARY, Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.plan.model import canonical_digest

_LONGEST_QUEUE = 200
_SOURCES: LiteralString = "select name, spec, failures, problem from sources "
_STACKS: LiteralString = """
select s.name, s.fleet, s.source, s.spec, s.removed, s.suspended, s.commit, s.tree, s.applied_commit, s.applied_tree,
  s.phase, s.drifted, s.message, s.failures, s.next_run, s.last_success, r.id as run,
  coalesce(r.id is not null and r.outcome is null, false) as running, lower(r.period) as last_run,
  a.digest as approval, coalesce(a.status = 'approved', false) as approved,
  nullif(concat_ws('. ', o.problem ->> 'summary', nullif(rtrim(o.problem ->> 'detail', '.'), '')), '') as source_problem
from stacks s
left join lateral (select * from runs where runs.stack = s.name order by id desc limit 1) r on true
left join approvals a on a.stack = s.name and a.status in ('pending', 'approved')
left join sources o on o.fleet = s.fleet and o.name = s.source
"""


# Another directory has another tree: the next fetch finds it.
_UPSERT: LiteralString = """
insert into stacks as s (name, fleet, source, claim, spec)
select t.name, %(fleet)s, t.source, t.claim, t.spec
from unnest(%(names)s::text[], %(sources)s::text[], %(claims)s::text[], %(specs)s::jsonb[])
  as t (name, source, claim, spec)
on conflict (name) do update set removed = false, source = excluded.source, claim = excluded.claim,
  spec = excluded.spec,
  tree = case when s.claim = excluded.claim then s.tree else '' end,
  commit = case when s.claim = excluded.claim then s.commit else '' end,
  applied_tree = case when s.claim = excluded.claim then s.applied_tree else '' end,
  next_run = case when s.spec = excluded.spec and not s.removed then s.next_run
    when s.claim = excluded.claim and s.commit <> '' then clock_timestamp() end
"""


class Fleets(Tables):
    """Queries of fleets, sources and stacks."""

    async def register(self, fleet: Fleet) -> None:
        """Make the stacks of a Fleet file those of the fleet. Raises DiagnosticError if another fleet has one.

        Stacks that are no longer in it finish their run, and are forgotten; nothing is destroyed.
        """
        spec = fleet.spec
        dumped = {stack.name: _json_of(stack) for stack in spec.stacks}
        claims = {stack.name: "\n".join(claim(spec.sources[stack.source], stack)) for stack in spec.stacks}
        digest = canonical_digest(spec.model_dump(mode="json", by_alias=True))
        async with self._transaction() as connection:
            known = await connection.execute("select digest from fleets where name = %s", (fleet.name,))
            if await known.fetchone() == (digest,):
                return
            await connection.execute("select pg_advisory_xact_lock(hashtext('dbc-iac controller'))")
            await self._refuse_claimed(connection, fleet.name, claims)
            await connection.execute(
                "insert into fleets (name, digest) values (%s, %s) on conflict (name) do update "
                "set digest = excluded.digest",
                (fleet.name, digest),
            )
            for name, source in spec.sources.items():
                await connection.execute(
                    "insert into sources as s (fleet, name, spec) values (%s, %s, %s) on conflict (fleet, name) "
                    "do update set next_sync = case when s.spec = excluded.spec then s.next_sync "
                    "else clock_timestamp() end, spec = excluded.spec",
                    (fleet.name, name, Jsonb(_json_of(source))),
                )
            await connection.execute(
                "update stacks set removed = true, next_run = null, claim = 'removed ' || name "
                "where fleet = %s and name <> all(%s)",
                (fleet.name, list(dumped)),
            )
            await connection.execute(
                _UPSERT,
                {
                    "fleet": fleet.name,
                    "names": list(dumped),
                    "sources": [stack.source for stack in spec.stacks],
                    "claims": list(claims.values()),
                    "specs": [Jsonb(stack) for stack in dumped.values()],
                },
            )
            await connection.execute(
                "update sources o set next_sync = clock_timestamp() where fleet = %s and exists "
                "(select from stacks s where s.fleet = o.fleet and s.source = o.name and s.commit = '')",
                (fleet.name,),
            )
            await forget_removed(connection)
            await connection.execute(
                "delete from sources s where fleet = %s and name <> all(%s) "
                "and not exists (select from stacks where stacks.fleet = s.fleet and stacks.source = s.name)",
                (fleet.name, list(spec.sources)),
            )

    async def _refuse_claimed(self, connection: Connection, fleet: str, claims: Mapping[str, str]) -> None:
        found = await connection.execute(
            "select name, fleet from stacks where fleet <> %s and (name = any(%s) or claim = any(%s)) order by name",
            (fleet, list(claims), list(claims.values())),
        )
        if rows := await found.fetchall():
            raise DiagnosticError(
                *(
                    Diagnostic(
                        "stack-claimed",
                        Severity.ERROR,
                        f"the stack {name} belongs to the fleet {other}",
                        "Two fleets must not manage the same stack.",
                        "Remove it from one of the Fleet files, or give this fleet a database of its own.",
                        exit_code=ExitCode.REFUSED,
                    )
                    for name, other in rows
                )
            )

    async def sources(self, fleet: str) -> list[SourceStatus]:
        """All sources of a fleet, by name."""
        return await self._all(SourceStatus, _SOURCES + "where fleet = %s order by name", (fleet,))

    async def source(self, fleet: str, name: str) -> SourceStatus | None:
        return await self._one(SourceStatus, _SOURCES + "where fleet = %s and name = %s", (fleet, name))

    async def due_sources(self, fleet: str) -> list[str]:
        """Names of the sources of a fleet that are to be fetched now."""
        found = await self._rows(
            "select name from sources where fleet = %s and next_sync <= clock_timestamp()", (fleet,)
        )
        return [name for (name,) in found]

    async def request_sync(self, fleet: str, name: str) -> bool:
        """Fetch a source as soon as possible. Returns whether it exists."""
        found = await self._execute(
            "update sources set next_sync = clock_timestamp() where fleet = %s and name = %s", (fleet, name)
        )
        return found == 1

    async def paths(self, fleet: str, source: str) -> dict[str, str]:
        """Directory of each stack of a source, by the stack's name."""
        found = await self._rows(
            "select name, spec ->> 'path' from stacks where fleet = %s and source = %s and not removed",
            (fleet, source),
        )
        return {name: path for name, path in found}  # noqa: C416 - rows are not pairs for the type checker

    async def synced(self, fleet: str, source: str, commit: str, trees: Mapping[str, str], next_sync: float) -> None:
        """Record a fetched commit: stacks whose tree has changed run now. `trees`: by stack; `next_sync`: seconds."""
        async with self._transaction() as connection:
            await connection.execute(
                "update sources set failures = 0, problem = null, "
                "next_sync = clock_timestamp() + make_interval(secs => %s) where fleet = %s and name = %s",
                (next_sync, fleet, source),
            )
            await connection.execute(
                "update stacks s set commit = %(commit)s, tree = t.tree, next_run = clock_timestamp() "
                "from unnest(%(names)s::text[], %(trees)s::text[]) as t (name, tree) "
                "where s.name = t.name and s.fleet = %(fleet)s and not s.removed and s.tree <> t.tree",
                {"commit": commit, "names": list(trees), "trees": list(trees.values()), "fleet": fleet},
            )

    async def sync_failed(self, fleet: str, source: str, problem: Diagnostic, next_sync: float) -> None:
        """Record a failed fetch: stacks go on with the commit they have. `next_sync`: seconds."""
        shown = {"summary": problem.summary, "detail": problem.detail, "remedy": problem.remedy}
        await self._execute(
            "update sources set failures = failures + 1, problem = %s, "
            "next_sync = clock_timestamp() + make_interval(secs => %s) where fleet = %s and name = %s",
            (Jsonb(shown), next_sync, fleet, source),
        )

    async def stacks(self, fleet: str) -> list[StackStatus]:
        """All stacks of a fleet, by name."""
        return await self._all(StackStatus, _STACKS + "where s.fleet = %s order by s.name", (fleet,))

    async def stack(self, fleet: str, name: str) -> StackStatus | None:
        return await self._one(StackStatus, _STACKS + "where s.fleet = %s and s.name = %s", (fleet, name))

    async def stack_of(self, fleet: str, name: str) -> StackStatus:
        """A stack of a fleet. Raises DiagnosticError if it has none of this name."""
        if (found := await self.stack(fleet, name)) is not None:
            return found
        known = [known for (known,) in await self._rows("select name from stacks where fleet = %s", (fleet,))]
        remedy = "Run `dbc-iac controller status` for the stacks." if known else "Run `dbc-iac controller run` first."
        if close := difflib.get_close_matches(name, known, 1):
            remedy = f"Did you mean {close[0]}?"
        summary = f"unknown stack {name}"[:MAX_SUMMARY]
        raise failure("unknown-stack", summary, remedy=remedy)

    async def due_stacks(self, fleet: str) -> list[str]:
        """Names of the stacks of a fleet that are to run now and are not in the queue, the most overdue first.

        The queue is kept short: taking a job from it costs time in proportion to its length.
        """
        found = await self._rows(
            "select name from stacks where fleet = %s and next_run <= clock_timestamp() "
            "and not suspended and not removed and not exists "
            "(select from procrastinate_jobs where queueing_lock = 'run ' || name and status = 'todo') "
            "order by next_run limit greatest(0, %s - "
            "(select count(*) from procrastinate_jobs where task_name = 'run' and status = 'todo'))",
            (fleet, _LONGEST_QUEUE),
        )
        return [name for (name,) in found]

    async def request_run(self, stack: str) -> None:
        """Run a stack as soon as possible; one that has no commit yet runs after the first fetch."""
        await self._execute(
            "update stacks set next_run = clock_timestamp() where name = %s and commit <> '' and not removed", (stack,)
        )

    async def suspend(self, stack: str, *, suspended: bool) -> None:
        """Suspend or resume a stack; a run in progress completes."""
        await self._execute(
            "update stacks set suspended = %s, next_run = case when %s then next_run else clock_timestamp() end "
            "where name = %s and not removed",
            (suspended, suspended, stack),
        )


def _json_of(spec: StackSpec | SourceSpec) -> Any:
    return json.loads(spec.model_dump_json(by_alias=True, exclude_defaults=False, exclude_none=True))
