"""Lanes across machines: advisory locks of PostgreSQL, each held for one request.

A target and a client node take one request at a time, of all runs of all workers. Without the database no lane can be
held: then only reads are sent, and starts of VMs, which close power-off windows.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import psycopg

from dbc_iac.api.channel import NoTurn
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.transport import ClientNode
from dbc_iac.controller.database import Connection

_START = "/tasks/start/"
_SESSION = "/mining_nodes/session_id"
_LOST = "the database of the controller was lost"


class DatabaseLanes:
    """Turns of requests. `info`: of `database.conninfo`, without a time limit; `lost` is called once, when it is lost.

    `observe`: only reads are sent.
    """

    def __init__(self, info: str, lost: Callable[[], None], *, observe: bool = False) -> None:
        self._info = info
        self._observe = observe
        self._on_lost = lost
        self._idle: list[Connection] = []
        self.lost = False

    @asynccontextmanager
    async def turn(self, target: str, client: ClientNode, path: str, call_class: CallClass) -> AsyncIterator[None]:
        """The turn of one request. Raises NoTurn for a change while observing, or after the database was lost."""
        reads = call_class is CallClass.READ or path == _SESSION
        if self._observe and not reads:
            raise NoTurn("the stack is only observed")
        connection = None if self.lost else await self._held(target, client)
        if connection is None and not reads and not path.startswith(_START):
            raise NoTurn(_LOST)
        try:
            yield
        finally:
            if connection is not None:
                await self._release(connection)

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _held(self, target: str, client: ClientNode) -> Connection | None:
        """A connection that holds the locks of a target and a client node; None if the database is lost."""
        connection: Connection | None = None
        try:
            connection = (
                self._idle.pop() if self._idle else await psycopg.AsyncConnection.connect(self._info, autocommit=True)
            )
            if target:
                await connection.execute("select pg_advisory_lock(%s)", (_key(f"target {target}"),))
            await self._lock_client(connection, client)
        except psycopg.Error:
            self._lose()
        except BaseException:  # cancelled while it waited
            if connection is not None:
                await connection.close()
            raise
        else:
            return connection
        if connection is not None:
            await connection.close()
        return None

    @staticmethod
    async def _lock_client(connection: Connection, client: ClientNode) -> None:
        """Lock one of the slots of a client node: a free one, else a random one."""
        slots = [_key(f"client {client.url} {n}") for n in range(client.max_in_flight)]
        random.shuffle(slots)
        for slot in slots[1:]:
            found = await connection.execute("select pg_try_advisory_lock(%s)", (slot,))
            if (row := await found.fetchone()) is not None and row[0]:
                return
        await connection.execute("select pg_advisory_lock(%s)", (slots[0],))

    async def _release(self, connection: Connection) -> None:
        try:
            await asyncio.shield(connection.execute("select pg_advisory_unlock_all()"))
        except psycopg.Error:
            self._lose()
        except BaseException:
            await connection.close()
            raise
        else:
            self._idle.append(connection)
            return
        with suppress(psycopg.Error):
            await connection.close()

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            self._on_lost()


def _key(name: str) -> int:
    """The key of an advisory lock, a signed 64-bit number."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
