"""The queue of a worker: lost workers, refused fleets, and the pace of stacks."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from croniter import croniter
from procrastinate.exceptions import ConnectorException

from dbc_iac.controller.git import Repository
from dbc_iac.controller.pace import next_fetch, next_run
from dbc_iac.controller.process import _unretrieved
from dbc_iac.controller.records import Outcome
from dbc_iac.controller.text import stacks_text
from dbc_iac.controller.worker import TICK
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity
from tests.controller.fleets import fleet, info
from tests.controller.queues import queue, working


def test_the_stack_and_the_job_of_a_worker_that_is_gone_are_taken_over(tmp_path: Path) -> None:
    async def task() -> None:
        async with queue(tmp_path) as (made, worker):
            await made.store.register(worker.fleet)
            await made.store.synced("research", "infra", "c1", {"lab": "t1"}, 3600)
            lost = await made.store.begin_run("lab", "gone", -1)
            assert lost is not None
            async with made.store.pool.connection() as connection:
                for task, lock in (("run", "run lab"), ("tick", f"tick {worker.queue}")):  # killed within both
                    await connection.execute(
                        "insert into procrastinate_jobs (queue_name, task_name, lock, queueing_lock, status, args) "
                        "values ('gone', %s, %s, %s, 'doing', '{}')",
                        (task, lock, lock),
                    )
            async with working(worker):
                await made.until(made.synced)
            [last, first] = await made.store.runs("lab")
            assert (first.outcome, last.outcome) == ("lost", "unchanged")
            assert "lab: its worker is gone; the next run continues it" in made.notes

    asyncio.run(task())


@pytest.mark.parametrize(
    ("detail", "remedy", "note", "shown"),
    [
        (
            "No such ref.",
            "Check it.",
            "infra: cannot fetch main. No such ref. Check it.",
            "cannot fetch main. No such ref",
        ),
        ("", "Check it.", "infra: cannot fetch main. Check it.", "cannot fetch main"),
        ("", "", "infra: cannot fetch main.", "cannot fetch main"),
    ],
)
def test_a_fetch_that_fails_is_reported_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detail: str, remedy: str, note: str, shown: str
) -> None:
    async def fetch(_: Repository) -> str:
        raise DiagnosticError(Diagnostic("git-fetch", Severity.ERROR, "cannot fetch main", detail, remedy))

    async def task() -> None:
        async with queue(tmp_path) as (made, worker):
            monkeypatch.setattr(Repository, "fetch", fetch)

            async def failed() -> bool:
                found = await made.store.stack("research", "lab")
                return found is not None and found.source_problem is not None

            async with working(worker):
                await made.until(failed)
            [stack] = await made.store.stacks("research")
            assert stack.source_problem == shown
            assert made.notes[1:] == [note]
            assert f"infra: {shown}" in stacks_text([stack], datetime.now(UTC))

    asyncio.run(task())


def test_a_full_database_is_reported_once_and_recovers(tmp_path: Path) -> None:
    problem = "could not extend file: No space left on device"

    async def task() -> None:
        async with (
            queue(tmp_path) as (made, worker),
            await psycopg.AsyncConnection.connect(info(made.schema), autocommit=True) as connection,
        ):
            await connection.execute(
                "create function fail() returns trigger language plpgsql as "
                f"$$ begin raise exception using errcode = 'disk_full', message = '{problem}'; end $$"
            )
            await connection.execute("create trigger fail before insert on runs for each row execute function fail()")

            async def reported_and_tried_again() -> bool:
                [(tries,)] = await (await connection.execute("select nextval('runs_id_seq')")).fetchall()
                return bool(made.notes[1:]) and tries > 5

            async with working(worker):
                await made.until(reported_and_tried_again)
                await connection.execute("drop trigger fail on runs")
                await made.until(made.synced)
            assert made.notes[1:-1] == [f"run lab: cannot use the database of the controller ({problem})"]
            assert made.notes[-1].startswith("lab: unchanged")

    asyncio.run(task())


def test_a_fleet_whose_stack_belongs_to_another_does_not_start(tmp_path: Path) -> None:
    async def task() -> None:
        async with queue(tmp_path) as (made, worker):
            await made.store.register(fleet(tmp_path, {"name": "lab", "source": "infra"}, name="other"))
            with pytest.raises(DiagnosticError, match="the stack lab belongs to the fleet other"):
                await worker.run()

    asyncio.run(task())


@pytest.mark.parametrize(
    ("error", "reported"), [(ConnectorException(), False), (psycopg.OperationalError(), False), (KeyError(), True)]
)
def test_a_task_that_loses_the_database_prints_no_traceback(
    error: Exception, reported: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(asyncio.new_event_loop()) as loop:
        _unretrieved(loop, {"message": "Task exception was never retrieved", "exception": error})
    assert bool(caplog.records) is reported


def test_ticks_are_two_seconds_apart_in_every_minute() -> None:
    times = croniter(TICK, datetime(2026, 1, 1, 0, 1, tzinfo=UTC))
    assert [times.get_next(datetime).second for _ in range(31)] == [*range(2, 60, 2), 0, 2]


def test_a_failing_stack_gets_slower_and_never_stops() -> None:
    paces = [next_run(Outcome.FAILED, 600, failures, stopped=False) for failures in (0, 1, 2, 50)]
    assert [round(pace / 30) for pace in paces[:1]] == [1]
    assert all(27 <= pace <= 2640 for pace in paces)
    assert paces == sorted(paces)
    assert 540 <= next_run(Outcome.UNCHANGED, 600, 3, stopped=False) <= 660
    assert next_run(Outcome.INTERRUPTED, 600, 0, stopped=True) == 0
    assert 27 <= next_run(Outcome.INTERRUPTED, 600, 0, stopped=False) <= 33
    assert 54 <= next_fetch(60, 0) <= 66
    assert 3240 <= next_fetch(60, 99) <= 3960
