"""Turns of requests across processes: one at a time for a target and a client node, and none without the database."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from dbc_iac.api.channel import NoTurn
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.transport import ClientNode
from dbc_iac.controller.lanes import DatabaseLanes
from tests.controller.fleets import info, new_schema
from tests.state.servers import postgres

READ = CallClass.READ


def lost() -> None:
    raise AssertionError("the database is not lost")


async def waiting() -> int:
    """Number of requests that wait for their turn."""
    async with await psycopg.AsyncConnection.connect(postgres.address()) as connection:
        found = await connection.execute("select count(*) from pg_locks where locktype = 'advisory' and not granted")
        [(number,)] = await found.fetchall()
    return int(number)


@pytest.mark.parametrize(
    ("target", "url", "slots", "waits"),
    [("t", "http://127.0.0.1:2", 1, True), ("u", "http://127.0.0.1:1", 1, True), ("u", "http://127.0.0.1:2", 1, False),
     ("u", "http://127.0.0.1:1", 2, False)],
    ids=["same target", "same client node", "neither", "client node with two slots"],
)  # fmt: skip
def test_a_request_waits_for_the_turn_of_another_process(target: str, url: str, slots: int, waits: bool) -> None:
    async def task() -> None:
        settings = info(new_schema())
        first, second = DatabaseLanes(settings, lost), DatabaseLanes(settings, lost)
        one = ClientNode("one", "http://127.0.0.1:1", max_in_flight=slots)
        other = ClientNode("other", url, max_in_flight=slots)
        sent = asyncio.Event()

        async def request() -> None:
            async with second.turn(target, other, "/tasks", READ):
                sent.set()

        async with asyncio.timeout(30):
            async with first.turn("t", one, "/tasks", READ):
                running = asyncio.create_task(request())
                while waits and not await waiting():
                    assert not sent.is_set()
                if not waits:
                    await sent.wait()
            await running
        for lanes in (first, second):
            await lanes.aclose()
        for client in (one, other):
            await client.aclose()

    asyncio.run(task())


def test_the_process_of_an_observed_stack_sends_no_change() -> None:
    async def task() -> None:
        lanes = DatabaseLanes("host=/nonexistent", lambda: None, observe=True)
        client = ClientNode("default", "http://127.0.0.1:1")
        with pytest.raises(NoTurn, match="only observed"):
            async with lanes.turn("t", client, "/tasks/stop/x", CallClass.STATE_CONDITIONED):
                raise AssertionError
        await client.aclose()

    asyncio.run(task())


def test_without_the_database_only_reads_and_starts_are_sent() -> None:
    async def task() -> list[str]:
        lost: list[str] = []
        lanes = DatabaseLanes("host=/nonexistent", lambda: lost.append("lost"))
        client = ClientNode("default", "http://127.0.0.1:1")
        for path, call in (("/tasks", CallClass.READ), ("/tasks/start/x", CallClass.STATE_CONDITIONED)):
            async with lanes.turn("t", client, path, call):
                lost.append(path)
        for path, call in (("/tasks/start", CallClass.KEYED), ("/tasks/stop/x", CallClass.STATE_CONDITIONED)):
            with pytest.raises(NoTurn, match="the database of the controller was lost"):
                async with lanes.turn("t", client, path, call):
                    raise AssertionError
        await client.aclose()
        return lost

    assert asyncio.run(task()) == ["lost", "/tasks", "/tasks/start/x"]
