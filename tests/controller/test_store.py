"""The tables of the controller on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from dbc_iac.controller.database import conninfo
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.records import Outcome, Phase, RunResult
from dbc_iac.controller.store import Store
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.secret import SecretText
from tests.controller.fleets import fleet, info, new_schema, on_store
from tests.state.servers import postgres

A, B = {"name": "a", "source": "infra"}, {"name": "b", "source": "infra", "path": "other"}
PLANNED = RunResult(Outcome.PLANNED, Phase.APPROVAL, 60, digest="d1", plan="{}", approval="mode approve")


async def _registered(store: Store, made: Fleet, commit: str = "c1") -> None:
    await store.register(made)
    await store.synced("research", "infra", commit, dict.fromkeys((s.name for s in made.spec.stacks), commit), 60)


def test_two_processes_create_the_tables_at_once() -> None:
    schema = new_schema()

    async def both() -> list[str]:
        async def one() -> str:
            async with Store.open(info(schema)) as store:
                return str(len(await store.stacks("research")))

        return [*await asyncio.gather(one(), one(), one())]

    assert asyncio.run(both()) == ["0", "0", "0"]


def test_a_second_run_of_a_stack_cannot_begin(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A))
        first = await store.begin_run("a", "one", 60)
        assert first is not None
        assert await store.begin_run("a", "two", 60) is None
        with pytest.raises(psycopg.errors.ExclusionViolation):  # the table itself refuses it
            async with store.pool.connection() as connection:
                await connection.execute(
                    "insert into runs (stack, number, commit, tree, mode, worker, period, lease) "
                    "select stack, number, commit, tree, mode, 'two', tstzrange(clock_timestamp(), null), lease from runs"
                )
        assert await store.end_run(first.id, RunResult(Outcome.UNCHANGED, Phase.SYNCED, 60))
        assert await store.begin_run("a", "two", 60) is not None

    on_store(task)


def test_a_run_is_taken_over_after_its_lease_and_not_before(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A))
        first = await store.begin_run("a", "one", 60)
        assert first is not None
        assert await store.close_lost_runs() == []
        assert await store.due_stacks("research") == []
        assert await store.renew_run(first.id, -1)
        assert await store.close_lost_runs() == ["a"]
        assert not await store.renew_run(first.id, 60)
        assert not await store.end_run(first.id, RunResult(Outcome.APPLIED, Phase.SYNCED, 60))
        assert await store.due_stacks("research") == ["a"]
        second = await store.begin_run("a", "two", 60)
        assert second is not None
        [now, before] = await store.runs("a")
        assert (before.outcome, now.outcome) == ("lost", None)
        assert before.ended is not None
        assert before.ended <= now.started

    on_store(task)


def test_a_stack_of_another_fleet_is_refused(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await store.register(fleet(tmp_path, A, B))
        with pytest.raises(DiagnosticError, match="the stack b belongs to the fleet research"):
            await store.register(fleet(tmp_path, {**B, "name": "other-name"}, name="second"))
        with pytest.raises(DiagnosticError, match="the stack a belongs to the fleet research"):
            await store.register(fleet(tmp_path, {**A, "path": "third"}, name="second"))
        assert [s.name for s in await store.stacks("research")] == ["a", "b"]

    on_store(task)


def test_a_removed_stack_finishes_its_run_and_is_forgotten(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A, B))
        started = await store.begin_run("b", "one", 60)
        assert started is not None
        await store.register(fleet(tmp_path, A))
        assert [(s.name, s.removed, s.running) for s in await store.stacks("research")] == [
            ("a", False, False),
            ("b", True, True),
        ]
        assert await store.end_run(started.id, RunResult(Outcome.UNCHANGED, Phase.SYNCED, 60))
        assert [s.name for s in await store.stacks("research")] == ["a"]

    on_store(task)


def test_stacks_that_swap_their_directories_are_fetched_again(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A, B))
        await store.register(fleet(tmp_path, {**A, "path": "other"}, {**B, "path": "."}))
        assert [(s.spec["path"], s.commit, s.next_run) for s in await store.stacks("research")] == [
            ("other", "", None), (".", "", None),
        ]  # fmt: skip
        assert await store.due_sources("research") == ["infra"]

    on_store(task)


def test_only_stacks_whose_tree_changed_run_after_a_commit(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A, B))
        for name in await store.due_stacks("research"):
            started = await store.begin_run(name, "one", 60)
            assert started is not None
            assert not started.drift_only
            await store.end_run(started.id, RunResult(Outcome.UNCHANGED, Phase.SYNCED, 60))
        await store.synced("research", "infra", "c2", {"a": "c1", "b": "t2"}, 60)
        assert await store.due_stacks("research") == ["b"]
        assert [(s.commit, s.applied_commit) for s in await store.stacks("research")] == [("c1", "c1"), ("c2", "c1")]
        await store.suspend("b", suspended=True)
        assert await store.due_stacks("research") == []
        await store.suspend("b", suspended=False)
        await store.request_run("a")
        again = await store.begin_run("a", "one", 60)
        assert again is not None
        assert again.drift_only

    on_store(task)


def test_exactly_one_of_two_approvals_counts(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A))
        started = await store.begin_run("a", "one", 60)
        assert started is not None
        await store.end_run(started.id, PLANNED)
        with pytest.raises(DiagnosticError, match="does not wait for approval"):
            await store.decide("a", "d2", "approved", "ann")
        results = await asyncio.gather(
            *(store.decide("a", "d1", "approved", who) for who in ("ann", "ben")), return_exceptions=True
        )
        [refused] = [r for r in results if isinstance(r, DiagnosticError)]
        assert refused.diagnostics[0].detail in {"It was approved by ann.", "It was approved by ben."}
        again = await store.begin_run("a", "one", 60)
        assert again is not None
        assert again.approval is not None
        assert (again.approval.status, again.plan) == ("approved", "{}")
        await store.end_run(again.id, RunResult(Outcome.APPLIED, Phase.SYNCED, 60, digest="d1"))
        assert [a.status for a in await store.approvals("a")] == ["applied"]

    on_store(task)


def test_a_stack_whose_plan_was_rejected_is_rejected_at_once(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A))
        started = await store.begin_run("a", "one", 60)
        assert started is not None
        await store.end_run(started.id, PLANNED)
        await store.decide("a", "d1", "rejected", "ann")
        stack = await store.stack_of("research", "a")
        assert (stack.phase, stack.approval) == ("rejected", None)

    on_store(task)


@pytest.mark.parametrize("decided", [False, True])
def test_an_approval_is_stale_after_a_commit_and_after_drift(tmp_path: Path, decided: bool) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A))
        for commit, digest in (("c1", "d1"), ("c2", "d1"), ("c2", "d3")):
            await store.synced("research", "infra", commit, {"a": commit}, 60)
            started = await store.begin_run("a", "one", 60)
            assert started is not None
            await store.end_run(started.id, RunResult(Outcome.PLANNED, Phase.APPROVAL, 60, digest=digest, approval="x"))
            if decided and digest == "d1":
                await store.decide("a", "d1", "approved", "ann")
        assert [(a.commit, a.digest, a.status) for a in await store.approvals("a")] == [
            ("c2", "d3", "pending"), ("c2", "d1", "stale"), ("c1", "d1", "stale"),
        ]  # fmt: skip
        await store.synced("research", "infra", "c3", {"a": "c3"}, 60)
        with pytest.raises(DiagnosticError, match="does not wait for approval"):
            await store.decide("a", "d3", "approved", "ann")

    on_store(task)


def test_old_runs_are_deleted_but_for_the_last_and_the_waiting(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await _registered(store, fleet(tmp_path, A))
        for number in range(4):
            started = await store.begin_run("a", "one", 60)
            assert started is not None
            await store.add_events(started.id, [(0, {"event": "begin"}), (1, {"event": "end"})])
            result = PLANNED if number == 0 else RunResult(Outcome.FAILED, Phase.FAILED, 60)
            await store.end_run(started.id, result)
        [*_, first] = [run.id for run in await store.runs("a")]
        assert await store.delete_old_runs(90, 2) == 1
        assert await store.delete_old_runs(0, 100) == 1
        assert len(await store.runs("a")) == 2
        assert [e.content["event"] for e in await store.events(first, after=0)] == ["end"]
        assert (await store.stacks("research"))[0].failures == 3

    on_store(task)


def test_a_problem_of_the_database_is_a_diagnostic_without_the_password() -> None:
    async def task(store: Store) -> None:
        async with store.pool.connection() as connection:
            await connection.execute("drop table events")
        with pytest.raises(DiagnosticError, match="cannot use the database of the controller") as failed:
            await store.events(1)
        assert failed.value.diagnostics[0].detail == 'relation "events" does not exist.'

    on_store(task)


def test_a_read_only_server_is_refused() -> None:
    async def task() -> None:
        url = f"{postgres.address()}&options=-c%20default_transaction_read_only%3Don"
        with pytest.raises(DiagnosticError, match="cannot use the database") as refused:
            async with Store.open(conninfo(SecretText(url), new_schema())):
                pass
        assert refused.value.diagnostics[0].detail.endswith("session is read-only.")

    asyncio.run(task())
